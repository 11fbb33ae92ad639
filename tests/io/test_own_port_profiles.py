"""Our own port is what the profile declares of it: contexts, roles, implementation, PDU length, or no port at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
import trio
from commitment_bench import unused_port
from delivery_peer import Watch
from pydicom.dataset import Dataset

from firmware_app.config import Config
from firmware_app.dicom.command import Command, CommandField
from firmware_app.dicom.items import MaximumLength, RoleSelection
from firmware_app.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MODALITY_WORKLIST_FIND,
    SECONDARY_CAPTURE_STORAGE,
    STORAGE_COMMITMENT_PUSH_MODEL,
    VERIFICATION,
)
from firmware_app.net.association import ContextPair, associate
from firmware_app.net.errors import AssociationRejected, DimseFailure, NoUsableContext
from firmware_app.net.listener import ListenerRules
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.net.normalized import n_action, n_event_report
from firmware_app.net.performer import EventReport
from firmware_app.net.verification import echo
from firmware_app.profiles import load_profile
from firmware_app.services.listening import ListenerService, offers_of
from firmware_app.services.peers import NotDeclared, local_entity

PEER = LocalApplicationEntity("ARCHIVE", "127.0.0.1", "1.2.3.5", "PEER")
COMMITMENT, INSTANCE = STORAGE_COMMITMENT_PUSH_MODEL, "1.2.840.10008.1.20.1.1"
PRINTER, PRINTER_INSTANCE = "1.2.840.10008.5.1.1.16", "1.2.840.10008.5.1.1.17"
IMPLICIT, EXPLICIT = (IMPLICIT_VR_LITTLE_ENDIAN,), (EXPLICIT_VR_LITTLE_ENDIAN,)
AS_SCP = (RoleSelection(COMMITMENT, False, True),)
ABSTRACT_SYNTAX, TRANSFER_SYNTAXES = 3, 4


@dataclass
class Port:
    node: Node
    service: ListenerService
    reports: list[EventReport]


@asynccontextmanager
async def port_of(profile_name: str) -> AsyncIterator[Port]:
    profile, watch, reports = load_profile(profile_name), Watch(), []
    number = unused_port()

    async def keep(report: EventReport) -> int:
        reports.append(report)
        return 0

    local = local_entity(Config(), profile, "127.0.0.1", "listener", "SPECULAR")
    service = ListenerService(local, number, ListenerRules(), watch.publish, keep, offers=offers_of(profile))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        with trio.fail_after(10):
            await watch.until(lambda: "listener.ready" in watch.kinds())
        yield Port(Node("us", "127.0.0.1", number, "SPECULAR", Timeouts.all(10)), service, reports)
        nursery.cancel_scope.cancel()


def transaction() -> Dataset:
    information = Dataset()
    information.TransactionUID = "1.2.3"
    return information


async def test_the_profile_sp_1p_accepts_no_association() -> None:
    with pytest.raises(NotDeclared) as caught:
        offers_of(load_profile("sp-1p"))
    service = ListenerService(None, 64001, ListenerRules(), Watch().publish, why_not=str(caught.value))
    await service.run()  # there is nothing to run
    assert service.detail == "not listening: the profile sp-1p accepts no association"


@pytest.mark.parametrize("name", ["specular", "kodakqc"])
async def test_echo_and_reports_are_taken(name: str) -> None:
    async with port_of(name) as port:
        assert (await echo(port.node, PEER)).count == 1
        async with associate(port.node, PEER, ((COMMITMENT, IMPLICIT),), user_items=AS_SCP) as association:
            assert (await n_event_report(association, COMMITMENT, INSTANCE, 1, transaction())).status == 0
        assert [report.decode().TransactionUID for report in port.reports] == ["1.2.3"]
        words = f"SPECULAR on 127.0.0.1:{port.node.port} "
        assert port.service.detail.startswith(words)
        assert "answers C-ECHO" in port.service.detail
        assert "takes storage commitment reports" in port.service.detail


@pytest.mark.parametrize("name", ["specular", "kodakqc"])
async def test_the_port_calls_itself_what_the_profile_says(name: str) -> None:
    declared = load_profile(name).application_entity["listener"]
    async with port_of(name) as port:
        result = await echo(port.node, PEER)
        async with associate(port.node, PEER, ((VERIFICATION, IMPLICIT),)) as association:
            (length,) = (item.length for item in association.peer_items if isinstance(item, MaximumLength))
    assert result.peer_implementation_class_uid == declared.implementation_class_uid
    assert result.peer_implementation_version_name == declared.implementation_version_name
    assert length == declared.max_pdu_length == 16384


@pytest.mark.parametrize(("name", "result"), [("specular", None), ("kodakqc", TRANSFER_SYNTAXES)])
async def test_the_transfer_syntaxes_are_those_of_the_profile(name: str, result: int | None) -> None:
    contexts: tuple[ContextPair, ...] = ((COMMITMENT, EXPLICIT), (VERIFICATION, IMPLICIT))
    async with port_of(name) as port, associate(port.node, PEER, contexts) as association:
        assert [one.result for one in association.rejected] == ([] if result is None else [result])


@pytest.mark.parametrize(
    "abstract_syntax", [SECONDARY_CAPTURE_STORAGE, MODALITY_WORKLIST_FIND, PRINTER, "1.2.840.10008.3.1.2.3.3", "1.2.3"]
)
@pytest.mark.parametrize("name", ["specular", "kodakqc"])
async def test_nothing_else_is_accepted(name: str, abstract_syntax: str) -> None:
    async with port_of(name) as port:
        with pytest.raises(NoUsableContext) as caught:
            async with associate(port.node, PEER, ((abstract_syntax, IMPLICIT),)):
                pass
    assert [one.result for one in caught.value.rejected] == [ABSTRACT_SYNTAX]


async def test_a_report_of_another_class_over_the_context_of_commitment() -> None:
    async with port_of("specular") as port:
        async with associate(port.node, PEER, ((COMMITMENT, IMPLICIT),), user_items=AS_SCP) as association:
            used = association.context(COMMITMENT, as_scp=True)
            for sop_class_uid in (PRINTER, VERIFICATION, "1.2.3"):
                with pytest.raises(DimseFailure) as caught:
                    await n_event_report(association, sop_class_uid, PRINTER_INSTANCE, 1, transaction(), context=used)
                assert caught.value.status == 0x0118
            assert (await n_event_report(association, COMMITMENT, INSTANCE, 1, transaction())).status == 0
        assert len(port.reports) == 1


async def test_other_operations_over_the_context_of_commitment() -> None:
    async with port_of("specular") as port, associate(port.node, PEER, ((COMMITMENT, IMPLICIT),)) as association:
        with pytest.raises(DimseFailure) as caught:
            await n_action(association, COMMITMENT, INSTANCE, 1, transaction())
        assert caught.value.status == 0x0211
        find = Command(
            command_field=CommandField.N_GET_RQ,
            message_id=association.next_message_id(),
            requested_sop_class_uid=COMMITMENT,
            requested_sop_instance_uid=INSTANCE,
        )
        answer = await association.request(association.context(COMMITMENT), find)
        assert answer.command.status == 0x0211
    assert port.reports == []


async def test_another_called_ae_title_is_rejected() -> None:
    async with port_of("kodakqc") as port:
        with pytest.raises(AssociationRejected, match="called AE title not recognized"):
            await echo(replace(port.node, ae_title="OTHER"), PEER)
