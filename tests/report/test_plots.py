"""Plots are SVG that stands alone, and stay drawable where figures are unknown."""

from pathlib import Path
from typing import Any

from lowtide.report.plots import candidates_plot, curves_plot, layers_plot, stages_plot
from lowtide.report.text import number


def test_stages_with_an_unknown_figure_can_be_drawn() -> None:
    known = {"energy_kwh": 1e-4, "emissions_g": 0.02, "run_now_emissions_g": 0.03}
    unknown = dict.fromkeys(known)
    drawn = stages_plot(
        {"train": {**known, "duration_s": 1}, "judge": {**unknown, "duration_s": 1}}
    )
    assert drawn.startswith("<svg")
    assert "train" in drawn
    assert 'href="http' not in drawn  # nothing is fetched: namespaces are only names


def test_candidates_and_curves(tmp_path: Path) -> None:
    figures = {"accuracy": 0.9, "inference_energy_j": 0.01, "latency_ms_p50": 0.1, "size_bytes": 10}
    drawn = candidates_plot({"teacher": figures, "int8": {**figures, "inference_energy_j": 0.003}})
    assert "int8" in drawn
    curve = tmp_path / "train_curve.csv"
    curve.write_text("epoch,train_loss,val_accuracy\n1,2.0,0.5\n2,1.0,0.8\n")
    assert "train" in curves_plot({"train": curve})


def test_layers_are_called_by_module_the_slowest_first() -> None:
    def layer(number: int) -> dict[str, Any]:
        return {"name": f"node{number}", "module": None, "op_type": "Add", "seconds": number * 1e-6}

    stem = {"name": "relu_nchwc", "module": "net.stem", "op_type": "Conv", "seconds": 1e-3}
    drawn = layers_plot({"teacher": [layer(n) for n in range(20)], "int8": [stem]})
    assert drawn.startswith("<svg")
    assert "net.stem (Conv)" in drawn
    assert "node19 (Add)" in drawn
    assert "node3 (Add)" not in drawn


def test_numbers_carry_their_unit_and_unknown_is_a_word() -> None:
    assert number(0.0123456, "g") == "0.0123 g"
    assert number(None, "g") == "unknown g"
