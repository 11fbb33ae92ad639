"""Every service of a profile, run by the product's own code against the peer that remembers; mostly by its verbs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

import trio
from objects_samples import APPENDED, GROUP, UNSCHEDULED, WITH_MPPS, build, camera, report
from PIL import Image
from statement_reader import PrintedTable, printed_statement
from wire_peer import Message, Request, WirePeer, wire_peer

from firmware_app.cli import main
from firmware_app.config.declared_services import PRINT_ATTRIBUTES
from firmware_app.config.reading import load_config
from firmware_app.model import Code, Exam
from firmware_app.net.association import associate
from firmware_app.net.mpps import send_step
from firmware_app.net.node import Node, Timeouts
from firmware_app.objects.encoding import encode_part10
from firmware_app.objects.errors import ObjectError
from firmware_app.objects.picture import Picture
from firmware_app.profiles import Profile, load_profile
from firmware_app.profiles.profile import EntityName
from firmware_app.services.film_options import FILM_OPTIONS
from firmware_app.services.peers import contexts_of, local_entity
from firmware_app.services.step_reports import step_composer

ENDED_AT = datetime(2024, 4, 1, 0, 5, tzinfo=UTC)
WORKLIST_OPTIONS = {
    "--date": ("20240401", "(0040,0002)"),
    "--modality": ("OP", "(0008,0060)"),
    "--station": ("ROOM1", "(0040,0001)"),
    "--name": ("Doe*", "(0010,0010)"),
    "--id": ("P-1", "(0010,0020)"),
    "--accession": ("A-1", "(0008,0050)"),
}
PATIENT_OPTIONS = {"--name": ("Doe*", "(0010,0010)"), "--id": ("P-1", "(0010,0020)")}


@dataclass(frozen=True)
class Stored:
    """One C-STORE, and under which setting of the storage modality its instance was made."""

    setting: str
    message: Message


@dataclass
class Wire:
    """What the peer saw of one profile, service by service."""

    requests: dict[str, list[Request]] = field(default_factory=dict)
    stored: list[Stored] = field(default_factory=list)

    def messages(self, service: str, operation: str = "", about: str = "") -> list[Message]:
        return [
            message
            for request in self.requests[service]
            for message in request.messages
            if message.operation.startswith(operation) and about in ("", message.about)
        ]


class Recorder:
    """Runs every declared service of a profile against the peer."""

    def __init__(self, profile: Profile, peer: WirePeer, folder: Path) -> None:
        self.profile = profile
        self.peer = peer
        self.folder = folder
        self.wire = Wire()
        self.file = self.configuration()

    def configuration(self, extra: str = "") -> Path:
        file = self.folder / f"{len(list(self.folder.iterdir()))}.toml"
        file.write_text(f'profile = "{self.profile.name}"\n[network]\ninterface = "lo"\n{extra}')
        return file

    def run(self, service: EntityName, *words: object, file: Path | None = None, expect: int = 0) -> None:
        verb, *rest = map(str, words)
        assert main([verb, self.peer.node, *rest, "--config", str(file or self.file), "--timeout", "20"]) == expect
        self.wire.requests.setdefault(service, []).extend(self.peer.take())

    def record(self) -> Wire:
        steps = {
            "verification": lambda: self.run("verification", "echo"),
            "worklist": self.worklist,
            "patient_query": self.patient_query,
            "storage": self.storage,
            "mpps": lambda: trio.run(self.mpps),
            "commitment": self.commitment,
            "print": self.films,
        }
        for service, step in steps.items():
            if service in self.profile.application_entity:
                step()
        return self.wire

    def worklist(self) -> None:
        printed = printed_statement(self.profile.name).table("Query keys of the worklist")
        self.run("worklist", "worklist", *matching_options(printed, WORKLIST_OPTIONS))

    def patient_query(self) -> None:
        printed = printed_statement(self.profile.name).table("Query keys of the patient query")
        for model in self.profile.patient_query_models:
            file = self.configuration(f'[patient_query]\nmodel = "{model}"\n')
            self.run("patient_query", "patients", *matching_options(printed, PATIENT_OPTIONS), file=file)

    def storage(self) -> None:
        for setting in self.profile.storage_modality:
            files = list(self.instances(setting))
            self.run("storage", "store", *files)
            sent = self.wire.requests["storage"][-1].messages
            assert len(sent) == len(files) > 0
            self.wire.stored += [Stored(setting, message) for message in sent]

    def instances(self, setting: str) -> Iterator[Path]:
        """Every picture in every transfer syntax that its object may have, and every kind of exam in the first."""
        syntaxes: dict[str, list[str]] = {}
        for context in self.profile.application_entity["storage"].contexts:
            syntaxes.setdefault(context.abstract_syntax, []).extend(context.transfer_syntaxes)
        for number, (exam, picture) in enumerate(self.pictures()):
            every = sorted({syntax for some in syntaxes.values() for syntax in some})
            for syntax in every if exam is WITH_MPPS else every[:1]:
                options = {"profile": self.profile, "storage_setting": setting, "transfer_syntax_uid": syntax}
                try:
                    instance = build(picture, exam, make_uid=partial(str, f"2.25.7{number}0{len(syntax)}"), **options)
                except ObjectError:
                    continue  # 12 bits in JPEG Baseline, colour in a grey object
                if syntax in syntaxes.get(instance.sop_class_uid, ()):
                    file = self.folder / f"{setting}-{number}-{syntax}.dcm"
                    file.write_bytes(encode_part10(instance.dataset))
                    yield file

    def pictures(self) -> Iterator[tuple[Exam, Picture]]:
        for exam in (WITH_MPPS, UNSCHEDULED, GROUP, APPENDED):
            if "image" in self.profile.storage_pictures:
                yield exam, camera()
                yield exam, camera(12)
            if "report" in self.profile.storage_pictures:
                yield exam, report()
        yield UNSCHEDULED, camera(simulated=True, um_per_px=None)

    async def mpps(self) -> None:
        config = load_config(self.file)
        composer = step_composer(config, self.profile)
        node = Node("peer", "127.0.0.1", self.peer.port, "PEER", Timeouts.all(20))
        local = local_entity(config, self.profile, "127.0.0.1", "mpps")
        reason = Code("110513", "DCM", "Discontinued for unspecified reason")
        files = [file.read_bytes() for file in sorted(self.folder.glob("*.dcm"))[:3]]
        async with associate(node, local, contexts_of(self.profile, "mpps")) as association:
            for exam in (WITH_MPPS, replace(UNSCHEDULED, performed_procedure_step_id="PPS-9"), GROUP, APPENDED):
                messages = [("N-CREATE", composer.begin(exam))]
                messages.append(("N-SET", composer.end(exam, "COMPLETED", ENDED_AT, files)))
                messages.append(("N-SET", composer.end(exam, "DISCONTINUED", ENDED_AT, [], reason)))
                for operation, made in messages:
                    answer = await send_step(association, operation, "2.25.79", made.dataset)  # type: ignore[arg-type]
                    assert answer.category == "done"
        self.wire.requests["mpps"] = self.peer.take()

    def commitment(self) -> None:
        files = sorted(self.folder.glob("*.dcm"))[:2]
        self.run("commitment", "commit", *files, "--listen", "0", "--wait", "0.05", expect=1)

    def films(self) -> None:
        files = []
        for number, size in enumerate(((40, 30), (21, 33))):
            files.append(self.folder / f"{number}.png")
            Image.new("L", size, 90 * number + 40).save(files[-1])
        self.run("print", "print", *files, "--layout", "2,1", *film_words(self.profile))
        self.run("print", "print", files[0])


def matching_options(keys: PrintedTable, options: dict[str, tuple[str, str]]) -> list[str]:
    """A value for each key that is printed as one to be matched; the verb refuses the others."""
    matched = {row["Tag"] for row in keys.rows if row["Matching"]}
    return [word for option, (value, tag) in options.items() if tag in matched for word in (option, value)]


def film_words(profile: Profile) -> list[str]:
    """Every option with the last value that its table allows; those without a list as somebody would type them."""
    assert profile.print is not None
    rows = {
        row.path: row
        for table in (profile.print.film_session, profile.print.film_box, profile.print.image_box)
        for row in table
    }
    free = {"smoothing": "SHARP", "configuration_information": "LUT 3", "requested_image_size_mm": "120"}
    free["magnification"] = "CUBIC"  # with which alone smoothing goes
    words: list[str] = []
    for option, name, _, _ in FILM_OPTIONS:
        if name == "layout":
            continue
        row = rows.get(PRINT_ATTRIBUTES[name])
        if row is None:
            continue
        value = (
            "CUBIC" if name == "magnification" else free.get(name) or (str(row.high) if row.high else row.values[-1])
        )
        words += [option, value]
    return words


@cache
def recorded(profile_name: str, folder: Path) -> Wire:
    profile = load_profile(profile_name)
    contexts = {
        (context.abstract_syntax, syntax)
        for entity in profile.application_entity.values()
        for context in entity.contexts
        for syntax in context.transfer_syntaxes
    }
    with wire_peer(contexts) as peer:
        return Recorder(profile, peer, folder).record()
