"""What answers: the models in their places, their queues, and what is told of each answer."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from lowtide.errors import NotReadyError, NotServedError
from lowtide.serving.account import EnergyAccount
from lowtide.serving.batcher import Batcher, BatchLimits
from lowtide.serving.metrics import UNKNOWN, Metrics
from lowtide.serving.model import ServedModel
from lowtide.serving.present import PresentIntensity
from lowtide.serving.seen import Seen
from lowtide.serving.tiers import CHAMPION, TierParams, choose, objection

log = logging.getLogger(__name__)
SERVED, RECORDED = "of the server lately", "recorded when it was evaluated"


@dataclass(frozen=True)
class Placed:
    """A model in its place, with the queue of its own: a swap leaves what waits in the old one."""

    place: str
    model: ServedModel
    batcher: Batcher


@dataclass(frozen=True)
class Cost:
    """Of one answer; None is unknown."""

    energy_j: float | None
    emissions_g: float | None
    intensity_g_per_kwh: float | None
    provenance: str

    def known(self) -> dict[str, float | str]:
        """What the protocol's parameters can say: they have no null."""
        pairs = {
            "energy_j": self.energy_j,
            "emissions_g": self.emissions_g,
            "intensity_g_per_kwh": self.intensity_g_per_kwh,
        }
        return {
            **{name: value for name, value in pairs.items() if value is not None},
            "energy_provenance": self.provenance,
        }


@dataclass(frozen=True)
class Variants:
    """`carbon_tiers` beside the champion."""

    tiers: Sequence[TierParams] = ()
    accuracy_drop_max: float = 0.0


class Service:
    def __init__(
        self, name: str, limits: BatchLimits, metrics: Metrics, intensity: PresentIntensity,
        account: EnergyAccount, variants: Variants,
    ) -> None:  # fmt: skip
        self.name, self.metrics, self.account = name, metrics, account
        self.intensity, self.seen = intensity, Seen()
        self._limits, self._variants = limits, variants
        self._places: dict[str, Placed] = {}
        self._executor = ThreadPoolExecutor(1, "inference")  # one batch has all the cores
        metrics.queued.set_function(lambda: sum(p.batcher.num_queued for p in self.placed))

    @property
    def placed(self) -> list[Placed]:
        return list(self._places.values())

    @property
    def ready(self) -> bool:
        return CHAMPION in self._places

    def put(self, place: str, model: ServedModel) -> None:
        """From now on it answers there; what waits for the one before is answered by that one."""
        before = self._places.get(place)

        def run(images: np.ndarray) -> np.ndarray:
            return self._run(place, model, images)

        batcher = Batcher(run, self._limits, self._executor, self.metrics.batch_images.observe)
        self._places[place] = Placed(place, model, batcher)
        self.account.begin_anew()
        self._warn_of_idle_tiers(place)
        if before is not None:
            self.metrics.model.remove(place, before.model.version, before.model.sha256[:12])
            self.metrics.swaps.labels(place).inc()
            self.seen.clear()
        self.metrics.model.labels(place, model.version, model.sha256[:12]).set(1)
        if place == CHAMPION:
            recorded = model.figures.inference_energy_j
            self.metrics.inference_energy_j.labels("recorded").set(
                UNKNOWN if recorded is None else recorded
            )

    def _warn_of_idle_tiers(self, place: str) -> None:
        """Of tiers that will not answer whatever the hour, as far as `place` is concerned."""
        if not self.ready:
            return
        champion, allowed = self._places[CHAMPION].model, self._variants.accuracy_drop_max
        for name in (tier.name for tier in self._variants.tiers):
            if name not in self._places or place not in (CHAMPION, name):
                continue
            if why := objection(self._places[name].model, champion, allowed):
                log.warning("tier %s never answers: %s", name, why)

    def find(self, name: str, version: str | None = None) -> Placed:
        """Who answers: the version that is asked for, else the one for this hour.

        Raises:
            NotServedError: there is no such model or version here.
            NotReadyError: no model is served yet.
        """
        if name != self.name:
            raise NotServedError(f"there is no model {name[:60]!r} here: it is {self.name}")
        if not self.ready:
            raise NotReadyError(
                "no model is served yet: it is being opened, or else the log says why"
            )
        if version is None:
            return self._places[self._for_this_hour()]
        for placed in self.placed:
            if placed.model.version == version:
                return placed
        there = ", ".join(placed.model.version for placed in self.placed)
        raise NotServedError(f"there is no version {version[:60]!r} here: there is {there}")

    async def infer(self, placed: Placed, images: np.ndarray) -> np.ndarray:
        self.account.note_request()
        return await placed.batcher.infer(images)

    def cost(self, placed: Placed, num_images: int) -> Cost:
        """By the joules per image of late; before there are any, by those recorded of the model."""
        image_j, provenance = self.account.lately.image_energy_j, self.account.provenance
        source = SERVED
        if image_j is None:
            image_j, provenance = placed.model.figures.inference_energy_j, "estimated"
            source = RECORDED
        energy_j = None if image_j is None else image_j * num_images
        told = "unknown" if energy_j is None else f"{provenance}, {source}"
        return Cost(
            energy_j, self.account.emissions_g(energy_j), self.intensity.g_per_kwh, told
        )  # fmt: skip

    async def close(self) -> None:
        await asyncio.to_thread(self._executor.shutdown)

    def _for_this_hour(self) -> str:
        models = {place: placed.model for place, placed in self._places.items()}
        variants = self._variants
        return choose(
            models, variants.tiers, variants.accuracy_drop_max, self.intensity.g_per_kwh
        )  # fmt: skip

    def _run(self, place: str, model: ServedModel, images: np.ndarray) -> np.ndarray:
        """In the executor's thread."""
        logits, core_s = model.run(images)
        self.account.note_run(len(images), core_s)
        self.metrics.images.labels(place, model.version).inc(len(images))
        self.seen.add(images, logits)
        return logits
