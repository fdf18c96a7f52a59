"""Limits are measured one after the other, and what they showed is what is planned with."""

from dataclasses import dataclass, field, replace

import pytest

from lowtide.controller.power import PowerPoint, PowerProfile
from lowtide.params import ScheduleParams
from lowtide.training.power_levels import MEASURE_S, SETTLE_S, PowerLevels

SCHEDULE = ScheduleParams(
    deadline_hours=24, levels=(0.0, 1.0), throughput=None, slot_minutes=30, resume_minutes=5,
    idle_power=0.1, max_in_process_pause_minutes=60, release_memory=False,
)  # fmt: skip
DRAWN_W = {300: 300.0, 200: 200.0, 100: 100.0}  # by limit
STEPS_S = {300: 10.0, 200: 9.0, 100: 3.0}


@dataclass
class Gpu:
    """A device whose time, joules and steps follow from its limit."""

    limit_w: float = 300.0
    refuses: bool = False
    now_s: float = 0.0
    energy_j: float = 0.0
    step: float = 0.0
    set_to: list[float] = field(default_factory=list)
    gpus: tuple[str, ...] = ("GPU-0",)

    def set(self, limit_w: float) -> bool:
        if self.refuses:
            return False
        self.limit_w = limit_w
        self.set_to.append(limit_w)
        return True

    def work(self, seconds: float) -> None:
        self.now_s += seconds
        self.energy_j += DRAWN_W[int(self.limit_w)] * seconds
        self.step += STEPS_S[int(self.limit_w)] * seconds


def levels_of(
    gpu: Gpu,
    said: list[str] | None = None,
    known: PowerProfile | None = None,
    eta: float = 1.0,
) -> PowerLevels:
    sink = said if said is not None else []
    return PowerLevels(
        gpu, (100, 300, 200), lambda: gpu.energy_j, sink.append, lambda: gpu.now_s, known, eta
    )


def trained(gpu: Gpu, levels: PowerLevels, seconds: float) -> None:
    for _ in range(int(seconds / 0.1)):
        levels.before_step(gpu.step, 1e6)
        gpu.work(0.1)


@pytest.fixture
def measured() -> tuple[Gpu, PowerLevels]:
    gpu = Gpu()
    levels = levels_of(gpu)
    trained(gpu, levels, 3 * (SETTLE_S + MEASURE_S) + 2)
    return gpu, levels


def test_every_limit_is_measured_and_the_highest_one_is_put_back(
    measured: tuple[Gpu, PowerLevels],
) -> None:
    gpu, levels = measured
    assert levels.measured
    assert gpu.set_to == [300, 200, 100, 300]
    schedule = levels.schedule(SCHEDULE)
    assert schedule.levels == pytest.approx((0.0, 1.0, 2 / 3, 1 / 3), rel=1e-6)
    assert schedule.throughput == pytest.approx((0.0, 1.0, 0.9, 0.3), rel=1e-6)


def test_a_level_of_the_plan_sets_its_limit(measured: tuple[Gpu, PowerLevels]) -> None:
    gpu, levels = measured
    middle = levels.schedule(SCHEDULE).levels[2]
    levels.run_at(middle)
    levels.run_at(middle)
    assert gpu.set_to[4:] == [200]
    assert levels.throughput == pytest.approx(0.9)
    levels.run_at(0.0)  # a pause draws what it draws
    assert gpu.limit_w == 200


def test_while_levels_are_measured_no_throughput_is_told() -> None:
    gpu = Gpu()
    levels = levels_of(gpu)
    trained(gpu, levels, SETTLE_S)
    assert levels.throughput is None
    assert levels.schedule(SCHEDULE) == SCHEDULE.all_or_nothing()


def test_work_that_may_not_pause_has_levels_without_a_pause(
    measured: tuple[Gpu, PowerLevels],
) -> None:
    always = SCHEDULE.model_copy(update={"levels": (1.0,)})
    assert 0.0 not in measured[1].schedule(always).levels


@pytest.mark.parametrize("after_s", [0.0, SETTLE_S + MEASURE_S + 1.0])
def test_a_driver_that_refuses_leaves_training_as_it_was(after_s: float) -> None:
    gpu, said = Gpu(), list[str]()
    levels = levels_of(gpu, said)
    trained(gpu, levels, after_s)
    gpu.refuses = True
    trained(gpu, levels, 3 * (SETTLE_S + MEASURE_S) + 2)
    assert levels.measured
    assert levels.throughput == 1.0
    assert levels.schedule(SCHEDULE) == SCHEDULE.all_or_nothing()
    assert said == ["the power limit stays as it is: no limit could be measured"]


