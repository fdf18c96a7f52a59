"""Prefect flows: order and decisions."""

import os

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")  # of the server a flow starts
