"""What training minimises: labels alone, or labels and a teacher's soft answers."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lowtide.training.recipe import Precision, autocast

LossFunction = Callable[[Tensor, Tensor, Tensor], Tensor]  # (images, logits, labels) -> scalar


def label_loss(label_smoothing: float) -> LossFunction:
    def loss(_images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)

    return loss


def distillation_loss(
    teacher: nn.Module, temperature: float, soft_weight: float, precision: Precision
) -> LossFunction:
    """(1-w) cross-entropy + w T^2 KL(teacher || student) at temperature T (Hinton et al., 2015).

    The teacher sees the same augmented images as the student.
    """
    teacher.eval().requires_grad_(False)

    def loss(images: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad(), autocast(images.device, precision):
            answers = teacher(images).float()
        soft = F.kl_div(
            F.log_softmax(logits / temperature, dim=1),
            F.log_softmax(answers / temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        hard = F.cross_entropy(logits, labels)
        return (1 - soft_weight) * hard + soft_weight * temperature**2 * soft

    return loss
