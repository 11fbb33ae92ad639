"""What the lamps show: by hand, in an exam, after the board was unplugged, and on a board that refuses."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest
import trio
import trio.testing

from firmware_app.config.light import LADDER, FixationConfig, LampConfig, LightConfig
from firmware_app.console.commands import CommandContext, CommandTable
from firmware_app.gaze import FIXATION_TARGETS, gaze_at
from firmware_app.model import Event
from firmware_app.objects.picture import GAZE_OF_TARGET, GAZES
from firmware_app.services.hardware import DeviceSlot
from firmware_app.services.light_commands import LightCommands
from firmware_app.services.lights import AGAIN_S, OFF_DEADLINE_S, LightService
from hw.abc import Identity, Stage
from hw.errors import DeviceFault, Refused

FITTED = LightConfig(
    eccentricity_deg=10.0,
    illumination=LampConfig("flood", 1.0),
    flash=LampConfig("mist", 0.5),
    fixation=FixationConfig("spindle"),
)


@dataclass
class Board:
    """The part of a stage that switches lamps: forgets them with every new one, as a board does without power."""

    outputs: tuple[str, ...] = ("spindle", "flood", "mist")
    identity: Identity = field(default_factory=lambda: Identity("board:/dev/board", "1.1h", False))
    levels: dict[str, float] = field(default_factory=dict)
    alarm: str = ""
    silent: bool = False
    tardy: bool = False  # obeys, and answers once `answer` is set
    answer: trio.Event = field(default_factory=trio.Event)
    calls: int = 0
    outputs_lost: int = 0

    async def set_output(self, name: str, level: float) -> None:
        await trio.lowlevel.checkpoint()
        self.calls += 1
        if self.silent:
            await trio.sleep_forever()
        if name not in self.outputs:
            raise Refused(f"no output {name!r}")
        if self.alarm:
            raise DeviceFault("error:9", self.alarm)
        self.levels[name] = level
        if self.tardy:
            await self.answer.wait()

    async def wait_lost(self) -> str:
        await trio.sleep_forever()


@dataclass
class Bench:
    lights: LightService
    slot: DeviceSlot[Stage]
    board: Board
    events: list[Event]

    async def plug(self, board: Board) -> None:
        """As the supervision does it: the lamps are restored before the stage is ready."""
        self.board = board
        await self.lights.restore(cast(Stage, board))
        self.slot._set(cast(Stage, board), self.slot.status.state, "")


async def bench(config: LightConfig = FITTED, board: Board | None = None) -> Bench:
    events = list[Event]()
    slot: DeviceSlot[Stage] = DeviceSlot("stage", lambda: datetime(2026, 1, 1, tzinfo=UTC))
    made = Bench(LightService(config, slot, events.append), slot, Board(), events)
    await made.plug(board or Board())
    return made


# ------------------------------------------------------------------------------------------------ targets


def test_nine_targets_go_round_the_centre_and_each_has_its_gaze_code() -> None:
    assert len(FIXATION_TARGETS) == 9
    assert [GAZE_OF_TARGET[name] for name in FIXATION_TARGETS] == [*GAZE_OF_TARGET.values()]
    assert set(GAZE_OF_TARGET.values()) == set(GAZES)
    for name in FIXATION_TARGETS:
        gaze = gaze_at(name, 10.0)
        distance = (gaze.horizontal_deg**2 + gaze.vertical_deg**2) ** 0.5
        assert distance == pytest.approx(0 if name == "centre" else 10, abs=0.01)
        assert (gaze.vertical_deg > 0) == ("up" in name)
        assert (gaze.horizontal_deg > 0) == ("left" in name), "x runs towards the patient's own left"


def test_the_levels_are_in_the_middle_of_the_steps_of_a_ladder() -> None:
    assert LADDER == (0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95)


async def test_each_target_has_a_level_of_its_own() -> None:
    made = await bench()
    levels = []
    for name in FIXATION_TARGETS:
        shown = await made.lights.show_target(name)
        assert (shown.lit, shown.gaze) == (True, gaze_at(name, 10.0)) == (True, made.lights.gaze)
        levels.append(made.board.levels["spindle"])
    assert levels == list(LADDER)
    await made.lights.hide_target()
    assert (made.board.levels["spindle"], made.lights.gaze) == (0.0, None)
    with pytest.raises(Refused, match="no fixation target 'nose'; there are centre, up, up-right"):
        await made.lights.show_target("nose")


async def test_a_target_that_the_board_did_not_show_is_no_gaze() -> None:
    made = await bench()
    await made.lights.show_target("up")
    made.board.alarm = "locked"
    with pytest.raises(DeviceFault, match="locked"):
        await made.lights.show_target("down")
    assert made.lights.gaze == gaze_at("up", 10.0)
    assert made.lights.levels()["fixation"] is None, "nobody knows what it shows now"


# ------------------------------------------------------------------------------------------------ an exam


async def test_an_exam_has_light_and_leaves_none(nursery: trio.Nursery) -> None:
    made = await bench()
    nursery.start_soon(made.lights.run)
    made.lights.exam_opened()
    await trio.testing.wait_all_tasks_blocked()
    assert made.board.levels == {"flood": 1.0, "mist": 0.0, "spindle": 0.0}
    await made.lights.show_target("left")
    async with made.lights.flash():
        assert made.board.levels["mist"] == 0.5
    assert made.board.levels["mist"] == 0.0
    made.lights.exam_closed()
    await trio.testing.wait_all_tasks_blocked()
    assert set(made.board.levels.values()) == {0.0}
    assert made.lights.gaze is None


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_a_flash_goes_off_however_the_burst_ends(how: str) -> None:
    made = await bench()
    with trio.CancelScope() as scope:
        try:
            async with made.lights.flash():
                if how == "failed":
                    raise DeviceFault("camera", "lost")
                scope.cancel()
                await trio.lowlevel.checkpoint()
        except DeviceFault:
            pass
    assert made.board.levels["mist"] == 0.0


async def test_a_flash_that_was_lit_and_not_confirmed_when_the_burst_was_cancelled_goes_off_at_once() -> None:
    made = await bench()
    made.board.tardy = True
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flash_for_ever, made.lights)
            await trio.testing.wait_all_tasks_blocked()
            assert made.board.levels["mist"] == 0.5
            made.board.tardy = False
            scope.cancel()
    assert made.board.levels["mist"] == 0.0


async def flash_for_ever(lights: LightService) -> None:
    async with lights.flash():
        await trio.sleep_forever()


async def test_lamps_are_told_to_the_board_that_is_there_when_their_turn_comes(nursery: trio.Nursery) -> None:
    """Not to the one that was there when they began to wait for it."""
    made = await bench()
    nursery.start_soon(made.lights.run)
    made.board.tardy = True
    nursery.start_soon(made.lights.switch, "flash", 1.0)
    await trio.testing.wait_all_tasks_blocked()
    made.lights.exam_opened()
    await trio.testing.wait_all_tasks_blocked()
    old, new = made.board, Board()
    made.slot._set(cast(Stage, new), made.slot.status.state, "")
    old.tardy = False
    old.answer.set()
    await trio.testing.wait_all_tasks_blocked()
    assert (new.levels["flood"], old.levels["flood"]) == (1.0, 0.0)


async def test_a_board_that_is_silent_while_the_flash_should_go_off_holds_nobody(
    autojump_clock: trio.testing.MockClock,
) -> None:
    made = await bench()
    with trio.fail_after(OFF_DEADLINE_S + 0.1):
        async with made.lights.flash():
            made.board.silent = True
    assert "flash: no answer within 1 s" in made.lights.detail
    assert [event.kind for event in made.events] == ["light.failed"]


async def test_what_was_lit_is_lit_again_when_the_board_comes_back(nursery: trio.Nursery) -> None:
    made = await bench()
    nursery.start_soon(made.lights.run)
    made.lights.exam_opened()
    await made.lights.show_target("down-right")
    await trio.testing.wait_all_tasks_blocked()
    before = dict(made.board.levels)
    await made.plug(Board())
    assert made.board.levels == before
    assert made.board.levels["flood"] == 1.0


async def test_what_an_alarm_put_out_is_lit_again_and_called_unknown_until_then(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    made = await bench()
    nursery.start_soon(made.lights.run)
    made.lights.exam_opened()
    await trio.testing.wait_all_tasks_blocked()
    made.slot._set(cast(Stage, made.board), made.slot.status.state, "")
    assert made.lights.levels()["illumination"] == 1.0
    made.board.levels, made.board.outputs_lost = {}, 1
    made.board.alarm = "locked: home it first"
    assert made.lights.levels()["illumination"] is None
    await trio.sleep(2 * AGAIN_S)
    assert "not as wanted: illumination: error:9" in made.lights.detail
    made.board.alarm = ""  # it was homed
    await trio.sleep(2 * AGAIN_S)
    assert made.board.levels["flood"] == 1.0
    assert made.lights.levels()["illumination"] == 1.0


async def test_an_exam_that_ends_while_the_board_is_away_leaves_it_dark_when_it_comes_back(
    nursery: trio.Nursery,
) -> None:
    made = await bench()
    nursery.start_soon(made.lights.run)
    made.lights.exam_opened()
    await trio.testing.wait_all_tasks_blocked()
    made.slot._set(None, made.slot.status.state, "unplugged")
    assert "illumination (flood) unknown" in made.lights.detail
    made.lights.exam_closed()
    lit = Board(levels={"flood": 1.0})  # its LED was on by itself
    await made.plug(lit)
    assert set(lit.levels.values()) == {0.0}


async def test_a_board_in_alarm_gets_its_light_once_it_obeys_and_says_so_once_until_then(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    made = await bench(board=Board(alarm="locked: home it first"))
    nursery.start_soon(made.lights.run)
    made.lights.exam_opened()
    await trio.sleep(10 * AGAIN_S)
    assert "not as wanted: illumination: error:9: locked" in made.lights.detail
    assert len(made.events) <= 2, "the reason is told once, once more when it changed with the exam"
    tries = made.board.calls
    assert tries < 60
    made.board.alarm = ""
    await trio.sleep(2 * AGAIN_S)
    assert made.board.levels["flood"] == 1.0
    assert "not as wanted" not in made.lights.detail
    calls = made.board.calls
    await trio.sleep(100)
    assert made.board.calls == calls, "what is as it should be is left alone"


async def test_an_output_that_the_board_has_not_got_costs_one_lamp_and_not_the_stage() -> None:
    made = await bench(board=Board(outputs=("spindle", "mist")))
    assert [event.kind for event in made.events] == ["light.missing"]
    assert "no output for illumination on flood; it has: spindle, mist" in made.events[0].text
    assert (await made.lights.show_target("up")).lit


# ------------------------------------------------------------------------------------------------ no lamps, console


async def test_without_a_lamp_a_peripheral_photograph_needs_somebody_who_told_the_patient() -> None:
    dark = await bench(LightConfig())
    assert "ask the patient to look ahead" in await dark.lights.aim("centre")
    with pytest.raises(Refused, match=r"no fixation target up: .*fixation up"):
        await dark.lights.aim("up")
    await dark.lights.show_target("up")
    assert "ask the patient to look up" in await dark.lights.aim("up")
    lit = await bench()
    assert await lit.lights.aim("up") == "fixation lamp up is lit"


async def test_without_lamps_everything_works_and_says_so() -> None:
    made = await bench(LightConfig())
    with trio.fail_after(5):
        await made.lights.run()
    shown = await made.lights.show_target("up-right")
    assert (shown.lit, shown.gaze) == (False, gaze_at("up-right", 5.0))
    assert shown.words == "no fixation lamp is configured: ask the patient to look up-right, 5 degrees"
    async with made.lights.flash():
        made.lights.exam_opened()
    assert made.lights.detail == "no lamps are configured ([light]); looking up-right"
    with pytest.raises(Refused, match=r"no flash lamp is configured \(\[light.flash\]\); there is: none"):
        await made.lights.switch("flash", 1.0)
    assert made.board.calls == 0


@pytest.mark.parametrize(
    ("line", "text", "levels"),
    [
        ("light illumination", "illumination at 100 %, confirmed by the board", {"flood": 1.0}),
        ("light flash on", "flash at 50 %, confirmed by the board", {"mist": 0.5}),
        ("light flash 12.5", "flash at 12.5 %, confirmed by the board", {"mist": 0.125}),
        ("light flash off", "flash off, confirmed by the board", {"mist": 0.0}),
        ("light", "illumination (flood) off, flash (mist) off, fixation (spindle) off", {}),
        ("fixation up-left", "fixation lamp up-left is lit", {"spindle": LADDER[8]}),
        ("fixation off", "no fixation target", {"spindle": 0.0}),
        ("fixation", "no fixation target is shown", {}),
    ],
)
async def test_the_console(line: str, text: str, levels: dict[str, Any]) -> None:
    made = await bench()
    table = CommandTable(LightCommands(made.lights).table())
    invocation = table.parse(line)
    reply = await invocation.command.handler(CommandContext(table, lambda text: None), invocation.arguments)
    assert reply.text == text
    assert {**made.board.levels, **levels} == made.board.levels
    assert reply.data is not None
    assert set(reply.data["levels"]) == {"illumination", "flash", "fixation"}


@pytest.mark.parametrize("line", ["light flash 101", "light flash nan", "light sun on", "fixation nose"])
async def test_what_the_console_does_not_take(line: str) -> None:
    made = await bench()
    with pytest.raises(Exception, match=r"not one of|not on, off, or percent"):
        CommandTable(LightCommands(made.lights).table()).parse(line)
