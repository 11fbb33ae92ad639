"""Try deploy/install on a fresh Debian.

    deploy/try-install [--release bookworm|trixie] [--keep]

Exit status: 0 all is as it should be, 1 something is not, 2 it could not be tried.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time

from deploy.try_install.container import booted
from deploy.try_install.debian import RELEASES, ROOT, CannotTry, fresh_tree, wheels
from deploy.try_install.steps import AFTER_REBOOT, BEFORE_REBOOT, perform


def say(words: str) -> None:
    print(f"deploy/try-install: {words}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", choices=sorted(RELEASES), default="bookworm", help="which Debian")
    parser.add_argument("--keep", action="store_true", help="leave the tree in build/")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        say("needs root")
        return 2
    began_s = time.monotonic()
    try:
        release = RELEASES[arguments.release]
        tree, packages = fresh_tree(release), wheels(release)
        say(f"Debian {release.name} and the wheels are there, after {time.monotonic() - began_s:.0f} s")
        binds, failures = {ROOT: "/src", packages: "/wheels"}, 0
        for steps in (BEFORE_REBOOT, AFTER_REBOOT):
            with booted(tree, binds) as container:
                say(f"booted in {container.boot_s:.1f} s: {container.state}")
                failures += perform(steps, container, say)
        if not arguments.keep:
            shutil.rmtree(tree)
    except CannotTry as error:
        say(str(error))
        return 2
    say(f"{failures or 'nothing'} failed, {time.monotonic() - began_s:.0f} s in all")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
