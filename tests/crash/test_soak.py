"""Thirty exams in one process: the short form of `bench_soak.py`. Memory is judged by the long one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from bench_soak import Look, Soak, run_soak

EXAMS = 30


@pytest.mark.timeout(300)
def test_no_descriptor_and_no_task_is_left_over(short_folder: Path) -> None:
    soak = run_soak(short_folder, EXAMS, 10, lambda look: None, rest_s=0.0)
    assert [look.exams for look in soak.looks] == [10, 20, 30]
    assert soak.left_over() == []


LOOK = Look(200, 70_000, 72_000, 90_000, Counter({"socket": 3}), Counter({"serve": 1}), 4, 1000)


def soak_of(*own_kib: int) -> Soak:
    return Soak([replace(LOOK, exams=100 * number, own_kib=own) for number, own in enumerate(own_kib, 1)], 500, 60.0)


def test_what_grows_is_seen_in_the_figures() -> None:
    assert soak_of(60_000, 70_000, 70_010, 70_020, 70_030).growth_kib == 30, "the first 200 exams do not count"
    assert soak_of(60_000, 70_000, 70_010, 70_020, 70_030).slope_kib == pytest.approx(10)
    assert soak_of(60_000, 70_000, 73_000, 70_000, 70_000).growth_kib == 3000
    assert soak_of(60_000, 70_000, 69_000, 69_500, 69_000).growth_kib == -500
    left = replace(LOOK, exams=300, descriptors=Counter({"socket": 4, "pipe": 1}), tasks=Counter({"serve": 3}))
    assert Soak([LOOK, left], 300, 60.0).left_over() == ["1 descriptor socket", "1 descriptor pipe", "2 task serve"]
