"""What the grid of each site emits, from the same sources as everything else."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from lowtide.carbon.signal import IntensitySource, IntensityValue
from lowtide.carbon.sources import open_source
from lowtide.errors import CarbonError
from lowtide.params import CarbonParams
from lowtide.placement.sites import Site, Sites


@dataclass(frozen=True)
class Grid:
    """A site's source, and how much older its record is than what it stands for."""

    source: IntensitySource
    older: timedelta

    def at(self, moment: datetime) -> IntensityValue:
        return self.source.current(moment - self.older)


Grids = Mapping[str, Grid | CarbonError]  # by site; or why there is none


@dataclass(frozen=True)
class Known:
    """Sites whose intensity is known, and why the others are left out."""

    sites: Sites
    values: Mapping[str, IntensityValue]
    left_out: Mapping[str, str]

    @property
    def g_per_kwh(self) -> dict[str, float]:
        return {name: value.intensity_g_per_kwh for name, value in self.values.items()}


def open_grids(found: Sites, at: datetime | None) -> Grids:
    """For now live sources, for an instant the site's trace, else its zone's typical profile."""
    grids: dict[str, Grid | CarbonError] = {}
    for name, site in found.sites.items():
        try:
            grids[name] = _grid(site, at)
        except CarbonError as error:
            grids[name] = error
    return grids


def read_intensity(found: Sites, grids: Grids, moment: datetime) -> Known:
    """Raises:
    CarbonError: a site's intensity is unknown and is not to be left out, or no site's is known.
    """
    values: dict[str, IntensityValue] = {}
    left_out: dict[str, str] = {}
    for name in found.sites:
        try:
            values[name] = _value(grids[name], moment)
        except CarbonError as error:
            if found.without_intensity == "refuse":
                raise CarbonError(
                    f"site {name}: {error}; or let the sites file say `without_intensity: exclude`"
                ) from None
            left_out[name] = str(error)
    if not values:
        raise CarbonError(f"no site has an intensity: {next(iter(left_out.values()))}")
    return Known(found.without(set(left_out)), values, left_out)


def _value(grid: Grid | CarbonError, moment: datetime) -> IntensityValue:
    if isinstance(grid, CarbonError):
        raise grid
    return grid.at(moment)


def _grid(site: Site, at: datetime | None) -> Grid:
    replayed = at is not None and site.trace is not None
    empty = dict.fromkeys(CarbonParams.model_fields)
    params = CarbonParams.model_validate(
        empty
        | {
            "zone": site.zone,
            "source": "auto",
            "trace": str(site.trace) if replayed else None,
            "replay_start": at,
            "replay_speed": 1.0,
            "constant_g_per_kwh": site.constant_g_per_kwh,
            "pue": site.pue,
        }
    )
    older = timedelta(weeks=site.trace_weeks_older if replayed else 0)
    return Grid(open_source(params), older)
