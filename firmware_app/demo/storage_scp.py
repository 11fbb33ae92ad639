"""Storage (PS3.4 Annex B) of the objects that the instrument makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ComputedRadiographyImageStorage,
    OphthalmicPhotography8BitImageStorage,
    OphthalmicPhotography16BitImageStorage,
    SecondaryCaptureImageStorage,
    VLPhotographicImageStorage,
)

from firmware_app.demo.holdings import Duplicate, Full, Holdings
from firmware_app.demo.scp import WITH_COMPRESSED, Report, Service, association, refusal

SOP_CLASSES = (
    SecondaryCaptureImageStorage,
    ComputedRadiographyImageStorage,
    OphthalmicPhotography8BitImageStorage,
    OphthalmicPhotography16BitImageStorage,
    VLPhotographicImageStorage,
)
# PS3.4 table B.2-1
SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
CANNOT_UNDERSTAND = 0xC000


@dataclass(slots=True)
class StorageFault:
    """What the archive answers instead of storing; 0 = it stores."""

    status: int = SUCCESS


def storage(holdings: Holdings, fault: StorageFault, report: Report) -> Service:
    def on_store(event: evt.Event) -> int | Dataset:
        request = cast(C_STORE, event.request)
        known: dict[str, object] = {
            "sop_class_uid": str(request.AffectedSOPClassUID),
            "sop_instance_uid": str(request.AffectedSOPInstanceUID),
            "transfer_syntax_uid": str(event.context.transfer_syntax),
            **association(event),
        }
        status, comment, stored = _store(event, holdings, fault)
        report("store", status=f"{status:04X}", **known, **stored, **({"reason": comment} if comment else {}))
        return refusal(status, comment) if comment else status

    return Service(dict.fromkeys(SOP_CLASSES, WITH_COMPRESSED), {evt.EVT_C_STORE: on_store})


def _store(event: evt.Event, holdings: Holdings, fault: StorageFault) -> tuple[int, str, dict[str, object]]:
    if fault.status != SUCCESS:
        return fault.status, "refused on request of the operator", {}
    request = cast(C_STORE, event.request)
    part10 = event.encoded_dataset()
    try:
        mismatch = _mismatch(event.dataset, str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID))
        if mismatch:
            return DATA_SET_DOES_NOT_MATCH_SOP_CLASS, mismatch, {}
        instance = holdings.add(str(request.AffectedSOPInstanceUID), part10)
    except Duplicate as error:
        return CANNOT_UNDERSTAND, str(error), {}
    except (Full, OSError) as error:
        return OUT_OF_RESOURCES, str(error), {}
    except (InvalidDicomError, ValueError, KeyError, EOFError) as error:
        return CANNOT_UNDERSTAND, f"not a data set: {error}", {}
    return SUCCESS, "", {"sha256": instance.sha256, "bytes": instance.data_set_bytes, "file": str(instance.path)}


def _mismatch(data_set: Dataset, sop_class_uid: str, sop_instance_uid: str) -> str:
    """PS3.4 B.2.3: what the command says of the instance must be what the data set says of itself."""
    for keyword, announced in (("SOPClassUID", sop_class_uid), ("SOPInstanceUID", sop_instance_uid)):
        if str(data_set.get(keyword, "")) != announced:
            return f"{keyword} of the data set is not {announced}"
    missing = [name for name in ("StudyInstanceUID", "SeriesInstanceUID") if not data_set.get(name)]
    return f"no {missing[0]}" if missing else ""
