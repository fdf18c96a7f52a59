"""Tokens of carbon APIs, from the environment; their values are never shown."""

import os
from collections.abc import Mapping

from lowtide.errors import CarbonError

ELECTRICITY_MAPS = "ELECTRICITY_MAPS_TOKEN"
WATTTIME_USER = "WATTTIME_USER"
WATTTIME_PASSWORD = "WATTTIME_PASSWORD"


def has(*names: str, environment: Mapping[str, str] = os.environ) -> bool:
    return all(environment.get(name, "").strip() for name in names)


def read(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """The token in an environment variable, without white space around it.

    Raises:
        CarbonError: it is not set, or holds what cannot stand in an HTTP header.
    """
    token = environment.get(name, "").strip()
    if not token:
        raise CarbonError(f"{name} is not set: export it, or choose a source without a key")
    if not token.isascii() or not token.isprintable():
        raise CarbonError(f"{name} holds characters that no token has: copy it once more")
    return token
