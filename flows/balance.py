"""Balance traffic: read intensity, place the demand, and let nginx follow if it is worth it."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from prefect import flow
from prefect.states import Completed, Failed, State

from flows.ending import end, failed
from lowtide.errors import LowtideError, ParamsError
from lowtide.placement.hysteresis import decide
from lowtide.placement.nginx import upstreams
from lowtide.placement.plan import Plan
from lowtide.placement.sites import Nginx, Sites, load_sites
from tasks.nginx import alone, live_plan, swap_upstreams
from tasks.placing import read_problem
from tasks.server import start_own_server
from tasks.tokens import load_tokens


@flow(name="balance", log_prints=False)
def balance(sites: Path, at: datetime | None = None) -> State:
    """Completed as `Kept`, `Moved` or `Reloaded`; Failed where nginx stays as it is.

    `at` replays an instant of the sites' traces; without it, it is now.
    """
    try:
        load_tokens()
        found = load_sites(sites)
        if found.nginx is None:
            raise ParamsError(f"{sites} has no section nginx: add it, see docs/placement.md")
        with alone(found.nginx):
            return _balance(found, found.nginx, at)
    except LowtideError as error:
        return failed(error, "; nginx keeps its weights")


def _balance(found: Sites, nginx: Nginx, at: datetime | None) -> State:
    problem = read_problem(found, at)
    live = live_plan(found, nginx)
    decision = decide(problem, live.plan, found.hysteresis)
    if decision.action == "kept" and live.running:
        return Completed(name="Kept", message=decision.reason)
    swapped = swap_upstreams(
        upstreams(Plan.of(decision.placement), found), nginx, return_state=True
    )
    if not swapped.is_completed():
        return Failed(message=swapped.message)
    name = "Reloaded" if decision.action == "kept" else "Moved"
    return Completed(name=name, message=f"{decision.reason}; {swapped.message}")


def main(sites: Annotated[Path, typer.Argument(help="See docs/placement.md.")]) -> None:
    """Choose shares by what the grids are now, and bring nginx to them."""
    start_own_server()
    sys.exit(end(balance(sites, return_state=True)))


if __name__ == "__main__":
    typer.run(main)
