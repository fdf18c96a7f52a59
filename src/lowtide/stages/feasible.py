"""What is refused before a network is trained, since an untrained one tells it."""

from lowtide.compression.eligible import require_prunable
from lowtide.models.cost import Shape, require_no_larger
from lowtide.models.factory import Classifier
from lowtide.params import Params


def require_feasible(
    params: Params, student: Classifier, teacher: Classifier, input_shape: Shape
) -> None:
    """`student`: what `distill` trains and `prune` cuts; it may be the teacher.

    Raises:
        UsageError: it takes more multiply-adds than its teacher.
        ModelError: pruning cannot bring it down to prune.macs_fraction. Where a target may be met
            without `prune` that is not asked.
    """
    if student is not teacher:
        require_no_larger(student, teacher, input_shape)
    if params.compress.energy_ratio_min is None:
        require_prunable(student, input_shape, params.prune)
