"""Whole exams with patients of many character sets: none of them in log, events, health, self-test or service bundle.

The audit trail names them, because the standard wants it: it is looked at too, so that the search is known to work.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from instrument_bench import READY_S, Bench, Running, bench, service
from patient_traces import parts_of, traces

from firmware_app.console.protocol import Subscribe, encode_request
from firmware_app.demo.console_link import CommandRefused
from firmware_app.demo.scheduled_patients import APPOINTMENTS

pytestmark = pytest.mark.timeout(300)
TYPED = "exam unscheduled ID-7F3K9Q Zwicky^Ottilie --birth-date 19440229 --sex F"
SCHEDULED = APPOINTMENTS[:6]
MARKS = (
    *dict.fromkeys(part for each in SCHEDULED for part in parts_of(each.name) if part != "Anne"),
    *(value for each in SCHEDULED for value in (each.patient_id, each.birth_date, f"ACC{each.patient_id[3:]}")),
    *("ID-7F3K9Q", "Zwicky", "Ottilie", "19440229", "Novak"),
)


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("b")) as built:
        yield built


@contextlib.contextmanager
def listening(path: Path) -> Iterator[Callable[[], bytes]]:
    """A console that takes every event; what it has heard so far."""
    chunks: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(READY_S)
        connection.connect(str(path))
        connection.sendall(encode_request(Subscribe()))

        def listen() -> None:
            with contextlib.suppress(OSError):
                while octets := connection.recv(65536):
                    chunks.append(octets)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield lambda: b"".join(chunks)
        finally:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(READY_S)


def one_exam(running: Running, start: str, eye: str = "R") -> None:
    running.run(start)
    running.run(f"eye {eye}")
    running.run(f"capture {eye}")  # out of focus: refused, which takes the analysis no time
    running.run("exam finish")


def work_and_trouble(around: Bench, running: Running) -> None:
    """What an instrument does in a day, and what goes wrong with it."""
    running.wait_ready()
    running.run("home")
    assert len(running.run("worklist")["items"]) == len(SCHEDULED)
    for number in (1, 2, 4):  # Latin-1, kanji and Cyrillic
        one_exam(running, f"exam start {number}")
    running.run("worklist --name Lindstr*")
    running.run("patients --name Соколова*")
    one_exam(running, TYPED)
    around.tell_hospital("archive down")
    running.run("worklist --last")
    one_exam(running, "exam start 1", "L")
    running.wait("a reason to wait", lambda: "cannot connect" in str(running.run("queue")))
    around.tell_hospital("archive up")
    around.tell_hospital("mpps 0106")
    running.run("exam start 1")
    running.run("exam abandon")
    around.tell_hospital("mpps 0000")
    around.tell_hospital("worklist down")
    with pytest.raises(CommandRefused):
        running.run("worklist --id SP-1001")
    around.tell_hospital("worklist up")
    running.run("retry all")
    running.wait("all stored", lambda: set(running.states()) == {"stored"})


def selftest(running: Running) -> bytes:
    command = [sys.executable, "-m", "firmware_app", "selftest", "--config", str(running.paths.configuration)]
    return b"".join(
        done.stdout + done.stderr
        for done in (subprocess.run([*command, *also], capture_output=True, check=False) for also in ([], ["--json"]))
    )


def unpacked(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        members = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive.getmembers()}
        return {name: file.read() for name, file in members.items() if file is not None}


def test_none_of_them_leaves(around: Bench) -> None:
    with service(around.paths("marked")) as running, listening(running.paths.console) as heard:
        work_and_trouble(around, running)
        said = {
            "health": json.dumps(running.run("health"), ensure_ascii=False).encode(),
            "health for people": running.link.run("health")[0].encode(),
            "status": json.dumps(running.run("status"), ensure_ascii=False).encode(),
            "self-test": selftest(running),
        }
        running.wait("the log tail", lambda: (running.paths.state / "log" / "service.jsonl").exists())
        reply = running.run("logs export")
        audit = running.run("audit --limit 1000")
        bundle = Path(reply["path"])
        inside = unpacked(bundle)
    said["events"] = heard()
    said["log"] = running.child.log.read_bytes()
    said["log tail"] = (running.paths.state / "log" / "service.jsonl").read_bytes()
    said |= {f"bundle: {name}": octets for name, octets in inside.items()}
    for what, octets in said.items():
        assert traces(octets, MARKS) == [], what
    assert b"delivery.stored" in said["log"]
    assert b"delivery.retry" in said["events"]
    check_bundle(inside, reply)
    check_audit(audit, running)
    assert (bundle.stat().st_mode & 0o777, bundle.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def check_bundle(inside: dict[str, bytes], reply: dict[str, Any]) -> None:
    manifest = json.loads(inside["manifest.json"])
    listed = {each["name"]: each["sha256"] for each in manifest["files"]}
    assert listed == {
        name: hashlib.sha256(octets).hexdigest() for name, octets in inside.items() if name != "manifest.json"
    }
    assert set(reply["missing"]) <= {"journal.jsonl"}
    wanted = {
        "versions.json", "machine.json", "usb.json", "configuration.json", "health.json", "devices.json",
        "records.json", "deliveries.json", "calibrations.jsonl", "service.jsonl", "selftest.json",
    }  # fmt: skip
    assert wanted <= set(inside)
    assert json.loads(inside["records.json"])["rows"]["exams"] == 6
    assert json.loads(inside["health.json"])["well"] is True
    assert json.loads(inside["configuration.json"])["instrument"]["operator"] == "[removed]"
    assert b'"event": "delivery.stored"' in inside["service.jsonl"]


def check_audit(audit: dict[str, Any], running: Running) -> None:
    """They are named there, and the chain is whole."""
    assert audit["chain"] == []
    trail = b"".join(path.read_bytes() for path in (running.paths.state / "audit").glob("*.jsonl"))
    found = traces(trail, ("SP-1001", "ID-7F3K9Q", "Соколова"))
    assert len({each.split()[0] for each in found}) == 3
    messages = "".join(each["message"] for each in audit["messages"])
    for code in ("110100", "110102", "110104", "110110", "110111", "110112", "110114", "110120", "110122"):
        assert f'csd-code="{code}"' in messages, code
    for path in (running.paths.state / "audit").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_they_are_in_the_log_where_somebody_wants_them_there(around: Bench) -> None:
    paths = around.paths("wanted")
    paths.configuration.write_text(paths.configuration.read_text() + "\n[log]\npatient_data = true\n")
    with service(paths) as running:
        running.wait_ready()
        running.run("home")
        one_exam(running, TYPED)
        running.wait("the log tail", lambda: b"exam.started" in tail_of(running))
        inside = unpacked(Path(running.run("logs export")["path"]))
    assert traces(running.child.log.read_bytes(), ["Zwicky", "ID-7F3K9Q"])
    assert traces(tail_of(running), MARKS) == []
    assert traces(b"".join(inside.values()), MARKS) == []


def tail_of(running: Running) -> bytes:
    path = running.paths.state / "log" / "service.jsonl"
    return path.read_bytes() if path.exists() else b""
