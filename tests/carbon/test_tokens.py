"""Tokens from the environment: named when missing, never shown."""

import pytest

from lowtide.carbon import tokens
from lowtide.errors import CarbonError


def test_a_token_comes_without_white_space() -> None:
    assert tokens.read("T", {"T": " abc \n"}) == "abc"
    assert tokens.has("T", environment={"T": "abc"})


@pytest.mark.parametrize("environment", [{}, {"T": ""}, {"T": "  "}])
def test_a_missing_token_is_named(environment: dict[str, str]) -> None:
    assert not tokens.has("T", environment=environment)
    with pytest.raises(CarbonError, match="T is not set"):
        tokens.read("T", environment)


@pytest.mark.parametrize("token", ["abc\ndef", "ключ", "a\x00b"])
def test_what_cannot_be_a_token_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(CarbonError, match="no token has") as caught:
        tokens.read("T", {"T": token})
    assert token not in str(caught.value)
