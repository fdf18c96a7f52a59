"""A version enters the registry; the alias `champion` moves in one step, under the lock."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from lowtide.artifacts import file_sha256
from lowtide.errors import GateError, UsageError
from lowtide.registry.client import CANDIDATE, CHAMPION, MODEL, SHA256, find_champion, open_registry
from lowtide.registry.history import Event, Kind, champion_number, new_event, settle, write_event
from lowtide.registry.lock import Held, promotion_lock
from lowtide.registry.versions import create_version, find_version, version_tags

ROLLED_BACK = "lowtide.rolled_back"  # on a version: it is not promoted again


@dataclass(frozen=True)
class RegisteredVersion:
    version: int
    aliases: tuple[str, ...]
    outcome: str


@dataclass(frozen=True)
class Reason:
    """Who answers for a move of the alias, and why it is made."""

    by: str
    why: str

    @classmethod
    def given(cls, by: str | None, why: str | None) -> Self | None:
        """None for neither.

        Raises:
            UsageError: one of the two alone; nobody answers without a reason.
        """
        if bool(by) != bool(why):
            raise UsageError("who and why go together: give both, --by WHO --why WHY")
        return cls(by, why) if by and why else None


def register(
    uri: str,
    *,
    model_path: Path,
    run_id: str | None,
    verdict: Mapping[str, Any],
    judged_against: str | None,
    card: str,
    input_example: np.ndarray,
    metrics: Mapping[str, float],
    forced: Reason | None = None,
) -> RegisteredVersion:
    """Make the ONNX file a version with signature and input example, and move the aliases.

    `candidate` always comes to the new version, `champion` only if the verdict passed or it is
    forced, as the last step. judged_against: sha256 of the champion that the verdict has compared
    it with, None: of none; where another is champion by now, it stays. A version that was rolled
    back stays what it is unless forced. The same file with the same verdict is registered once.

    Raises:
        LockedError: another promotion is under way.
        TrackingError: the server does not answer or refuses; safe to repeat.
    """
    digest, passed = file_sha256(model_path), bool(verdict["passed"])
    with open_registry(uri, f"take {model_path}") as client, promotion_lock(client) as held:
        version = find_version(client, digest, passed) or create_version(
            client, uri, model_path, run_id, input_example, card,
            version_tags(verdict, digest, metrics),
        )  # fmt: skip
        client.set_registered_model_alias(MODEL, CANDIDATE, version.version)
        outcome = _decide(held, version, passed, judged_against, forced)
        champion = champion_number(client)
    number = int(version.version)
    aliases = (CANDIDATE, CHAMPION) if champion == number else (CANDIDATE,)
    return RegisteredVersion(number, aliases, outcome)


def rollback(uri: str, reason: Reason | None = None) -> RegisteredVersion:
    """Give `champion` back to the version that had it before.

    The version that loses it is marked first, so that a run which finds its model again does not
    promote it again.

    Raises:
        GateError: there is no champion, or no predecessor that was not rolled back itself.
        LockedError: a promotion is under way.
        TrackingError: the server does not answer. The alias may have moved by then, and repeated it
            moves again: `lowtide champions` says.
    """
    with open_registry(uri, "roll back") as client, promotion_lock(client) as held:
        events, current = settle(client), champion_number(client)
        previous = None if current is None else _predecessor(client, events, current)
        if previous is None:
            raise GateError(f"{MODEL} has no earlier champion to go back to")
        held.require()
        client.set_model_version_tag(MODEL, str(current), ROLLED_BACK, "True")
        _move(held, events, previous, current, "rolled back", reason)
    return RegisteredVersion(previous, (CHAMPION,), f"rolled back to version {previous}")


def champion_version(uri: str) -> int | None:
    with open_registry(uri, "name its champion") as client:
        return champion_number(client)


def _predecessor(client: Any, events: list[Event], current: int) -> int | None:
    """The last other champion, passing over those that were rolled back or deleted."""
    found = client.search_model_versions(f"name = '{MODEL}'")
    sound = {int(version.version) for version in found if ROLLED_BACK not in version.tags}
    for event in reversed(events):
        for version in (event.version, event.before):
            if event.state == "done" and version in sound - {current}:
                return version
    return None


def _decide(
    held: Held, version: Any, passed: bool, judged_against: str | None, forced: Reason | None
) -> str:
    """Move the alias, or say why it stays."""
    events = settle(held.client)
    number, current = int(version.version), find_champion(held.client)
    before = None if current is None else int(current.version)
    if before == number:
        return f"version {number} is champion already"
    if forced is None:
        refusal = _refusal(version, passed, judged_against, current)
        if refusal is not None:
            return refusal
    elif ROLLED_BACK in version.tags:
        held.client.delete_model_version_tag(MODEL, str(number), ROLLED_BACK)
    kind: Kind = "forced" if forced else "promoted" if current else "first"
    _move(held, events, number, before, kind, forced)
    if forced is not None:
        return f"forced by {forced.by}: version {number} is champion"
    return f"promoted: version {number} is champion{'' if current else ', the first one'}"


def _refusal(version: Any, passed: bool, judged_against: str | None, current: Any) -> str | None:
    if not passed:
        return "refused: champion stays"
    if ROLLED_BACK in version.tags:
        return (
            f"passed, but version {version.version} was rolled back: champion stays; to take it "
            "all the same, `python -m flows.promote --force --by WHO --why WHY`"
        )
    serving = None if current is None else current.tags.get(SHA256, "")  # "": of no known file
    if serving != judged_against:
        known = "no champion" if judged_against is None else "another champion"
        now = "none is" if current is None else f"version {current.version} is"
        return (
            f"passed against {known}, but by now {now} champion, and stays: run "
            "`python -m flows.pipeline` to judge it anew"
        )
    return None


def _move(
    held: Held, events: list[Event], version: int, before: int | None, kind: Kind,
    reason: Reason | None = None,
) -> None:  # fmt: skip
    """The record of what is about to be, the alias in one step, the record that it has been."""
    client = held.client
    by, why = (None, None) if reason is None else (reason.by, reason.why)
    event = new_event(events, kind, version, before, by, why)
    held.require()  # else the event of who has taken over would be written over
    write_event(client, event)
    held.require()
    client.set_registered_model_alias(MODEL, CHAMPION, str(version))
    write_event(client, replace(event, state="done"))