def test_a_limit_that_is_refused_later_leaves_full_power_alone() -> None:
    gpu, said = Gpu(), list[str]()
    levels = levels_of(gpu, said)
    trained(gpu, levels, 3 * (SETTLE_S + MEASURE_S) + 2)
    _, _, middle, lowest = levels.schedule(SCHEDULE).levels
    levels.run_at(middle)
    gpu.refuses = True
    for power in (lowest, middle, lowest):
        levels.run_at(power)
    assert levels.throughput == 1.0
    assert levels.schedule(SCHEDULE) == SCHEDULE.all_or_nothing()
    refusals = [text for text in said if "refused" in text]
    assert refusals == ["power limits are refused from here on: full power is all there is"]


def profile_of_a_run() -> PowerProfile:
    """Other than what this GPU would show: what is planned with tells where it came from."""
    points = (PowerPoint(300, 300, 9), PowerPoint(200, 150, 8), PowerPoint(100, 75, 2))
    return PowerProfile(("GPU-0",), (300, 200, 100), points)


def test_what_an_earlier_run_has_measured_is_not_measured_again() -> None:
    gpu, known = Gpu(), profile_of_a_run()
    levels = levels_of(gpu, known=PowerProfile.of(known.as_json()))
    trained(gpu, levels, SETTLE_S + MEASURE_S + 1)
    assert levels.measured
    assert set(gpu.set_to) == {300}
    assert levels.schedule(SCHEDULE).levels == pytest.approx((0.0, 1.0, 0.5, 0.25))
    assert levels.profile == known


@pytest.mark.parametrize(
    "change",
    [
        {"gpus": ("GPU-1",)},
        {"limits_w": (300, 250, 100)},
        {"points": (PowerPoint(300, 300, 8), PowerPoint(200, 150, 7))},  # a quarter slower then
        {"points": (PowerPoint(200, 150, 8),)},
    ],
)
def test_another_gpu_range_or_speed_is_measured_anew(change: dict[str, tuple[object]]) -> None:
    gpu = Gpu()
    levels = levels_of(gpu, known=replace(profile_of_a_run(), **change))
    trained(gpu, levels, 3 * (SETTLE_S + MEASURE_S) + 2)
    assert gpu.set_to == [300, 200, 100, 300]
    assert levels.profile is not None
    assert levels.profile.points[1].throughput == pytest.approx(STEPS_S[200])


@pytest.mark.parametrize(("eta", "limit_w"), [(1.0, 200), (0.0, 300)])
def test_without_a_deadline_the_limit_of_least_cost_is_taken(eta: float, limit_w: int) -> None:
    gpu = Gpu()
    levels = levels_of(gpu, eta=eta)
    trained(gpu, levels, 3 * (SETTLE_S + MEASURE_S) + 2)
    (level,) = levels.schedule(SCHEDULE.model_copy(update={"deadline_hours": 0})).levels
    levels.run_at(level)
    assert (gpu.limit_w, levels.limit_w) == (limit_w, limit_w)


def test_one_limit_throughout_is_told_and_several_are_not(
    measured: tuple[Gpu, PowerLevels],
) -> None:
    levels = measured[1]
    assert levels.limit_w is None  # nobody has asked yet
    _, full, middle, _ = levels.schedule(SCHEDULE).levels
    for power in (full, full):
        levels.run_at(power)
    assert levels.limit_w == 300
    levels.run_at(middle)
    assert levels.limit_w is None


def test_a_limit_at_which_no_joules_were_counted_is_left_out() -> None:
    gpu = Gpu()
    stuck = PowerLevels(
        gpu, (300, 200, 100), lambda: 0.0 if gpu.limit_w == 200 else gpu.energy_j,
        lambda _: None, lambda: gpu.now_s,
    )  # fmt: skip
    trained(gpu, stuck, 3 * (SETTLE_S + MEASURE_S) + 2)
    assert len(stuck.schedule(SCHEDULE).levels) == 3  # the pause, and two limits
