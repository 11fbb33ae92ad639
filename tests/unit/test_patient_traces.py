"""The searcher finds what it is there to find."""

from __future__ import annotations

import base64
import json

import pytest
from patient_traces import ENCODINGS, parts_of, traces

NAMES = ("Lindström", "山田", "Соколова", "SP-1001", "19581114", "ﾔﾏﾀﾞ")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_in_every_character_set(name: str, encoding: str) -> None:
    try:
        octets = name.encode(encoding)
    except UnicodeEncodeError:
        return
    assert traces(b"before " + octets + b" behind", [name])


@pytest.mark.parametrize("name", ("Lindström", "Соколова", "SP-1001", "19581114"))
@pytest.mark.parametrize("before", ("", "x", "xy", "xyz"))
def test_in_base64_wherever_it_begins(name: str, before: str) -> None:
    assert traces(base64.b64encode(f"{before}{name} and more".encode()), [name])


def test_escaped() -> None:
    assert traces(json.dumps({"name": "山田"}).encode(), ["山田"])


def test_nothing_where_nothing_is() -> None:
    assert traces(b"SP-1002 Lindstrom 19581115", ["SP-1001", "Lindström", "19581114"]) == []


def test_parts_of_a_name() -> None:
    assert parts_of("Yamada^Tarou=山田^太郎") == ["Yamada", "Yamada", "Tarou", "Tarou", "山田", "山田", "太郎", "太郎"]
