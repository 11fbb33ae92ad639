"""Take a provisioning file from the boot partition: read, check, and put what it says onto the data partition."""

from __future__ import annotations

import hashlib
import tempfile
from codecs import BOM_UTF8
from pathlib import Path

from firmware_app.config import ConfigError, load_config
from firmware_app.device.durable_file import write_durably
from firmware_app.device.provisioning import (
    FILE_MAX_BYTES,
    TLS_FILE_MAX_BYTES,
    Provision,
    ProvisionError,
    Written,
    asks_again,
    files_of,
    parse_provision,
    tls_problems,
)

STAMP = "provisioned"  # written last: with it everything else is there


def read_bounded(path: Path, bound: int) -> bytes:
    """One byte more than the bound, so that the caller sees it passed. Raises `ProvisionError`."""
    try:
        with path.open("rb") as file:
            return file.read(bound + 1)
    except OSError as error:
        raise ProvisionError([f"{path}: cannot be read: {error.strerror or error}"]) from error


def take(file: Path, data: Path) -> bool:
    """Whether something was taken: at the first start, or while the file says `again`. Raises `ProvisionError`."""
    provision_octets = read_bounded(file, FILE_MAX_BYTES)
    etc = data / "config"
    taken_before = (etc / STAMP).exists()
    try:
        provision = parse_provision(provision_octets, file.name)
    except ProvisionError:
        # What is wrong in a file that nobody asks for any more keeps no device from working.
        if taken_before and not asks_again(provision_octets):
            return False
        raise
    if taken_before and not provision.again:
        return False
    configuration, tls = _beside(file, provision)
    digest = hashlib.sha256(provision_octets).hexdigest()
    stamp = {STAMP: Written(f"{file.name} sha256:{digest}\n".encode())}
    for name, written in (files_of(provision, configuration, tls) | stamp).items():
        try:
            write_durably(etc / name, written.content, secret=written.secret)
        except OSError as error:  # a data partition that is full, or read-only after an error
            raise ProvisionError([f"{etc / name}: cannot be written: {error.strerror or error}"]) from error
    return True


def _beside(file: Path, provision: Provision) -> tuple[bytes, dict[str, bytes]]:
    """The configuration and the files for TLS, all checked. Raises `ProvisionError` with all that is wrong."""
    given = provision.configuration
    source = file.parent / given.file if given.file else file
    # Like the provisioning file it may come from an editor of Windows.
    configuration = read_bounded(source, FILE_MAX_BYTES).removeprefix(BOM_UTF8) if given.file else given.text.encode()
    tls = {name: read_bounded(file.parent / name, TLS_FILE_MAX_BYTES) for name in given.tls_files}
    problems = [problem for name, content in tls.items() for problem in tls_problems(name, content)]
    problems += configuration_problems(configuration, source.name, provision)
    if problems:
        raise ProvisionError(problems)
    return configuration, tls


def configuration_problems(configuration: bytes, name: str, provision: Provision) -> list[str]:
    """As `specular check-config` has them, but for the files that it names: they are not in their place yet."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(configuration)
        try:
            config = load_config(path)
        except ConfigError as error:
            return [problem.replace(str(path), name) for problem in error.problems]
    if config.network.interface != provision.network.interface:
        return [f'network.interface: "{provision.network.interface}", but in {name} it is "{config.network.interface}"']
    return []
