"""Ten sites on ten recorded grids, with users near each: one model, the same hardware everywhere.

What differs between sites is the grid and where it is. Latency is that of light in fibre along the
great circle, detours included; demand follows each region's local day. The traces are of 2020 and
of 2022: those of 2020 stand for 2022, 104 weeks later, so that weekday, hour and season agree.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lowtide.placement.sites import Sites

KM_PER_DEGREE = 111.195
FIBRE_KM_PER_MS = 200.0
DETOUR = 1.5  # length of the fibre over the great circle
LAST_MILE_MS = 20.0  # p95 of what does not depend on distance, the inference included
J_PER_KM = 1e-5  # of the network, for one request with its image
PEOPLE_PER_S = 100.0  # requests of a region, mean over the day
SWING = 0.6  # of the day around its mean, highest at 15:00 local


@dataclass(frozen=True)
class Region:
    trace: str
    weeks_older: int
    latitude: float
    longitude: float


REGIONS = {
    "sydney": Region("AUS-NSW-2021-2022", 0, -33.9, 151.2),
    "frankfurt": Region("DE-2020", 104, 50.1, 8.7),
    "paris": Region("FR-2020", 104, 48.9, 2.4),
    "london": Region("GB-2020", 104, 51.5, -0.1),
    "mumbai": Region("IN-MH-2021-2022", 0, 19.1, 72.9),
    "stockholm": Region("SE-2021-2022", 0, 59.3, 18.1),
    "san-francisco": Region("US-CISO-2022", 0, 37.8, -122.4),
    "dallas": Region("US-ERCO-2022", 0, 32.8, -96.8),
    "portland": Region("US-NW-PACW-2021-2022", 0, 45.5, -122.7),
    "ashburn": Region("US-PJM-2022", 0, 39.0, -77.5),
}


@dataclass(frozen=True)
class Setting:
    """limit_ms: of p95 for all users; but nobody's is below what their second site takes, since no
    group could survive a loss otherwise. room: capacity of all sites over mean demand."""

    limit_ms: float
    room: float
    share_max: float = 0.5


def ten_sites(folder: Path, setting: Setting) -> Sites:
    content = {
        "groups": {name: _group(name, setting) for name in REGIONS},
        "sites": {name: _site(name, folder, setting) for name in REGIONS},
        "availability": {
            "share_max": setting.share_max,
            "share_min": 0.01,
            "survive_one_loss": True,
        },
        "hysteresis": {"saving_min": 0.02, "step_max": 0.25},
        "without_intensity": "refuse",
    }
    return Sites.model_validate(content)


def _group(name: str, setting: Setting) -> dict[str, Any]:
    second_ms = sorted(_latency_ms(name, other) for other in REGIONS)[1]
    return {
        "demand_per_s": [_demand(REGIONS[name].longitude, hour) for hour in range(24)],
        "latency_ms_p95_max": max(setting.limit_ms, second_ms),
    }


def _site(name: str, folder: Path, setting: Setting) -> dict[str, Any]:
    region = REGIONS[name]
    return {
        "zone": region.trace,
        "pue": 1.2,
        "inference_energy_j": 1.0,
        "capacity_per_s": setting.room * PEOPLE_PER_S,
        "idle_power_w": 20.0,
        "embodied": {"g_per_hour": 5.0, "share": 1.0, "g_per_inference": 0.0},
        "users": {
            other: {
                "latency_ms_p95": _latency_ms(name, other),
                "network_energy_j": J_PER_KM * _distance_km(name, other),
            }
            for other in REGIONS
        },
        "trace": folder / f"{region.trace}.csv.gz",
        "trace_weeks_older": region.weeks_older,
    }


def _demand(longitude: float, hour_utc: int) -> float:
    local = hour_utc + longitude / 15
    return PEOPLE_PER_S * (1 + SWING * math.cos((local - 15) / 24 * 2 * math.pi))


def _latency_ms(name: str, other: str) -> float:
    return LAST_MILE_MS + 2 * DETOUR * _distance_km(name, other) / FIBRE_KM_PER_MS


def _distance_km(name: str, other: str) -> float:
    """Along the great circle, by the haversine formula."""
    here, there = REGIONS[name], REGIONS[other]
    latitudes = math.radians(here.latitude), math.radians(there.latitude)
    half = math.sin((latitudes[1] - latitudes[0]) / 2) ** 2
    across = math.sin(math.radians(there.longitude - here.longitude) / 2) ** 2
    chord = half + math.cos(latitudes[0]) * math.cos(latitudes[1]) * across
    return 2 * math.degrees(math.asin(math.sqrt(chord))) * KM_PER_DEGREE
