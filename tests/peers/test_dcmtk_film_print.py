"""Films on DCMTK's dcmprscp, which keeps each one: the pixels on film are the pixels that were sent, to the bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from peers_material import program
from PIL import Image

from firmware_app.cli import main
from firmware_app.net.film_print import FilmRefused, ask_printer, film_session
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.objects.film_attributes import film_session_attributes
from firmware_app.objects.film_settings import FilmSettings, film_settings
from firmware_app.objects.identifiers import new_uid
from firmware_app.profiles import load_profile
from firmware_app.services.film_files import read_film_image
from firmware_app.services.film_pages import compose_film

pytestmark = pytest.mark.peer("dcmtk")
PROFILE = load_profile("specular")
SIZES = ("8INX10IN", "10INX12IN", "11INX14IN", "14INX14IN", "14INX17IN", "24CMX30CM")
MAGNIFICATIONS = ("REPLICATE", "BILINEAR", "CUBIC", "NONE")
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
BorderDensity = 150\\20\\BLACK\\WHITE
DisplayFormat=1,1\\2,2\\3,2
EmptyImageDensity = 20\\BLACK\\WHITE
FilmDestination = MAGAZINE\\PROCESSOR\\BIN_1\\BIN_2\\BIN_3\\BIN_4\\BIN_5
FilmSizeID = 8INX10IN\\10INX12IN\\11INX14IN\\14INX14IN\\14INX17IN\\24CMX30CM
ImplicitOnly = {implicit_only}
MagnificationType = REPLICATE\\BILINEAR\\CUBIC\\NONE
MaxDensity = 320
MaxPDU = 32768
MediumType = PAPER\\CLEAR FILM\\BLUE FILM
MinDensity = 20
OmitSOPClassUIDFromCreateResponse = {omit}
PresentationLUTMatchRequired = false
PresentationLUTinFilmSession = false
Configuration_1 = SHARP
SmoothingType = NONE\\SOFT
Supports12Bit = true
SupportsDecimateCrop = true
SupportsImageSize = true
SupportsPresentationLUT = true
SupportsTrim = true
"""


