#!/usr/bin/env bash
# Start the tracking server from an env file: mlflow/serve.sh [mlflow/sqlite.env]
set -euo pipefail
settings=${1:-"$(dirname "$0")/sqlite.env"}
set -a
# shellcheck disable=SC1090
source "$settings"
set +a
exec mlflow server --host "$MLFLOW_HOST" --port "$MLFLOW_PORT" --workers 1 \
    --backend-store-uri "$MLFLOW_BACKEND_STORE_URI" \
    --artifacts-destination "$MLFLOW_ARTIFACTS_DESTINATION" \
    --allowed-hosts "$MLFLOW_SERVER_ALLOWED_HOSTS"
