"""What the embedded hospital offers beside storage and worklist, driven by our own client over real sockets."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import trio
from demo_step_samples import begun, ended
from dicom_acceptor import run_acceptor
from hospital_process import Hospital, hospital
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom.sop_class import (
    BasicFilmBox,
    BasicFilmSession,
    BasicGrayscaleImageBox,
    BasicGrayscalePrintManagementMeta,
    Printer,
    PrinterInstance,
    StorageCommitmentPushModelInstance,
)

from firmware_app.dicom.items import RoleSelection
from firmware_app.dicom.message import Message
from firmware_app.dicom.uids import (
    IMPLICIT_VR_LITTLE_ENDIAN,
    MODALITY_PERFORMED_PROCEDURE_STEP,
    SECONDARY_CAPTURE_STORAGE,
    STORAGE_COMMITMENT_PUSH_MODEL,
)
from firmware_app.net.association import Association, associate
from firmware_app.net.errors import DimseFailure
from firmware_app.net.instance_file import read_instance_file
from firmware_app.net.listener import serve
from firmware_app.net.node import LocalApplicationEntity
from firmware_app.net.normalized import n_action, n_create, n_delete, n_get, n_set
from firmware_app.net.performer import EventReport
from firmware_app.net.storage import store

LOCAL = LocalApplicationEntity("STATION", "127.0.0.1", "1.2.3.4", "TEST")
MPPS, COMMITMENT = MODALITY_PERFORMED_PROCEDURE_STEP, STORAGE_COMMITMENT_PUSH_MODEL
META = BasicGrayscalePrintManagementMeta


@asynccontextmanager
async def asking(hospital: Hospital, role: str, sop_class_uid: str) -> AsyncIterator[Association]:
    async with associate(hospital.node(role), LOCAL, ((sop_class_uid, (IMPLICIT_VR_LITTLE_ENDIAN,)),)) as association:
        yield association


# ------------------------------------------------------------------ performed procedure steps


@pytest.fixture(scope="module")
def shared_hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    with hospital(tmp_path_factory.mktemp("archive")) as running:
        yield running


async def test_a_performed_procedure_step(shared_hospital: Hospital) -> None:
    uid = generate_uid()
    async with asking(shared_hospital, "worklist", MPPS) as association:
        assert (await n_create(association, MPPS, uid, begun())).status == 0
        event = shared_hospital.until("mpps")
        assert (event["operation"], event["status"], event["step_status"]) == ("N-CREATE", "0000", "IN PROGRESS")
        assert (await n_set(association, MPPS, uid, ended())).status == 0
        event = shared_hospital.until("mpps")
        assert (event["operation"], event["step_status"]) == ("N-SET", "COMPLETED")
        assert (event["sop_instance_uid"], event["instances"]) == (uid, ["1.2.8.1", "1.2.8.2"])
        assert (event["calling"], event["called"]) == ("STATION", "WORKLIST")
        assert "Patient" not in str(event)
        with pytest.raises(DimseFailure, match="may no longer be updated") as final:
            await n_set(association, MPPS, uid, ended())
    assert final.value.status == 0x0110


async def test_a_step_that_the_operator_has_refused(tmp_path: Path) -> None:
    with hospital(tmp_path) as running:
        uid = generate_uid()
        async with asking(running, "worklist", MPPS) as association:
            running.command("mpps 0213")
            with pytest.raises(DimseFailure) as refused:
                await n_create(association, MPPS, uid, begun())
            assert refused.value.status == 0x0213
            running.command("mpps 0000")
            assert (await n_create(association, MPPS, uid, begun())).status == 0


# ------------------------------------------------------------------ storage commitment


class Station:
    """The reports that arrive at our port."""

    def __init__(self, reports: trio.MemoryReceiveChannel[EventReport]) -> None:
        self.reports = reports

    async def next(self) -> tuple[int | None, str, list[str], list[tuple[str, int]]]:
        """Event type, Transaction UID, what is committed, what is not and why."""
        with trio.fail_after(20):
            report = await self.reports.receive()
        information = report.decode()
        committed = [str(item.ReferencedSOPInstanceUID) for item in information.get("ReferencedSOPSequence", [])]
        failed = [
            (str(item.ReferencedSOPInstanceUID), item.FailureReason)
            for item in information.get("FailedSOPSequence", [])
        ]
        assert report.peer.ae_title == "ARCHIVE"
        return report.event_type_id, str(information.TransactionUID), committed, failed


@asynccontextmanager
async def station(port: int) -> AsyncIterator[Station]:
    arrived, reports = trio.open_memory_channel[EventReport](10)

    async def take(report: EventReport) -> int:
        arrived.send_nowait(report)
        return 0

    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, LOCAL, port, on_event=take))
        yield Station(reports)
        nursery.cancel_scope.cancel()


@pytest.fixture
def station_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def running(tmp_path: Path, station_port: int) -> Iterator[Hospital]:
    """A hospital of this test alone. It is ended after the station, whose answers it may still be waiting for."""
    with hospital(tmp_path / "archive", "--station-port", str(station_port)) as started:
        yield started


def write_instance(folder: Path, number: int) -> Path:
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = SECONDARY_CAPTURE_STORAGE, f"1.2.3.{number}"
    image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3", "1.2.3.0"
    image.ensure_file_meta()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"{number}.dcm"
    image.save_as(path, enforce_file_format=True)
    return path


async def store_some(hospital: Hospital, folder: Path, *numbers: int) -> None:
    files = [read_instance_file(write_instance(folder, number)) for number in numbers]
    results = [one.category async for one in store(hospital.node("archive"), LOCAL, files)]
    assert results == ["stored"] * len(numbers)


async def request(hospital: Hospital, *numbers: int, transaction_uid: str = "", linger_s: float = 0.0) -> str:
    """N-ACTION for these instances; its Transaction UID."""
    information = Dataset()
    information.TransactionUID = transaction_uid or generate_uid()
    information.ReferencedSOPSequence = []
    for number in numbers:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = SECONDARY_CAPTURE_STORAGE, f"1.2.3.{number}"
        information.ReferencedSOPSequence.append(item)
    async with asking(hospital, "archive", COMMITMENT) as association:
        await n_action(association, COMMITMENT, StorageCommitmentPushModelInstance, 1, information)
        await association.attend(linger_s, lambda: False)
    return str(information.TransactionUID)


async def test_what_is_held_is_committed_and_what_is_not_is_named(
    running: Hospital, station_port: int, tmp_path: Path
) -> None:
    async with station(station_port) as ours:
        await store_some(running, tmp_path, 1, 2)
        asked = await request(running, 1, 2)
        assert await ours.next() == (1, asked, ["1.2.3.1", "1.2.3.2"], [])
        asked = await request(running, 1, 3)
        assert await ours.next() == (2, asked, ["1.2.3.1"], [("1.2.3.3", 0x0112)])
        await request(running, 1, transaction_uid=asked)
        assert await ours.next() == (2, asked, [], [("1.2.3.1", 0x0131)])


async def test_the_ways_in_which_an_archive_reports(running: Hospital, station_port: int, tmp_path: Path) -> None:
    async with station(station_port) as ours:
        await store_some(running, tmp_path, 1)
        running.command("commitment twice")
        asked = await request(running, 1)
        assert [await ours.next(), await ours.next()] == [(1, asked, ["1.2.3.1"], [])] * 2
        running.command("commitment fail")
        asked = await request(running, 1)
        assert await ours.next() == (2, asked, [], [("1.2.3.1", 0x0110)])
        running.command("commitment unknown")
        asked = await request(running, 1)
        _, told, _, _ = await ours.next()
        assert told != asked
        running.command("commitment never")
        late = await request(running, 1)
        running.command("commitment normal")
        running.command("commitment report")
        assert sorted([(await ours.next())[1], (await ours.next())[1]]) == sorted([asked, late])


async def test_a_report_on_the_association_of_the_request(tmp_path: Path) -> None:
    heard: list[EventReport] = []

    async def take(report: EventReport) -> int:
        heard.append(report)
        return 0

    with hospital(tmp_path / "archive") as running:
        await store_some(running, tmp_path, 1)
        running.command("commitment same")
        contexts = ((COMMITMENT, (IMPLICIT_VR_LITTLE_ENDIAN,)),)
        information = Dataset()
        information.TransactionUID = "1.2.77"
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = SECONDARY_CAPTURE_STORAGE, "1.2.3.1"
        information.ReferencedSOPSequence = [item]
        async with associate(running.node("archive"), LOCAL, contexts, on_event=take) as association:
            await n_action(association, COMMITMENT, StorageCommitmentPushModelInstance, 1, information)
            assert await association.attend(20.0, lambda: bool(heard))
        assert heard[0].decode().TransactionUID == "1.2.77"
        event = running.until("commitment_report")
        assert (event["over"], event["status"], event["committed"]) == ("same", "0000", 1)


async def test_a_report_that_nobody_takes_is_kept(running: Hospital, station_port: int, tmp_path: Path) -> None:
    async with station(station_port) as ours:
        await store_some(running, tmp_path, 1)
        running.command("commitment never")
        asked = await request(running, 1)
        running.command("commitment normal")
        running.command("archive reject")  # of no matter: the archive asks, and is not asked
        running.command("commitment report")
        assert (await ours.next())[1] == asked
        while running.until("commitment_report")["status"] != "0000":
            pass
        running.command("commitment report")
        running.command("archive accept")
        another = await request(running, 1)
        assert (await ours.next())[1] == another  # what has been reported is not reported again


async def test_a_station_whose_port_is_closed(running: Hospital, station_port: int) -> None:
    asked = await request(running, 1)
    event = running.until("commitment_report")
    assert (event["transaction_uid"], event["status"]) == (asked, None)
    assert f"STATION accepts no association on port {station_port}" in event["reason"]


async def test_it_ends_although_a_report_is_not_answered(tmp_path: Path, station_port: int) -> None:
    arrived = trio.Event()

    async def take(report: EventReport) -> int:
        arrived.set()
        await trio.sleep_forever()
        raise AssertionError

    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, LOCAL, station_port, on_event=take))
        with hospital(tmp_path / "archive", "--station-port", str(station_port)) as running:
            await request(running, 1)
            with trio.fail_after(20):
                await arrived.wait()
            running.process.terminate()
            assert running.process.wait(4) == 0  # it would wait 5 s for the answer
        nursery.cancel_scope.cancel()


async def test_the_archive_proposes_to_be_the_scp_of_its_report(tmp_path: Path) -> None:
    arrived = trio.Event()

    def answer(message: Message) -> list[int]:
        arrived.set()
        return [0]

    async with run_acceptor(answer) as acceptor:
        with hospital(tmp_path / "archive", "--station-port", str(acceptor.node.port)) as running:
            await request(running, 1)
            with trio.fail_after(20):
                await arrived.wait()
    (asked,) = acceptor.requests
    assert (asked.calling_ae_title, asked.called_ae_title) == ("ARCHIVE", "STATION")
    assert [one.abstract_syntax for one in asked.contexts] == [COMMITMENT]
    assert RoleSelection(COMMITMENT, scu=False, scp=True) in asked.user_items


@pytest.mark.parametrize(
    ("instance", "action", "numbers", "status"),
    [
        ("1.2.3", 1, (1,), 0x0112),
        (StorageCommitmentPushModelInstance, 2, (1,), 0x0123),
        (StorageCommitmentPushModelInstance, 1, (), 0x0115),
        (StorageCommitmentPushModelInstance, 1, (1, 1), 0x0115),
    ],
)
async def test_a_request_that_is_none(
    shared_hospital: Hospital, instance: str, action: int, numbers: tuple[int, ...], status: int
) -> None:
    information = Dataset()
    information.TransactionUID = "1.2.78"
    information.ReferencedSOPSequence = []
    for number in numbers:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = SECONDARY_CAPTURE_STORAGE, f"1.2.3.{number}"
        information.ReferencedSOPSequence.append(item)
    async with asking(shared_hospital, "archive", COMMITMENT) as association:
        with pytest.raises(DimseFailure) as refused:
            await n_action(association, COMMITMENT, instance, action, information)
    assert refused.value.status == status


# ------------------------------------------------------------------ printer

PIXELS = np.random.default_rng(3).integers(0, 4096, (60, 80), np.uint16)


def image_box(position: int) -> Dataset:
    item = Dataset()
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.Rows, item.Columns = PIXELS.shape
    item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 12, 11, 0
    item.PixelData = PIXELS.tobytes()
    item["PixelData"].VR = "OW"
    box = Dataset()
    box.ImageBoxPosition = position
    box.BasicGrayscaleImageSequence = [item]
    return box


def film_box(session: str) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = BasicFilmSession, session
    film = Dataset()
    film.ImageDisplayFormat, film.FilmSizeID, film.FilmOrientation = "STANDARD\\1,1", "10INX12IN", "PORTRAIT"
    film.ReferencedFilmSessionSequence = [reference]
    return film


async def print_one(association: Association) -> list[int]:
    """A whole session; the statuses of image and print."""
    meta = association.context(META)
    session = await n_create(association, BasicFilmSession, None, Dataset(), context=meta)
    film = await n_create(association, BasicFilmBox, None, film_box(session.sop_instance_uid), context=meta)
    (box,) = film.decode().ReferencedImageBoxSequence
    uid = box.ReferencedSOPInstanceUID
    filled = await n_set(association, BasicGrayscaleImageBox, uid, image_box(1), context=meta)
    try:
        printed = await n_action(association, BasicFilmBox, film.sop_instance_uid, 1, context=meta)
        return [filled.status, printed.status]
    finally:
        await n_delete(association, BasicFilmSession, session.sop_instance_uid, context=meta)


async def test_a_printed_page_can_be_looked_at(shared_hospital: Hospital) -> None:
    async with asking(shared_hospital, "printer", META) as association:
        meta = association.context(META)
        status = await n_get(association, Printer, PrinterInstance, [0x21100010, 0x21100020], context=meta)
        assert [element.value for element in status.decode()] == ["NORMAL", "NORMAL"]
        assert await print_one(association) == [0, 0]
        event = shared_hospital.until("print")
    assert (event["copies"], event["film_size"]) == (1, "10INX12IN")
    (printed,) = event["images"]
    assert (printed["rows"], printed["columns"], printed["bits_stored"]) == (60, 80, 12)
    assert printed["pixels_sha256"] == hashlib.sha256(PIXELS.tobytes()).hexdigest()
    path = Path(event["file"])
    assert path.parent == Path(shared_hospital.ready["pages"])
    with Image.open(path) as page:
        assert page.size == (1500, 1800)
        assert page.getextrema()[1] > 250


async def test_each_association_has_its_own_session_and_each_page_its_own_file(shared_hospital: Hospital) -> None:
    files = []
    for _ in range(2):
        async with asking(shared_hospital, "printer", META) as association:
            meta = association.context(META)
            await n_create(association, BasicFilmSession, "1.2.99", Dataset(), context=meta)  # left behind
        async with asking(shared_hospital, "printer", META) as association:
            await print_one(association)
            files.append(shared_hospital.until("print")["file"])
    assert len(set(files)) == 2


async def test_a_printer_in_trouble(tmp_path: Path) -> None:
    with hospital(tmp_path / "archive", "--pages", str(tmp_path / "films")) as running:
        async with asking(running, "printer", META) as association:
            meta = association.context(META)
            running.command("printer warning")
            status = (await n_get(association, Printer, PrinterInstance, context=meta)).decode()
            assert (status.PrinterStatus, status.PrinterStatusInfo) == ("WARNING", "SUPPLY LOW")
            assert await print_one(association) == [0xB604, 0]
            assert Path(running.until("print")["file"]).parent == tmp_path / "films"
            running.command("printer failure")
            status = (await n_get(association, Printer, PrinterInstance, context=meta)).decode()
            assert (status.PrinterStatus, status.PrinterStatusInfo) == ("FAILURE", "FILM JAM")
            with pytest.raises(DimseFailure, match="FILM JAM") as failed:
                await print_one(association)
            assert failed.value.status == 0xC602
            running.command("printer normal")
            running.command("film refuse")
            session = await n_create(association, BasicFilmSession, None, Dataset(), context=meta)
            with pytest.raises(DimseFailure) as failed:
                await n_create(association, BasicFilmBox, None, film_box(session.sop_instance_uid), context=meta)
            assert failed.value.status == 0xC616
            running.command("film accept")
            await n_create(association, BasicFilmBox, None, film_box(session.sop_instance_uid), context=meta)
    assert len(list((tmp_path / "films").iterdir())) == 1
