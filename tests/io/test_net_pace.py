"""A bounded node: data sets go at its pace over all its associations, nobody else waits, and nothing times out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio
from delivery_peer import LOCAL
from dicom_acceptor import Acceptor, run_acceptor
from records_material import SC_CLASS
from trio.testing import MockClock

from firmware_app.config import Config, StorageConfig
from firmware_app.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN
from firmware_app.net.association import associate
from firmware_app.net.data_source import OctetSource
from firmware_app.net.instance_file import InstanceFile
from firmware_app.net.node import Timeouts
from firmware_app.net.pace import BURST_S, Pace
from firmware_app.net.storage import store_source
from firmware_app.services.peers import node_of

RATE = 100_000.0
IMAGE_BYTES = 200_000
WRITE_S = 0.5  # an image takes 2 s, four times as long as a single write may
IMAGE = InstanceFile(Path("1.dcm"), SC_CLASS, "1.2.3", IMPLICIT_VR_LITTLE_ENDIAN, 0, IMAGE_BYTES)


@pytest.fixture
def autojump_clock() -> MockClock:
    """The kernel gets a moment for what is on its way before time jumps; no thread is at work here."""
    return MockClock(autojump_threshold=0.02)


async def send(acceptor: Acceptor, pace: Pace | None, count: int = 1) -> float:
    """So many images on one association; how long it took."""
    begun_s = trio.current_time()
    node = replace(acceptor.node, pace=pace, timeouts=replace(Timeouts.all(60), write_s=WRITE_S))
    async with associate(node, LOCAL, ((SC_CLASS, (IMPLICIT_VR_LITTLE_ENDIAN,)),)) as association:
        for _ in range(count):
            source = OctetSource(bytes(IMAGE_BYTES))
            context = association.context(SC_CLASS)
            assert (await store_source(association, context, IMAGE, source)).category == "stored"
    return trio.current_time() - begun_s


async def test_images_take_as_long_as_the_rate_says(autojump_clock: MockClock) -> None:
    """In virtual time."""
    async with run_acceptor(lambda message: [0]) as acceptor:
        taken_s = await send(acceptor, Pace(RATE), 3)
    assert 3 * IMAGE_BYTES / RATE - BURST_S <= taken_s <= 3 * IMAGE_BYTES / RATE * 1.02
    assert [len(message.data_set or b"") for message in acceptor.messages] == [IMAGE_BYTES] * 3


async def test_two_associations_share_one_pace(autojump_clock: MockClock) -> None:
    pace = Pace(RATE)
    async with run_acceptor(lambda message: [0]) as acceptor:
        taken_s = await send(acceptor, pace) + await send(acceptor, pace)
    assert taken_s >= 2 * IMAGE_BYTES / RATE - BURST_S


async def test_the_loop_goes_on_meanwhile(autojump_clock: MockClock) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await trio.sleep(0.1)
            turns += 1

    async with run_acceptor(lambda message: [0]) as acceptor, trio.open_nursery() as nursery:
        nursery.start_soon(others)
        await send(acceptor, Pace(RATE))
        nursery.cancel_scope.cancel()
    assert turns >= 15


async def test_without_a_pace_nothing_waits(autojump_clock: MockClock) -> None:
    async with run_acceptor(lambda message: [0]) as acceptor:
        assert await send(acceptor, None) == 0.0


def test_the_pace_comes_from_the_configuration() -> None:
    bounded = StorageConfig(ip_address="127.0.0.1", port=104, ae_title="A", max_bytes_per_s=250_000)
    pace = node_of("storage", bounded).pace
    assert pace is not None and pace.bytes_per_s == 250_000
    assert node_of("storage", Config().storage).pace is None
