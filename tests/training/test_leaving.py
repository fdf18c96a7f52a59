"""SIGTERM wherever the main thread is."""

import os
import signal
from datetime import UTC, datetime

import pytest

from lowtide.training.leaving import deferred_by_sigterm
from lowtide.training.pacing import Paused

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_pause_passes_whoever_catches_errors() -> None:
    def at_work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception:  # noqa: BLE001 -- as code around foreign libraries does
            pytest.fail("taken for an error of what was at work")

    with pytest.raises(Paused) as raised, deferred_by_sigterm(lambda: NOW):
        at_work()
    assert raised.value.until == NOW


def test_the_handler_before_is_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with deferred_by_sigterm(lambda: NOW):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