class PrintScp:
    """A dcmprscp with a folder of its own: one Stored Print (SP) a film, one Hardcopy Grayscale (HG) an image."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.node = Node("printer", "127.0.0.1", port, "PRINTSCP", Timeouts.all(20))
        self.word = f"PRINTSCP@127.0.0.1:{port}"

    def clear(self) -> None:
        for file in (*self.folder.glob("SP_*.dcm"), *self.folder.glob("HG_*.dcm")):
            file.unlink()

    def film(self) -> tuple[pydicom.Dataset, list[np.ndarray[Any, Any]]]:
        """The one film: its description, and the pixels in its image boxes, in their order."""
        (stored,) = (pydicom.dcmread(file) for file in self.folder.glob("SP_*.dcm"))
        hardcopies = {one.SOPInstanceUID: one for one in map(pydicom.dcmread, self.folder.glob("HG_*.dcm"))}
        boxes = sorted(stored.ImageBoxContentSequence, key=lambda box: int(box.ImageBoxPosition))
        used = [hardcopies[box.ReferencedImageSequence[0].ReferencedSOPInstanceUID] for box in boxes]
        assert all((one.BitsStored, one.PhotometricInterpretation) == (12, "MONOCHROME2") for one in used)
        return stored, [one.pixel_array for one in used]


@pytest.fixture(scope="module")
def start_printer(
    servers: Any, tmp_path_factory: pytest.TempPathFactory, unused_port: Callable[[], int]
) -> Callable[..., PrintScp]:
    def start(omit: bool = False, implicit_only: bool = False) -> PrintScp:
        folder, port = tmp_path_factory.mktemp("printer"), unused_port()
        path = folder / "dcmpstat.cfg"
        values = {"omit": str(omit).lower(), "implicit_only": str(implicit_only).lower()}
        path.write_text(CONFIGURATION.format(folder=folder, port=port, **values))
        servers.start(port, program("dcmprscp"), "-c", str(path), "-p", "PRINTSCP")
        return PrintScp(folder, port)

    return start


@pytest.fixture(scope="module")
def printer(start_printer: Callable[..., PrintScp]) -> PrintScp:
    return start_printer()


@pytest.fixture
def film(printer: PrintScp) -> Iterator[PrintScp]:
    printer.clear()
    yield printer
    printer.clear()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Odd sides, so that an odd number of octets, swapped sides and shifted lines would show."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(5)
    files = []
    for number, (rows, columns, bits) in enumerate([(61, 83, 8), (50, 70, 12), (33, 20, 16), (1, 1, 8)]):
        kind = np.uint8 if bits == 8 else np.uint16
        values = random.integers(0, 1 << bits, (rows, columns)).astype(kind)
        values.flat[0] = (1 << bits) - 1
        files.append(folder / f"{number}.png")
        Image.fromarray(values).save(files[-1])
    return files


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, list[dict[str, Any]], str]:
    status = main(["--json", "print", *(str(word) for word in words), "--calling", "SPECULAR"])
    captured = capsys.readouterr()
    return status, [json.loads(line) for line in captured.out.splitlines()], captured.err


@pytest.mark.parametrize("size", SIZES)
def test_every_film_size(size: str, film: PrintScp, pictures: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    status, (row,), errors = run(capsys, film.word, pictures[1], "--film-size", size)
    assert (status, errors, row["status"], row["category"]) == (0, "", "0000", "printed")
    stored, (pixels,) = film.film()
    assert np.array_equal(pixels, read_film_image(pictures[1]))
    assert np.array_equal(pixels, np.asarray(Image.open(pictures[1])))  # twelve bits stay what they are
    assert stored.FilmBoxContentSequence[0].FilmSizeID == size


@pytest.mark.parametrize("magnification", MAGNIFICATIONS)
@pytest.mark.parametrize("layout", ["1,1", "2,2", "3,2"])
def test_every_magnification_in_several_layouts(
    magnification: str, layout: str, film: PrintScp, pictures: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    columns, rows = (int(word) for word in layout.split(","))
    files = pictures[: columns * rows]
    smoothing = ["--smoothing", "SOFT"] if magnification == "CUBIC" else []
    words = ["--layout", layout, "--magnification", magnification, *smoothing]
    status, (row,), errors = run(capsys, film.word, *files, *words)
    assert (status, errors, row["category"]) == (0, "", "printed")
    stored, boxes = film.film()
    assert len(boxes) == len(files)
    for box, file in zip(boxes, files, strict=True):
        assert np.array_equal(box, read_film_image(file)), file
    box = stored.FilmBoxContentSequence[0]
    assert box.ImageDisplayFormat == f"STANDARD\\{layout}"
    assert box.MagnificationType == magnification
    assert box.SmoothingType == ("SOFT" if smoothing else "NONE")  # the printer's own where we send none


def test_every_attribute_arrives(film: PrintScp, pictures: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    wanted = {
        "--medium": "BLUE FILM",
        "--destination": "BIN_2",
        "--orientation": "LANDSCAPE",
        "--film-size": "24CMX30CM",
        "--border-density": "150",
        "--empty-image-density": "WHITE",
        "--min-density": "20",
        "--max-density": "300",
        "--trim": "YES",
        "--configuration": "SHARP",
        "--polarity": "REVERSE",
        "--image-size-mm": "120.5",
        "--crop": "CROP",
        "--layout": "2,2",
    }
    words = [word for pair in wanted.items() for word in pair]
    status, (row,), errors = run(capsys, film.word, pictures[0], *words)
    assert (status, errors) == (0, ""), row
    assert (row["category"], row["warnings"]) == ("printed", [])
    stored, (pixels,) = film.film()
    assert np.array_equal(pixels, read_film_image(pictures[0]))  # polarity is the printer's work
    box = stored.FilmBoxContentSequence[0]
    image = stored.ImageBoxContentSequence[0]
    assert (box.FilmOrientation, box.FilmSizeID, box.BorderDensity) == ("LANDSCAPE", "24CMX30CM", "150")
    assert (box.EmptyImageDensity, box.MinDensity, box.MaxDensity, box.Trim) == ("WHITE", 20, 300, "YES")
    assert box.ConfigurationInformation == "SHARP"
    assert (image.Polarity, float(image.RequestedImageSize), int(image.ImageBoxPosition)) == ("REVERSE", 120.5, 1)


def test_more_images_than_boxes_are_more_films(
    film: PrintScp, pictures: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    status, rows, _ = run(capsys, film.word, *pictures[:3])
    assert (status, [row["category"] for row in rows]) == (0, ["printed"] * 3)
    assert [row["files"] for row in rows] == [[str(file)] for file in pictures[:3]]
    assert len({row["film_box_uid"] for row in rows}) == len(list(film.folder.glob("SP_*.dcm"))) == 3


def test_a_dicom_file_of_eight_bits(
    film: PrintScp, instances: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    status, (row,), _ = run(capsys, film.word, instances["explicit"])
    assert (status, row["category"]) == (0, "printed")
    _, (pixels,) = film.film()
    colours = pydicom.dcmread(instances["explicit"]).pixel_array.astype(float)
    grey = np.rint(colours @ [0.299, 0.587, 0.114])
    assert np.array_equal(pixels >> 4, grey)
    assert np.array_equal(pixels, np.rint(grey * 4095 / 255))


async def test_the_printer_says_how_it_is(printer: PrintScp, local: LocalApplicationEntity) -> None:
    status, news = await ask_printer(printer.node, local, PRINT_CONTEXTS)
    assert (status.state, status.info, status.problem, news) == ("NORMAL", "NORMAL", "", ())


PRINT_CONTEXTS = tuple(
    (context.abstract_syntax, context.transfer_syntaxes) for context in PROFILE.application_entity["print"].contexts
)


@pytest.mark.parametrize("odd", [{"omit": True}, {"implicit_only": True}], ids=["no class UIDs", "implicit only"])
async def test_odd_printers(
    odd: dict[str, bool], start_printer: Callable[..., PrintScp], pictures: list[Path], local: LocalApplicationEntity
) -> None:
    printer = start_printer(**odd)
    assert PROFILE.print is not None
    settings = film_settings(PROFILE.print, FilmSettings(film_size="8INX10IN", layout="2,2"))
    film = compose_film(PROFILE.print, settings, pictures[:4])
    attributes = film_session_attributes(PROFILE.print, settings)
    async with film_session(printer.node, local, PRINT_CONTEXTS, attributes, new_uid) as session:
        printed = await session.print_film(film)
    assert (printed.status, printed.warnings) == (0, ())
    _, boxes = printer.film()
    assert [box.shape for box in boxes] == [(61, 83), (50, 70), (33, 20), (1, 1)]


async def test_a_film_that_the_printer_does_not_have_is_refused_and_nothing_is_left(
    film: PrintScp, pictures: list[Path], local: LocalApplicationEntity
) -> None:
    assert PROFILE.print is not None
    settings = film_settings(PROFILE.print, FilmSettings(film_size="8INX10IN", layout="9,9"))
    composed = compose_film(PROFILE.print, settings, pictures[:1])
    attributes = film_session_attributes(PROFILE.print, settings)
    with pytest.raises(FilmRefused, match="N-CREATE of the film box failed with status 0106H") as refused:
        async with film_session(film.node, local, PRINT_CONTEXTS, attributes, new_uid) as session:
            await session.print_film(composed)
    assert refused.value.status == 0x0106
    assert not list(film.folder.glob("SP_*.dcm"))
    # The printer is free for the next one.
    async with film_session(film.node, local, PRINT_CONTEXTS, attributes, new_uid) as session:
        possible = replace(settings, layout="1,1")
        assert (await session.print_film(compose_film(PROFILE.print, possible, pictures[:1]))).status == 0
