"""Install the service on this machine, or take it off again.

    sudo deploy/install [--config FILE] [--wheels DIR] [--no-start]
    sudo deploy/install --uninstall

Data (/var/lib/specular) and configuration (/etc/specular) are never touched, but for a first configuration where there
is none. Exit status: 0 done, 1 it failed, with the reason in one line.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from deploy.installation import machine, program
from deploy.installation.commands import CannotInstall, say, succeeds
from deploy.installation.placement import CONFIGURATION, PROGRAM, STATE, placements

REPOSITORY = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="deploy/install", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the first configuration, if there is none yet")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="the packages of requirements.lock, instead of PyPI")
    parser.add_argument("--no-start", action="store_true", help="enable the service, but start it at the next boot")
    parser.add_argument("--uninstall", action="store_true", help="take everything off again but data and configuration")
    arguments = parser.parse_args()
    has_ssh = Path("/etc/ssh/sshd_config.d").is_dir() and shutil.which("sshd") is not None
    os.umask(0o022)  # the service, which is not root, reads what is made here, whatever root's own mask
    try:
        machine.check_rights()
        if arguments.uninstall:
            uninstall(has_ssh)
        else:
            machine.check_machine()
            install(arguments, has_ssh)
    except (CannotInstall, OSError) as error:
        say(str(error))
        return 1
    return 0


def install(arguments: argparse.Namespace, has_ssh: bool) -> None:
    placed = placements(REPOSITORY, has_ssh=has_ssh)
    before = machine.placed_before()
    has_program = program.is_current(REPOSITORY)
    if not has_program:
        renew_program(arguments.wheels)
    changed = machine.place_files(placed)
    machine.write_manifest(placed)
    machine.remove_files(set(before) - {file.target for file in placed})
    if machine.place_configuration(arguments.config):
        changed.append(CONFIGURATION / "specular.toml")
    for path in changed:
        say(f"wrote {path}")
    if has_program and not changed and succeeds("systemctl", "is-active", "--quiet", "specular.service"):
        say("nothing has changed, and the service runs")
        return
    machine.check_configuration()  # before anything is restarted with it
    machine.set_up(has_ssh=has_ssh)
    began_s = time.monotonic()
    machine.enable_and_start(start=not arguments.no_start)
    if not arguments.no_start:
        say(f"the service is ready, {time.monotonic() - began_s:.1f} s after its start was asked for")


def renew_program(wheels: Path | None) -> None:
    """The service stops, because its modules go; where the new ones do not come it goes on with the old ones."""
    ran = succeeds("systemctl", "is-active", "--quiet", "specular.service")
    succeeds("systemctl", "stop", "specular.service")
    try:
        program.install_program(REPOSITORY, wheels)
    except BaseException:
        if ran:
            succeeds("systemctl", "start", "specular.service")
        raise


def uninstall(has_ssh: bool) -> None:
    machine.remove_machine_part(has_ssh)
    if PROGRAM.exists():
        shutil.rmtree(PROGRAM)
    say(f"the service is gone; data in {STATE}, configuration in {CONFIGURATION} and the users stay")


if __name__ == "__main__":
    sys.exit(main())
