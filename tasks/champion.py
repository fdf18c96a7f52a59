"""The champion's file, brought before a candidate is held against it."""

import sys
from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from lowtide.errors import TrackingError
from lowtide.evaluation.champion import read_champion
from lowtide.pipeline import read_reports
from lowtide.registry import fetch_champion
from lowtide.tracking import tracking_uri


@task(name="bring-champion", cache_policy=NO_CACHE)
def bring_champion(stale: Sequence[str]) -> bool:
    """Whether it is another one than before, so that the candidate has to be judged anew.

    A model that is champion itself, and is not made anew, stays beside the one it was judged
    against. Without a registry so does every model: promotion asks again who is champion.
    """
    before = read_champion()
    try:
        fetch_champion(tracking_uri(), unless=None if "export" in stale else _at_hand())
    except TrackingError as error:
        print(f"lowtide: the champion is taken for the last one known: {error}", file=sys.stderr)
    return read_champion() != before


def _at_hand() -> str | None:
    """sha256 of the model that the last evaluation was about."""
    sha256: str | None = read_reports().get("evaluate", {}).get("model_sha256")
    return sha256
