"""The print queue: in order, durable, and no film twice by itself."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from records_material import START, StandingClock, exam_of

from firmware_app.records.errors import UnknownRecord, WrongState
from firmware_app.records.print_jobs import INTERRUPTED, MAY_BE_PRINTED, PrintState
from firmware_app.records.store import open_records

FILM = {"film_size": "8INX10IN", "layout": "1,1"}
PRINTER = "print"


async def test_films_are_printed_in_the_order_of_asking(tmp_path: Path) -> None:
    async with open_records(tmp_path, clock=StandingClock()) as records:
        jobs = records.print_jobs
        first, second = await jobs.add("", PRINTER, FILM, [["capture/a", "capture/b"], ["capture/c"]])
        (third,) = await jobs.add("", PRINTER, FILM, [["instance/1.2"]])
        await jobs.add("", "another", FILM, [["capture/x"]])
        assert first.job_id < second.job_id < third.job_id
        assert (first.images, first.film, first.state, first.wait_s) == (("capture/a", "capture/b"), FILM, "queued", 0)
        for expected in (first, second, third):
            head = await jobs.next_due(PRINTER)
            assert head is not None
            assert head.job_id == expected.job_id
            await jobs.mark_sending(head.job_id)
            await jobs.mark_printing(head.job_id)
            await jobs.mark_printed(head.job_id, 0xB604, "demagnified")
        assert await jobs.next_due(PRINTER) is None
        assert [job.job_id for job in await jobs.jobs(2)] == [third.job_id + 1, third.job_id]
        assert await jobs.counts() == {**dict.fromkeys(PrintState, 0), PrintState.PRINTED: 3, PrintState.QUEUED: 1}


async def test_the_head_that_waits_holds_back_the_others_and_a_failed_one_does_not(tmp_path: Path) -> None:
    clock = StandingClock()
    async with open_records(tmp_path, clock=clock) as records:
        jobs = records.print_jobs
        first, second = await jobs.add("", PRINTER, FILM, [["capture/a"], ["capture/b"]])
        await jobs.mark_sending(first.job_id)
        await jobs.mark_retry(first.job_id, None, "away", START + timedelta(seconds=30))
        head = await jobs.next_due(PRINTER)
        assert head is not None
        assert (head.job_id, head.wait_s, head.attempts, head.reason) == (first.job_id, 30.0, 1, "away")
        clock.advance(30)
        head = await jobs.next_due(PRINTER)
        assert head is not None
        assert head.wait_s == 0
        await jobs.mark_failed(first.job_id, 0xC603, "too large")
        head = await jobs.next_due(PRINTER)
        assert head is not None
        assert head.job_id == second.job_id


async def test_what_a_crash_interrupted(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        sending, printing, queued = await records.print_jobs.add("", PRINTER, FILM, [["capture/a"]] * 3)
        await records.print_jobs.mark_sending(sending.job_id)
        await records.print_jobs.mark_sending(printing.job_id)
        await records.print_jobs.mark_printing(printing.job_id)
    async with open_records(tmp_path) as records:
        states = {job.job_id: (job.state, job.reason) for job in await records.print_jobs.jobs()}
        assert states == {
            sending.job_id: (PrintState.QUEUED, INTERRUPTED),
            printing.job_id: (PrintState.FAILED, MAY_BE_PRINTED),
            queued.job_id: (PrintState.QUEUED, ""),
        }
        # Somebody has looked: it was not printed.
        again = await records.print_jobs.retry(printing.job_id)
        assert again.state == PrintState.QUEUED


async def test_only_this_printers_films_are_settled(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        jobs = records.print_jobs
        (ours,) = await jobs.add("", PRINTER, FILM, [["capture/a"]])
        (other,) = await jobs.add("", "another", FILM, [["capture/a"]])
        for job in (ours, other):
            await jobs.mark_sending(job.job_id)
            await jobs.mark_printing(job.job_id)
        assert await jobs.settle_interrupted(PRINTER) == 1
        assert (await jobs.job(other.job_id)).state == PrintState.PRINTING


async def test_steps_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        jobs = records.print_jobs
        (job,) = await jobs.add("", PRINTER, FILM, [["capture/a"]])
        with pytest.raises(WrongState, match=f"print job {job.job_id} is queued: no such step from there"):
            await jobs.mark_printing(job.job_id)
        with pytest.raises(WrongState):
            await jobs.mark_printed(job.job_id, 0)
        await jobs.mark_sending(job.job_id)
        with pytest.raises(WrongState):
            await jobs.mark_printed(job.job_id, 0)  # nobody has told it to print
        with pytest.raises(WrongState):
            await jobs.retry(job.job_id)
        with pytest.raises(WrongState):
            await jobs.withdraw(job.job_id)
        await jobs.mark_printing(job.job_id)
        await jobs.mark_printed(job.job_id, 0)
        with pytest.raises(WrongState):
            await jobs.retry(job.job_id)
        with pytest.raises(UnknownRecord, match="no print job 99"):
            await jobs.retry(99)


async def test_a_number_never_means_another_film(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        (job,) = await records.print_jobs.add("", PRINTER, FILM, [["capture/a"]])
        withdrawn = await records.print_jobs.withdraw(job.job_id)
        assert (withdrawn.state, withdrawn.reason) == (PrintState.FAILED, "withdrawn by hand")
        (later,) = await records.print_jobs.add("", PRINTER, FILM, [["capture/a"]])
        assert later.job_id == job.job_id + 1


async def test_automatic_films_are_queued_once_however_often_the_exam_is_finished(tmp_path: Path) -> None:
    async with open_records(tmp_path) as records:
        await records.begin_exam(exam_of(1))
        add = records.print_jobs.add_automatic
        assert [job.images for job in await add("exam-1", PRINTER, FILM, ["capture/a"])] == [("capture/a",)]
        again = await add("exam-1", PRINTER, FILM, ["capture/a", "capture/b"])
        assert [(job.images, job.automatic, job.exam_id) for job in again] == [(("capture/b",), True, "exam-1")]
        assert await add("exam-1", PRINTER, FILM, ["capture/a", "capture/b"]) == []
