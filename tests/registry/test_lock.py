"""One holder at a time; what dead ones have left is taken over, by one alone."""

import os
import platform
import subprocess
import sys
import time

import pytest

from lowtide.errors import LockedError
from lowtide.registry import lock
from lowtide.registry.lock import LOCK, promotion_lock
from tests.registry.stores import client_of


def test_a_second_promotion_is_told_who_holds_the_lock(store: str) -> None:
    client = client_of(store)
    with promotion_lock(client) as held:
        held.require()
        with pytest.raises(LockedError, match=rf"pid {os.getpid()} on .* since 20"), \
             promotion_lock(client):  # fmt: skip
            pass
        held.require()
    with promotion_lock(client):
        pass
    assert not client.search_registered_models()


def leave_lock(store: str, **tags: str) -> None:
    client_of(store).create_registered_model(LOCK, tags={"token": "left", **tags})


def test_the_lock_of_a_dead_process_is_taken_over(store: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    leave_lock(store, host=platform.node(), pid=str(process.pid), started="1.00")
    with promotion_lock(client_of(store)) as held:
        held.require()
    assert not client_of(store).search_registered_models()


def test_a_number_that_another_process_has_by_now_is_no_holder(store: str) -> None:
    leave_lock(store, host=platform.node(), pid=str(os.getppid()), started="1.00")
    with promotion_lock(client_of(store)):
        pass


def test_what_this_process_could_not_release_is_its_own_to_take(store: str) -> None:
    leave_lock(store, **lock._this_process())
    with promotion_lock(client_of(store)):
        pass


def let_leases_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until `monkeypatch.undo()`, which a holder of its own calls before it goes on."""
    monkeypatch.setattr(lock, "LEASE_S", 0.0)
    time.sleep(0.01)  # timestamps of the store are in whole milliseconds


def test_a_holder_elsewhere_has_its_time(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_lock(store, host="elsewhere", pid="1", started="1.00")
    with pytest.raises(LockedError, match="pid 1 on elsewhere"), promotion_lock(client_of(store)):
        pass
    let_leases_run_out(monkeypatch)
    with promotion_lock(client_of(store)) as held:
        monkeypatch.undo()
        held.require()


def test_a_lock_without_a_token_is_nobodys_after_its_time(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was made by hand."""
    client_of(store).create_registered_model(LOCK)
    let_leases_run_out(monkeypatch)
    with promotion_lock(client_of(store)):
        monkeypatch.undo()
    assert not client_of(store).search_registered_models()


def test_a_holder_that_was_taken_for_dead_does_not_move_the_alias(store: str) -> None:
    client = client_of(store)
    with promotion_lock(client) as held:
        client.rename_registered_model(LOCK, f"{LOCK}.{held.token}")
        leave_lock(store, host="elsewhere", pid="1", started="1.00")
        with pytest.raises(LockedError, match="taken for dead"):
            held.require()
    assert client.get_registered_model(LOCK).tags["token"] == "left"  # it is not ours to delete


def test_a_lock_that_has_changed_hands_goes_back(store: str) -> None:
    """Who looked before the change takes nothing away."""
    client = client_of(store)
    with promotion_lock(client) as held:
        lock._bury(client, "of the one before")
        held.require()
