"""Every verb that asks a peer, against everything that a peer may do: one table of exit status, rows and reason."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from delivery_peer import dicom_instance
from every_service import Mute, every_service
from PIL import Image
from pynetdicom.sop_class import Verification

AT_ONCE = 32  # most of the silent ones only wait
SILENCE_S, WAIT_S = 2.0, 20.0
FORKS = Path(__file__).with_name("client_forks.py")
PRELOADED = f"""
import runpy
from firmware_app.services import commit_rows, mpps_rows, network_verbs, print_rows, query_rows
runpy.run_path({str(FORKS)!r}, run_name="__main__")
"""
VERBS = {
    "echo": ["echo", "NODE"],
    "worklist": ["worklist", "NODE"],
    "patients": ["patients", "NODE"],
    "store": ["store", "NODE", "1.dcm", "2.dcm"],
    "commit": ["commit", "NODE", "1.dcm", "2.dcm", "--listen", "0"],
    "commit, no report": ["commit", "NODE", "1.dcm", "2.dcm", "--listen", "0", "--wait", "0.2"],
    "mpps start": ["mpps", "NODE", "start", "--uid", "2.25.7"],
    "mpps complete": ["mpps", "NODE", "complete", "--uid", "2.25.7"],
    "mpps discontinue": ["mpps", "NODE", "discontinue", "--uid", "2.25.7", "--reason", "wrong-patient"],
    "print": ["print", "NODE", "eye.png", "eye.png"],
    "print --status": ["print", "NODE", "--status"],
}
# Verbs with one row for each file, whatever happens, and the key that tells how it went.
EVERY_FILE = {"store": "category", "commit": "result", "commit, no report": "result", "print": "category"}
ASSOCIATING = {
    "rejected": ("rejecting", "rejected permanently by the application: called AE title not recognized"),
    "other services only": ("verifying", "abstract syntax not supported"),
    "nobody": ("nobody", "cannot connect: Connection refused"),
    "silent to the association": ("mute 2", f"no answer to our association request within {SILENCE_S:g} s"),
}
NOT_BEGUN = {
    "store": {"permanent", "retry"},
    "commit": {"not asked"},
    "commit, no report": {"not asked"},
    "print": {"not printed"},
}


class Cell(NamedTuple):
    verb: str
    place: str  # of the peers below
    mood: str
    status: int
    rows: list[str]  # what the rows tell; of a verb without such a key its rows are only counted
    reason: str  # in the line on stderr, where the status is 1


def told(verb: str, mood: str, status: int, rows: list[str], reason: str = "") -> Cell:
    return Cell(verb, "peer", mood, status, rows, reason)


FOUND = ["found"]
CELLS = {
    **{
        f"{verb}: well": told(verb, "WELL", 0, rows)
        for verb, rows in {
            "echo": FOUND,
            "worklist": FOUND,
            "patients": FOUND,
            "store": ["stored"] * 2,
            "commit": ["committed"] * 2,
            "mpps start": ["done"],
            "mpps complete": ["done"],
            "mpps discontinue": ["done"],
            "print": ["printed"] * 2,
            "print --status": FOUND,
        }.items()
    },
    **{
        f"{verb}: warning": told(verb, "WARNS", 0, rows)
        for verb, rows in {
            "worklist": FOUND,
            "patients": FOUND,
            "store": ["warning"] * 2,
            "mpps start": ["warning"],
            "mpps complete": ["warning"],
            "mpps discontinue": ["warning"],
            "print": ["warning"] * 2,
            "print --status": FOUND,
        }.items()
    },
    **{
        f"{verb}: refused": told(verb, "REFUSES", 1, rows, reason)
        for verb, rows, reason in (
            ("echo", [], "C-ECHO failed with status 0110H processing failure"),
            ("worklist", [], "C-FIND failed with status A700H out of resources"),
            ("patients", [], "C-FIND failed with status A700H out of resources"),
            ("store", ["retry"] * 2, "1.dcm: not stored: "),
            ("commit", ["refused"] * 2, "N-ACTION failed with status 0213H resource limitation (and 1 more)"),
            ("mpps start", ["retry"], "N-CREATE failed with status 0110H processing failure"),
            ("mpps complete", ["permanent"], "N-SET failed with status 0110H processing failure"),
            ("mpps discontinue", ["permanent"], "N-SET failed with status 0110H processing failure"),
            ("print", ["not printed"] * 2, "film 1: "),
            ("print --status", FOUND, "N-GET of the printer failed with status 0110H processing failure"),
        )
    },
    "commit: failed in the report": told(
        "commit", "FAILS", 1, ["refused"] * 2, "1.dcm: refused: 0112H no such object instance (and 1 more)"
    ),
    "print: printer failure": told(
        "print", "FAILS", 1, ["not printed"] * 2, "the printer reports FAILURE (FILM JAM); nothing has been printed"
    ),
    **{
        f"{verb}: {name}": Cell(verb, place, "WELL", 1, ["?"] * 2 if verb in EVERY_FILE else [], reason)
        for name, (place, reason) in ASSOCIATING.items()
        for verb in VERBS
        if (verb, name) != ("echo", "other services only")
    },
    **{
        f"{verb}: silent to the request": Cell(verb, "mute 4", "WELL", 1, rows, f"no {what} within {SILENCE_S:g} s")
        for verb, rows, what in (
            ("echo", [], "C-ECHO-RSP"),
            ("worklist", [], "C-FIND-RSP"),
            ("patients", [], "C-FIND-RSP"),
            ("store", ["retry"] * 2, "C-STORE-RSP"),
            ("commit", ["unanswered"] * 2, "N-ACTION-RSP"),
            ("mpps start", ["uncertain"], "N-CREATE-RSP"),
            ("mpps complete", ["uncertain"], "N-SET-RSP"),
            ("mpps discontinue", ["uncertain"], "N-SET-RSP"),
            ("print", ["not printed"] * 2, "N-GET-RSP"),
            ("print --status", [], "N-GET-RSP"),
        )
    },
    "commit, no report: silent": told(
        "commit, no report", "SILENT", 1, ["unanswered"] * 2, "1.dcm: unanswered: no report within 0.2 s (and 1 more)"
    ),
    # What was answered stands although the release fails.
    **{
        f"{verb}: silent to the release": Cell(verb, "mute 6", "WELL", 0, rows, "")
        for verb, rows in {
            "echo": FOUND,
            "worklist": FOUND,
            "patients": FOUND,
            "store": ["stored"] * 2,
            "commit": ["committed"] * 2,
            "mpps start": ["done"],
            "mpps complete": ["done"],
            "mpps discontinue": ["done"],
            "print": ["printed"] * 2,
            "print --status": FOUND,
        }.items()
    },
}


class Outcome(NamedTuple):
    status: int
    output: str
    errors: str
    port: int


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    with ExitStack() as stack:
        made = {"peer": stack.enter_context(every_service())}
        made["rejecting"] = stack.enter_context(every_service(rejecting=True))
        made["verifying"] = stack.enter_context(every_service(services=(Verification,)))
        for pdu_type in (2, 4, 6):
            mute = Mute(made["peer"], pdu_type)
            stack.callback(mute.close)
            made[f"mute {pdu_type}"] = mute.port
        nobody = stack.enter_context(socket.socket())
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        made["nobody"] = nobody.getsockname()[1]
        yield made


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for number in (1, 2):
        (folder / f"{number}.dcm").write_bytes(dicom_instance(number))
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(folder / "eye.png")
    return folder


def run(cell: Cell, as_json: bool, port: int, folder: Path, control: socket.socket) -> Outcome:
    words = [f"{cell.mood}@127.0.0.1:{port}" if word == "NODE" else word for word in VERBS[cell.verb]]
    words = [str(folder / word) if word.endswith((".dcm", ".png")) else word for word in words]
    words += ["--timeout", str(SILENCE_S if "mute" in cell.place else WAIT_S), *(["--json"] if as_json else [])]
    pipes = [os.pipe() for _ in range(3)]
    socket.send_fds(control, [json.dumps(words).encode()], [write for _, write in pipes])
    for _, write in pipes:
        os.close(write)
    octets = []
    for read, _ in pipes:
        with open(read, "rb") as pipe:
            octets.append(pipe.read())
    return Outcome(octets[2][0], octets[0].decode(), octets[1].decode(), port)


Key = tuple[str, bool]
# For people too, where nobody has to wait for it.
KEYS = [(name, as_json) for as_json in (True, False) for name in CELLS if as_json or "silent" not in name]


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, ports: dict[str, int], files: Path
) -> Iterator[dict[Key, Future[Outcome]]]:
    """The selected cells, many at once."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    chosen = {(call.params.get("name"), call.params.get("as_json")) for call in calls if call is not None}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with subprocess.Popen([sys.executable, "-c", PRELOADED], stdin=theirs) as forks, ours:
        theirs.close()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield {
                (name, as_json): pool.submit(run, CELLS[name], as_json, ports[CELLS[name].place], files, ours)
                for name, as_json in sorted(KEYS, key=lambda key: "silent" not in key[0])
                if (name, as_json) in chosen
            }
        ours.close()
        forks.wait(20)


