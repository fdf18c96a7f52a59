"""The command line: JSON where asked, one line for errors, the exit codes of the contract."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lowtide.cli import app

runner = CliRunner()


def lowtide(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The real program, in the current folder."""
    return subprocess.run(
        [sys.executable, "-m", "lowtide", *arguments], capture_output=True, text=True, check=False
    )


def test_help_lists_every_command_with_a_sentence() -> None:
    printed = runner.invoke(app, ["--help"]).output
    for command in app.registered_commands:
        assert command.callback is not None
        assert (command.name or command.callback.__name__) in printed
        assert command.callback.__doc__


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom lowtide.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'mlflow', 'numpy', 'pandas', 'pydantic', 'prefect', 'onnxruntime'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_intensity_of_the_packaged_trace(write_params: Callable[..., Path]) -> None:
    write_params()
    arguments = ["intensity", "--trace", "packaged", "--at", "2022-04-14T19:00Z", "--json"]
    content = json.loads(runner.invoke(app, arguments).output)
    assert content["at"] == "2022-04-14T19:00:00Z"
    assert 0 < content["intensity_g_per_kwh"] < 700
    assert {"zone", "source", "kind"} <= set(content)


def test_a_plan_saves_or_runs_now(write_params: Callable[..., Path]) -> None:
    write_params()
    arguments = ["plan", "--work-hours", "3", "--deadline-hours", "24", "--trace", "packaged",
                 "--at", "2022-04-14T03:00Z", "--json"]  # fmt: skip
    content = json.loads(runner.invoke(app, arguments).output)
    assert content["emissions_g_per_kw"] <= content["run_now_emissions_g_per_kw"]
    worked = sum(1 for slot in content["slots"] if slot["level"] > 0)
    assert worked >= 1
    contiguous = json.loads(runner.invoke(app, [*arguments, "--contiguous"]).output)
    assert len(contiguous["slots"]) == 1


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["stage", "train"], 2, "params.yaml"),
        (["stage", "dance"], 2, "no stage 'dance'"),
        (["judge"], 2, "no report of train"),
        (["predict", "none.onnx", "none.png"], 1, "none.onnx"),
        (["dance"], 2, "No such command"),
    ],
)
def test_an_error_is_one_line_with_its_code(arguments: list[str], code: int, message: str) -> None:
    done = lowtide(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_work_that_does_not_fit_is_a_refusal(write_params: Callable[..., Path]) -> None:
    write_params()
    done = lowtide("plan", "--work-hours", "9", "--deadline-hours", "4", "--trace", "packaged",
                   "--at", "2022-04-14T03:00Z")  # fmt: skip
    assert done.returncode == 3
    assert "earliest finish" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_bad_instant_is_named(write_params: Callable[..., Path]) -> None:
    write_params()
    done = lowtide("intensity", "--at", "yesterday")
    assert done.returncode == 2
    assert "yesterday" in done.stderr


def test_the_doctor_says_what_is_wrong_and_how_to_mend_it(checkout: Path) -> None:
    (checkout / "params.yaml").write_text("seed: 0\n")
    done = lowtide("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    assert checks["python"]["ok"]
    assert checks["energy"]["ok"]
    assert not checks["params"]["ok"]
    assert "mend params.yaml" in checks["params"]["fix"]
