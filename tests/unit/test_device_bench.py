"""What the device's bench makes of words: a status, a login that was turned away, a machine's command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2]))

from deploy.device_test.bench import device_states, ports_of, until
from deploy.image.vm import MachineError, turned_away

STATUS = {
    "devices": [
        {"name": "stage", "state": "ready", "detail": "grbl:/dev/ttyUSB1 Grbl 1.1h"},
        {"name": "camera", "state": "lost", "detail": "no device 0403:6001:CAMERA-0001 is there"},
    ]
}


def test_devices_and_their_ports() -> None:
    assert device_states(STATUS) == {"stage": "ready", "camera": "lost"}
    assert ports_of(STATUS) == {"stage": "/dev/ttyUSB1"}


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [
        (255, b"kex_exchange_identification: Connection closed by remote host\n", True),
        (255, b"service@127.0.0.1: Permission denied (publickey).\n", False),
        (1, b"kex_exchange_identification: Connection closed, says the command\n", False),
        (0, b"", False),
    ],
)
def test_only_who_was_turned_away_before_the_login_asks_again(status: int, said: bytes, expected: bool) -> None:
    assert turned_away(subprocess.CompletedProcess([], status, b"", said)) is expected


def test_a_wait_says_what_did_not_come() -> None:
    answers = iter([False, True])
    assert until(lambda: next(answers), 10, "there") < 10
    with pytest.raises(MachineError, match="not there within 0 s"):
        until(lambda: False, 0, "there")