@pytest.mark.parametrize(("name", "as_json"), KEYS, ids=[f"{name}, {'json' if j else 'text'}" for name, j in KEYS])
def test_a_verb_and_its_peer(name: str, as_json: bool, outcomes: dict[Key, Future[Outcome]]) -> None:
    cell, outcome = CELLS[name], outcomes[name, as_json].result()
    assert outcome.status == cell.status, outcome
    if cell.status:
        check_reason(cell, outcome)
    else:
        assert outcome.errors == ""
    if as_json:
        check_rows(cell, [json.loads(line) for line in outcome.output.splitlines()])
    else:
        assert len(outcome.output.splitlines()) >= len(cell.rows)
        assert "Traceback" not in outcome.output


def check_reason(cell: Cell, outcome: Outcome) -> None:
    assert outcome.errors.startswith(f"specular {VERBS[cell.verb][0]}: ")
    assert outcome.errors.count("\n") == 1 and outcome.errors.rstrip("\n").isprintable()
    assert cell.reason in outcome.errors
    if cell.mood == "WELL":
        assert f"({cell.mood} at 127.0.0.1:{outcome.port})" in outcome.errors


def check_rows(cell: Cell, rows: list[dict[str, Any]]) -> None:
    assert len(rows) == len(cell.rows)
    key = EVERY_FILE.get(cell.verb) or ("category" if cell.verb.startswith("mpps") else "")
    if not key:
        return
    told = [row[key] for row in rows]
    assert set(told) <= NOT_BEGUN[cell.verb] if "?" in cell.rows else told == cell.rows
    assert all(row["reason"] or row[key] in ("stored", "committed", "done", "printed") for row in rows)
    assert len({frozenset(row) for row in rows}) <= 1
