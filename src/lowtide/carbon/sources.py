"""From the carbon section of params.yaml to an intensity source."""

from importlib import resources
from pathlib import Path

from lowtide.carbon.signal import IntensitySource
from lowtide.carbon.trace import TraceSource
from lowtide.carbon.typical import TypicalSource
from lowtide.errors import CarbonError
from lowtide.params import CarbonParams

PACKAGED = "packaged"


def open_source(params: CarbonParams) -> IntensitySource:
    """`auto` takes the trace if one is named, else the typical profile of the zone."""
    if params.source == "typical" or (params.source == "auto" and params.trace is None):
        return TypicalSource(params.zone)
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
