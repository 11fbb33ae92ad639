"""Text into octets: the examples of PS3.5 to the octet, every character of each set, and what cannot be written."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dicom_charset import EXAMPLES

from firmware_app.dicom.charset import TextDecoder
from firmware_app.dicom.text_encoder import TextEncoder, Unencodable

KANJI = ("", "ISO 2022 IR 87")
HALF_WIDTH = ("ISO 2022 IR 13", "ISO 2022 IR 87")
KOREAN = ("", "ISO 2022 IR 149")
CHINESE = ("", "ISO 2022 IR 58")
THREE = ("ISO 2022 IR 100", "ISO 2022 IR 144", "ISO 2022 IR 87")


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_the_standard_to_the_octet(name: str) -> None:
    terms, octets, text = EXAMPLES[name]
    assert TextEncoder(terms).encode(text, person_name=True) == octets


@pytest.mark.parametrize(
    ("terms", "text", "octets"),
    [
        (CHINESE, "1. 中文.\r\n2. 中文", b"1. \x1b$)A\xd6\xd0\xce\xc4.\r\n2. \x1b$)A\xd6\xd0\xce\xc4"),  # PS3.5 K.3
        (KANJI, "山田 a 太", b"\x1b$B;3ED\x1b(B a \x1b$BB@\x1b(B"),
        (KANJI, "a=山^田", b"a=\x1b$B;3\x1b(B^\x1b$BED\x1b(B"),
        (HALF_WIDTH, "ﾔ山ﾔ", b"\xd4\x1b$B;3\x1b(J\xd4"),
        (("ISO 2022 IR 6", "ISO 2022 IR 87", "ISO 2022 IR 159"), "山丂", b"\x1b$B;3\x1b$(D0!\x1b(B"),
        (THREE, "éЖ山é", b"\xe9\x1b-L\xb6\x1b$B;3\x1b(B\x1b-A\xe9"),
        (("ISO_IR 203",), "Œ€", b"\xbc\xa4"),
        (("GBK",), "兀", "兀".encode("gbk")),
        ((), "Doe", b"Doe"),
    ],
)
def test_where_sequences_stand(terms: tuple[str, ...], text: str, octets: bytes) -> None:
    assert TextEncoder(terms).encode(text) == octets
    assert TextDecoder(terms).decode(octets) == (text, None)


@pytest.mark.parametrize(
    ("terms", "text", "character"),
    [
        ((), "é", "00E9"),
        (("ISO_IR 100",), "Ł", "0141"),
        (KANJI, "髙", "9AD9"),  # NEC's extension, not JIS X 0208
        (KANJI, "ﾔ", "FF94"),
        (KANJI, "丂", "4E02"),  # JIS X 0212
        (HALF_WIDTH, "a~", "007E"),
        (HALF_WIDTH, "a\\", "005C"),
        (HALF_WIDTH, "¥", "00A5"),
        (KOREAN, "똠", "B620"),  # Python would compose it of eight octets
        (CHINESE, "東", "6771"),
        (("GBK",), "한", "D55C"),
    ],
)
def test_a_character_that_no_declared_set_has_is_refused_by_name(
    terms: tuple[str, ...], text: str, character: str
) -> None:
    with pytest.raises(Unencodable, match=rf"^U\+{character} is not in "):
        TextEncoder(terms).encode(text)
    assert not TextEncoder(terms).holds(text)


@pytest.mark.parametrize("terms", [("KLINGON",), ("", "KLINGON"), ("ISO 2022 IR 87",)])
def test_an_unknown_set_holds_nothing(terms: tuple[str, ...]) -> None:
    encoder = TextEncoder(terms)
    assert not encoder.known and not encoder.holds("a")
    with pytest.raises(Unencodable, match="unknown Specific Character Set"):
        encoder.encode("a")


SETS = {
    "JIS X 0208": (KANJI, b"\x1b$B", b"\x1b(B", 0, 6879),
    "JIS X 0212": (("", "ISO 2022 IR 159"), b"\x1b$(D", b"\x1b(B", 0, 6066),
    "KS X 1001": (KOREAN, b"\x1b$)C", b"", 0x80, 8225),
    "GB 2312": (CHINESE, b"\x1b$)A", b"", 0x80, 7445),
}


@pytest.mark.parametrize("name", SETS)
def test_every_character_of_a_set_comes_back_as_its_octets(name: str) -> None:
    terms, escape, leave, high_bit, count = SETS[name]
    decoder, encoder = TextDecoder(terms), TextEncoder(terms)
    found = 0
    for first, second in product(range(0x21, 0x7F), repeat=2):
        octets = escape + bytes([first | high_bit, second | high_bit]) + leave
        text, problem = decoder.decode(octets, person_name=True)
        if problem or text.isascii():  # Python reads 2237H of JIS X 0212 as the tilde of ASCII
            continue
        found += 1
        assert encoder.encode(text, person_name=True) == octets
    assert found == count


def test_what_came_in_another_spelling_goes_out_in_it() -> None:
    """A needless return to ASCII behind Hangul (seen from real systems) is not ours to change."""
    octets = b"\x1b$)C\xb1\xe8\xc8\xf1\x1b(B"
    text = TextDecoder(KOREAN).decode(octets, person_name=True).text
    assert TextEncoder(KOREAN).encode(text, person_name=True) == b"\x1b$)C\xb1\xe8\xc8\xf1"
    assert TextEncoder(KOREAN, {text: octets}).encode(text, person_name=True) == octets
    assert TextEncoder(KOREAN, {text: b"Hong"}).encode(text, person_name=True) == b"\x1b$)C\xb1\xe8\xc8\xf1"
    assert TextEncoder(("ISO_IR 192",), {text: octets}).encode(text) == text.encode()
    assert TextEncoder((), {"Doe": b"Doe="}).encode("Doe", person_name=True) == b"Doe="


@pytest.mark.parametrize(
    ("terms", "octets", "values"),
    [
        ((), b"a\\b", [b"a", b"b"]),
        ((), b"\\", [b"", b""]),
        (("ISO_IR 13",), b"\xb1\\\xb2", [b"\xb1", b"\xb2"]),  # 5CH is shown as yen there, and separates all the same
        (("GBK",), "兀\\乗".encode("gbk"), ["兀".encode("gbk"), "乗".encode("gbk")]),
        (("GBK",), b"\x81\x5c", [b"\x81\x5c"]),
        (("GB18030",), b"\x81\x5c\\\x81\x30\x81\x30", [b"\x81\x5c", b"\x81\x30\x81\x30"]),
        (("ISO_IR 192",), "é\\山".encode(), ["é".encode(), "山".encode()]),
        (KANJI, b"\x1b$B!\\\\!\x1b(B\\a", [b"\x1b$B!\\\\!\x1b(B", b"a"]),
        (KOREAN, b"\x1b$)C\xb1\xe8\\b", [b"\x1b$)C\xb1\xe8", b"b"]),
    ],
)
def test_a_backslash_inside_a_character_separates_nothing(
    terms: tuple[str, ...], octets: bytes, values: list[bytes]
) -> None:
    assert TextDecoder(terms).values(octets) == values


LETTERS = st.text(st.sampled_from("aZ ^=ÄéŁЖ山田やﾔ한王東丂~€"), max_size=12)
TERMS = st.lists(
    st.sampled_from(["", *(f"ISO 2022 IR {number}" for number in (6, 100, 101, 144, 13, 87, 159, 149, 58, 203))]),
    max_size=3,
) | st.sampled_from([["ISO_IR 192"], ["GB18030"], ["GBK"]])


@settings(max_examples=500, deadline=None, derandomize=True)
@given(TERMS, LETTERS, st.booleans())
def test_what_is_written_is_read_again(terms: list[str], text: str, person_name: bool) -> None:
    try:
        octets = TextEncoder(terms).encode(text, person_name=person_name)
    except Unencodable:
        return
    assert TextDecoder(terms).decode(octets, person_name=person_name) == (text, None)
