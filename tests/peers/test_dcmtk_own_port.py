"""DCMTK's clients on our own port: C-ECHO is answered, an image and a question are not taken."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from peers_material import program

from firmware_app.config import Config
from firmware_app.net.listener import InboundAssociation, serve
from firmware_app.profiles import load_profile
from firmware_app.services.listening import offers_of
from firmware_app.services.peers import local_entity

pytestmark = pytest.mark.peer("dcmtk")
Client = Callable[..., tuple[int, str]]


def client(port: int, name: str, *words: str) -> tuple[int, str]:
    options = words if name != "storescu" else words[:-1]
    files = words[-1:] if name == "storescu" else ()
    command = [program(name), "-v", "-aet", "ARCHIVE", "-aec", "SPECULAR", *options, "127.0.0.1", str(port), *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@asynccontextmanager
async def own_port(profile_name: str, ended: list[InboundAssociation]) -> AsyncIterator[Client]:
    profile = load_profile(profile_name)
    local = local_entity(Config(), profile, "127.0.0.1", "listener", "SPECULAR")
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
            await serve(local, 0, offers=offers_of(profile), observe=ended.append, task_status=task_status)

        port = await nursery.start(run)
        yield partial(client, port)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("profile_name", ["specular", "kodakqc"])
async def test_only_echo(profile_name: str, instances: dict[str, Path]) -> None:
    ended: list[InboundAssociation] = []
    async with own_port(profile_name, ended) as call:
        status, output = await trio.to_thread.run_sync(call, "echoscu")
        assert status == 0, output
        status, output = await trio.to_thread.run_sync(call, "storescu", str(instances["implicit"]))
        assert status != 0 and "No Acceptable Presentation Contexts" in output, output
        status, output = await trio.to_thread.run_sync(call, "findscu", "-W", "-k", "PatientName")
        assert status != 0 and "No Acceptable Presentation Contexts" in output, output
        with trio.fail_after(10):
            while len(ended) < 3:
                await trio.lowlevel.checkpoint()
    assert [(one.echoes, one.reports) for one in ended] == [(1, 0), (0, 0), (0, 0)]
