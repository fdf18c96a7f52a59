"""From the carbon section of params.yaml to an intensity source."""

from importlib import resources
from pathlib import Path

from lowtide import artifacts
from lowtide.carbon.signal import IntensitySource
from lowtide.carbon.trace import TraceSource
from lowtide.carbon.typical import TypicalSource
from lowtide.carbon.wall import SystemWall, Wall
from lowtide.errors import CarbonError
from lowtide.params import CarbonParams

PACKAGED = "packaged"
FOLDER = artifacts.STATE / "carbon"


def open_source(
    params: CarbonParams, folder: Path = FOLDER, wall: Wall | None = None
) -> IntensitySource:
    """The source that params.yaml names; `auto` takes the best there is for the zone.

    That is the trace if one is named; else, for a clock that is not replayed, a live source (GB's,
    Electricity Maps or WattTime if there are tokens, Energy-Charts in Europe); else the typical
    profile. Nothing is asked of a network before the first question.

    Raises:
        CarbonError: the source does not know the zone, lacks a token, or cannot be replayed.
    """
    if params.source == "trace" or (params.source == "auto" and params.trace is not None):
        return _trace(params)
    if params.source == "typical" or (params.source == "auto" and params.replay_start):
        return TypicalSource(params.zone)
    if params.replay_start is not None:
        raise CarbonError(
            f"carbon.source {params.source} answers for now, not for a replay: take trace or "
            "typical, or set carbon.replay_start to null"
        )
    from lowtide.carbon.assemble import live_source_of, open_chain  # brings the HTTP client's parts

    source = live_source_of(params.zone) if params.source == "auto" else params.source
    if source is None:
        return TypicalSource(params.zone)
    return open_chain(params, source, folder, wall or SystemWall())


def _trace(params: CarbonParams) -> TraceSource:
    if params.trace is None:
        raise CarbonError("carbon.source is `trace` but carbon.trace is empty: name a file")
    if params.trace == PACKAGED:
        return _packaged(params.zone)
    return TraceSource(Path(params.trace), params.zone)


def _packaged(zone: str) -> TraceSource:
    if zone != "US-CISO":
        raise CarbonError(f"the packaged trace is of US-CISO, not {zone}: set carbon.trace")
    with resources.as_file(resources.files("lowtide.carbon") / "replay_trace.csv.gz") as path:
        return TraceSource(path, zone, "packaged trace US-CISO 2022")
