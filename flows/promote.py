"""Promote the model of this checkout again, or by force: `python -m flows.promote --help`."""

import sys
from typing import Annotated

import typer
from prefect import flow
from prefect.states import Completed, State

from flows.ending import end, failed
from lowtide.errors import GateError, LowtideError, UsageError
from lowtide.registry import CHAMPION, Reason
from tasks.promote import promote, publish, recorded_run
from tasks.server import start_own_server


@flow(name="promote")
def promote_candidate(by: str | None = None, why: str | None = None) -> State:
    """Promote what was judged; by force, whatever the verdict, if somebody says who and why.

    Refused, with the reason, where the champion stays.
    """
    try:
        run_id = recorded_run()
        version = promote(run_id, Reason.given(by, why))
        publish(run_id, version)
        if CHAMPION not in version.aliases:
            raise GateError(version.outcome)
    except LowtideError as error:
        return failed(error)
    return Completed(message=version.outcome)


def main(
    force: Annotated[bool, typer.Option("--force", help="Whatever the verdict says.")] = False,
    by: Annotated[str | None, typer.Option(help="Who answers for it; with --force.")] = None,
    why: Annotated[str | None, typer.Option(help="For what reason; with --force.")] = None,
) -> None:
    """Make the model that was judged here champion, if it passed, or by force."""
    if force != bool(by and why) or bool(by) != bool(why):
        print("lowtide: --force, --by WHO and --why WHY go together", file=sys.stderr)
        sys.exit(UsageError.exit_code)
    start_own_server()
    sys.exit(end(promote_candidate(by, why, return_state=True)))


if __name__ == "__main__":
    typer.run(main)
