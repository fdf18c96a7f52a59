"""Reading an API's JSON: what is missing or of the wrong type is a FormatError that names it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lowtide.carbon.failures import FormatError

TEXT_LENGTH = 60


def mapping(content: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise FormatError(f"{where}: expected a JSON object, found {type(content).__name__}")
    return content


def listing(content: Any, where: str) -> list[Any]:
    if not isinstance(content, list):
        raise FormatError(f"{where}: expected a JSON list, found {type(content).__name__}")
    return content


def field(content: Any, key: str, where: str) -> Any:
    """A field that has to be there; its value may be null."""
    found = mapping(content, where)
    if key not in found:
        raise FormatError(f"{where}: the answer has no field {key!r}")
    return found[key]


def number(content: Any, where: str) -> float | None:
    """A JSON number, or None for null; a text or a truth value is no number."""
    if content is None:
        return None
    if isinstance(content, bool) or not isinstance(content, int | float):
        raise FormatError(f"{where}: expected a number, found {type(content).__name__}")
    try:
        return float(content)
    except OverflowError:
        raise FormatError(f"{where}: a number beyond all bounds") from None


def instant(content: Any, where: str) -> datetime:
    """An ISO 8601 instant with a zone, as UTC; seconds and fractions may be there or not."""
    try:
        parsed = datetime.fromisoformat(content)
    except (TypeError, ValueError):
        raise FormatError(f"{where}: {clip(str(content))!r} is no ISO 8601 instant") from None
    if parsed.tzinfo is None:
        raise FormatError(f"{where}: {clip(content)!r} has no time zone")
    return parsed.astimezone(UTC)


def from_epoch(content: Any, where: str) -> datetime:
    """Whole seconds since 1970 as a UTC instant."""
    try:
        return datetime.fromtimestamp(int(content), UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        raise FormatError(f"{where}: {clip(str(content))!r} is no time in seconds") from None


def echoed(content: Any, key: str, wanted: str, where: str) -> None:
    """Refuse an answer about something else than was asked: another zone, unit or signal."""
    found = field(content, key, where)
    if found != wanted:
        raise FormatError(f"{where}: asked for {key} {wanted}, answered for {clip(str(found))}")


def clip(text: str, length: int = TEXT_LENGTH) -> str:
    """One printable line of at most `length` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= length else line[: length - 1] + "…"
