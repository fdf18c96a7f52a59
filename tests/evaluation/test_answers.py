"""What each model said goes through a file; half of one is said to be so."""

from pathlib import Path

import numpy as np
import pytest

from lowtide.errors import ArtifactError
from lowtide.evaluation.answers import answers_of, read_answers, write_answers
from tests.evaluation.judged import answers


def test_confidence_is_the_softmax_of_the_class_that_is_named() -> None:
    named, confidence = answers_of(np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])))
    assert named.tolist() == [0, 2]
    assert confidence.tolist() == pytest.approx([0.7, 0.8])


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_a_part_of_a_file_is_refused(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "answers.npz"
    write_answers(path, answers(range(5), range(7)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ArtifactError, match=r"no usable answers .* run `lowtide stage evaluate`"):
        read_answers(path)
