"""`specular demo`: a whole exam of both eyes, on the simulated instrument, into the embedded hospital.

Simulator, hospital and service are processes of their own; the service is driven through its console only, as a
technician does it, and the other side is asked: the archive over DICOM whether it really holds what was sent, the
information system for the performed procedure step, the printer for its film.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from firmware_app.demo import evidence, folder, truth_table
from firmware_app.demo.configuration import DemoPaths, configuration_text
from firmware_app.demo.confirmation import Archive, NoAnswer, confirm
from firmware_app.demo.console_link import CommandRefused, ConsoleLink, answers, connected
from firmware_app.demo.folder import DeliveredInstance
from firmware_app.demo.processes import Child, DemoFailed, running, signals_as_interrupts, tail
from firmware_app.demo.progress import Progress

EXIT_DONE, EXIT_FAILED = 0, 1
DEFAULT_OUT = Path("demo-out")
EYES = ("R", "L")

# Generous: a loaded single-board computer is five times slower than what these were measured on.
SIMULATOR_READY_S = 60.0  # it builds two mosaics first
HOSPITAL_READY_S = 20.0
SERVICE_READY_S = 20.0
DEVICES_READY_S = 20.0
STORED_S = 60.0
POLL_S = 0.1


def run_demo(*, out: Path | None, seed: int, keep: bool) -> int:
    """Perform the exam and say on stdout how it went.

    0 only when the archive holds every instance and has committed to it, the performed procedure step is completed at
    the hospital, and a film is printed; else 1 with the reason.
    """
    progress = Progress(sys.stdout, time.monotonic)
    paths = DemoPaths((out or DEFAULT_OUT).resolve(), Path(tempfile.mkdtemp(prefix="specular-demo-")))
    try:
        with signals_as_interrupts():
            if seed < 0:
                raise DemoFailed(f"--seed {seed}: the simulated eyes are numbered from 0")
            folder.take_over(paths.out)
            paths.logs.mkdir()
            with _hospital_with_instrument(paths, seed, progress) as (link, truths, hospital):
                summary = _Exam(link, paths, hospital, progress).perform(truths)
                _conclude(summary, paths, seed, progress)
                if keep:
                    _keep(paths, progress)
    except (DemoFailed, CommandRefused, NoAnswer) as error:
        print(f"specular demo: {error}", file=sys.stderr)
        _show_logs(error, paths)
        return EXIT_FAILED
    finally:
        shutil.rmtree(paths.runtime, ignore_errors=True)
    return EXIT_DONE


@contextmanager
def _hospital_with_instrument(
    paths: DemoPaths, seed: int, progress: Progress
) -> Iterator[tuple[ConsoleLink, dict[str, Any], Child]]:
    """All three processes up and the console connected; yields it, the truth of each eye, and the hospital."""
    with ExitStack() as stack:
        with progress.step("simulated instrument") as step:
            arguments = ["sim", "--seed", str(seed), "--link-dir", str(paths.runtime)]
            simulator = stack.enter_context(running("simulator", arguments, paths.logs))
            instrument = simulator.first_line(SIMULATOR_READY_S)
            step.result = f"stage {instrument['stage']}, camera {instrument['camera']}"
        with progress.step("embedded hospital") as step:
            port = free_port()
            arguments = ["hospital", "--out", str(paths.archive), "--pages", str(paths.films)]
            arguments += ["--station-port", str(port)]
            hospital = stack.enter_context(running("hospital", arguments, paths.logs))
            addresses = hospital.first_line(HOSPITAL_READY_S)
            step.result = ", ".join(
                f"{address['ae_title']} on {address['ip']}:{address['port']}"
                for address in (addresses["worklist"], addresses["archive"], addresses["printer"])
            )
        with progress.step("configuration checked") as step:
            text = configuration_text(paths, instrument, addresses, port)
            paths.configuration.write_text(text, encoding="utf-8")
            _check_configuration(paths.configuration)
            step.result = str(paths.configuration)
        with progress.step("service") as step:
            service = stack.enter_context(running("service", ["run", "--config", str(paths.configuration)], paths.logs))
            service.wait_until(lambda: answers(paths.console), SERVICE_READY_S, "opened its console")
            link = stack.enter_context(connected(paths.console))
            step.result = _devices_ready(link, service)
        yield link, instrument["truth"], hospital


def free_port() -> int:
    """Free now, and so when the service takes it a second later: nothing else here takes ports by number."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _check_configuration(path: Path) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "firmware_app", "check-config", str(path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if checked.returncode != 0:
        raise DemoFailed(f"{path} is refused: {(checked.stderr or checked.stdout).strip()}")


