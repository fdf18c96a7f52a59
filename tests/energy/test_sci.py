"""SCI after ISO/IEC 21031, held against the specification's own example."""

import pytest

from lowtide.energy.sci import Hardware, Sci
from lowtide.errors import UsageError


def test_the_example_of_the_specification() -> None:
    """1000 kg over four years: an hour of it is around 28 g."""
    assert Hardware(1000, 4).embodied_g(3600) == pytest.approx(1e6 / (4 * 365 * 24))
    assert Hardware(1000, 4).embodied_g(3600) == pytest.approx(28.5, abs=0.1)


def test_a_share_of_the_machine_has_its_share_of_the_grams() -> None:
    whole, quarter = Hardware(320, 5), Hardware(320, 5, share=0.25)
    assert quarter.embodied_g(7200) == pytest.approx(whole.embodied_g(7200) / 4)


def test_what_is_embodied_stands_apart_from_what_was_emitted() -> None:
    sci = Sci(operational_g=90.0, embodied_g=30.0, num_units=60)
    assert sci.to_json() == {
        "operational_g": 90.0,
        "embodied_g": 30.0,
        "total_g": 120.0,
        "num_units": 60,
        "sci_g_per_unit": 2.0,
    }


def test_unknown_emissions_make_an_unknown_sci_not_a_small_one() -> None:
    sci = Sci(operational_g=None, embodied_g=30.0, num_units=60)
    assert (sci.total_g, sci.g_per_unit, sci.embodied_g) == (None, None, 30.0)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_figures_that_cannot_be_are_refused(bad: float) -> None:
    for option, make in {
        "--embodied-kg": lambda: Hardware(bad, 4),
        "--lifespan-years": lambda: Hardware(320, bad),
        "--share": lambda: Hardware(320, 4, bad),
        "--per": lambda: Sci(1.0, 1.0, bad),
    }.items():
        with pytest.raises(UsageError, match=option):
            make()


def test_more_than_the_whole_machine_is_refused() -> None:
    with pytest.raises(UsageError, match="more than the whole machine"):
        Hardware(320, 4, share=1.5)
