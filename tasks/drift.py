"""What the watch asks of the server and tells to Prefect."""

import os
from typing import Any

import httpx
import numpy as np
from prefect import State, Task, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.events import emit_event
from prefect.states import Failed

from lowtide import artifacts
from lowtide.data.arrays import drawn, load_split
from lowtide.errors import ArtifactError, DataError, LowtideError, first_line
from lowtide.serving.drift import image_statistics
from lowtide.serving.model import Figures
from lowtide.serving.watch import Found, judge_served

EVENT, RESOURCE = "lowtide.drift", "lowtide.serving"
COMPARED = 4096  # training images
KEY = "LOWTIDE_API_KEY"
AWAY = "Away"  # of the state, where another try may help


def _is_away(task: Task[..., Any], run: TaskRun, state: State) -> bool:  # noqa: ARG001
    return state.name == AWAY


@task(
    name="ask-server", retries=3, retry_delay_seconds=[2, 10, 30], retry_condition_fn=_is_away,
    cache_policy=NO_CACHE,
)  # fmt: skip
def ask_server(url: str) -> dict[str, Any] | State:
    """What the server has seen lately, from its /statistics.

    One that does not tell is a failed state with one line, no exception; it is asked again where
    it does not answer, or has failed itself.
    """
    try:
        return _asked(url)
    except DataError as error:
        return Failed(message=str(error))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        name = AWAY if _may_pass(error) else None
        return Failed(name=name, message=f"{url} does not tell its statistics: {first_line(error)}")


def _asked(url: str) -> dict[str, Any]:
    key = os.environ.get(KEY)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    answer = httpx.get(f"{url.rstrip('/')}/statistics", headers=headers, timeout=30)
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise DataError(f"{url} wants another key than {KEY} has: set it to the server's")
    answer.raise_for_status()
    try:
        content: dict[str, Any] = answer.json()
    except ValueError:
        raise DataError(f"{url} does not answer in JSON: name the URL of `lowtide serve`") from None
    return content


def _may_pass(error: Exception) -> bool:
    """Not where the URL is none, or the server refuses or sends elsewhere."""
    if isinstance(error, httpx.HTTPStatusError):
        told = error.response
        return told.is_server_error or told.status_code == httpx.codes.TOO_MANY_REQUESTS
    return not isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol)


@task(name="compare", cache_policy=NO_CACHE)
def compare_served(
    served: dict[str, Any], distance_max: float, energy_ratio_max: float
) -> Found | State:
    """Against the training images of this checkout and the figure that was gated."""
    try:
        trained = drawn(load_split(artifacts.DATA, "train"), COMPARED, seed=0)
        return judge_served(
            served, image_statistics(np.asarray(trained.images)), trained.labels,
            gated=_gated(), distance_max=distance_max, energy_ratio_max=energy_ratio_max,
        )  # fmt: skip
    except LowtideError as error:
        return Failed(message=str(error))


@task(name="tell", cache_policy=NO_CACHE)
def tell(found: Found) -> None:
    """An artifact in any case; the event that retraining listens to where something is wrong."""
    create_markdown_artifact(key="watch", markdown=found.text())
    if found.reasons:
        emit_event(
            event=EVENT, resource={"prefect.resource.id": RESOURCE}, payload=found.to_json()
        )  # fmt: skip


def _gated() -> Figures:
    """Of the checkout's own evaluation; unknown where it has none."""
    try:
        report = artifacts.read_json(artifacts.report_path("evaluate"))
        own = report["candidates"][report["model"]]
        return Figures(own["accuracy"], own["inference_energy_j"], own["batch_size"])
    except (ArtifactError, KeyError):
        return Figures()
