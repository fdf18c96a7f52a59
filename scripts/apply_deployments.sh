#!/usr/bin/env bash
# The work pools and what prefect.yaml deploys to them; safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."
prefect --no-prompt work-pool create local --type process --overwrite
prefect --no-prompt work-pool create balance --type process --overwrite
prefect --no-prompt deploy --all
