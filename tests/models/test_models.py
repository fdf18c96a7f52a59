"""The family fits all sizes; users' factories are checked; weights come back as they were."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lowtide.errors import ArtifactError, ModelError, UsageError
from lowtide.models.cost import count_macs, require_no_larger
from lowtide.models.factory import ModelSpec, build
from lowtide.models.family import NAMED, Stage, TideNetConfig, config_of
from lowtide.models.weights import load_model, read_notes, resize, save_model
from tests.compression.pruning import cut


def spec(factory: str = "tidenet-s", channels: int = 3, size: tuple[int, int] = (16, 16)):  # type: ignore[no-untyped-def]
    return ModelSpec(factory, channels, size, 5, (100.0,) * channels, (50.0,) * channels)


def linear(in_channels: int, image_size: tuple[int, int], num_classes: int) -> nn.Module:
    features = in_channels * image_size[0] * image_size[1]
    return nn.Sequential(nn.Flatten(), nn.Linear(features, num_classes))


def wrong_shape(*_: object) -> nn.Module:
    return nn.Flatten()


def two_answers(*arguments: Any) -> nn.Module:
    return TwoAnswers(linear(*arguments))


class TwoAnswers(nn.Module):
    """In training it gives an auxiliary head's logits, too."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        logits = self.head(images)
        return (logits, logits) if self.training else logits


def no_module(*_: object) -> str:
    return "a network"


def raises(*_: object) -> nn.Module:
    raise RuntimeError("out of ideas")


@pytest.mark.parametrize("name", [*sorted(NAMED), "tidenet-24p2-32x1-64x2-128", "tidenet-8p4-16"])
@pytest.mark.parametrize("size", [(8, 8), (24, 40), (96, 96)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_family_takes_every_size(name: str, size: tuple[int, int], channels: int) -> None:
    model = build(spec(name, channels, size)).eval()
    images = torch.randint(0, 256, (2, channels, *size), dtype=torch.uint8)
    assert model(images).shape == (2, 5)


def test_a_name_says_the_architecture() -> None:
    config = config_of("tidenet-24p2-32x1-64")
    assert config == TideNetConfig(24, 2, (Stage(32, 1), Stage(64, 0)))
    assert config.name == "tidenet-24p2-32x1-64"
    assert config_of("tidenet-m") == config_of("tidenet-16-48-96x1-192x1")
    patched = count_macs(build(spec("tidenet-24p2-32x1-64x1", size=(32, 32))), (3, 32, 32))
    plain = count_macs(build(spec("tidenet-24-32x1-64x1", size=(32, 32))), (3, 32, 32))
    assert patched < 0.3 * plain


@pytest.mark.parametrize("name", ["tidenet-0-16", "tidenet-16", "tidenet-16p0-8", "tidenet-q"])
def test_what_is_no_architecture_is_no_name(name: str) -> None:
    with pytest.raises(ModelError, match=r"no model named .*tidenet-24p2-32x1-64x1"):
        build(spec(name))


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "mine.py").write_text(Path(__file__).read_text())
    monkeypatch.syspath_prepend(tmp_path)
    return "mine"


def test_a_users_factory_is_called_as_documented(user_module: str) -> None:
    assert build(spec(f"{user_module}:linear"))(torch.zeros(1, 3, 16, 16)).shape == (1, 5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet", "no model named 'resnet': take tidenet-l"),
        ("nowhere:net", "cannot be imported"),
        ("mine:missing", "cannot be imported"),
        ("mine:no_module", "returned str"),
        ("mine:wrong_shape", r"expected \(2, 5\) logits"),
        ("mine:two_answers", "gives tuple for 2 images in training: .* the main head alone"),
        ("mine:raises", "RuntimeError: out of ideas"),
    ],
)
@pytest.mark.usefixtures("user_module")
def test_a_factory_that_cannot_be_used(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(spec(name))


def test_pruning_removes_channels_and_the_file_brings_them_back(tmp_path: Path) -> None:
    model = build(spec())
    result = cut(model, (3, 16, 16), macs_fraction=0.6, round_to=8)
    assert result.macs_after <= 0.6 * result.macs_before
    assert result.macs_after == count_macs(model, (3, 16, 16))
    assert result.parameters_after < result.parameters_before
    assert all(after % 8 == 0 for _, after in result.channels.values())
    save_model(tmp_path / "pruned.safetensors", model, spec())
    again, _ = load_model(tmp_path / "pruned.safetensors")
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    assert torch.equal(model.eval()(images), again.eval()(images))


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is missing: run `dvc repro`"):
        load_model(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello, this is no model")
    with pytest.raises(ArtifactError, match="is not a lowtide model"):
        load_model(tmp_path / "text.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, value: float) -> None:
    model, path = build(spec()), tmp_path / "teacher.safetensors"
    nn.init.constant_(model.net.head[2].bias, value)
    save_model(path, model, spec())
    with pytest.raises(ArtifactError, match=r"teacher.safetensors holds NaN or inf in net.head.2."):
        load_model(path)


def test_only_a_larger_student_is_refused() -> None:
    small, large, shape = build(spec("tidenet-s")), build(spec("tidenet-m")), (3, 16, 16)
    require_no_larger(small, large, shape)
    require_no_larger(small, small, shape)
    with pytest.raises(UsageError) as refusal:
        require_no_larger(large, small, shape)
    for model in (small, large):
        assert f"{count_macs(model, shape) / 1e6:.3g} M" in str(refusal.value)
    assert "model.student" in str(refusal.value)


class Every(nn.Module):
    """Layers of the kinds that keep a width of their own, and a parameter beside them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.depth = nn.Conv2d(3, width, 3), nn.Conv2d(width, width, 3, groups=width)
        self.norm, self.instance = nn.BatchNorm2d(width), nn.InstanceNorm2d(width, affine=True)
        self.prelu, self.scale = nn.PReLU(width), nn.Parameter(torch.rand(1, width, 1, 1))
        self.hidden, self.flat = nn.Linear(width, 2 * width), nn.BatchNorm1d(2 * width)
        self.head = nn.Linear(2 * width, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.instance(self.norm(self.depth(self.conv(images))))
        features = self.scale * self.prelu(features)
        return self.head(self.flat(self.hidden(features.mean((2, 3)))))  # type: ignore[no-any-return]


def test_every_kind_of_layer_takes_the_width_of_the_saved_one() -> None:
    narrow, wide = Every(6).eval(), Every(16).eval()
    saved = narrow.state_dict()
    resize(wide, saved)
    wide.load_state_dict(saved)
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(wide(images), narrow(images))
    assert str(wide) == str(narrow)  # they say of themselves what they are


def test_notes_are_kept_beside_the_weights(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_model(path, build(spec()), spec(), {"round": 2})
    assert read_notes(path) == {"round": 2}
    assert load_model(path)[1].factory == spec().factory
    path.write_text("damaged")
    assert read_notes(path) is None
