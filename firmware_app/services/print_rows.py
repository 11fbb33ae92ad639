"""What the command line prints by hand: one row per film, with what the printer said of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import asdict
from pathlib import Path

import trio

from firmware_app.net.errors import NetworkError
from firmware_app.net.film_print import FilmSession, PrintedFilm, PrintUncertain, ask_printer, film_session
from firmware_app.net.printer_news import PrinterNews, PrinterStatus
from firmware_app.objects.errors import ObjectError
from firmware_app.objects.film_attributes import film_session_attributes
from firmware_app.objects.film_settings import FilmSettings
from firmware_app.objects.identifiers import new_uid
from firmware_app.profiles.profile import PrintTables
from firmware_app.services.film_files import NotPrintable, read_film_image
from firmware_app.services.film_pages import compose_film
from firmware_app.services.network_verbs import Peer, Row, Rows
from firmware_app.services.peers import contexts_of


def printer_rows() -> Rows:
    """Only how the printer is."""

    async def rows(peer: Peer) -> AsyncGenerator[Row, None]:
        status, news = await ask_printer(peer.node, peer.local("print"), contexts_of(peer.profile, "print"))
        data: dict[str, object] = {"node": peer.node.name, **printer_data(status)}
        yield Row(printer_line(peer.node.label, status), data, status.problem)
        for each in news:
            yield Row(f"  the {each.about} reports {each.words}", {"node": peer.node.name, **asdict(each)})

    return rows


def print_rows(files: Sequence[Path], tables: PrintTables, settings: FilmSettings) -> Rows:
    """Every file is read before the printer is asked for anything. Raises `NotPrintable` for the first that cannot be.

    The first film that the printer does not take ends the run: those behind it are told as not printed.
    """
    for file in files:
        read_film_image(file)
    films = [files[first : first + settings.places] for first in range(0, len(files), settings.places)]

    async def rows(peer: Peer) -> AsyncGenerator[Row, None]:
        done = 0
        news: list[PrinterNews] = []
        try:
            while done < len(films):
                async with open_session(peer, tables, settings, news) as session:
                    # A printer may end the association behind a film: the rest goes over another.
                    while done < len(films) and session.usable:
                        composed = await trio.to_thread.run_sync(compose_film, tables, settings, films[done])
                        printed = await session.print_film(composed)
                        done += 1
                        yield printed_row(done, films[done - 1], session.printer, printed, news)
        except (NetworkError, NotPrintable, ObjectError) as error:
            if done == len(films):
                raise
            yield failed_row(done + 1, films[done], error, news)
            for number, film in enumerate(films[done + 1 :], start=done + 2):
                yield unsent_row(number, film, done + 1)

    return rows


@contextlib.asynccontextmanager
async def open_session(
    peer: Peer, tables: PrintTables, settings: FilmSettings, news: list[PrinterNews]
) -> AsyncIterator[FilmSession]:
    attributes = film_session_attributes(tables, settings)
    contexts = contexts_of(peer.profile, "print")
    async with film_session(peer.node, peer.local("print"), contexts, attributes, new_uid, news.append) as session:
        yield session


def printer_line(label: str, status: PrinterStatus) -> str:
    who = " ".join(part for part in (status.manufacturer, status.model_name, status.serial_number) if part)
    software = f"software {status.software_versions}" if status.software_versions else ""
    parts = [part for part in (status.name, who, software, status.problem) if part]
    return f"{label}: {status.words}" + "".join(f", {part}" for part in parts)


def printer_data(status: PrinterStatus) -> dict[str, object]:
    return {key: value or None for key, value in asdict(status).items()}


def printed_row(
    number: int, files: Sequence[Path], printer: PrinterStatus, printed: PrintedFilm, news: list[PrinterNews]
) -> Row:
    category = "warning" if printed.warnings or printed.status else "printed"
    data = film_data(number, files, category, news)
    data |= {
        "status": f"{printed.status:04X}",
        "reason": "; ".join(printed.warnings) or None,
        "warnings": list(printed.warnings),
        "printer": printer_data(printer),
        "film_box_uid": printed.film_box_uid,
        "print_job_uid": printed.print_job_uid or None,
    }
    remarks = f": {'; '.join(printed.warnings)}" if printed.warnings else ""
    return Row(f"{printed.status:04X}  {category:11}  {film_words(number, files)}{remarks}", data)


def failed_row(number: int, files: Sequence[Path], error: Exception, news: list[PrinterNews]) -> Row:
    category = "uncertain" if isinstance(error, PrintUncertain) else "not printed"
    status = getattr(error, "status", None)
    shown = "----" if status is None else f"{status:04X}"
    data = film_data(number, files, category, news)
    data |= {"status": None if status is None else shown, "reason": str(error)}
    return Row(f"{shown}  {category:11}  {film_words(number, files)}: {error}", data, f"film {number}: {error}")


def unsent_row(number: int, files: Sequence[Path], failed: int) -> Row:
    reason = f"not sent, because film {failed} was not printed"
    text = f"----  {'not printed':11}  {film_words(number, files)}: {reason}"
    return Row(text, {**film_data(number, files, "not printed", []), "reason": reason}, f"film {number}: {reason}")


def film_data(number: int, files: Sequence[Path], category: str, news: list[PrinterNews]) -> dict[str, object]:
    """The keys of every row of a film, with their values before anything is known."""
    data: dict[str, object] = {
        "film": number,
        "files": [str(file) for file in files],
        "status": None,
        "category": category,
        "reason": None,
        "warnings": [],
        "events": [asdict(each) for each in news],
        "printer": None,
        "film_box_uid": None,
        "print_job_uid": None,
    }
    news.clear()
    return data


def film_words(number: int, files: Sequence[Path]) -> str:
    return f"film {number}: {', '.join(str(file) for file in files)}"
