"""Images as they come -> arrays, splits and a data card in artifacts/data."""

from typing import Any

from lowtide import artifacts
from lowtide.data.prepare import prepare
from lowtide.params import Params
from lowtide.stages.context import StageContext


def run(params: Params, context: StageContext) -> dict[str, Any]:
    card = prepare(params.data, params.seed, artifacts.DATA)
    context.run.log_artifact(artifacts.DATA / "card.json")
    return {"data": card}
