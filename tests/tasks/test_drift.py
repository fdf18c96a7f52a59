"""The watch compares with the training images and the gated figure of its checkout."""

import json
from pathlib import Path

import numpy as np

from lowtide import artifacts
from lowtide.serving.drift import image_statistics
from tasks.drift import compare_served


def test_what_is_served_is_compared_with_this_checkout(checkout: Path) -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (600, 1, 8, 8), dtype=np.uint8)
    labels = generator.integers(0, 10, 600)
    (checkout / artifacts.DATA).mkdir(parents=True)
    np.save(artifacts.DATA / "train_images.npy", images)
    np.save(artifacts.DATA / "train_labels.npy", labels)
    artifacts.REPORTS.mkdir()
    report = {"model": "int8", "candidates": {"int8": {"inference_energy_j": 0.001}}}
    artifacts.report_path("evaluate").write_text(json.dumps(report))
    served = {
        "statistics": image_statistics(images[:300] // 4).tolist(),
        "labels": labels[:300].tolist(),
        "inference_energy_j": 0.01,
        "recorded_inference_energy_j": None,
        "num_images": 300,
    }
    found = compare_served.fn(served, 0.2, 3.0)
    assert found.drift.drifted
    assert found.energy_ratio == 10.0
    assert len(found.reasons) == 2
