"""`lowtide search`: trials of one study until a budget of grams is spent."""

import sys
from typing import Annotated

import typer

from lowtide.cli.app import PARAMS, Json, ParamsFile, app, show


@app.command()
def search(
    budget_g: Annotated[float, typer.Option(min=0, help="Grams of CO2e that the study may emit.")],
    params: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Search what compresses the teacher best, within a budget of grams."""
    from lowtide.search.run import search as run_search
    from lowtide.training.pacing import DEFERRED_EXIT_CODE, Deferred

    try:
        found = run_search(params, budget_g)
    except Deferred as deferred:
        print(f"lowtide: the search is {deferred}; run again it goes on", file=sys.stderr)
        sys.exit(DEFERRED_EXIT_CODE)
    show(found, as_json, str(found["pareto"]))
