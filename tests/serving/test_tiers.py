"""Who answers at an hour: the champion, or a smaller variant that is accurate enough."""

from pathlib import Path

import pytest

from lowtide.errors import UsageError
from lowtide.params import load_checked
from lowtide.serving.model import Figures, ServedModel
from lowtide.serving.server import Running
from lowtide.serving.tiers import TierParams, Tiers, choose
from tests.runtime.files import write_classifier
from tests.serving.running import settings_of

TIERS = (
    TierParams(name="small", alias="small", above_g_per_kwh=200),
    TierParams(name="tiny", alias="tiny", above_g_per_kwh=400),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("model") / "m.onnx")


def opened(path: Path, accuracy: float | None) -> ServedModel:
    return ServedModel.open(path, name="m", figures=Figures(accuracy=accuracy), num_threads=1)


@pytest.fixture(scope="module")
def models(path: Path) -> dict[str, ServedModel]:
    accuracy = {"champion": 0.90, "small": 0.89, "tiny": 0.80}
    return {place: opened(path, value) for place, value in accuracy.items()}


@pytest.mark.parametrize(
    ("intensity", "allowed", "place"),
    [
        (None, 0.2, "champion"),
        (199, 0.2, "champion"),
        (200, 0.2, "small"),
        (200, 0.01, "small"),
        (200, 0.005, "champion"),
        (400, 0.2, "tiny"),
        (400, 0.01, "small"),
    ],
)
def test_the_dirtier_the_hour_the_smaller_the_variant_within_the_allowance(
    models: dict[str, ServedModel], intensity: float | None, allowed: float, place: str
) -> None:
    assert choose(models, TIERS, allowed, intensity) == place


def test_what_is_unknown_or_another_model_does_not_stand_in(
    models: dict[str, ServedModel], path: Path
) -> None:
    assert choose({**models, "tiny": opened(path, None)}, TIERS, 1, 500) == "small"
    other = write_classifier(path.parent / "other.onnx", side=10)
    assert choose({**models, "tiny": opened(other, 0.9)}, TIERS, 1, 500) == "small"
    assert choose({"champion": models["champion"]}, TIERS, 1, 500) == "champion"


@pytest.mark.parametrize(
    ("champion", "small", "why"),
    [
        (0.9, 0.8, "its accuracy is 0.8, the champion's 0.9: accuracy_drop_max is 0.01"),
        (None, 0.9, "its accuracy or the champion's is unknown"),
        (0.9, 0.895, None),
    ],
)
def test_a_tier_that_never_answers_is_warned_of(
    path: Path, champion: float | None, small: float, why: str | None, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    tier = TierParams(name="small", model=path, accuracy=small, above_g_per_kwh=200)
    tiers = Tiers(accuracy_drop_max=0.01, champion_accuracy=champion, carbon_tiers=(tier,))
    Running(settings_of(tmp_path, path, tiers=tiers)).open_files()
    said = [record.message for record in caplog.records]
    if why is None:
        assert said == []
    else:
        assert len(said) == 1
        assert said[0].startswith(f"tier small never answers: {why}")


def test_a_file_of_tiers_is_read(tmp_path: Path) -> None:
    file = tmp_path / "tiers.yaml"
    file.write_text(
        "accuracy_drop_max: 0.01\nchampion_accuracy: 0.9\ncarbon_tiers:\n"
        "  - {name: small, model: small.onnx, accuracy: 0.895, above_g_per_kwh: 300}\n"
    )
    tiers = load_checked(file, Tiers)
    assert tiers.carbon_tiers[0].model == Path("small.onnx")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accuracy_drop_max: 2\ncarbon_tiers: []", "accuracy_drop_max"),
        ("accuracy_drop_max: 0\ncarbon_tiers: []\nother: 1", "other"),
        ("accuracy_drop_max: 0\ncarbon_tiers: [{name: a, above_g_per_kwh: 1}]", "model or alias"),
        (
            "accuracy_drop_max: 0\ncarbon_tiers: [{name: a, model: m.onnx, above_g_per_kwh: 1}]",
            "accuracy belongs",
        ),
        (
            "accuracy_drop_max: 0\ncarbon_tiers: [{name: ../a, alias: b, above_g_per_kwh: 1}]",
            "name",
        ),
        ("accuracy_drop_max: [", "not valid YAML"),
        ("accuracy_drop_max: 0\naccuracy_drop_max: 1\ncarbon_tiers: []", "given twice"),
    ],
)
def test_a_wrong_file_of_tiers_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "tiers.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        load_checked(file, Tiers)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(UsageError, match="cannot be read"):
        load_checked(tmp_path / "none.yaml", Tiers)
