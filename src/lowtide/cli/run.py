"""Commands around a command of one's own: `meter` and `exec`."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lowtide.cli.app import PARAMS, Json, ParamsFile, app, instant
from lowtide.errors import UsageError

if TYPE_CHECKING:
    from lowtide.energy.totals import Totals
    from lowtide.running.execute import Surroundings
    from lowtide.running.terms import Status

# The first word that is no option is the command: what follows it is the command's own.
UNTOUCHED = {"allow_interspersed_args": False}
RUNNING_LINE_EVERY_S = 60.0

Command = Annotated[
    list[str] | None, typer.Argument(metavar="-- COMMAND...", help="What to run, after `--`.")
]
Zone = Annotated[str | None, typer.Option(help="Grid zone, for example GB.")]
Trace = Annotated[str | None, typer.Option(help="A trace file, or `packaged`.")]
At = Annotated[str | None, typer.Option(help="Replay the trace from this ISO 8601 instant.")]
Speed = Annotated[
    float | None, typer.Option(min=0.001, help="Replayed seconds per second; waits are jumped.")
]
Grace = Annotated[str, typer.Option(help="From SIGTERM to SIGKILL.")]


@app.command(context_settings=UNTOUCHED)
def meter(
    command: Command = None,
    zone: Zone = None,
    trace: Trace = None,
    at: At = None,
    replay_speed: Speed = None,
    grace: Grace = "10s",
    params: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Run a command and say what energy it used and what that emitted; its exit code is kept."""
    words = _required(command, "lowtide meter -- COMMAND")
    from lowtide.running.durations import parse_duration
    from lowtide.running.execute import meter_command

    grace_s = parse_duration(grace, "--grace", bare="s").total_seconds()
    with _surroundings(params, zone, trace, at, replay_speed) as around:
        content = meter_command(words, around, grace_s=grace_s, quiet=as_json)
    _finish(content, as_json)


@app.command("exec", context_settings=UNTOUCHED)
def exec_(
    deadline: Annotated[str, typer.Option(help="Time until it has to be done: 24h, 1h30m, 90m.")],
    command: Command = None,
    work: Annotated[str | None, typer.Option(help="How long it runs; default: learnt.")] = None,
    restartable: Annotated[
        bool, typer.Option("--restartable", help="Pause by ending it: it has checkpoints.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="If lowtide is killed, let the command live on.")
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Forget an unfinished run of this command.")
    ] = False,
    zone: Zone = None,
    trace: Trace = None,
    at: At = None,
    replay_speed: Speed = None,
    grace: Grace = "10s",
    params: ParamsFile = PARAMS,
    as_json: Json = False,
) -> None:
    """Run a command in clean hours, held back in dirty ones, done by the deadline."""
    words = _required(command, "lowtide exec --deadline 24h -- COMMAND")
    from lowtide.planning.horizon import Horizon
    from lowtide.running.durations import parse_duration
    from lowtide.running.execute import Request, execute

    request = Request(
        command=tuple(words),
        deadline=parse_duration(deadline, "--deadline"),
        work=None if work is None else parse_duration(work, "--work"),
        restartable=restartable,
        keep=keep,
        anew=anew,
        grace_s=parse_duration(grace, "--grace", bare="s").total_seconds(),
        quiet=as_json,
    )
    with _surroundings(params, zone, trace, at, replay_speed) as around:
        setting = around.setting
        content = execute(
            request,
            around,
            lambda due: Horizon(
                setting.source, setting.schedule, due, None if setting.clock.replay else Random()
            ),
            StatusLines(),
        )
    _finish(content, as_json)


class StatusLines:
    """What becomes of the command, on stderr: a line at each change and each minute of work.

    On a terminal the line is kept fresh while the command is held, since it is silent then.
    """

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._open = False  # the cursor stands behind a line that may be written over
        self._last_s = 0.0

    def __call__(self, status: "Status") -> None:
        now_s = time.monotonic()
        held = status.state != "running"
        due = not held and now_s - self._last_s >= RUNNING_LINE_EVERY_S
        if not status.changed and not due and not (held and self._live):
            return
        self._last_s = now_s
        start, end = ("\r\x1b[K", "") if self._live and held else ("", "\n")
        if self._open and not held:
            start = "\n"
        self._open = self._live and held
        print(f"{start}lowtide: {_status_text(status)}", end=end, file=sys.stderr, flush=True)


def _status_text(status: "Status") -> str:
    totals = status.totals
    used = f" {_used(totals)}" if totals is not None and totals.components else ""
    if status.state == "running":
        return f"running ({status.reason}){used}"
    return f"{status.state} until {status.until:%d %b %H:%M} UTC ({status.reason}){used}"


def _used(totals: "Totals") -> str:
    return _figures(totals.energy_kwh, totals.emissions_g, totals.provenance)


def _figures(energy_kwh: float | None, emissions_g: float | None, provenance: str) -> str:
    energy = "energy unknown" if energy_kwh is None else f"{energy_kwh:.3g} kWh"
    grams = "emissions unknown" if emissions_g is None else f"{emissions_g:.3g} g CO2e"
    return f"{energy}, {grams} ({provenance})"


def _required(command: list[str] | None, example: str) -> list[str]:
    if not command:
        raise UsageError(f"no command to run: {example}")
    return command


@contextmanager
def _surroundings(
    params: Path, zone: str | None, trace: str | None, at: str | None, replay_speed: float | None
) -> "Iterator[Surroundings]":
    from lowtide.artifacts import STATE
    from lowtide.energy.sources import open_sources
    from lowtide.running.execute import Surroundings
    from lowtide.running.setting import GridOptions, open_setting

    moment = None if at is None else instant(at)
    setting = open_setting(params, PARAMS, GridOptions(zone, trace, moment, replay_speed))
    with ExitStack() as stack:
        sources = open_sources()
        for source in sources:
            stack.callback(source.close)
        yield Surroundings(STATE, setting.begun(), sources, _say)


def _say(text: str) -> None:
    print(f"lowtide: {text}", file=sys.stderr, flush=True)


def _finish(content: dict[str, Any], as_json: bool) -> None:
    """JSON on stdout, or a line on stderr: without --json stdout is the command's alone."""
    if as_json:
        import json

        print(json.dumps(content, allow_nan=False))
    else:
        _say(_summary(content))
    sys.exit(content["exit_code"])


def _summary(content: dict[str, Any]) -> str:
    provenance = content["provenance"]
    parts = [
        f"exit code {content['exit_code']}",
        _figures(content["energy_kwh"], content["emissions_g"], provenance["energy"]),
        f"{content['duration_s']:.0f} s",
    ]
    if "deadline_met" in content:
        num_pauses = len(content["pauses"])
        parts.append("1 pause" if num_pauses == 1 else f"{num_pauses} pauses")
        parts.append("deadline met" if content["deadline_met"] else "deadline missed")
        if content["exit_code"] != 0:
            parts.append("started again before its deadline it goes on with this run")
    if provenance["clock"] == "replay":
        parts.append(f"replay of {provenance['intensity']}")
    return ", ".join(parts)
