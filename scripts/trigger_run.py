"""Run the pipeline on a Prefect server, wait, and print what came of it as Markdown.

python scripts/trigger_run.py [--deadline-hours H] [--timeout-minutes M]

Exit code 1 if the run failed. A run that defers itself has ended, too: the one that comes back for
it has the verdict.
"""

import argparse
import sys
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

DEPLOYMENT = "carbon-aware-pipeline/on-demand"


def trigger(deadline_hours: float | None, timeout_s: float) -> FlowRun:
    parameters = {} if deadline_hours is None else {"deadline_hours": deadline_hours}
    return run_deployment(DEPLOYMENT, parameters=parameters, timeout=timeout_s, as_subflow=False)


def artifact(run_id: UUID, key: str) -> str:
    """What the run has published under `key`; empty if nothing."""
    of_run = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]), key=ArtifactFilterKey(any_=[key])
    )
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=of_run)
    return str(found[0].data) if found else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deadline-hours", type=float)
    parser.add_argument("--timeout-minutes", type=float, default=300)
    options = parser.parse_args()
    run = trigger(options.deadline_hours, 60 * options.timeout_minutes)
    state = run.state
    assert state is not None, "a run that was created has a state"
    print(f"**{state.name}**, run `{run.name}`: {state.message or 'no message'}\n")
    if state.name == "Deferred" or not state.is_final():
        print("The verdict will be an artifact of the run that ends it.\n")
        print(artifact(run.id, "plan"))
    else:
        print(artifact(run.id, "verdict"))
    return 1 if state.is_final() and not state.is_completed() else 0


if __name__ == "__main__":
    sys.exit(main())
