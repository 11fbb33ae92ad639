from __future__ import annotations

from dataclasses import replace

import pytest
from objects_samples import EQUIPMENT, PATIENT, SCHEDULED, build, camera, read_back
from pydicom.dataset import Dataset

from firmware_app.dicom.charset import TextDecoder
from firmware_app.net.query import QueryRefused, character_set_for
from firmware_app.objects import charset
from firmware_app.profiles import load_profile

JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
HALF_WIDTH = "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"
CHINESE = "Wang^XiaoDong=王^小东="
KOREAN = "Hong^Gildong=洪^吉洞=홍^길동"

NAMES = [
    (("",), "Doe^Jane"),
    (("ISO_IR 6",), "Doe^Jane"),
    (("ISO_IR 100",), "Buc^Jérôme"),
    (("ISO_IR 101",), "Wałęsa^Łukasz"),
    (("ISO_IR 126",), "Διονυσιος"),
    (("ISO_IR 144",), "Люкceмбypг"),
    (("ISO_IR 148",), "Çavuşoğlu^Işıl"),
    (("ISO_IR 192",), "Wang^XiaoDong=王^小東="),
    (("GB18030",), CHINESE),
    (("GBK",), CHINESE),
    (("", "ISO 2022 IR 87"), JAPANESE),
    (("ISO 2022 IR 6", "ISO 2022 IR 87"), JAPANESE),
    (("ISO 2022 IR 13", "ISO 2022 IR 87"), HALF_WIDTH),
    (("", "ISO 2022 IR 149"), KOREAN),
    (("", "ISO 2022 IR 58"), CHINESE),
]


def named(name: str, terms: tuple[str, ...]) -> Dataset:
    patient = replace(PATIENT, name=name)
    item = SCHEDULED.worklist_item
    assert item is not None
    item = replace(item, patient=patient, specific_character_set=terms, referring_physician=name)
    return read_back(build(camera(), replace(SCHEDULED, patient=patient, worklist_items=(item,))))


@pytest.mark.parametrize(("terms", "name"), NAMES)
def test_a_name_comes_back_in_the_character_set_of_its_worklist_item(terms: tuple[str, ...], name: str) -> None:
    dataset = named(name, terms)
    written = dataset.get("SpecificCharacterSet", "")
    assert (tuple(written) if not isinstance(written, str) else (written,)) == (
        ("",) if charset.is_default(terms) else terms
    )
    for keyword in ("PatientName", "ReferringPhysicianName"):
        octets = dataset.get_item(keyword).value.rstrip(b" ")
        read, problem = TextDecoder(terms).decode(octets, person_name=True)
        assert (read.rstrip("="), problem) == (name.rstrip("="), None)
        if terms != ("", "ISO 2022 IR 58"):  # pydicom leaves these escape sequences in the text
            assert str(dataset[keyword].value).rstrip("=") == name.rstrip("=")


def test_half_width_and_kanji_bytes_are_those_of_the_standard() -> None:
    # PS3.5 H.3.2: ISO 2022 IR 13 then ISO 2022 IR 87.
    raw = named(HALF_WIDTH, ("ISO 2022 IR 13", "ISO 2022 IR 87")).get_item("PatientName").value
    assert raw.rstrip(b" ") == (
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J"
    )


@pytest.mark.parametrize(
    ("terms", "name"),
    [
        (("",), "Buc^Jérôme"),  # undeclared Latin-1
        (("ISO_IR 100",), "Wałęsa"),
        (("ISO_IR 144",), "Müller"),
        (("", "ISO 2022 IR 87"), "Müller=山田"),  # pydicom would write ü undeclared
        (("", "ISO 2022 IR 87"), "Taka=髙﨑"),  # NEC row 13 is not JIS X 0208
        (("ISO 2022 IR 13", "ISO 2022 IR 87"), "Yen ¥ 5"),  # 0x5C there, which readers split at
        (("ISO_IR 999",), "Jérôme"),
    ],
)
def test_a_name_that_its_set_cannot_hold_is_sent_in_utf_8(terms: tuple[str, ...], name: str) -> None:
    dataset = named(name, terms)
    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    assert str(dataset.PatientName).rstrip("=") == name.rstrip("=")


