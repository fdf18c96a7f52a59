"""A technique that a stage applies: whether it enters, and whether what it made stays."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from lowtide import artifacts
from lowtide.data.batches import load_card
from lowtide.evaluation.technique import Candidate, Decision, Target, enters, stays
from lowtide.models.cost import count_macs, count_parameters
from lowtide.models.factory import Classifier, ModelSpec
from lowtide.models.weights import load_model
from lowtide.params import Params
from lowtide.stages.context import StageContext
from lowtide.stages.fitting import log_curves
from lowtide.stages.served import FLOAT, Exported, exported, measure, served

Network = tuple[Classifier, ModelSpec]


class Technique:
    """Asks before and after; `report` tells what was decided and by which figures.

    before: the network that goes on where the technique does not.
    """

    def __init__(self, params: Params, context: StageContext, before: Network) -> None:
        self._params, self._context, self._before = params, context, before
        self._target = Target(
            params.budgets.inference_energy_j_max,
            params.compress.energy_ratio_min,
            params.compress.val_accuracy_drop_max,
        )
        self._decisions: dict[str, Decision] = {}
        self._figures: dict[str, Candidate] = {}

    def enters(self) -> bool:
        teacher, found = self._measure({"before": self._before})
        return self._decide("entered", enters(found["before"].cost, teacher.cost, self._target))

    def stays(self, after: Network) -> bool:
        teacher, found = self._measure({"before": self._before, "after": after})
        decision = stays(found["before"], found["after"], teacher, self._target)
        return self._decide("stayed", decision)

    def report(self) -> dict[str, Any]:
        decisions = {name: one.to_json() for name, one in self._decisions.items()}
        return {"technique": {**decisions, **{k: asdict(v) for k, v in self._figures.items()}}}

    def left_out(self) -> dict[str, Any]:
        """The report of a stage in which nothing is done."""
        log_curves(self._context, [])
        return {"epochs": 0, **self.unchanged()}

    def unchanged(self) -> dict[str, Any]:
        """What a report says of the network that goes on, where that is the one before."""
        model, _ = self._before
        return {
            "accuracy": self._figures["before"].accuracy,
            "accuracy_split": "val",
            "num_macs": count_macs(model, load_card(artifacts.DATA).shape),
            "num_parameters": count_parameters(model),
            **self.report(),
        }

    def _decide(self, what: str, decision: Decision) -> bool:
        self._decisions[what] = decision
        self._context.say(decision.reason)
        return decision.yes

    def _measure(self, networks: Mapping[str, Network]) -> tuple[Candidate, dict[str, Candidate]]:
        """The teacher's float file, and the networks as they would be served."""
        drop_max = self._params.quantize.val_accuracy_drop_max
        with ExitStack() as stack:
            files: dict[str, Exported] = {
                name: stack.enter_context(exported(model, spec, self._params))
                for name, (model, spec) in {
                    "teacher": load_model(artifacts.TEACHER),
                    **networks,
                }.items()
            }
            found = measure(files, self._context.window, self._params)
        teacher = found["teacher"][FLOAT]
        chosen = {name: served(found[name], drop_max) for name in networks}
        self._figures |= {"teacher": teacher, **chosen}
        return teacher, chosen
