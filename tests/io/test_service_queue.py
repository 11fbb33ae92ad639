"""Truth on screen: the console, `specular queue` and the log say the same of every instance at every state.

The whole instrument, with two embedded hospitals as its two archives.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from instrument_bench import READY_S, Bench, Running, bench, service

from firmware_app.demo.configuration import DemoPaths
from firmware_app.demo.processes import running

pytestmark = pytest.mark.timeout(300)
# An instance takes a second or two, so that somebody can see it being sent.
SLOW = "automatic = false\nmax_bytes_per_s = 1_000_000"


@dataclass
class Screens:
    """Three ways to ask the same."""

    running: Running

    def verb(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "firmware_app", "queue", "--config", str(self.running.paths.configuration)]
        return subprocess.run([*command, *words], capture_output=True, text=True, timeout=60, check=False)

    def rows(self, *words: str) -> list[dict[str, Any]]:
        done = self.verb("--json", *words)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def console(self, uids: set[str]) -> dict[str, str]:
        return {each["sop_instance_uid"]: each["standing"] for each in self.running.deliveries() if
                each["sop_instance_uid"] in uids}  # fmt: skip

    def log(self, uids: set[str]) -> dict[str, str]:
        """What the log said last of each."""
        said: dict[str, str] = {}
        for line in self.running.child.log.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if "standing" not in event:
                continue
            for uid in (event.get("sop_instance_uid"), *event.get("instances", ())):
                if uid in uids:
                    said[uid] = event["standing"]
        return said

    def all_say(self, uids: set[str], word: str, *, of: int | None = None) -> None:
        """Wait until console and log say it of all, or of so many; then the verb does too."""
        count = len(uids) if of is None else of

        def agreed() -> bool:
            said = [self.console(uids), self.log(uids)]
            return said[0] == said[1] and list(said[0].values()).count(word) == count

        self.running.wait(f"console and log said {word!r}", agreed)
        state = word.replace(" ", "-")
        rows = [row["sop_instance_uid"] for row in self.rows("--state", state) if row["sop_instance_uid"] in uids]
        assert len(rows) == count, word


@contextmanager
def second_hospital(around: Bench, name: str) -> Iterator[dict[str, Any]]:
    logs = around.root / f"hospital-{name}"
    logs.mkdir()
    arguments = ["hospital", "--out", str(logs / "archive"), "--station-port", str(around.port)]
    with running("hospital", arguments, logs) as hospital:
        yield hospital.first_line(READY_S)["archive"]


def configured(around: Bench, second: dict[str, Any], name: str) -> DemoPaths:
    paths = around.paths(name)
    text = paths.configuration.read_text(encoding="utf-8")
    assert "retry_first_s = 0.5" in text
    text = text.replace("retry_first_s = 0.5", f"retry_first_s = 0.5\nretry_max_s = 2.0\n{SLOW}")
    node = f'ip_address = "{second["ip"]}"\nport = {second["port"]}\nae_title = "{second["ae_title"]}"\n'
    text += f"\n[second_storage]\n{node}\n[second_commitment]\n{node}\n"
    paths.configuration.write_text(text, encoding="utf-8")
    return paths


def finish_an_exam(running: Running) -> tuple[str, set[str]]:
    exam_id: str = running.run("exam unscheduled P1 Test^Truth")["exam_id"]
    running.run("eye R")
    running.run("capture R")
    return exam_id, {instance["sop_instance_uid"] for instance in running.run("exam finish")["instances"]}


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("b")) as built:
        yield built


def test_console_verb_and_log_agree_at_every_state(around: Bench) -> None:
    with second_hospital(around, "truth") as second, service(configured(around, second, "truth")) as running:
        screens = Screens(running)
        running.wait_ready()
        running.run("home")
        exam_id, uids = finish_an_exam(running)
        screens.all_say(uids, "captured")

        around.tell_hospital("commitment never")
        around.tell_hospital("status A700")
        running.run(f"send {exam_id}")
        running.wait("a refusal", lambda: "A700" in {f"{row['status'] or 0:04X}" for row in running.deliveries()})
        (waiting,) = [row for row in screens.rows("--exam", exam_id) if row["attempts"]]
        assert waiting["standing"] in ("queued", "sending")

        assert screens.verb("hold", "storage").returncode == 0
        running.wait("nothing to be sent", lambda: "sending" not in screens.console(uids).values())
        counts = {row["node"]: row["counts"] for row in screens.rows("--counts")}
        assert counts["storage"]["held"] == len(uids)
        assert "storage is held since" in screens.verb().stdout
        assert screens.verb("hold", exam_id).returncode == 0
        screens.all_say(uids, "held")

        around.tell_hospital("status C123")
        assert "storage is released; " in screens.verb("release", "storage").stdout
        screens.all_say(uids, "failed")
        assert "C123H cannot understand or process" in screens.verb("--state", "failed").stdout

        around.tell_hospital("status 0000")
        assert screens.verb("retry", exam_id).returncode == 0
        running.wait("one being sent", lambda: "sending" in screens.console(uids).values())
        assert "sending" in {row["standing"] for row in screens.rows()}
        assert "sending" in screens.log(uids).values()
        screens.all_say(uids, "commitment requested")

        around.tell_hospital("commitment normal")
        around.tell_hospital("commitment report")
        screens.all_say(uids, "committed")
        unknown = screens.verb("retry", "1.2.3")
        assert unknown.returncode == 1
        assert "1.2.3 is no instance, no exam and no storage node (storage, second_storage)" in unknown.stderr
        assert screens.verb("--state", "lost").returncode == 2


def test_sent_to_the_other_archive_instead_and_committed_there(around: Bench) -> None:
    """Across a restart: the decision is in the database."""
    around.tell_hospital("archive down")
    with second_hospital(around, "other") as second:
        paths = configured(around, second, "other")
        with service(paths) as running:
            screens = Screens(running)
            running.wait_ready()
            running.run("home")
            exam_id, uids = finish_an_exam(running)
            running.run("queue hold storage")
            running.run("queue hold second_storage")  # so that nothing is under way when it is killed
            running.run(f"send {exam_id}")
            refused = screens.verb("redirect", exam_id, "elsewhere")
            assert refused.returncode == 1
            assert "elsewhere is no configured storage node (storage, second_storage)" in refused.stderr
            assert screens.verb("redirect", exam_id, "second_storage").returncode == 0
            running.kill()
        with service(paths) as running:
            screens = Screens(running)
            assert set(screens.console(uids).values()) == {"held"}
            assert screens.verb("release", "second_storage").returncode == 0
            running.wait("committed", lambda: set(screens.console(uids).values()) == {"committed"})
            rows = screens.rows("--exam", exam_id)
            assert {row["node"] for row in rows} == {"second_storage"}
            assert screens.verb("redirect", exam_id, "storage").returncode == 1
    around.tell_hospital("archive up")
