"""What the long runs in tests/benchmarks share: how they count, and how they end."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path


def words(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counted.most_common())


def end_of(folder: Path, found: list[str]) -> int:
    """The exit status; the folder is kept for whoever looks after what was found."""
    if found:
        print(f"the folders are kept in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0
