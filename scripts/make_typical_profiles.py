"""Make the packaged carbon data from hourly traces: `python scripts/make_typical_profiles.py DIR`.

DIR holds US-{CISO,ERCO,PJM}-2022.csv.gz, taken from HewlettPackard/dc-rl (MIT licence, from EIA):
columns timestamp_utc and gco2_per_kwh. Writes typical_profiles.json (zone x month x UTC hour) and
replay_trace.csv.gz (US-CISO, 2022-03-29 to 2022-04-19) into the package; same input, same bytes.
"""

import gzip
import io
import json
import sys
from pathlib import Path

import pandas as pd

ZONES = ("US-CISO", "US-ERCO", "US-PJM")
OUT = Path(__file__).parent.parent / "src" / "lowtide" / "carbon"


def profile(trace: pd.DataFrame) -> dict[str, list[list[float]]]:
    by_hour = trace.groupby([trace.index.month, trace.index.hour])["gco2_per_kwh"]

    def table(series: pd.Series) -> list[list[float]]:
        return [[round(float(series[m, h]), 1) for h in range(24)] for m in range(1, 13)]

    return {
        "mean_g_per_kwh": table(by_hour.mean()),
        "p10_g_per_kwh": table(by_hour.quantile(0.1)),
        "p90_g_per_kwh": table(by_hour.quantile(0.9)),
    }


def read(folder: Path, zone: str) -> pd.DataFrame:
    trace = pd.read_csv(folder / f"{zone}-2022.csv.gz", parse_dates=["timestamp_utc"])
    trace["timestamp_utc"] = pd.to_datetime(trace["timestamp_utc"], utc=True)
    return trace.set_index("timestamp_utc")


def main(folder: Path) -> None:
    traces = {zone: read(folder, zone) for zone in ZONES}
    content = {
        "version": "2022",
        "provenance": {
            "origin": "HewlettPackard/dc-rl, from EIA hourly generation by fuel, year 2022",
            "licence": "MIT",
            "method": "mean, 10th and 90th percentile per month and UTC hour, average intensity",
        },
        "zones": {zone: profile(trace) for zone, trace in traces.items()},
    }
    (OUT / "typical_profiles.json").write_text(json.dumps(content) + "\n")
    days = traces["US-CISO"].loc["2022-03-29":"2022-04-19", ["gco2_per_kwh"]]
    text = io.StringIO()
    days.to_csv(text, date_format="%Y-%m-%dT%H:%M:%SZ")
    with (OUT / "replay_trace.csv.gz").open("wb") as file:
        file.write(gzip.compress(text.getvalue().encode(), mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
