"""One check of the gate: a value beside its limit."""

from dataclasses import dataclass

UNKNOWN = (
    "unknown, and the unknown is refused: `lowtide doctor` says what is missing, "
    "`dvc repro --force` measures anew"
)
NO_CHAMPION = "no champion when it was measured: nothing to compare with"
INFORM_ONLY = frozenset({"accuracy_drop_high", "champion_break_even_inferences"})


@dataclass(frozen=True)
class Reason:
    """value None: unknown, and refused; if it passed all the same: there is nothing to judge.
    source: what the value rests on."""

    check: str
    passed: bool
    value: float | None
    limit: float | None
    detail: str
    source: str = ""


def at_least(check: str, value: float | None, limit: float, detail: str = "") -> Reason:
    return Reason(check, value is not None and value >= limit, value, limit, _of(value, detail))


def at_most(check: str, value: float | None, limit: float, detail: str = "") -> Reason:
    return Reason(check, value is not None and value <= limit, value, limit, _of(value, detail))


def informs(check: str, value: float | None, limit: float, detail: str) -> Reason:
    """Said beside its limit, never refused for it."""
    return Reason(check, value is not None, value, limit, _of(value, detail))


def not_there(check: str, limit: float, detail: str) -> Reason:
    """Nothing to judge, which is known."""
    return Reason(check, True, None, limit, detail)


def _of(value: float | None, detail: str) -> str:
    return UNKNOWN if value is None else detail
