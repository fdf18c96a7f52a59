"""Ridge regression on rows that come in order, and how much of a second opinion to mix in."""

import numpy as np

SHRINK = 0.01  # penalty per row, on features in units of the week's spread


class Ridge:
    """Grows with the rows it is given; those with anything unknown are left out.

    `design` [n, k] has a constant as its last column, which is not penalised; `target` [n] may be
    filled in as time goes on, always before its rows are learnt.
    """

    def __init__(self, design: np.ndarray, target: np.ndarray) -> None:
        self._design, self._target = design, target
        self._gram = np.zeros((design.shape[1],) * 2)
        self._moment = np.zeros(design.shape[1])
        self._next = 0
        self.num = 0  # rows learnt from

    @property
    def num_features(self) -> int:
        return len(self._moment)

    def learn(self, stop: int) -> None:
        """Take in the rows up to `stop`."""
        design, target = self._design[self._next : stop], self._target[self._next : stop]
        known = np.isfinite(target) & np.isfinite(design).all(axis=1)
        self._gram += design[known].T @ design[known]
        self._moment += design[known].T @ target[known]
        self.num += int(known.sum())
        self._next = max(stop, self._next)

    def weights(self) -> np.ndarray:
        penalised = self._gram + SHRINK * max(self.num, 1) * np.eye(len(self._gram))
        penalised[-1, -1] = self._gram[-1, -1] + 1e-9
        return np.asarray(np.linalg.solve(penalised, self._moment))


def mixing_share(own: np.ndarray, other: np.ndarray, target: np.ndarray) -> float:
    """How much of `other` to mix in: least squares over past forecasts, between 0 and 1."""
    known = np.isfinite(own) & np.isfinite(other) & np.isfinite(target)
    apart = other[known] - own[known]
    if not known.any() or not apart.any():
        return 0.0
    return float(np.clip(apart @ (target[known] - own[known]) / (apart @ apart), 0.0, 1.0))
