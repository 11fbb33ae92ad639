"""The whole instrument when something fails: one clear line, nothing lost, and it goes on when the fault ends."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from instrument_bench import POLL_S, READY_S, Bench, Running, bench, service

from firmware_app.console.protocol import (
    Answer,
    Failure,
    Progress,
    Reply,
    Run,
    decode_service_message,
    encode_request,
)
from firmware_app.demo.console_link import CommandRefused, connected

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("b")) as built:
        yield built


@pytest.fixture
def instrument(around: Bench) -> Iterator[Running]:
    """A service with a state folder of its own, devices ready and homed."""
    with service(around.paths(f"service{around.started}")) as running:
        running.wait_ready()
        running.run("home")
        yield running


def capture_one_eye(running: Running, eye: str = "R") -> str:
    """An unscheduled exam with one capture; returns the exam's id."""
    exam_id = running.run("exam unscheduled P1 Test^Fault")["exam_id"]
    running.run(f"eye {eye}")
    running.run(f"capture {eye}")
    return str(exam_id)


def test_an_out_of_focus_eye_is_refused_with_a_reason(instrument: Running) -> None:
    capture_one_eye(instrument)
    result = instrument.run("results R")
    assert result["status"] == "refused"
    assert result["reason"]
    assert result["morphometry"] is None
    instrument.run("exam abandon")


def test_archive_down_then_up(around: Bench, instrument: Running) -> None:
    around.tell_hospital("archive down")
    capture_one_eye(instrument)
    before = len(instrument.deliveries())
    finished = instrument.run("exam finish")
    ours = {instance["sop_instance_uid"] for instance in finished["instances"]}
    assert len(instrument.deliveries()) == before + len(ours)

    def reasons() -> list[str]:
        return [each["reason"] for each in instrument.deliveries() if each["sop_instance_uid"] in ours]

    instrument.wait("a reason to wait", lambda: any("cannot connect" in reason for reason in reasons()))
    assert not ours & around.stored_in_archive()
    around.tell_hospital("archive up")
    instrument.run("retry all")
    instrument.wait(
        "stored after the archive returned",
        lambda: {each["state"] for each in instrument.deliveries() if each["sop_instance_uid"] in ours} == {"stored"},
    )
    assert ours <= around.stored_in_archive()


def test_archive_refuses_permanently_then_accepts(around: Bench, instrument: Running) -> None:
    around.tell_hospital("status C123")
    capture_one_eye(instrument)
    ours = {instance["sop_instance_uid"] for instance in instrument.run("exam finish")["instances"]}

    def mine() -> list[dict[str, object]]:
        return [each for each in instrument.deliveries() if each["sop_instance_uid"] in ours]

    instrument.wait("parked", lambda: all(each["state"] == "failed" for each in mine()))
    assert {each["status"] for each in mine()} == {0xC123}
    assert all(each["reason"] for each in mine())
    around.tell_hospital("status 0000")
    for uid in ours:
        instrument.run(f"retry {uid}")
    instrument.wait("stored", lambda: all(each["state"] == "stored" for each in mine()))
    with pytest.raises(CommandRefused, match=r"no instance 1\.2\.3 has failed or is waiting"):
        instrument.run("retry 1.2.3")
    assert ours <= around.stored_in_archive()


def test_stage_pulled_out_while_it_moves(around: Bench, instrument: Running) -> None:
    exam_id = capture_one_eye(instrument)
    failures: list[str] = []

    def move() -> None:
        with connected(instrument.paths.console) as second:
            try:
                second.run("eye L")
            except CommandRefused as error:
                failures.append(str(error))

    mover = threading.Thread(target=move)
    mover.start()
    instrument.wait("moving", lambda: bool(instrument.run("status")["busy"]))
    around.tell_simulator("unplug stage")
    mover.join(READY_S)
    assert len(failures) == 1
    assert "stage" in failures[0]
    instrument.wait("noticed", lambda: instrument.devices()["stage"]["state"] == "lost")
    assert str(around.instrument["stage"]) in instrument.devices()["stage"]["detail"]
    with pytest.raises(CommandRefused, match="stage is lost since"):
        instrument.run("eye L")

    around.tell_simulator("replug stage")
    instrument.wait_ready()
    with pytest.raises(CommandRefused, match="homed"):
        instrument.run("eye R")
    instrument.run("home")
    assert instrument.run("exam show")["captured"] == ["R"], "the capture outlives the cable"
    assert instrument.run("exam finish")["exam_id"] == exam_id


