"""Whose updates the device takes: the keyring in the image, and the key that the bundle is signed with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deploy.image.commands import run
from deploy.image.steps import CannotBuild, say

DEVELOPMENT = "DEVELOPMENT KEYS: anybody who has the folder that this image was built in can update this device."
DAYS = "7300"  # a device has no clock it can trust, and is in use for longer than a certificate of the web is
LEAF = (
    "[leaf]\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=emailProtection\n"
)


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """PEM files. `development`: made here, so that nobody has to have keys to try the image."""

    keyring: Path
    key: Path
    certificate: Path
    development: bool

    @property
    def words(self) -> str:
        return DEVELOPMENT if self.development else ""


def signing_keys(given: tuple[Path | None, Path | None, Path | None], folder: Path, log: Path) -> SigningKeys:
    """All three that were given, or a development authority in `folder`. Raises `CannotBuild`."""
    keyring, key, certificate = given
    if keyring and key and certificate:
        for path in (keyring, key, certificate):
            if not path.is_file():
                raise CannotBuild(f"{path}: no such file")
        return SigningKeys(keyring, key, certificate, development=False)
    if keyring or key or certificate:
        raise CannotBuild(
            "--keyring, --key and --cert go together: what signs the bundle must be what the image trusts"
        )
    made = SigningKeys(folder / "keyring.pem", folder / "key.pem", folder / "certificate.pem", development=True)
    if not made.certificate.exists():
        _make_authority(folder, made, log)
    say(f"signed with development keys of {folder}: not for a device that leaves the bench")
    return made


def _make_authority(folder: Path, keys: SigningKeys, log: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    authority, request, extensions = folder / "authority-key.pem", folder / "request.pem", folder / "leaf.cnf"
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256"]
    run(["openssl", "req", "-x509", *new, "-days", DAYS, "-keyout", authority, "-out", keys.keyring,
         "-subj", "/O=Specular development/CN=Development updates CA"], log)  # fmt: skip
    run(["openssl", "req", *new, "-keyout", keys.key, "-out", request,
         "-subj", "/O=Specular development/CN=Development updates"], log)  # fmt: skip
    extensions.write_text(LEAF)
    run(["openssl", "x509", "-req", "-in", request, "-CA", keys.keyring, "-CAkey", authority, "-CAcreateserial",
         "-days", DAYS, "-sha256", "-extfile", extensions, "-extensions", "leaf", "-out", keys.certificate],
        log)  # fmt: skip
