"""Which configuration a trial tries: TPE, whose draws follow from the seed and the trial's number.

So a search that is started again goes on as it would have done, and workers of one study do not
draw the same.
"""

from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial

NUM_RANDOM = 8  # trials at first, before there is anything to learn from


class NumberedSampler(BaseSampler):
    """Multi-objective tree-structured Parzen estimator (Ozaki et al., 2022), random at first."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._of_trial: dict[int, TPESampler] = {}

    def _sampler(self, number: int) -> TPESampler:
        if number not in self._of_trial:
            state = np.random.SeedSequence((self._seed, number)).generate_state(1)
            self._of_trial = {number: TPESampler(seed=int(state[0]), n_startup_trials=NUM_RANDOM)}
        return self._of_trial[number]

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._sampler(trial.number).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler(trial.number).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        sampler = self._sampler(trial.number)
        return sampler.sample_independent(study, trial, param_name, param_distribution)
