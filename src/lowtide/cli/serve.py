"""`lowtide serve`: a model behind the Open Inference Protocol."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowtide.cli.app import PARAMS, ParamsFile, app, instant
from lowtide.errors import UsageError

if TYPE_CHECKING:
    from lowtide.serving.server import Grid, Origin
    from lowtide.serving.tiers import Tiers

KEY = "LOWTIDE_API_KEY"
MIB = 2**20


@app.command()
def serve(
    model: Annotated[
        Path | None, typer.Argument(help="An ONNX file; default: follow the registry's champion.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8080,
    name: Annotated[str, typer.Option(help="What clients call the model.")] = "lowtide-classifier",
    tiers: Annotated[Path | None, typer.Option(help="Smaller variants for dirty hours.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: all cores.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images run at once.")] = 64,
    wait_ms: Annotated[float, typer.Option(min=0, help="For others to join a batch.")] = 2.0,
    poll_s: Annotated[float, typer.Option(min=0.1, help="Between looks at the registry.")] = 15.0,
    cache: Annotated[Path, typer.Option(help="Keeps the last good model.")] = Path(
        ".lowtide/served"
    ),
    max_body_mib: Annotated[float, typer.Option(min=0.001, help="Of one request.")] = 16.0,
    max_images: Annotated[int, typer.Option(min=1, help="In one request.")] = 256,
    max_in_flight: Annotated[int, typer.Option(min=1, help="Requests; more get 503.")] = 1024,
    max_queue: Annotated[int, typer.Option(min=1, help="Images that wait; more get 429.")] = 2048,
    header_timeout_s: Annotated[float, typer.Option(min=0.1)] = 10.0,
    body_timeout_s: Annotated[float, typer.Option(min=0.1)] = 20.0,
    drain_s: Annotated[int, typer.Option(min=1, help="For what is in flight at the end.")] = 30,
    zone: Annotated[str | None, typer.Option(help="Grid zone, for example GB.")] = None,
    trace: Annotated[str | None, typer.Option(help="A trace file, or `packaged`.")] = None,
    at: Annotated[str | None, typer.Option(help="Replay from this ISO 8601 instant.")] = None,
    replay_speed: Annotated[float | None, typer.Option(min=0.001)] = None,
    params: ParamsFile = PARAMS,
) -> None:
    """Serve MODEL.onnx, or the champion of the model registry, until SIGTERM."""
    from lowtide.serving.batcher import BatchLimits
    from lowtide.serving.limits import Limits
    from lowtide.serving.server import Settings, log_to_stderr
    from lowtide.serving.server import serve as serve_forever

    log_to_stderr()
    limits = Limits(
        body_bytes=int(max_body_mib * MIB), images=max_images, in_flight=max_in_flight,
        header_s=header_timeout_s, body_s=body_timeout_s,
    )  # fmt: skip
    serve_forever(
        Settings(
            name=_name(name), host=host, port=port, num_threads=threads or _num_cores(),
            batch=BatchLimits(batch_size, wait_ms / 1000, max_queue), limits=limits,
            origin=_origin(model, poll_s, cache), grid=_grid(params, zone, trace, at, replay_speed),
            tiers=_tiers(tiers), drain_s=drain_s, key=_key(),
        )
    )  # fmt: skip


def _name(name: str) -> str:
    if not name or set(name) & set("/?#%") or not name.isprintable():
        raise UsageError(f"--name {name!r} cannot be part of a URL: take letters, digits, - and _")
    return name


def _num_cores() -> int:
    import psutil

    return psutil.cpu_count(logical=False) or 1


def _origin(model: Path | None, poll_s: float, cache: Path) -> "Origin":
    from lowtide.serving.server import Origin
    from lowtide.tracking import tracking_uri

    return Origin(model, tracking_uri(), poll_s, cache)


def _tiers(path: Path | None) -> "Tiers":
    from lowtide.params import load_checked
    from lowtide.serving.tiers import Tiers

    if path is None:
        return Tiers(accuracy_drop_max=0, carbon_tiers=())
    return load_checked(path, Tiers)


def _key() -> str | None:
    key = os.environ.get(KEY)
    if key is not None and not key.strip():
        raise UsageError(f"{KEY} is empty: unset it to let everybody in, or give it a value")
    return key


def _grid(
    params: Path, zone: str | None, trace: str | None, at: str | None, speed: float | None
) -> "Grid":
    """Grams are unknown where neither options nor a params file name a grid."""
    from lowtide.clock import SystemClock
    from lowtide.running.setting import GridOptions, open_setting
    from lowtide.serving.server import Grid

    if params == PARAMS and not params.exists() and zone is None and trace is None:
        return Grid(None, SystemClock(), 1.0)
    moment = instant(at) if at else None
    setting = open_setting(params, PARAMS, GridOptions(zone, trace, moment, speed))
    return Grid(setting.source, setting.clock, setting.pue)
