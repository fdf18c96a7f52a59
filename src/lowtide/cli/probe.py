"""`lowtide probe`: what exported files take per inference, side by side."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lowtide.cli.app import Json, app, show
from lowtide.errors import UsageError

ENDS = ("", "_low", "_high")  # median, 5th and 95th percentile
WIDTH = 200  # of the tables where no terminal says how wide it is


class ProviderName(StrEnum):
    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


@app.command()
def probe(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL.onnx...", help="ONNX files.")],
    reference: Annotated[
        Path | None, typer.Option(help="What the others are compared with; default: the first.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at once, for energy.")] = 64,
    repeats: Annotated[int, typer.Option(min=2, help="Turns of each file.")] = 20,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: all cores.")] = None,
    provider: Annotated[
        ProviderName, typer.Option(help="Of ONNX Runtime; auto: a GPU where one is.")
    ] = ProviderName.AUTO,
    images: Annotated[Path | None, typer.Option(help="A folder of images; default: noise.")] = None,
    layers: Annotated[bool, typer.Option("--layers", help="Also a table by layer.")] = False,
    as_json: Json = False,
) -> None:
    """Joules and time per inference of ONNX files, measured in turns, against one of them."""
    from lowtide.evaluation.side_by_side import Comparison, compare_files

    if layers and provider is ProviderName.CUDA:
        raise UsageError("--layers times the CPU's kernels: leave it out, or take --provider cpu")
    paths = list(dict.fromkeys([*([reference] if reference else []), *models]))
    asked = Comparison(batch_size, repeats, threads, provider.value, images, layers)
    content = compare_files(paths, asked)
    show(content, as_json, "" if as_json else _text(content))


def _text(content: Mapping[str, Any]) -> str:
    from rich.console import Console

    console = Console(width=None if Console().is_terminal else WIDTH)
    with console.capture() as captured:
        console.print(_table(content))
        for name, figures in content["models"].items():
            if "layers" in figures:
                console.print(_layer_table(name, figures["layers"]))
    return captured.get() + "\n".join(_said(content))


def _table(content: Mapping[str, Any]) -> Any:
    from rich.table import Table

    table = Table("file", box=None)
    columns = (
        "J per image",
        "times less",
        "ms per image",
        "times less",
        "ms p50 / p95 of one",
        "kB",
    )
    for column in columns:
        table.add_column(column, justify="right")
    for name, one in content["models"].items():
        energy_j = (one[f"inference_energy_j{end}"] for end in ENDS)
        time_ms = (1e3 * one[f"inference_time_s{end}"] for end in ENDS)
        table.add_row(
            name, _spread(*energy_j), _times(one["energy_ratio"]),
            _spread(*time_ms), _times(one["time_ratio"]),
            f"{one['latency_ms_p50']:.3f} / {one['latency_ms_p95']:.3f}",
            f"{one['size_bytes'] / 1e3:.0f}",
        )  # fmt: skip
    return table


def _layer_table(name: str, layers: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("layer", "module", "operator", title=f"\n{name}", title_justify="left", box=None)
    for column in ("us per image", "share", "J per image", "multiply-adds"):
        table.add_column(column, justify="right")
    for one in layers:
        macs = "unknown" if one["num_macs"] is None else f"{one['num_macs']:,}"
        table.add_row(
            one["name"], one["module"] or "", one["op_type"], f"{1e6 * one['seconds']:.3f}",
            f"{100 * one['share']:.1f} %", _number(one["energy_j"]), macs,
        )  # fmt: skip
    return table


def _said(content: Mapping[str, Any]) -> list[str]:
    """What the figures rest on."""
    runtime, host, energy = content["runtime"], content["host"], content["energy"]
    one = next(iter(content["models"].values()))
    sources = "; ".join(f"{name}: {source}" for name, source in energy["sources"].items())
    return [
        f"{one['num_repeats']} turns each, interleaved, batch {one['batch_size']}, of "
        f"{content['images']}; in brackets 5th to 95th percentile; times less than "
        f"{content['reference']}, by pairs of turns",
        f"energy {energy['provenance']}{f' ({sources})' if sources else ''}",
        f"{runtime['name']} {runtime['version']}, {runtime['provider']}, "
        f"{runtime['num_threads']} threads; {host['host']}, {host['machine']}, "
        f"{host['cpu_count']} cores",
    ]


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"


def _spread(median: float | None, low: float | None, high: float | None) -> str:
    if median is None or low is None or high is None:
        return "unknown"
    return f"{median:.3g} ({low:.3g} to {high:.3g})"


def _times(ratio: Mapping[str, float] | None) -> str:
    return "unknown" if ratio is None else _spread(*ratio.values())
