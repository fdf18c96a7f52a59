"""What pydantic refuses, as one line about a key of the file."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

UNKNOWN_KEY, MISSING = "extra_forbidden", "missing"  # as pydantic calls them
THE_KEY = "[key]"  # itself is refused, and not its value
WORDS = {"a valid tuple": "a list", " or instance of [A-Za-z]+": "", "^Value error, ": "",
         ", unable to parse .*": ""}  # fmt: skip
EXPECTED = "Input should be "

Place = tuple[int | str, ...]


def first_refusal(error: ValidationError, kind: type[BaseModel], content: Any) -> str:
    """An unknown key first: where one is misspelt, its right name is missing as well."""
    refused = _by_key(error, content)
    place = min(refused, key=lambda one: refused[one][0]["type"] != UNKNOWN_KEY)
    first = refused[place][0]
    others = len({_without_members(one) for one in refused}) - 1
    more = f"; {others} more" if others else ""
    key = ".".join(map(str, place)) or "the top level"
    if first["type"] == UNKNOWN_KEY:
        *section, name = map(str, place)
        near = get_close_matches(name, _keys_of(section, kind), n=1)
        return f"{key}: no such key{f'; did you mean {near[0]}?' if near else more}"
    whole = first["type"] == MISSING or isinstance(first["input"], dict)
    value = "" if whole else f" (found {first['input']!r})"
    return f"{key}: {_said(refused[place])}{value}{more}"


def _by_key(error: ValidationError, content: Any) -> dict[Place, list[ErrorDetails]]:
    """Where a key may be of several types, what each says of it; not what those say that the value
    does not even resemble."""
    found: dict[Place, list[ErrorDetails]] = {}
    for one in error.errors():
        found.setdefault(_written(one, content), []).append(one)
    return {
        place: said
        for place, said in found.items()
        if not any(other[: len(place)] == place != other for other in found)
    }


def _written(one: ErrorDetails, content: Any) -> Place:
    """Its key as the file has it: without the types that pydantic has tried."""
    place: list[int | str] = []
    *above, last = one["loc"] or ("",)
    for part in above:
        if _holds(content, part):
            content = content[part]
            place.append(part)
    written = one["type"] == MISSING or last == THE_KEY or _holds(content, last)
    return (*place, last) if written else tuple(place)


def _holds(content: Any, part: int | str) -> bool:
    if isinstance(content, list):
        return isinstance(part, int)
    return isinstance(content, dict) and part in content


def _said(refused: Sequence[ErrorDetails]) -> str:
    first, *others = dict.fromkeys(_worded(one["msg"]) for one in refused)
    return ", or ".join([first, *(one.removeprefix(EXPECTED) for one in others)])


def _worded(message: str) -> str:
    for theirs, ours in WORDS.items():
        message = re.sub(theirs, ours, message)
    return message


def _without_members(place: Place) -> Place:
    """The same key in several members of a list counts once."""
    return tuple(part for part in place if not isinstance(part, int))


def _keys_of(section: Sequence[str], model: type[BaseModel]) -> list[str]:
    for name in section:
        field = model.model_fields.get(name)
        inner = field and next(
            (one for one in (field.annotation, *get_args(field.annotation)) if _is_model(one)), None
        )
        if inner is not None:
            model = inner
        elif field is not None:
            return []
    return list(model.model_fields)


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
