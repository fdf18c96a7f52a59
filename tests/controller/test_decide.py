"""Decisions follow from what was measured, in a stated order, and never lengthen a fit."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowtide.controller.decide import decide
from lowtide.controller.image_size import pixel_share
from lowtide.controller.knobs import Inputs, Knobs, Levers, Trying, Weights, told

WEIGHTS = Weights(alpha=1.0, beta=0.1, gamma=0.1, energy_kwh=1.0, emissions_g=100.0)
NO_BUDGET = replace(WEIGHTS, energy_kwh=1e9, emissions_g=1e9)
LEVERS = Levers(batch_sizes=(), land=False, epochs_min=4, compress=False)
KNOBS = Knobs(64, "fp32", end=20.0)
QUIET = Inputs(
    epoch=6.0, val_losses=(2.0, 1.5, 1.2, 1.0, 0.9, 0.8), noise_images=None, joules_per_image={},
    joules_by_precision={}, energy_kwh=0.12, emissions_g=12.0, epoch_energy_kwh=0.02,
    epoch_emissions_g=2.0, spent_energy_kwh=0.0, spent_emissions_g=0.0,
)  # fmt: skip
FLAT = replace(QUIET, val_losses=(2.0, 0.8, 0.8, 0.8, 0.8, 0.8))
HUNGRY = replace(QUIET, epoch_energy_kwh=0.1)  # 0.12 + 14 x 0.1 of 1 kWh


def knobs_of(
    inputs: Inputs, knobs: Knobs = KNOBS, levers: Levers = LEVERS, weights: Weights = WEIGHTS
) -> Knobs:
    return decide(inputs, knobs, 64, weights, levers).knobs


@pytest.mark.parametrize(
    ("noise", "joules", "expected"),
    [
        (1e6, {32: 1.0, 64: 1.0, 128: 0.7}, 128),  # noisy and cheaper: larger
        (1.0, {32: 1.0, 64: 1.0, 128: 0.7}, 32),  # no noise: more, smaller steps
        (1e6, {32: 0.6, 64: 1.0, 128: 1.0}, 32),
        (1e6, {32: 1.0, 64: 1.0, 128: 0.98}, 64),  # not clearly cheaper
        (None, {32: 0.1, 64: 1.0, 128: 0.1}, 64),  # noise is unknown
    ],
)
def test_the_batch_is_as_large_as_noise_and_joules_ask(
    noise: float | None, joules: dict[int, float], expected: int
) -> None:
    inputs = replace(QUIET, noise_images=noise, joules_per_image=joules)
    decision = decide(inputs, KNOBS, 64, WEIGHTS, replace(LEVERS, batch_sizes=(32, 64, 128)))
    assert decision.knobs.batch_size == expected
    assert bool(decision.reasons) == (expected != 64)
    assert (decision.knobs.gain > 1) == (expected > 64)
    assert (decision.knobs.gain < 1) == (expected < 64)


def test_where_energy_counts_for_nothing_the_batch_and_the_images_stay() -> None:
    free = replace(NO_BUDGET, beta=0.0, gamma=0.0)
    levers = replace(LEVERS, batch_sizes=(32, 64, 128), image_scale=0.5)
    noisy = {"noise_images": 1e6, "joules_per_image": {32: 1.0, 64: 1.0, 128: 0.7}}
    inputs = replace(QUIET, epoch=0.0, small_image_cost=0.3, **noisy)
    assert knobs_of(inputs, levers=levers).batch_size == 128
    assert knobs_of(inputs, levers=levers, weights=free) == KNOBS


def test_a_batch_that_was_chosen_is_kept_when_the_figures_change_a_little() -> None:
    levers = replace(LEVERS, batch_sizes=(32, 64, 128))
    inputs = replace(QUIET, noise_images=1e6, joules_per_image={32: 1.0, 64: 1.0, 128: 0.9})
    chosen = knobs_of(inputs, levers=levers)
    assert chosen.batch_size == 128
    for joules in (0.99, 1.01, 1.02):
        again = replace(inputs, joules_per_image={32: 1.2, 64: 1.0, 128: joules})
        assert knobs_of(again, chosen, levers).batch_size == 128
    clearly = replace(inputs, joules_per_image={32: 1.2, 64: 1.0, 128: 1.1})
    assert knobs_of(clearly, chosen, levers).batch_size == 64


def test_it_lands_when_an_epoch_costs_more_than_it_brings() -> None:
    levers = replace(LEVERS, land=True)
    decision = decide(FLAT, KNOBS, 64, WEIGHTS, levers)
    assert decision.knobs.landed
    assert decision.knobs.landing_from == 6.0
    assert 7.0 <= decision.knobs.end < 20.0
    assert "landing" in decision.reasons[0]
    assert knobs_of(QUIET, levers=levers) == KNOBS  # still learning
    assert knobs_of(FLAT) == KNOBS  # no such lever
    assert knobs_of(replace(FLAT, epoch=3.0), levers=levers) == KNOBS  # before epochs_min
    free = replace(WEIGHTS, beta=0.0, gamma=0.0)
    assert knobs_of(FLAT, levers=levers, weights=free) == KNOBS  # it costs nothing


def test_it_lands_when_the_accuracy_that_is_asked_for_is_there() -> None:
    levers = replace(LEVERS, land=True, accuracy_target=0.9)
    decision = decide(replace(QUIET, val_accuracies=(0.8, 0.9)), KNOBS, 64, WEIGHTS, levers)
    assert decision.knobs.landed
    assert "0.9000 of validation is enough" in decision.reasons[0]
    for accuracies in ((), (0.95, 0.89)):  # unknown, or no longer so
        inputs = replace(QUIET, val_accuracies=accuracies)
        assert knobs_of(inputs, levers=levers) == KNOBS


def test_it_lands_once() -> None:
    levers = replace(LEVERS, land=True)
    landed = knobs_of(FLAT, levers=levers)
    for epoch in (7.0, 8.0, 9.0):
        assert knobs_of(replace(FLAT, epoch=epoch), landed, levers) == landed


def test_an_overrun_is_met_by_precision_then_channels_then_an_earlier_end() -> None:
    inputs = replace(HUNGRY, joules_by_precision={"fp32": 2.0, "bf16": 1.0})
    levers = replace(LEVERS, compress=True)
    steps = [KNOBS]
    for _ in range(3):
        steps.append(knobs_of(inputs, steps[-1], levers))
    assert steps[1] == replace(KNOBS, precision="bf16")
    assert steps[2] == replace(steps[1], pressed=True)
    assert steps[3] == replace(steps[2], end=pytest.approx(6 + 8.8), landing_from=6.0, cut=True)
    assert knobs_of(inputs, steps[3], levers) == steps[3]  # now it fits


def test_an_early_cut_leaves_a_whole_cycle_a_shorter_one() -> None:
    early = replace(HUNGRY, epoch=1.0, energy_kwh=0.1)
    cut = knobs_of(early)
    assert cut == replace(KNOBS, end=pytest.approx(10.0), cycle=cut.end, cut=True)
    again = knobs_of(replace(early, epoch_energy_kwh=0.2), cut)  # 0.9 kWh for 0.2 an epoch
    assert again == replace(KNOBS, end=pytest.approx(5.5), cycle=again.end, cut=True)
    late = replace(early, epoch=2.0, energy_kwh=0.3, epoch_energy_kwh=0.3)
    assert knobs_of(late, again).landing_from == 2.0  # the rate had risen to its peak


def test_images_grow_faster_towards_an_earlier_end() -> None:
    """The end is where the budget is, with images that are whole for its last part."""
    small = replace(KNOBS, image_scale=0.5)
    inputs = replace(QUIET, epoch=2.0, energy_kwh=0.06, epoch_energy_kwh=0.03)
    end = knobs_of(inputs, small).end
    last = pixel_share(1.0, 2.0, 20.0, 0.5)
    assert 0.06 + 0.03 * (end - 2) * pixel_share(2.0, end, end, 0.5) / last == pytest.approx(1.0)


def test_a_small_excess_is_tolerated_while_much_is_left() -> None:
    """Epochs differ by as much, and an end that has come nearer does not move away again."""
    for epoch_kwh, epoch, cut in ((0.065, 6.0, False), (0.07, 6.0, True), (0.9, 19.0, True)):
        inputs = replace(QUIET, epoch=epoch, epoch_energy_kwh=epoch_kwh)
        assert knobs_of(inputs).cut == cut


def test_without_those_levers_the_end_comes_nearer_at_once() -> None:
    assert knobs_of(HUNGRY).end == pytest.approx(14.8)
    slower = replace(HUNGRY, joules_by_precision={"fp32": 1.0, "bf16": 2.0})
    assert knobs_of(slower).precision == "fp32"  # bf16 costs more here


def test_the_nearer_of_both_budgets_counts_and_what_was_spent_before() -> None:
    assert knobs_of(replace(QUIET, epoch_emissions_g=8.8)).end == pytest.approx(16.0)
    assert knobs_of(replace(QUIET, spent_energy_kwh=0.7)).end == pytest.approx(15.0)
    assert knobs_of(replace(QUIET, spent_energy_kwh=2.0)).end == 6.0  # all is gone: now
    standing = replace(QUIET, energy_kwh=2.0, epoch_energy_kwh=0.0, epoch_emissions_g=0.1)
    assert knobs_of(standing).end == 6.0


def test_a_projection_within_the_budget_changes_nothing() -> None:
    decision = decide(QUIET, KNOBS, 64, WEIGHTS, replace(LEVERS, compress=True))
    assert decision.knobs == KNOBS
    assert decision.reasons == ()


def test_unknown_energy_decides_nothing() -> None:
    unknown = replace(
        FLAT, energy_kwh=None, emissions_g=None, epoch_energy_kwh=None, epoch_emissions_g=None,
        spent_energy_kwh=9.0,
    )  # fmt: skip
    levers = replace(LEVERS, land=True, compress=True)
    assert knobs_of(unknown, levers=levers) == KNOBS
    first = replace(HUNGRY, epoch_energy_kwh=None, epoch_emissions_g=None)
    assert knobs_of(first, levers=levers) == KNOBS


def test_a_rate_that_falls_is_never_sent_up_again() -> None:
    """The budget cuts a landing short, and a landing begins after a cut: the start stays."""
    levers = replace(LEVERS, land=True)
    landed = knobs_of(FLAT, levers=levers)
    cut = knobs_of(replace(FLAT, epoch=7.0, epoch_energy_kwh=5.0), landed, levers)
    assert cut.end < landed.end
    assert cut.landing_from == landed.landing_from == 6.0
    cut_first = knobs_of(HUNGRY)
    later = knobs_of(replace(FLAT, epoch=8.0), cut_first, levers)
    assert later.landed
    assert later.landing_from == 6.0


amounts = st.none() | st.floats(0, 10)
some_inputs = st.builds(
    Inputs,
    epoch=st.floats(0, 20), val_losses=st.lists(st.floats(0, 5), max_size=8).map(tuple),
    noise_images=st.none() | st.floats(1e-3, 1e6),
    joules_per_image=st.dictionaries(st.sampled_from([32, 64, 128]), st.floats(1e-6, 1.0)),
    joules_by_precision=st.dictionaries(st.sampled_from(["fp32", "bf16"]), st.floats(1e-3, 9.0)),
    energy_kwh=amounts, emissions_g=amounts, epoch_energy_kwh=amounts, epoch_emissions_g=amounts,
    spent_energy_kwh=st.floats(0, 3), spent_emissions_g=st.floats(0, 300),
)  # fmt: skip
some_knobs = st.builds(
    Knobs, st.sampled_from([32, 64, 128]), st.sampled_from(["fp32", "bf16"]),
    end=st.floats(0.1, 30), landing_from=st.none() | st.floats(0, 20), landed=st.booleans(),
    pressed=st.booleans(),
)  # fmt: skip
some_levers = st.builds(
    Levers, st.sampled_from([(), (32, 128), (32, 64, 128)]), st.booleans(), st.integers(1, 9),
    st.booleans(),
)  # fmt: skip


@given(some_inputs, some_knobs, some_levers)
def test_whatever_is_measured_the_end_never_grows_nor_lies_in_the_past(
    inputs: Inputs, knobs: Knobs, levers: Levers
) -> None:
    before = asdict(inputs), asdict(knobs)
    decision = decide(inputs, knobs, 64, WEIGHTS, levers)
    assert decision.knobs.end <= knobs.end + 1e-9
    assert decision.knobs.end >= min(inputs.epoch, knobs.end) - 1e-9
    assert decision == decide(inputs, knobs, 64, WEIGHTS, levers)
    assert (asdict(inputs), asdict(knobs)) == before
    assert Inputs.of(asdict(inputs)) == inputs
    if knobs.landed:
        assert decision.knobs.landing_from == knobs.landing_from or knobs.landing_from is None
    if not levers.batch_sizes:
        assert decision.knobs.batch_size == knobs.batch_size


GROWING = replace(LEVERS, image_scale=0.5)
START = replace(QUIET, epoch=0.0, val_losses=(), epoch_energy_kwh=None, epoch_emissions_g=None)


@pytest.mark.parametrize(
    ("cost", "scale"), [(0.3, 0.5), (0.95, 1.0), (None, 1.0)], ids=["pays", "does not", "unknown"]
)
def test_images_begin_small_where_that_is_measured_to_pay(cost: float | None, scale: float) -> None:
    decision = decide(replace(START, small_image_cost=cost), KNOBS, 64, WEIGHTS, GROWING)
    assert decision.knobs.image_scale == scale
    assert bool(decision.reasons) == (cost is not None)


def test_the_size_of_the_first_images_is_chosen_once() -> None:
    later = replace(QUIET, small_image_cost=0.3)
    assert knobs_of(later, levers=GROWING).image_scale == 1.0


def test_it_does_not_land_for_want_of_progress_while_images_grow() -> None:
    levers = replace(GROWING, land=True)
    flat = replace(FLAT, epoch_energy_kwh=0.02, epoch_emissions_g=2.0)
    small = replace(KNOBS, image_scale=0.5)
    assert knobs_of(flat, KNOBS, levers).landed
    assert not knobs_of(flat, small, levers).landed
    assert knobs_of(replace(flat, epoch=14.5), small, levers).landed


def test_the_projection_knows_that_larger_images_cost_more() -> None:
    """0.12 + 14 epochs x 0.05 is within 1 kWh as long as they cost what the last one did."""
    inputs = replace(QUIET, epoch_energy_kwh=0.05)
    assert not knobs_of(inputs).cut
    assert knobs_of(inputs, replace(KNOBS, image_scale=0.5)).cut


@given(st.lists(st.floats(0.01, 9.0), max_size=8), st.booleans())
def test_what_is_told_of_the_losses_decides_as_all_of_them(losses: list[float], land: bool) -> None:
    levers = replace(LEVERS, land=land)
    whole = replace(QUIET, val_losses=tuple(losses))
    assert len(told(losses)) <= 3
    short = replace(whole, val_losses=told(losses))
    assert decide(short, KNOBS, 64, WEIGHTS, levers) == decide(whole, KNOBS, 64, WEIGHTS, levers)


TRYING = Trying(128, instead=64, limit_kwh=0.1)


@pytest.mark.parametrize(
    ("trying", "used_kwh", "size"),
    [
        (TRYING, 0.12, 64),
        (TRYING, 0.08, 128),
        (TRYING, None, 128),
        (replace(TRYING, limit_kwh=None), 9.0, 128),
        (replace(TRYING, instead=128), 9.0, 128),
    ],
)
def test_a_batch_size_that_has_cost_too_much_is_given_up(
    trying: Trying, used_kwh: float | None, size: int
) -> None:
    tried = replace(KNOBS, batch_size=128, gain=2.0)
    inputs = replace(QUIET, energy_kwh=9.9, active_energy_kwh=used_kwh)  # a long wait
    decision = decide(inputs, tried, 64, NO_BUDGET, replace(LEVERS, trying=trying))
    assert decision.knobs.batch_size == size
    assert decision.knobs.gain == size / 64
    assert bool(decision.reasons) == (size == 64)


def test_a_batch_size_is_given_up_once() -> None:
    levers = replace(LEVERS, trying=TRYING)
    assert decide(QUIET, KNOBS, 64, NO_BUDGET, levers).reasons == ()
