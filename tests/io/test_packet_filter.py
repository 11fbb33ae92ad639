"""The rendered packet filter in the kernel: an allowed peer passes, everybody else is refused.

Two network namespaces joined by a veth pair: the device in one, a peer with three addresses in the other. Nothing
leaves them. Needs root, as `nft` and `ip netns` do.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from firmware_app.config import load_config
from firmware_app.device.openings import Surroundings
from firmware_app.device.rendering import PACKET_FILTER, configured_files
from firmware_app.device.system_settings import parse_settings
from firmware_app.profiles import load_profile

pytestmark = pytest.mark.peer("nftables")

DEVICE, PEER, STRANGER = "192.0.2.5", "192.0.2.30", "192.0.2.66"
CONFIG = f"""
[instrument]
port = 11112
accepted_addresses = ["{PEER}"]
[network]
interface = "eth0"
[storage]
ip_address = "{PEER}"
port = 11104
ae_title = "PACS"
"""
SETTINGS = f'network = {{ interface = "eth0", address = "{DEVICE}/24" }}\n'
# As whom a connection is tried, from which namespace and address, to where; one word of how it went.
CONNECT = """
import json, os, socket, sys
family, user, source, address, port = json.loads(sys.argv[1])
if user:
    os.setuid(user)
with socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET) as tried:
    tried.settimeout(1.5)
    if source:
        tried.bind((source, 0))
    try:
        tried.connect((address, port))
    except OSError as error:
        print(type(error).__name__ if error.errno is None else os.strerror(error.errno))
    else:
        print("connected")
"""
LISTEN = """
import socket, sys, time
open_ones = [socket.create_server((address, int(port)), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
             for address, port in (word.rsplit("/", 1) for word in sys.argv[1:])]
print("listening", flush=True)
time.sleep(600)
"""


@dataclass(frozen=True, slots=True)
class World:
    device: str
    peer: str

    def connect(self, namespace: str, address: str, port: int, source: str = "", user: int = 0, family: int = 4) -> str:
        words = json.dumps([family, user, source, address, port])
        return run("ip", "netns", "exec", namespace, sys.executable, "-c", CONNECT, words).strip()


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def may_make_namespaces() -> bool:
    return os.geteuid() == 0


@pytest.fixture
def world() -> Iterator[World]:
    if not may_make_namespaces():
        if os.environ.get("CI") == "true":
            pytest.fail("needs root for network namespaces, and CI=true")
        pytest.skip("needs root for network namespaces")
    made = World(f"sp-device-{os.getpid()}", f"sp-peer-{os.getpid()}")
    listening: list[subprocess.Popen[str]] = []
    try:
        join(made)
        everything = [f"{each}/{port}" for each in (PEER, STRANGER, "fd00::2") for port in (11104, 9999)]
        listening.append(listener(made.peer, *everything))
        listening.append(listener(made.device, f"{DEVICE}/11112", f"{DEVICE}/22", f"{DEVICE}/9999", "fd00::1/11112"))
        yield made
    finally:
        for each in listening:
            each.kill()
            each.communicate()
        for name in (made.device, made.peer):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def join(made: World) -> None:
    for name in (made.device, made.peer):
        run("ip", "netns", "add", name)
    run("ip", "-n", made.device, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", made.peer)
    addresses = {made.device: (f"{DEVICE}/24", "fd00::1/64"), made.peer: (f"{PEER}/24", f"{STRANGER}/24", "fd00::2/64")}
    for name, ours in addresses.items():
        for address in ours:
            nodad = ["nodad"] if ":" in address else []
            run("ip", "-n", name, "address", "add", address, "dev", "eth0", *nodad)
        for link in ("lo", "eth0"):
            run("ip", "-n", name, "link", "set", link, "up")


def listener(namespace: str, *where: str) -> subprocess.Popen[str]:
    command = ["ip", "netns", "exec", namespace, sys.executable, "-c", LISTEN, *where]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "listening\n"
    return process


@pytest.fixture(params=[True, False], ids=["whole machine", "service only"])
def whole(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def load_rules(world: World, tmp_path: Path, whole: bool, user: str) -> None:
    path = tmp_path / "specular.toml"
    path.write_text(CONFIG)
    config = load_config(path)
    around = Surroundings(parse_settings(SETTINGS, "system.toml") if whole else None)
    files = configured_files(config, load_profile(), around, whole_machine=whole, user=user)
    # The service's user is not on this machine; another stands in.
    rules = files[PACKET_FILTER].replace('skuid "specular"', f'skuid "{user}"')
    (tmp_path / "rules.nft").write_text(rules)
    for _ in range(2):  # loading again takes the place of what was there
        run("ip", "netns", "exec", world.device, "nft", "-f", str(tmp_path / "rules.nft"))


def test_allowed_peers_pass_and_others_are_refused(world: World, tmp_path: Path, whole: bool) -> None:
    service = pwd.getpwnam("daemon")
    into = [
        (PEER, 11112, "connected"),
        (STRANGER, 11112, "timed out"),
        (PEER, 22, "connected"),
        (PEER, 9999, "timed out" if whole else "connected"),
    ]
    assert all(world.connect(world.peer, DEVICE, port, source) == "connected" for source, port, _ in into)
    load_rules(world, tmp_path, whole, service.pw_name)
    for source, port, outcome in into:
        assert outcome in word(world.connect(world.peer, DEVICE, port, source)), f"in: {source} to port {port}"
    out = [
        (service.pw_uid, PEER, 11104, "connected"),
        (service.pw_uid, PEER, 9999, "refused"),
        (service.pw_uid, STRANGER, 11104, "refused"),
        (0, PEER, 11104, "refused" if whole else "connected"),
        (0, STRANGER, 9999, "refused" if whole else "connected"),
    ]
    for user, address, port, outcome in out:
        assert word(world.connect(world.device, address, port, user=user)) == outcome, (
            f"out: {user} to {address}:{port}"
        )
    assert word(world.connect(world.device, DEVICE, 11112, user=service.pw_uid)) == "connected"  # over loopback


def test_there_is_no_way_in_or_out_by_ipv6(world: World, tmp_path: Path, whole: bool) -> None:
    service = pwd.getpwnam("daemon")
    assert world.connect(world.device, "fd00::2", 11104, family=6) == "connected"
    load_rules(world, tmp_path, whole, service.pw_name)
    assert word(world.connect(world.device, "fd00::2", 11104, user=service.pw_uid, family=6)) == "refused"
    assert word(world.connect(world.peer, "fd00::1", 11112, family=6)) == "timed out"


def word(said: str) -> str:
    """The kernel has several words for what the filter's answer means."""
    if said in ("No route to host", "Permission denied", "Network is unreachable", "Host is unreachable"):
        return "refused"
    return "timed out" if said in ("TimeoutError", "Connection timed out", "timed out") else said


@pytest.mark.parametrize("name", ["closed.nft"])
def test_what_holds_until_the_configuration_is_known_is_understood_by_nft(
    world: World, tmp_path: Path, name: str
) -> None:
    source = Path(__file__).resolve().parents[2] / "systemd" / "nftables" / name
    rules = source.read_text().replace('"systemd-network"', '"daemon"')
    (tmp_path / name).write_text(rules)
    run("ip", "netns", "exec", world.device, "nft", "-f", str(tmp_path / name))
    assert word(world.connect(world.peer, DEVICE, 22)) == "connected"
    assert word(world.connect(world.peer, DEVICE, 11112)) == "timed out"
    assert word(world.connect(world.device, PEER, 11104)) == "refused"
