"""What a host's reply says beside its content: when to come back, and why it said no."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from lowtide.carbon.answer import clip
from lowtide.carbon.failures import FormatError

# Where APIs put their own words about an error, in this order.
WORDS = ("error", "message", "msg", "reason", "detail", "title")


def retry_after_s(text: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header: a number or an HTTP date; None if it is neither."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    until = until.replace(tzinfo=UTC) if until.tzinfo is None else until
    return max((until - now).total_seconds(), 0.0)


def parse_json(body: bytes, where: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        found = "nothing" if not body.strip() else clip(body[:200].decode("utf-8", "replace"), 40)
        raise FormatError(f"{where}: expected JSON, found {found}") from None


def said(body: bytes, secrets: Iterable[str]) -> str:
    """The host's own words about an error, on one short line and without our secrets."""
    text = body[:2000].decode("utf-8", "replace")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    text = text if content is None else _words(content)
    if text.lstrip().startswith("<"):
        return "an HTML page"
    for secret in secrets:
        for part in secret.split():
            text = text.replace(part, "***") if len(part) > 3 else text
    return clip(text, 160)


def _words(content: Any) -> str:
    """The first text under a key that APIs use for errors, at any depth."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return _words(content[0]) if content else ""
    if isinstance(content, dict):
        return next((found for key in WORDS if (found := _words(content.get(key)))), "")
    return ""
