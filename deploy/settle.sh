#!/usr/bin/env bash
# Make the current folder, a copy of the repository in an image, one that DVC can work in: there is
# no git, and what runs leave behind (dvc.lock too) lies in folders that are volumes.
set -euo pipefail
printf '[core]\n    no_scm = true\n' > .dvc/config.local
mkdir -p .lowtide artifacts reports
[ -e .lowtide/dvc.lock ] || printf "schema: '2.0'\n" > .lowtide/dvc.lock
ln -sfn .lowtide/dvc.lock dvc.lock
