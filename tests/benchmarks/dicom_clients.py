"""The clients of the DICOM benchmark: whole processes by their command lines, or a loop inside one of them.

    python tests/benchmarks/dicom_clients.py ours|pynetdicom echo|associate|worklist PORT COUNT

prints the figures of a loop as one JSON object; process start and imports are not in them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "peers")]

from dicom_servers import environment  # noqa: E402
from peers_material import program  # noqa: E402

LIMIT_S = 300
POLL_S = 0.005
KEYS = [
    "SpecificCharacterSet",
    "AccessionNumber",
    "ReferringPhysicianName",
    "ReferencedStudySequence",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientWeight",
    "StudyInstanceUID",
    "RequestingPhysician",
    "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence",
    "CurrentPatientLocation",
    "RequestedProcedureID",
]
STEP_KEYS = [
    "Modality",
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "ScheduledPerformingPhysicianName",
    "ScheduledProcedureStepDescription",
    "ScheduledProcedureStepID",
    "ScheduledProcedureStepLocation",
    "ScheduledProtocolCodeSequence",
]


def seconds(command: Sequence[str], *, nodelay: bool = False) -> float:
    """Wall time of a whole process that has to succeed."""
    started_s = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT_S, env=environment(nodelay=nodelay), check=False
    )
    passed_s = time.perf_counter() - started_s
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return passed_s


def peak_mib(command: Sequence[str]) -> float:
    """VmHWM of a whole process: asked again and again until it is gone."""
    peak_kib = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment()) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            with suppress(OSError):
                for line in status.read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        peak_kib = max(peak_kib, int(line.split()[1]))
            time.sleep(POLL_S)
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    return peak_kib / 1024


def store_commands(port: int, files: Sequence[Path]) -> dict[str, list[str]]:
    names = list(map(str, files))
    return {
        "ours": [sys.executable, "-m", "firmware_app", "store", f"PEER@127.0.0.1:{port}", *names],
        "dcmtk": [program("storescu"), "-aec", "PEER", "127.0.0.1", str(port), *names],
        "pynetdicom": [sys.executable, "-m", "pynetdicom", "storescu", "-aec", "PEER", "127.0.0.1", str(port), *names],
    }


def echoscu(port: int, repeat: int = 1) -> list[str]:
    return [program("echoscu"), "-aec", "PEER", "--repeat", str(repeat), "127.0.0.1", str(port)]


def findscu(port: int) -> list[str]:
    keys = [*KEYS, *(f"ScheduledProcedureStepSequence[0].{key}" for key in STEP_KEYS)]
    options = [word for key in keys for word in ("-k", key)]
    return [program("findscu"), "-W", "-aec", "PEER", *options, "127.0.0.1", str(port)]


def loop(client: str, what: str, port: int, count: int) -> dict[str, float]:
    """The figures of a loop in a process of its own, which must have done all of it."""
    command = [sys.executable, str(Path(__file__).resolve()), client, what, str(port), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=environment())
    if done.returncode:
        raise RuntimeError(f"{client} {what} ended with {done.returncode}: {done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


# ------------------------------------------------------------------ ours, inside


def our_loop(what: str, port: int, count: int) -> dict[str, float]:
    import trio

    from firmware_app.net.association import associate
    from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
    from firmware_app.net.verification import VERIFICATION_CONTEXTS, echo
    from firmware_app.net.worklist import WorklistQuery, find_worklist
    from firmware_app.profiles import load_profile

    node = Node("peer", "127.0.0.1", port, "PEER", Timeouts.all(20))
    local = LocalApplicationEntity("SPECULAR", "127.0.0.1", "1.2.826.0.1.3680043.10.1", "SPECULAR_BENCH")

    async def echoes() -> dict[str, float]:
        result = await echo(node, local, count)
        assert result.count == count
        return {"per_s": count / result.seconds}

    async def associations() -> dict[str, float]:
        started_s = time.perf_counter()
        for _ in range(count):
            async with associate(node, local, VERIFICATION_CONTEXTS) as association:
                pass
            assert association.release_failure is None
        return {"per_s": count / (time.perf_counter() - started_s)}

    async def worklist() -> dict[str, float]:
        keys = load_profile().worklist_keys
        first_s = 0.0
        items = []
        started_s = time.perf_counter()
        async for item in find_worklist(node, local, WorklistQuery(), keys):
            items.append(item)
            first_s = first_s or time.perf_counter() - started_s
        passed_s = time.perf_counter() - started_s
        assert len({item.patient.patient_id for item in items}) == count
        return {"s": passed_s, "first_s": first_s}

    loops: dict[str, Callable[..., object]] = {"echo": echoes, "associate": associations, "worklist": worklist}
    return trio.run(loops[what])  # type: ignore[arg-type, return-value]


# ------------------------------------------------------------------ pynetdicom, inside


def peer_loop(what: str, port: int, count: int) -> dict[str, float]:
    from pydicom.dataset import Dataset
    from pynetdicom import AE

    verification, worklist = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.31"
    entity = AE("SPECULAR")
    entity.add_requested_context(worklist if what == "worklist" else verification)
    entity.dimse_timeout = 5  # it loses a response in some hundreds, and waits for it as long as it is told to

    def associate() -> object:
        association = entity.associate("127.0.0.1", port, ae_title="PEER")
        assert association.is_established
        return association

    started_s = time.perf_counter()
    if what == "associate":
        for _ in range(count):
            associate().release()  # type: ignore[attr-defined]
        return {"per_s": count / (time.perf_counter() - started_s)}
    if what == "echo":
        association = associate()
        started_s = time.perf_counter()
        answered = sum(bool(association.send_c_echo()) for _ in range(count))  # type: ignore[attr-defined]
        passed_s = time.perf_counter() - started_s
        association.release()  # type: ignore[attr-defined]
        return {"per_s": answered / passed_s}
    identifier, step = Dataset(), Dataset()
    for key in KEYS:
        setattr(identifier, key, [] if key.endswith("Sequence") else "")
    for key in STEP_KEYS:
        setattr(step, key, [] if key.endswith("Sequence") else "")
    identifier.ScheduledProcedureStepSequence = [step]
    first_s, items = 0.0, []
    association = associate()
    for _, found in association.send_c_find(identifier, worklist):  # type: ignore[attr-defined]
        if found is not None:
            items.append((str(found.PatientName), found.PatientID))
            first_s = first_s or time.perf_counter() - started_s
    association.release()  # type: ignore[attr-defined]
    assert len(set(items)) == count
    return {"s": time.perf_counter() - started_s, "first_s": first_s}


if __name__ == "__main__":
    client, what, port, count = sys.argv[1:]
    print(json.dumps({"ours": our_loop, "pynetdicom": peer_loop}[client](what, int(port), int(count))))
