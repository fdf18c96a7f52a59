"""The head of a model card, in YAML, as the Hugging Face Hub reads it.

Keys: https://huggingface.co/docs/hub/model-cards and .../model-cards-co2; emissions in grams.
"""

from typing import Any

import yaml

from lowtide.pipeline import Reports, total, training_provenance


def front_matter(reports: Reports) -> str:
    """Between its two rules. What is unknown is left out, as the Hub wants it."""
    evaluation, data = reports["evaluate"], reports["prepare"]["data"]
    content: dict[str, Any] = {
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": ["lowtide", "carbon-aware", str(evaluation["model"])],
        "metrics": ["accuracy"],
        "model-index": [{"name": "lowtide-classifier", "results": [_result(reports, data)]}],
    }
    emissions_g = total(reports, "emissions_g")
    if emissions_g is not None:
        content["co2_eq_emissions"] = _emissions(reports, emissions_g)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return f"---\n{text}---"


def _result(reports: Reports, data: dict[str, Any]) -> dict[str, Any]:
    evaluation = reports["evaluate"]
    own = evaluation["candidates"][evaluation["model"]]
    figures = (("accuracy", own["accuracy"]), ("recall", own["worst_class_recall"]))
    names = {"accuracy": "test accuracy", "recall": "recall of the weakest class"}
    return {
        "task": {"type": "image-classification"},
        "dataset": {
            "name": data["source"], "type": data["source"], "split": "test",
            "revision": data["sha256"],
        },
        "metrics": [
            {"type": kind, "name": names[kind], "value": round(float(value), 6)}
            for kind, value in figures
        ],
    }  # fmt: skip


def _emissions(reports: Reports, emissions_g: float) -> dict[str, Any]:
    provenance = training_provenance(reports)
    return {
        "emissions": round(float(emissions_g), 6),
        "source": f"lowtide: {provenance['energy']} energy, intensity of "
        f"{provenance['intensity']}, {provenance['clock']} clock",
        "training_type": "pre-training",
        "hardware_used": provenance["host"],
    }
