"""What making takes against the teacher's fit, by the epochs that were done."""

import json
from pathlib import Path

import pytest

from benchmarks import making
from benchmarks.chains import Pipeline
from tests.conftest import ROOT, edit_params

EPOCHS = {"train": 16, "distill": 20, "prune": 4}
HOURS = {"train": 1.0, "distill": 0.8, "prune": 0.1}  # of all epochs


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        ((16, 20, 4), 0.9),
        ((16, 20, 0), 0.8),  # left alone
        ((8, 20, 4), 1.8),  # a teacher that has landed early
    ],
)
def test_epochs_count_that_were_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: tuple[int, ...], expected: float
) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    edit_params(tmp_path / "params.yaml", **{one: {"epochs": num} for one, num in EPOCHS.items()})
    (tmp_path / "reports").mkdir()
    for stage, num in zip(EPOCHS, done, strict=True):
        (tmp_path / f"reports/{stage}.json").write_text(json.dumps({"epochs": num}))
    monkeypatch.setattr(making, "estimate_hours", lambda _params, _clock: HOURS)
    assert making._fits_to_teacher(Pipeline(tmp_path)) == pytest.approx(expected)
