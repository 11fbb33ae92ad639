"""Names of both statements' character sets on the page, drawn with the font that a Debian system has for them.

For Korean names in Hangul it has none: fonts-wqy-microhei or fonts-noto-cjk do.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from objects_samples import EQUIPMENT, PATIENT, SCHEDULED
from report_samples import CREATED_AT, reported

from firmware_app.report.page import draw_report
from firmware_app.report.typeface import missing_characters

NAMES = {
    "Japanese": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "half-width": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "simplified Chinese": "Wang^XiaoDong=王^小东",
    "traditional Chinese": "Wang^XiaoDong=王^小東",
    "Cyrillic": "Люкceмбypг",
    "Turkish": "Çavuşoğlu^Ünal",
    "Greek": "Διονυσιος",
}


@pytest.mark.peer("cjk-font")
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_is_drawn_whole(name: str) -> None:
    assert missing_characters(name) == ()


@pytest.mark.peer("cjk-font")
def test_two_names_in_kanji_are_two_pictures() -> None:
    def page(name: str) -> np.ndarray:
        exam = replace(SCHEDULED, patient=replace(PATIENT, name=name))
        return draw_report(exam, [reported()], equipment=EQUIPMENT, created_at=CREATED_AT)

    first, second = page("Yamada^Tarou=山田^太郎"), page("Yamada^Tarou=山田^次郎")
    changed = np.argwhere((first != second).any(axis=2))
    assert 0 < len(changed) < 2000  # one character, not a banner about missing ones
