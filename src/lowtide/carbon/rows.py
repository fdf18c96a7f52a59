"""Rows of the cache as JSON and back."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar, get_args

from lowtide.carbon.signal import Basis, IntensityValue, Kind, Status

T = TypeVar("T")
TIMES = ("start", "end", "issued_at", "fetched_at")


@dataclass(frozen=True)
class Codec(Generic[T]):
    """`decode` raises ValueError, KeyError or TypeError for what `encode` has not written."""

    encode: Callable[[T], dict[str, Any]]
    decode: Callable[[dict[str, Any]], T]


def _encode(value: IntensityValue) -> dict[str, Any]:
    row = {key: entry for key, entry in asdict(value).items() if entry is not None}
    return {key: row[key].isoformat() if key in TIMES else row[key] for key in row}


def _decode(row: dict[str, Any]) -> IntensityValue:
    times = {key: datetime.fromisoformat(row[key]) for key in TIMES if key in row}
    value = IntensityValue(**{**row, **times})
    if any(time.tzinfo is None for time in times.values()) or not value.start < value.end:
        raise ValueError("an interval without a zone or a length")
    known = (value.kind, Kind), (value.basis, Basis), (value.status, Status)
    if any(name not in get_args(kind) for name, kind in known):
        raise ValueError("an unknown kind, basis or status")
    if not 0 <= value.intensity_g_per_kwh < float("inf"):
        raise ValueError("no intensity")
    return value


INTENSITY: Codec[IntensityValue] = Codec(_encode, _decode)
