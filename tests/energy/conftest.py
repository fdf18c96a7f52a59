"""A driver library of our own, built by gcc and loaded at the C boundary by pynvml."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("fake_nvml.c")
NAME = "libnvidia-ml.so.1"


def build(folder: Path, *flags: str) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc to build the driver library with")
    command = ["gcc", "-shared", "-fPIC", "-Wall", "-Werror", *flags]
    subprocess.run([*command, "-o", str(folder / NAME), str(SOURCE)], check=True)
    return folder


class Driver:
    """The library's state, and programs that load it."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.library, self.folder = library, folder
        self.state = folder / "driver"

    def write(self, *lines: str) -> None:
        """Later lines hold over earlier ones."""
        with self.state.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def value(self, key: str) -> int:
        lines = [line.split() for line in self.state.read_text().splitlines()]
        return [int(value) for name, value in lines if name == key][-1]

    @property
    def calls(self) -> list[str]:
        log = Path(f"{self.state}.log")
        return log.read_text().splitlines() if log.exists() else []

    @property
    def environment(self) -> dict[str, str]:
        """In which a program finds this library, and all its GPUs."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("CUDA_")}
        return {**inherited, "LD_LIBRARY_PATH": str(self.library), "FAKE_NVML": str(self.state)}

    def start(self, program: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            env={**self.environment, **environment},
            cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def run(self, program: str, *arguments: str, **environment: str) -> tuple[str, str]:
        """What it printed, and said on stderr."""
        process = self.start(program, *arguments, **environment)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return out, err


@pytest.fixture(scope="session")
def fake_nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(scope="session")
def old_nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("old-nvml"), "-DOLD_DRIVER")


@pytest.fixture
def driver(fake_nvml: Path, tmp_path: Path) -> Driver:
    return Driver(fake_nvml, tmp_path)
