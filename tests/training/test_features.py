"""A student's last features come to match its teacher's, of any network, also after a kill."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lowtide.data.batches import Batches
from lowtide.errors import ModelError
from lowtide.models.cost import count_macs
from lowtide.params import DistillParams
from lowtide.training import work as module
from lowtide.training.features import FeatureLoss, LastFeatures, distance, feature_loss
from lowtide.training.fit import fit
from lowtide.training.losses import soft_loss
from lowtide.training.teacher import Teacher, TeacherAnswers
from lowtide.training.work import Fit
from tests.objective import nets
from tests.training.small import (
    CPU,
    NUM_STEPS,
    RECIPE,
    KillAfter,
    StopAt,
    arrays,
    assert_same_weights,
    model,
    work,
)

SHAPE = (1, 8, 8)
TAUGHT = DistillParams(
    **RECIPE.model_dump(exclude={"label_smoothing"}), temperature=4.0, soft_weight=0.5,
    feature_weight=1.0, views=None, teacher_tta="none",
    image_scale=1.0,
)  # fmt: skip


class Tokens(nn.Module):
    """A small transformer: its last layer is given all tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(8, 16)
        self.mix = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(input=self.mix(self.embed(images.float().flatten(1, 2)))).mean(1)


class Pixels(nn.Module):
    """Fully convolutional: its last layer is a 1x1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images.float()).relu()).mean((2, 3))


class Folded(nn.Module):
    """Its last layer sees rows of images, not images."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.float().flatten(0, 2)).unflatten(0, (len(images), 8)).mean(1)


class NoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean((1, 2, 3))[:, None] * self.scale


def taught(folder: Path) -> Fit:
    """A narrower student of a teacher with 64 features, a projection to learn in between."""
    teacher = model()
    with torch.no_grad():
        teacher.net.head[2].weight.mul_(10)
    made = work(folder, TAUGHT)  # type: ignore[arg-type]
    torch.manual_seed(1)
    made.model.net = Pixels()
    features = LastFeatures(teacher, SHAPE)
    answers = TeacherAnswers(Teacher(teacher, "fp32", "teacher", features), None)
    student = LastFeatures(made.model, SHAPE)
    made.loss = feature_loss(answers, student, features.size, TAUGHT, seed=0)
    made.__post_init__()
    return made


def whole_batch() -> tuple[Tensor, Tensor]:
    batch = next(iter(Batches(arrays(), 40, shuffle=False, seed=0, device=CPU).epoch(0)))
    return batch.images, batch.labels


def projection(done: Fit) -> dict[str, Tensor]:
    assert isinstance(done.loss, FeatureLoss)
    return done.loss.state_dict()


def test_features_are_one_row_an_image_whatever_the_network() -> None:
    images, _ = whole_batch()
    for network, size in ((model(), 64), (Tokens(), 16), (Pixels(), 6)):
        features = LastFeatures(network, SHAPE)
        logits = network.eval()(images)
        rows = features.take(40)
        assert (rows.shape, features.size) == ((40, size), size)
        last = network.net.head[2] if size == 64 else network.head
        weight = last.weight.flatten(1)  # the mean of a linear map is the map of the mean
        assert torch.allclose(rows @ weight.T + last.bias, logits, atol=1e-4)


def test_features_that_are_no_rows_of_images_are_refused() -> None:
    network = Folded()
    features = LastFeatures(network, SHAPE)
    network(whole_batch()[0])
    with pytest.raises(ModelError, match=r"\(320, 8\) for 40 images.*feature_weight to 0"):
        features.take(40)


def test_a_network_without_layers_has_no_features() -> None:
    with pytest.raises(ModelError, match=r"NoLayers does not end in .* made by no layer"):
        LastFeatures(NoLayers(), SHAPE)


class Shared(nn.Module):
    """Its last layer is asked again afterwards, for something else."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 6, 3)
        self.head = nn.Linear(6, 4)

    def forward(self, images: Tensor) -> Tensor:
        early = self.stem(images.float()).relu()
        logits = self.head(self.body(early).relu().mean((2, 3)))
        self.aside = self.head(early.mean((2, 3)))
        return logits  # type: ignore[no-any-return]


class Pairs(nn.Module):
    """It ends in a layer that is given two rows."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(1, 6, 3), nn.Bilinear(6, 6, 4)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.stem(images.float()).mean((2, 3))
        return self.head(rows, rows)  # type: ignore[no-any-return]


