"""Photographs without a hand: six eyes in simulated time, what each failure says, cancelling, and what is recorded."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import trio
import trio.testing
from auto_run import photograph, summary
from direct_instrument import DirectInstrument, DirectStage, at_once, direct_instrument
from records_material import exam_of

from firmware_app.model import Capture, Event, Exam, Eye, FixationPoint, Position, ThicknessWay
from firmware_app.records import files
from firmware_app.records.errors import StorageFault
from firmware_app.records.frames import decode_png
from firmware_app.records.rejects import REJECTS_MAX
from firmware_app.records.store import Records, open_records
from firmware_app.services import screens
from firmware_app.services.capture import Captured, CaptureService
from firmware_app.services.photographer import Photographer
from hw.errors import DeviceError, Refused
from hw.sim.behaviour import Condition, Lids
from hw.sim.eye import NOMINAL_APEX, SimulatedHead

EYES = range(3, 9)


def beside(position: Position, dx_um: float = 0.0, dy_um: float = 0.0, dz_um: float = 0.0) -> Position:
    return Position(position.x_um + dx_um, position.y_um + dy_um, position.z_um + dz_um)


def head_of(seed: int, apex: Position | None = None, **changes: object) -> SimulatedHead:
    head = SimulatedHead(seed, eyes=(Eye.RIGHT,))
    eye = head.eyes[Eye.RIGHT]
    head.eyes[Eye.RIGHT] = replace(eye, apex=apex or eye.apex, **changes)  # type: ignore[arg-type]
    return head


@pytest.fixture(scope="module")
def calm() -> SimulatedHead:
    """1 mm off centre and 0.8 mm too near the instrument."""
    return head_of(3, beside(NOMINAL_APEX[Eye.RIGHT], 700.0, -700.0, -800.0))


def in_simulated_time(work: Callable[[], object]) -> object:
    return trio.run(work, clock=trio.testing.MockClock(autojump_threshold=0))


def taking(head: SimulatedHead, told: list[str], point: FixationPoint = FixationPoint.CENTRE) -> object:
    instrument = direct_instrument(head)

    async def take() -> object:
        photographer = Photographer(instrument.config, *instrument.slots, run_sync=at_once)
        return await photographer.photograph(Eye.RIGHT, told.append, point)

    return in_simulated_time(take)


def test_restless_eyes_off_centre_and_out_of_focus_are_all_captured() -> None:
    outcomes = [photograph(number) for number in EYES]
    lines, reached = summary(outcomes)
    assert reached, "\n".join([*lines, *(line for outcome in outcomes for line in outcome.lines)])
    for outcome in outcomes:
        assert abs(outcome.defocus_um) < 20 and outcome.off_um < 250
        assert outcome.uncertainty_um is not None and 1 < outcome.uncertainty_um < 10
    assert photograph(EYES[0]) == outcomes[0]


def test_the_run_tells_what_was_missed_and_why() -> None:
    good = photograph(EYES[0])
    lines, reached = summary([good, replace(good, number=99, reason="left eye: the lid is closed")])
    assert not reached
    assert "50.0 %" in lines[0]
    assert "eye 99 failed" in lines[-1] and lines[-1].endswith("the lid is closed")
    assert not summary([replace(good, thickness_error_um=5.5)])[1]
    assert not summary([replace(good, seconds=7.0)])[1]
    assert not summary([replace(good, thickness_error_um=None)])[1]


FAILURES = {
    "no eye": (lambda: head_of(3, Position(-82_000.0, -5_000.0, -20_000.0)), "the lid is closed, or no eye is there"),
    "a lid that stays closed": (lambda: head_of(3, lids=ClosedLids(0, 0.0)), "the lid is closed, or no eye is there"),
    "too deep": (lambda: head_of(3, beside(NOMINAL_APEX[Eye.RIGHT], dz_um=3000.0)), "no reflex of the cornea from"),
}


class ClosedLids(Lids):
    def openness(self, time_s: float) -> float:
        return 0.0


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_names_its_reason_and_ends_soon(name: str) -> None:
    make, reason = FAILURES[name]
    told: list[str] = []
    with pytest.raises(Refused, match=reason):
        taking(make(), told)
    assert told[0].startswith("driving to the right eye")


def test_an_eye_that_is_nothing_but_haze_is_kept_and_called_doubtful() -> None:
    told: list[str] = []
    taken = taking(head_of(3, lids=AlwaysRough(0, 0.0), haze=1.0), told)
    assert not taken.kept.score.is_usable  # type: ignore[attr-defined]
    assert taken.bursts == 6  # type: ignore[attr-defined]
    assert any("no frame is good, the best one is kept" in line for line in told)


def test_a_peripheral_point_without_its_lamp_is_refused(calm: SimulatedHead) -> None:
    with pytest.raises(Refused, match="no fixation target up-left"):
        taking(calm, [], FixationPoint.UP_LEFT)


def test_an_instrument_that_is_not_calibrated_or_not_homed_says_so(calm: SimulatedHead) -> None:
    async def refusal(instrument: DirectInstrument) -> str:
        photographer = Photographer(instrument.config, *instrument.slots, run_sync=at_once)
        with pytest.raises(DeviceError) as caught:
            await photographer.photograph(Eye.RIGHT, print)
        return str(caught.value)

    lost = direct_instrument(calm)
    lost.stage.homed = False
    assert "not homed" in str(in_simulated_time(lambda: refusal(lost)))
    bare = direct_instrument(calm)
    assert bare.config.camera is not None
    bare.config = _without_scale(bare)
    assert "not calibrated" in str(in_simulated_time(lambda: refusal(bare)))


def _without_scale(instrument: DirectInstrument) -> object:
    config = instrument.config
    return msgspec.structs.replace(config, camera=msgspec.structs.replace(config.camera, um_per_px=0.0))


@pytest.mark.parametrize("after_s", [0.2, 0.7, 0.95, 1.2, 1.6, 1.75])
def test_cancelled_at_any_step_the_stage_stands_at_once(calm: SimulatedHead, after_s: float) -> None:
    instrument = direct_instrument(calm)

    async def cancelled() -> bool:
        photographer = Photographer(instrument.config, *instrument.slots, run_sync=at_once)
        with trio.move_on_after(after_s) as scope:
            await photographer.photograph(Eye.RIGHT, lambda text: None)
        late_s = trio.current_time() - after_s
        assert late_s == pytest.approx(0.0)
        assert not instrument.stage.moving
        return scope.cancelled_caught

    assert in_simulated_time(cancelled)


# --------------------------------------------------------------------------------------------- what is recorded


@dataclass
class Rig:
    stage: DirectStage
    records: Records
    capture: CaptureService
    exam: Exam
    shown: list[FixationPoint]
    events: list[Event]


@asynccontextmanager
async def rig(
    state_dir: Path, head: SimulatedHead, look: Callable[[FixationPoint], None], **reflex: float
) -> AsyncIterator[Rig]:
    """`reflex` is what the configuration says of the optics beside its defaults."""
    instrument = direct_instrument(head)
    table = msgspec.structs.replace(instrument.config.reflex, **reflex)
    instrument.config = msgspec.structs.replace(instrument.config, reflex=table)
    shown: list[FixationPoint] = []
    events: list[Event] = []

    async def show(point: FixationPoint) -> str:
        shown.append(point)
        look(point)
        await trio.lowlevel.checkpoint()
        return f"the patient looks {point}"

    captures_in, _captures_out = trio.open_memory_channel[Captured](20)
    async with open_records(state_dir) as records:
        exam = exam_of()
        await records.begin_exam(exam)
        service = CaptureService(
            instrument.config,
            *instrument.slots,
            records,
            captures_in,
            events.append,
            show_target=show,
            run_sync=at_once,
        )
        yield Rig(instrument.stage, records, service, exam, shown, events)


async def test_thickness_and_fixation_point_are_recorded(
    tmp_path: Path, calm: SimulatedHead, autojump_clock: trio.testing.MockClock
) -> None:
    async with rig(tmp_path, calm, lambda point: None) as bench:
        captured, taken = await bench.capture.auto(bench.exam, Eye.RIGHT, lambda text: None)
        (recorded,) = await bench.records.captures(bench.exam.exam_id)
        assert recorded == captured.capture
        assert recorded.thickness is not None
        assert recorded.thickness.thickness_um == pytest.approx(calm.thickness_um(Eye.RIGHT), abs=5)
        assert recorded.thickness == taken.aligned.thickness
        assert recorded.point is FixationPoint.CENTRE and bench.shown == [FixationPoint.CENTRE]
        assert [event.kind for event in bench.events] == ["capture.captured"]


async def test_a_thickness_by_the_stage_is_recorded_and_told_as_such(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with rig(tmp_path, head_of(3, thickness_um=770.0), lambda point: None) as bench:
        captured, taken = await bench.capture.auto(bench.exam, Eye.RIGHT, lambda text: None)
        (recorded,) = await bench.records.captures(bench.exam.exam_id)
        assert recorded.thickness is not None and recorded.thickness == taken.aligned.thickness
        assert recorded.thickness.way is ThicknessWay.TWO_POSITIONS
        assert recorded.thickness.thickness_um == pytest.approx(770.0, abs=5)
        assert ", by the stage" in screens.photographed(captured, taken).text
        assert [event.kind for event in bench.events] == ["capture.captured"]


async def test_two_ways_to_the_thickness_that_disagree_are_an_event_and_on_the_screen(
    tmp_path: Path, calm: SimulatedHead, autojump_clock: trio.testing.MockClock
) -> None:
    async with rig(tmp_path, calm, lambda point: None, slit_width_um=375.0) as bench:
        captured, taken = await bench.capture.auto(bench.exam, Eye.RIGHT, lambda text: None)
        assert [event.kind for event in bench.events] == ["thickness.doubtful", "capture.captured"]
        assert bench.events[0].level == "warning" and "check [reflex]" in bench.events[0].text
        assert "DOUBTFUL: the thickness by one picture" in screens.photographed(captured, taken).text
        recorded = captured.capture.thickness
        assert recorded is not None
        assert abs(recorded.thickness_um - calm.thickness_um(Eye.RIGHT)) < recorded.uncertainty_um + 5


async def test_a_peripheral_point_shows_its_target_and_finds_the_moved_reflex(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    head = head_of(3)

    def look(point: FixationPoint) -> None:
        head.look(0.0, 12.0 if point is FixationPoint.UP else 0.0)

    async with rig(tmp_path, head, look) as bench:
        await bench.capture.auto(bench.exam, Eye.RIGHT, lambda text: None)
        await bench.capture.auto(bench.exam, Eye.RIGHT, lambda text: None, FixationPoint.UP)
        centre, up = await bench.records.captures(bench.exam.exam_id)
        assert bench.shown == [FixationPoint.CENTRE, FixationPoint.UP]
        assert up.point is FixationPoint.UP and up.thickness is None
        assert up.position.y_um - centre.position.y_um == pytest.approx(1185, abs=250)


class AlwaysRough(Lids):
    def film(self, time_s: float) -> float:
        return 1.0


async def test_rejected_frames_are_kept_beside_the_capture_with_their_reasons(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with rig(tmp_path, head_of(3, lids=AlwaysRough(0, 0.0), haze=1.0), lambda point: None) as bench:
        captured, photograph = await bench.capture.auto(bench.exam, Eye.RIGHT, lambda text: None)
        folder = tmp_path / "exams" / bench.exam.exam_id / "rejects"
        listed = json.loads((folder / f"{captured.capture.capture_id}.json").read_text())
        assert len(listed["kept"]) == listed["count"] == REJECTS_MAX < sum(photograph.rejected.values())
        for each, reject in zip(listed["kept"], photograph.rejects, strict=True):
            assert each["reason"] == reject.reason in photograph.rejected
            assert each["frame"]["sequence"] == reject.frame.sequence != captured.frame.sequence
            png = (tmp_path / each["image"]["file"]).read_bytes()
            assert np.array_equal(decode_png(png), reject.frame.pixels)
        assert len(await bench.records.captures(bench.exam.exam_id)) == 1


async def test_a_disk_that_takes_no_rejects_costs_no_capture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    write_files = files.write_files

    def refuse(folder: Path, contents: Mapping[str, bytes], left: set[Path] | None = None) -> None:
        if folder.name == "rejects":
            raise StorageFault(folder, "No space left on device")
        write_files(folder, contents, left)

    async with rig(tmp_path, head_of(3, lids=AlwaysRough(0, 0.0), haze=1.0), lambda point: None) as bench:
        monkeypatch.setattr(files, "write_files", refuse)
        captured, _ = await bench.capture.auto(bench.exam, Eye.RIGHT, lambda text: None)
        assert await bench.records.captures(bench.exam.exam_id) == [captured.capture]
        (told,) = [event for event in bench.events if event.kind == "capture.rejects_lost"]
        assert captured.capture.capture_id in told.text and "No space left on device" in told.text


async def test_a_series_overlaps_and_each_is_in_focus(
    tmp_path: Path, calm: SimulatedHead, autojump_clock: trio.testing.MockClock
) -> None:
    async with rig(tmp_path, calm, lambda point: None) as bench:
        series = await bench.capture.series(bench.exam, Eye.RIGHT, 3, lambda text: None)
        captures = await bench.records.captures(bench.exam.exam_id)
        assert [each.capture for each in series] == captures
        beside_um = [each.position.x_um - captures[0].position.x_um for each in captures]
        assert beside_um == [0.0, pytest.approx(-170, abs=2), pytest.approx(170, abs=2)]
        assert [each.thickness is not None for each in captures] == [True, False, False]
        assert min(each.sharpness for each in captures) > 0.1
        with pytest.raises(Refused, match="3 to 5"):
            await bench.capture.series(bench.exam, Eye.RIGHT, 9, lambda text: None)


async def test_hints_say_where_to_go_and_nudges_go_there(
    tmp_path: Path, calm: SimulatedHead, autojump_clock: trio.testing.MockClock
) -> None:
    async with rig(tmp_path, calm, lambda point: None) as bench:
        await bench.capture.go_to_eye(Eye.RIGHT)
        far = await bench.capture.nudge(0.0, 0.0, 0.0)
        assert "um right and" in far and "um down" in far and "too near or too far" in far
        near = await bench.capture.nudge(700.0, -700.0, -780.0)
        assert "um too near" in near or "um too far" in near or "in focus" in near
        assert "sharpness" in near
        told: list[str] = []
        last = await bench.capture.watch(2.0, told.append)
        assert last == told[-1] and 5 < len(told) < 12
        found = await bench.capture.align(told.append)
        assert found.thickness is not None
        assert bench.capture.busy == ""


@pytest.mark.parametrize("by_itself", [False, True], ids=["goto", "auto"])
async def test_from_eye_to_eye_it_goes_behind_the_face(
    tmp_path: Path, calm: SimulatedHead, autojump_clock: trio.testing.MockClock, by_itself: bool
) -> None:
    seen: list[Position] = []

    async def look(stage: DirectStage) -> None:
        while True:
            seen.append(stage.at(trio.current_time()))
            await trio.sleep(0.02)

    async with rig(tmp_path, calm, lambda point: None) as bench:
        await bench.capture.go_to_eye(Eye.LEFT)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look, bench.stage)
            if by_itself:
                await bench.capture.auto(bench.exam, Eye.RIGHT, lambda text: None)
            else:
                await bench.capture.go_to_eye(Eye.RIGHT)
            nursery.cancel_scope.cancel()
    eyes = [bench.capture.photographer.nominal(eye) for eye in Eye]
    between = [each for each in seen if min(abs(each.x_um - eye.x_um) for eye in eyes) > 6000.0]
    assert len(between) > 10
    assert max(each.z_um for each in between) <= eyes[0].z_um - 7999.0


async def test_a_stop_ends_the_whole_way_at_any_moment(
    tmp_path: Path, calm: SimulatedHead, autojump_clock: trio.testing.MockClock
) -> None:
    """Also between two of its moves, when nothing moves that could be stopped."""
    async with rig(tmp_path, calm, lambda point: None) as bench:
        await bench.capture.go_to_eye(Eye.LEFT)
        began_s = trio.current_time()
        target = await bench.capture.go_to_eye(Eye.RIGHT)
        whole_s = trio.current_time() - began_s
        for share in range(1, 60):
            await bench.capture.go_to_eye(Eye.LEFT)
            async with trio.open_nursery() as nursery:

                async def go() -> None:
                    with pytest.raises(DeviceError, match="stopped"):
                        await bench.capture.go_to_eye(Eye.RIGHT)

                nursery.start_soon(go)
                await trio.sleep(0.9 * whole_s * share / 60)
                await bench.capture.stop()
                await trio.testing.wait_all_tasks_blocked()
                assert not bench.stage.moving
            assert bench.capture.busy == ""
            assert await bench.capture.position() != target


async def test_a_stop_while_a_picture_is_kept_takes_it_from_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with rig(tmp_path, head_of(3, lids=AlwaysRough(0, 0.0), haze=1.0), lambda point: None) as bench:
        save_capture = bench.records.save_capture

        async def stopped_meanwhile(*arguments: Any, **named: Any) -> Capture:
            await bench.capture.stop()
            return await save_capture(*arguments, **named)

        monkeypatch.setattr(bench.records, "save_capture", stopped_meanwhile)
        captured, photograph = await bench.capture.auto(bench.exam, Eye.RIGHT, lambda text: None)
        assert await bench.records.captures(bench.exam.exam_id) == [captured.capture]
        assert [event.kind for event in bench.events] == ["capture.doubtful", "capture.captured"]
        kept = (tmp_path / "exams" / bench.exam.exam_id / "rejects").glob("*.png")
        assert len(list(kept)) == len(photograph.rejects) > 0
        assert bench.capture.busy == ""


@pytest.mark.parametrize("away_um", [-350.0, 300.0])
async def test_contrast_finds_the_same_focus_as_geometry(
    tmp_path: Path, calm: SimulatedHead, autojump_clock: trio.testing.MockClock, away_um: float
) -> None:
    head = head_of(3, beside(calm.focus(Eye.RIGHT), dz_um=800.0))
    async with rig(tmp_path, head, lambda point: None) as bench:
        await bench.capture.go_to_eye(Eye.RIGHT)
        await bench.capture.align(lambda text: None)
        by_geometry = await bench.capture.position()
        await bench.capture.move_by(0.0, 0.0, away_um)
        told: list[str] = []
        by_contrast = await bench.capture.find_focus(told.append)
        assert by_contrast.z_um == pytest.approx(by_geometry.z_um, abs=15)
        assert len(told) == 3


async def test_only_one_operation_holds_the_instrument(
    tmp_path: Path, calm: SimulatedHead, autojump_clock: trio.testing.MockClock
) -> None:
    async with rig(tmp_path, calm, lambda point: None) as bench, trio.open_nursery() as nursery:
        nursery.start_soon(bench.capture.auto, bench.exam, Eye.RIGHT, lambda text: None)
        await trio.sleep(0.5)
        with pytest.raises(Refused, match="busy photographing the right eye"):
            await bench.capture.align(lambda text: None)
        nursery.cancel_scope.cancel()
    assert bench.capture.busy == ""


def test_guttae_do_not_keep_an_eye_from_being_captured() -> None:
    head = SimulatedHead(3, Condition(guttae_percent=12.0), (Eye.RIGHT,))
    taken = taking(head, [])
    assert taken.kept.score.is_usable  # type: ignore[attr-defined]
