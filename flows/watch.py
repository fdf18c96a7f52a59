"""After deployment: is what comes in still like the training data, and does it cost as gated?"""

import sys

from httpx import HTTPError
from prefect import flow
from prefect.states import Completed, Failed, State

from lowtide.errors import LowtideError
from tasks.drift import ask_server, compare_served, tell
from tasks.server import start_own_server

URL = "http://127.0.0.1:8080"


@flow(name="watch")
def watch_server(
    url: str = URL, distance_max: float = 0.2, energy_ratio_max: float = 3.0
) -> State:  # fmt: skip
    """Compare live inputs and joules with those of training; emit `lowtide.drift` if they differ.

    `distance_max`: how far a distribution may move, 0 to 1; `energy_ratio_max`: joules per
    inference in the runtime, served over recorded.
    """
    try:
        found = compare_served(ask_server(url), distance_max, energy_ratio_max)
    except HTTPError as error:
        return Failed(message=f"{url} does not tell its statistics: {error}")
    except LowtideError as error:
        return Failed(message=str(error))
    tell(found)
    if found.reasons:
        return Completed(name="Drifted", message="; ".join(found.reasons))
    return Completed(message="nothing to act on")


def main() -> int:
    start_own_server()
    state = watch_server(*sys.argv[1:2], return_state=True)
    stream = sys.stdout if state.is_completed() else sys.stderr
    print(f"{state.name}: {state.message}", file=stream)
    return 0 if state.is_completed() else 1


if __name__ == "__main__":
    sys.exit(main())
