"""What training minimises: labels alone, or labels and a teacher's soft answers."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from lowtide.data.batches import Batch

# (batch, logits [B, K]) -> scalar. One that is a module has parameters of its own, learnt along.
LossFunction = Callable[[Batch, Tensor], Tensor]
Answers = Callable[[Batch], Tensor]  # what the teacher says: logits [B, K], perhaps features behind


def label_loss(label_smoothing: float) -> LossFunction:
    def loss(batch: Batch, logits: Tensor) -> Tensor:
        return F.cross_entropy(logits, batch.labels, label_smoothing=label_smoothing)

    return loss


def distillation_loss(answers: Answers, temperature: float, soft_weight: float) -> LossFunction:
    """`soft_loss` of a teacher that sees the same augmented images as the student."""

    def loss(batch: Batch, logits: Tensor) -> Tensor:
        return soft_loss(batch, logits, answers(batch), temperature, soft_weight)

    return loss


def soft_loss(
    batch: Batch, logits: Tensor, taught: Tensor, temperature: float, soft_weight: float
) -> Tensor:
    """(1-w) cross-entropy + w T^2 KL(teacher || student) at temperature T (Hinton et al., 2015).

    logits, taught: of the student and the teacher, [B, K].
    """
    soft = F.kl_div(
        F.log_softmax(logits / temperature, dim=1),
        F.log_softmax(taught / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    hard = F.cross_entropy(logits, batch.labels)
    return (1 - soft_weight) * hard + soft_weight * temperature**2 * soft
