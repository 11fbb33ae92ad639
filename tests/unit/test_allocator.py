"""The C library's allocator is told once, in a process of its own: it cannot be told back."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import ctypes, sys
from firmware_app.services.allocator import MAPPED_FROM_BYTES, give_back, settle_allocator

class Statistics(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]

def mapped():
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Statistics
    return mallinfo2().hblks

print(settle_allocator())
before = mapped()
kept = [bytearray(MAPPED_FROM_BYTES + 1) for _ in range(3)]
large = mapped() - before
del kept
kept = [bytearray(MAPPED_FROM_BYTES // 2) for _ in range(3)]
print(large, mapped() - before)
del kept

def own_kib():
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))

holes = [b"x" * 100_000 for _ in range(400)]  # zeros would come from pages that nobody has touched
stays = holes[1::2]
del holes
before = own_kib()
print(give_back(), before - own_kib() > 15_000)
"""


def test_only_large_blocks_are_mapped_on_their_own_and_always() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "3", "0", "True", "True"]
