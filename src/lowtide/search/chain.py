"""What a trial does: probed before it is trained, fitted in rungs, exported, probed as served."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lowtide.energy.meter import Window
from lowtide.models.weights import save_model
from lowtide.params import Params
from lowtide.search.candidate import Reference, acceptable, joules
from lowtide.search.costs import Costs
from lowtide.search.fitting import fit_trial, untrained
from lowtide.search.halving import PROBED, Halving, PrunedError, surpassed
from lowtide.search.spending import GramsGuard, Purse
from lowtide.search.study import Trial
from lowtide.search.worker import Worker
from lowtide.stages.served import export
from lowtide.tracking import Run
from lowtide.training.protocols import Hook

CHECKPOINT = "checkpoint.safetensors"  # in a trial's folder, until the study knows its end


@dataclass(frozen=True)
class Through:
    """The figures of a trial that is through, but for its grams. `served`: the file they are of."""

    accuracy: float
    energy_j: float
    served: dict[str, Any]


class Curves(Hook):
    """Metrics of each epoch."""

    def __init__(self, run: Run, purse: Purse) -> None:
        self._run, self._purse = run, purse

    def after_epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        self._run.log_metrics({**metrics, "emissions_g_so_far": self._purse.trial_g}, epoch)


@dataclass(frozen=True)
class Chain:
    worker: Worker
    trial: Trial
    reference: Reference
    costs: Costs
    window: Window
    purse: Purse
    run: Run

    def through(self) -> Through:
        """Raises PrunedError, OutOfGramsError, Deferred, and whatever the network, its exporter or
        the runtime raises."""
        params = self.worker.space.params(self.trial.sample)
        folder = self.worker.folder_of(self.trial)
        self._require_worth(self._probed(params, folder))
        checkpoint = folder / CHECKPOINT
        context = self.worker.context(self.trial, params, self.window, self.run)
        model, spec = fit_trial(
            params, context, checkpoint, self._hooks(), self.costs.later_work(self.worker)
        )
        with self._reserved("serving"):
            save_model(folder / "model.safetensors", model, spec)
            return self._served(export(model, spec, folder, params), params)

    def _reserved(self, what: str) -> AbstractContextManager[None]:
        self.worker.leaving.leave_if_asked()
        return self.purse.reserved(what, self.costs.overhead_g)

    def _probed(self, params: Params, folder: Path) -> float:
        """Joules per inference over the reference's: they do not depend on weights."""
        if PROBED in self.trial.notes:
            return float(self.trial.notes[PROBED])
        with self._reserved("probing"):
            paths = export(*untrained(params), folder, params)
            ratio = joules(paths, self.reference, params).least[1]
            self.worker.study.note_of(self.trial.number, PROBED, ratio)
        return ratio

    def _require_worth(self, ratio: float) -> None:
        """PrunedError where it costs what the teacher does, or no accuracy can make up for it."""
        accuracy = self.reference.accuracy
        if accuracy is not None and ratio >= 1:
            raise PrunedError(f"not trained: it takes {ratio:.2f} of the teacher's joules")
        most = 1.0 if accuracy is None else accuracy
        better = surpassed(ratio, most, self.worker.study.trials())
        if better is not None:
            raise PrunedError(
                f"not trained: trial {better} has accuracy {most:.4f} with less than its "
                f"{ratio:.2f} of the reference's joules"
            )

    def _hooks(self) -> list[Hook]:
        study, reduction = self.worker.study, self.worker.params.search.reduction
        halving = Halving(study, self.trial, self.purse, self.costs.rungs_g, reduction)
        return [
            self.worker.leaving, GramsGuard(self.purse), halving, Curves(self.run, self.purse)
        ]  # fmt: skip

    def _served(self, paths: dict[str, Path], params: Params) -> Through:
        """The file with the least joules of those that are accurate enough, and the others gone."""
        accuracies = acceptable(paths, params)
        kept = {name: path for name, path in paths.items() if name in accuracies}
        name, ratio = joules(kept, self.reference, params).least
        for other in paths.keys() - {name}:
            paths[other].unlink()
        size = paths[name].stat().st_size
        served = {"path": str(paths[name]), "energy_ratio": ratio, "size_bytes": size}
        return Through(accuracies[name], ratio * self.costs.reference_j, served)
