"""What has to be the same in several places is; what outside scripts rely on is there."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lowtide.artifacts import STAGES
from lowtide.params import Params

ROOT = Path(__file__).parent.parent


def dvc_yaml() -> dict[str, dict]:  # type: ignore[type-arg]
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def test_a_stage_has_the_same_name_in_all_its_places() -> None:
    files = {path.stem for path in (ROOT / "src/lowtide/stages").glob("*.py")}
    assert tuple(dvc_yaml()) == ("inputs", *STAGES)
    assert set(STAGES) <= files
    for name in STAGES:
        assert dvc_yaml()[name]["cmd"] == f"lowtide stage {name}"


def test_dvc_deps_are_what_each_stage_imports() -> None:
    """Else DVC would serve a stale model after a change of code."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import write_dvc
    finally:
        sys.path.pop(0)
    assert dvc_yaml() == write_dvc.content()["stages"], "run scripts/write_dvc.py"


def test_every_params_section_that_dvc_names_exists() -> None:
    for entry in dvc_yaml().values():
        for key in entry.get("params", []):
            assert key.split(".")[0] in Params.model_fields


def test_params_files_have_every_section_of_the_contract() -> None:
    wanted = {"seed", "data", "carbon", "schedule", "objective", "model", "train", "distill",
              "prune", "quantize", "export", "evaluate", "budgets", "controller",
              "search", "compress"}  # fmt: skip
    for path in (ROOT / "params.yaml", ROOT / "examples/cifar10/params.yaml"):
        assert set(yaml.safe_load(path.read_text())) == wanted


def test_make_has_the_targets_of_the_contract() -> None:
    text = (ROOT / "Makefile").read_text()
    for target in ("setup", "run", "test", "integration", "bench", "ui"):
        assert re.search(rf"^{target}:", text, re.MULTILINE), target


def test_the_mlflow_folder_holds_no_python() -> None:
    """A module there would shadow the library."""
    assert not list((ROOT / "mlflow").rglob("*.py"))


def test_the_library_needs_neither_mlflow_nor_codecarbon_to_train() -> None:
    """On a GPU host they are not installed: importing the stage must not import them."""
    code = (
        "import sys, lowtide.stages.train\n"
        "bad = {'mlflow', 'codecarbon', 'prefect', 'dvc', 'onnxruntime', 'torch_pruning',"
        " 'pandas', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(bad)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def tool(name: str) -> str:
    path = Path(sys.executable).parent / name
    if not path.exists():
        pytest.skip(f"{name} is not installed")
    return str(path)


@pytest.mark.parametrize(
    "command",
    [
        ("actionlint",),
        ("zizmor", "--offline", "--quiet", ".github/workflows"),
        ("hadolint", "deploy/Dockerfile.cpu", "deploy/Dockerfile.cuda", "deploy/serve/Dockerfile"),
        ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml"),
    ],
    ids=lambda command: command[0],
)
def test_deployment_files_are_clean(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [tool(command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_deployments_have_their_names() -> None:
    content = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    found = {d["name"]: d["entrypoint"] for d in content["deployments"]}
    pipeline = "flows/pipeline.py:carbon_aware_pipeline"
    assert found == {
        **dict.fromkeys(("nightly", "on-demand", "on-push", "on-drift"), pipeline),
        "quarter-hourly": "flows/balance.py:balance",
        "watch": "flows/watch.py:watch_server",
    }


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"scripts/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_the_ablation_are_what_the_benchmark_found() -> None:
    module = script("write_ablation")
    result = json.loads(module.KEPT.read_text())
    assert module.brief(result) in (ROOT / "README.md").read_text()
    assert module.table(result) in (ROOT / "docs/experiments.md").read_text()


def test_the_table_of_results_is_what_the_reports_say() -> None:
    module = script("write_results")
    assert module.README.read_text() == module.readme()
    assert module.table().count("| ") > 10


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 190
