"""Where a command runs: grid, clock and schedule, from the options or from params.yaml."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from lowtide.carbon.signal import IntensitySource
from lowtide.carbon.sources import PACKAGED, open_source
from lowtide.clock import Clock, ReplayClock, SystemClock
from lowtide.errors import CarbonError, UsageError
from lowtide.params import CarbonParams, ScheduleParams, load_params

PACKAGED_ZONE = "US-CISO"
# What belongs to the zone of the params file, and not to another.
OF_THE_ZONE = (
    "trace", "replay_start", "base_url", "second_source", "constant_g_per_kwh", "weather"
)  # fmt: skip
# What a command needs to know that is run where no params.yaml is.
OUTSIDE_CARBON = {"source": "auto", "replay_speed": 1.0, "pue": 1.0}
OUTSIDE_SCHEDULE = {
    "deadline_hours": 0.0,
    "levels": (0.0, 1.0),
    "throughput": None,
    "slot_minutes": 30,
    "resume_minutes": 5.0,
    "idle_power": 0.1,
    "max_in_process_pause_minutes": 0.0,
    "release_memory": False,
}


@dataclass(frozen=True)
class Setting:
    source: IntensitySource
    clock: Clock
    schedule: ScheduleParams
    pue: float
    replay_start: datetime | None = None  # None on the system's clock, as is the speed
    replay_speed: float | None = None

    def begun(self) -> "Setting":
        """The same with a replay that starts now: what was prepared meanwhile took no time."""
        if self.replay_start is None or self.replay_speed is None:
            return self
        return replace(self, clock=ReplayClock(self.replay_start, self.replay_speed))


@dataclass(frozen=True)
class GridOptions:
    """As on the command line; None is silent."""

    zone: str | None
    trace: str | None
    at: datetime | None
    replay_speed: float | None


def open_setting(params_file: Path, default: Path, options: GridOptions) -> Setting:
    """Options go before the params file, which may be missing where the grid is named.

    A replay is what `at` asks for, or the params file where the options do not name a grid.

    Raises:
        UsageError: no grid is named anywhere, or a named trace does not cover the present.
        ParamsError: the params file is broken, or is not there though it was named.
    """
    carbon = grid_params(params_file, default, options)
    schedule = schedule_params(params_file, default)
    source = open_source(carbon)
    schedule = schedule.all_or_nothing()  # a command knows no other levels
    setting = Setting(source, SystemClock(), schedule, carbon.pue)
    if carbon.replay_start is not None:
        start, speed = carbon.replay_start, carbon.replay_speed
        return replace(setting, replay_start=start, replay_speed=speed).begun()
    if options.trace is not None:
        _require_present(source, setting.clock)
    return setting


def grid_params(params_file: Path, default: Path, options: GridOptions) -> CarbonParams:
    """The carbon section that holds: the file's, where there is one, changed by the options.

    What belongs to the file's zone (host, token's target, constant) is not taken to another zone.
    """
    if params_file.exists() or params_file != default:
        carbon = load_params(params_file).carbon
    else:
        carbon = _outside(options, params_file)
    return carbon.model_copy(update=_changes(options, carbon))


def schedule_params(params_file: Path, default: Path) -> ScheduleParams:
    if params_file.exists() or params_file != default:
        return load_params(params_file).schedule
    return ScheduleParams.model_validate(OUTSIDE_SCHEDULE)


def _outside(options: GridOptions, params_file: Path) -> CarbonParams:
    zone = options.zone or (PACKAGED_ZONE if options.trace == PACKAGED else options.trace)
    if zone is None:
        raise UsageError(
            f"there is no {params_file} here to say which grid: give --zone, for example "
            "--zone GB, or --trace FILE --at T"
        )
    empty: dict[str, Any] = dict.fromkeys(CarbonParams.model_fields)
    return CarbonParams.model_validate({**empty, **OUTSIDE_CARBON, "zone": zone})


def _changes(options: GridOptions, carbon: CarbonParams) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if options.zone is not None and options.zone != carbon.zone:
        changes = {**dict.fromkeys(OF_THE_ZONE), "zone": options.zone, "source": "auto"}
    if options.trace is not None:
        changes |= {"source": "trace", "trace": options.trace, "replay_start": None}
    if options.at is not None:
        changes["replay_start"] = options.at
    if options.replay_speed is not None:
        changes["replay_speed"] = options.replay_speed
    return changes


def _require_present(source: IntensitySource, clock: Clock) -> None:
    try:
        source.current(clock.now())
    except CarbonError as error:
        raise UsageError(f"{error}; or replay it: --at T") from None
