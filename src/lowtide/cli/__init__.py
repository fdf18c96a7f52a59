"""The console script: `lowtide --help`. Heavy modules are imported inside the commands."""

from lowtide.cli import (
    backtest,
    bundle,
    champions,
    grid,
    ledger,
    pipeline,
    place,
    probe,
    run,
    search,
    serve,
)
from lowtide.cli.app import app, main

__all__ = [
    "app",
    "backtest",
    "bundle",
    "champions",
    "grid",
    "ledger",
    "main",
    "pipeline",
    "place",
    "probe",
    "run",
    "search",
    "serve",
]
