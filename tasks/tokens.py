"""Tokens of carbon APIs from Prefect's Secret blocks, for the stages that a flow starts."""

import os

from prefect.blocks.system import Secret

from lowtide.carbon import tokens

BLOCKS = {
    "electricity-maps-token": tokens.ELECTRICITY_MAPS,
    "watttime-user": tokens.WATTTIME_USER,
    "watttime-password": tokens.WATTTIME_PASSWORD,
}


def load_tokens() -> list[str]:
    """Put what blocks hold into this process's environment, which its children inherit.

    A variable that is set already stays; a block that does not exist is none. Returns the names
    of the variables that were set.
    """
    loaded = []
    for block, variable in BLOCKS.items():
        if os.environ.get(variable):
            continue
        try:
            secret = Secret.load(block)
        except ValueError:
            continue  # there is no such block
        os.environ[variable] = str(secret.get())
        loaded.append(variable)
    return loaded
