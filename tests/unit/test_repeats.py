"""A flood is counted and told once; what differs is written."""

from __future__ import annotations

from firmware_app.services.repeats import KEYS_MAX, Repeated, RepeatFilter


def test_a_flood_of_the_same_event_is_counted() -> None:
    repeats = RepeatFilter(window_s=60, same_max=5)
    written = sum(repeats.admits("stage.lost", "gone", number * 0.01) for number in range(1000))
    assert written == 5
    assert repeats.next_end_s() == 60
    assert repeats.ended(59.9) == []
    assert repeats.ended(60.0) == [Repeated("stage.lost", "gone", 995, 60.0)]
    assert repeats.admits("stage.lost", "gone", 60.1)
    assert repeats.next_end_s() == float("inf")


def test_other_words_are_other_events() -> None:
    repeats = RepeatFilter(same_max=1)
    assert all(repeats.admits("delivery.stored", f"1.2.{number}", 0) for number in range(100))


def test_a_kind_has_a_limit_too() -> None:
    repeats = RepeatFilter(window_s=60, kind_max=300)
    written = sum(repeats.admits("listener.association", f"peer {number}", 0.0) for number in range(1000))
    assert written == 300
    assert repeats.ended(60.0) == [Repeated("listener.association", "", 700, 60.0)]


def test_memory_is_bounded() -> None:
    repeats = RepeatFilter(kind_max=10**6)
    for number in range(3 * KEYS_MAX):
        repeats.ended(0.0)
        repeats.admits("x", str(number), 0.0)
    assert len(repeats._windows) <= KEYS_MAX + 2
