"""The second MPPS acceptor itself: it is what the tests of performed procedure steps believe."""

from __future__ import annotations

import pytest
from dcmjs_acceptor import MppsAcceptor
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from firmware_app.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MODALITY_PERFORMED_PROCEDURE_STEP,
)
from firmware_app.net.association import Association, associate
from firmware_app.net.errors import DimseFailure
from firmware_app.net.node import LocalApplicationEntity
from firmware_app.net.normalized import n_create, n_set
from firmware_app.net.verification import echo

pytestmark = pytest.mark.peer("dcmjs")
MPPS = MODALITY_PERFORMED_PROCEDURE_STEP


def step(status: str) -> Dataset:
    attributes = Dataset()
    attributes.PerformedProcedureStepStatus = status
    attributes.PatientName = "Lindström^Åsa"
    attributes.SpecificCharacterSet = "ISO_IR 192"
    return attributes


async def refused(association: Association, uid: str, *, create: bool, status: str) -> int:
    with pytest.raises(DimseFailure) as caught:
        if create:
            await n_create(association, MPPS, uid, step(status))
        else:
            await n_set(association, MPPS, uid, step(status))
    return caught.value.status


@pytest.mark.parametrize("syntax", [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN])
async def test_it_keeps_the_state_machine_and_tells_what_it_received(
    dcmjs_mpps: MppsAcceptor, local: LocalApplicationEntity, syntax: str
) -> None:
    uid = generate_uid()
    async with associate(dcmjs_mpps.node, local, ((MPPS, (syntax,)),)) as association:
        assert await refused(association, uid, create=False, status="COMPLETED") == 0x0112
        assert await refused(association, uid, create=True, status="COMPLETED") == 0x0106
        assert (await n_create(association, MPPS, uid, step("IN PROGRESS"))).status == 0
        assert await refused(association, uid, create=True, status="IN PROGRESS") == 0x0111
        assert (await n_set(association, MPPS, uid, step("COMPLETED"))).status == 0
        assert await refused(association, uid, create=False, status="COMPLETED") == 0x0110
    requests = dcmjs_mpps.requests(uid)
    assert [(one["operation"], one["status"]) for one in requests] == [
        ("N-SET", "0112"),
        ("N-CREATE", "0106"),
        ("N-CREATE", "0000"),
        ("N-CREATE", "0111"),
        ("N-SET", "0000"),
        ("N-SET", "0110"),
    ]
    assert requests[2]["attributes"]["PerformedProcedureStepStatus"] == "IN PROGRESS"
    assert requests[2]["attributes"]["PatientName"] == [{"Alphabetic": "Lindström^Åsa"}]


async def test_it_answers_an_echo(dcmjs_mpps: MppsAcceptor, local: LocalApplicationEntity) -> None:
    assert (await echo(dcmjs_mpps.node, local)).count == 1
