"""`specular mpps` against an information system of another toolkit: steps by hand, and each way of failing."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from mpps_peer import HANG, LOSE_ANSWER, InformationSystem
from mpps_samples import OTHER_ITEM, SCHEDULED_STEP, pictures
from objects_samples import ITEM

from firmware_app.cli import main

Run = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture(scope="module")
def system() -> Iterator[InformationSystem]:
    system = InformationSystem()
    system.start()
    yield system
    system.stop()


@pytest.fixture
def run(system: InformationSystem, capsys: pytest.CaptureFixture[str]) -> Run:
    def mpps(*words: object) -> tuple[int, list[dict[str, Any]], str]:
        try:
            status = main(["mpps", f"RIS@127.0.0.1:{system.port}", "--json", "--timeout", "10", *map(str, words)])
        except SystemExit as usage:
            status = int(usage.code or 0)
        captured = capsys.readouterr()
        return status, [json.loads(line) for line in captured.out.splitlines()], captured.err

    return mpps


def test_an_unscheduled_step_begun_and_completed(run: Run, system: InformationSystem, tmp_path: Path) -> None:
    status, (begun,), errors = run("start", "--patient-id", "P1", "--patient-name", "Doe^Jane", "--sex", "F")
    assert (status, errors, begun["step_status"]) == (0, "", "IN PROGRESS")
    uid = begun["sop_instance_uid"]
    step = system.performed[uid]
    assert (step.PatientID, step.PatientName, step.PatientSex) == ("P1", "Doe^Jane", "F")
    assert step.ScheduledStepAttributesSequence[0].StudyInstanceUID == begun["study_instance_uid"]
    assert step.PerformedProcedureStepID == begun["performed_procedure_step_id"]
    files = []
    for number, (_, data) in enumerate(pictures(SCHEDULED_STEP)):
        files.append(tmp_path / f"{number}.dcm")
        files[-1].write_bytes(data)
    status, (ended,), _ = run("complete", "--uid", uid, "--files", *files, "--operator", "Op^Otto")
    assert (status, ended["operation"], ended["step_status"], ended["status"]) == (0, "N-SET", "COMPLETED", "0000")
    assert [len(item.ReferencedImageSequence) for item in system.performed[uid].PerformedSeriesSequence] == [1, 1]
    assert {str(item.OperatorsName) for item in system.performed[uid].PerformedSeriesSequence} == {"Op^Otto"}


def test_an_order_by_hand(run: Run, system: InformationSystem) -> None:
    order = ["--accession", "A7", "--scheduled-step-id", "S7", "--study-uid", "1.2.7", "--step-id", "MY 7"]
    status, (begun,), _ = run("start", "--patient-id", "P7", *order)
    step = system.performed[begun["sop_instance_uid"]]
    (item,) = step.ScheduledStepAttributesSequence
    assert (item.AccessionNumber, item.ScheduledProcedureStepID, item.StudyInstanceUID) == ("A7", "S7", "1.2.7")
    assert (status, step.PerformedProcedureStepID) == (0, "MY 7")


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_worklist_items_as_the_worklist_verb_prints_them(
    run: Run, system: InformationSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    lines = "".join(msgspec.json.encode(asdict(item)).decode() + "\n" for item in (ITEM, OTHER_ITEM))
    (tmp_path / "items.json").write_text(lines)
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    status, (begun,), _ = run("start", "--worklist-item", tmp_path / "items.json" if source == "file" else "-")
    step = system.performed[begun["sop_instance_uid"]]
    assert (status, begun["study_instance_uid"]) == (0, ITEM.study_instance_uid)
    assert [item.AccessionNumber for item in step.ScheduledStepAttributesSequence] == ["ACC-1", "ACC-2"]
    assert step.PatientID == "P-001"


def test_discontinued_with_a_reason(run: Run, system: InformationSystem) -> None:
    run("start", "--patient-id", "P1", "--uid", "2.25.900")
    status, (ended,), _ = run("discontinue", "--uid", "2.25.900", "--reason", "110514", "--series-uid", "1.2.3")
    step = system.performed["2.25.900"]
    assert (status, ended["step_status"]) == (0, "DISCONTINUED")
    assert step.PerformedProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110514"
    assert step.PerformedSeriesSequence[0].SeriesInstanceUID == "1.2.3"


def test_what_the_peer_refuses_is_one_line(run: Run) -> None:
    status, (row,), errors = run("complete", "--uid", "2.25.901")
    assert (status, row["status"], row["category"]) == (1, "0112", "permanent")
    assert errors.count("\n") == 1 and "0112H no such SOP instance" in errors and "not known there" in errors
    run("start", "--uid", "2.25.902")
    run("complete", "--uid", "2.25.902")
    status, _, errors = run("complete", "--uid", "2.25.902")
    assert status == 1 and "may no longer be updated" in errors
    status, _, errors = run("start", "--uid", "2.25.902")
    assert status == 1 and "another step has this UID" in errors


def test_a_warning_is_done_and_shown(run: Run, system: InformationSystem) -> None:
    system.answers.append(0x0116)
    status, (row,), errors = run("start")
    assert (status, row["category"], row["status"], errors) == (0, "warning", "0116", "")
    assert "out of range" in row["reason"]


def test_a_lost_answer_says_what_is_not_known_and_under_which_uid(run: Run, system: InformationSystem) -> None:
    system.answers.append(LOSE_ANSWER)
    status, (row,), errors = run("start")
    assert (status, row["status"], row["category"]) == (1, None, "uncertain")
    assert f"ask again with --uid {row['sop_instance_uid']}" in errors and errors.count("\n") == 1


def test_a_peer_that_says_nothing_is_one_line(run: Run, system: InformationSystem) -> None:
    system.answers.append(HANG)
    status, (row,), errors = run("start", "--timeout", "0.2")
    system.released.set()
    assert (status, row["category"]) == (1, "uncertain")
    assert "no N-CREATE-RSP within 0.2 s" in errors or "within 0.2 s" in errors


def test_a_peer_that_is_not_there_has_done_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mpps", "RIS@127.0.0.1:1", "start", "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert "cannot connect" in captured.err and "not known" not in captured.err


WRONG = [
    (["complete"], "complete needs --uid"),
    (["discontinue", "--uid", "1.2", "--reason", "because"], "'because' is not one of doctor-cancelled"),
    (["complete", "--uid", "1.2", "--reason", "died"], "--reason is for discontinue"),
    (["start", "--files", "x.dcm"], "--files is for the end of a step"),
    (["start", "--uid", "1.02"], "'1.02' is not a UID"),
    (["start", "--uid", "1." + "2" * 64], "is not a UID"),
    (["start", "--step-id", "x" * 17], "1 to 16 characters"),
    (["start", "--birth-date", "19991301"], "--birth-date: '19991301' is not"),
    (["start", "--accession", "A" * 17], "--accession: "),
    (["start", "--operator", "a\\b"], "--operator: "),
    (["complete", "--uid", "1.2", "--patient-id", "P"], "complete: --patient-id is for start"),
    (["discontinue", "--uid", "1.2", "--study-uid", "1.2"], "discontinue: --study-uid is for start"),
    (["start", "--patient-id", "\\"], "--patient-id"),
    (["start", "--worklist-item", "/nowhere"], "--worklist-item /nowhere"),
    (["pause"], "invalid choice: 'pause'"),
]


@pytest.mark.parametrize(("words", "explanation"), WRONG)
def test_wrong_usage_is_explained(run: Run, words: list[str], explanation: str) -> None:
    status, rows, errors = run(*words)
    assert (status, rows) == (2, [])
    assert explanation in errors and errors.count("\n") == 1


def test_a_file_that_was_not_made_in_a_step_is_named_and_nothing_is_sent(
    run: Run, system: InformationSystem, tmp_path: Path
) -> None:
    (_, whole), *_ = pictures(SCHEDULED_STEP)
    for octets, reason in (
        (None, "No such file or directory"),
        (b"text", "no DICM prefix: not a DICOM file"),
        (whole[: whole.index(b"\x08\x00\x20\x00")], "does not say of which series it is"),
    ):
        file = tmp_path / "made.dcm"
        if octets is not None:
            file.write_bytes(octets)
        status, rows, errors = run("complete", "--uid", "2.25.903", "--files", file)
        assert (status, rows, errors) == (1, [], f"specular mpps: {file}: {reason}\n")


def test_worklist_items_that_are_none_or_of_two_patients(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "items.json"
    other = replace(OTHER_ITEM, patient=replace(OTHER_ITEM.patient, patient_id="P-9"))
    for text, explanation in (
        ("", "holds no worklist item"),
        ('{"patient": 5}\n', "line 1 is no worklist item"),
        ("\n".join(msgspec.json.encode(item).decode() for item in (ITEM, other)), "the patient IDs differ"),
    ):
        path.write_text(text)
        status, _, errors = run("start", "--worklist-item", path)
        assert status == 2 and explanation in errors and errors.count("\n") == 1
    path.write_bytes(msgspec.json.encode(ITEM))
    status, _, errors = run("start", "--worklist-item", path, "--accession", "A1")
    assert status == 2 and "already says what was ordered" in errors
    status, _, errors = run("start", "--worklist-item", path, "--patient-id", "P1")
    assert status == 2 and "already says who the patient is" in errors


def test_a_profile_without_the_service_says_so(
    tmp_path: Path, system: InformationSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration = tmp_path / "sp-1p.toml"
    configuration.write_text('profile = "sp-1p"\n[network]\ninterface = "lo"\n')
    status = main(["mpps", f"RIS@127.0.0.1:{system.port}", "start", "--config", str(configuration)])
    assert status == 2
    assert "the profile sp-1p declares no service mpps" in capsys.readouterr().err
