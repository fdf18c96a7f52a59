"""`lowtide bundle`: a model for a small device, and as a page that classifies in the browser."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lowtide.artifacts import read_json, report_path
from lowtide.cli.app import Json, app, show
from lowtide.errors import UsageError


@app.command()
def bundle(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="[MODEL.onnx]", help="Default: what the stage export has chosen."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The archive, a .zip file.")] = None,
    as_json: Json = False,
) -> None:
    """Pack a model with labels, runner and checksums for a device with onnxruntime and numpy."""
    from lowtide.edge.bundle import write_bundle

    if out is None:
        raise UsageError("nothing to write: give --out FILE.zip")
    content: dict[str, Any] = write_bundle(model or _chosen(), out)
    show(content, as_json, f"wrote {content['path']}, {content['size_bytes'] / 1e3:.0f} kB")


def _chosen() -> Path:
    return Path(read_json(report_path("export"))["model_path"])
