"""What is written where the journal listens: levels, bounds, repeats, other libraries, errors; and the tail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import trio
import trio.testing

from firmware_app.model import Event
from firmware_app.services.events import EventBus
from firmware_app.services.log import LINE_MAX, LogTail, bounded, stderr_is_the_journal
from firmware_app.services.log_tail import KEEP_EVERY_S, LogTailKeeper

HEAD = """
import sys, os, logging, warnings, trio
from firmware_app.model import Event
from firmware_app.services.events import EventBus
from firmware_app.services.log import configure_log, last_words, run_log, TAIL
if len(sys.argv) > 2:
    status = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
configure_log("info", patient_data=len(sys.argv) > 1 and sys.argv[1] == "patients")
last_words()
async def write(*events):
    bus = EventBus(10000)
    with bus.subscribe(10000, patient_data=True) as subscription:
        for event in events:
            bus.publish(event)
        with trio.move_on_after(1):
            await run_log(subscription)
"""


def written(program: str, *arguments: str, environment: dict[str, str] | None = None) -> list[str]:
    command = [sys.executable, "-c", HEAD + program, *arguments]
    surroundings = os.environ | (environment or {})
    done = subprocess.run(command, capture_output=True, text=True, env=surroundings, check=False, timeout=60)
    return done.stderr.splitlines()


LEVELS = """
levels = ("debug", "info", "warning", "error", "alert")
trio.run(write, *[Event(f"a.{level}", "text", {"n": 1}, level) for level in levels])
"""


def test_the_journal_gets_priorities() -> None:
    lines = written(LEVELS, "", "journal")
    assert [line[:3] for line in lines] == ["<6>", "<4>", "<3>", "<1>"]
    assert [json.loads(line[3:])["event"] for line in lines] == ["a.info", "a.warning", "a.error", "a.alert"]


def test_anything_else_gets_plain_json() -> None:
    said = [json.loads(line) for line in written(LEVELS, environment={"JOURNAL_STREAM": "1:1"})]
    assert [each["level"] for each in said] == ["info", "warning", "error", "critical"]
    assert said[0]["n"] == 1


def test_only_the_journal_is_the_journal() -> None:
    assert not stderr_is_the_journal({})
    assert not stderr_is_the_journal({"JOURNAL_STREAM": "rubbish"})


def test_patient_data_only_where_somebody_wants_it() -> None:
    program = 'trio.run(write, Event("exam.started", "exam 1", {}, "info", {"name": "Doe^Jane"}))\nprint(TAIL.take())\n'
    assert "Doe" not in "".join(written(program))
    (line,) = written(program, "patients")
    assert json.loads(line)["patient"] == {"name": "Doe^Jane"}


def test_a_console_never_sees_it() -> None:
    bus = EventBus()
    with bus.subscribe() as console, bus.subscribe(patient_data=True) as log:
        bus.publish(Event("exam.started", "exam 1", patient={"name": "Doe^Jane"}))
        assert console.take_at_once().patient == {}  # type: ignore[union-attr]
        assert log.take_at_once().patient == {"name": "Doe^Jane"}  # type: ignore[union-attr]


def test_a_flood_is_a_few_lines() -> None:
    lines = written('trio.run(write, *[Event("stage.lost", "gone", {}, "warning") for _ in range(1000)])')
    assert len(lines) == 5


def test_a_huge_event_is_one_bounded_line() -> None:
    program = 'trio.run(write, Event("x", "t" * 100000, {"list": ["y" * 1000] * 1000, "level": 3, "event": 4}))'
    (line,) = written(program)
    assert len(line.encode()) <= LINE_MAX
    assert json.loads(line)["event"] == "x"


def test_bounds() -> None:
    assert bounded("x" * 10, 4) == "xxxx (6 characters more)"
    assert bounded(list(range(100)))[-1] == "(60 more)"
    assert bounded({"a": Path("/x")}) == {"a": "/x"}


BROKEN = """
def reads_a_patient():
    raise ValueError("Doe^Jane is no name")
reads_a_patient()
"""


def test_an_uncaught_error_says_where_and_not_what() -> None:
    (line,) = written(BROKEN)
    said = json.loads(line)
    assert (said["event"], said["exception"]) == ("service.broke", "builtins.ValueError")
    assert said["traceback"][-1].endswith("reads_a_patient")
    assert "Doe" not in line
    assert "Doe^Jane is no name" in written(BROKEN, "patients")[0]


LIBRARIES = """
logging.getLogger("pydicom").warning("value Doe^Jane is odd")
logging.getLogger("PIL.Image").debug("Doe^Jane")
logging.getLogger("PIL.Image").error("Doe^Jane")
logging.getLogger("trio.abc").error("a task crashed")
warnings.warn("Invalid value for VR PN: Doe^Jane")
"""


def test_other_libraries_are_routed_without_their_words() -> None:
    lines = written(LIBRARIES)
    said = [json.loads(line) for line in lines]
    assert [each["event"] for each in said] == ["library.pydicom", "library.PIL", "library.trio", "library.py"]
    assert said[2]["text"] == "a task crashed"
    assert all("where" in each for each in said)
    assert "Doe" not in "".join(lines)


# ------------------------------------------------------------------------------------------- the tail


async def test_the_tail_is_kept_and_bounded(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    autojump_clock.autojump_threshold = 0.02
    tail = LogTail()
    keeper = LogTailKeeper(tmp_path, 10_000, tail)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        for number in range(100):
            for _ in range(10):
                tail.put(json.dumps({"event": "x", "number": number}))
            await trio.sleep(KEEP_EVERY_S)
        await trio.testing.wait_all_tasks_blocked(0.05)
        tail.put('{"event": "the last"}')
        nursery.cancel_scope.cancel()
    kept = b"".join(path.read_bytes() for path in keeper.paths if path.exists())
    assert len(kept) <= 10_000 + 1000
    assert kept.endswith(b'{"event": "the last"}\n')
    assert b'"number": 99' in kept
    for path in keeper.paths:
        assert not path.exists() or path.stat().st_mode & 0o777 == 0o600


async def test_a_disk_that_refuses_costs_only_lines(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    autojump_clock.autojump_threshold = 0.02
    (tmp_path / "log").write_text("not a folder")
    tail = LogTail(maximum=3)
    keeper = LogTailKeeper(tmp_path, 10_000, tail)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        tail.put("a")
        await trio.sleep(2)
        assert keeper.trouble
        (tmp_path / "log").unlink()
        for number in range(5):
            tail.put(str(number))
        await trio.sleep(61)
        nursery.cancel_scope.cancel()
    assert (tmp_path / "log" / "service.jsonl").read_bytes() == b"2\n3\n4\n"
