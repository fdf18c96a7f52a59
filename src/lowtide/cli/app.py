"""The Typer app, the options that commands share, and how results are printed."""

import gc
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from lowtide.errors import LowtideError, UsageError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

ParamsFile = Annotated[Path, typer.Option("--params", help="The params file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
PARAMS = Path("params.yaml")
COLLECT_EACH = 10_000  # new objects, not 700: the libraries alone make 700,000, and they stay


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"lowtide {metadata.version('lowtide')}")
        raise typer.Exit


@app.callback()
def _everywhere(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print it and end.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Train at the low tide of the grid's carbon intensity."""


def main() -> None:
    """Run the command; an error is one line on stderr, never a traceback."""
    gc.set_threshold(COLLECT_EACH)
    try:
        app()
    except LowtideError as error:
        print(f"lowtide: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    finally:
        gc.freeze()  # else the interpreter searches all there is for garbage as it ends: a second


def show(content: Mapping[str, Any], as_json: bool, text: str) -> None:
    print(json.dumps(content, allow_nan=False) if as_json else text)


def instant(text: str) -> datetime:
    """An ISO 8601 instant from the command line; without a zone it is UTC."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--at {text!r} is no ISO 8601 instant, like 2022-04-14T03:00Z") from None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def require_folder(option: str, path: Path | None) -> None:
    """UsageError where the file that the option names has no folder: a typo makes none."""
    if path is not None and not path.absolute().parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}: make it first")
