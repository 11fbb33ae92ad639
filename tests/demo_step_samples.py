"""A performed procedure step as an instrument sends it: everything that PS3.4 table F.7.2-1 asks for."""

from __future__ import annotations

from pydicom.dataset import Dataset

from firmware_app.demo.performed_steps import CREATED_TYPE_2, REQUEST_TYPE_2, SERIES_TYPE_2


def request_item() -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = "1.2.9"
    for keyword in REQUEST_TYPE_2:
        setattr(item, keyword, None)
    return item


def series(*instances: str) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID, item.ProtocolName = "1.2.8", "Specular microscopy"
    for keyword in SERIES_TYPE_2:
        setattr(item, keyword, None)
    item.ReferencedImageSequence = [reference(uid) for uid in instances]
    return item


def reference(uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", uid
    return item


def begun() -> Dataset:
    step = Dataset()
    for keyword in CREATED_TYPE_2:
        setattr(step, keyword, None)
    step.ScheduledStepAttributesSequence = [request_item()]
    step.PerformedProcedureStepID, step.PerformedStationAETitle = "PPS1", "TP_AM_SP1P_001"
    step.PerformedProcedureStepStartDate, step.PerformedProcedureStepStartTime = "20260105", "083000"
    step.PerformedProcedureStepStatus, step.Modality = "IN PROGRESS", "OP"
    step.PerformedProcedureStepDiscontinuationReasonCodeSequence = None
    return step


def ended(status: str = "COMPLETED") -> Dataset:
    step = Dataset()
    step.PerformedProcedureStepStatus = status
    step.PerformedProcedureStepEndDate, step.PerformedProcedureStepEndTime = "20260105", "083500"
    step.PerformedSeriesSequence = [series("1.2.8.1", "1.2.8.2")]
    return step
