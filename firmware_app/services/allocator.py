"""How the C library keeps memory that Python, numpy and Pillow have given back. Blocks of pictures are what matters.

glibc gives every thread an arena of its own and, after the first large block, keeps even those of several MB in them.
Worker threads come and go here, so the pictures of an exam end in whichever arena, in holes of whichever size: in 100
exams a service went from 85 to 107 MiB, up and down; with one arena, and with blocks of 4 MiB and more mapped on their
own, from 75 to 79 MiB. A smaller limit would cost: at 128 KiB each of the network's arrays is mapped anew, and the
analysis takes 1.7 times as long (77,000 page faults a picture; at 4 MiB 300, as with the defaults).

What is left are holes, 1.5 to 3 MiB of a heap of 24, and what stays free at its top. Their pages go back to the kernel
when `give_back` is called (`services/memory.py`); looked at after that, a service was 0.2 MiB larger after 2,000 exams
than after 200 (`tests/benchmarks/bench_soak.py`).
"""

from __future__ import annotations

import ctypes
from typing import Final

# <malloc.h>
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
MAPPED_FROM_BYTES: Final = 4 << 20
# What may stay free at the top of the heap; set as well, because a fixed limit for maps ends its own adjustment.
KEPT_FREE_BYTES: Final = 8 << 20


def settle_allocator() -> bool:
    """Before there are threads. False where the C library is another one, which is then left as it is."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = {_ARENA_MAX: 1, _MMAP_THRESHOLD: MAPPED_FROM_BYTES, _TRIM_THRESHOLD: KEPT_FREE_BYTES}
    taken = [mallopt(parameter, value) for parameter, value in wanted.items()]
    return 0 not in taken


def give_back() -> bool:
    """Free pages, wherever in the heap they are, go back to the kernel: malloc_trim(3). Whether there were any."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and bool(trim(0))
