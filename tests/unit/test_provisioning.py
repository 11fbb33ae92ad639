"""The provisioning file of the device image: what is taken from it, and what is said of one that is wrong."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_app.device.provisioning import ProvisionError, key_problem, parse_provision, settings_text
from firmware_app.device.provisioning_files import STAMP, take
from firmware_app.device.system_settings import parse_settings


def public_key(kind: str = "ssh-ed25519", body: bytes = b"\x00\x00\x00\x20" + bytes(32)) -> str:
    blob = len(kind).to_bytes(4, "big") + kind.encode() + body
    return f"{kind} {base64.b64encode(blob).decode()} somebody@somewhere"


KEY = public_key()
CONFIGURATION = 'profile = "specular"\n[network]\ninterface = "eth0"\n'


def provisioning(**changed: str) -> str:
    tables = {
        "top": "",
        "ssh": f"service_keys = [{json.dumps(KEY)}]",
        "system": 'host_name = "specular-3"',
        "network": 'interface = "eth0"\naddress = "192.0.2.10/24"',
        "configuration": 'file = "specular.toml"',
    } | changed
    top = tables.pop("top")
    return top + "\n" + "\n".join(f"[{name}]\n{text}" for name, text in tables.items() if text)


WRONG = [
    ("again = 3", {"top": "again = 3"}, "again: Expected `bool`, got `int`"),
    ("unknown table", {"passwords": 'root = "x"'}, "unknown field `passwords`"),
    ("unknown key", {"ssh": "keys = []"}, "ssh: Object contains unknown field `keys`"),
    ("no network", {"network": ""}, "missing required field `network`"),
    ("neither address nor dhcp", {"network": 'interface = "eth0"'}, "network.address: missing"),
    (
        "a private key",
        {"ssh": 'service_keys = ["-----BEGIN OPENSSH PRIVATE KEY-----"]'},
        "ssh.service_keys[0]: is a private",
    ),
    ("no key", {"ssh": 'admin_keys = ["hello"]'}, "ssh.admin_keys[0]: is no public key"),
    ("options before a key", {"ssh": f"admin_keys = ['command=\"sh\" {KEY}']"}, "ssh.admin_keys[0]: is no public key"),
    ("a name that is none", {"system": 'host_name = "-"'}, "system.host_name: not allowed; allowed: a host name"),
    ("a name with a dot", {"system": 'host_name = "a.b"'}, "system.host_name:"),
    ("no configuration at all", {"configuration": "tls_files = []"}, "configuration: either `file`"),
    ("file and text", {"configuration": 'file = "a"\ntext = "b"'}, "configuration: either `file`"),
    ("a path", {"configuration": 'file = "../etc/shadow"'}, "configuration.file:"),
]


@pytest.mark.parametrize(("changed", "told"), [pytest.param(each[1], each[2], id=each[0]) for each in WRONG])
def test_what_is_wrong_is_told_with_file_and_key(changed: dict[str, str], told: str) -> None:
    with pytest.raises(ProvisionError) as caught:
        parse_provision(provisioning(**changed).encode(), "p.toml")
    assert any(problem.startswith("p.toml: ") and told in problem for problem in caught.value.problems)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ProvisionError) as caught:
        parse_provision(provisioning(ssh='service_keys = ["x"]', system='host_name = "a.b"').encode())
    assert len(caught.value.problems) == 2


@given(st.binary(max_size=200))
def test_any_octets_are_taken_or_refused(octets: bytes) -> None:
    try:
        parse_provision(octets)
    except ProvisionError as error:
        assert error.problems


def test_a_file_of_a_windows_editor_is_read() -> None:
    assert (
        parse_provision(b"\xef\xbb\xbf" + provisioning().replace("\n", "\r\n").encode()).system.host_name
        == "specular-3"
    )


def test_the_settings_are_read_back_as_they_were_given() -> None:
    provision = parse_provision(provisioning(network='interface = "eth1"\ndhcp = true\ndns = ["192.0.2.1"]').encode())
    settings = parse_settings(settings_text(provision), "system.toml")
    assert (settings.network, settings.system) == (provision.network, provision.system)


KEYS = [
    (KEY, True),
    (public_key("ssh-rsa", bytes(200)), True),
    (public_key("ssh-dss"), False),
    (KEY.replace("ssh-ed25519 ", "ssh-rsa ", 1), False),
    (KEY.split()[0], False),
    ("ssh-ed25519 AAAA", False),
    (KEY + "\nssh-ed25519 AAAA", False),
    ("ssh-ed25519 " + "A" * 9000, False),
]


@pytest.mark.parametrize(("key", "good"), KEYS)
def test_public_keys(key: str, good: bool) -> None:
    assert (key_problem(key) == "") is good


class Card:
    """A boot partition and a data partition, as folders."""

    def __init__(self, folder: Path) -> None:
        self.boot, self.data = folder / "boot", folder / "data"
        self.boot.mkdir()
        self.file = self.boot / "specular-provision.toml"

    def write(self, text: str, configuration: str = CONFIGURATION) -> None:
        self.file.write_text(text)
        (self.boot / "specular.toml").write_text(configuration)

    def taken(self, name: str) -> str:
        return (self.data / "config" / name).read_text()


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # this machine has no user specular to give files to
    return Card(tmp_path)


def test_a_file_is_taken_once(card: Card) -> None:
    card.write(provisioning())
    assert take(card.file, card.data)
    assert card.taken("ssh/service") == KEY + "\n"
    assert card.taken("specular.toml") == CONFIGURATION
    card.write(provisioning(ssh=""))
    assert not take(card.file, card.data)
    assert card.taken("ssh/service") == KEY + "\n"


def test_a_file_that_says_so_is_taken_again(card: Card) -> None:
    card.write(provisioning())
    take(card.file, card.data)
    card.write(provisioning(top="again = true", ssh=""))
    assert take(card.file, card.data)
    assert card.taken("ssh/service") == ""


def test_nothing_is_taken_of_a_file_with_one_mistake(card: Card) -> None:
    card.write(provisioning(), CONFIGURATION + "colour = 1\n")
    with pytest.raises(ProvisionError, match=r"specular\.toml: network\.colour: unknown key"):
        take(card.file, card.data)
    assert not (card.data / "config").exists()


def test_a_wrong_file_on_a_provisioned_device_is_nobodys_business(card: Card) -> None:
    card.write(provisioning())
    take(card.file, card.data)
    card.write("nonsense")
    assert not take(card.file, card.data)


def test_interface_and_configuration_agree(card: Card) -> None:
    card.write(provisioning(network='interface = "eth1"\ndhcp = true'))
    with pytest.raises(ProvisionError, match=r'network\.interface: "eth1", but in specular\.toml it is "eth0"'):
        take(card.file, card.data)


def test_tls_files_are_for_the_service_alone(card: Card) -> None:
    card.write(provisioning(configuration='file = "specular.toml"\ntls_files = ["key.pem"]'))
    (card.boot / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    assert take(card.file, card.data)
    assert (card.data / "config/tls/key.pem").stat().st_mode & 0o777 == 0o640


def test_what_is_no_pem_file_is_refused(card: Card) -> None:
    card.write(provisioning(configuration='file = "specular.toml"\ntls_files = ["key.pem"]'))
    (card.boot / "key.pem").write_bytes(bytes(100))
    with pytest.raises(ProvisionError, match=r"key\.pem: is not a PEM file"):
        take(card.file, card.data)


def test_the_stamp_is_written_last(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut before it: the next start takes the file again."""
    names: list[str] = []
    rename = Path.rename

    def noting(path: Path, target: Path) -> Path:
        names.append(target.name)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", noting)
    card.write(provisioning())
    take(card.file, card.data)
    assert names[-1] == STAMP
