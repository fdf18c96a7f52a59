"""Write dvc.yaml: the `.py` deps of each stage are what it transitively imports (by grimp)."""

from pathlib import Path
from typing import Any

import grimp
import yaml

ROOT = Path(__file__).parent.parent
DATA, INPUTS, ANSWERS = "artifacts/data", "artifacts/inputs", "artifacts/answers.npz"
# What techniques are judged by: exported, int8, probed beside the teacher.
JUDGED = [
    "compress", "budgets.inference_energy_j_max", "quantize.val_accuracy_drop_max", "export.opset",
    "export.preprocessing", "evaluate.batch_size", "evaluate.num_threads", "evaluate.provider",
]  # fmt: skip
# Looks at what params.yaml names outside the checkout; it runs each time, and costs a second.
FIRST: dict[str, Any] = {
    "cmd": "lowtide inputs",
    "always_changed": True,
    "outs": [f"{INPUTS}/{name}" for name in ("data", "teacher", "student", "champion")],
}
# stage: params sections, deps, outs, metrics, plots
STAGES: dict[str, dict[str, list[str]]] = {
    "prepare": {"params": ["seed", "data"], "deps": [f"{INPUTS}/data"], "outs": [DATA]},
    "train": {
        "params": [
            "seed",
            "model.teacher",
            "train",
            "controller",
            "objective",
            "budgets.training_emissions_g_max",
            "budgets.training_energy_kwh_max",
        ],
        "deps": [DATA, f"{INPUTS}/teacher"],
        "outs": ["artifacts/teacher.safetensors", "reports/train_decisions.json"],
        "plots": ["reports/train_curve.csv"],
    },
    "distill": {
        "params": ["seed", "model.student", "distill", *JUDGED],
        "deps": [DATA, f"{INPUTS}/student", "artifacts/teacher.safetensors"],
        "outs": ["artifacts/student.safetensors"],
        "plots": ["reports/distill_curve.csv"],
    },
    "prune": {
        "params": ["seed", "prune", *JUDGED],
        "deps": [DATA, "artifacts/teacher.safetensors", "artifacts/student.safetensors"],
        "outs": ["artifacts/pruned.safetensors"],
        "plots": ["reports/prune_curve.csv"],
    },
    "quantize": {
        "params": [
            "seed",
            "quantize",
            "compress.val_accuracy_drop_max",
            "compress.roll_back",
            "export.opset",
            "export.preprocessing",
            "evaluate.batch_size",
            "evaluate.num_threads",
            "evaluate.provider",
        ],
        "deps": [DATA, "artifacts/teacher.safetensors", "artifacts/pruned.safetensors"],
        "outs": ["artifacts/pruned.onnx", "artifacts/quantized.onnx", "artifacts/half.onnx"],
    },
    "export": {
        "params": ["export"],
        "deps": [
            DATA,
            "artifacts/teacher.safetensors",
            "artifacts/student.safetensors",
            "artifacts/pruned.safetensors",
            "artifacts/pruned.onnx",
            "artifacts/quantized.onnx",
            "artifacts/half.onnx",
            "reports/train.json",
            "reports/distill.json",
            "reports/prune.json",
            "reports/quantize.json",
        ],
        "outs": [
            "artifacts/teacher.fp32.onnx",
            "artifacts/student.fp32.onnx",
            "artifacts/model.fp32.onnx",
            "artifacts/model.int8.onnx",
            "artifacts/model.half.onnx",
        ],
    },
    "evaluate": {
        "params": ["evaluate", "compress.energy_ratio_min"],
        "deps": [
            DATA,
            f"{INPUTS}/champion",
            "artifacts/teacher.safetensors",
            "artifacts/student.safetensors",
            "artifacts/pruned.safetensors",
            "artifacts/teacher.fp32.onnx",
            "artifacts/student.fp32.onnx",
            "artifacts/model.fp32.onnx",
            "artifacts/model.int8.onnx",
            "artifacts/model.half.onnx",
            "reports/export.json",
        ],
        "outs": [ANSWERS],
        "plots": ["reports/candidates.csv", "reports/layers.csv", "reports/predictions.csv"],
    },
    "judge": {
        "params": ["budgets", "objective"],
        "deps": [
            ANSWERS,
            *(
                f"reports/{name}.json"
                for name in ("prepare", "train", "distill", "prune", "quantize", "evaluate")
            ),
        ],
        "outs": [],
        "metrics": ["reports/verdict.json"],
    },
}
PLOTS: list[dict[str, Any]] = [
    {
        "validation accuracy": {
            "x": "epoch",
            "y": {f"reports/{name}_curve.csv": "val_accuracy" for name in STAGES if name in
                  ("train", "distill", "prune")},
        }
    },
    {
        "confusion": {
            "x": "actual",
            "y": {"reports/predictions.csv": "predicted"},
            "template": "confusion",
        }
    },
]  # fmt: skip


def modules(stage: str) -> list[str]:
    """Source files that the stage imports, directly or through others."""
    graph = grimp.build_graph("lowtide", cache_dir=None)
    name = f"lowtide.stages.{stage}"
    found = {name, *graph.find_upstream_modules(name)}
    files = []
    for module in found:
        path = ROOT / "src" / Path(*module.split("."))
        files.append(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))
    return sorted(str(f.relative_to(ROOT)) for f in files if f.stat().st_size)


def stage_entry(stage: str) -> dict[str, Any]:
    parts = STAGES[stage]
    entry: dict[str, Any] = {
        "cmd": f"lowtide stage {stage}",
        "params": parts["params"],
        "deps": sorted(parts["deps"]) + modules(stage),
    }
    if parts["outs"]:
        entry["outs"] = parts["outs"]
    report = f"reports/{stage}.json"
    entry["metrics"] = [report, *parts.get("metrics", [])]
    if "plots" in parts:
        entry["plots"] = parts["plots"]
    return entry


def content() -> dict[str, Any]:
    return {"stages": {"inputs": FIRST, **{name: stage_entry(name) for name in STAGES}},
            "plots": PLOTS}  # fmt: skip


if __name__ == "__main__":
    head = "# Written by scripts/write_dvc.py, which lists the modules of each stage.\n"
    text = yaml.safe_dump(content(), sort_keys=False, width=100)
    (ROOT / "dvc.yaml").write_text(head + text)
