"""After deployment: is what comes in still like the training data, and does it cost as gated?"""

import sys
from typing import Annotated

import typer
from prefect import flow
from prefect.states import Completed, Failed, State

from flows.ending import end
from tasks.drift import ask_server, compare_served, tell
from tasks.server import start_own_server

URL = "http://127.0.0.1:8080"


@flow(name="watch")
def watch_server(
    url: str = URL, distance_max: float = 0.2, energy_ratio_max: float = 5.0
) -> State:  # fmt: skip
    """Compare live inputs and joules with those of training; emit `lowtide.drift` if they differ.

    `distance_max`: how far a distribution may move, 0 to 1; `energy_ratio_max`: joules per
    inference in the runtime, served over recorded.
    """
    asked = ask_server(url, return_state=True)
    if not asked.is_completed():
        return Failed(message=asked.message)
    compared = compare_served(asked.result(), distance_max, energy_ratio_max, return_state=True)
    if not compared.is_completed():
        return Failed(message=compared.message)
    found = compared.result()
    tell(found)
    if found.reasons:
        return Completed(name="Drifted", message="; ".join(found.reasons))
    return Completed(message="nothing to act on")


def main(url: Annotated[str, typer.Argument(help="Of `lowtide serve`.")] = URL) -> None:
    """Compare what a server saw lately with the training images, its joules with the gate's."""
    start_own_server()
    sys.exit(end(watch_server(url, return_state=True)))


if __name__ == "__main__":
    typer.run(main)
