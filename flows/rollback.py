"""Give `champion` back to the version that had it before: `make rollback`."""

import sys

from prefect import flow
from prefect.states import Completed, Failed, State

from lowtide.errors import LowtideError, RefusalError
from tasks.promote import roll_back
from tasks.server import start_own_server


@flow(name="rollback")
def rollback_champion() -> State:
    """Move the alias back one champion; Failed, with the reason, where there is none."""
    try:
        version = roll_back()
    except RefusalError as error:
        return Failed(name="Refused", message=str(error))
    except LowtideError as error:
        return Failed(message=str(error))
    return Completed(message=version.outcome)


def main() -> int:
    start_own_server()
    state = rollback_champion(return_state=True)
    if state.is_completed():
        print(state.message)
        return 0
    print(f"lowtide: {state.message}", file=sys.stderr)
    return RefusalError.exit_code if state.name == "Refused" else LowtideError.exit_code


if __name__ == "__main__":
    sys.exit(main())
