"""Patients are taken out of whatever leaves, even where they should not have been."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from firmware_app.services.depersonal import REMOVED, Remover, configuration, log_line
from firmware_app.services.service_bundle import BUNDLES_MAX, write_bundle

KNOWN = Remover(["Yamada^Tarou=山田^太郎", "ID-7", "19610203", "García Núñez^José", "A B", "Q1", "x"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no exam for ID-7 here", f"no exam for {REMOVED} here"),
        ("YAMADA^tarou", f"{REMOVED}^{REMOVED}"),
        ("(山田^太郎)", f"({REMOVED}^{REMOVED})"),
        ("born 19610203.", f"born {REMOVED}"),
        ("García Núñez", f"{REMOVED} {REMOVED}"),
        ("of A B only", f"of {REMOVED} only"),
        ("1.2.840.19610203.7 and ID-77 stay", "1.2.840.19610203.7 and ID-77 stay"),
        ("Q1 x a b", "Q1 x a b"),  # too short to name anybody
    ],
)
def test_words(text: str, expected: str) -> None:
    assert KNOWN.text(text) == expected


def test_values_and_keys() -> None:
    assert KNOWN.value({"ID-7": ["Yamada", 3, None, {"a": "ID-7"}]}) == {REMOVED: [REMOVED, 3, None, {"a": REMOVED}]}


def test_lines_of_the_log() -> None:
    ours = json.dumps({"event": "exam.started", "text": "exam 1", "patient": {"name": "Doe^Jane"}})
    assert json.loads(log_line(ours, KNOWN)) == {"event": "exam.started", "text": "exam 1"}
    assert json.loads(log_line("Doe^Jane printed by somebody", KNOWN))["event"] == "log.foreign"
    assert json.loads(log_line('"Doe^Jane"', KNOWN))["event"] == "log.foreign"
    where = '  File "/opt/specular/a.py", line 3 in reads'
    assert log_line(where, KNOWN) == where


def test_configuration() -> None:
    given = {"instrument": {"operator": "Op^Otto", "port": 104, "tls": {"key": "/k.pem"}}, "list": [{"secret": "s"}]}
    kept = configuration(given)
    assert kept == {
        "instrument": {"operator": REMOVED, "port": 104, "tls": {"key": "/k.pem"}},
        "list": [{"secret": REMOVED}],
    }


def test_a_bundle_lists_what_is_in_it_and_few_are_kept(tmp_path: Path) -> None:
    parts = {"health.json": {"text": "of ID-7"}, "service.jsonl": ['{"event": "a", "text": "Yamada"}', "free text"]}
    for number in range(BUNDLES_MAX + 3):
        path = tmp_path / f"specular-service-2026030{number}-090000.tar.gz"
        write_bundle(path, parts, KNOWN, {"journal.jsonl": "no journal for ID-7"}, "2026-03-01T09:00:00+01:00")
    assert len(list(tmp_path.iterdir())) == BUNDLES_MAX
    with tarfile.open(path) as archive:
        inside = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive.getmembers()}
        octets = {name: file.read() for name, file in inside.items() if file is not None}
    manifest = json.loads(octets.pop("manifest.json"))
    assert manifest["missing"] == {"journal.jsonl": f"no journal for {REMOVED}"}
    assert {each["name"]: each["sha256"] for each in manifest["files"]} == {
        name: hashlib.sha256(data).hexdigest() for name, data in octets.items()
    }
    assert b"ID-7" not in b"".join(octets.values())
    assert b"Yamada" not in b"".join(octets.values())
