"""The model card, in Markdown: what a version in the registry is, and what it is not good for."""

from typing import Any

from lowtide.energy.sci import Sci
from lowtide.energy.sources import KWH_IN_J
from lowtide.params import Params
from lowtide.pipeline import Reports, training_provenance
from lowtide.pipeline import total as total_of
from lowtide.report.card_metadata import front_matter
from lowtide.report.energy_label import SCALE, energy_label
from lowtide.report.techniques import technique_lines
from lowtide.report.text import number, verdict_text

NAMED = 20  # so many classes are listed


def model_card(reports: Reports, params: Params) -> str:
    """From the reports of a finished pipeline; an unknown figure says so."""
    sections = (
        front_matter(reports),
        _what(reports),
        _use(reports),
        f"## Verdict\n```\n{verdict_text(reports['judge'])}\n```",
        _data(reports["prepare"]["data"]),
        _figures(reports),
        *_compression(reports),
        _training(reports),
        _footprint(reports, params),
        _limits(reports),
    )
    return "\n\n".join(sections) + "\n"


def _what(reports: Reports) -> str:
    evaluation, data = reports["evaluate"], reports["prepare"]["data"]
    channels, height, width = data["shape"]
    return (
        f"# Image classifier, {evaluation['model']}\n"
        f"ONNX. In: uint8 images [N, {channels}, {height}, {width}], not normalised. "
        f"Out: {len(data['class_names'])} logits each."
    )


def _use(reports: Reports) -> str:
    names = reports["prepare"]["data"]["class_names"]
    return (
        f"## Intended use\n- to tell apart {len(names)} classes of images of the kind it was "
        "trained on\n- not for images of another kind, nor where a wrong answer harms somebody: "
        "its errors are those under Limits"
    )


def _data(data: dict[str, Any]) -> str:
    names = data["class_names"]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    counts = ", ".join(
        f"{sum(by_class.values())} {split}" for split, by_class in data["counts"].items()
    )
    return (
        f"## Data\n- {data['source']}{', ' + data['path'] if data['path'] else ''}: {counts} "
        f"images, {data['num_skipped']} unreadable skipped\n"
        f"- classes: {', '.join(names[:NAMED])}{more}\n- sha256 {data['sha256']}"
    )


def _figures(reports: Reports) -> str:
    """This model beside its teacher, in the same runtime and on the same images."""
    evaluation = reports["evaluate"]
    own, teacher = (evaluation["candidates"][n] for n in (evaluation["model"], "teacher"))
    rows = (
        ("test accuracy", "accuracy", ""),
        ("worst class's recall", "worst_class_recall", ""),
        ("agreement with torch", "onnx_agreement", ""),
        (f"per inference ({own['provenance']})", "inference_energy_j", "J"),
        ("latency p50, batch 1", "latency_ms_p50", "ms"),
        ("size", "size_bytes", "B"),
    )
    lines = [
        f"| {name} | {_cell(own[key], unit)} | {_cell(teacher[key], unit)} |"
        for name, key, unit in rows
    ]
    return "\n".join(["## Figures", "| | this model | teacher |", "|---|---|---|", *lines])


def _compression(reports: Reports) -> list[str]:
    lines = technique_lines(reports)
    return ["\n- ".join(["## Compression", *lines])] if lines else []


def _cell(value: float | None, unit: str) -> str:
    text = "unknown" if value is None else f"{value:.4g}"
    return f"{text} {unit}".strip()


def _training(reports: Reports) -> str:
    provenance = training_provenance(reports)
    return (
        f"## Training\n- {number(total_of(reports, 'energy_kwh'), 'kWh')}, "
        f"{provenance['energy']}\n- {number(total_of(reports, 'emissions_g'), 'g CO2e')}; "
        f"{number(total_of(reports, 'run_now_emissions_g'), 'g')} if run at once\n"
        f"- intensity: {provenance['intensity']}, {provenance['clock']} clock\n"
        f"- host {provenance['host']}, commit {provenance['commit']}"
    )


def _footprint(reports: Reports, params: Params) -> str:
    """Label and SCI (ISO/IEC 21031), of inference as it was probed and of training spread over the
    inferences that are expected."""
    evaluation = reports["evaluate"]
    own = evaluation["candidates"][evaluation["model"]]
    label = energy_label(own["times_less"]["teacher_torch"]["inference_energy_j"])
    intensity, joules = evaluation.get("mean_intensity_g_per_kwh"), own["inference_energy_j"]
    inference_g = None if None in (intensity, joules) else intensity * joules / KWH_IN_J
    expected, training_g = params.budgets.expected_inferences, total_of(reports, "emissions_g")
    whole = None
    if expected and inference_g is not None and training_g is not None:
        whole = Sci(training_g + expected * inference_g, 0.0, expected).g_per_unit
    return (
        f"## Energy label {label}\n- {SCALE}.\n"
        f"- an inference: {number(inference_g, 'g CO2e')} at {number(intensity, 'g/kWh')} "
        f"({own['provenance']} energy)\n"
        f"- SCI: {number(whole, 'g CO2e per inference')}, training spread over {expected:.3g} "
        "inferences; embodied carbon of hardware is not in it"
    )


def _limits(reports: Reports) -> str:
    evaluation, data = reports["evaluate"], reports["prepare"]["data"]
    own, runtime = evaluation["candidates"][evaluation["model"]], evaluation["runtime"]
    provenance = training_provenance(reports)
    recalls = own["recall_per_class"]
    weakest = data["class_names"][recalls.index(min(recalls))]
    limits = [
        "Any image gets one of the classes, one that shows none of them too.",
        f"Accuracy is of {evaluation['num_images']} test images of the same source; of images "
        "from elsewhere nothing is known.",
        f"The weakest class is {weakest}: recall {min(recalls):.3g}.",
        f"Joules and latency hold for {runtime['name']} {runtime['version']} with "
        f"{runtime['num_threads']} threads on {reports['evaluate']['provenance']['machine']}.",
    ]
    if data["num_test_images_in_train"]:
        limits.append(
            f"{data['num_test_images_in_train']} test images are training images, too: they "
            "flatter the accuracy."
        )
    if "replay" in provenance["clock"]:
        limits.append("Grams are weighed with a recorded grid, not with the grid of the day.")
    if provenance["energy"] != "measured":
        limits.append("Energy is not all measured: compare it with estimates of its own kind only.")
    return "\n- ".join(["## Limits", *limits])
