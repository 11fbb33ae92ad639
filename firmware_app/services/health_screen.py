"""The health for people. Pure."""

from __future__ import annotations

from dataclasses import asdict

from firmware_app.console.protocol import Reply
from firmware_app.console.text import format_table, printable
from firmware_app.services.health_report import ClockHealth, DiskHealth, Health, NodeHealth
from firmware_app.services.retention_rules import amount


def health(now: Health) -> Reply:
    rows = [(each.name, each.doing, duration(each.for_s), each.since, each.what) for each in now.parts]
    lines = [format_table(("part", "is", "for", "since", "waits for or does"), rows)]
    lines.append(
        f"event loop: worst lag {now.loop_lag_ms:.1f} ms, in the last half minute {now.recent_loop_lag_ms:.1f} ms"
    )
    refreshed = f"refreshed {now.worklist_refreshed_at}" if now.worklist_refreshed_at else "never refreshed"
    failed = f"; last refresh failed: {now.worklist_error}" if now.worklist_error else ""
    lines.append(f"worklist: {refreshed}{failed}")
    lines += [_node(each) for each in now.nodes]
    lines += [_disk(now.disk), *health_lines(now)]
    return Reply("\n".join(lines), asdict(now))


def health_lines(now: Health) -> list[str]:
    """The few lines of it that the status has too. Its own line of the disk says whether there is room for exams."""
    well = "every part gets on" if now.well else f"NOT WELL: {now.watchdog_withheld}"
    update = [f"last update: {printable(now.last_update)}"] if now.last_update else []
    return [*update, _clock(now.clock), f"health: {well}"]


def duration(seconds: float) -> str:
    """The two largest units of `3 d 4 h`, `4 h 5 min`, `5 min 6 s` or `6 s`."""
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _disk(disk: DiskHealth) -> str:
    if disk.trouble:
        return f"disk: {disk.path}: {disk.trouble}"
    return (
        f"disk: {disk.path}: {amount(disk.free_bytes)} of {amount(disk.total_bytes)} free, "
        f"{disk.used_percent:.1f} % used"
    )


def _clock(clock: ClockHealth) -> str:
    if clock.synchronised is None:
        return f"clock: {clock.now}, the kernel does not tell whether it is synchronised: {clock.trouble}"
    return f"clock: {clock.now}, {'synchronised' if clock.synchronised else 'NOT synchronised'}"


def _node(node: NodeHealth) -> str:
    good = f"last success {node.succeeded_at}" if node.succeeded_at else "no success yet"
    bad = f"; last failure {node.failed_at}: {node.failure}" if node.failed_at else "; no failure yet"
    return f"node {node.address}: {good}{bad}"
