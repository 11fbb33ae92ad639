"""Verbs of the instrument itself: the service, its console, the demo, and the simulated worlds alone."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app.verbs.options import add_verb, seed
from firmware_app.verbs.outcome import EXIT_FAILED, EXIT_USAGE, needing_demo, read_config, stopping

# These verbs have a command line of their own in the room that does the work.
PASSED_ON = ("sim", "hospital")

if TYPE_CHECKING:
    from firmware_app.verbs.options import Parents, Verbs


def add(verbs: Verbs, parents: Parents) -> None:
    verb = add_verb(verbs, "run", "the service (systemd starts this)", parents.configured)
    verb.set_defaults(run=run_service)

    verb = add_verb(
        verbs,
        "console",
        "operate the instrument by hand; reads commands from a file or pipe too",
        parents.configured,
        parents.printed,
    )
    verb.description = (
        "The debug console. Without -c an interactive session, or, where standard input is no terminal, one command "
        "a line until the first that does not succeed; empty lines and lines beginning with # are skipped."
    )
    verb.add_argument("-c", dest="command", metavar="COMMAND", help='run one command ("help" lists them) and leave')
    verb.add_argument(
        "--ssh",
        action="store_true",
        help="of an SSH session: the command that its client gave, if any",
    )
    verb.set_defaults(run=run_console)

    verb = add_verb(verbs, "demo", "a whole exam with the simulated instrument and the embedded hospital")
    verb.add_argument("--out", type=Path, metavar="DIR", help="where report, images and instances are put")
    verb.add_argument("--seed", type=seed, default=1, metavar="N", help="which simulated eyes (default 1)")
    verb.add_argument("--keep", action="store_true", help="leave everything running afterwards, to play with")
    verb.set_defaults(run=run_demo)

    for name, text in (
        ("sim", "only the simulated instrument: prints the ports, takes faults on stdin"),
        ("hospital", "only the embedded hospital: information system, archive and printer on loopback"),
    ):
        verb = verbs.add_parser(name, help=text, add_help=False)
        verb.set_defaults(run=run_sim if name == "sim" else run_hospital)


def run_service(arguments: argparse.Namespace) -> int:
    config = read_config(arguments, with_files=True)  # first: its problems are told before anything heavy is imported
    from firmware_app import app
    from firmware_app.console.listening import ConsoleUnavailable
    from firmware_app.records.errors import RecordsError

    with stopping(EXIT_USAGE, app.CannotStart), stopping(EXIT_FAILED, ConsoleUnavailable, RecordsError):
        return app.run_service(config)


def run_console(arguments: argparse.Namespace) -> int:
    from firmware_app.console import client

    # sshd's ForceCommand: what the client asked for is the console's to understand, never a shell's (sshd_config(5)).
    command = arguments.command or (os.environ.get("SSH_ORIGINAL_COMMAND") if arguments.ssh else None) or None
    return client.run_console(read_config(arguments).paths.console_socket, command, arguments.json)


def run_demo(arguments: argparse.Namespace) -> int:
    with needing_demo():
        from firmware_app.demo.exam import run_demo
    return run_demo(out=arguments.out, seed=arguments.seed, keep=arguments.keep)


def run_sim(arguments: argparse.Namespace) -> int:
    from hw.sim.__main__ import main

    return main(arguments.others)


def run_hospital(arguments: argparse.Namespace) -> int:
    with needing_demo():
        from firmware_app.demo import hospital
    return hospital.main(arguments.others)
