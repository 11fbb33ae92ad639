"""What the service may not do is tried, one by one, under its own unit; and every open port has its reason."""

from __future__ import annotations

import json
import re
import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from deploy.device_test.bench import ANSWER_S, Bench
from deploy.image.vm import VirtualMachine

Tell = Callable[[str], None]
HERE = Path(__file__).parent
PROBE = "/run/specular-denials"
FORMS = {
    "as it is": [],
    "without the packet filter: the unit alone": ["--without-filter", "--groups", "network,sockets"],
    "the peer behind another interface": ["--other-interface"],
}
STRANGERS = ("10.0.2.2:22", "10.0.2.3:53")  # QEMU answers there: who is denied them is not just without an answer
EXPLAIN = (
    "/opt/specular/bin/specular device-rules --config /etc/specular/specular.toml --system /etc/specular/system.toml "
    "--whole-machine --explain --json"
)
OTHER_PORTS = (23, 53, 80, 111, 443, 631, 2049, 5355, 8080, 11112)
SILENCE_S = 5.0


@pytest.mark.parametrize("form", FORMS)
def test_every_denial_of_the_unit(bench: Bench, machine: VirtualMachine, tell: Tell, form: str) -> None:
    machine.run(f"sudo mkdir -p {PROBE}")
    for name in ("denials.py", "probe_unit.py"):
        machine.ssh(f"sudo tee {PROBE}/{name} >/dev/null", given=(HERE / name).read_bytes())
    host, port = bench.nodes["archive"]
    others = [word for stranger in STRANGERS for word in ("--other", stranger)]
    words = " ".join([*FORMS[form], "--peer", f"{host}:{port}", *others])
    with bench.surroundings():
        done = machine.ssh(f"sudo python3 {PROBE}/probe_unit.py {words}", timeout_s=ANSWER_S)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    groups = Counter(row["group"] for row in rows)
    tell(f"{len(rows)} tried: {', '.join(f'{name} {count}' for name, count in groups.items())}")
    for row in rows:
        tell(f"{row['group']}: {row['what']}: {row['outcome']}")
    wrong = [row for row in rows if not row["ok"]]
    assert rows and not wrong and done.returncode == 0, f"{wrong} {done.stderr.decode()}"


def test_without_filter_and_unit_a_stranger_would_answer(machine: VirtualMachine) -> None:
    """So that no answer, above, is a denial."""
    script = "import socket; socket.create_connection(('10.0.2.2', 22), timeout=60)"
    command = f'sudo nft delete table inet specular; python3 -c "{script}"; sudo systemctl reload specular-rules'
    done = machine.ssh(command)
    assert b"ConnectionRefusedError" in done.stderr, done.stderr


def test_every_open_port_is_one_that_is_explained(machine: VirtualMachine, tell: Tell) -> None:
    rows = [json.loads(line) for line in machine.run(f"sudo {EXPLAIN}", timeout_s=ANSWER_S).splitlines()]
    for row in rows:
        tell(f"{row['direction']} {row['protocol']} {row['port']}: {row['reason']}")
    explained = {f"{row['protocol']} {row['port']}" for row in rows if row["direction"] == "in"}
    table = machine.run("ss -lntuH")
    places = [line.split() for line in table.splitlines()]
    listening = {f"{words[0]} {words[4].rpartition(':')[2]}" for words in places if not is_loopback(words[4])}
    assert listening == explained, table
    assert not re.search(r"\[::|\*:", table), "IPv6 is off"


def is_loopback(place: str) -> bool:
    return place.startswith("127.") or "%lo:" in place


def test_from_outside_only_ssh_and_dicom_answer(bench: Bench, machine: VirtualMachine, tell: Tell) -> None:
    assert first_words(bench.ssh_port).startswith(b"SSH-2.0-")
    echoed = machine_is_echoed(bench)
    assert echoed, machine.run("sudo journalctl -b -u specular -n 40 -o short-monotonic --no-pager")
    here = {port: bench.forward(port) for port in OTHER_PORTS}
    with ThreadPoolExecutor(len(here)) as visitors:  # each waits for a silence
        answers = dict(zip(here, visitors.map(first_words, here.values()), strict=True))
    assert not any(answers.values()), answers
    tell(f"answers: 22, 64001; no answer: {', '.join(map(str, OTHER_PORTS))}")


def machine_is_echoed(bench: Bench) -> bool:
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    entity = AE("STRANGER")
    entity.add_requested_context(Verification)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = ANSWER_S
    association = entity.associate("127.0.0.1", bench.dicom_port, ae_title="TP_AM_SP1P_001")
    try:
        return bool(association.is_established and association.send_c_echo().Status == 0)
    finally:
        association.release()


def first_words(port: int) -> bytes:
    """What is said to who connects; nothing where nobody listens: the emulated network accepts for everybody."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=SILENCE_S) as connection:
        with suppress(OSError):
            connection.sendall(b"\r\n")
        return connection.recv(64)
    return b""
