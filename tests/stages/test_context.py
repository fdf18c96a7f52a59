"""A stage that is opened again goes on at once, whatever was done to the clock meanwhile."""

import gc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lowtide.artifacts import LEDGER, report_path, write_json
from lowtide.carbon.signal import IntensitySource, IntensityValue
from lowtide.clock import SystemClock
from lowtide.energy.ledger import Interval, Ledger
from lowtide.params import load_params
from lowtide.stages.context import describe, stage_context
from lowtide.training.world import ALONE

HOUR = timedelta(hours=1)
NOON = datetime(2022, 4, 14, 12, tzinfo=UTC)
USED = Interval(
    "run", "train", "cpu", NOON, NOON, 1.0, 5.0, "test", "estimated", 100.0, "test", 1.0, 1.0,
    replay=False, parked=False,
)  # fmt: skip


def metered_until(instant: datetime, *, replay: bool) -> None:
    with Ledger(LEDGER) as ledger:
        ledger.append([replace(USED, started_at=instant, ended_at=instant, replay=replay)])


@pytest.mark.timeout(120)
def test_a_clock_that_was_set_back_holds_up_no_resumed_stage(
    write_params: Callable[..., Path],
) -> None:
    params = load_params(write_params(carbon={"source": "typical", "replay_start": None}))
    before = SystemClock().now()
    metered_until(before + HOUR, replay=False)
    with stage_context("train", params, "run", [], ALONE) as context:
        assert context.clock.now() < before + HOUR


def test_a_replay_goes_on_behind_what_it_has_used(write_params: Callable[..., Path]) -> None:
    params = load_params(write_params())
    assert params.carbon.replay_start is not None
    used = params.carbon.replay_start + HOUR
    metered_until(used, replay=True)
    with stage_context("train", params, "run", [], ALONE) as context:
        assert context.clock.now() >= used


def test_a_stage_that_is_run_again_is_of_another_pipeline_run(
    write_params: Callable[..., Path],
) -> None:
    params = load_params(write_params())
    with stage_context("prepare", params, None, [], ALONE) as first:
        write_json(report_path("prepare"), {"pipeline_id": first.session.pipeline_id})
    with stage_context("train", params, None, [], ALONE) as next_stage:
        assert next_stage.session.pipeline_id == first.session.pipeline_id
    with stage_context("prepare", params, None, [], ALONE) as again:
        assert again.session.pipeline_id != first.session.pipeline_id
        assert again.session.arrived_at == params.carbon.replay_start


class Counting:
    """A grid that notes how many intervals are held whenever it is asked."""

    def __init__(self, source: IntensitySource) -> None:
        self._source, self.zone, self.name = source, source.zone, source.name
        self.held: list[int] = []

    def current(self, at: datetime) -> IntensityValue:
        self.held.append(sum(type(one) is Interval for one in gc.get_objects()))
        return self._source.current(at)

    def history(self, start: datetime, end: datetime) -> list[IntensityValue]:
        return self._source.history(start, end)

    def forecast(self, at: datetime, hours: float) -> list[IntensityValue]:
        return self._source.forecast(at, hours)


def test_a_long_run_is_reported_without_holding_all_its_intervals(
    write_params: Callable[..., Path],
) -> None:
    params = load_params(write_params())
    assert params.carbon.replay_start is not None
    second, num = timedelta(seconds=1), 10_000
    starts = [params.carbon.replay_start + second * k for k in range(num)]
    with Ledger(LEDGER) as ledger:
        ledger.append([
            replace(USED, started_at=start, ended_at=start + second, energy_j=3.6, replay=True)
            for start in starts
        ])  # fmt: skip
    with stage_context("prepare", params, "another", [], ALONE) as context:
        source = Counting(context.source)
        report = describe(
            replace(context, run_id="run", source=source), context.ledger.totals("run")
        )
    assert report["active_clock_s"] == num
    assert report["run_now_emissions_g"] > 0
    assert report["energy_kwh"] == pytest.approx(0.01)
    assert 0 < max(source.held) < 10
