#!/usr/bin/env bash
# The work pool `local` and what prefect.yaml deploys to it; safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."
prefect --no-prompt work-pool create local --type process --overwrite
prefect --no-prompt deploy --all
