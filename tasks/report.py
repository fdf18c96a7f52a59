"""The passport, from the reports on disk."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from lowtide.params import load_params
from lowtide.report.passport import write_passport

PARAMS = Path("params.yaml")


@task(name="report", cache_policy=NO_CACHE)
def write_report() -> Path:
    return Path(write_passport(load_params(PARAMS))["html"])
