"""The self-test against real ports, sockets, files and peers: what is wrong is named, what is not is not touched."""

from __future__ import annotations

import json
import os
import pty
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from dicom_acceptor import STALL, run_acceptor
from msgspec.structs import replace as replace_struct

from firmware_app.cli import main
from firmware_app.config import (
    Config,
    GrblConfig,
    InstrumentConfig,
    ListenerTlsConfig,
    NetworkConfig,
    PathsConfig,
    SerialCameraConfig,
    StorageConfig,
)
from firmware_app.console.commands import Command, CommandContext, CommandTable
from firmware_app.console.protocol import Reply
from firmware_app.console.server import serve_console
from firmware_app.dicom.command import CommandField
from firmware_app.dicom.message import Message
from firmware_app.net.interface import InterfaceError
from firmware_app.net.node import Node
from firmware_app.profiles import Profile, load_profile
from firmware_app.services import selftest
from firmware_app.services.events import EventBus
from firmware_app.services.kernel_clock import is_synchronised
from firmware_app.services.selftest import Bench, Check, Outcome, Result, Surroundings, checks_of, run_checks
from hw.sim.instrument import SIM_STAGE_CONFIG, SimSettings, SimulatedInstrument

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SOUND = Surroundings(
    now=lambda: NOON,
    is_synchronised=lambda: True,
    address_of=lambda name: "127.0.0.1",
    free_bytes=lambda folder: 1 << 40,
)


def configuration(folder: Path, **tables: Any) -> Config:
    instrument = InstrumentConfig(port=0)
    paths = PathsConfig(state=str(folder), runtime=str(folder))
    return Config(**{"instrument": instrument, "paths": paths, "network": NetworkConfig("lo"), **tables})


async def run(bench: Bench, *names: str) -> dict[str, Result]:
    """The results of the checks with these names, run in the order of the table; of all without names."""
    table = checks_of(bench.config, bench.profile)
    chosen = tuple(check for check in table if not names or check.name in names)
    return {result.name: result async for result in run_checks(chosen, bench)}


def bench(config: Config, profile: Profile | None = None, **surroundings: Any) -> Bench:
    return Bench(config, profile or load_profile(), replace(SOUND, **surroundings))


# ------------------------------------------------------------------------------------------------ the table


async def test_a_sound_instrument_without_devices_and_peers_fails_nothing(tmp_path: Path) -> None:
    results = await run(bench(configuration(tmp_path)))
    assert {name for name, result in results.items() if result.verdict == "fail"} <= {"fonts"}
    for name in ("stage", "camera", "tls", "port", "service", "node.storage", "node.print"):
        assert results[name].verdict == "skip"
    assert all(result.reason for result in results.values())


async def test_a_check_that_breaks_or_hangs_fails_alone(autojump_clock: object) -> None:
    async def breaks(bench: Bench) -> Outcome:
        raise RuntimeError("two\nlines")

    async def hangs(bench: Bench) -> Outcome:
        await trio.sleep_forever()
        raise AssertionError

    async def works(bench: Bench) -> Outcome:
        return Outcome("pass", "fine")

    checks = (Check("a", breaks), Check("b", hangs, 3.0), Check("c", works))
    results = [result async for result in run_checks(checks, bench(Config()))]
    assert results == [
        Result("a", "fail", "the check itself broke: RuntimeError: two lines"),
        Result("b", "fail", "no answer within 3 s"),
        Result("c", "pass", "fine"),
    ]


# ------------------------------------------------------------------------------------------------ machine


@pytest.mark.parametrize("year", [1970, 2106])
async def test_a_year_that_cannot_be(tmp_path: Path, year: int) -> None:
    results = await run(bench(configuration(tmp_path), now=lambda: NOON.replace(year=year)), "clock")
    assert results["clock"] == Result("clock", "fail", f"the year {year} cannot be")


async def test_a_clock_that_nobody_synchronises_or_nobody_may_ask_about(tmp_path: Path) -> None:
    def refuse() -> bool:
        raise PermissionError(1, "Operation not permitted")

    results = await run(bench(configuration(tmp_path), is_synchronised=lambda: False), "clock")
    assert (results["clock"].verdict, "synchronises" in results["clock"].reason) == ("fail", True)
    results = await run(bench(configuration(tmp_path), is_synchronised=refuse), "clock")
    assert (results["clock"].verdict, "not permitted" in results["clock"].reason) == ("skip", True)


def test_the_kernel_answers_about_its_clock() -> None:
    try:
        assert is_synchronised() in (True, False)
    except OSError as error:
        assert error.strerror == "adjtimex"


