"""Moments as DICOM writes them: DA, TM and DT (PS3.5 table 6.2-1)."""

from __future__ import annotations

from datetime import datetime

from firmware_app.objects.errors import ObjectError


def parse_time(text: str, what: str) -> datetime:
    """An ISO 8601 time with offset. Raises ObjectError that says `what` it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ObjectError(f"{what} is {text!r}, which is not ISO 8601") from None
    if moment.tzinfo is None:
        raise ObjectError(f"{what} is {text!r}, which has no UTC offset")
    return moment


def dicom_date(moment: datetime) -> str:
    return moment.strftime("%Y%m%d")


def dicom_time(moment: datetime) -> str:
    return moment.strftime("%H%M%S.%f")


def dicom_datetime(moment: datetime) -> str:
    return moment.strftime("%Y%m%d%H%M%S.%f%z")[:26]
