"""Give `champion` back to the version that had it before: `make rollback`."""

import sys
from typing import Annotated

import typer
from prefect import flow
from prefect.states import Completed, State

from flows.ending import end, failed
from lowtide.errors import LowtideError, UsageError
from lowtide.registry import Reason
from tasks.promote import roll_back
from tasks.server import start_own_server


@flow(name="rollback")
def rollback_champion(by: str | None = None, why: str | None = None) -> State:
    """Move the alias back one champion; Refused, with the reason, where there is none."""
    try:
        version = roll_back(Reason.given(by, why))
    except LowtideError as error:
        return failed(error)
    return Completed(message=version.outcome)


def main(
    by: Annotated[str | None, typer.Option(help="Who answers for it; with --why.")] = None,
    why: Annotated[str | None, typer.Option(help="For what reason; with --by.")] = None,
) -> None:
    """Give `champion` back to the version that had it before."""
    if bool(by) != bool(why):
        print("lowtide: --by WHO and --why WHY go together", file=sys.stderr)
        sys.exit(UsageError.exit_code)
    start_own_server()
    sys.exit(end(rollback_champion(by, why, return_state=True)))


if __name__ == "__main__":
    typer.run(main)
