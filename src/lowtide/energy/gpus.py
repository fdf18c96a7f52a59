"""The GPUs that CUDA_VISIBLE_DEVICES leaves to this process, as the driver numbers them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """`sliced`: MIG has split it; the driver tells and limits the power of the whole of it only."""

    index: int
    handle: Any
    sliced: bool

    @property
    def name(self) -> str:
        return f"gpu{self.index}"


@dataclass(frozen=True)
class VisibleGpus:
    """`doubt` says why it is not sure which are meant; then all of the machine are here."""

    gpus: tuple[Gpu, ...]
    doubt: str | None = None


def none_visible() -> bool:
    """Whether CUDA_VISIBLE_DEVICES is set and names nothing."""
    return not _names(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))


def visible_gpus(nvml: Any) -> VisibleGpus:
    """By number, UUID (which may be cut short) or slice. As CUDA does it, the list ends before the
    first name that is unknown. A GPU that the user has no permission to talk to is not there.

    Raises:
        NVMLError: a GPU that is meant does not answer.
    """
    all_indices = range(nvml.nvmlDeviceGetCount())
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return VisibleGpus(_opened(nvml, all_indices))
    names = _names(wanted)
    chosen: set[int] = set()
    doubtful = any(map(str.isdigit, names)) and not _numbered_alike(nvml, all_indices)
    for name in names:
        index = _index(nvml, name, all_indices)
        doubtful |= index is None and name.startswith("MIG-")
        if index is None or doubtful:
            break
        chosen.add(index)
    if not doubtful:
        return VisibleGpus(_opened(nvml, sorted(chosen)))
    doubt = f"CUDA_VISIBLE_DEVICES={wanted} does not tell the driver which GPUs are meant"
    return VisibleGpus(_opened(nvml, all_indices), doubt)


def _names(wanted: str) -> list[str]:
    return [name for part in wanted.split(",") if (name := part.strip())]


def _opened(nvml: Any, indices: Iterable[int]) -> tuple[Gpu, ...]:
    gpus = []
    for index in indices:
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
        except nvml.NVMLError_NoPermission:
            continue
        gpus.append(Gpu(index, handle, _sliced(nvml, handle)))
    return tuple(gpus)


def _sliced(nvml: Any, handle: Any) -> bool:
    try:
        return bool(nvml.nvmlDeviceGetMigMode(handle)[0])
    except (
        nvml.NVMLError_NotSupported,
        nvml.NVMLError_NoPermission,
        nvml.NVMLError_FunctionNotFound,  # a driver from before MIG
    ):
        return False


def _numbered_alike(nvml: Any, indices: range) -> bool:
    """CUDA numbers by speed unless told otherwise, the driver by bus: the same for GPUs of one
    model. Slices have numbers of their own."""
    by_bus = os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    gpus: list[Gpu] = []
    for index in indices:
        try:
            gpus += _opened(nvml, [index])
        except nvml.NVMLError:
            if not by_bus:
                raise
    models = set() if by_bus else {nvml.nvmlDeviceGetName(gpu.handle) for gpu in gpus}
    return len(indices) == 1 or (len(models) <= 1 and not any(gpu.sliced for gpu in gpus))


def _index(nvml: Any, name: str, indices: range) -> int | None:
    if name.isdigit():
        return int(name) if int(name) in indices else None
    if name.startswith("MIG-GPU-"):  # MIG-GPU-<uuid>/<instance>/<instance>, drivers before 470
        name = name.removeprefix("MIG-").partition("/")[0]
    if name.startswith("MIG-"):
        return _index_of_slice(nvml, name)
    return _index_of_uuid(nvml, name, indices) if name.startswith("GPU-") else None


def _index_of_slice(nvml: Any, uuid: str) -> int | None:
    try:
        part = nvml.nvmlDeviceGetHandleByUUID(uuid)
        return int(nvml.nvmlDeviceGetIndex(nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part)))
    except nvml.NVMLError:
        return None


def _index_of_uuid(nvml: Any, start: str, indices: range) -> int | None:
    silent = None
    for index in indices:
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            if str(nvml.nvmlDeviceGetUUID(handle)).startswith(start):
                return index
        except nvml.NVMLError_NoPermission:
            continue
        except nvml.NVMLError as error:
            silent = error
    if silent is not None:  # it may be the one that is meant
        raise silent
    return None
