"""Warnings of libraries, kept from people's terminals by any thread.

`warnings.catch_warnings` puts back the filters that it found, and they are the process's: of two
threads that overlap, the one that entered first, leaving first, ends the other's silence, and the
other then puts back that of the first, for good.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_lock = threading.Lock()
_filters = ExitStack()
_depth = 0


@contextmanager
def without_warnings() -> Iterator[None]:
    """No warning is shown, or raised, in any thread until the last that entered here leaves."""
    global _depth
    with _lock:
        if not _depth:
            _filters.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if not _depth:
                _filters.close()