async def test_a_state_folder_that_is_not_there_full_or_fine(tmp_path: Path) -> None:
    config = configuration(tmp_path / "nowhere")
    assert (await run(bench(config), "disk"))["disk"].reason.endswith("cannot be written: No such file or directory")
    full = await run(bench(configuration(tmp_path), free_bytes=lambda folder: 5 << 20), "disk")
    assert (full["disk"].verdict, "less than 1 GiB" in full["disk"].reason) == ("fail", True)
    fine = await run(bench(configuration(tmp_path)), "disk")
    assert fine["disk"].verdict == "pass"
    assert os.listdir(tmp_path) == []


async def test_a_disk_that_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    results = await run(bench(configuration(tmp_path)), "disk")
    assert results["disk"].reason == f"{tmp_path} cannot be written: Input/output error"


async def test_an_interface_without_address_and_one_with_another(tmp_path: Path) -> None:
    def none(name: str) -> str:
        raise InterfaceError(f"network.interface {name!r}: No such device")

    results = await run(bench(configuration(tmp_path), address_of=none), "interface")
    assert (results["interface"].verdict, results["interface"].reason) == (
        "fail",
        "network.interface 'lo': No such device",
    )
    other = configuration(tmp_path, instrument=InstrumentConfig(ip_address="192.0.2.1", port=0))
    reason = (await run(bench(other), "interface"))["interface"].reason
    assert reason == "instrument.ip_address is 192.0.2.1, but network.interface 'lo' has 127.0.0.1"
    assert (await run(bench(configuration(tmp_path)), "interface"))["interface"].reason == "lo has 127.0.0.1"


async def test_our_own_port_is_free_or_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = configuration(tmp_path, instrument=InstrumentConfig(port=port))
        result = (await run(bench(config), "port"))["port"]
        assert result == Result("port", "fail", f"127.0.0.1:{port} cannot be listened on: another program has it")
    assert (await run(bench(config), "port"))["port"] == Result("port", "pass", f"127.0.0.1:{port} is free")


async def test_a_profile_that_accepts_nothing_needs_no_port(tmp_path: Path) -> None:
    profile = load_profile()
    entities = {name: entity for name, entity in profile.application_entity.items() if name != "listener"}
    deaf = replace_struct(profile, application_entity=entities)
    results = await run(bench(configuration(tmp_path, instrument=InstrumentConfig(port=1)), deaf), "port")
    assert results["port"].verdict == "skip"


async def test_tls_files_that_are_not_there(tmp_path: Path) -> None:
    files = ListenerTlsConfig(certificate=f"{tmp_path}/c.pem", key=f"{tmp_path}/k.pem", trusted=f"{tmp_path}/t.pem")
    config = configuration(tmp_path, instrument=InstrumentConfig(port=104, tls=files))
    result = (await run(bench(config), "tls"))["tls"]
    assert result.verdict == "fail"
    assert f"{tmp_path}/c.pem" in result.reason
    assert "instrument.tls.certificate" in result.reason


async def test_fonts_are_named_by_what_they_cannot_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "SAMPLES", {"Latin": "abc", "Nobody's": "\U0010fffe"})
    result = (await run(bench(configuration(tmp_path)), "fonts"))["fonts"]
    assert result == Result("fonts", "fail", "no font for Nobody's: such names cannot be drawn into reports")


# ------------------------------------------------------------------------------------------------ devices


async def test_a_device_that_is_not_there_no_device_or_deaf(tmp_path: Path, autojump_clock: object) -> None:
    file = tmp_path / "file"
    file.touch()
    ours, theirs = pty.openpty()
    try:
        tables = {
            "stage": GrblConfig(port=str(tmp_path / "gone"), simulated=True),
            "camera": SerialCameraConfig(port=str(file), simulated=True),
        }
        results = await run(bench(configuration(tmp_path, **tables)), "stage", "camera")
        assert results["stage"] == Result("stage", "fail", f"{tmp_path}/gone: No such file or directory")
        assert results["camera"] == Result("camera", "fail", f"{file} is no device")
        deaf = configuration(tmp_path, stage=GrblConfig(port=os.ttyname(theirs)))
        result = (await run(bench(deaf), "stage"))["stage"]
        assert result.verdict == "fail"
        assert os.ttyname(theirs) in result.reason
    finally:
        os.close(ours)
        os.close(theirs)


