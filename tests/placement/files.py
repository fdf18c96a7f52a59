"""Small sites files and problems."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lowtide.placement.problem import Problem
from lowtide.placement.sites import Availability

START = datetime(2022, 6, 1, tzinfo=UTC)


def site(zone: str = "US-CISO", latency_ms: float = 20.0, **changes: Any) -> dict[str, Any]:
    """One that serves `users` and takes a joule an inference."""
    return {
        "zone": zone,
        "pue": 1.0,
        "inference_energy_j": 1.0,
        "capacity_per_s": 100.0,
        "idle_power_w": 10.0,
        "embodied": {"g_per_hour": 0.0, "share": 1.0, "g_per_inference": 0.0},
        "users": {"users": {"latency_ms_p95": latency_ms, "network_energy_j": 0.0}},
        **changes,
    }


def sites_content(sites: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "groups": {"users": {"demand_per_s": 60.0, "latency_ms_p95_max": 50.0}},
        "sites": dict(sites or {"north": site(), "south": site("US-ERCO"), "east": site("US-PJM")}),
        "availability": {"share_max": 0.8, "share_min": 0.05, "survive_one_loss": True},
        "hysteresis": {"saving_min": 0.02, "step_max": 0.25},
        "without_intensity": "refuse",
    }


def write_sites(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False))
    return path


def write_trace(path: Path, levels_g: Sequence[float], start: datetime = START) -> Path:
    rows = [
        f"{(start + timedelta(hours=hour)).isoformat()},{level}"
        for hour, level in enumerate(levels_g)
    ]
    path.write_text("\n".join(["timestamp_utc,gco2_per_kwh", *rows, ""]))
    return path


def problem(grams: Sequence[float], demand: Sequence[float] = (60.0,), **changes: Any) -> Problem:
    """Every group reaches every site; a site's grams are of 1000 requests."""
    num_groups, num_sites = len(demand), len(grams)
    rules = {"share_max": 0.8, "share_min": 0.05, "survive_one_loss": True}
    figures: dict[str, Any] = {
        "when": "14:00 UTC",
        "groups": tuple(f"group-{place}" for place in range(num_groups)),
        "sites": tuple(f"site-{place}" for place in range(num_sites)),
        "demand_per_s": np.array(demand),
        "grams_per_request": np.tile(np.array(grams) / 1000, (num_groups, 1)),
        "grams_open_per_hour": np.full(num_sites, 1.0),
        "latency_ms": np.full((num_groups, num_sites), 20.0),
        "limit_ms": np.full(num_groups, 50.0),
        "capacity_per_s": np.full(num_sites, 100.0),
    }
    rules |= {key: changes.pop(key) for key in list(changes) if key in rules}
    return Problem(**figures | changes, availability=Availability.model_validate(rules))
