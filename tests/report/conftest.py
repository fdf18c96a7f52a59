"""The reports of a finished pipeline, small and made by hand."""

from typing import Any

import pytest

from lowtide.artifacts import STAGES

CANDIDATE = {
    "accuracy": 0.9, "worst_class_recall": 0.75, "recall_per_class": [0.95, 0.75],
    "onnx_agreement": 1.0, "inference_energy_j": 0.002, "inference_energy_j_low": 0.001,
    "inference_energy_j_high": 0.003, "latency_ms_p50": 0.2, "latency_ms_p95": 0.3,
    "throughput_per_s": 900.0, "size_bytes": 12345, "provenance": "estimated", "num_repeats": 3,
    "batch_size": 8, "num_macs": 1_000_000, "num_parameters": 3000,
    "times_less": {
        "teacher_torch": {"inference_energy_j": 5.0}, "teacher": {"inference_energy_j": None},
    },
}  # fmt: skip
LAYER = {
    "name": "relu_nchwc", "module": "net.stem", "op_type": "Conv", "seconds": 2e-6, "share": 1.0,
    "energy_j": None, "num_macs": 9216,
}  # fmt: skip
DATA = {
    "source": "npz", "path": "tides.npz", "shape": [1, 8, 8], "class_names": ["low", "high"],
    "counts": {"train": {"low": 10, "high": 12}, "test": {"low": 3, "high": 4}},
    "sha256": "abcdef" * 10, "num_test_images_in_train": 2, "num_skipped": 1,
}  # fmt: skip
TARGET = {
    "energy_ratio_min": 6.0, "times_less": 3.9, "by": "joules", "met": False,
    "said": "int8 takes 3.90 times fewer joules: the target of 6 is missed",
}  # fmt: skip
ENTERED = {"yes": True, "reason": "it enters"}
REASON = {"check": "accuracy", "passed": True, "value": 0.9, "limit": 0.8, "detail": ""}


def report(stage: str) -> dict[str, Any]:
    return {
        "stage": stage,
        "energy_kwh": 0.01,
        "emissions_g": 2.0,
        "run_now_emissions_g": 4.0,
        "duration_s": 30.0,
        "components": {
            "cpu": {"energy_kwh": 0.01, "source": "codecarbon", "provenance": "estimated"}
        },
        "provenance": {
            "energy": "estimated", "intensity": "trace", "clock": "replay", "host": "shore",
            "cpu_count": 2, "machine": "x86_64", "python": "3.11.9", "commit": "c0ffee",
            "versions": {"lowtide": "0.1.0"}, "finished_at": "2022-04-14T19:00:00Z",
        },
    }  # fmt: skip


@pytest.fixture
def reports() -> dict[str, dict[str, Any]]:
    """One host, one clock, all known; a test changes what it is about."""
    made = {stage: report(stage) for stage in STAGES}
    made["prepare"]["data"] = DATA
    made["evaluate"] |= {
        "model": "int8",
        "num_images": 7,
        "candidates": {"teacher": dict(CANDIDATE, accuracy=0.95), "int8": dict(CANDIDATE)},
        "teacher_torch": dict(CANDIDATE, runtime={"name": "torch", "version": "2.13"}),
        "layers": {"teacher": [LAYER], "int8": [LAYER]},
        "runtime": {
            "name": "onnxruntime", "version": "1.32", "provider": "CPU", "num_threads": 2
        },
    }  # fmt: skip
    made["distill"]["technique"] = {
        "entered": ENTERED, "promised": ENTERED,
        "stayed": {"yes": True, "reason": "1.79 times less than before"},
    }  # fmt: skip
    made["prune"]["technique"] = {
        "entered": {"yes": False, "reason": "that is within the target, nothing is done"}
    }
    made["quantize"] |= {
        "model": "int8", "why": "takes 1.80 times less than fp32",
        "half": {"float16": {"why": "takes 1.90 times less than fp32"}},
    }  # fmt: skip
    made["evaluate"]["target"] = TARGET
    made["judge"] |= {"passed": True, "reasons": [REASON]}
    return made