def test_features_are_those_of_the_layer_that_makes_the_outputs() -> None:
    """Not of an auxiliary head that is computed after it, nor of another use of it."""
    batch = torch.rand(5, *nets.SHAPE)
    for network, inner in ((nets.Auxiliary(), "body"), (nets.Reused(), "body")):
        features = LastFeatures(network, nets.SHAPE)
        given: list[Tensor] = []
        layer = network.get_submodule(inner)
        layer.register_forward_hook(lambda _module, _inputs, rows, to=given: to.append(rows))
        network(batch)
        rows = given[0].relu() if given[0].ndim == 2 else given[0].relu().mean((2, 3))
        assert torch.equal(features.take(5), rows)


@pytest.mark.parametrize(
    ("network", "shape", "found"),
    [
        (Pairs(), SHAPE, "Pairs .* made by head"),
        (Shared(), SHAPE, "Shared .* made by head"),
        (nets.TwoHeads(), nets.SHAPE, "TwoHeads .* made by left, right"),
    ],
)
def test_features_of_no_one_layer_are_refused(
    network: nn.Module, shape: tuple[int, int, int], found: str
) -> None:
    with pytest.raises(ModelError, match=f"{found}.*set feature_weight to 0"):
        LastFeatures(network, shape)


def test_distance_is_that_of_directions() -> None:
    some = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    assert distance(some, 7 * some) == pytest.approx(0.0, abs=1e-6)
    assert distance(some, -some) == pytest.approx(4.0)
    assert distance(some, torch.tensor([[-4.0, 3.0], [5.0, 0.0]])) == pytest.approx(2.0)


def test_the_loss_of_the_teacher_itself_is_that_of_its_logits(tmp_path: Path) -> None:
    """With as many features the projection begins as the identity."""
    teacher = model().eval()
    answers = TeacherAnswers(Teacher(teacher, "fp32", "t", LastFeatures(teacher, SHAPE)), None)
    loss = feature_loss(answers, LastFeatures(teacher, SHAPE), 64, TAUGHT, seed=0)
    batch = next(iter(work(tmp_path).train.epoch(0)))
    logits = teacher(batch.images)
    alone = soft_loss(batch, logits, logits, TAUGHT.temperature, TAUGHT.soft_weight)
    assert loss(batch, logits).item() == pytest.approx(alone.item(), abs=1e-6)


def test_the_projection_is_learnt_and_features_come_to_match(tmp_path: Path) -> None:
    def apart(done: Fit) -> float:
        batch = next(iter(done.train.epoch(0)))
        logits = done.model.eval()(batch.images)
        both = done.loss(batch, logits)
        assert isinstance(done.loss, FeatureLoss)
        answer = done.loss._answers(batch)[:, :4]
        soft = soft_loss(batch, logits, answer, TAUGHT.temperature, TAUGHT.soft_weight)
        return float((both - soft).detach())

    learning = taught(tmp_path)
    begun, before = projection(learning)["projection.weight"].clone(), apart(learning)
    fit(learning, [])
    assert not torch.equal(projection(learning)["projection.weight"], begun)
    assert apart(learning) < 0.7 * before


@pytest.mark.parametrize("end", [StopAt(7), KillAfter(2 * NUM_STEPS)])
def test_interrupted_and_resumed_is_bit_identical(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: StopAt | KillAfter
) -> None:
    """Weights and projection, with a checkpoint at each step."""
    monkeypatch.setattr(module, "SAVE_EVERY_S", 0.0)
    whole = taught(tmp_path / "whole")
    fit(whole, [])
    with pytest.raises(KeyboardInterrupt):
        fit(taught(tmp_path / "parts"), [end])
    torch.manual_seed(99)
    resumed = taught(tmp_path / "parts")
    assert resumed.progress.step > 0
    fit(resumed, [])
    assert_same_weights(whole.model, resumed.model)
    for name, tensor in projection(whole).items():
        assert torch.equal(tensor, projection(resumed)[name])


def test_the_projection_is_no_part_of_the_student(tmp_path: Path) -> None:
    learning, plain = taught(tmp_path), Pixels()
    assert count_macs(learning.model, SHAPE) == count_macs(plain, SHAPE)
    own = {name.removeprefix("net.") for name in learning.model.state_dict()} - {"mean", "std"}
    assert own == set(plain.state_dict())
    assert any(learning.beside.projection.weight is one for one in learning.held())  # type: ignore[union-attr]
