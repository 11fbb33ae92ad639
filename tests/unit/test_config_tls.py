"""TLS tables: what they allow, and that the reference shows every key with its default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tomli

from firmware_app.config import ListenerTlsConfig, NodeTlsConfig, load_config
from firmware_app.config.reading import _examine
from firmware_app.config.schema import Config
from firmware_app.services.peers import client_tls, find_node, fingerprints, listener_tls

REFERENCE = Path(__file__).resolve().parents[2] / "deploy" / "examples" / "reference.toml"
STORAGE = '[storage]\nip_address = "10.0.0.3"\nport = 2762\nae_title = "PACS"\n'
PIN = "ab" * 32


def read(tmp_path: Path, text: str) -> tuple[Config, list[str]]:
    path = tmp_path / "c.toml"
    path.write_text(text)
    config, problems = _examine(path, None)
    return config, [problem.removeprefix(f"{path}: ") for problem in problems]


def test_without_a_table_there_is_no_tls(tmp_path: Path) -> None:
    config, problems = read(tmp_path, STORAGE)
    assert problems == []
    assert find_node("storage", config).tls is None
    assert listener_tls(config.instrument.tls) is None


def test_an_empty_table_is_tls_with_the_files_in_their_usual_place(tmp_path: Path) -> None:
    config, problems = read(tmp_path, STORAGE + "[storage.tls]\n[instrument.tls]\n")
    assert problems == []
    tls = find_node("storage", config, timeout_s=3).tls  # the option changes the waits and nothing else
    assert tls == client_tls(NodeTlsConfig())
    assert tls is not None and tls.certificate == "/etc/specular/tls/certificate.pem" and not tls.pinned_sha256
    own = listener_tls(config.instrument.tls)
    assert own is not None and own.require_client_certificate


def test_a_node_given_by_its_address_has_no_tls(tmp_path: Path) -> None:
    config, _ = read(tmp_path, STORAGE + "[storage.tls]\n")
    assert find_node("PACS@10.0.0.3:2762", config).tls is None


def test_fingerprints_are_taken_as_openssl_prints_them() -> None:
    assert fingerprints([":".join(["AB"] * 32), PIN]) == {PIN}


PROBLEMS = [
    ('[storage.tls]\nverify = "none"', 'storage.tls.verify: "none" is not allowed; allowed: one of "hostname", "'),
    ('[storage.tls]\nverify = "pinned"', 'storage.tls.pinned_sha256: is missing, and storage.tls.verify is "pinned"'),
    (
        f'[worklist.tls]\npinned_sha256 = ["{PIN}"]',
        'worklist.tls.pinned_sha256: is given, but worklist.tls.verify is "hostname": nobody would look at it',
    ),
    (
        f'[instrument.tls]\nrequire_client_certificate = false\npinned_sha256 = ["{PIN}"]',
        "instrument.tls.pinned_sha256: is given, but instrument.tls.require_client_certificate is false",
    ),
    ('[storage.tls]\npinned_sha256 = ["abcd"]', "storage.tls.pinned_sha256: ['abcd'] is not allowed; allowed: at "),
    ('[storage.tls]\nkey = "key.pem"', 'storage.tls.key: "key.pem" is not allowed; allowed: an absolute path'),
    ('[storage.tls]\nserver_name = "-a.b"', 'storage.tls.server_name: "-a.b" is not allowed; allowed: a host name'),
    ('[patient_query.tls]\ncertificat = "/x"', 'patient_query.tls.certificat: unknown key; did you mean "cert'),
    ("[instrument]\ntls = true", "instrument.tls: true is not allowed; allowed: a table, [instrument.tls]"),
]


@pytest.mark.parametrize(("text", "problem"), PROBLEMS)
def test_what_is_refused_and_how_it_is_told(tmp_path: Path, text: str, problem: str) -> None:
    _, problems = read(tmp_path, text)
    assert len(problems) == 1
    assert problems[0].startswith(problem)


@pytest.mark.parametrize(("table", "struct"), [("instrument", ListenerTlsConfig), ("worklist", NodeTlsConfig)])
def test_the_reference_shows_each_tls_key_with_its_default(
    table: str, struct: type[ListenerTlsConfig] | type[NodeTlsConfig]
) -> None:
    """It is commented out there: a table that is there is TLS."""
    assert load_config(REFERENCE).instrument.tls is None
    match = re.search(rf"^# (\[{table}\.tls\].*?)(?=^[^#])", REFERENCE.read_text(), re.DOTALL | re.MULTILINE)
    assert match is not None
    shown = tomli.loads(re.sub(r"(?m)^# ?", "", match[1]))[table]["tls"]
    defaults = struct()
    assert shown == {
        key: list(value) if isinstance(value := getattr(defaults, key), tuple) else value
        for key in defaults.__struct_fields__
    }