async def test_devices_that_answer_are_named_and_stay_where_they_are(tmp_path: Path) -> None:
    instrument = SimulatedInstrument(SimSettings(seed=1))
    board = {key: tuple(value) if isinstance(value, list) else value for key, value in SIM_STAGE_CONFIG.items()}
    async with trio.open_nursery() as nursery:
        await nursery.start(instrument.run)
        ports, place = instrument.ports, instrument.position
        stage = GrblConfig(**{**board, "port": ports.stage, "simulated": True})
        camera = SerialCameraConfig(port=ports.camera, simulated=True)
        results = await run(bench(configuration(tmp_path, stage=stage, camera=camera)), "stage", "camera")
        assert results["stage"].reason.startswith(f"sim+grbl:{ports.stage} (Grbl ")
        assert ports.camera in results["camera"].reason
        assert {result.verdict for result in results.values()} == {"pass"}
        # A simulator that the configuration does not declare is no stage.
        undeclared = configuration(tmp_path, stage=replace_struct(stage, simulated=False))
        result = (await run(bench(undeclared), "stage"))["stage"]
        assert (result.verdict, "the simulator" in result.reason) == ("fail", True)
        assert (instrument.position, instrument.moving) == (place, False)
        nursery.cancel_scope.cancel()


# ------------------------------------------------------------------------------------------------ the running service


@asynccontextmanager
async def console_of(folder: Path, data: dict[str, object]) -> AsyncIterator[None]:
    """A service whose `status` is this."""

    async def status(context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        return Reply("", data)

    async with trio.open_nursery() as nursery:
        table = CommandTable([Command("status", "status", status)])
        await nursery.start(serve_console, folder / "console.sock", table, EventBus().subscribe)
        yield
        nursery.cancel_scope.cancel()


async def test_what_the_service_holds_is_asked_of_the_service(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    port = os.ttyname(theirs)
    try:
        status: dict[str, object] = {
            "version": "9.9",
            "address": "127.0.0.1",
            "profile": "specular",
            "listener": "US on 127.0.0.1:7777 answers C-ECHO",
            "devices": [
                {"name": "stage", "state": "ready", "detail": f"grbl:{port}"},
                {"name": "camera", "state": "lost", "detail": "hung up"},
            ],
        }
        tables = {
            "stage": GrblConfig(port=port),
            "camera": SerialCameraConfig(port=port),
            "instrument": InstrumentConfig(port=7777),
        }
        async with console_of(tmp_path, status):
            results = await run(bench(configuration(tmp_path, **tables)), "service", "port", "stage", "camera")
        assert results["service"].reason == "specular 9.9 runs on 127.0.0.1"
        assert results["port"] == Result("port", "pass", "held by the service: US on 127.0.0.1:7777 answers C-ECHO")
        assert results["stage"] == Result("stage", "pass", f"the service says ready: grbl:{port}")
        assert results["camera"] == Result("camera", "fail", "the service says lost: hung up")
        os.set_blocking(ours, False)
        with pytest.raises(BlockingIOError):
            os.read(ours, 1)  # nobody wrote to the device
    finally:
        os.close(ours)
        os.close(theirs)


async def test_a_service_with_another_profile_or_without_its_port(tmp_path: Path) -> None:
    status: dict[str, object] = {
        "profile": "kodakqc",
        "listener": "127.0.0.1:7777 cannot be listened on: Address already in use",
        "devices": [],
    }
    config = configuration(tmp_path, instrument=InstrumentConfig(port=7777), stage=GrblConfig(port="/dev/null"))
    async with console_of(tmp_path, status):
        results = await run(bench(config), "service", "port", "stage")
    assert results["service"].reason == "the running service has the profile kodakqc, this configuration specular"
    assert results["port"].verdict == results["service"].verdict == "fail"
    assert results["stage"] == Result("stage", "fail", "the running service has none")


async def test_what_is_no_service_is_no_service(tmp_path: Path) -> None:
    async def babble(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.send_all(b"220 mail ready\r\n")

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "console.sock"))
        listening.listen()
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening.dup()))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, babble, [listener])
            result = (await run(bench(configuration(tmp_path)), "service"))["service"]
            nursery.cancel_scope.cancel()
    assert (result.verdict, "not the service" in result.reason) == ("skip", True)


# ------------------------------------------------------------------------------------------------ nodes


def storage(node: Node) -> StorageConfig:
    return StorageConfig(ip_address=node.host, port=node.port, ae_title=node.ae_title)


