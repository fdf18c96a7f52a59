"""The file of a recorded trace: CSV, .csv.gz or parquet.

CSV is read without pandas, which takes 70 MiB: a process that is metered stays small.
"""

import csv
import gzip
import math
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from lowtide.carbon.clean import ABSURD_G_PER_KWH
from lowtide.errors import CarbonError

COLUMNS = ("timestamp_utc", "gco2_per_kwh")
FUEL = "_mwh"  # how columns of generation by fuel end


@dataclass(frozen=True)
class _Table:
    """As the file says it; `energy_mwh` is [rows, fuels]."""

    instants: Sequence[Any] | np.ndarray
    levels: Sequence[Any] | np.ndarray
    energy_mwh: np.ndarray


def read_trace(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(starts in seconds since 1970, g/kWh, MWh [rows, fuels]), ascending and checked.

    Instants are in ISO 8601, without a zone in UTC. A fuel's figure that is no number is NaN.

    Raises:
        CarbonError: the file is missing, empty, lacks a column, or holds a value that is no
            plausible intensity; names the row.
    """
    try:
        table = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    except FileNotFoundError:
        raise CarbonError(f"there is no trace at {path}: name an existing file") from None
    except (OSError, ValueError, ImportError, EOFError, csv.Error, zlib.error) as error:
        said = " ".join(str(error).split())
        raise CarbonError(
            f"{path} cannot be read as a trace, CSV or parquet with {' and '.join(COLUMNS)}: {said}"
        ) from None
    if not len(table.instants):
        raise CarbonError(f"{path} has no rows")
    return _ascending(path, *_checked(path, table), table.energy_mwh)


def _csv(path: Path) -> _Table:
    opened = gzip.open if path.suffix == ".gz" else open
    instants, levels, energy_mwh = [], [], array("d")
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        rows = (row for row in csv.reader(file, strict=True) if row)
        header = next(rows, [])
        instant, level, fuels = _places(path, header)
        for number, row in enumerate(rows, 2):
            if len(row) > len(header):
                raise ValueError(f"row {number} has {len(row)} values for {len(header)} columns")
            if len(row) < len(header):
                row += [""] * (len(header) - len(row))
            instants.append(row[instant])
            levels.append(row[level])
            if fuels:
                energy_mwh.extend(_numbers([row[fuel] for fuel in fuels]))
    return _Table(instants, levels, np.array(energy_mwh).reshape(len(instants), len(fuels)))


def _parquet(path: Path) -> _Table:
    import pandas as pd

    table = pd.read_parquet(path)
    instant, level, fuels = _places(path, [str(name) for name in table.columns])
    columns = [table.iloc[:, place] for place in range(table.shape[1])]
    instants = columns[instant]
    if instants.dtype.kind == "M":  # with a zone or without
        instants = pd.to_datetime(instants, utc=True).dt.tz_convert(None)
    energy_mwh = [_numbers(columns[fuel]) for fuel in fuels]
    return _Table(
        instants.to_numpy(),
        columns[level].to_numpy(),
        np.array(energy_mwh).reshape(len(fuels), len(table)).T,
    )


def _places(path: Path, header: list[str]) -> tuple[int, int, list[int]]:
    """Of the columns: instant, intensity, generation by fuel."""
    for column in COLUMNS:
        if column not in header:
            has = ", ".join(header) or "none"
            raise CarbonError(f"{path} has no column {column}; it has {has}")
    instant, level = (header.index(column) for column in COLUMNS)
    return instant, level, [place for place, name in enumerate(header) if name.endswith(FUEL)]


def _checked(path: Path, table: _Table) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since 1970 and g/kWh, in the file's order."""
    starts_s, levels_g = _seconds(table.instants), np.array(_numbers(table.levels))
    wrong = np.isnan(starts_s) | ~((levels_g >= 0) & (levels_g <= ABSURD_G_PER_KWH))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise CarbonError(
            f"{path}, row {row + 2}: {table.instants[row]}, {table.levels[row]} is no intensity "
            "in g/kWh; mend or drop the row"
        )
    return starts_s, levels_g


def _ascending(
    path: Path, starts_s: np.ndarray, levels_g: np.ndarray, energy_mwh: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By start, each once."""
    order = np.argsort(starts_s, kind="stable")
    starts_s, levels_g, energy_mwh = starts_s[order], levels_g[order], energy_mwh[order]
    again = np.diff(starts_s) == 0
    contrary = np.flatnonzero(again & (np.diff(levels_g) != 0))
    if len(contrary):
        start = datetime.fromtimestamp(starts_s[contrary[0]], UTC)
        raise CarbonError(f"{path} has two different values for {start}; drop one of the rows")
    first = np.append(True, ~again)
    return starts_s[first], levels_g[first], energy_mwh[first]


def _seconds(instants: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Since 1970; NaN for what is no instant."""
    if isinstance(instants, np.ndarray) and instants.dtype.kind == "M":
        seconds: np.ndarray = (instants - np.datetime64(0, "s")) / np.timedelta64(1, "s")
        return seconds
    return np.array([_second(cell) for cell in instants])


def _second(cell: object) -> float:
    try:
        instant = datetime.fromisoformat(str(cell))
    except ValueError:
        return math.nan
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def _numbers(cells: Iterable[Any]) -> list[float]:
    """NaN for what is none."""
    try:
        return list(map(float, cells))
    except (TypeError, ValueError):
        return [_number(cell) for cell in cells]


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return math.nan
