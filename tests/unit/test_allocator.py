"""The C library's allocator is told once, in a process of its own: it cannot be told back."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import ctypes, sys
from firmware_app.services.allocator import MAPPED_FROM_BYTES, settle_allocator

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
"""


def test_only_large_blocks_are_mapped_on_their_own_and_always() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "3", "0"]
