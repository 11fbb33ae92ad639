"""Why a performed procedure step was discontinued: PS3.16 CID 9301, each with a word that can be typed."""

from __future__ import annotations

from firmware_app.model import Code

REASONS: dict[str, Code] = {
    "doctor-cancelled": Code("110500", "DCM", "Doctor canceled procedure"),
    "equipment-failure": Code("110501", "DCM", "Equipment failure"),
    "wrong-procedure": Code("110502", "DCM", "Incorrect procedure ordered"),
    "allergic": Code("110503", "DCM", "Patient allergic to media/contrast"),
    "died": Code("110504", "DCM", "Patient died"),
    "refused": Code("110505", "DCM", "Patient refused to continue procedure"),
    "taken-away": Code("110506", "DCM", "Patient taken for treatment or surgery"),
    "did-not-arrive": Code("110507", "DCM", "Patient did not arrive"),
    "pregnant": Code("110508", "DCM", "Patient pregnant"),
    "charging": Code("110509", "DCM", "Change of procedure for correct charging"),
    "duplicate-order": Code("110510", "DCM", "Duplicate order"),
    "nursing-unit": Code("110511", "DCM", "Nursing unit cancel"),
    "wrong-side": Code("110512", "DCM", "Incorrect side ordered"),
    "unspecified": Code("110513", "DCM", "Discontinued for unspecified reason"),
    "wrong-patient": Code("110514", "DCM", "Incorrect worklist entry selected"),
    "patient-condition": Code("110515", "DCM", "Patient condition prevented continuing"),
    "equipment-change": Code("110516", "DCM", "Equipment change"),
}
UNSPECIFIED = REASONS["unspecified"]


def discontinuation_reason(word: str) -> Code:
    """The reason by its word or its code value. ValueError says which there are."""
    wanted = word.strip().lower()
    for name, code in REASONS.items():
        if wanted in (name, code.value):
            return code
    known = ", ".join(f"{name} ({code.value})" for name, code in REASONS.items())
    raise ValueError(f"one of {known}")
