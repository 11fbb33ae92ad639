"""Where the recorded bytes of real stage firmware are: with the reference data, which the repository has no copy of."""

from __future__ import annotations

import os
from pathlib import Path

SHARED = Path(os.environ.get("SPECULAR_SHARED", Path(__file__).resolve().parents[2] / "shared"))
RECORDINGS = SHARED / "data" / "transcripts"