def _devices_ready(link: ConsoleLink, service: Child) -> str:
    devices: list[dict[str, Any]] = []

    def ready() -> bool:
        devices[:] = link.run("status")[1]["devices"]
        return len(devices) == 2 and all(device["state"] == "ready" for device in devices)

    try:
        service.wait_until(ready, DEVICES_READY_S, "found stage and camera")
    except DemoFailed as error:
        states = "; ".join(f"{device['name']} {device['state']}: {device['detail']}" for device in devices)
        raise DemoFailed(f"{error} ({states})", error.log) from error
    return ", ".join(f"{device['name']} {device['detail']}" for device in devices)


class _Exam:
    """The technician's steps, in order."""

    def __init__(self, link: ConsoleLink, paths: DemoPaths, hospital: Child, progress: Progress) -> None:
        self._link = link
        self._paths = paths
        self._hospital = hospital
        self._archive = Archive(**hospital.first_line(HOSPITAL_READY_S)["archive"])
        self._progress = progress

    def perform(self, truths: dict[str, Any]) -> dict[str, Any]:
        """Returns the summary of the exam."""
        patient = self._first_scheduled_patient()
        started = self._command("exam start 1")
        self._command("home")
        for eye in EYES:
            self._command(f"auto {eye}")
        results = {eye: self._command(f"results {eye}") for eye in EYES}
        finished = self._command("exam finish")
        if finished["study_instance_uid"] != patient["study_instance_uid"]:
            raise DemoFailed("the exam's Study Instance UID is not the one of the worklist item")
        pictures = folder.collect_pictures(finished["pictures"], self._paths)
        instances = folder.collect_instances(finished["instances"], self._paths)
        self._wait_until_stored(instances)
        self._confirm(instances, finished["study_instance_uid"])
        self._wait_until_committed(instances)
        step_uid = self._wait_until_performed(instances, finished["study_instance_uid"])
        films = self._print(started["exam_id"])
        states = {each["sop_instance_uid"]: each for each in self._deliveries()}
        return {
            "exam_id": started["exam_id"],
            "study_instance_uid": finished["study_instance_uid"],
            "accession_number": patient["accession_number"],
            "eyes": {eye: _eye_summary(results[eye], truths[eye]) for eye in EYES},
            "pictures": [str(path.relative_to(self._paths.out)) for path in pictures],
            "films": [str(path.relative_to(self._paths.out)) for path in films],
            "performed_procedure_step": step_uid,
            "instances": [
                {
                    "sop_instance_uid": instance.sop_instance_uid,
                    "sop_class_uid": instance.sop_class_uid,
                    "kind": instance.kind,
                    "file": str(instance.file.relative_to(self._paths.out)),
                    "data_set_sha256": instance.sha256,
                    "archive": "held",
                    "captured": True,
                    "stored": states[instance.sop_instance_uid]["state"] == "stored",
                    "committed": states[instance.sop_instance_uid]["commitment"] == "committed",
                }
                for instance in instances
            ],
        }

    def _command(self, line: str) -> dict[str, Any]:
        with self._progress.step(line) as step:
            text, data = self._link.run(line, step.now)
            step.result = text.partition("\n")[0]
        return data

    def _first_scheduled_patient(self) -> dict[str, Any]:
        with self._progress.step("worklist") as step:
            items: list[dict[str, Any]] = self._link.run("worklist", step.now)[1]["items"]
            if not items:
                raise DemoFailed("the worklist has no scheduled patient for this instrument today")
            step.result = f"{len(items)} patients scheduled today, the first at {items[0]['scheduled_start_time'][:4]}"
        return items[0]

    def _wait_until_stored(self, instances: list[DeliveredInstance]) -> None:
        """The service's own word: every instance answered "stored" by the archive."""
        wanted = {instance.sop_instance_uid for instance in instances}
        with self._progress.step("stored") as step:
            give_up_s = time.monotonic() + STORED_S
            while True:
                deliveries = self._deliveries()
                states = {each["sop_instance_uid"]: each for each in deliveries if each["sop_instance_uid"] in wanted}
                stored = [uid for uid, each in states.items() if each["state"] == "stored"]
                step.now(f"{len(stored)} of {len(wanted)}")
                for each in states.values():
                    if each["state"] == "failed":
                        raise DemoFailed(f"the archive refused {each['sop_instance_uid']}: {each['reason']}")
                if len(stored) == len(wanted):
                    step.result = f"{len(stored)} instances"
                    return
                if time.monotonic() > give_up_s:
                    reasons = {each["reason"] for each in states.values() if each["reason"]}
                    why = "; ".join(sorted(reasons)) or "the service gives no reason"
                    raise DemoFailed(f"{len(stored)} of {len(wanted)} instances stored in {STORED_S:.0f} s: {why}")
                time.sleep(POLL_S)

    def _confirm(self, instances: list[DeliveredInstance], study_instance_uid: str) -> None:
        with self._progress.step("archive asked over DICOM") as step:
            confirm(instances, study_instance_uid, self._archive, self._paths.archive)
            step.result = f"it holds all {len(instances)} instances, unchanged"

    def _wait_until_committed(self, instances: list[DeliveredInstance]) -> None:
        with self._progress.step("committed") as step:
            wanted = {instance.sop_instance_uid for instance in instances}
            evidence.wait_until_committed(self._deliveries, wanted, step.now)
            step.result = f"the archive takes responsibility for all {len(instances)} instances"

    def _wait_until_performed(self, instances: list[DeliveredInstance], study_instance_uid: str) -> str:
        """The SOP Instance UID of the performed procedure step."""
        with self._progress.step("performed procedure step") as step:
            wanted = {instance.sop_instance_uid for instance in instances}
            performed = evidence.wait_until_performed(self._hospital, study_instance_uid, wanted)
            step.result = f"{performed['step_status']} at the hospital, with {len(wanted)} instances"
        return str(performed["sop_instance_uid"])

    def _print(self, exam_id: str) -> list[Path]:
        queued = self._command(f"print {exam_id}")["jobs"]
        with self._progress.step("printed") as step:
            jobs = {int(job["job_id"]) for job in queued}
            films = evidence.wait_until_printed(self._hospital, self._print_jobs, jobs, step.now)
            step.result = ", ".join(film.name for film in films)
        return films

    def _deliveries(self) -> list[dict[str, Any]]:
        deliveries: list[dict[str, Any]] = self._link.run("queue")[1]["deliveries"]
        return deliveries

    def _print_jobs(self) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = self._link.run("print-jobs")[1]["jobs"]
        return jobs


