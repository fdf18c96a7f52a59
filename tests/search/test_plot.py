"""The plot of a search: every trial that is through a point, the front a rising line."""

from lowtide.search.plot import _rising, search_plot


def trial(accuracy: float, energy_j: float, emissions_g: float) -> dict[str, object]:
    return {"state": "complete", "accuracy": accuracy, "energy_j_per_inference": energy_j,
            "emissions_g": emissions_g}  # fmt: skip


def test_the_line_leaves_out_what_is_on_the_front_by_its_grams_alone() -> None:
    best, cheap, small = trial(0.9, 3e-4, 2.0), trial(0.85, 4e-4, 1.0), trial(0.8, 1e-4, 2.0)
    assert _rising([best, cheap, small]) == [small, best]


def test_a_search_is_drawn_as_svg() -> None:
    trials = [trial(0.9, 3e-4, 2.0), trial(0.8, 1e-4, 1.0), {**trial(0, 0, 0), "state": "pruned"}]
    drawn = search_plot({"trials": trials, "pareto": trials[:2], "chosen": trials[0],
                         "reference": {"accuracy": 0.92,
                                       "energy_j_per_inference": 2e-3}})  # fmt: skip
    assert drawn.startswith(("<?xml", "<svg"))
    assert "mJ per inference" in drawn
