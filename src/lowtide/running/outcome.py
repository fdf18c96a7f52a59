"""What came of a command, as the JSON object that `--json` prints."""

import os
import platform
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lowtide.energy.counterfactual import run_now_emissions_g
from lowtide.energy.ledger import Ledger
from lowtide.energy.process_tree import SHARE, WHOLE
from lowtide.running.setting import Setting
from lowtide.running.state import Job
from lowtide.running.supervise import Supervisor


@dataclass(frozen=True)
class Outcome:
    run_id: str
    exit_code: int
    cpu_s: float
    setting: Setting


def describe_run(outcome: Outcome, ledger: Ledger) -> dict[str, Any]:
    """Energy and grams by the ledger, what lowtide's earlier starts of this run used included.

    A figure that nothing here can read is None. `attribution` says what a component's joules
    were multiplied with: the command's share of the machine's CPU time, or nothing.
    """
    setting, totals = outcome.setting, ledger.totals(outcome.run_id)
    shared = any(part.source.endswith(SHARE) for part in totals.components.values())
    return {
        "run_id": outcome.run_id,
        "exit_code": outcome.exit_code,
        "energy_kwh": totals.energy_kwh,
        "emissions_g": totals.emissions_g,
        "duration_s": totals.duration_s,
        "cpu_s": outcome.cpu_s,
        "components": {
            name: {
                "energy_kwh": part.energy_kwh,
                "source": part.source,
                "provenance": part.provenance,
            }
            for name, part in totals.components.items()
        },
        "attribution": SHARE if shared else WHOLE if totals.components else None,
        "mean_intensity_g_per_kwh": totals.mean_intensity_g_per_kwh,
        "provenance": {
            "energy": totals.provenance,
            "intensity": setting.source.name,
            "zone": setting.source.zone,
            "clock": "replay" if setting.clock.replay else "system",
            "host": platform.node(),
            "cpu_count": os.cpu_count(),
        },
    }


def describe_job(
    outcome: Outcome, ledger: Ledger, job: Job, supervisor: Supervisor
) -> dict[str, Any]:
    """The same for a job of `lowtide exec`, with what became of its deadline and its pauses.

    `pauses` are those of this start of lowtide; energy, grams and the work done are of all.
    """
    ended_at = outcome.setting.clock.now()
    intervals = ledger.each_interval(outcome.run_id)
    run_now_g = run_now_emissions_g(intervals, outcome.setting.source, job.arrived_at)
    return {
        **describe_run(outcome, ledger),
        "run_now_emissions_g": run_now_g,
        "active_clock_s": job.active_s,
        "work_hours": job.work_hours,
        "work_hours_origin": job.origin,
        "arrived_at": _iso(job.arrived_at),
        "started_at": None if supervisor.started_at is None else _iso(supervisor.started_at),
        "ended_at": _iso(ended_at),
        "deadline": _iso(job.deadline),
        "deadline_met": ended_at <= job.deadline,
        "pauses": [
            {"start": _iso(pause.start), "end": _iso(pause.end)} for pause in supervisor.pauses
        ],
    }


def _iso(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds").replace("+00:00", "Z")
