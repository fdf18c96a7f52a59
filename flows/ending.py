"""How a flow ends: refused or failed, in one line, with the exit code of that."""

import sys

from prefect.states import Failed, State

from lowtide.errors import LowtideError, RefusalError

REFUSED = "Refused"


def failed(error: LowtideError, more: str = "") -> State:
    """Named `Refused` where lowtide said no on purpose."""
    name = REFUSED if isinstance(error, RefusalError) else None
    return Failed(name=name, message=f"{error}{more}")


def end(state: State) -> int:
    """Print what became of it, and return 0 done, 1 failed, 3 refused."""
    if state.is_completed():
        print(f"{state.name}: {state.message}")
        return 0
    print(f"lowtide: {state.message}", file=sys.stderr)
    return RefusalError.exit_code if state.name == REFUSED else LowtideError.exit_code
