"""Small images are the same images: means stay, shapes keep their proportions."""

import torch

from lowtide.training.resize import shrink


def test_the_shorter_side_is_as_asked_and_the_shape_is_kept() -> None:
    images = torch.randint(0, 256, (2, 3, 32, 48), dtype=torch.uint8)
    small = shrink(images, 16)
    assert small.shape == (2, 3, 16, 24)
    assert small.dtype == torch.uint8
    assert abs(small.float().mean() - images.float().mean()) < 1.0


def test_an_image_that_is_small_enough_is_left_alone() -> None:
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    assert shrink(images, 8) is images
    assert shrink(images, 16) is images


def test_a_ramp_stays_a_ramp() -> None:
    ramp = torch.arange(0, 256, 8, dtype=torch.uint8).expand(1, 1, 32, 32)
    small = shrink(ramp, 16)[0, 0, 0].float()
    assert torch.allclose(small[1:-1].diff(), torch.tensor(16.0), atol=1.0)