def test_camera_pulled_out(around: Bench, instrument: Running) -> None:
    capture_one_eye(instrument)
    around.tell_simulator("unplug camera")
    instrument.wait("noticed", lambda: instrument.devices()["camera"]["state"] == "lost")
    with pytest.raises(CommandRefused, match="camera is lost since"):
        instrument.run("capture R")
    around.tell_simulator("replug camera")
    instrument.wait_ready()
    instrument.run("capture R")
    instrument.run("exam abandon")


def test_cancelling_a_move_stops_the_stage(instrument: Running) -> None:
    instrument.run("eye R")
    target = 60_000.0
    with socket.socket(socket.AF_UNIX) as impatient:
        impatient.connect(str(instrument.paths.console))
        impatient.sendall(encode_request(Run(1, f"move {target} 0 0")))
        instrument.wait("moving", lambda: bool(instrument.run("status")["busy"]))
    # The connection is closed: its command is cancelled, and leaving a motion's scope stops the motion.
    instrument.wait("idle", lambda: not instrument.run("status")["busy"])
    first = instrument.run("position")
    time.sleep(4 * POLL_S)
    assert instrument.run("position") == first, "it stands still"
    assert first["x_um"] < -82_000.0 + target
    instrument.run("eye R")  # position kept: no homing needed


def test_the_eye_is_where_the_stage_is_not_where_it_was_sent(instrument: Running) -> None:
    instrument.run("exam unscheduled P2")
    with pytest.raises(CommandRefused, match="at neither eye"):
        instrument.run("capture R")
    instrument.run("eye R")
    with pytest.raises(CommandRefused, match="at the right eye, not the left"):
        instrument.run("capture L")
    instrument.run("goto -18000 -20000 -20000")
    with pytest.raises(CommandRefused, match="at the left eye, not the right"):
        instrument.run("capture R")
    assert instrument.run("capture L")["eye"] == "L"


def test_an_exam_is_not_closed_under_a_running_operation(instrument: Running) -> None:
    capture_one_eye(instrument)
    with socket.socket(socket.AF_UNIX) as second:
        second.connect(str(instrument.paths.console))
        second.sendall(encode_request(Run(1, "focus")))
        instrument.wait("focusing", lambda: instrument.run("status")["busy"] == "focusing")
        with pytest.raises(CommandRefused, match="busy focusing"):
            instrument.run("exam finish")
        with pytest.raises(CommandRefused, match="busy focusing"):
            instrument.run("exam abandon")
        with pytest.raises(CommandRefused, match="busy focusing"):
            instrument.run("home")
    instrument.wait("idle", lambda: not instrument.run("status")["busy"])
    instrument.run("exam finish")


def test_without_calibration_no_number_in_um(around: Bench) -> None:
    paths = around.paths("uncalibrated")
    text = paths.configuration.read_text(encoding="utf-8")
    paths.configuration.write_text(re.sub(r"um_per_px = [0-9.]+", "um_per_px = 0.0", text), encoding="utf-8")
    with service(paths) as running:
        running.wait_ready()
        running.run("home")
        running.run("exam unscheduled P3")
        running.run("eye R")
        running.run("focus")
        running.run("capture R")
        numbers = running.run("results R")["morphometry"]
        assert numbers["n"] > 100
        assert numbers["cd_per_mm2"] is None
        assert numbers["area_mean_um2"] is None
        assert len(running.run("exam finish")["instances"]) == 2


