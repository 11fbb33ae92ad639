"""An authority and certificates for tests, made with the openssl program once a session."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_app.net.tls import ClientTls, ListenerTls

P_256 = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
ALTERNATIVE_NAMES = "DNS:localhost,IP:127.0.0.1"


def openssl(*arguments: str) -> str:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True).stdout


@dataclass(frozen=True)
class Credentials:
    certificate: str
    key: str

    @property
    def sha256(self) -> str:
        fingerprint = openssl("x509", "-in", self.certificate, "-noout", "-fingerprint", "-sha256")
        return fingerprint.partition("=")[2].strip().replace(":", "").lower()


class Authority:
    """A certification authority in a folder of its own."""

    def __init__(self, folder: Path, name: str, days: int = 30) -> None:
        folder.mkdir()
        self.folder = folder
        self.certificate, self._key = str(folder / "ca.pem"), str(folder / "ca.key")
        self._sign(str(folder / "ca"), f"/CN={name}", days, "basicConstraints=critical,CA:TRUE", P_256)

    def issue(
        self,
        name: str,
        alternative_names: str = ALTERNATIVE_NAMES,
        days: int = 30,
        usage: str = "",
        key_kind: tuple[str, ...] = P_256,
    ) -> Credentials:
        """`days` below zero: expired so long ago."""
        stem = str(self.folder / name.replace(" ", "_"))
        extensions = f"subjectAltName={alternative_names}\n" + (f"extendedKeyUsage={usage}\n" if usage else "")
        self._sign(stem, f"/O=Clinic/CN={name}", days, extensions, key_kind)
        return Credentials(f"{stem}.pem", f"{stem}.key")

    def _sign(self, stem: str, subject: str, days: int, extensions: str, key_kind: tuple[str, ...]) -> None:
        """A new key and its certificate; the authority's own is signed by itself."""
        files = {kind: f"{stem}.{kind}" for kind in ("key", "csr", "ext", "pem")}
        Path(files["ext"]).write_text(extensions)
        openssl(
            "req", "-newkey", *key_kind, "-nodes", "-utf8",
            "-keyout", files["key"], "-out", files["csr"], "-subj", subject,
        )  # fmt: skip
        itself = files["pem"] == self.certificate
        by = ("-signkey", self._key) if itself else ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial")
        openssl(
            "x509", "-req", "-in", files["csr"], *by,
            "-days", str(days), "-out", files["pem"], "-extfile", files["ext"],
        )  # fmt: skip


@dataclass(frozen=True)
class TlsMaterial:
    """Two ends that trust each other, and everything that may be wrong with one of them."""

    folder: Path
    authority: Authority
    stranger: Authority
    us: Credentials
    peer: Credentials

    @classmethod
    def make(cls, folder: Path) -> TlsMaterial:
        authority = Authority(folder / "authority", "Clinic CA")
        stranger = Authority(folder / "stranger", "Stranger")
        # A curve for us and RSA for the peer, as a clinic might mix them.
        own, peer = authority.issue("instrument"), authority.issue("archive", key_kind=("rsa:2048",))
        return cls(folder, authority, stranger, own, peer)

    def client(self, own: Credentials | None = None, **changes: Any) -> ClientTls:
        own = own or self.us
        settings = {"certificate": own.certificate, "key": own.key, "trusted": self.authority.certificate}
        return ClientTls(**(settings | changes))

    def listener(self, own: Credentials | None = None, **changes: Any) -> ListenerTls:
        own = own or self.peer
        settings = {"certificate": own.certificate, "key": own.key, "trusted": self.authority.certificate}
        return ListenerTls(**(settings | changes))
