"""An archive that is away for a week of work gets everything when it returns, in order and without a hand.

The long form, 500 exams beside DCMTK, is tests/benchmarks/bench_outage.py.
"""

from __future__ import annotations

from pathlib import Path

import outage


def test_a_day_of_work_arrives_in_order_to_the_byte_and_is_committed(tmp_path: Path) -> None:
    material = outage.Material(exams=20, rows=48, columns=64)
    away = outage.week(tmp_path / "state", material, days=1.0)
    assert away.tries >= 280  # every 5 minutes at the latest
    assert away.longest_wait_s <= outage.POLICY.max_s
    station_port = outage.free_port()
    with outage.hospital(tmp_path / "hospital", station_port) as child:
        done = outage.recovery(tmp_path / "state", child, station_port, away.ended_at, limit_s=90)
    assert outage.complaints(material, done) == []
    assert len(done.stored) == sum(len(outage.instances_of(exam)) for exam in range(1, 21))
