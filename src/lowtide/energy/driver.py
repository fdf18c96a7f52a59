"""The NVIDIA driver's library, with errors that name the GPU and the remedy."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lowtide.errors import MeterError


def open_driver() -> Any:
    """pynvml, initialised. Raises MeterError where it or the driver is missing or refuses."""
    try:
        import pynvml
    except ImportError:
        raise MeterError("pynvml is not installed: pip install nvidia-ml-py") from None
    with answering(pynvml, "the GPU driver"):
        pynvml.nvmlInit()
    return pynvml


def close_driver(nvml: Any) -> None:
    with contextlib.suppress(nvml.NVMLError):  # of a driver that has gone
        nvml.nvmlShutdown()


@contextmanager
def answering(nvml: Any, what: str) -> Iterator[None]:
    """The driver's errors in the body become a MeterError about `what`."""
    try:
        yield
    except nvml.NVMLError_NoPermission:
        raise MeterError(
            f"{what} does not let this user change it: run as root, or ask for `nvidia-smi -pl`"
        ) from None
    except nvml.NVMLError as error:
        raise MeterError(f"{what} refuses ({error}): see `nvidia-smi -q -d POWER`") from None
