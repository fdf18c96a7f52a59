"""A student is taught what its teacher's last layer is given, beside what the teacher answers.

Features matched through a learnt map are Romero et al., "FitNets" (2015); that the last ones tell
most is Chen et al., "Knowledge Distillation with the Reused Teacher Classifier" (2022).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lowtide.data.batches import Batch
from lowtide.errors import ModelError
from lowtide.objective.layers import CUT
from lowtide.objective.outputs import products
from lowtide.params import DistillParams
from lowtide.training.losses import Answers, soft_loss

REMEDY = "set feature_weight to 0 to teach by logits alone"


class LastFeatures:
    """What the layer that makes a model's outputs is given; the model may be anyone's.

    Raises:
        ModelError: they are not made by one linear layer or convolution, when it is used last.
    """

    def __init__(self, model: nn.Module, input_shape: tuple[int, int, int]) -> None:
        layer = _last_layer(model, input_shape)
        self.size = _num_inputs(layer)
        self._over_pixels = isinstance(layer, nn.Conv2d)
        self._latest: Tensor | None = None
        layer.register_forward_pre_hook(self._keep, with_kwargs=True)

    def take(self, num_images: int) -> Tensor:
        """Those of the last forward pass, float32 [B, D]: means over tokens or pixels.

        Raises:
            ModelError: they are not one row for each of the images.
        """
        features, self._latest = self._latest, None
        if features is None or len(features) != num_images:
            found = "nothing" if features is None else f"{tuple(features.shape)}"
            raise ModelError(
                f"the last layer is given {found} for {num_images} images, which cannot be "
                f"matched: {REMEDY}"
            )
        return _pooled(features.float(), self._over_pixels)

    def _keep(self, _: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._latest = inputs[0] if inputs else named["input"]


class FeatureLoss(nn.Module):
    """The distillation loss plus `feature_weight` times the distance of features.

    The projection from the student's features to the teacher's is learnt along with the student,
    and is no part of it.
    """

    def __init__(
        self, answers: Answers, student: LastFeatures, num_features: int, recipe: DistillParams
    ) -> None:
        """answers: logits and then `num_features` features of the teacher, [B, K + D]."""
        super().__init__()
        self._answers, self._student, self._recipe = answers, student, recipe
        self.projection = nn.Linear(student.size, num_features)
        if student.size == num_features:  # a student that begins as its teacher matches it
            nn.init.eye_(self.projection.weight)
            nn.init.zeros_(self.projection.bias)

    def forward(self, batch: Batch, logits: Tensor) -> Tensor:
        """Scalar, for the student's logits [B, K]."""
        answers = self._answers(batch)
        taught, features = answers[:, : logits.shape[1]], answers[:, logits.shape[1] :]
        own = self.projection(self._student.take(len(logits)))
        soft = soft_loss(batch, logits, taught, self._recipe.temperature, self._recipe.soft_weight)
        return soft + self._recipe.feature_weight * distance(own, features)


def distance(features: Tensor, others: Tensor) -> Tensor:
    """Mean over images of the squared distance of features [B, D] scaled to length 1: 0 to 4."""
    apart = F.normalize(features, dim=1) - F.normalize(others, dim=1)
    return apart.square().sum(dim=1).mean()


def feature_loss(
    answers: Answers, student: LastFeatures, num_features: int, recipe: DistillParams, seed: int
) -> FeatureLoss:
    """With a projection drawn from the seed alone, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FeatureLoss(answers, student, num_features, recipe)


def _last_layer(model: nn.Module, input_shape: tuple[int, int, int]) -> nn.Module:
    uses = products(model, input_shape)
    makers = [name for name, made in uses if made]
    layers = [model.get_submodule(name) for name in makers]
    if len(layers) == 1 and isinstance(layers[0], CUT) and dict(uses)[makers[0]]:
        return layers[0]
    kind = type(model).__name__
    found = ", ".join(name or kind for name in makers) or "no layer"
    raise ModelError(
        f"{kind} does not end in the last use of one linear layer or convolution, whose inputs "
        f"could be matched (what it says is made by {found}): {REMEDY}"
    )


def _num_inputs(layer: nn.Module) -> int:
    return int(layer.in_channels if isinstance(layer, nn.Conv2d) else layer.in_features)  # type: ignore[arg-type]


def _pooled(features: Tensor, over_pixels: bool) -> Tensor:
    """[B, D, H, W] or [B, ..., D] -> [B, D]."""
    if over_pixels:
        return features.flatten(2).mean(dim=2)
    return features if features.ndim == 2 else features.flatten(1, -2).mean(dim=1)
