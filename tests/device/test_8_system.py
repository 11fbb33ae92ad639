"""The machine itself: what is read-only, what lasts, what is bounded, and port 104."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable

from deploy.device_test.bench import ANSWER_S, Bench
from deploy.image.layout import DATA_BYTES
from deploy.image.vm import VirtualMachine

Tell = Callable[[str], None]
KODAKQC = """\
profile = "kodakqc"

[instrument]
ae_title = "KODAKQC"
institution_name = "Eye Clinic"

[network]
interface = "eth0"
"""


def test_the_root_is_read_only_and_all_that_lasts_is_on_the_data_partition(machine: VirtualMachine) -> None:
    root, var, data = (
        json.loads(machine.run(f"findmnt --json --output FSTYPE,OPTIONS {place}"))["filesystems"][0]
        for place in ("/", "/var", "/data")
    )
    assert root["fstype"] == "squashfs" and "ro" in root["options"].split(",")
    assert (var["fstype"], data["fstype"]) == ("tmpfs", "ext4")
    for place in ("/usr", "/etc", "/opt/specular", "/boot"):
        assert machine.ssh(f"sudo touch {place}/mine").returncode != 0, place
    for place in ("/var/lib/specular", "/etc/specular", "/var/log/journal"):
        source = machine.run(f"findmnt --noheadings --output SOURCE --target $(readlink -f {place})").strip()
        assert source.startswith("/dev/vda7"), (place, source)


def test_the_data_partition_has_grown_to_the_end_of_the_disk(machine: VirtualMachine, tell: Tell) -> None:
    disk, partition = (int(machine.run(f"cat /sys/class/block/{name}/size")) * 512 for name in ("vda", "vda7"))
    start = int(machine.run("cat /sys/class/block/vda7/start")) * 512
    files = int(machine.run("df --block-size=1 --output=size /data").split()[-1])
    tell(f"data partition {partition / 2**20:.0f} MiB, its file system {files / 2**20:.0f} MiB")
    assert disk - start - partition < 2 << 20 and partition > DATA_BYTES
    assert files > 0.9 * partition - (64 << 20)


def test_the_journal_is_bounded_and_on_the_data_partition(machine: VirtualMachine) -> None:
    settings = machine.run("systemd-analyze cat-config systemd/journald.conf --no-pager")
    found = re.findall(r"^SystemMaxUse=(\d+)M$", settings, re.MULTILINE)
    assert found and int(found[-1]) <= 64
    assert machine.run("ls /data/journal").split() == [machine.run("cat /etc/machine-id").strip()]


def test_port_104_of_the_profile_kodakqc(bench: Bench, machine: VirtualMachine, tell: Tell) -> None:
    bench.configure(KODAKQC)
    assert re.search(r"LISTEN.*:104\s", machine.run("ss -lntH")), "listened on by systemd, for a unit without privilege"
    here = bench.forward(104)
    done = machine.run("sudo cat /proc/$(systemctl show -P MainPID specular)/status")
    assert re.search(r"^CapEff:\s+0+$", done, re.MULTILINE)
    with socket.create_connection(("127.0.0.1", here), timeout=ANSWER_S):
        pass
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    entity = AE("STRANGER")
    entity.add_requested_context(Verification)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = ANSWER_S
    association = entity.associate("127.0.0.1", here, ae_title="KODAKQC")
    assert association.is_established and association.send_c_echo().Status == 0
    association.release()
    tell("C-ECHO to port 104 of a service without any privilege")
