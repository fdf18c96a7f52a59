"""Memory that a training step frees stays with the process, for the next step.

glibc gives large blocks back at once and gets them again page by page, each zeroed by the kernel,
although every step asks for the same sizes. What that costs is in docs/experiments.md.
"""

import ctypes
import platform

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
MIB = 2**20


def keep_freed_memory() -> None:
    """For the rest of this process. Nothing happens where the allocator is not glibc's."""
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(M_MMAP_THRESHOLD, 32 * MIB)  # the most it takes; larger blocks stay mapped one by one
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(M_TOP_PAD, 64 * MIB)