CHOSEN = [
    ("kodakqc", "Müller", ("ISO_IR 100",)),
    ("kodakqc", "Иванов^Пётр", ("ISO_IR 144",)),
    ("kodakqc", "Çavuşoğlu^Işıl", ("ISO_IR 148",)),
    ("kodakqc", "Müller=山田", ("GB18030",)),
    ("kodakqc", "Doe^Jane", ("ISO_IR 6",)),
    ("kodakqc", "Müller Иванов", ("GB18030",)),
    ("sp-1p", "ﾔﾏﾀﾞ", ("ISO_IR 13",)),
    ("sp-1p", "Yamada^Tarou=山田^太郎", ("", "ISO 2022 IR 87")),
    ("sp-1p", "ﾔﾏﾀﾞ=山田", ("ISO 2022 IR 13", "ISO 2022 IR 87")),
    ("sp-1p", "Müller", ("ISO 2022 IR 13", "ISO 2022 IR 87")),  # which cannot hold it: nothing of the profile can
    *(("specular", name, ("ISO_IR 192",)) for name in ("Müller", "Иванов", "山田", "ﾔﾏﾀﾞ", "홍", "Διονυσιος")),
]


@pytest.mark.parametrize(("profile", "name", "terms"), CHOSEN)
def test_what_was_typed_is_written_in_the_first_set_of_the_profile_that_holds_it(
    profile: str, name: str, terms: tuple[str, ...]
) -> None:
    sets = load_profile(profile).character_sets
    assert charset.choose([name, "ASCII"], (), sets.accepted, sets.fallback) == terms


@pytest.mark.parametrize("profile", ["specular", "sp-1p", "kodakqc"])
@pytest.mark.parametrize("name", ["Müller", "Иванов", "Çavuşoğlu", "山田", "ﾔﾏﾀﾞ", "ﾔﾏﾀﾞ=山田", "Müller=山田"])
def test_a_query_is_written_in_the_set_that_an_object_of_the_same_name_has(profile: str, name: str) -> None:
    sets = load_profile(profile).character_sets
    try:
        asked = character_set_for([name], sets)
    except QueryRefused:
        assert not charset.can_hold(name, charset.choose([name], (), sets.accepted, sets.fallback))
        return
    assert asked == charset.choose([name], (), sets.accepted, sets.fallback)


def test_a_tilde_is_not_sent_in_jis_x_0201_where_it_is_an_overline() -> None:
    dataset = named("a~b", ("ISO_IR 13",))
    assert "SpecificCharacterSet" not in dataset
    assert str(dataset.PatientName) == "a~b"


def test_plain_ascii_needs_no_set_even_if_the_item_names_an_unknown_one() -> None:
    assert "SpecificCharacterSet" not in named("Doe^Jane", ("ISO_IR 999",))


def test_the_station_may_need_more_than_the_item_has() -> None:
    dataset = read_back(build(camera(), equipment=replace(EQUIPMENT, institution_name="Clínica Łódź")))
    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    assert dataset.InstitutionName == "Clínica Łódź"


def test_every_accepted_set_is_known_to_the_encoder() -> None:
    profile = load_profile()
    assert [terms for terms in profile.character_sets.accepted if not charset.is_known(terms)] == []
    assert charset.can_hold("髙 é я 王 한", profile.character_sets.fallback)


@pytest.mark.parametrize("terms", load_profile().character_sets.accepted, ids="/".join)
def test_ascii_fits_every_accepted_set(terms: tuple[str, ...]) -> None:
    assert charset.can_hold("Doe^Jane 1950-01-02 /%+", terms)
