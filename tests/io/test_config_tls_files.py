"""The files of TLS tables: a bad one is named before the start, with its key and the reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
from tls_material import TlsMaterial, openssl
from trio.testing import MockClock

from firmware_app.certificates.files import expired_files, unusable_files
from firmware_app.certificates.x509 import BadCertificate, read_certificate, read_pem
from firmware_app.config import ConfigError, check_config, load_config
from firmware_app.services.certificates import watch_certificates

pytestmark = pytest.mark.peer("openssl")
CONFIGURATION = """
[instrument.tls]
certificate = "{certificate}"
key = "{key}"
trusted = "{trusted}"
"""


@pytest.fixture
def files(tls_material: TlsMaterial, tmp_path: Path) -> dict[str, Path]:
    """Good ones, for a test to spoil."""
    found = {}
    for name, source in (
        ("certificate", tls_material.us.certificate),
        ("key", tls_material.us.key),
        ("trusted", tls_material.authority.certificate),
    ):
        found[name] = tmp_path / f"{name}.pem"
        found[name].write_bytes(Path(source).read_bytes())
    return found


def problems_of(files: dict[str, Path], folder: Path) -> list[str]:
    path = folder / "specular.toml"
    path.write_text(CONFIGURATION.format(**files))
    return [problem.removeprefix(f"{path}: ") for problem in check_config(path)]


def test_good_files_are_no_problem(files: dict[str, Path], tmp_path: Path) -> None:
    assert problems_of(files, tmp_path) == []


Spoil = Callable[[Path, TlsMaterial], object]
SPOILT: list[tuple[str, Spoil, str]] = [
    ("certificate", lambda file, _: file.unlink(), "cannot be read: No such file or directory"),
    ("key", lambda file, _: file.unlink(), "cannot be read: No such file or directory"),
    ("trusted", lambda file, _: file.unlink(), "cannot be read: No such file or directory"),
    ("key", lambda file, _: (file.unlink(), file.mkdir()), "cannot be read: Is a directory"),
    ("certificate", lambda file, _: file.write_text("hello"), "holds no PEM certificate"),
    ("trusted", lambda file, _: file.write_bytes(b""), "holds no PEM certificate"),
    ("key", lambda file, _: file.write_text("hello"), "holds no PEM private key"),
    ("trusted", lambda file, _: file.write_bytes(b"x" * (1 << 21)), "is longer than 1048576 bytes: not a PEM file"),
    (
        "certificate",
        lambda file, _: file.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        "holds a certificate that cannot be read: not an X.509 certificate:",
    ),
    (
        "certificate",
        lambda file, _: file.write_text("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"),
        "holds a certificate that cannot be read: not base64:",
    ),
    (
        "key",
        lambda file, material: openssl(
            "pkey", "-in", material.us.key, "-aes128", "-passout", "pass:x", "-out", str(file)
        ),
        "is encrypted, and nobody is there to type its passphrase",
    ),
]


@pytest.mark.parametrize(("key", "spoil", "why"), SPOILT, ids=[f"{case[0]} {case[2][:24]}" for case in SPOILT])
def test_a_spoilt_file_is_named(
    files: dict[str, Path], tls_material: TlsMaterial, tmp_path: Path, key: str, spoil: Spoil, why: str
) -> None:
    spoil(files[key], tls_material)
    (problem,) = problems_of(files, tmp_path)
    assert problem.startswith(f"instrument.tls.{key}: {files[key]} {why}")
    with pytest.raises(ConfigError, match=f"instrument.tls.{key}: "):
        load_config(tmp_path / "specular.toml", with_files=True)
    load_config(tmp_path / "specular.toml")  # whoever asks only for the console needs none of them


def test_a_key_of_another_certificate(files: dict[str, Path], tls_material: TlsMaterial, tmp_path: Path) -> None:
    for other in (tls_material.stranger.issue("other"), tls_material.peer):  # of the same kind, of another kind
        files["key"].write_bytes(Path(other.key).read_bytes())
        assert problems_of(files, tmp_path) == [
            f"instrument.tls.key: {files['key']} is not the key of {files['certificate']}"
        ]


def test_a_certificate_that_is_too_weak(files: dict[str, Path], tls_material: TlsMaterial, tmp_path: Path) -> None:
    weak = tls_material.authority.issue("weak", key_kind=("rsa:1024",))
    files["certificate"], files["key"] = Path(weak.certificate), Path(weak.key)
    (problem,) = problems_of(files, tmp_path)
    assert problem.startswith(f"instrument.tls.key: {weak.key} and {weak.certificate} are too weak: RSA of 2048 bits")


def test_an_expired_certificate_is_told_and_does_not_stop_the_instrument(
    files: dict[str, Path], tls_material: TlsMaterial, tmp_path: Path
) -> None:
    old = tls_material.authority.issue("old", days=-1)
    files["certificate"], files["key"] = Path(old.certificate), Path(old.key)
    (problem,) = problems_of(files, tmp_path)
    assert problem.startswith(f"instrument.tls.certificate: {old.certificate} has expired: CN=old, O=Clinic, issued by")
    load_config(tmp_path / "specular.toml", with_files=True)


async def test_a_certificate_that_expires_soon_is_told_every_day(
    files: dict[str, Path], tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "specular.toml"
    path.write_text(CONFIGURATION.format(**files))  # all of them are good for 30 days from now
    config, told = load_config(path), []
    began = datetime.now(UTC) - timedelta(days=1)

    def now() -> datetime:
        return began + timedelta(seconds=trio.current_time() - started)

    started = trio.current_time()
    with trio.move_on_after(86400 * 2.5):
        await watch_certificates(config, now, told.append)
    assert [event.level for event in told] == ["warning"] * 4  # two files, from the second day on
    own = f"instrument.tls.certificate: {files['certificate']} expires soon: CN=instrument, O=Clinic, issued by"
    assert told[0].text.startswith(own) and told[2].text == told[0].text
    assert told[1].data == {"key": "instrument.tls.trusted"}


def test_what_is_not_used_is_not_looked_at(tls_material: TlsMaterial, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    us = tls_material.us
    assert unusable_files(us.certificate, us.key, None) == []
    assert [one.key for one in unusable_files(nowhere, nowhere, nowhere)] == ["certificate", "trusted"]
    assert expired_files(nowhere, None, datetime(2100, 1, 1, tzinfo=UTC)) == []
    path = tmp_path / "off.toml"
    path.write_text(f'[storage.tls]\nkey = "{nowhere}"\n[instrument]\nport = 0\n[instrument.tls]\nkey = "{nowhere}"\n')
    assert check_config(path) == []


def test_a_certificate_is_read_as_openssl_reads_it(tls_material: TlsMaterial) -> None:
    (certificate,) = read_pem(Path(tls_material.us.certificate).read_bytes())
    assert (certificate.subject, certificate.issuer) == ("CN=instrument, O=Clinic", "CN=Clinic CA")
    assert certificate.sha256 == tls_material.us.sha256
    dates = openssl("x509", "-in", tls_material.us.certificate, "-noout", "-dates").splitlines()
    for line, own in zip(dates, (certificate.not_before, certificate.not_after), strict=True):
        text = " ".join(line.partition("=")[2].split())
        assert datetime.strptime(text, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC) == own


def test_names_from_outside_are_fit_for_a_log(tls_material: TlsMaterial) -> None:
    (accented,) = read_pem(Path(tls_material.stranger.issue("Hôpital").certificate).read_bytes())
    assert accented.subject == "CN=Hôpital, O=Clinic"
    der = bytearray(openssl_der(tls_material))
    at = der.rindex(b"instrument")
    der[at : at + 3] = b"\n\x1b["
    assert read_certificate(bytes(der)).subject == r"CN=\n\x1b[trument, O=Clinic"


def openssl_der(material: TlsMaterial) -> bytes:
    path = material.folder / "us.der"
    openssl("x509", "-in", material.us.certificate, "-outform", "DER", "-out", str(path))
    return path.read_bytes()


def test_octets_cut_or_changed_anywhere_are_a_certificate_or_a_bad_one(tls_material: TlsMaterial) -> None:
    whole = openssl_der(tls_material)
    for position in range(len(whole)):
        with pytest.raises(BadCertificate):
            read_certificate(whole[:position])
        for value in (0x00, 0x80, 0xFF):
            changed = bytearray(whole)
            changed[position] = value
            try:
                read_certificate(bytes(changed))
            except BadCertificate:
                continue
