"""The embedded hospital as the process that it is, asked by another toolkit over real sockets."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
from hospital_process import Hospital, hospital
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    OphthalmicPhotography8BitImageStorage,
    OphthalmicPhotography16BitImageStorage,
    SecondaryCaptureImageStorage,
    VLPhotographicImageStorage,
    generate_uid,
)
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import ModalityWorklistInformationFind, Verification

from firmware_app.demo.confirmation import NoAnswer, confirm, held_instances
from firmware_app.demo.folder import DeliveredInstance
from firmware_app.demo.holdings import data_set_of
from firmware_app.demo.processes import DemoFailed

STORED = 0x0000
STUDY, SERIES = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"


@contextmanager
def association(hospital: Hospital, role: str, *contexts: tuple[str, list[str]]) -> Iterator[Association]:
    entity = AE("SCU")
    for abstract_syntax, transfer_syntaxes in contexts:
        entity.add_requested_context(abstract_syntax, transfer_syntaxes)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 5
    address = hospital.ready[role]
    made = entity.associate(address["ip"], address["port"], ae_title=address["ae_title"])
    try:
        yield made
    finally:
        if made.is_established:
            made.release()


def instance(number: int, sop_class_uid: str = SecondaryCaptureImageStorage) -> Dataset:
    data_set = Dataset()
    data_set.SpecificCharacterSet = "ISO_IR 192"
    data_set.SOPClassUID = sop_class_uid
    data_set.SOPInstanceUID = f"{SERIES}.{number}"
    data_set.StudyInstanceUID = STUDY
    data_set.SeriesInstanceUID = SERIES
    data_set.PatientName = "山田^太郎"
    data_set.PatientID = "SP-1002"
    data_set.Modality = "OP"
    data_set.InstanceNumber = number
    data_set.Rows = data_set.Columns = 4
    data_set.BitsAllocated = data_set.BitsStored = 8
    data_set.HighBit = 7
    data_set.SamplesPerPixel = 1
    data_set.PixelRepresentation = 0
    data_set.PixelData = bytes(range(16))
    return data_set


def send(hospital: Hospital, data_set: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> Dataset:
    data_set.ensure_file_meta()
    data_set.file_meta.TransferSyntaxUID = transfer_syntax_uid
    with association(hospital, "archive", (data_set.SOPClassUID, [transfer_syntax_uid])) as to_archive:
        assert to_archive.is_established
        return to_archive.send_c_store(data_set)


@pytest.fixture(scope="module")
def shared_hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """For the tests that set no fault and store their own instances: starting one takes longer than asking it."""
    with hospital(tmp_path_factory.mktemp("archive"), "--station", "MY_STATION") as running:
        yield running


def test_ready_line_names_both_entities_on_loopback(tmp_path: Path) -> None:
    with hospital(tmp_path / "archive") as running:
        assert running.ready["hospital"] == "simulated"
        assert running.ready["out"] == str(tmp_path / "archive")
        for role, ae_title in (("worklist", "WORKLIST"), ("archive", "ARCHIVE")):
            assert running.ready[role]["ip"] == "127.0.0.1"
            assert running.ready[role]["port"] > 1023
            assert running.ready[role]["ae_title"] == ae_title


@pytest.mark.parametrize("role", ["worklist", "archive"])
def test_echo(shared_hospital: Hospital, role: str) -> None:
    with association(shared_hospital, role, (Verification, [ImplicitVRLittleEndian])) as made:
        assert made.send_c_echo().Status == STORED
        event = shared_hospital.until("echo")
    assert (event["calling"], event["called"]) == ("SCU", role.upper())


def test_worklist_query_of_an_instrument(shared_hospital: Hospital) -> None:
    step = Dataset()
    step.ScheduledStationAETitle = "MY_STATION"
    step.ScheduledProcedureStepStartDate = f"{date.today():%Y%m%d}"
    step.ScheduledProcedureStepStartTime = ""
    step.Modality = "OP"
    identifier = Dataset()
    identifier.PatientName = identifier.PatientID = identifier.StudyInstanceUID = ""
    identifier.ScheduledProcedureStepSequence = [step]
    context = (ModalityWorklistInformationFind, [ImplicitVRLittleEndian])
    with association(shared_hospital, "worklist", context) as made:
        answers = list(made.send_c_find(identifier, ModalityWorklistInformationFind))
        assert [status.Status for status, _ in answers] == [0xFF00] * 6 + [0x0000]
        names = [str(item.PatientName) for _, item in answers[:-1]]
        assert names[0] == "Lindström^Åsa"
        assert "Yamada^Tarou=山田^太郎=やまだ^たろう" in names
        assert "Wang^XiaoDong=王^小东" in names
        assert "Соколова^Ирина" in names
        assert shared_hospital.until("find")["matches"] == 6


@pytest.mark.parametrize("transfer_syntax_uid", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize(
    "sop_class_uid",
    [
        SecondaryCaptureImageStorage,
        ComputedRadiographyImageStorage,
        OphthalmicPhotography8BitImageStorage,
        OphthalmicPhotography16BitImageStorage,
        VLPhotographicImageStorage,
    ],
)
def test_store_keeps_every_byte(shared_hospital: Hospital, sop_class_uid: str, transfer_syntax_uid: str) -> None:
    sent = instance(1, sop_class_uid)
    sent.SOPInstanceUID = generate_uid()
    assert send(shared_hospital, sent, transfer_syntax_uid).Status == STORED
    event = shared_hospital.until("store")
    kept = Path(str(event["file"]))
    encoded = data_set_of(kept.read_bytes())
    assert (len(encoded), hashlib.sha256(encoded).hexdigest()) == (event["bytes"], event["sha256"])
    assert event["transfer_syntax_uid"] == transfer_syntax_uid
    again = dcmread(kept)
    assert again.file_meta.TransferSyntaxUID == transfer_syntax_uid
    assert Dataset(again) == Dataset(sent)


def test_jpeg_baseline_is_accepted(shared_hospital: Hospital) -> None:
    with association(shared_hospital, "archive", (SecondaryCaptureImageStorage, [JPEGBaseline8Bit])) as made:
        assert made.accepted_contexts[0].transfer_syntax == [JPEGBaseline8Bit]


def test_a_sop_class_that_is_not_offered_gets_no_context(shared_hospital: Hospital) -> None:
    contexts = [(CTImageStorage, [ImplicitVRLittleEndian]), (Verification, [ImplicitVRLittleEndian])]
    with association(shared_hospital, "archive", *contexts) as made:
        assert [context.abstract_syntax for context in made.accepted_contexts] == [Verification]


def test_the_archive_confirms_what_it_holds_also_after_a_restart(tmp_path: Path) -> None:
    expected = {f"{SERIES}.{number}": SecondaryCaptureImageStorage for number in (1, 2, 3)}
    with hospital(tmp_path) as running:
        for number in (1, 2, 3):
            send(running, instance(number))
        assert held_instances(running.archive(), STUDY, "SCU") == expected
        assert held_instances(running.archive(), "1.2.3.4", "SCU") == {}
    (tmp_path / "foreign.dcm").write_bytes(b"not DICOM")
    with hospital(tmp_path) as running:
        assert held_instances(running.archive(), STUDY, "SCU") == expected


def delivered(folder: Path, number: int, pixels: bytes = bytes(range(16))) -> DeliveredInstance:
    sent = instance(number)
    sent.PixelData = pixels
    sent.ensure_file_meta()
    sent.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = folder / f"sent-{number}.dcm"
    sent.save_as(file, enforce_file_format=True)
    return DeliveredInstance(sent.SOPInstanceUID, sent.SOPClassUID, "image", file, "")


def test_the_demo_believes_only_an_archive_that_holds_everything_unchanged(tmp_path: Path) -> None:
    archive_folder = tmp_path / "archive"
    with hospital(archive_folder) as running:
        both = [delivered(tmp_path, 1), delivered(tmp_path, 2)]
        send(running, instance(1))
        with pytest.raises(DemoFailed, match="does not hold 1 of 2"):
            confirm(both, STUDY, running.archive(), archive_folder)
        send(running, instance(2))
        confirm(both, STUDY, running.archive(), archive_folder)
        with pytest.raises(DemoFailed, match="holds 2 instances of the study, 1 were sent"):
            confirm(both[:1], STUDY, running.archive(), archive_folder)
        changed = [both[0], delivered(tmp_path, 2, pixels=bytes(16))]
        with pytest.raises(DemoFailed, match="another content"):
            confirm(changed, STUDY, running.archive(), archive_folder)


def test_the_same_instance_twice_is_one_another_content_is_refused(tmp_path: Path) -> None:
    with hospital(tmp_path) as running:
        assert send(running, instance(1)).Status == STORED
        assert send(running, instance(1)).Status == STORED
        changed = instance(1)
        changed.PixelData = bytes(16)
        refused = send(running, changed)
        assert refused.Status == 0xC000
        assert "another content" in refused.ErrorComment
        assert dcmread(tmp_path / f"{SERIES}.1.dcm").PixelData == bytes(range(16))


def test_an_instance_that_lies_about_its_class_is_refused(tmp_path: Path) -> None:
    lying = instance(1)
    lying.SOPClassUID = ComputedRadiographyImageStorage
    lying.ensure_file_meta()
    lying.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with hospital(tmp_path) as running:
        del lying.StudyInstanceUID
        assert send(running, lying).Status == 0xA900
        assert running.until("store")["reason"] == "no StudyInstanceUID"
    assert list(tmp_path.glob("*.dcm")) == []


def test_full_disk_is_out_of_resources(tmp_path: Path) -> None:
    with hospital(tmp_path / "archive") as running:
        (tmp_path / "archive").rmdir()
        assert send(running, instance(1)).Status == 0xA700


def test_status_fault_and_its_end(tmp_path: Path) -> None:
    with hospital(tmp_path, "--refuse-stores", "A700") as running:
        assert send(running, instance(1)).Status == 0xA700
        assert running.until("store")["status"] == "A700"
        assert list(tmp_path.iterdir()) == []
        assert running.command("status C123")["event"] == "fault"
        assert send(running, instance(1)).Status == 0xC123
        running.command("status 0000")
        assert send(running, instance(1)).Status == STORED


def test_archive_down_and_up_again_on_the_same_port(tmp_path: Path) -> None:
    with hospital(tmp_path) as running:
        send(running, instance(1))
        running.command("archive down")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((running.archive().ip, running.archive().port), timeout=5)
        with association(running, "worklist", (Verification, [ImplicitVRLittleEndian])) as made:
            assert made.is_established
        running.command("archive up")
        assert list(held_instances(running.archive(), STUDY, "SCU")) == [f"{SERIES}.1"]


def test_a_port_that_was_taken_meanwhile_is_reported(tmp_path: Path) -> None:
    with hospital(tmp_path) as running, socket.socket() as other:
        running.command("archive down")
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((running.archive().ip, running.archive().port))
        other.listen()
        assert "Address already in use" in str(running.command("archive up")["text"])
        other.close()
        assert running.command("archive up")["event"] == "fault"


def test_archive_down_aborts_who_is_connected(tmp_path: Path) -> None:
    with (
        hospital(tmp_path) as running,
        association(running, "archive", (Verification, [ImplicitVRLittleEndian])) as made,
    ):
        made.network_timeout = None  # it must be the hospital who ends it
        running.command("archive down")
        made.join(5)
        assert made.is_aborted


def test_reject(tmp_path: Path) -> None:
    with hospital(tmp_path, "--reject") as running:
        with association(running, "archive", (Verification, [ImplicitVRLittleEndian])) as made:
            assert made.is_rejected
            assert made.acceptor.primitive.result == 0x01
        with pytest.raises(NoAnswer, match="accepts no association"):
            held_instances(running.archive(), STUDY, "SCU")
        running.command("archive accept")
        with association(running, "archive", (Verification, [ImplicitVRLittleEndian])) as made:
            assert made.is_established


def test_wrong_called_ae_title_is_rejected(shared_hospital: Hospital) -> None:
    entity = AE("SCU")
    entity.add_requested_context(Verification)
    made = entity.associate("127.0.0.1", shared_hospital.archive().port, ae_title="PACS")
    assert made.is_rejected


@pytest.mark.parametrize("line", ["archive sideways", "status A7", "status", "x" * 5000, "\x00\xff"])
def test_what_is_no_command_is_reported_and_changes_nothing(shared_hospital: Hospital, line: str) -> None:
    assert shared_hospital.command(line)["event"] == "error"
    sent = instance(1)
    sent.SOPInstanceUID = generate_uid()
    assert send(shared_hospital, sent).Status == STORED


def test_end_of_commands_does_not_end_the_hospital(tmp_path: Path) -> None:
    with hospital(tmp_path) as running:
        assert running.process.stdin is not None
        running.process.stdin.close()
        assert send(running, instance(1)).Status == STORED


def test_sigint_ends_it_with_0(tmp_path: Path) -> None:
    with hospital(tmp_path) as running:
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(10) == 0


def test_it_ends_when_nobody_reads_its_events(tmp_path: Path) -> None:
    with hospital(tmp_path) as running:
        assert running.process.stdout is not None
        running.process.stdout.close()
        with association(running, "archive", (Verification, [ImplicitVRLittleEndian])) as made:
            made.send_c_echo()
        assert running.process.wait(10) == 0


def failing(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "firmware_app.demo.hospital", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
    )


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with hospital(tmp_path / "one") as running:
        port = str(running.ready["archive"]["port"])
        second = failing("--out", str(tmp_path / "two"), "--archive-port", port)
    assert second.returncode == 1
    assert second.stderr == f"specular hospital: ARCHIVE cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_an_unusable_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = failing("--out", str(tmp_path / "file"))
    assert ended.returncode == 1
    assert str(tmp_path / "file") in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [["--archive-port", "70000"], ["--station", ""], ["--station", "A" * 17], ["--refuse-stores", "xyz"], ["--what"]],
)
def test_wrong_usage_is_exit_2(arguments: list[str]) -> None:
    assert failing(*arguments).returncode == 2


@pytest.mark.peer("dcmtk")
def test_dcmtk_finds_and_stores(tmp_path: Path) -> None:
    sent = instance(1)
    sent.ensure_file_meta()
    sent.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    sent.save_as(tmp_path / "sent.dcm", enforce_file_format=True)
    with hospital(tmp_path / "archive") as running:
        port = str(running.ready["archive"]["port"])
        subprocess.run(["storescu", "-aec", "ARCHIVE", "127.0.0.1", port, tmp_path / "sent.dcm"], check=True)
        # Patient Root, patient level: what the instrument's own patient query asks
        command = ["findscu", "-P", "-aec", "ARCHIVE", "127.0.0.1", port, "-k", "QueryRetrieveLevel=PATIENT"]
        found = subprocess.run([*command, "-k", "PatientID=SP-*", "-k", "PatientName"], capture_output=True, check=True)
    assert b"SP-1002" in found.stderr + found.stdout
    assert data_set_of((tmp_path / "archive" / f"{sent.SOPInstanceUID}.dcm").read_bytes()) == data_set_of(
        (tmp_path / "sent.dcm").read_bytes()
    )
    assert os.listdir(tmp_path / "archive") == [f"{sent.SOPInstanceUID}.dcm"]
