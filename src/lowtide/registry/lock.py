"""One promotion at a time, whoever shares the registry.

MLflow compares nothing before it sets an alias, but it lets one caller alone create a registered
model of a name, in one transaction. So the lock is a registered model that its holder creates and
deletes; docs/gate.md says what that guarantees and what not.
"""

import os
import platform
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from lowtide.errors import LockedError
from lowtide.registry.client import MODEL, create_model, find_model

LOCK = f"{MODEL}.promotion"
LEASE_S = 300.0  # a holder on another host that is silent for so long is taken for dead
ATTEMPTS = 3
_live: set[str] = set()  # tokens of the promotions that this process is in


class Held:
    """The lock, in the hands of this process."""

    def __init__(self, client: Any, token: str) -> None:
        self.client, self.token, self._taken_s = client, token, time.monotonic()

    def require(self) -> None:
        """LockedError where it is no longer ours: ask right before what must not be done twice."""
        lock = find_model(self.client, LOCK)
        if self.expired or lock is None or lock.tags.get("token") != self.token:
            raise LockedError("this promotion was taken for dead by another one: run it again")

    @property
    def expired(self) -> bool:
        return time.monotonic() - self._taken_s > LEASE_S

    def release(self) -> None:
        """One that is over its time is left to whoever takes it over."""
        with suppress(LockedError):
            self.require()
            self.client.delete_registered_model(LOCK)


@contextmanager
def promotion_lock(client: Any) -> Iterator[Held]:
    """Hold the registry's lock.

    Raises:
        LockedError: another promotion is under way; names its process, host and since when.
    """
    held = Held(client, _take(client))
    _live.add(held.token)
    try:
        yield held
    finally:
        _live.discard(held.token)  # whatever becomes of the release
        held.release()


def _take(client: Any) -> str:
    token = uuid.uuid4().hex
    for _ in range(ATTEMPTS):
        if create_model(client, LOCK, {"token": token, **_this_process()}):
            return token
        other = find_model(client, LOCK)
        if other is None:
            continue
        if not _gone(other.tags, other.creation_timestamp / 1e3):
            raise LockedError(_holder(other))
        _bury(client, other.tags.get("token", ""))
    raise LockedError("other promotions are under way: run it again")


def _bury(client: Any, token: str) -> None:
    """Take a dead holder's lock away. Renaming is one transaction, and a name is given once: of two
    that try, one succeeds; where a live lock was moved because it had changed hands since it was
    looked at, it goes back."""
    from mlflow.exceptions import MlflowException

    grave = f"{LOCK}.{token}"
    try:
        client.rename_registered_model(LOCK, grave)
        if client.get_registered_model(grave).tags.get("token", "") != token:
            client.rename_registered_model(grave, LOCK)
            return
        client.delete_registered_model(grave)
    except MlflowException:  # another was quicker
        return


def _gone(tags: Mapping[str, str], taken_s: float) -> bool:
    """A process of this host is asked for; one elsewhere has its time. What this process has not
    released since the server was away is nobody's."""
    if tags.items() >= _this_process().items():
        return tags["token"] not in _live
    if tags.get("host") == platform.node():
        return _started(int(tags["pid"])) != tags["started"]
    return time.time() - taken_s > LEASE_S


def _this_process() -> dict[str, str]:
    pid = os.getpid()
    return {"host": platform.node(), "pid": str(pid), "started": _started(pid)}


def _started(pid: int) -> str:
    """When the process began, by which it differs from a later one of its number."""
    import psutil

    try:
        process = psutil.Process(pid)
        dead = process.status() == psutil.STATUS_ZOMBIE
        return "dead" if dead else f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return "dead"


def _holder(lock: Any) -> str:
    since = datetime.fromtimestamp(lock.creation_timestamp / 1e3, UTC)
    return (
        f"another promotion is under way: pid {lock.tags.get('pid')} on {lock.tags.get('host')} "
        f"since {since:%Y-%m-%dT%H:%M:%SZ}; run this one again when it is through"
    )
