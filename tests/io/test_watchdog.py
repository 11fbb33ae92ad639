"""systemd hears that the loop turns, twice per period, and nothing where nobody watches."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio
import trio.testing

from firmware_app.services.health import LAG_PROBE_S, LoopLag, run_watchdog


async def test_twice_per_period(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "10000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        with trio.move_on_after(14.9):
            await run_watchdog()
        heard = []
        while True:
            try:
                heard.append(systemd.recv(100))
            except BlockingIOError:
                break
    assert heard == [b"WATCHDOG=1"] * 3


async def test_returns_at_once_when_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    with trio.fail_after(1):
        await run_watchdog()


async def test_loop_lag_is_what_a_blocked_loop_costs(nursery: trio.Nursery, mock_clock: trio.testing.MockClock) -> None:
    lag = LoopLag()
    nursery.start_soon(lag.run)
    await trio.testing.wait_all_tasks_blocked()
    mock_clock.jump(LAG_PROBE_S + 0.25)  # the loop was busy elsewhere for a quarter of a second
    await trio.testing.wait_all_tasks_blocked()
    assert lag.worst_s == pytest.approx(0.25)
    assert lag.recent_worst_s() == pytest.approx(0.25)
