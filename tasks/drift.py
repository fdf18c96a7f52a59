"""What the watch asks of the server and tells to Prefect."""

import os
from typing import Any

import httpx
import numpy as np
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from lowtide import artifacts
from lowtide.data.arrays import drawn, load_split
from lowtide.errors import ArtifactError
from lowtide.serving.drift import image_statistics
from lowtide.serving.watch import Found, judge_served

EVENT, RESOURCE = "lowtide.drift", "lowtide.serving"
COMPARED = 4096  # training images
KEY = "LOWTIDE_API_KEY"


@task(name="ask-server", retries=3, retry_delay_seconds=[2, 10, 30], cache_policy=NO_CACHE)
def ask_server(url: str) -> dict[str, Any]:
    """What the server has seen lately, from its /statistics."""
    key = os.environ.get(KEY)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    answer = httpx.get(f"{url.rstrip('/')}/statistics", headers=headers, timeout=30)
    answer.raise_for_status()
    content: dict[str, Any] = answer.json()
    return content


@task(name="compare", cache_policy=NO_CACHE)
def compare_served(
    served: dict[str, Any], distance_max: float, energy_ratio_max: float
) -> Found:  # fmt: skip
    """Against the training images of this checkout and the figure that was gated."""
    trained = drawn(load_split(artifacts.DATA, "train"), COMPARED, seed=0)
    return judge_served(
        served, image_statistics(np.asarray(trained.images)), trained.labels,
        recorded_energy_j=_gated_energy_j(), distance_max=distance_max,
        energy_ratio_max=energy_ratio_max,
    )  # fmt: skip


@task(name="tell", cache_policy=NO_CACHE)
def tell(found: Found) -> None:
    """An artifact in any case; the event that retraining listens to where something is wrong."""
    create_markdown_artifact(key="watch", markdown=found.text())
    if found.reasons:
        emit_event(
            event=EVENT, resource={"prefect.resource.id": RESOURCE}, payload=found.to_json()
        )  # fmt: skip


def _gated_energy_j() -> float | None:
    """Of the checkout's own evaluation; None where it has none."""
    try:
        report = artifacts.read_json(artifacts.report_path("evaluate"))
        value: float | None = report["candidates"][report["model"]]["inference_energy_j"]
    except (ArtifactError, KeyError):
        return None
    return value
