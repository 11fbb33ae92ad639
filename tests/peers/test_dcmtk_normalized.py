"""A whole print session with DCMTK's dcmprscp: each N- service in the Basic Grayscale Print Management Meta class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peers_material import program
from pydicom.dataset import Dataset

from firmware_app.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from firmware_app.net.association import associate
from firmware_app.net.errors import DimseFailure
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.net.normalized import n_action, n_create, n_delete, n_get, n_set

pytestmark = pytest.mark.peer("dcmtk")
PRINT_META = "1.2.840.10008.5.1.1.9"
FILM_SESSION, FILM_BOX, IMAGE_BOX = "1.2.840.10008.5.1.1.1", "1.2.840.10008.5.1.1.2", "1.2.840.10008.5.1.1.4"
PRINTER, PRINTER_INSTANCE = "1.2.840.10008.5.1.1.16", "1.2.840.10008.5.1.1.17"
CONFIGURATION = """[[GENERAL]]
[APPLICATION]
LogDirectory = {folder}
[PRINT]
Server = dcmprscp
Directory = {folder}
DetailedLog = false
BinaryLog = false
[DATABASE]
Directory = {folder}
[LUT]
Directory = {folder}
[[COMMUNICATION]]
[PRINTSCP]
Aetitle = PRINTSCP
Description = test
Hostname = localhost
Port = {port}
Type = LOCALPRINTER
DisplayFormat=1,1\\1,2
FilmSizeID = 8INX10IN
ImplicitOnly = false
MagnificationType = REPLICATE\\BILINEAR\\CUBIC\\NONE
MaxDensity = 320
MaxPDU = 32768
MediumType = PAPER
OmitSOPClassUIDFromCreateResponse = {omit}
Supports12Bit = true
SupportsPresentationLUT = false
"""


@pytest.fixture
def start_printer(servers: Any, servers_folder: Path, unused_port: Callable[[], int]) -> Callable[[bool], Node]:
    def start(omit: bool) -> Node:
        port = unused_port()
        path = servers_folder / "dcmpstat.cfg"
        path.write_text(CONFIGURATION.format(folder=servers_folder, port=port, omit=str(omit).lower()))
        servers.start(port, program("dcmprscp"), "-c", str(path), "-p", "PRINTSCP")
        return Node("printer", "127.0.0.1", port, "PRINTSCP", Timeouts.all(20))

    return start


def image(rows: int, columns: int) -> Dataset:
    pixels = Dataset()
    pixels.SamplesPerPixel, pixels.PhotometricInterpretation = 1, "MONOCHROME2"
    pixels.Rows, pixels.Columns = rows, columns
    pixels.BitsAllocated = pixels.BitsStored = 8
    pixels.HighBit, pixels.PixelRepresentation = 7, 0
    pixels.PixelAspectRatio = ["1", "1"]
    pixels.PixelData = bytes(value % 256 for value in range(rows * columns))
    pixels["PixelData"].VR = "OB"
    box = Dataset()
    box.ImageBoxPosition = 1
    box.BasicGrayscaleImageSequence = [pixels]
    return box


@pytest.mark.parametrize("omit", [False, True], ids=["UIDs in the responses", "no SOP class in the responses"])
@pytest.mark.parametrize("syntax", [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN])
async def test_a_print_session(
    omit: bool, syntax: str, start_printer: Callable[[bool], Node], local: LocalApplicationEntity
) -> None:
    node = start_printer(omit)
    async with associate(node, local, ((PRINT_META, (syntax,)),)) as association:
        meta = association.context(PRINT_META)
        printer = await n_get(association, PRINTER, PRINTER_INSTANCE, [0x21100010, 0x21100020], context=meta)
        assert printer.decode().PrinterStatus == "NORMAL"

        wanted = Dataset()
        wanted.NumberOfCopies, wanted.MediumType = "1", "PAPER"
        session = await n_create(association, FILM_SESSION, None, wanted, context=meta)
        assert session.sop_instance_uid and session.sop_class_uid == FILM_SESSION

        film = Dataset()
        film.ImageDisplayFormat, film.FilmOrientation, film.FilmSizeID = "STANDARD\\1,1", "PORTRAIT", "8INX10IN"
        link = Dataset()
        link.ReferencedSOPClassUID, link.ReferencedSOPInstanceUID = FILM_SESSION, session.sop_instance_uid
        film.ReferencedFilmSessionSequence = [link]
        box = await n_create(association, FILM_BOX, None, film, context=meta)
        (position,) = box.decode().ReferencedImageBoxSequence

        image_uid = position.ReferencedSOPInstanceUID
        changed = await n_set(association, IMAGE_BOX, image_uid, image(60, 80), context=meta)
        assert (changed.status, changed.sop_instance_uid) == (0, image_uid)
        printed = await n_action(association, FILM_BOX, box.sop_instance_uid, 1, context=meta)
        assert not printed.is_warning
        await n_delete(association, FILM_BOX, box.sop_instance_uid, context=meta)
        await n_delete(association, FILM_SESSION, session.sop_instance_uid, context=meta)
    assert association.release_failure is None


async def test_what_the_printer_does_not_have_is_named(
    start_printer: Callable[[bool], Node], local: LocalApplicationEntity
) -> None:
    node = start_printer(False)
    with pytest.raises(DimseFailure, match="N-DELETE failed with status 0112H no such SOP instance"):
        async with associate(node, local, ((PRINT_META, (IMPLICIT_VR_LITTLE_ENDIAN,)),)) as association:
            await n_delete(association, FILM_BOX, "1.2.3", context=association.context(PRINT_META))
