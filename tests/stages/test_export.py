"""A network of the user's own that has no ONNX form: the stages end in one line."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lowtide import artifacts
from lowtide.artifacts import write_json
from lowtide.data.card import Card, load_card
from lowtide.models.factory import ModelSpec, build
from lowtide.models.weights import save_model
from lowtide.stages.export import candidate_metadata
from lowtide.stages.run import run_stage

OWN = """
import torch
from torch import nn

class Gate(nn.Module):
    def forward(self, images):
        return images * 2 if images.mean() > 1e9 else images

class Net(nn.Module):
    def __init__(self, channels, size, num_classes):
        super().__init__()
        self.gate = Gate()
        self.head = nn.Linear(channels * size[0] * size[1], num_classes)

    def forward(self, images):
        return self.head(self.gate(images).flatten(1))

def net(channels, size, num_classes):
    return Net(channels, size, num_classes)
"""


@pytest.fixture
def trained(checkout: Path, write_params: Callable[..., Path]) -> Path:
    """Weights of all candidates, of a network that branches on its images."""
    write_params(model={"student": None}, prune={"macs_fraction": 1.0})
    run_stage("prepare")
    (checkout / "own.py").write_text(OWN)
    card = load_card(artifacts.DATA)
    spec = ModelSpec("own:net", 1, (8, 8), len(card.class_names), card.mean, card.std)
    for path in (artifacts.TEACHER, artifacts.STUDENT, artifacts.PRUNED):
        save_model(path, build(spec), spec)
    for stage in ("train", "distill", "prune", "quantize"):
        write_json(artifacts.report_path(stage), report())
    return checkout


def report(energy_kwh: float | None = 0.25, energy: str = "estimated") -> dict[str, object]:
    return {
        "energy_kwh": energy_kwh, "emissions_g": 2.0, "active_clock_s": 1.0, "pipeline_id": "p",
        "provenance": {
            "energy": energy, "intensity": "trace", "clock": "replay", "host": "h", "commit": "c0",
        },
    }  # fmt: skip


@pytest.mark.parametrize("stage", ["distill", "prune", "quantize", "export"])
def test_it_ends_with_one_line_and_without_a_file(trained: Path, stage: str) -> None:
    """Whichever is the first to export it; the network stays, as it was trained."""
    weights = {path: path.read_bytes() for path in (trained / "artifacts").glob("*.safetensors")}
    done = subprocess.run(
        [sys.executable, "-m", "lowtide", "stage", stage], capture_output=True, text=True
    )
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()
    assert said[-1].startswith("lowtide: the model cannot be exported to ONNX: module net.gate")
    assert "branches on the values of the images" in said[-1]
    assert "Traceback" not in done.stderr
    assert not list((trained / "artifacts").glob("*.onnx*"))
    assert len(weights) == 3
    assert all(path.read_bytes() == before for path, before in weights.items())
    assert not [p for p in (trained / "artifacts").iterdir() if p.name.startswith(".")]
    assert artifacts.TEACHER.exists()


def test_a_file_says_what_its_making_took_and_what_is_unknown() -> None:
    card = Card(("a", "b"), (1, 8, 8), (0.0,), (1.0,), "abc")
    reports = {stage: report() for stage in ("train", "distill", "prune", "quantize")}
    reports["prune"] = report(None, "measured")
    student = candidate_metadata("student", card, reports)
    assert student["lowtide.training_energy_kwh"] == "0.5"
    assert student["lowtide.training_emissions_g"] == "4"
    assert student["lowtide.training_energy_provenance"] == "estimated"
    assert student["lowtide.commit"] == "c0"
    assert student["lowtide.data_sha256"] == "abc"
    pruned = candidate_metadata("fp32", card, reports)
    assert pruned["lowtide.training_energy_kwh"] == "unknown"
    assert pruned["lowtide.training_emissions_g"] == "6"
    assert pruned["lowtide.training_energy_provenance"] == "estimated and measured"
