"""Coverage-guided fuzzing of one DICOM decoder: python tests/fuzz/fuzz_dicom.py TARGET [CORPUS...] [-max_total_time=S]

Needs the extra `fuzz` (atheris). The other arguments are libFuzzer's; it writes an input that breaks something as
crash-* into the current folder. TARGET is a name in tests/fuzz_targets.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

with atheris.instrument_imports(include=["firmware_app.dicom"]):
    from fuzz_targets import TARGETS


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: fuzz_dicom.py {{{','.join(TARGETS)}}} [CORPUS...] [libFuzzer options]")
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
