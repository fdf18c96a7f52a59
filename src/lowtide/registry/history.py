"""Who was champion when: events in tags of the registered model, in the order of their numbers.

An event is written before the alias moves, and marked when it has: what a killed promotion has left
is settled by the next one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from lowtide.clock import SystemClock
from lowtide.registry.client import MODEL, find_champion, find_model, open_registry

PREFIX = "lowtide.history."
Kind = Literal["first", "promoted", "forced", "rolled back", "moved outside lowtide"]
State = Literal["begun", "done", "cut off"]


@dataclass(frozen=True)
class Event:
    """`version` took the alias from `before` (None: from nobody) at `at`, ISO 8601 UTC.

    `by` and `why` are of a person who forced it or rolled it back. state: begun, the alias has not
    moved yet; cut off, it never did.
    """

    number: int
    at: str
    kind: Kind
    version: int | None
    before: int | None
    by: str | None = None
    why: str | None = None
    state: State = "begun"


def history(uri: str) -> list[Event]:
    """Oldest first, as the alias stands now, without what never happened."""
    with open_registry(uri, "tell its history") as client:
        events = settled(read_events(client), champion_number(client))
    return [event for event in events if event.state == "done"]


def champion_number(client: Any) -> int | None:
    version = find_champion(client)
    return None if version is None else int(version.version)


def read_events(client: Any) -> list[Event]:
    model = find_model(client, MODEL)
    tags: Mapping[str, str] = {} if model is None else model.tags
    found = [(key, text) for key, text in tags.items() if key.startswith(PREFIX)]
    return [Event(int(key.removeprefix(PREFIX)), **json.loads(text)) for key, text in sorted(found)]


def settle(client: Any) -> list[Event]:
    """Make the record agree with the alias, and return it."""
    events = read_events(client)
    found = settled(events, champion_number(client))
    for event in found:
        if event not in events:
            write_event(client, event)
    return found


def settled(events: list[Event], now: int | None) -> list[Event]:
    """The events where version `now` is champion: what was begun has happened or was cut off, and
    what was moved by hand is noted, as of the moment at which that is found."""
    found = [
        replace(event, state="done" if event.version == now else "cut off")
        if event.state == "begun"
        else event
        for event in events
    ]
    standing = next((event for event in reversed(found) if event.state == "done"), None)
    before = None if standing is None else standing.version
    if before != now:
        moved = new_event(found, "moved outside lowtide", now, before)
        found.append(replace(moved, state="done"))
    return found


def new_event(
    events: list[Event], kind: Kind, version: int | None, before: int | None,
    by: str | None = None, why: str | None = None,
) -> Event:  # fmt: skip
    number = events[-1].number + 1 if events else 1
    at = f"{SystemClock().now():%Y-%m-%dT%H:%M:%SZ}"
    return Event(number, at, kind, version, before, by, why)


def write_event(client: Any, event: Event) -> None:
    content = asdict(event)
    key = f"{PREFIX}{content.pop('number'):06d}"
    client.set_registered_model_tag(MODEL, key, json.dumps(content))
