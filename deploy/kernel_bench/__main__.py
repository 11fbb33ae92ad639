"""Build the machine, boot it, run the tests in it, tell what they said.

    ./deploy/kernel-bench [--timeout-s 600] [--keep] [PYTEST OPTION ...]

Exit status 0: all passed; 1: something failed; 2: the machine could not be built; 3: it did not come to an end.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from deploy.virtual_machine.contents import ROOT, Contents
from deploy.virtual_machine.machine import NO_END, CannotBuild, Machine

FOLDER = ROOT / "build" / "kernel-bench"
CONTENTS = Contents(
    modules=("vivid", "dummy_hcd", "usb_f_acm", "cdc_acm"),
    packages=("trio", "numpy", "pyserial", "pillow", "msgspec", "tomli", "pytest", "pytest-trio", "pytest-timeout"),
    project=("firmware_app", "hw", "tests", "deploy/virtual_machine"),
    first_program=Path(__file__).parent / "guest.py",
)


def say(words: str) -> None:
    print(f"deploy/kernel-bench: {words}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timeout-s", type=float, default=600.0, help="the machine is stopped after so long")
    parser.add_argument("--keep", action="store_true", help="leave the initramfs where it was built")
    arguments, options = parser.parse_known_args()
    began_s = time.monotonic()
    try:
        machine = Machine(FOLDER, CONTENTS)
    except CannotBuild as error:
        say(str(error))
        return 2
    say(machine.built)
    built_s = time.monotonic()
    words = f"specular.pytest={','.join(option.replace(' ', '%20') for option in options)}" if options else ""
    status = machine.run(arguments.timeout_s, words)
    if not arguments.keep:
        machine.remove()
    verdict = {0: "everything passed", NO_END: "the machine came to no end"}.get(status, f"pytest ended with {status}")
    say(f"{verdict}; built in {built_s - began_s:.0f} s, ran for {time.monotonic() - built_s:.0f} s")
    return status if status in (0, NO_END) else 1


if __name__ == "__main__":
    sys.exit(main())
