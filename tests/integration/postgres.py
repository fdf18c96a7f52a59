"""A PostgreSQL cluster of one's own on loopback, as Debian installs it."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from tests.servers import free_port


@dataclass(frozen=True)
class Cluster:
    programs: Path
    folder: Path
    port: int
    user: str

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not found:
            pytest.skip("no PostgreSQL: apt-get install postgresql")
        port = free_port()
        folder = Path("/tmp") / f"lowtide-pg-{port}"
        folder.mkdir()
        user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        shutil.chown(folder, user)
        cluster = cls(found[-1], folder, port, user)
        cluster._run("initdb", "-D", cluster._data, "-U", "lowtide", "--auth=trust")
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
            shutil.rmtree(folder)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def url(self, database: str) -> str:
        """Of a new, empty database."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "lowtide", database)
        return f"postgresql+psycopg2://lowtide@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        self._run("pg_ctl", "-D", self._data, "-w", "-o", options, "-l", f"{self.folder}/log",
                  "start")  # fmt: skip

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        prefix = ("runuser", "-u", self.user, "--") if os.geteuid() == 0 else ()
        subprocess.run(
            [*prefix, str(self.programs / program), *arguments],
            check=True, capture_output=True, cwd="/",
        )  # fmt: skip
