"""What of the machine follows from the configuration: openings, packet filter, unit limits, interface, device names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from firmware_app.config import Config, load_config
from firmware_app.device.openings import Surroundings, machine_openings, resolvers_of, service_openings
from firmware_app.device.rendering import (
    ALL_FILES,
    DEVICE_NAMES,
    INTERFACE,
    LISTENS,
    PACKET_FILTER,
    PORT_LIMITS,
    SERVICE_LIMITS,
    Disagreement,
    all_openings,
    configured_files,
    explained,
    interface_files,
)
from firmware_app.device.system_settings import SettingsError, SystemSettings, parse_settings, read_settings
from firmware_app.profiles import load_profile

HEAD = '[network]\ninterface = "enp0s3"\n'
CLINIC = (
    '[instrument]\nport = 11112\naccepted_addresses = ["192.0.2.30"]\n'
    + HEAD
    + '[worklist]\nip_address = "192.0.2.20"\nport = 104\nae_title = "RIS"\n'
    + '[storage]\nip_address = "192.0.2.30"\nport = 11104\nae_title = "PACS"\n'
)
STATIC = 'network = { interface = "enp0s3", address = "192.0.2.5/24", gateway = "192.0.2.1", dns = ["192.0.2.2"] }\n'
DHCP = 'network = { interface = "enp0s3", dhcp = true }\n'


def config_of(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "specular.toml"
    path.write_text(text)
    return load_config(path)


def files_of(
    tmp_path: Path, text: str, settings: str = "", *, whole: bool = True, resolvers: tuple[str, ...] = ()
) -> dict[str, str]:
    config = config_of(tmp_path, text)
    around = Surroundings(parse_settings(settings, "system.toml") if settings else None, resolvers)
    profile = load_profile(config.profile)
    return configured_files(config, profile, around, whole_machine=whole) | interface_files(around.settings)


def test_the_packet_filter_of_a_clinic_in_full(tmp_path: Path) -> None:
    rules = files_of(tmp_path, CLINIC, STATIC + 'system = { ntp_servers = ["192.0.2.2"] }\n')[PACKET_FILTER]
    assert (
        rules
        == """table inet specular
