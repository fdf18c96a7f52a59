"""`lowtide search`: trials of one study until a budget of grams is spent."""

import sys
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer

from lowtide.cli.app import PARAMS, Json, ParamsFile, app, show
from lowtide.cli.pipeline import INTERRUPTED_EXIT_CODE
from lowtide.errors import UsageError


@app.command()
def search(
    budget_g: Annotated[
        float | None, typer.Option(min=0, help="Grams of CO2e that the whole study may emit.")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Write the chosen configuration into the params file.")
    ] = False,
    params: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Search what compresses the teacher best, within a budget of grams."""
    if budget_g is None and not apply:
        raise UsageError("how many grams may it emit? lowtide search --budget-g 0.05")
    if budget_g is not None and not isfinite(budget_g):
        raise UsageError(f"--budget-g {budget_g} is no number of grams: take one like 0.05")
    if budget_g is not None:
        from lowtide.search.text import search_text

        found = _searched(params, budget_g)
        show(found, as_json, search_text(found))
    if apply:
        from lowtide.search.patch import apply_patch, read_patch
        from lowtide.search.text import params_text

        patch = read_patch()
        apply_patch(params, patch)
        print(f"search: wrote {params_text(patch)} into {params}", file=sys.stderr)


def _searched(params: Path, budget_g: float) -> dict[str, Any]:
    from lowtide.search.run import search as run_search
    from lowtide.training.pacing import DEFERRED_EXIT_CODE, Deferred

    try:
        return run_search(params, budget_g)
    except Deferred as deferred:
        print(f"lowtide: the search is {deferred}; run again it goes on", file=sys.stderr)
        sys.exit(DEFERRED_EXIT_CODE)
    except KeyboardInterrupt:
        print("lowtide: the search is interrupted; run again it goes on", file=sys.stderr)
        sys.exit(INTERRUPTED_EXIT_CODE)
