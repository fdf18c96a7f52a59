"""Coming back later without holding a worker."""

from datetime import UTC, datetime, timedelta

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.deployments import run_deployment
from prefect.runtime import deployment, flow_run


def may_defer() -> bool:
    """Only a deployed run can be scheduled anew; a run by hand waits where it is."""
    return deployment.id is not None


@task(name="defer", retries=3, retry_delay_seconds=5, cache_policy=NO_CACHE)
def defer(
    delay_s: float, attempt: int, arrived_at: datetime, deadline_hours: float | None
) -> datetime:
    """Schedule this deployment again, `delay_s` from now; safe to repeat."""
    at = datetime.now(UTC) + timedelta(seconds=delay_s)
    run_deployment(
        deployment.id,
        parameters={
            "attempt": attempt + 1,
            "arrived_at": arrived_at.isoformat(),
            "deadline_hours": deadline_hours,
        },
        scheduled_time=at,
        timeout=0,
        as_subflow=False,
        idempotency_key=f"{flow_run.id}-{attempt}",
    )
    return at
