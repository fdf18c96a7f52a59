"""Who works on a trial: a claim that ends with the process that holds it, however that ends."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

STUDY = 0  # the lock of the study itself; trial n has that of n + 1


class Owners(Protocol):
    @contextmanager
    def alone(self) -> Iterator[None]:
        """In the body no other worker chooses a trial."""
        yield

    def claim(self, number: int) -> bool:
        """False where another worker works on the trial."""

    def release(self, number: int) -> None: ...

    def check(self) -> None:
        """SQLAlchemyError where claims may be lost."""

    def close(self) -> None: ...


class Alone:
    """One process has the study: it holds the checkout's lock."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        yield

    def claim(self, number: int) -> bool:  # noqa: ARG002
        return True

    def release(self, number: int) -> None: ...

    def check(self) -> None: ...

    def close(self) -> None: ...


class PostgresOwners:
    """Advisory locks of a session of its own: the server gives them up when the session ends."""

    def __init__(self, url: str, study: str) -> None:
        self._key = zlib.crc32(study.encode()) - 2**31  # PostgreSQL's integers are signed
        engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        self._connection: Connection = engine.connect()

    @contextmanager
    def alone(self) -> Iterator[None]:
        self._ask("pg_advisory_lock", STUDY)
        try:
            yield
        finally:
            with suppress(SQLAlchemyError):  # the server has gone, and the lock with it
                self._ask("pg_advisory_unlock", STUDY)

    def claim(self, number: int) -> bool:
        return bool(self._ask("pg_try_advisory_lock", number + 1))

    def release(self, number: int) -> None:
        self._ask("pg_advisory_unlock", number + 1)

    def check(self) -> None:
        self._connection.execute(text("SELECT 1"))

    def close(self) -> None:
        self._connection.close()

    def _ask(self, function: str, lock: int) -> object:
        statement = text(f"SELECT {function}(:study, :lock)")
        return self._connection.execute(statement, {"study": self._key, "lock": lock}).scalar()
