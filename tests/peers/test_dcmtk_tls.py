"""TLS with DCMTK on either side, in each of its BCP 195 profiles, and from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from peers_material import program
from pydicom import dcmread
from tls_material import Credentials, TlsMaterial

from firmware_app.cli import main
from firmware_app.net.errors import TlsFailed
from firmware_app.net.instance_file import read_instance_file
from firmware_app.net.listener import InboundAssociation, serve
from firmware_app.net.node import LocalApplicationEntity, Node
from firmware_app.net.storage import store
from firmware_app.net.tls import ListenerTls
from firmware_app.net.verification import echo

pytestmark = [pytest.mark.peer("dcmtk"), pytest.mark.peer("openssl")]
# Extended: AEAD only, and DCMTK 3.6.7 then leaves TLS 1.3 out.
PROFILES = {"+py": "TLSv1.3", "+px": "TLSv1.3", "+pz": "TLSv1.2"}
Storescp = Callable[..., Node]
CONFIGURATION = """
[network]
interface = "lo"

[storage]
ip_address = "127.0.0.1"
port = {port}
ae_title = "STORESCP"

[storage.tls]
certificate = "{certificate}"
key = "{key}"
trusted = "{trusted}"
"""


def options(material: TlsMaterial, own: Credentials, authority: str = "") -> tuple[str, ...]:
    return ("+tls", own.key, own.certificate, "+cf", authority or material.authority.certificate)


@pytest.fixture(scope="session")
def storescp_tls(storescp: Storescp, tls_material: TlsMaterial) -> Storescp:
    def start(*more: str, own: Credentials | None = None) -> Node:
        node = storescp(*options(tls_material, own or tls_material.peer), *more)
        return replace(node, tls=tls_material.client())

    return start


@pytest.mark.parametrize("profile", PROFILES)
async def test_echo_in_each_profile(storescp_tls: Storescp, local: LocalApplicationEntity, profile: str) -> None:
    result = await echo(storescp_tls(profile, "--ignore"), local, count=50)
    assert (result.count, result.security, result.release_failure) == (50, PROFILES[profile], None)
    assert result.peer_implementation_version_name.startswith("OFFIS_DCMTK")


async def test_a_peer_with_a_curve(
    storescp_tls: Storescp, local: LocalApplicationEntity, tls_material: TlsMaterial
) -> None:
    result = await echo(storescp_tls("--ignore", own=tls_material.us), local)
    assert result.security == "TLSv1.3"


@pytest.mark.parametrize("profile", PROFILES)
async def test_large_images_arrive_to_the_octet(
    storescp_tls: Storescp,
    local: LocalApplicationEntity,
    instances: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    profile: str,
) -> None:
    received = tmp_path_factory.mktemp("received")
    data_set = dcmread(instances["explicit"])
    data_set.Rows = data_set.Columns = 2048
    samples = 2048 * 2048 * data_set.SamplesPerPixel
    data_set.PixelData = bytes(range(256)) * (samples // 256)
    path = tmp_path / "large.dcm"
    data_set.save_as(path)
    node = storescp_tls(profile, "-od", str(received), "+B")
    results = [result async for result in store(node, local, [read_instance_file(path)] * 2)]
    assert [result.category for result in results] == ["stored", "stored"]
    (arrived,) = received.iterdir()
    assert dcmread(arrived).PixelData == data_set.PixelData


async def test_a_peer_that_knows_not_our_authority(
    storescp_tls: Storescp, local: LocalApplicationEntity, tls_material: TlsMaterial
) -> None:
    strange = tls_material.client(tls_material.stranger.issue("instrument"))
    for profile in PROFILES:
        node = replace(storescp_tls(profile, "--ignore"), tls=strange)
        with pytest.raises(TlsFailed) as caught:
            await echo(node, local)
        text = str(caught.value)
        assert "the peer refused our certificate (CN=instrument, O=Clinic, issued by CN=Stranger" in text, profile


async def test_a_peer_that_we_do_not_trust(
    storescp_tls: Storescp, local: LocalApplicationEntity, tls_material: TlsMaterial
) -> None:
    node = storescp_tls("+py", "--ignore")
    wary = replace(node, tls=tls_material.client(trusted=tls_material.stranger.certificate))
    with pytest.raises(TlsFailed, match=r"the peer's certificate \(CN=archive, .* is not vouched for by any authority"):
        await echo(wary, local)
    pinned = replace(node, tls=tls_material.client(pinned_sha256=frozenset([tls_material.peer.sha256])))
    assert (await echo(pinned, local)).count == 1


async def test_dcmtk_without_tls(storescp: Storescp, local: LocalApplicationEntity, tls_material: TlsMaterial) -> None:
    node = replace(storescp("--ignore"), tls=tls_material.client())
    with pytest.raises(TlsFailed, match=r"the peer does not speak TLS|perhaps it does not speak TLS"):
        await echo(node, local)


# ------------------------------------------------------------------ DCMTK comes to us


async def call_us(tls: ListenerTls, *command: str) -> tuple[int, InboundAssociation]:
    """DCMTK's exit status, and how we saw it end."""
    us = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.3.4", "TEST")
    tell, told = trio.open_memory_channel[InboundAssociation](10)
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
            await serve(us, 0, tls=tls, observe=tell.send_nowait, task_status=task_status)

        port = await nursery.start(run)
        words = [program(command[0]), "-aec", "SPECULAR", *command[1:-1], "127.0.0.1", str(port)]
        if command[-1]:
            words.append(command[-1])
        done = await trio.run_process(words, check=False, capture_stdout=True, capture_stderr=True)
        with trio.fail_after(10):
            ended = await told.receive()
        nursery.cancel_scope.cancel()
    return done.returncode, ended


