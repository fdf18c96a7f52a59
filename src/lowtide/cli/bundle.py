"""`lowtide bundle`: a model for a small device, and as a page that classifies in the browser."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lowtide.artifacts import read_json, report_path
from lowtide.cli.app import Json, app, require_folder, show
from lowtide.errors import UsageError


@app.command()
def bundle(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="[MODEL.onnx]", help="Default: what the stage export has chosen."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The archive, a .zip file.")] = None,
    web: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="For a web server, with the page.")
    ] = None,
    page: Annotated[Path, typer.Option(help="The page's sources.")] = Path("deploy/edge"),
    as_json: Json = False,
) -> None:
    """Pack a model for a small device (--out FILE.zip), or with a page for browsers (--web)."""
    from lowtide.edge.bundle import write_bundle
    from lowtide.edge.page import write_page

    if out is None and web is None:
        raise UsageError("nothing to write: give --out FILE.zip, --web FOLDER, or both")
    require_folder("--out", out)
    source = model or Path(read_json(report_path("export"))["model_path"])
    content: dict[str, Any] = {"model": str(source)}
    if out is not None:
        content["bundle"] = write_bundle(source, out)
    if web is not None:
        content["page"] = write_page(source, page, web)
    written = [content[name] for name in ("bundle", "page") if name in content]
    lines = [f"wrote {one['path']}, {one['size_bytes'] / 1e6:.2f} MB" for one in written]
    show(content, as_json, "\n".join(lines))
