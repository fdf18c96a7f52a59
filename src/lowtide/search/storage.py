"""The database of a study: SQLite in the checkout, or PostgreSQL for several workers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from lowtide.errors import ParamsError, StudyError, UsageError
from lowtide.tracking.sender import redact, without_password

SERVERS = ("postgresql", "postgresql+psycopg2")
NOT_FOUND = "Record does not exist."  # optuna's KeyError


class Database:
    """Raises StudyError, from `talking`, once the database or the study in it has gone."""

    def __init__(self, storage: str | None, file: Path) -> None:
        """`storage`: as in params.yaml; None: `file`."""
        self.url = f"sqlite:///{file}" if storage is None else _checked(storage)
        self.file = file if storage is None else None
        self.name = without_password(self.url)
        self._inode: int | None = None

    @contextmanager
    def talking(self) -> Iterator[None]:
        """In the body the database is asked; its failures are ours, in one line."""
        self._require_file()
        try:
            yield
        except (SQLAlchemyError, StorageInternalError) as error:
            cause = error.__cause__ if isinstance(error.__cause__, SQLAlchemyError) else error
            raise self._gone(redact(cause, self.url)) from None
        except KeyError as error:
            if error.args != (NOT_FOUND,):
                raise
            raise StudyError(
                f"the study was deleted from {self.name} while it was searched: run the same "
                "command to begin it anew"
            ) from None

    @contextmanager
    def opening(self) -> Iterator[None]:
        """`talking`, and what an address or a missing driver comes to.

        Raises:
            ParamsError, UsageError: what to change, or to install.
        """
        try:
            with self.talking():
                yield
        except ValueError as error:
            raise ParamsError(f"search.storage {self.name} is no address: {error}") from None
        except ImportError:
            raise UsageError(
                f"{self.name} needs psycopg2: run `pip install 'lowtide[postgres]'`"
            ) from None

    def open(self) -> RDBStorage:
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with self.opening():
            storage = RDBStorage(self.url)
        self._inode = self._found()
        return storage

    def _require_file(self) -> None:
        """An open file that is deleted takes writes all the same, and keeps none."""
        if self._inode is not None and self._found() != self._inode:
            raise self._gone("the file was deleted or replaced")

    def _found(self) -> int | None:
        """The inode that the file has by now."""
        try:
            return None if self.file is None else self.file.stat().st_ino
        except FileNotFoundError:
            return None

    def _gone(self, why: str) -> StudyError:
        return StudyError(
            f"the study's database {self.name} cannot be used ({why}): bring it back and run the "
            "same command, it goes on from what is kept"
        )


def _checked(storage: str) -> str:
    try:
        parts = urlsplit(storage)
        _ = parts.port
    except ValueError as error:
        raise ParamsError(f"search.storage is no address: {error}") from None
    if parts.scheme not in SERVERS:
        raise ParamsError(
            f"search.storage {without_password(storage)} is no place for a study: take null for "
            "SQLite in this checkout, or postgresql://user@host/database"
        )
    if parts.password is not None or "password" in parse_qs(parts.query):
        raise ParamsError(
            "search.storage holds a password, and params.yaml is no place for one: set PGPASSWORD "
            "and leave it out"
        )
    return storage
