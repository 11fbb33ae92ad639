"""The simulated instrument as its users meet it: ports, links, faults, and the program around it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from firmware_app.model import Position
from hw.errors import DeviceLost
from hw.sim.__main__ import main
from hw.sim.instrument import (
    SIM_STAGE_CONFIG,
    InstrumentPorts,
    SimSettings,
    SimulatedInstrument,
    run_instrument,
    stage_config,
)
from hw.sim.stage_kinds import KINDS
from hw.tty import Tty

STAGE_ONLY = SimSettings(camera=False, start_mm=(-50.0, -20.0, -20.0))


@asynccontextmanager
async def powered(settings: SimSettings) -> AsyncIterator[SimulatedInstrument]:
    instrument = SimulatedInstrument(settings)
    async with trio.open_nursery() as nursery:
        await nursery.start(instrument.run)
        yield instrument
        nursery.cancel_scope.cancel()


async def ask(port: Tty, question: bytes, end: bytes) -> bytes:
    await port.send_all(question)
    answer = b""
    with trio.fail_after(5):
        while not answer.endswith(end):
            answer += await port.receive_some()
    return answer


async def test_any_host_software_can_talk_to_the_stage() -> None:
    async with powered(STAGE_ONLY) as instrument:
        port = await Tty.open(instrument.ports.stage)
        await ask(port, b"\x18", b"unlock]\r\n")
        answer = await ask(port, b"$I\n", b"ok\r\n")
        assert answer == b"[VER:1.1h.20190830:SPECULAR-SIM]\r\n[OPT:V,15,128]\r\nok\r\n"
        assert (await ask(port, b"?", b">\r\n")).startswith(b"<Alarm|MPos:0.000,0.000,0.000|")
        await port.aclose()


async def test_the_truth_is_where_the_stage_stands_and_not_what_the_board_counts() -> None:
    async with powered(STAGE_ONLY) as instrument:
        assert instrument.position() == Position(-50000.0, -20000.0, -20000.0)
        assert not instrument.moving


async def test_links_follow_the_plug(tmp_path: Path) -> None:
    settings = SimSettings(camera=False, link_dir=tmp_path / "dev")
    link = tmp_path / "dev" / "stage"
    async with powered(settings) as instrument:
        assert instrument.ports == InstrumentPorts(str(link), "")
        assert os.readlink(link).startswith("/dev/pts/")
        await instrument.command("unplug stage")
        assert not link.is_symlink()
        await instrument.command("replug stage")
        port = await Tty.open(str(link))
        assert b"SPECULAR-SIM" in await ask(port, b"$I\n", b"ok\r\n")
        await port.aclose()
    assert list(link.parent.iterdir()) == []


async def test_a_replugged_board_is_a_board_that_has_just_been_powered() -> None:
    async with powered(STAGE_ONLY) as instrument:
        port = await Tty.open(instrument.ports.stage)
        await ask(port, b"$X\n", b"ok\r\n")
        await ask(port, b"G0X-9\n", b"ok\r\n")
        while not instrument.position().x_um < -51000.0:
            await ask(port, b"?", b">\r\n")
        await instrument.command("unplug stage")
        stopped = instrument.position()
        with pytest.raises(DeviceLost):
            while True:
                await port.receive_some()
        await port.aclose()
        await instrument.command("replug stage")
        port = await Tty.open(instrument.ports.stage)
        assert (await ask(port, b"?", b">\r\n")).startswith(b"<Alarm|MPos:0.000,0.000,0.000|")
        assert instrument.position() == stopped
        await port.aclose()


async def test_an_alarm_and_garbage_come_when_they_are_asked_for() -> None:
    async with powered(STAGE_ONLY) as instrument:
        port = await Tty.open(instrument.ports.stage)
        await instrument.command("alarm 3")
        assert (await ask(port, b"", b"unlock]\r\n")).startswith(b"ALARM:3\r\n")
        await instrument.command("garbage")
        garbage = b""
        while len(garbage) < 201:
            garbage += await port.receive_some()
        assert not garbage.isascii()
        await port.aclose()


@pytest.mark.parametrize(
    "line",
    ["", "unplug", "unplug moon", "alarm 0", "alarm 11", "alarm x", "replug stage", "unplug camera", "silence 1"],
)
async def test_what_cannot_be_done_is_refused_with_what_can(line: str) -> None:
    async with powered(STAGE_ONLY) as instrument:
        with pytest.raises(ValueError, match=r"there are: unplug|is plugged in already"):
            await instrument.command(line)


async def test_a_patient_looks_where_told_and_may_be_restless() -> None:
    async with powered(SimSettings(seed=3, restless=True, guttae_percent=5.0)) as instrument:
        assert 450 <= float(str(instrument.truth["R"]["thickness_um"])) <= 650
        await instrument.command("gaze 0 -12.5")
        for wrong, reason in (
            ("gaze up 3", "no number of degrees"),
            ("gaze 0 60", "at most 40"),
            ("gaze 1", "there are"),
        ):
            with pytest.raises(ValueError, match=reason):
                await instrument.command(wrong)


@pytest.mark.parametrize("percent", ["-1", "61", "many"])
def test_a_wrong_share_of_guttae_is_a_wrong_usage(percent: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--guttae", percent])
    assert ended.value.code == 2
    assert "is not a number from 0 to 60" in capsys.readouterr().err


async def test_run_instrument_takes_commands_from_a_channel() -> None:
    send, receive = trio.open_memory_channel[str](0)
    async with trio.open_nursery() as nursery:

        async def run(*, task_status: trio.TaskStatus[InstrumentPorts]) -> None:
            await run_instrument(STAGE_ONLY, commands=receive, task_status=task_status)

        ports = await nursery.start(run)
        port = await Tty.open(ports.stage)
        await send.send("unplug stage")
        with pytest.raises(DeviceLost):
            while True:
                await port.receive_some()
        await port.aclose()
        nursery.cancel_scope.cancel()


# ------------------------------------------------------------------------------------------------- the program


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "hw.sim", "--seed", "3", "--link-dir", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def said(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    value: dict[str, object] = json.loads(process.stdout.readline())
    return value


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def test_the_program_says_where_it_is_obeys_and_ends_cleanly(simulator: subprocess.Popen[str], tmp_path: Path) -> None:
    ready = said(simulator)
    assert ready["simulator"] is True
    assert (ready["stage"], ready["camera"]) == (str(tmp_path / "stage"), str(tmp_path / "camera"))
    assert ready["stage_config"] == SIM_STAGE_CONFIG
    truth = ready["truth"]
    assert isinstance(truth, dict)
    assert truth.keys() == {"R", "L"}
    assert 500 < truth["R"]["cd_per_mm2"] < 4500

    tell(simulator, "unplug stage")
    assert said(simulator)["ok"] is True
    assert not (tmp_path / "stage").is_symlink()
    assert (tmp_path / "camera").is_symlink()
    tell(simulator, "replug stage\nunplug camera\nreplug camera")
    assert [said(simulator)["ok"] for _ in range(3)] == [True] * 3
    assert (tmp_path / "stage").is_symlink()
    assert (tmp_path / "camera").is_symlink()
    tell(simulator, "dance")
    refused = said(simulator)
    assert refused["ok"] is False
    assert "unknown command 'dance'" in str(refused["reason"])

    assert simulator.stdin is not None
    simulator.stdin.close()  # not its end
    (tmp_path / "stage").stat()
    simulator.send_signal(signal.SIGTERM)
    assert simulator.wait(10) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stage", KINDS)
def test_the_program_is_any_of_its_stages(stage: str) -> None:
    command = [sys.executable, "-m", "hw.sim", "--no-camera", "--stage", stage]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        ready = said(process)
        assert ready["stage_config"] == stage_config(SimSettings(stage=stage))
        tell(process, "alarm 1\nlost x 5\nslow 0.1\nalarm 99")
        answers = [said(process) for _ in range(4)]
        assert [answer["ok"] for answer in answers] == [True, True, True, False]
        assert f"{stage} has 1 to {KINDS[stage].alarms}" in str(answers[3]["reason"])
        process.kill()


def test_the_program_runs_without_a_stdin_and_ends_on_an_interrupt(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hw.sim", "--no-camera", "--link-dir", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert said(process)["camera"] == ""
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    command = [sys.executable, "-m", "hw.sim", "--no-camera", "--link-dir", str(tmp_path / "file")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert str(tmp_path / "file") in done.stderr