def _eye_summary(result: dict[str, Any], truth: dict[str, Any]) -> dict[str, Any]:
    measured = result["morphometry"]
    if measured and result["thickness"]:
        measured = {**measured, "thickness_um": result["thickness"]["thickness_um"]}
    return {
        "status": result["status"],
        "reason": result["reason"],
        "quality": result["quality"]["grade"],
        "measured": measured,
        "truth": truth,
        "difference": truth_table.differences(measured, truth) if measured else None,
    }


def _conclude(summary: dict[str, Any], paths: DemoPaths, seed: int, progress: Progress) -> None:
    whole = {"simulated": True, "seed": seed, "seconds": round(progress.elapsed_s(), 1), **summary}
    content = json.dumps(whole, ensure_ascii=False, indent=2) + "\n"
    (paths.out / "summary.json").write_text(content, encoding="utf-8")
    progress.write()
    progress.write(truth_table.table(summary["eyes"]))
    progress.write()
    progress.write(f"{paths.out}")
    for picture in (*summary["pictures"], *summary["films"]):
        progress.write(f"  {picture}")
    progress.write(f"  instances/  {len(summary['instances'])} DICOM instances, all held by the archive")
    for instance in summary["instances"]:
        reached = [word for word in ("captured", "stored", "committed") if instance[word]]
        progress.write(f"    {instance['kind']:8}  {', '.join(reached):27}  {instance['sop_instance_uid']}")
    progress.write("  summary.json")
    progress.write(f"done in {progress.elapsed_s():.1f} s")


def _keep(paths: DemoPaths, progress: Progress) -> None:
    """Until Ctrl-C, which is then the ordinary end."""
    progress.write()
    progress.write("Everything is still running. Try the console in another terminal:")
    progress.write(f"  {Path(sys.executable).parent / 'specular'} console --config {paths.configuration}")
    progress.write("Ctrl-C here ends it.")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        progress.write("ending")


def _show_logs(error: Exception, paths: DemoPaths) -> None:
    logs = [error.log] if isinstance(error, DemoFailed) and error.log else [paths.logs / "service.log"]
    for log in logs:
        lines = tail(log)
        if lines:
            print(f"the end of {log}:", file=sys.stderr)
            for line in lines:
                print(f"  {line}", file=sys.stderr)
