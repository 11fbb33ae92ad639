"""What a toolkit finds odd in a peer's data quotes it: none of it reaches standard error, where the journal listens."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import trio
from dicom_acceptor import run_acceptor
from film_printer import FilmPrinter
from pydicom.dataset import Dataset

from firmware_app.dicom.uids import IMPLICIT_VR_LITTLE_ENDIAN
from firmware_app.net.attributes import encode_attributes

PROGRAM = """
import logging, sys
from firmware_app.services.log import configure_log
logging.basicConfig()
configure_log("debug")
import pydicom
logging.getLogger("pydicom").warning("DOE^JOHN")
"""


async def test_a_verb_that_reads_odd_values_is_silent_about_them() -> None:
    status = Dataset()
    status.PrinterStatus, status.PrinterName = "NORMAL", "LAB"
    odd = b"\x08\x00\x18\x00\x08\x00\x00\x00DOE^JOHN"  # a SOP Instance UID that is none
    printer = FilmPrinter(octets={"get": odd + encode_attributes(status, IMPLICIT_VR_LITTLE_ENDIAN)})
    async with run_acceptor(printer) as peer:
        command = [sys.executable, "-m", "firmware_app", "print", f"PEER@127.0.0.1:{peer.node.port}", "--status"]
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"NORMAL" in done.stdout


async def test_the_service_tells_that_pydicom_warns_and_not_what() -> None:
    run = partial(subprocess.run, [sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    (line,) = (await trio.to_thread.run_sync(run)).stderr.splitlines()
    assert b"pydicom has found something odd" in line
    assert b"DOE" not in line
