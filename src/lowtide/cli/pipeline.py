"""Commands about the pipeline: its stages, verdict, report and environment."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from lowtide.artifacts import ANSWERS, FAILURE, TRAINING, write_text
from lowtide.cli.app import PARAMS, Json, ParamsFile, app, show
from lowtide.errors import ArtifactError, LowtideError, ModelError, UsageError

INTERRUPTED_EXIT_CODE = 130  # as a shell says of SIGINT


@app.command()
def stage(
    name: Annotated[str, typer.Argument(help="prepare, train, distill, prune, ... judge")],
    params: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Run one stage of the pipeline; what dvc.yaml calls."""
    from lowtide.stages.run import run_stage
    from lowtide.training.pacing import DEFERRED_EXIT_CODE, Deferred
    from lowtide.training.world import Place

    leads = Place.of_environment().leads  # else another process says what there is to say
    try:
        report = run_stage(name, params)
    except Deferred as deferred:
        if leads:
            print(f"lowtide: {name} is {deferred}; run again it goes on", file=sys.stderr)
        sys.exit(DEFERRED_EXIT_CODE)
    except KeyboardInterrupt:
        if leads:
            print(f"lowtide: {name} is interrupted; run again it goes on from its last checkpoint",
                  file=sys.stderr)  # fmt: skip
        sys.exit(INTERRUPTED_EXIT_CODE)
    except LowtideError as error:
        if leads:
            with suppress(ArtifactError):  # of a full disk
                write_text(FAILURE, str(error))
        elif isinstance(error, UsageError | ModelError):
            sys.exit(error.exit_code)
        raise
    if report is None:
        return
    from lowtide.report.text import stage_line

    show(report, as_json, stage_line(report))


@app.command()
def inputs(params: ParamsFile = PARAMS, as_json: Json = False) -> None:
    """Fingerprint the images and one's own networks; dvc.yaml calls it before the stages."""
    from lowtide.data.inputs import write_inputs
    from lowtide.params import load_params

    found = write_inputs(load_params(params))
    show(found, as_json, "\n".join(f"{name}: {text}" for name, text in found.items()))


@app.command()
def judge(as_json: Json = False, params: ParamsFile = PARAMS) -> None:
    """The verdict from the reports on disk, under the budgets in params.yaml; 3 if refused."""
    from lowtide.evaluation.answers import read_answers
    from lowtide.evaluation.figures import from_reports
    from lowtide.evaluation.judge import judge as decide
    from lowtide.params import load_params
    from lowtide.pipeline import read_reports
    from lowtide.report.text import verdict_text

    reports = read_reports()
    missing = [name for name in (*TRAINING, "evaluate", "prepare") if name not in reports]
    if missing:
        raise UsageError(f"no report of {', '.join(missing)} in reports/: run `dvc repro` first")
    budgets = load_params(params).budgets
    figures = from_reports(reports, read_answers(ANSWERS), budgets.confidence)
    verdict = decide(figures, budgets)
    show(verdict.to_json(), as_json, verdict_text(verdict.to_json()))
    if not verdict.passed:
        sys.exit(3)


@app.command()
def report(as_json: Json = False, params: ParamsFile = PARAMS) -> None:
    """Write reports/passport.html and reports/passport.json from the reports on disk."""
    from lowtide.params import load_params
    from lowtide.report.passport import write_passport

    written = write_passport(load_params(params))
    show(written, as_json, f"wrote {written['html']} and {written['json']}")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A model that lowtide exported.")],
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    as_json: Json = False,
) -> None:
    """Classify images with an exported model, and estimate the joules of one inference."""
    from lowtide.evaluation.predict import predict_files

    content = predict_files(model, images)
    lines = [f"{p['path']}: {p['label']} ({p['probability']:.2f})" for p in content["predictions"]]
    joules = content["energy_j_per_inference"]
    energy = "energy unknown" if joules is None else f"{joules:.3g} J an inference, one at a time"
    lines.append(f"{energy} ({content['provenance']})")
    show(content, as_json, "\n".join(lines))


@app.command()
def doctor(as_json: Json = False, params: ParamsFile = PARAMS) -> None:
    """Check this machine and checkout, and say how to mend what is wrong."""
    from lowtide.doctor import check_all
    from lowtide.report.text import doctor_text

    checks = check_all(params)
    show({"checks": checks}, as_json, doctor_text(checks))
    if not all(check["ok"] for check in checks):
        sys.exit(1)
