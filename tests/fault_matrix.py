"""Every fault at every step of an exam: what the service makes of it, and whether the exam goes on.

What is asked is in `_FaultyExam`; what came of one fault in one step is an `Outcome`, whose `problem` is empty where
everything was as it must be.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import trio
from fault_bench import BITS_STORED, EXPOSURE_US, FaultBench
from fault_cells import FAULTS, STEPS, Fault

from firmware_app.model import CommitmentState, Delivery, Eye, Patient
from firmware_app.services.causes import in_one_line
from firmware_app.services.commands import EXPECTED
from hw.errors import DeviceError

EXAM_S: Final = 300.0
RECOVERY_S: Final = 20.0  # at most 5 s between two tries to open it and what opening takes, on a machine that has time
LAMPS_S: Final = 12.0  # the service looks after its lamps every 2 s
COMMITTED_S: Final = 30.0
POLL_S: Final = 0.02
LOOKS: Final = 2
OUT_S: Final = 0.7  # how long a plug stays out, at least


@dataclass
class Outcome:
    """`reason` is what the step that failed said, empty where it did not fail.

    `recovered_s` is from the end of the fault to ready, where the device was lost, and else to its next answer.
    """

    fault: str
    step: str
    reason: str = ""
    recovered_s: float = 0.0
    remedy: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def line(self) -> str:
        if self.problem:
            what = f"FAILED: {self.problem}"
        else:
            what = f"failed and was done again: {self.reason}" if self.reason else "done all the same"
        after = f" (after {', '.join(self.remedy)})" if self.remedy else ""
        return f"{self.fault:18} {self.step:9} {self.recovered_s:5.2f} s  {what}{after}"


async def run_exam(bench: FaultBench, faults: Mapping[str, Fault], number: int) -> list[Outcome]:
    """One exam with a fault in each of some steps. After a problem the faults that are left get another exam."""
    outcomes: list[Outcome] = []
    while left := {step: fault for step, fault in faults.items() if step not in {each.step for each in outcomes}}:
        met = len(outcomes)
        problem = await _problem_of(bench, left, number, outcomes)
        if not problem:
            break
        if len(outcomes) == met:
            outcomes.append(Outcome("without a fault", next(iter(left))))
        outcomes[-1].problem = problem
        await _clear(bench)
    return outcomes


async def _problem_of(bench: FaultBench, faults: Mapping[str, Fault], number: int, outcomes: list[Outcome]) -> str:
    problem = ""
    try:
        with trio.fail_after(EXAM_S):
            await _FaultyExam(bench, faults, number, outcomes).run()
    except* trio.TooSlowError:
        problem = f"not at its end after {EXAM_S:g} s; {bench.words}"
    except* (AssertionError, *EXPECTED) as group:
        problem = f"{in_one_line(group)}; {bench.words}"
    return problem


async def _clear(bench: FaultBench) -> None:
    """After a cell that failed: no exam open, every fault taken back."""
    for fault in FAULTS:
        if fault.end:
            try:
                await bench.simulator.command(fault.end)
            except ValueError:
                continue  # it is plugged in
    await bench.until("ready", lambda: bench.is_ready)
    if bench.service.exams.exam is not None:
        await bench.service.exams.abandon()


class _FaultyExam:
    def __init__(self, bench: FaultBench, faults: Mapping[str, Fault], number: int, outcomes: list[Outcome]) -> None:
        self.bench, self.faults, self.number, self.outcomes = bench, faults, number, outcomes
        self.eye = Eye.LEFT if number % 2 else Eye.RIGHT
        self.first = len(bench.events)
        self.exam_id = ""
        self.steps: dict[str, Callable[[], Awaitable[object]]] = {
            "start": self._start,
            "home": bench.service.capture.home,
            "drive": lambda: bench.service.capture.go_to_eye(self.eye),
            "align": lambda: bench.service.capture.align(bench.tell),
            "burst": lambda: bench.service.exams.take(self.eye, bench.tell),
            "analysis": lambda: bench.service.exams.result(self.eye),
            "finish": lambda: bench.service.exams.finish(bench.tell),
            "delivery": self._delivery,
        }

    async def run(self) -> None:
        for step in STEPS:
            if step in self.faults:
                await self._with_fault(step, self.faults[step])
            elif step != "home" or not self.bench.is_homed:
                await self.steps[step]()
        await self.bench.until("dark after the exam", lambda: not any(self.bench.simulator.lamps().values()), LAMPS_S)
        self._check_events(self.first, tuple(self.faults.values()))
        await self._check_kept()

    async def _start(self) -> None:
        patient = Patient(name=f"Fault^{self.number}", patient_id=f"F{self.number}", birth_date="", sex="")
        self.exam_id = (await self.bench.service.exams.start((), patient, "Test^Fault")).exam_id

    async def _delivery(self) -> None:
        """What the archive has taken over the responsibility for, at the first try: no fault of a device matters."""
        with trio.move_on_after(COMMITTED_S):
            while {each.commitment for each in await self._deliveries()} != {CommitmentState.COMMITTED}:  # noqa: ASYNC110
                await trio.sleep(POLL_S)  # the archive's report comes to another service
        deliveries = await self._deliveries()
        left = [each for each in deliveries if each.commitment is not CommitmentState.COMMITTED or each.attempts != 1]
        assert deliveries and not left, f"not committed, or not at the first try: {left}"

    async def _deliveries(self) -> list[Delivery]:
        newest = await self.bench.records.deliveries(newest_first=True, limit=20)
        return [each for each in newest if each.exam_id == self.exam_id]

    async def _with_fault(self, step: str, fault: Fault) -> None:
        """The step with the fault in its middle; then the fault ends, and the step must succeed."""
        bench, first = self.bench, len(self.bench.events)
        outcome = Outcome(fault.name, step)
        self.outcomes.append(outcome)
        since_s = await self._disturbed(step, fault, outcome)
        if fault.loses:
            await bench.until("told of the loss", lambda: f"{fault.device}.lost" in self._kinds(first))
        await bench.until("ready again", lambda: bench.is_ready, RECOVERY_S)
        await self._look(fault)
        await bench.until("ready again", lambda: bench.is_ready, RECOVERY_S)
        ready_s = bench.told_s[f"{fault.device}.ready"] if fault.loses else trio.current_time()
        outcome.recovered_s = ready_s - since_s
        told = bench.simulator.camera_told()
        assert told == (BITS_STORED, EXPOSURE_US), f"the camera was told {told}"
        await self._remedy(step, fault, outcome)
        if outcome.reason:
            await self.steps[step]()
        self._check_events(first, (fault,))
        if bench.service.exams.exam is not None and bench.is_homed:  # a Grbl that was not homed lights nothing
            await bench.until("lit as wanted", self._is_lit, LAMPS_S)

    async def _disturbed(self, step: str, fault: Fault, outcome: Outcome) -> float:
        """Returns when the fault was at its end; what was only disturbed is in use until the step has ended."""
        command, ended = self.bench.simulator.command, trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._attempt, step, outcome, ended)
            await self._middle(step, ended)
            await command(fault.inflict)
            if fault.end:
                await trio.sleep(OUT_S)
                if not fault.loses:  # what only disturbs lasts until the step has ended
                    await ended.wait()
                await command(fault.end)
            ended_s = trio.current_time()
        return ended_s if fault.loses else trio.current_time()

    async def _attempt(self, step: str, outcome: Outcome, ended: trio.Event) -> None:
        try:
            await self.steps[step]()
        except DeviceError as error:
            outcome.reason = str(error)
            assert outcome.reason.strip(), f"{type(error).__name__} without a reason"
        finally:
            ended.set()

    async def _middle(self, step: str, ended: trio.Event) -> None:
        if step in ("home", "drive", "align"):
            await self.bench.until("moving", lambda: self.bench.simulator.moving or ended.is_set())
            await trio.sleep(0.1)
        elif step == "burst":
            await trio.sleep(0.1)
        elif step == "finish":
            writing = "writing report and objects"
            await self.bench.until("writing", lambda: self.bench.told[-1:] == [writing] or ended.is_set())
        else:
            await trio.lowlevel.checkpoint()

    async def _look(self, fault: Fault) -> None:
        """As somebody does who looks at the screen: half a line waits for the next question, and spoils it."""
        for _ in range(LOOKS if fault.device == "stage" else 0):
            try:
                await self.bench.service.capture.position()
            except DeviceError:
                await trio.lowlevel.checkpoint()
            else:
                return

    async def _remedy(self, step: str, fault: Fault, outcome: Outcome) -> None:
        """What the operator has to do, and is told to: home a stage that has lost its place, and drive back."""
        if fault.remedy:
            await self.bench.simulator.command(fault.remedy)
            await self._look(fault)
            outcome.remedy = ["off and on"]
        needs_homing = fault.unseen or not self.bench.is_homed
        if not needs_homing or step == "start" or (step == "home" and outcome.reason):
            return
        before = {"align": ["home", "drive"], "burst": ["home", "drive", "align"]}
        steps = before.get(step, ["home"])
        outcome.remedy += steps
        for each in steps:
            await self.steps[each]()
        if step == "drive" and not outcome.reason:
            await self.steps["drive"]()

    def _is_lit(self) -> bool:
        lamps, lit = self.bench.simulator.lamps(), self.bench.lit
        return not lit or (lamps[lit[0]] == 1.0 and lamps[lit[1]] == 0.0)

    def _kinds(self, first: int) -> list[str]:
        return [event.kind for event in self.bench.events[first:]]

    def _check_events(self, first: int, faults: tuple[Fault, ...]) -> None:
        """A loss is told once, and once that it is over."""
        kinds = self._kinds(first)
        for device in ("stage", "camera"):
            lost, ready = kinds.count(f"{device}.lost"), kinds.count(f"{device}.ready")
            ours = [fault for fault in faults if fault.device == device]
            least = sum(fault.loses for fault in ours)
            assert least <= lost == ready <= len(ours), f"{device}: {lost} times told lost, {ready} times ready"

    async def _check_kept(self) -> None:
        """Every capture that was reported is on disk, and every object of the exam is queued."""
        said = [
            event.data["capture_id"] for event in self.bench.events[self.first :] if event.kind == "capture.captured"
        ]
        kept = {capture.capture_id for capture in await self.bench.records.captures(self.exam_id)}
        assert said and set(said) <= kept, f"reported {said}, kept {kept}"
        for capture_id in kept:
            frame = await self.bench.records.load_frame(capture_id)
            assert frame.bits_stored == BITS_STORED
        objects = {each.sop_instance_uid for each in await self.bench.records.objects(self.exam_id)}
        queued = {each.sop_instance_uid for each in await self._deliveries()}
        assert objects and objects <= queued, "an object of the exam is not queued"