def test_the_last_worklist_stays_while_the_information_system_is_away(around: Bench, instrument: Running) -> None:
    items = instrument.run("worklist")["items"]
    refreshed_at = instrument.run("status")["worklist_refreshed_at"]
    around.tell_hospital("worklist down")
    with pytest.raises(CommandRefused, match="cannot connect"):
        instrument.run("worklist")
    status = instrument.run("status")
    assert status["worklist_items"] == len(items)
    assert status["worklist_refreshed_at"] == refreshed_at
    assert "cannot connect" in status["worklist_error"]
    assert instrument.run("worklist --last")["items"] == items
    instrument.run("exam start 1")
    assert instrument.run("exam show")["scheduled"]
    around.tell_hospital("worklist up")
    assert instrument.run("worklist")["items"] == items
    assert instrument.run("status")["worklist_error"] == ""


def test_the_worklist_refreshes_by_itself(around: Bench) -> None:
    paths = around.paths("refreshing")
    text = paths.configuration.read_text(encoding="utf-8")
    paths.configuration.write_text(text.replace("refresh_interval_s = 0 ", "refresh_interval_s = 1 "), encoding="utf-8")
    with service(paths) as running:
        running.wait("refreshed", lambda: running.run("status")["worklist_items"] > 0)
        with pytest.raises(CommandRefused, match="no worklist was shown yet"):
            running.run("exam start 1")
        listed = running.run("worklist")["items"]
        second = running.run(f"worklist --id {listed[1]['patient']['patient_id']}")["items"]
        assert second == [listed[1]]
        running.wait("refreshed", lambda: running.run("status")["worklist_items"] == len(listed))
        started = running.run("exam start 1")
        assert started["study_instance_uid"] == second[0]["study_instance_uid"], "1 of the list that was shown"


def outcomes_of(running: Running, *lines: str, after: str = "") -> dict[int, Reply | Failure]:
    """What one more console gets, by the line's number; with `after` the others wait for that progress of the first."""
    requests = [encode_request(Run(number, line)) for number, line in enumerate(lines)]
    outcomes: dict[int, Reply | Failure] = {}
    with socket.socket(socket.AF_UNIX) as console:
        console.settimeout(READY_S)
        console.connect(str(running.paths.console))
        console.sendall(requests[0] if after else b"".join(requests))
        with console.makefile("rb") as lines_back:
            while len(outcomes) < len(lines):
                answer = decode_service_message(next(lines_back).rstrip(b"\n"))
                assert isinstance(answer, Answer)
                assert answer.request_id is not None
                if not isinstance(answer.content, Progress):
                    outcomes[answer.request_id] = answer.content
                elif answer.content.text == after:
                    console.sendall(b"".join(requests[1:]))
    return outcomes


def test_a_patient_that_no_object_could_name_is_refused_at_once(instrument: Running) -> None:
    for typed in ("P1 A --birth-date 99999999", "''", "P1 'a\\b'"):
        with pytest.raises(CommandRefused, match="is not"):
            instrument.run(f"exam unscheduled {typed}")
    with pytest.raises(CommandRefused, match="no exam is open"):
        instrument.run("exam show")


def test_two_consoles_cannot_both_open_an_exam(instrument: Running) -> None:
    outcomes = outcomes_of(instrument, "exam unscheduled P1", "exam unscheduled P2").values()
    refusals = [each.error for each in outcomes if isinstance(each, Failure)]
    assert len(refusals) == 1
    assert "being opened" in refusals[0]
    instrument.run("exam abandon")
    assert instrument.run("status")["interrupted_exams"] == []


def test_nothing_happens_to_an_exam_that_is_being_finished(instrument: Running) -> None:
    capture_one_eye(instrument)
    lines = ("exam finish", "capture R", "exam abandon")
    outcomes = outcomes_of(instrument, *lines, after="writing report and objects")
    assert isinstance(outcomes[0], Reply)
    for number in (1, 2):
        refusal = outcomes[number]
        assert isinstance(refusal, Failure)
        assert "being finished" in refusal.error


