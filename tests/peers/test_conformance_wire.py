"""What goes over the wire against the printed statement: requests, identifiers, objects, messages, films, our own port.

The client is the product's own code; the peer is pynetdicom, and says what it was sent. The statement is the printed
Markdown, read back by markdown-it. At the end the statement is falsified row by row: the comparison must fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace as replace_struct
from pydicom.uid import UID
from pynetdicom import AE, build_role
from pynetdicom.association import Association
from statement_checks import (
    KEYS,
    check_commitment,
    check_films,
    check_keys,
    check_objects,
    check_requests,
    check_steps,
    printed_contexts,
)
from statement_reader import PrintedStatement, print_profile, printed_statement
from wire_peer import context_of
from wire_recorder import Wire, recorded

from firmware_app.config.reading import default_config, load_config
from firmware_app.conformance.entities import WORDS
from firmware_app.net.listener import serve
from firmware_app.profiles import Profile, load_profile
from firmware_app.profiles.loader import available_profiles
from firmware_app.profiles.profile import Attribute, EntityName, PrintAttribute, QueryKey
from firmware_app.services.listening import offers_of
from firmware_app.services.peers import local_entity

PROFILES = available_profiles()


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: tmp_path_factory.mktemp(name) for name in PROFILES}


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> Profile:
    return load_profile(request.param)


@pytest.fixture
def printed(profile: Profile) -> PrintedStatement:
    return printed_statement(profile.name)


@pytest.fixture
def wire(profile: Profile, folders: dict[str, Path]) -> Wire:
    return recorded(profile.name, folders[profile.name])


def test_every_declared_service_has_been_recorded(profile: Profile, wire: Wire) -> None:
    assert set(wire.requests) == set(profile.application_entity) - {"listener"}


def test_association_requests(printed: PrintedStatement, wire: Wire) -> None:
    check_requests(printed, wire)


@pytest.mark.parametrize("service", KEYS)
def test_query_keys(profile: Profile, printed: PrintedStatement, wire: Wire, service: str) -> None:
    if service not in profile.application_entity:
        assert not printed.all(KEYS[service][0])
        return
    check_keys(printed, wire, service, KEYS[service])


def test_objects(profile: Profile, printed: PrintedStatement, wire: Wire) -> None:
    check_objects(printed, wire, profile)


@pytest.mark.parametrize(
    ("service", "caption", "check"),
    [
        ("mpps", "Attributes of the N-CREATE", check_steps),
        ("commitment", "The request", check_commitment),
        ("print", "Attributes of the film box", check_films),
    ],
    ids=("mpps", "commitment", "print"),
)
def test_messages(
    profile: Profile,
    printed: PrintedStatement,
    wire: Wire,
    service: EntityName,
    caption: str,
    check: Callable[[PrintedStatement, Wire], None],
) -> None:
    if service not in profile.application_entity:
        assert not printed.all(caption)
        return
    check(printed, wire)


# ------------------------------------------------------------------------------------------------ our own port

STRANGERS = (("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2"), ("1.2.840.10008.5.1.4.31", "1.2.840.10008.1.2"))


async def test_our_own_port_accepts_what_is_printed_and_nothing_else(
    profile: Profile, printed: PrintedStatement, folders: dict[str, Path]
) -> None:
    if "listener" not in profile.application_entity:
        assert not printed.section(WORDS["listener"].title)
        return
    file = folders[profile.name] / "listener.toml"
    file.write_text(f'profile = "{profile.name}"\n')
    local = local_entity(load_config(file), profile, "127.0.0.1", "listener")
    contexts = printed_contexts(printed, "listener")
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve, local, 0, offers=offers_of(profile)))
        association = await trio.to_thread.run_sync(associate_with, port, local.ae_title, contexts)
        nursery.cancel_scope.cancel()
    assert association.is_established or association.is_released or association.is_aborted
    accepted = {(str(each.abstract_syntax), str(each.transfer_syntax[0])) for each in association.accepted_contexts}
    assert accepted == {(uid, syntax) for uid, syntaxes in contexts for syntax in syntaxes}
    assert {str(each.abstract_syntax) for each in association.rejected_contexts} >= {uid for uid, _ in STRANGERS}
    (table,) = [each for each in printed.section(WORDS["listener"].title) if "Role" in each.columns]
    ours = {row["Abstract Syntax UID"]: row["Role"] for row in table.rows}
    for each in association.accepted_contexts:
        assert ("SCU" if each.as_scp else "SCP") == ours[str(each.abstract_syntax)]  # the peer has the other role
    implementation = printed.pairs(f"Implementation of the {WORDS['listener'].title}")
    general = printed.pairs(f"Application context and PDU length of the {WORDS['listener'].title}")
    acceptor = association.acceptor
    assert str(acceptor.implementation_class_uid) == implementation["Implementation Class UID"]
    assert (acceptor.implementation_version_name or "not sent") == implementation["Implementation Version Name"]
    assert acceptor.maximum_length == int(general["Maximum length of PDU received (octets)"])


def associate_with(port: int, called: str, contexts: Iterable[tuple[str, tuple[str, ...]]]) -> Association:
    """One context for each syntax, every class in both roles, and strangers among them."""
    ae = AE("PEER")
    pairs = [(uid, syntax) for uid, syntaxes in contexts for syntax in syntaxes]
    uids = {uid for uid, _ in pairs}
    others = [(uid, "1.2.840.10008.1.2.4.50") for uid in sorted(uids)]
    wanted = [context_of(uid, [syntax]) for uid, syntax in (*pairs, *others, *STRANGERS)]
    roles = [build_role(UID(uid), scu_role=True, scp_role=True) for uid in sorted(uids)]
    association = ae.associate("127.0.0.1", port, contexts=wanted, ae_title=called, ext_neg=roles)
    assert association.is_established
    association.release()
    return association


# ------------------------------------------------------------------------------------------------ it can fail


Falsify = Callable[[Profile], Profile]


def entity(service: EntityName, **changes: object) -> Falsify:
    def change(profile: Profile) -> Profile:
        changed = replace_struct(profile.application_entity[service], **changes)
        return replace_struct(profile, application_entity={**profile.application_entity, service: changed})

    return change


def without_syntax(service: EntityName) -> Falsify:
    def change(profile: Profile) -> Profile:
        first, *others = profile.application_entity[service].contexts
        fewer = replace_struct(first, transfer_syntaxes=first.transfer_syntaxes[:1])
        more = replace_struct(first, transfer_syntaxes=(*first.transfer_syntaxes, "1.2.840.10008.1.2.2"))
        changed = fewer if len(first.transfer_syntaxes) > 1 else more
        return entity(service, contexts=(changed, *others))(profile)

    return change


def in_module(edit: Callable[[tuple[Attribute, ...]], tuple[Attribute, ...]], module: str) -> Falsify:
    def change(profile: Profile) -> Profile:
        edited = replace_struct(profile.module[module], attributes=edit(profile.module[module].attributes))
        return replace_struct(profile, module={**profile.module, module: edited})

    return change


def retyped(path: str, **changes: object) -> Callable[[tuple[Attribute, ...]], tuple[Attribute, ...]]:
    return lambda rows: tuple(replace_struct(row, **changes) if row.path == path else row for row in rows)


def dropped(path: str) -> Callable[[tuple[Attribute, ...]], tuple[Attribute, ...]]:
    return lambda rows: tuple(row for row in rows if row.path != path)


def added(path: str) -> Callable[[tuple[Attribute, ...]], tuple[Attribute, ...]]:
    return lambda rows: (*rows, Attribute(path=path, type="2", source="none"))


def keys(edit: Callable[[tuple[QueryKey, ...]], tuple[QueryKey, ...]]) -> Falsify:
    return lambda profile: replace_struct(profile, worklist_keys=edit(profile.worklist_keys))


def message(name: str, edit: Callable[[tuple[Attribute, ...]], tuple[Attribute, ...]]) -> Falsify:
    def change(profile: Profile) -> Profile:
        assert profile.mpps is not None
        module = getattr(profile.mpps, name)
        edited = replace_struct(module, attributes=edit(module.attributes))
        return replace_struct(profile, mpps=replace_struct(profile.mpps, **{name: edited}))

    return change


def film(name: str, edit: Callable[[tuple[PrintAttribute, ...]], tuple[PrintAttribute, ...]]) -> Falsify:
    def change(profile: Profile) -> Profile:
        assert profile.print is not None
        rows = edit(getattr(profile.print, name))
        return replace_struct(profile, print=replace_struct(profile.print, **{name: rows}))

    return change


def check_worklist(printed: PrintedStatement, wire: Wire) -> None:
    check_keys(printed, wire, "worklist", KEYS["worklist"])


def check_all_objects(printed: PrintedStatement, wire: Wire) -> None:
    check_objects(printed, wire, load_profile("specular"))


FALSE_STATEMENTS: dict[str, tuple[Falsify, Callable[[PrintedStatement, Wire], None]]] = {
    "another implementation": (entity("print", implementation_class_uid="1.2.3.4"), check_requests),
    "another version": (entity("mpps", implementation_version_name="OTHER"), check_requests),
    "no version": (entity("storage", implementation_version_name=""), check_requests),
    "another PDU length": (entity("worklist", max_pdu_length=32768), check_requests),
    "another transfer syntax": (without_syntax("verification"), check_requests),
    "another syntax of storage": (without_syntax("storage"), check_requests),
    "a context fewer": (
        lambda profile: entity("storage", contexts=profile.application_entity["storage"].contexts[:-1])(profile),
        check_requests,
    ),
    "a key fewer": (keys(lambda rows: rows[:-1]), check_worklist),
    "a key more": (keys(lambda rows: (*rows, QueryKey("PregnancyStatus"))), check_worklist),
    "a key that is not matched": (
        keys(lambda rows: tuple(replace_struct(row, matching="") for row in rows)),
        check_worklist,
    ),
    "an attribute fewer": (in_module(dropped("PatientSex"), "patient"), check_all_objects),
    "an attribute of an item fewer": (
        in_module(dropped("RequestAttributesSequence.ScheduledProcedureStepID"), "general_series"),
        check_all_objects,
    ),
    "an attribute more": (in_module(added("PatientBirthTime"), "patient"), check_all_objects),
    "a type too strong": (in_module(retyped("EthnicGroup", type="1"), "patient"), check_all_objects),
    "never sent": (in_module(retyped("PatientID", source="none", type="3"), "patient"), check_all_objects),
    "for another setting": (in_module(retyped("Laterality", settings=("OP",)), "general_series"), check_all_objects),
    "another fixed value": (in_module(retyped("BodyPartExamined", value="HAND"), "general_series"), check_all_objects),
    "a message without its state": (
        message("n_create", dropped("PerformedProcedureStepStatus")),
        check_steps,
    ),
    "a message with more": (message("n_set", added("PatientID")), check_steps),
    "a film without its size": (
        film("film_box", lambda rows: tuple(row for row in rows if row.path != "FilmSizeID")),
        check_films,
    ),
    "another priority": (
        film(
            "film_session",
            lambda rows: tuple(replace_struct(row, values=("LAST",)) if row.values else row for row in rows),
        ),
        check_films,
    ),
    "mandatory, and not sent": (
        film("image_box", lambda rows: (*rows, PrintAttribute(path="MagnificationType", usage="M"))),
        check_films,
    ),
}


@pytest.mark.parametrize("name", FALSE_STATEMENTS)
def test_a_statement_that_is_not_true_does_not_pass(name: str, folders: dict[str, Path]) -> None:
    wire = recorded("specular", folders["specular"])
    falsify, check = FALSE_STATEMENTS[name]
    check(printed_statement("specular"), wire)
    true = load_profile("specular")
    false = print_profile(falsify(true), default_config(true))
    with pytest.raises(AssertionError):
        check(false, wire)
