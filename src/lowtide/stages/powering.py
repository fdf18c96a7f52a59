"""The GPU's power limit as a lever of a stage: opt-in, and back as it was whatever happens."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lowtide.controller.power import PowerProfile
from lowtide.energy.power_limit import PowerLimit, limits
from lowtide.energy.sources import KWH_IN_J
from lowtide.stages.context import StageContext
from lowtide.training.power_levels import PowerLevels


def limits_folder() -> Path:
    """Where former limits are kept: one for the machine, since its GPUs are."""
    return Path(os.environ.get("LOWTIDE_LIMITS", "/var/lib/lowtide/limits"))


@contextmanager
def power_levels(
    num_limits: int, context: StageContext, known: PowerProfile | None, eta: float
) -> Iterator[PowerLevels | None]:
    """`num_limits` evenly spaced limits to be measured and planned with; None for 0, and where no
    limit can be changed (`PowerLimit` says why). `known`, `eta`: as in `PowerLevels`."""
    if num_limits > 0 and context.world.num_nodes > 1:
        context.say("power limits stay as they are: they are changed on one node alone")
        num_limits = 0
    if num_limits == 0:
        yield None
        return

    def joules() -> float | None:
        context.window.sample()
        energy_kwh = context.window.totals().energy_kwh
        return None if energy_kwh is None else energy_kwh * KWH_IN_J

    with PowerLimit(limits_folder()) as limit:
        if limit.range_w is None:
            yield None
        else:
            ladder = limits(*limit.range_w, num_limits)
            yield PowerLevels(limit, ladder, joules, context.say, known=known, eta=eta)
