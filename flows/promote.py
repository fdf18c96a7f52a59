"""Promote the model of this checkout again, or by force: `python -m flows.promote --help`."""

import sys
from typing import Annotated

import typer
from prefect import flow
from prefect.states import Completed, Failed, State

from lowtide.errors import LowtideError, RefusalError, UsageError
from lowtide.registry import Forced
from tasks.promote import promote, publish, recorded_run
from tasks.server import start_own_server


@flow(name="promote")
def promote_candidate(by: str | None = None, why: str | None = None) -> State:
    """Promote what was judged; by force, whatever the verdict, if somebody says who and why.

    Refused, with the reason, where the champion stays.
    """
    forced = None if by is None or why is None else Forced(by, why)
    try:
        run_id = recorded_run()
        version = promote(run_id, forced)
    except RefusalError as error:
        return Failed(name="Refused", message=str(error))
    except LowtideError as error:
        return Failed(message=str(error))
    publish(run_id, version)
    if "champion" not in version.aliases:
        return Failed(name="Refused", message=version.outcome)
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
    state = promote_candidate(by, why, return_state=True)
    if state.is_completed():
        print(state.message)
        return
    print(f"lowtide: {state.message}", file=sys.stderr)
    sys.exit(RefusalError.exit_code if state.name == "Refused" else LowtideError.exit_code)


if __name__ == "__main__":
    typer.run(main)
