"""The chain's table: each candidate beside its teacher, in torch and in ONNX Runtime."""

from collections.abc import Mapping
from typing import Any

from lowtide.runtime.probe import Turns
from lowtide.runtime.ratio import energy_ratio, latency_ratio, time_ratio

TEACHER, TEACHER_TORCH = "teacher", "teacher_torch"  # the exported file, the network as trained
STATIC = ("num_macs", "num_parameters", "size_bytes")
FIGURES = (*STATIC, "accuracy", "latency_ms_p50", "latency_ms_p95", "inference_time_s",
           "throughput_per_s", "inference_energy_j", "provenance")  # fmt: skip

Figures = Mapping[str, Any]


def times_less(
    reference: Figures, own: Figures, reference_turns: Turns, own_turns: Turns
) -> dict[str, float | None]:
    """How many times less a candidate takes than the reference, by figure; None is unknown.

    Time and joules by pairs of turns, with the 5th and 95th percentile of the joules' ratio.
    """
    energy = energy_ratio(reference_turns, own_turns)
    return {
        **{key: reference[key] / own[key] for key in STATIC},
        "latency_ms_p50": latency_ratio(reference_turns, own_turns).median,
        "inference_time_s": time_ratio(reference_turns, own_turns).median,
        "inference_energy_j": None if energy is None else energy.median,
        "inference_energy_j_low": None if energy is None else energy.low,
        "inference_energy_j_high": None if energy is None else energy.high,
    }


def chain_rows(figures: Mapping[str, Figures]) -> list[dict[str, Any]]:
    """A row for each of `figures`, whose `times_less` is by the name of the reference."""
    return [
        {
            "candidate": name,
            **{key: one[key] for key in FIGURES},
            **{
                f"{key}_times_less_than_{reference}": value
                for reference, ratios in one["times_less"].items()
                for key, value in ratios.items()
            },
        }
        for name, one in figures.items()
    ]