delete table inet specular
table inet specular {
	chain input {
		type filter hook input priority filter; policy drop;
		iif lo accept
		ct state invalid drop
		ct state established,related accept
		iifname "enp0s3" meta nfproto ipv4 tcp dport 22 accept
		iifname "enp0s3" ip saddr { 192.0.2.30 } tcp dport 11112 accept
		iifname "enp0s3" icmp type echo-request limit rate 10/second accept
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
	}
	chain output {
		type filter hook output priority filter; policy drop;
		oif lo accept
		ct state established,related accept
		oifname "enp0s3" meta skuid "systemd-timesync" ip daddr { 192.0.2.2 } udp dport 123 accept
		oifname "enp0s3" meta skuid "systemd-resolve" ip daddr { 192.0.2.2 } udp dport 53 accept
		oifname "enp0s3" meta skuid "systemd-resolve" ip daddr { 192.0.2.2 } tcp dport 53 accept
		oifname "enp0s3" meta skuid "specular" ip daddr { 192.0.2.20 } tcp dport 104 accept
		oifname "enp0s3" meta skuid "specular" ip daddr { 192.0.2.30 } tcp dport 11104 accept
		reject with icmpx type admin-prohibited
	}
}
"""
    )


def test_on_a_machine_that_is_not_ours_only_the_service_is_bounded(tmp_path: Path) -> None:
    rules = files_of(tmp_path, CLINIC, whole=False)[PACKET_FILTER]
    assert "policy drop" not in rules and "dport 22" not in rules
    assert rules.index("saddr { 192.0.2.30 } tcp dport 11112 accept") < rules.index("tcp dport 11112 drop")
    assert rules.index('meta skuid != "specular" accept') < rules.index("dport 104 accept") < rules.index("reject")


def test_unit_limits_are_those_of_the_openings(tmp_path: Path) -> None:
    files = files_of(tmp_path, CLINIC)
    service, port = files[SERVICE_LIMITS].splitlines(), files[PORT_LIMITS].splitlines()
    assert service[1:] == [
        "[Service]",
        "RestrictNetworkInterfaces=lo enp0s3",
        "IPAddressAllow=192.0.2.20",
        "IPAddressAllow=192.0.2.30",
    ]
    assert port[1:] == [
        "[Socket]",
        "ListenStream=",
        "ListenStream=0.0.0.0:11112",
        "IPAddressAllow=localhost",
        "IPAddressAllow=192.0.2.30",
    ]
    assert files[LISTENS] == "11112\n"


def test_a_port_of_0_opens_nothing(tmp_path: Path) -> None:
    files = files_of(tmp_path, CLINIC.replace("port = 11112", "port = 0"))
    assert PORT_LIMITS not in files and LISTENS not in files
    assert "saddr" not in files[PACKET_FILTER]


def test_a_node_by_name_opens_its_port_to_any_address_and_asks_the_resolvers(tmp_path: Path) -> None:
    text = CLINIC.replace('ip_address = "192.0.2.20"', 'host_name = "ris.clinic.example"')
    files = files_of(tmp_path, text, whole=False, resolvers=("192.0.2.2", "127.0.0.53", "fe80::1"))
    rules = files[PACKET_FILTER]
    assert 'meta skuid "specular" meta nfproto ipv4 tcp dport 104 accept' in rules
    assert "ip daddr { 192.0.2.2 } udp dport 53 accept" in rules and "127.0.0.53" not in rules and "fe80" not in rules
    assert "IPAddressAllow=any" in files[SERVICE_LIMITS]
    reasons = [
        line for _, line in explained(service_openings(config_of(tmp_path, text), load_profile(), Surroundings()))
    ]
    assert any("because ris.clinic.example is a name" in line for line in reasons)


def test_nobody_is_asked_for_names_where_all_nodes_are_addresses(tmp_path: Path) -> None:
    assert "dport 53" not in files_of(tmp_path, CLINIC, whole=False, resolvers=("192.0.2.2",))[PACKET_FILTER]


def test_every_opening_of_the_packet_filter_is_explained_and_the_other_way_round(tmp_path: Path) -> None:
    config = config_of(tmp_path, CLINIC + '[audit.syslog]\nhost_name = "192.0.2.40"\n[audit.syslog.tls]\n')
    around = Surroundings(parse_settings(DHCP, "system.toml"))
    profile = load_profile(config.profile)
    opened = all_openings(config, profile, around, whole_machine=True)
    rules = configured_files(config, profile, around, whole_machine=True)[PACKET_FILTER]
    ports = sorted(int(port) for port in re.findall(r"dport (\d+) accept", rules))
    rows = [row for row, _ in explained(opened)]
    assert ports == sorted(int(str(row["port"])) for row in rows) == [22, 53, 53, 67, 68, 104, 123, 6514, 11104, 11112]
    assert all(row["reason"] and row["key"] for row in rows)


def test_what_a_profile_does_not_declare_is_not_opened(tmp_path: Path) -> None:
    text = 'profile = "kodakqc"\n' + HEAD + '[print]\nip_address = "192.0.2.9"\nport = 5000\nae_title = "P"\n[camera]\n'
    config = config_of(tmp_path, text)
    opened = service_openings(config, load_profile("kodakqc"), Surroundings())
    assert [opening.port for opening in opened] == [104, 5000]
    sp_1p = load_profile("sp-1p")
    assert "print" not in sp_1p.application_entity
    named = config_of(tmp_path, text.replace('ip_address = "192.0.2.9"', 'host_name = "printer"'))
    around = Surroundings(resolvers=("192.0.2.2",))
    assert {5000, 53} <= {opening.port for opening in service_openings(named, load_profile("kodakqc"), around)}
    assert not {5000, 53} & {opening.port for opening in service_openings(named, sp_1p, around)}


def test_without_settings_a_whole_machine_has_ssh_alone() -> None:
    assert [opening.port for opening in machine_openings(Surroundings())] == [22]


def test_different_interfaces_are_told(tmp_path: Path) -> None:
    with pytest.raises(Disagreement, match=r"'enp0s3'.*'eth7'"):
        files_of(tmp_path, CLINIC, STATIC.replace("enp0s3", "eth7"))


def test_all_files_are_known_so_that_those_of_an_earlier_configuration_go(tmp_path: Path) -> None:
    assert set(files_of(tmp_path, CLINIC, STATIC)) == set(ALL_FILES)


# ------------------------------------------------------------------------------------------------ interface, names


def test_an_interface_with_a_fixed_address_is_up_with_the_cable_out(tmp_path: Path) -> None:
    lines = interface_files(parse_settings(STATIC, "s"))[INTERFACE].splitlines()
    assert {"Name=enp0s3", "Address=192.0.2.5/24", "Gateway=192.0.2.1", "DNS=192.0.2.2"} <= set(lines)
    assert {"ConfigureWithoutCarrier=yes", "LinkLocalAddressing=no", "IPv6AcceptRA=no"} <= set(lines)
    assert not any(line.startswith("DHCP") for line in lines)


def test_dhcp_gives_an_address_and_neither_a_name_nor_what_is_configured() -> None:
    settings = parse_settings(DHCP + 'system = { ntp_servers = ["192.0.2.2"] }\n', "s")
    lines = interface_files(settings)[INTERFACE].splitlines()
    assert {"DHCP=ipv4", "UseHostname=no", "UseDomains=no", "UseNTP=no", "NTP=192.0.2.2"} <= set(lines)
    assert "UseDNS=no" not in lines


def test_stage_and_camera_with_the_same_converter_are_told_apart_by_their_serial_numbers(tmp_path: Path) -> None:
    stage = '[stage]\nport = "usb:0403:6001:STAGE-1"\n[camera]\nport = "usb:0403:6001:CAM*\\"1"\n'
    rules = files_of(tmp_path, CLINIC + stage)[DEVICE_NAMES]
    assert 'ATTRS{idVendor}=="0403", ATTRS{idProduct}=="6001", ATTRS{serial}=="STAGE-1"' in rules
    assert 'ATTRS{serial}=="CAM[*]?1"' in rules
    taken, given = rules.index('SYMLINK-="specular-stage"'), rules.index('SYMLINK+="specular-stage"')
    assert taken < given and 'GROUP="specular"' in rules


def test_an_interface_of_a_board_is_a_parent_of_its_own(tmp_path: Path) -> None:
    rules = files_of(tmp_path, CLINIC + '[stage]\nport = "usb:1a86:7523@1-1.4:1.0"\n')[DEVICE_NAMES].splitlines()
    assert any('KERNELS=="1-1.4"' in line and "idVendor" in line for line in rules)
    assert any('KERNELS=="1-1.4:1.0"' in line and "idVendor" not in line for line in rules)


def test_a_path_needs_no_rule(tmp_path: Path) -> None:
    assert "SYMLINK" not in files_of(tmp_path, CLINIC + '[stage]\nport = "/dev/specular-stage"\n')[DEVICE_NAMES]


def test_a_v4l2_camera_is_looked_for_among_cameras(tmp_path: Path) -> None:
    rules = files_of(tmp_path, CLINIC + '[camera]\nkind = "v4l2"\nport = "usb:046d:0825"\n')[DEVICE_NAMES]
    assert 'SUBSYSTEM=="video4linux"' in rules and 'ATTR{index}=="0"' in rules


# ------------------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("network = 1\n", "network: "),
        ("[network]\ndhcp = 1\n", "network.dhcp: "),
        ("[network]\ndhpc = true\n", "network: "),
        ("[network]\n", "network.address: missing"),
        ('[network]\naddress = "192.0.2.5"\n', "network.address: "),
        ('[network]\naddress = "192.0.2.5/33"\n', "network.address: "),
        ('[network]\naddress = "192.0.2.5/0"\n', "network.address: "),
        ('[network]\naddress = "192.0.2.5/255.255.255.0"\n', "network.address: "),
        ('[network]\naddress = "192.0.2.5/024"\n', "network.address: "),
        ('[network]\naddress = "fe80::1/64"\n', "network.address: "),
        ('[network]\naddress = "192.0.2.5/24"\ngateway = "10.0.0.1"\n', "network.gateway: 10.0.0.1 is not in"),
        ('[network]\naddress = "192.0.2.5/24"\ngateway = "x\\nDNS=1.2.3.4"\n', "network.gateway: "),
        ('[network]\ndhcp = true\naddress = "192.0.2.5/24"\n', "network.address: not with"),
        ('[network]\ndhcp = true\ninterface = "a b"\n', "network.interface: not allowed; allowed: an interface name"),
        ('[network]\ndhcp = true\ninterface = "*"\n', "network.interface: "),
        ('[network]\ndhcp = true\ndns = ["192.0.2.\u0661"]\n', "network.dns"),
        ('[network]\ndhcp = true\n[system]\nntp_servers = ["a b"]\n', "system.ntp_servers"),
        ('[network]\ndhcp = true\n[system]\nntp_servers = [""]\n', "system.ntp_servers"),
        ("[system]\n", "missing required field `network`"),
        ("[network\n", "not TOML"),
        ("network = " + "[" * 5000, "not TOML"),
        ("network = " + "1" * 5000, "not TOML"),
    ],
)
def test_wrong_settings_are_refused_and_the_key_is_named(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=r"^system\.toml: ") as caught:
        parse_settings(text, "system.toml")
    assert said in str(caught.value)


def test_settings_are_bounded_and_read_as_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "system.toml"
    path.write_bytes(b"#" * (64 << 10) + b"\n")
    with pytest.raises(SettingsError, match="more than 65536 bytes"):
        read_settings(path)
    path.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="not UTF-8"):
        read_settings(path)
    with pytest.raises(SettingsError, match="No such file"):
        read_settings(tmp_path / "none.toml")
    path.write_text(DHCP)
    assert isinstance(read_settings(path), SystemSettings)


def test_resolvers_are_read_from_resolv_conf() -> None:
    assert resolvers_of("# c\nnameserver 192.0.2.2\noptions x\nnameserver\nnameserver 127.0.0.53 x\n") == (
        "192.0.2.2",
        "127.0.0.53",
    )
