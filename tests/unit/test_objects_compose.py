"""Attribute tables and facts -> data set: the rules of types, sequences and constants, on tables of the test's own."""

from __future__ import annotations

from typing import Any

import pytest

from firmware_app.objects.compose import Composer, compose
from firmware_app.objects.errors import ObjectError
from firmware_app.profiles import load_profile
from firmware_app.profiles.profile import Attribute, Module, ObjectDefinition

CODES = (
    Attribute("ProcedureCodeSequence", "3", "study.procedure_codes"),
    Attribute("ProcedureCodeSequence.CodeValue", "1", "code.value"),
    Attribute("ProcedureCodeSequence.CodingSchemeDesignator", "1", "code.scheme"),
    Attribute("ProcedureCodeSequence.CodeMeaning", "1", "code.meaning"),
)


def code(value: str, scheme: str = "99TEST", meaning: str = "something") -> dict[str, object]:
    return {"code.value": value, "code.scheme": scheme, "code.meaning": meaning}


def composed(rows: tuple[Attribute, ...], **facts: Any) -> Any:
    module = Module("of the test", rows)  # checks the sources
    named = {key.replace("__", "."): value for key, value in facts.items()}
    return Composer("SC", ("ISO_IR 6",)).compose(module.attributes, named)


def test_every_valid_item_of_a_sequence_is_kept_in_order() -> None:
    dataset = composed(CODES, study__procedure_codes=[code("A"), code("B"), code("C")])
    assert [item.CodeValue for item in dataset.ProcedureCodeSequence] == ["A", "B", "C"]


def test_an_item_without_a_required_value_is_left_out_and_said_among_valid_ones() -> None:
    composer = Composer("SC", ("ISO_IR 6",))
    items = [code("A"), code(""), code("B"), code("C", scheme=""), code("D")]
    dataset = composer.compose(CODES, {"study.procedure_codes": items})
    assert [item.CodeValue for item in dataset.ProcedureCodeSequence] == ["A", "B", "D"]
    assert composer.problems == [
        "ProcedureCodeSequence: an item without ProcedureCodeSequence.CodeValue was left out",
        "ProcedureCodeSequence: an item without ProcedureCodeSequence.CodingSchemeDesignator was left out",
    ]


def test_items_inside_items_stay_where_they_belong() -> None:
    rows = (
        Attribute("RequestAttributesSequence", "3", "series.requests"),
        Attribute("RequestAttributesSequence.ScheduledProcedureStepID", "1C", "request.scheduled_procedure_step_id"),
        Attribute("RequestAttributesSequence.ScheduledProtocolCodeSequence", "3", "request.scheduled_protocol_codes"),
        *(
            Attribute(f"RequestAttributesSequence.ScheduledProtocolCodeSequence.{keyword}", "1", source)
            for keyword, source in (
                ("CodeValue", "code.value"),
                ("CodingSchemeDesignator", "code.scheme"),
                ("CodeMeaning", "code.meaning"),
            )
        ),
    )
    requests = [
        {"request.scheduled_procedure_step_id": "S1", "request.scheduled_protocol_codes": [code("A"), code("B")]},
        {"request.scheduled_procedure_step_id": "S2", "request.scheduled_protocol_codes": [code("C")]},
    ]
    found = [
        (item.ScheduledProcedureStepID, [each.CodeValue for each in item.ScheduledProtocolCodeSequence])
        for item in composed(rows, series__requests=requests).RequestAttributesSequence
    ]
    assert found == [("S1", ["A", "B"]), ("S2", ["C"])]


@pytest.mark.parametrize(
    ("kind", "source", "there"),
    [
        ("1C", "none", False),
        ("2", "none", True),
        ("2C", "none", False),
        ("2C", "empty", True),
        ("3", "none", False),
        ("3", "empty", False),
    ],
)
def test_what_is_listed_and_not_set(kind: Any, source: str, there: bool) -> None:
    dataset = composed((Attribute("StationName", kind, source),))
    assert ("StationName" in dataset) == there
    assert not there or dataset["StationName"].is_empty


def test_a_sequence_that_is_not_set_has_no_item_and_may_have_rows_that_say_so() -> None:
    rows = (
        Attribute("ReferencedPatientSequence", "2", "none.items"),
        Attribute("ReferencedPatientSequence.ReferencedSOPClassUID", "1C", "none"),
    )
    assert len(composed(rows).ReferencedPatientSequence) == 0


def test_fixed_items_and_values_are_data_of_the_profile() -> None:
    rows = (
        Attribute("AnatomicRegionSequence", "1", "fixed.item"),
        Attribute("AnatomicRegionSequence.CodeValue", "1", value="28726007"),
        Attribute("AnatomicRegionSequence.AnatomicRegionModifierSequence", "3", "fixed.item"),
        Attribute("AnatomicRegionSequence.AnatomicRegionModifierSequence.CodeValue", "1", value="24028007"),
        Attribute("SamplesPerPixel", "1", value="1"),
        Attribute("FrameIncrementPointer", "1", value="AcquisitionDateTime"),
        Attribute("PixelAspectRatio", "1C", value="1\\1"),
    )
    dataset = composed(rows)
    (region,) = dataset.AnatomicRegionSequence
    assert region.CodeValue == "28726007"
    assert region.AnatomicRegionModifierSequence[0].CodeValue == "24028007"
    assert dataset.SamplesPerPixel == 1
    assert dataset.FrameIncrementPointer == 0x0008002A
    assert list(dataset.PixelAspectRatio) == [1, 1]


def test_a_row_for_other_settings_is_not_sent() -> None:
    rows = (Attribute("StationName", "2", "equipment.station_name", settings=("OP",)),)
    assert "StationName" not in Composer("SC", ()).compose(rows, {})
    assert "StationName" in Composer("OP", ()).compose(rows, {})


def test_a_missing_required_attribute_stops_the_object_and_is_named() -> None:
    profile = load_profile()
    definition = ObjectDefinition("Thing", "1.2.3", profile.iod["secondary_capture"].modules)
    with pytest.raises(ObjectError, match="Thing: no value for StudyInstanceUID, which is required"):
        compose(definition, profile, "SC", {}, ("ISO_IR 6",))
