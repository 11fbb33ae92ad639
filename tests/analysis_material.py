"""A small archive of images, and the command that measures it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from firmware_app.model import Eye
from hw.sim.eye import SimulatedHead


@lru_cache(maxsize=2)
def frame(seed: int) -> np.ndarray:
    head = SimulatedHead(seed)
    return head.render(head.focus(Eye.RIGHT), 1.0, 8).astype(np.uint8)


def archive(folder: Path) -> Path:
    """Four mosaics, one of them with a name that another has too; a blank picture, a damaged one, and a text."""
    (folder / "visit").mkdir()
    for name, top in (("a.png", 20), ("b.png", 60), ("visit/a.png", 100), ("visit/c.png", 140)):
        Image.fromarray(frame(2)[top : top + 200, 200:400]).save(folder / name)
    Image.fromarray(np.full((120, 120), 90, np.uint8)).save(folder / "flat.png")
    (folder / "visit" / "cut.png").write_bytes((folder / "a.png").read_bytes()[:900])
    (folder / "notes.txt").write_text("no image")
    return folder


def specular(*words: object, python: Iterable[str] = ("-m", "firmware_app")) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *python, *map(str, words)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, check=False)


def numbers_of(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the time it took."""
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
