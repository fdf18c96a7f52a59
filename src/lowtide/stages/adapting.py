"""A technique that a stage applies: whether it enters, and whether what it made stays."""

import tempfile
from pathlib import Path
from typing import Any

from lowtide import artifacts
from lowtide.compression.keep import drop_allowed
from lowtide.data.card import load_card
from lowtide.evaluation.technique import Decision, Measured, Target, enters, promises, stays
from lowtide.models.cost import count_macs, count_parameters
from lowtide.models.factory import Classifier, ModelSpec
from lowtide.params import Params
from lowtide.stages.context import StageContext
from lowtide.stages.fitting import log_curves
from lowtide.stages.kept_exports import export_once
from lowtide.stages.served import FLOAT, Files, measure, served_as, with_int8

Network = tuple[Classifier, ModelSpec]


class Technique:
    """Asks before and after; `report` tells what was decided and by which figures.

    before: the network that goes on where the technique does not.
    """

    def __init__(
        self, params: Params, context: StageContext, teacher: Network, before: Network
    ) -> None:
        self._params, self._context, self._teacher, self._before = params, context, teacher, before
        self._target = Target(
            params.budgets.inference_energy_j_max,
            params.compress.energy_ratio_min,
            params.compress.val_accuracy_drop_max,
        )
        self._decisions: dict[str, Decision] = {}
        self._figures: dict[str, Measured] = {}
        self._before_as: str | None = None  # the precision that it would be served in

    def enters(self, untrained: Network | None = None) -> bool:
        """`untrained`: what would be trained, if its joules are known to be those of the result.

        Raises:
            ModelError: it has no ONNX form.
        """
        own = self._look() if untrained is None else self._look(untrained)
        teacher, projected = self._figures["teacher"], self._figures["projected"]
        if not self._decide("entered", enters(projected.turns, teacher.turns, self._target)):
            return False
        if not own:
            return True
        return self._decide("promised", self._at_will(promises(projected.turns, own[0].turns)))

    def stays(self, after: Network) -> bool:
        if not self._figures:  # a fit that goes on after a kill
            self._look()
        in_one_precision, own = self._measure(self._before, after)
        [before] = in_one_precision.values()
        made, teacher = own[self._precision(own)], self._figures["teacher"]
        self._figures |= {"before": before, "after": made}
        return self._decide("stayed", self._at_will(stays(before, made, teacher, self._target)))

    def _look(self, *others: Network) -> list[Measured]:
        """At the teacher and what was before, in turns with others; these as they would be served.

        From then on what was before is measured in the precision that it would be served in.
        """
        teacher, before, *found = self._measure(self._teacher, self._before, *others)
        self._figures["teacher"] = teacher[FLOAT]
        self._before_as = self._precision(before)
        own = before[self._before_as]
        self._figures |= {"projected": own, "before": own}
        return [
            one[self._served_as(one, self._params.quantize.val_accuracy_drop_max)] for one in found
        ]  # untrained: what they lose against the teacher says nothing

    def _precision(self, files: dict[str, Measured]) -> str:
        fp32, teacher = files[FLOAT].accuracy, self._figures["teacher"].accuracy
        params = self._params
        return self._served_as(files, drop_allowed(fp32, teacher, params.quantize, params.compress))

    def _served_as(self, files: dict[str, Measured], drop_max: float) -> str:
        return served_as(files, drop_max, self._params.compress.roll_back)

    def report(self) -> dict[str, Any]:
        decisions = {name: one.to_json() for name, one in self._decisions.items()}
        figures = {name: one.to_json() for name, one in self._figures.items()}
        return {"technique": {**decisions, **figures}}

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

    def _at_will(self, decision: Decision) -> Decision:
        if decision.yes or self._params.compress.roll_back:
            return decision
        return Decision(True, f"{decision.reason}; but compress.roll_back is false")

    def _decide(self, what: str, decision: Decision) -> bool:
        self._decisions[what] = decision
        self._context.say(decision.reason)
        return decision.yes

    def _measure(self, *networks: Network) -> list[dict[str, Measured]]:
        """By precision: each network once, all in turns."""
        different = {id(model): (model, spec) for model, spec in networks}
        with tempfile.TemporaryDirectory() as folder:
            files = {
                key: self._files_of(network, Path(folder) / str(key))
                for key, network in different.items()
            }
            found = measure(files, self._params)
        return [found[id(model)] for model, _ in networks]

    def _files_of(self, network: Network, folder: Path) -> Files:
        """Of the teacher the float file alone: that is what others are held against."""
        path, model = folder / "model.fp32.onnx", network[0]
        export_once(*network, path, self._params)
        if model is self._teacher[0] is not self._before[0]:
            return {FLOAT: path}
        files = with_int8(path, self._params)
        known = self._before_as if model is self._before[0] else None
        return files if known is None else {known: files[known]}
