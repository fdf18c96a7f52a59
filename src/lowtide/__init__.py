"""Carbon-aware training, compression and promotion of neural networks."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lowtide.loops import Pace, pace

__all__ = ["Pace", "pace"]


def __getattr__(name: str) -> Any:
    """Loaded when it is asked for: `lowtide --help` does not wait for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lowtide import loops

    return getattr(loops, name)
