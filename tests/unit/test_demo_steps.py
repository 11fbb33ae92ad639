"""The hospital's rules for performed procedure steps: what an information system accepts, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from demo_step_samples import begun, ended, series
from pydicom.dataset import Dataset

from firmware_app.demo.performed_steps import (
    PerformedSteps,
    StepRefused,
    referenced_instances,
    study_instance_uids,
)

UID = "1.2.3"


@pytest.fixture
def steps() -> PerformedSteps:
    made = PerformedSteps()
    made.create(UID, begun())
    return made


def refusal(act: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(StepRefused) as caught:
        act()
    return caught.value.status, str(caught.value)


@pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
def test_a_step_begins_changes_and_ends(steps: PerformedSteps, status: str) -> None:
    between = Dataset()
    between.PerformedSeriesSequence = [series("1.2.8.1")]
    assert referenced_instances(steps.change(UID, between)) == ["1.2.8.1"]
    final = steps.change(UID, ended(status))
    assert final.PerformedProcedureStepStatus == status
    assert referenced_instances(final) == ["1.2.8.1", "1.2.8.2"]
    assert study_instance_uids(final) == ["1.2.9"]
    with pytest.raises(StepRefused, match="may no longer be updated") as caught:
        steps.change(UID, ended(status))
    assert (caught.value.status, caught.value.error_id) == (0x0110, 0xA710)


def test_the_same_step_twice_and_one_that_nobody_began(steps: PerformedSteps) -> None:
    assert refusal(lambda: steps.create(UID, begun()))[0] == 0x0111
    assert refusal(lambda: steps.change("1.2.4", ended()))[0] == 0x0112


@pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED", "DONE"])
def test_a_step_begins_in_progress(status: str) -> None:
    attributes = begun()
    attributes.PerformedProcedureStepStatus = status
    assert refusal(lambda: PerformedSteps().create(UID, attributes))[0] == 0x0106


@pytest.mark.parametrize("keyword", ["PerformedProcedureStepID", "Modality", "PatientName", "PerformedSeriesSequence"])
def test_a_step_without_an_attribute(keyword: str) -> None:
    attributes = begun()
    del attributes[keyword]
    status, comment = refusal(lambda: PerformedSteps().create(UID, attributes))
    assert status == 0x0120
    assert comment.startswith("no ")


@pytest.mark.parametrize("keyword", ["PerformedProcedureStepID", "Modality", "ScheduledStepAttributesSequence"])
def test_a_step_with_an_attribute_that_needs_a_value(keyword: str) -> None:
    attributes = begun()
    setattr(attributes, keyword, [] if keyword.endswith("Sequence") else None)
    assert refusal(lambda: PerformedSteps().create(UID, attributes))[0] == 0x0121


def test_each_request_and_each_series_is_looked_into(steps: PerformedSteps) -> None:
    attributes = begun()
    del attributes.ScheduledStepAttributesSequence[0].AccessionNumber
    assert refusal(lambda: PerformedSteps().create(UID, attributes)) == (0x0120, "no Accession Number")
    final = ended()
    final.PerformedSeriesSequence[0].ProtocolName = None
    assert refusal(lambda: steps.change(UID, final)) == (0x0121, "Protocol Name without a value")


@pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
@pytest.mark.parametrize("keyword", ["PerformedProcedureStepEndDate", "PerformedSeriesSequence"])
def test_a_final_step_is_whole(steps: PerformedSteps, status: str, keyword: str) -> None:
    attributes = ended(status)
    del attributes[keyword]
    assert refusal(lambda: steps.change(UID, attributes))[0] == 0x0121
    assert steps.change(UID, ended(status)).PerformedProcedureStepStatus == status  # nothing of the refused one stuck


def test_what_identifies_the_step_cannot_be_changed(steps: PerformedSteps) -> None:
    attributes = Dataset()
    attributes.PatientName = "Somebody^Else"
    assert refusal(lambda: steps.change(UID, attributes))[0] == 0x0105


def test_only_what_was_created_can_be_set(steps: PerformedSteps) -> None:
    attributes = Dataset()
    attributes.CommentsOnThePerformedProcedureStep = "late"
    assert refusal(lambda: steps.change(UID, attributes))[0] == 0x0105
    allowed = Dataset()
    allowed.SpecificCharacterSet = "ISO_IR 192"
    allowed.PerformedProcedureStepDiscontinuationReasonCodeSequence = []
    steps.change(UID, allowed)
