"""The provisioning file of the boot partition: keys, host name, network and configuration of one device.

Whoever can write to the card can write this file, so it is checked as anything from outside is: bounded, every key
known, and nothing is applied as long as one thing in it is wrong.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import tomli
from msgspec import Meta, Struct

from firmware_app.config.keys import allowed_words, hints_of, table_in
from firmware_app.device.system_settings import NetworkTable, SettingsError, SystemTable, parse_settings

FILE_NAME = "specular-provision.toml"
FILE_MAX_BYTES = 1 << 20  # with a configuration of 6 kB in it, a tenth of a percent
TLS_FILE_MAX_BYTES = 256 << 10  # certificates of a hundred authorities have 150 kB
KEY_MAX = 8192  # an RSA key of 16384 bits has 2.8 kB
KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)
PRIVATE_KEY = "PRIVATE KEY"
Keys = Annotated[tuple[str, ...], Meta(max_length=32, description="at most 32 public keys")]
# Beside the file, on a FAT: no path leads out of it, and none begins with the dot that hides it.
FileName = Annotated[str, Meta(pattern=r"\A(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,63})?\Z", description="a file name")]


class SshTable(Struct, frozen=True, forbid_unknown_fields=True):
    service_keys: Keys = ()
    admin_keys: Keys = ()


class ConfigurationTable(Struct, frozen=True, forbid_unknown_fields=True):
    file: FileName = ""
    text: str = ""
    tls_files: Annotated[tuple[FileName, ...], Meta(max_length=16, description="at most 16 file names")] = ()


class Provision(Struct, frozen=True, forbid_unknown_fields=True):
    network: NetworkTable
    configuration: ConfigurationTable
    again: bool = False
    ssh: SshTable = SshTable()
    system: SystemTable = SystemTable()


class ProvisionError(Exception):
    """A file that nothing is taken from. `problems`: all that is wrong, one line each, with file and key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Written:
    """A file of /etc/specular. `secret`: for the service and root alone."""

    content: bytes
    secret: bool = False


def parse_provision(octets: bytes, name: str = FILE_NAME) -> Provision:
    """Raises `ProvisionError`."""
    if len(octets) > FILE_MAX_BYTES:
        raise ProvisionError([f"{name}: is longer than {FILE_MAX_BYTES} bytes: not a provisioning file"])
    try:
        # Editors of Windows begin a file with a mark and end lines with two characters.
        document = tomli.loads(octets.decode("utf-8-sig").replace("\r\n", "\n"))
        provision = msgspec.convert(document, Provision)
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise ProvisionError([f"{name}: line {line}: not UTF-8"]) from error
    except (tomli.TOMLDecodeError, RecursionError) as error:
        raise ProvisionError([f"{name}: not TOML: {error}"]) from error
    except msgspec.ValidationError as error:
        raise ProvisionError([f"{name}: {_with_key(str(error))}"]) from error
    problems = [f"{name}: {problem}" for problem in _problems(provision)]
    try:
        parse_settings(settings_text(provision), name)
    except SettingsError as error:
        problems.append(str(error))
    if problems:
        raise ProvisionError(problems)
    return provision


def settings_text(provision: Provision) -> str:
    """system.toml: the tables that are the machine's, every value as it was given."""
    tables = {"system": provision.system, "network": provision.network}
    return "\n\n".join(_table(name, msgspec.to_builtins(table)) for name, table in tables.items()) + "\n"


def files_of(provision: Provision, configuration: bytes, tls: Mapping[str, bytes]) -> dict[str, Written]:
    """Below /etc/specular, name -> content: in the order in which they are written."""
    files = {f"tls/{name}": Written(content, secret=True) for name, content in tls.items()}
    files["specular.toml"] = Written(configuration)  # read by the console's client, too; what is secret is in tls/
    files["system.toml"] = Written(settings_text(provision).encode())
    for user, keys in (("service", provision.ssh.service_keys), ("admin", provision.ssh.admin_keys)):
        files[f"ssh/{user}"] = Written("".join(f"{key.strip()}\n" for key in keys).encode())
    return files


def tls_problems(name: str, content: bytes) -> list[str]:
    if len(content) > TLS_FILE_MAX_BYTES:
        return [f"{name}: is longer than {TLS_FILE_MAX_BYTES} bytes: neither a key nor certificates"]
    return [] if b"-----BEGIN " in content else [f"{name}: is not a PEM file"]


def key_problem(key: str) -> str:
    """Why a line is no public key; "" for one that is. Options before the type are no part of what may be given."""
    if PRIVATE_KEY in key:
        return "is a private key: it must never be here; make a new pair, and give the .pub file"
    if len(key) > KEY_MAX or not key.isprintable():
        return f"is no public key: one line of at most {KEY_MAX} characters"
    kind, _, rest = key.strip().partition(" ")
    if kind not in KEY_TYPES:
        return f"is no public key: it does not begin with one of {', '.join(KEY_TYPES)}"
    try:
        blob = base64.b64decode(rest.partition(" ")[0], validate=True)
    except (binascii.Error, ValueError):
        return "is no public key: not base64"
    # RFC 4253, 6.6: the type again, with its length before it, then the key.
    told = len(kind).to_bytes(4, "big") + kind.encode()
    return "" if blob.startswith(told) and len(blob) > len(told) + 4 else "is no public key, or not a whole one"


def _problems(provision: Provision) -> Iterator[str]:
    for name in ("service_keys", "admin_keys"):
        for number, key in enumerate(getattr(provision.ssh, name)):
            problem = key_problem(key)
            if problem:
                yield f"ssh.{name}[{number}]: {problem}"
    given = provision.configuration
    if bool(given.file) == bool(given.text):
        yield "configuration: either `file`, a name beside this file, or `text`"
    if provision.system.host_name and not re.fullmatch(
        r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", provision.system.host_name
    ):
        yield f'system.host_name: "{provision.system.host_name}" is no host name: a-z, 0-9 and "-", at most 63'


def _with_key(error: str) -> str:
    """msgspec says where at the end: "Expected `bool` - at `$.again`"; we begin with the key, and for an expression
    say what it stands for."""
    found = re.fullmatch(r"(.*) - at `\$\.?(.*)`", error)
    if not found or not found[2]:
        return error
    words = f"not allowed; allowed: {_allowed(found[2])}" if "matching regex" in found[1] else found[1]
    return f"{found[2]}: {words}"


def _allowed(key_path: str) -> str:
    hint: Any = Provision
    for key in re.sub(r"\[[^]]*\]", "", key_path).split("."):
        hint = hints_of(table_in(hint) or hint)[key]
    return allowed_words(hint)


def _table(name: str, values: Mapping[str, Any]) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {_value(value)}" for key, value in values.items())])


def _value(value: object) -> str:
    """TOML's strings and lists are JSON's, but for a DEL, which no name or address has."""
    return msgspec.json.encode(value).decode()
