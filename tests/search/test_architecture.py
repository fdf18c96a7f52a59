"""A network is stretched in the way that its name then says."""

import pytest

from lowtide.errors import ParamsError
from lowtide.models.family import config_of
from lowtide.search.architecture import stretched


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "tidenet-16-32-64x1-128x1"),
        ({"width": 16}, "tidenet-16-16-32x1-64x1"),
        ({"width": 12}, "tidenet-16-12-24x1-48x1"),
        ({"depth": 2}, "tidenet-16-32-64x2-128x2"),
        ({"depth": 0, "stem": 8, "patch": 2}, "tidenet-8p2-32-64-128"),
    ],
)
def test_a_stretched_network_keeps_what_is_not_changed(changes: dict[str, int], name: str) -> None:
    assert stretched("tidenet-s", changes) == name
    assert config_of(name) is not None


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("mine:net", {"width": 16}, "mine:net is none: take tidenet"),
        ("tidenet-8-16-32", {"depth": 1}, "tidenet-8-16-32 has no residual blocks"),
    ],
)
def test_what_cannot_be_stretched_is_named(
    name: str, changes: dict[str, int], message: str
) -> None:
    with pytest.raises(ParamsError, match=message):
        stretched(name, changes)