@pytest.mark.parametrize("profile", PROFILES)
async def test_dcmtk_verifies_us(tls_material: TlsMaterial, profile: str) -> None:
    words = ("echoscu", *options(tls_material, tls_material.peer), profile, "--repeat", "5", "")
    status, ended = await call_us(tls_material.listener(tls_material.us), *words)
    assert (status, ended.echoes, ended.outcome) == (0, 5, "released")


async def test_dcmtk_finds_no_storage_here(tls_material: TlsMaterial, instances: dict[str, Path]) -> None:
    words = ("storescu", *options(tls_material, tls_material.peer), str(instances["explicit"]))
    status, ended = await call_us(tls_material.listener(), *words)
    assert status != 0
    assert ended.calling_ae_title == "STORESCU"  # it is our answer that it did not like, not our TLS


async def test_dcmtk_without_a_certificate(tls_material: TlsMaterial) -> None:
    words = ("echoscu", "+tla", "+cf", tls_material.authority.certificate, "")
    status, ended = await call_us(tls_material.listener(), *words)
    assert status != 0
    assert ended.outcome == "the peer showed no certificate, and one is required here"
    status, ended = await call_us(tls_material.listener(require_client_certificate=False), *words)
    assert (status, ended.echoes) == (0, 1)


async def test_dcmtk_without_tls_at_our_tls_port(tls_material: TlsMaterial) -> None:
    status, ended = await call_us(tls_material.listener(), "echoscu", "")
    assert status != 0
    assert ended.outcome == "the peer does not speak TLS: its first octet is 01H"


# ------------------------------------------------------------------ from the command line


def test_the_verbs_use_the_tls_of_a_configured_node(
    storescp_tls: Storescp,
    tls_material: TlsMaterial,
    instances: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    node = storescp_tls("+py", "--ignore")
    path = tmp_path / "specular.toml"
    assert node.tls is not None
    files = {"certificate": node.tls.certificate, "key": node.tls.key, "trusted": node.tls.trusted}
    path.write_text(CONFIGURATION.format(port=node.port, **files))

    assert main(["check-config", str(path)]) == 0
    capsys.readouterr()
    assert main(["echo", "--config", str(path), "--json", "storage"]) == 0
    assert json.loads(capsys.readouterr().out)["security"] == "TLSv1.3"
    assert main(["store", "--config", str(path), "storage", str(instances["explicit"])]) == 0
    assert "stored" in capsys.readouterr().out

    # An address given by hand has no table, hence plain TCP, which this peer does not speak.
    assert main(["echo", "--config", str(path), "--timeout", "3", f"STORESCP@127.0.0.1:{node.port}"]) == 1
    capsys.readouterr()

    strange = tls_material.stranger.certificate
    path.write_text(CONFIGURATION.format(port=node.port, **(files | {"trusted": strange})))
    assert main(["echo", "--config", str(path), "storage"]) == 1
    told = capsys.readouterr().err
    assert "TLS: the peer's certificate (CN=archive, O=Clinic, issued by CN=Clinic CA, valid until" in told
    assert told.count("\n") == 1


def test_the_service_does_not_start_without_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "specular.toml"
    path.write_text('[instrument.tls]\ncertificate = "/gone/certificate.pem"\n')
    assert main(["run", "--config", str(path)]) == 2
    told = capsys.readouterr().err
    assert f"{path}: instrument.tls.certificate: /gone/certificate.pem cannot be read: No such file" in told