def test_killed_in_mid_exam_and_resumed(around: Bench) -> None:
    paths = around.paths("killed")
    with service(paths) as running:
        running.wait_ready()
        running.run("home")
        exam_id = capture_one_eye(running)
        running.kill()
    with service(paths) as running:
        assert running.run("status")["interrupted_exams"] == [exam_id]
        assert running.run(f"exam resume {exam_id}")["captured"] == ["R"]
        uids = {instance["sop_instance_uid"] for instance in running.run("exam finish")["instances"]}
        running.wait("stored", lambda: set(running.states()) == {"stored"})
        assert uids <= around.stored_in_archive()
        assert running.run("status")["interrupted_exams"] == []


def test_starts_and_stays_useful_without_any_device(around: Bench) -> None:
    paths = around.paths("bare")
    text = paths.configuration.read_text(encoding="utf-8")
    missing = str(around.root / "no-such-port")
    for port in ("stage", "camera"):
        text = text.replace(f'port = "{around.instrument[port]}"', f'port = "{missing}-{port}"')
    paths.configuration.write_text(text, encoding="utf-8")
    with service(paths) as running:
        running.wait("told", lambda: all(each["state"] == "lost" for each in running.devices().values()))
        assert f"{missing}-stage" in running.devices()["stage"]["detail"]
        assert f"{missing}-camera" in running.devices()["camera"]["detail"]
        assert running.run("worklist")["items"]
        with pytest.raises(CommandRefused, match=re.escape(f"{missing}-stage")):
            running.run("home")


def test_sigterm_ends_it_in_order(around: Bench) -> None:
    with service(around.paths("ended")) as running:
        running.wait_ready()
        running.child.process.send_signal(signal.SIGTERM)
        assert running.child.process.wait(READY_S) == 0
        log = running.child.log.read_text(encoding="utf-8")
        assert "service.stopping" in log
        assert "Traceback" not in log
        assert not running.paths.console.exists()


def run_verb(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "firmware_app", *arguments]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=READY_S)


def test_two_services_on_one_state_folder(around: Bench, instrument: Running) -> None:
    second = run_verb("run", "--config", str(instrument.paths.configuration))
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert str(instrument.paths.state) in second.stderr


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('interface = "lo"', 'interface = "nosuch0"', "nosuch0"),
        ("[instrument]", '[instrument]\nip_address = "192.0.2.7"', "192.0.2.7"),
        ("[paths]", "[pahts]", "pahts"),
    ],
)
def test_a_configuration_that_does_not_fit(around: Bench, old: str, new: str, named: str) -> None:
    paths = around.paths(f"misfit-{named}")
    text = paths.configuration.read_text(encoding="utf-8")
    paths.configuration.write_text(text.replace(old, new), encoding="utf-8")
    refused = run_verb("run", "--config", str(paths.configuration))
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert named in refused.stderr
    assert "Traceback" not in refused.stderr


def test_our_own_port_answers_an_echo_and_a_taken_port_stops_nobody(around: Bench) -> None:
    paths = around.paths("listening")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = paths.configuration.read_text(encoding="utf-8")
        text = text.replace(f"port = {around.port} ", f"port = {port} ", 1)
        paths.configuration.write_text(text, encoding="utf-8")
        with service(paths) as running:
            running.wait("told", lambda: f"127.0.0.1:{port} cannot be listened on" in running.run("status")["listener"])
            taken.close()
            running.wait("opened", lambda: "answers C-ECHO" in running.run("status")["listener"])
            echo = run_verb("echo", f"TP_AM_SP1P_001@127.0.0.1:{port}")
            assert echo.returncode == 0, echo.stderr
            stranger = run_verb("echo", f"SOMEBODY@127.0.0.1:{port}")
            assert stranger.returncode == 1
            assert "called AE title" in stranger.stderr
