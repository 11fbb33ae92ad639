"""The delivery queue of the service that is running: where every instance stands, and what a person decides of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_app.verbs.options import add_verb, count
from firmware_app.verbs.outcome import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, Stop, read_config, show, stopping

if TYPE_CHECKING:
    from firmware_app.console.protocol import Reply
    from firmware_app.verbs.options import Parents, Verbs

# What is printed with --json: the rows of a reply, one a line; a reply without rows is its own one line.
ROWS = ("deliveries", "nodes")


def add(verbs: Verbs, parents: Parents) -> None:
    text = "where every instance stands: queued, sending, stored, committed, failed; hold, release, retry, redirect"
    verb = add_verb(verbs, "queue", text, parents.configured, parents.printed)
    verb.description = (
        "Asks the service that is running; what is shown is what its console and its log say. Without words the "
        "newest instances. WHAT is a SOP Instance UID, the ID of an exam, a storage node, or all."
    )
    verb.add_argument(
        "words",
        nargs="*",
        metavar="hold|release|retry WHAT, redirect WHAT NODE",
        help="send nothing of it; send it again; try it again now; send it to another configured storage node instead",
    )
    verb.add_argument("--exam", metavar="ID", help="only of this exam")
    verb.add_argument("--node", metavar="NODE", help="only what is for this node")
    verb.add_argument("--state", metavar="STATE", help="only in this state, such as failed or commitment-requested")
    verb.add_argument("--limit", type=count, metavar="N", help="instances shown (default 50)")
    verb.add_argument("--counts", action="store_true", help="only how many stand how at each node")
    verb.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    reply = _ask(read_config(arguments).paths.console_socket, line_of(arguments))
    if not arguments.json:
        from firmware_app.console.text import printable

        print(printable(reply.text), flush=True)
        return EXIT_DONE
    data = reply.data or {}
    rows = next((data[key] for key in ROWS if key in data), [data])
    for row in rows if isinstance(rows, list) else [data]:
        show(True, row, "")
    return EXIT_DONE


def line_of(arguments: argparse.Namespace) -> str:
    """What would be typed into the console."""
    import shlex  # here: every other verb would pay for it

    words = ["queue", *arguments.words]
    for option in ("exam", "node", "state", "limit"):
        value = getattr(arguments, option)
        if value is not None:
            words += [f"--{option}", str(value)]
    return shlex.join([*words, *(["--counts"] if arguments.counts else [])])


def _ask(socket_path: Path, line: str) -> Reply:
    import trio

    from firmware_app.console.protocol import Failure
    from firmware_app.services.running_service import NoService, ask_service

    with stopping(EXIT_FAILED, NoService):
        answer = trio.run(ask_service, socket_path, line)
    if isinstance(answer, Failure):
        raise Stop(EXIT_USAGE if answer.kind == "usage" else EXIT_FAILED, answer.error)
    return answer
