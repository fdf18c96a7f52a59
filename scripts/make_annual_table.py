"""Make the packaged annual table from codecarbon's: `python scripts/make_annual_table.py`.

codecarbon packages the mean intensity of electricity by country (Our World in Data, from Ember and
the Energy Institute, CC BY 4.0), by ISO 3166-1 alpha-3. Zones begin with the alpha-2 code, so that
is what annual.csv has. A country without a figure is left out: 0 there means unknown.
"""

import csv
import importlib.util
import json
from pathlib import Path
from typing import Any

import pycountry

OUT = Path(__file__).parent.parent / "src" / "lowtide" / "carbon" / "annual.csv"
TABLE = "data/private_infra/global_energy_mix.json"
COLUMNS = ("country", "g_per_kwh", "year", "source", "licence")
SOURCE, LICENCE = "Our World in Data / Ember", "CC BY 4.0"
OLDEST_YEAR = 2020


def read() -> dict[str, dict[str, Any]]:
    spec = importlib.util.find_spec("codecarbon")
    if spec is None or spec.origin is None:
        raise SystemExit("codecarbon is not installed: pip install codecarbon")
    text = (Path(spec.origin).parent / TABLE).read_text("utf-8")
    content: dict[str, dict[str, Any]] = json.loads(text)
    return content


def alpha_2(alpha_3: str) -> str | None:
    country = pycountry.countries.get(alpha_3=alpha_3)
    return None if country is None else str(country.alpha_2)


def rows() -> list[tuple[str, float, int, str, str]]:
    found = []
    for alpha_3, entry in read().items():
        code, level, year = alpha_2(alpha_3), float(entry["carbon_intensity"]), int(entry["year"])
        if code is None or level <= 0 or year < OLDEST_YEAR:
            print(f"left out: {alpha_3} {entry['country_name']}, {level} g/kWh, {year}")
            continue
        found.append((code, round(level, 1), year, SOURCE, LICENCE))
    return sorted(found)


def main() -> None:
    table = rows()
    with OUT.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(table)
    print(f"{len(table)} countries -> {OUT}")


if __name__ == "__main__":
    main()
