"""Text by its Specific Character Set: the standard's own examples, and what to do where the declaration is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_app.dicom.charset import CODECS, TextDecoder, repertoire_number

ESC = b"\x1b"
# PS3.5 annexes H, I, J and K: Specific Character Set, octets, text.
EXAMPLES = {
    "H.3.1": (
        ("", "ISO 2022 IR 87"),
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    "H.3.2": (
        ("ISO 2022 IR 13", "ISO 2022 IR 87"),
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    "I.2": (
        ("", "ISO 2022 IR 149"),
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    "J.1": (
        ("ISO_IR 192",),
        b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1=",
        "Wang^XiaoDong=王^小東=",
    ),
    "J.3": (("GB18030",), b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="),
    "K.2": (
        ("", "ISO 2022 IR 58"),
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        "Zhang^XiaoDong=张^小东=",
    ),
    "Greek": (("ISO_IR 126",), "Διονυσιος".encode("iso8859_7"), "Διονυσιος"),
    "Russian": (("ISO_IR 144",), "Люкceмбypг".encode("iso8859_5"), "Люкceмбypг"),
    "Turkish": (("ISO_IR 148",), "Çavuşoğlu".encode("iso8859_9"), "Çavuşoğlu"),
    "Thai": (("ISO_IR 166",), "นามสกุล".encode("tis_620"), "นามสกุล"),
    "two alphabets": (
        ("ISO 2022 IR 100", "ISO 2022 IR 144"),
        b"J\xe9r\xf4me=\x1b-L" + "Люк".encode("iso8859_5"),
        "Jérôme=Люк",
    ),
    "first value named": (("ISO 2022 IR 6", "ISO 2022 IR 87"), b"\x1b$B;3ED\x1b(B", "山田"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_the_standard(name: str) -> None:
    terms, octets, text = EXAMPLES[name]
    assert TextDecoder(terms).decode(octets, person_name=True) == (text, None)


@pytest.mark.parametrize(
    ("terms", "octets", "text", "problem"),
    [
        ((), "Jérôme".encode(), "Jérôme", "does not fit its character set (absent), read as utf_8"),
        ((), "Jérôme".encode("latin-1"), "Jérôme", "does not fit its character set (absent), read as iso8859_1"),
        (("ISO_IR 192",), b"J\xe9", "Jé", "does not fit its character set (ISO_IR 192), read as iso8859_1"),
        (("ISO_IR 13",), b"\x81\x40\xff", "\x81@ÿ", "does not fit its character set (ISO_IR 13), read as iso8859_1"),
        ((), b"\x1b$B;3ED\x1b(B", "山田", "uses ISO 2022 IR 87 without declaring it"),
        (("ISO_IR 100",), b"\x1b-L\xbb", "Л", "uses ISO 2022 IR 144 without declaring it"),
        ((), b"\x1b$B\xff\xff", "\x1b$Bÿÿ", "does not fit its character set (absent), read as iso8859_1"),
        ((), b"A\x1b", "A\x1b", "does not fit its character set (absent), read as utf_8"),
        ((), b"A\x1b(Z", "A\x1b(Z", "does not fit its character set (absent), read as utf_8"),
    ],
)
def test_what_does_not_fit_is_read_by_a_fallback_and_said(
    terms: tuple[str, ...], octets: bytes, text: str, problem: str
) -> None:
    assert TextDecoder(terms).decode(octets) == (text, problem)


def test_the_fallback_is_configurable() -> None:
    octets = "山田".encode("gbk")
    assert TextDecoder((), ("GB18030",)).decode(octets).text == "山田"
    assert TextDecoder((), ("ISO_IR 192",)).decode(b"\xff").text == "ÿ"  # Latin-1 ends every chain


def test_an_unknown_character_set_is_a_problem_even_of_ascii_text() -> None:
    decoder = TextDecoder(("KLINGON",))
    assert decoder.problem == "unknown Specific Character Set 'KLINGON'"
    assert decoder.decode(b"plain") == ("plain", None)


def test_a_delimiter_ends_what_was_designated_for_senders_that_forget_it() -> None:
    """EUC-KR behind `^` without a new escape sequence is still Korean, not Latin."""
    terms = ("", "ISO 2022 IR 149")
    octets = b"Hong^Gildong=\x1b$)C\xfb\xf3^\xd1\xce\xd4\xd7"
    assert TextDecoder(terms).decode(octets, person_name=True).text == "Hong^Gildong=洪^吉洞"
    latin = (("ISO 2022 IR 100", "ISO 2022 IR 144"), b"\x1b-L\xbb^\xe9")
    assert TextDecoder(latin[0]).decode(latin[1], person_name=True).text == "Л^é"


def test_a_line_end_ends_what_was_designated_for_senders_that_forget_it() -> None:
    kanji = TextDecoder(("", "ISO 2022 IR 87"))
    assert kanji.decode(b"\x1b$B;3ED\r\nabc").text == "山田\r\nabc"
    assert kanji.decode(b"\x1b$B;3 ED\x1b(B").text == "山 田"  # a space ends nothing


@pytest.mark.parametrize("spelling", ["ISO_IR 100", "ISO 2022 IR 100", "ISO-IR 100", "iso_ir_100", "ISO IR 100 "])
def test_misspelled_terms_are_understood(spelling: str) -> None:
    assert repertoire_number(spelling) == "100"


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from([*CODECS, "87", "149", "58", "159", "?"]).map("ISO 2022 IR {}".format), max_size=3),
    st.lists(st.binary(max_size=12) | st.sampled_from([ESC, b"\x1b$B", b"\x1b(B", b"\x1b$)C", b"^", b"="])).map(
        b"".join
    ),
    st.booleans(),
)
def test_any_octets_are_text_without_replacement_characters(terms: list[str], octets: bytes, name: bool) -> None:
    text, problem = TextDecoder(terms).decode(octets, person_name=name)
    assert "\ufffd" not in text
    if problem and problem.endswith("iso8859_1"):
        assert text.encode("latin-1") == octets  # nothing is lost
