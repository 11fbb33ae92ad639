"""Who signs bundles, and whom the device believes.

Without keys of your own an authority for development is made, once in each build folder. Whoever has that folder can
make bundles for its images: the image says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deploy.image.commands import need, run
from deploy.image.steps import CannotBuild, say

DAYS = "7300"  # a device may wait for years in a cupboard; RAUC looks at the day of signing, too
CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
AUTHORITY = (
    "basicConstraints=critical,CA:TRUE,pathlen:0", "keyUsage=critical,keyCertSign,cRLSign",
    "subjectKeyIdentifier=hash",
)  # fmt: skip
# RAUC asks OpenSSL for a certificate that may sign mail.
SIGNER = ("basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature",
          "extendedKeyUsage=critical,emailProtection")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Signing:
    """`keyring` goes into the image; `key` and `certificate` never do."""

    keyring: Path
    key: Path
    certificate: Path
    development: bool = False


def given_or_development(
    keyring: Path | None, key: Path | None, certificate: Path | None, folder: Path, log: Path
) -> Signing:
    """All three or none. Raises `CannotBuild`."""
    if keyring is None and key is None and certificate is None:
        say(f"no --keyring, --key and --cert: DEVELOPMENT KEYS of {folder} sign, and the image believes them")
        return authority(folder, log, "Specular development")
    if keyring is None or key is None or certificate is None:
        raise CannotBuild("--keyring, --key and --cert belong together")
    for path in (keyring, key, certificate):
        if not path.is_file():
            raise CannotBuild(f"{path}: is not there")
    return Signing(keyring, key, certificate)


def authority(folder: Path, log: Path, name: str) -> Signing:
    """The keys in `folder`, made if they are not there."""
    need("openssl")
    made = Signing(folder / "keyring.pem", folder / "signer.key", folder / "signer.pem", development=True)
    if all(path.exists() for path in (made.keyring, made.key, made.certificate)):
        return made
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    root_key, request = folder / "authority.key", folder / "signer.csr"
    run(["openssl", "req", "-x509", *CURVE, "-sha256", "-days", DAYS, "-subj", f"/O=Specular/CN={name} authority",
         "-keyout", root_key, "-out", made.keyring, "-config", "/dev/null", *_extensions(AUTHORITY)], log)  # fmt: skip
    run(["openssl", "req", "-new", *CURVE, "-sha256", "-subj", f"/O=Specular/CN={name} bundles", "-config", "/dev/null",
         "-keyout", made.key, "-out", request], log)  # fmt: skip
    extensions = folder / "signer.ext"
    extensions.write_text("\n".join(SIGNER) + "\n")
    run(["openssl", "x509", "-req", "-sha256", "-days", DAYS, "-in", request, "-CA", made.keyring, "-CAkey", root_key,
         "-CAcreateserial", "-extfile", extensions, "-out", made.certificate], log)  # fmt: skip
    return made


def _extensions(lines: tuple[str, ...]) -> list[str]:
    return [word for line in lines for word in ("-addext", line)]
