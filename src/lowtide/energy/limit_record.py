"""What a GPU's power limit was before it was changed: a small file that outlives a kill -9."""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from lowtide.artifacts import read_json, write_text
from lowtide.energy.driver import answering, close_driver, open_driver
from lowtide.errors import ArtifactError, MeterError

NEAR_MW = 1000  # within a watt it is the same limit: drivers may round
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LimitRecord:
    """Milliwatts: the limit that was found, and all that were set since."""

    former_mw: int
    ours_mw: tuple[int, ...] = ()

    def is_ours(self, limit_mw: int) -> bool:
        """Whether the limit that holds now is one that was set here."""
        return any(abs(limit_mw - ours) < NEAR_MW for ours in self.ours_mw)


class RecordFile:
    """One GPU's record. Whoever holds it may change the limit; a process that is gone holds none.

    All but `release` raise ArtifactError where the file is broken or cannot be written.
    """

    def __init__(self, folder: Path, uuid: str) -> None:
        self.uuid, self.path = uuid, folder / f"{uuid}.json"
        self._lock = FileLock(folder / f"{uuid}.lock", thread_local=False)

    @classmethod
    def left_in(cls, folder: Path) -> Iterator[Self]:
        """Those that have a record."""
        return (cls(folder, path.stem) for path in sorted(folder.glob("*.json")))

    def hold(self) -> bool:
        """False where it is held already."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        except OSError as error:
            raise ArtifactError(f"cannot write {self.path}: {error.strerror or error}") from None
        return True

    def release(self) -> None:
        self._lock.release()

    def read(self) -> LimitRecord | None:
        """None where there is none."""
        if not self.path.exists():
            return None
        try:
            content = read_json(self.path)
            return LimitRecord(int(content["former_mw"]), tuple(map(int, content["ours_mw"])))
        except (ArtifactError, KeyError, TypeError, ValueError):
            raise ArtifactError(
                f"{self.path} does not tell the former power limit of {self.uuid}: set it with "
                "`nvidia-smi -pl WATTS` and delete the file"
            ) from None

    def write(self, record: LimitRecord) -> None:
        write_text(self.path, json.dumps(asdict(record)) + "\n")

    def delete(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise ArtifactError(f"cannot delete {self.path}: {error.strerror or error}") from None


def restore_limits(state: Path) -> None:
    """Give back what processes that were killed have left; at once where there is nothing.

    What cannot be given back now is said, and kept for the next time.
    """
    for file in RecordFile.left_in(state):
        try:
            if file.hold():
                _restore_left(file)
        except (MeterError, ArtifactError) as error:
            log.warning("a GPU may still have the power limit of a killed process: %s", error)
        finally:
            file.release()


def _restore_left(file: RecordFile) -> None:
    record = file.read()
    if record is None:
        return
    nvml = open_driver()
    try:
        with answering(nvml, file.uuid):
            handle = nvml.nvmlDeviceGetHandleByUUID(file.uuid)
        give_back(nvml, handle, file, record)
    finally:
        close_driver(nvml)


def give_back(nvml: Any, handle: Any, file: RecordFile, record: LimitRecord) -> None:
    """The former limit, unless somebody else has set another one meanwhile.

    Raises:
        MeterError: the driver refuses; says how to do it by hand. The record is kept.
    """
    by_hand = f"`nvidia-smi -i {file.uuid} -pl {record.former_mw / 1e3:g}` gives it back"
    try:
        now_mw = nvml.nvmlDeviceGetPowerManagementLimit(handle)
        if now_mw != record.former_mw and record.is_ours(now_mw):
            nvml.nvmlDeviceSetPowerManagementLimit(handle, record.former_mw)
    except nvml.NVMLError as error:
        raise MeterError(f"{file.uuid} keeps its power limit ({error}): {by_hand}") from None
    file.delete()