async def test_a_node_that_echoes(tmp_path: Path) -> None:
    def succeed(message: Message) -> list[int]:
        return [0x0000]

    async with run_acceptor(succeed) as acceptor:
        result = (await run(bench(configuration(tmp_path, storage=storage(acceptor.node))), "node.storage"))[
            "node.storage"
        ]
        assert result.verdict == "pass"
        assert "C-ECHO in" in result.reason
        assert [message.command.command_field for message in acceptor.messages] == [CommandField.C_ECHO_RQ]


async def test_a_node_that_refuses_the_echo_or_is_away(tmp_path: Path) -> None:
    def refuse(message: Message) -> list[int]:
        return [0x0122]

    async with run_acceptor(refuse) as acceptor:
        node = acceptor.node
        result = (await run(bench(configuration(tmp_path, storage=storage(node))), "node.storage"))["node.storage"]
        assert (result.verdict, "0122H" in result.reason) == ("fail", True)
    result = (await run(bench(configuration(tmp_path, storage=storage(node))), "node.storage"))["node.storage"]
    assert (result.verdict, "onnection refused" in result.reason) == ("fail", True)


async def test_without_verification_a_connection_is_all_and_is_said_to_be(tmp_path: Path) -> None:
    profile = load_profile()
    entities = {name: entity for name, entity in profile.application_entity.items() if name != "verification"}
    silent = replace_struct(profile, application_entity=entities)
    async with run_acceptor(lambda message: [STALL]) as acceptor:
        config = configuration(tmp_path, storage=storage(acceptor.node))
        result = (await run(bench(config, silent), "node.storage"))["node.storage"]
        assert result.verdict == "pass"
        assert (
            "a TCP connection stands; no C-ECHO, because the profile specular declares no verification" in result.reason
        )
        assert acceptor.requests == []
        node = acceptor.node
    result = (await run(bench(configuration(tmp_path, storage=storage(node)), silent), "node.storage"))["node.storage"]
    assert result.verdict == "fail"


async def test_a_silent_node_is_waited_for_for_a_moment_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selftest, "NODE_WAIT_S", 0.05)
    async with run_acceptor(lambda message: [STALL]) as acceptor:
        config = configuration(tmp_path, storage=storage(acceptor.node))
        result = (await run(bench(config), "node.storage"))["node.storage"]
    assert result.verdict == "fail"
    assert "0.05 s" in result.reason


# ------------------------------------------------------------------------------------------------ the verb


def test_the_verb_prints_a_line_a_check_and_fails_when_one_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.toml"
    paths = f'[paths]\nstate = "{tmp_path}/none"\nruntime = "{tmp_path}"\n'
    file.write_text(f'[network]\ninterface = "lo"\n[instrument]\nport = 0\n{paths}')
    assert main(["selftest", "--config", str(file)]) == 1
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert [line.split()[0] for line in lines if "  disk  " in line] == ["fail"]
    assert {line.split()[0] for line in lines} <= {"pass", "fail", "skip"}
    assert captured.err.startswith("specular selftest: ")
    assert "disk" in captured.err
    assert captured.err.count("\n") == 1

    assert main(["selftest", "--config", str(file), "--json"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in rows] == [line.split()[1] for line in lines]
    assert all(set(row) == {"name", "result", "reason"} for row in rows)


def test_the_verb_succeeds_when_nothing_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fine(bench: Bench) -> Outcome:
        return Outcome("pass", "fine")

    monkeypatch.setattr(selftest, "checks_of", lambda config, profile: (Check("only", fine),))
    assert main(["selftest"]) == 0
    assert capsys.readouterr().out == "pass  only                fine\n"


@pytest.mark.parametrize(
    ("health", "verdict", "reason"),
    [
        (
            {"well": True, "parts": [1, 2], "recent_loop_lag_ms": 3.14},
            "pass",
            "all 2 parts get on; worst loop lag lately 3.1 ms",
        ),
        ({"well": False, "watchdog_withheld": "delivery hangs: the disk"}, "fail", "delivery hangs: the disk"),
        (None, "fail", "the service does not tell its health"),
    ],
)
async def test_the_health_of_the_running_service(
    tmp_path: Path, health: dict[str, object] | None, verdict: str, reason: str
) -> None:
    async with console_of(tmp_path, {"profile": "specular", "health": health}):
        results = await run(bench(configuration(tmp_path)), "service", "health")
    assert results["health"] == Result("health", verdict, reason)


async def test_without_a_service_nobody_tells_its_health(tmp_path: Path) -> None:
    results = await run(bench(configuration(tmp_path)), "service", "health")
    assert results["health"].verdict == "skip"
