"""What may be typed on the command line, and what the words become."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from firmware_app.cli import build_parser, main
from firmware_app.config import Config, StorageConfig, TimeoutsConfig, WorklistConfig
from firmware_app.services.network_verbs import BadQuery
from firmware_app.services.peers import BadPeer, find_node
from firmware_app.services.query_rows import date_key

# The table of the command line on the architecture page.
VERBS = {"run", "console", "demo", "sim", "hospital", "analyze", "echo", "worklist", "patients", "store", "commit"}
VERBS |= {"calibrate", "mpps", "print", "object", "panorama", "conformance", "check-config", "selftest", "queue"}
VERBS |= {"device-rules", "device-status", "provision"}

PARSED: list[tuple[str, dict[str, Any]]] = [
    ("run", {"verb": "run", "config": None}),
    ("run --config a.toml", {"config": Path("a.toml")}),
    ("--config a.toml run", {"config": Path("a.toml")}),
    ("console", {"command": None, "json": False}),
    ("console --json -c status", {"command": "status", "json": True}),
    ("--json console -c status", {"command": "status", "json": True}),
    ("demo", {"out": None, "seed": 1, "keep": False}),
    ("demo --out d --seed 7 --keep", {"out": Path("d"), "seed": 7, "keep": True}),
    ("analyze a.png b.png", {"images": [Path("a.png"), Path("b.png")], "um_per_px": None, "labels": None}),
    ("analyze a.png --um-per-px 0.85 --labels l --overlay o --json", {"um_per_px": 0.85, "labels": Path("l")}),
    ("analyze folder", {"jobs": 1, "resume": None, "csv": None, "scheduler": None}),
    ("analyze a --jobs 4 --csv t.csv --resume r.jsonl", {"jobs": 4, "csv": Path("t.csv"), "resume": Path("r.jsonl")}),
    ("analyze a --scheduler tcp://h:8786", {"scheduler": "tcp://h:8786"}),
    ("analyze a --scheduler [::1]:8786", {"scheduler": "[::1]:8786"}),
    (
        "panorama a.png b.png -o c.png --um-per-px 0.85",
        {"images": [Path("a.png"), Path("b.png")], "out": Path("c.png")},
    ),
    ("echo A@127.0.0.1:104", {"node": "A@127.0.0.1:104", "count": 1, "timeout": None, "calling": None}),
    ("echo A@h:1 --timeout 3 --count 5 --calling ME", {"timeout": 3.0, "count": 5, "calling": "ME"}),
    ("worklist ris --date today --name 'Yam*'", {"date": "today", "name": "'Yam*'", "station": None}),
    ("store pacs a.dcm b.dcm --json", {"node": "pacs", "files": [Path("a.dcm"), Path("b.dcm")], "json": True}),
    ("check-config a.toml", {"file": Path("a.toml")}),
]

WRONG = [
    ("", "the following arguments are required: VERB"),
    ("fly", "invalid choice: 'fly'"),
    ("analyze", "required: IMAGE"),
    ("analyze a.png --um-per-px 0", "'0' is not um per pixel above 0"),
    ("analyze a.png --um-per-px nan", "'nan' is not um per pixel"),
    ("analyze a.png --jobs 0", "'0' is not a whole number from 1"),
    ("analyze a.png --jobs 257", "'257' is more than 256 processes"),
    ("analyze a.png --jobs many", "'many' is not a whole number"),
    ("analyze a.png --scheduler inproc://x", "'inproc://x' is not an address such as tcp://HOST:8786"),
    ("analyze a.png --scheduler h", "'h' is not an address such as"),
    ("analyze a.png --jobs 2 --scheduler h:1", "not allowed with argument"),
    ("panorama a.png b.png", "required: -o/--out"),
    ("echo", "required: NODE"),
    ("echo A@h:1 --timeout 0", "'0' is not seconds above 0, at most 3600"),
    ("echo A@h:1 --timeout inf", "'inf' is not seconds"),
    ("echo A@h:1 --count 0", "'0' is not a whole number from 1"),
    ("echo A@h:1 --unknown", "unrecognized arguments: --unknown"),
    ("echo A@h:1 \x1b[2J", "unrecognized arguments: \N{REPLACEMENT CHARACTER}[2J"),
    ("mpps A@h:1", "required: ACTION"),
    ("mpps A@h:1 pause", "invalid choice: 'pause' (choose from "),
    ("echo A@h:1 --time 3", "unrecognized arguments: --time 3"),
    ("store pacs", "required: FILE"),
    ("check-config", "required: FILE"),
    ("demo --seed x", "not a whole number"),
    ("queue --limit 0", "'0' is not a whole number from 1"),
]


@pytest.mark.parametrize(("line", "expected"), PARSED)
def test_a_line_is_parsed(line: str, expected: dict[str, Any]) -> None:
    found = vars(build_parser().parse_args(line.split()))
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(("line", "explanation"), WRONG)
def test_wrong_usage_is_exit_status_2(line: str, explanation: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(line.split())
    assert caught.value.code == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert explanation in errors
    verb = line.partition(" ")[0]
    name = f"specular {verb}" if verb in VERBS else "specular"
    assert errors.startswith(f"{name}: ") and errors.endswith(f" (see {name} --help)\n")
    assert errors.count("\n") == 1


def test_the_verbs_are_those_that_exist() -> None:
    (verbs,) = (action.choices for action in build_parser()._actions if action.dest == "verb")
    assert verbs is not None
    assert set(verbs) == VERBS


CONFIG = Config(
    worklist=WorklistConfig(ip_address="10.0.0.2", port=105, ae_title="RIS", timeouts=TimeoutsConfig(connect_s=1.5)),
    storage=StorageConfig(host_name="pacs.clinic.example", port=104, ae_title="PACS"),
)

NODES = [
    ("PACS@127.0.0.1:104", ("node", "127.0.0.1", 104, "PACS")),
    ("A@B@pacs.example.org:11112", ("node", "pacs.example.org", 11112, "A@B")),
    ("MY PACS@10.0.0.1:65535", ("node", "10.0.0.1", 65535, "MY PACS")),
    ("worklist", ("worklist", "10.0.0.2", 105, "RIS")),
    ("storage", ("storage", "pacs.clinic.example", 104, "PACS")),
]

NO_NODES = [
    ("pacs", "neither one of the configured nodes (storage, worklist) nor AET@HOST:PORT"),
    ("patient_query", "neither one of the configured nodes"),
    ("127.0.0.1:104", "nor AET@HOST:PORT"),
    ("PACS@127.0.0.1", "nor AET@HOST:PORT"),
    ("PACS@127.0.0.1:", "the port '' is not a number from 1 to 65535"),
    ("PACS@127.0.0.1:0", "the port '0' is not"),
    ("PACS@127.0.0.1:65536", "the port '65536' is not"),
    ("PACS@127.0.0.1:dicom", "the port 'dicom' is not"),
    ("PACS@127.0.0.1:١٠٤", "the port '١٠٤' is not"),
    ("PACS@:104", "'' is neither a host name nor an IPv4 address"),
    ("PACS@[::1]:104", "'[::1]' is neither a host name nor an IPv4 address"),
    ("PACS@a b:104", "'a b' is neither a host name"),
    ("@127.0.0.1:104", "the AE title '' is not 1 to 16"),
    ("A\\B@127.0.0.1:104", "is not 1 to 16 printable ASCII characters"),
    ("12345678901234567@127.0.0.1:104", "is not 1 to 16"),
    ("眼科@127.0.0.1:104", "is not 1 to 16"),
]


@pytest.mark.parametrize(("word", "expected"), NODES)
def test_a_node_is_a_configured_name_or_an_address(word: str, expected: tuple[str, str, int, str]) -> None:
    node = find_node(word, CONFIG)
    assert (node.name, node.host, node.port, node.ae_title) == expected


@pytest.mark.parametrize(("word", "explanation"), NO_NODES)
def test_what_is_no_node_is_explained(word: str, explanation: str) -> None:
    with pytest.raises(BadPeer) as caught:
        find_node(word, CONFIG)
    assert explanation in str(caught.value)
    assert word in str(caught.value) or repr(word) in str(caught.value)


def test_timeouts_are_the_configured_ones_unless_one_is_given() -> None:
    assert find_node("worklist", CONFIG).timeouts.connect_s == 1.5
    given = find_node("worklist", CONFIG, 3.0).timeouts
    assert {getattr(given, name) for name in given.__slots__} == {3.0}


DATES = [("", ""), ("today", "20240229"), ("20240229", "20240229"), ("20240101-20240131", "20240101-20240131")]
DATES += [("20240101-", "20240101-"), ("-20240131", "-20240131")]


@pytest.mark.parametrize(("word", "key"), DATES)
def test_dates(word: str, key: str) -> None:
    assert date_key(word, date(2024, 2, 29)) == key


@pytest.mark.parametrize(
    "word", ["-", "2024", "2024-01-01", "20240230", "20240101-20231231", "2024010120240102", "yesterday", "20240101\n"]
)
def test_what_is_no_date_is_refused(word: str) -> None:
    with pytest.raises(BadQuery, match="--date"):
        date_key(word, date(2024, 2, 29))


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, firmware_app.cli as cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print({'numpy', 'pydicom', 'trio', 'msgspec', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_ctrl_c_before_the_verb_begins_is_quiet_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("firmware_app.cli.build_parser", interrupted)
    assert main(["echo", "A@h:1"]) == 130
