"""One application entity has one association at a time: both statements, "Number of Associations"."""

from __future__ import annotations

import pytest
import trio
from commitment_bench import unused_port
from delivery_peer import Watch
from dicom_acceptor import HANG_UP, Acceptor, run_acceptor
from msgspec.structs import replace

from firmware_app.config import Config
from firmware_app.net.association import associate
from firmware_app.net.errors import AssociationRejected, NetworkError
from firmware_app.net.listener import ListenerRules
from firmware_app.net.node import LocalApplicationEntity, Node, Timeouts
from firmware_app.net.verification import VERIFICATION_CONTEXTS, echo
from firmware_app.profiles import load_profile
from firmware_app.services.listening import ListenerService
from firmware_app.services.peers import Entities, NotDeclared, local_entity


def entities(profile: str = "specular") -> Entities:
    return Entities(Config(), load_profile(profile), "127.0.0.1")


async def until_waiting(local_places: trio.CapacityLimiter) -> None:
    with trio.fail_after(5):
        while not local_places.statistics().tasks_waiting:
            await trio.lowlevel.checkpoint()


def open_associations(acceptor: Acceptor) -> int:
    return acceptor.associations - len(acceptor.ends)


async def test_the_second_task_waits_until_the_first_association_is_over() -> None:
    local = entities()["verification"]
    assert local.places is not None
    seen: list[int] = []
    async with run_acceptor(lambda message: [0]) as acceptor, trio.open_nursery() as nursery:
        async with associate(acceptor.node, local, VERIFICATION_CONTEXTS):
            nursery.start_soon(echo, acceptor.node, local)
            await until_waiting(local.places)
            seen.append(open_associations(acceptor))
            assert acceptor.messages == []
        with trio.fail_after(5):
            while not acceptor.messages:
                await trio.lowlevel.checkpoint()
        seen.append(open_associations(acceptor))
    assert seen == [1, 1]
    assert acceptor.associations == 2
    assert acceptor.ends == ["released", "released"]


async def test_many_tasks_take_turns() -> None:
    local = entities()["verification"]
    most = 0

    def answer(_: object) -> list[int]:
        nonlocal most
        most = max(most, open_associations(acceptor))
        return [0]

    async with run_acceptor(answer) as acceptor, trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(echo, acceptor.node, local)
        with trio.fail_after(10):
            while len(acceptor.ends) < 5:
                await trio.lowlevel.checkpoint()
    assert most == 1


async def test_another_entity_does_not_wait() -> None:
    ours = entities()
    async with (
        run_acceptor(lambda message: [0]) as acceptor,
        associate(acceptor.node, ours["worklist"], VERIFICATION_CONTEXTS),
    ):
        with trio.fail_after(5):
            await echo(acceptor.node, ours["verification"])
        assert open_associations(acceptor) == 1


async def test_without_places_nobody_counts() -> None:
    local = local_entity(Config(), load_profile(), "127.0.0.1", "verification")
    async with (
        run_acceptor(lambda message: [0]) as acceptor,
        associate(acceptor.node, local, VERIFICATION_CONTEXTS),
    ):
        with trio.fail_after(5):
            await echo(acceptor.node, local)


async def test_a_place_is_free_again_however_the_association_ended() -> None:
    local = entities()["verification"]
    assert local.places is not None
    async with run_acceptor(lambda message: [HANG_UP]) as acceptor:
        with pytest.raises(NetworkError):
            await echo(acceptor.node, local)
        with pytest.raises(RuntimeError, match="left by an error"):
            async with associate(acceptor.node, local, VERIFICATION_CONTEXTS):
                raise RuntimeError("left by an error")
        with trio.CancelScope() as scope:
            async with associate(acceptor.node, local, VERIFICATION_CONTEXTS):
                scope.cancel()
                await trio.lowlevel.checkpoint()
    with pytest.raises(NetworkError):
        await echo(acceptor.node, local)  # nobody listens there any more
    assert local.places.borrowed_tokens == 0


async def test_who_is_cancelled_while_waiting_connects_to_nobody() -> None:
    local = entities()["verification"]
    assert local.places is not None
    async with (
        run_acceptor(lambda message: [0]) as acceptor,
        trio.open_nursery() as nursery,
        associate(acceptor.node, local, VERIFICATION_CONTEXTS),
    ):
        nursery.start_soon(echo, acceptor.node, local)
        await until_waiting(local.places)
        nursery.cancel_scope.cancel()
    assert acceptor.associations == 1
    assert local.places.borrowed_tokens == 0


async def test_who_shares_an_entity_shares_its_places() -> None:
    ours = entities()
    assert ours["storage"].places is ours["storage"].places
    assert ours["storage"].places is not ours["commitment"].places
    assert ours["storage"] == local_entity(Config(), load_profile(), "127.0.0.1", "storage")


async def test_our_port_has_as_many_places_as_the_profile_says() -> None:
    profile = load_profile()
    listener = replace(profile.application_entity["listener"], max_associations=1)
    profile = replace(profile, application_entity={**profile.application_entity, "listener": listener})
    local, port, watch = Entities(Config(), profile, "127.0.0.1")["listener"], unused_port(), Watch()
    node = Node("us", "127.0.0.1", port, local.ae_title, Timeouts.all(10))
    peer = LocalApplicationEntity("ARCHIVE", "127.0.0.1", "1.2.3.5", "PEER")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ListenerService(local, port, ListenerRules(), watch.publish).run)
        with trio.fail_after(10):
            await watch.until(lambda: "listener.ready" in watch.kinds())
        async with associate(node, peer, VERIFICATION_CONTEXTS):
            with pytest.raises(AssociationRejected) as caught:
                await echo(node, peer)
            assert not caught.value.permanent
        await echo(node, peer)
        nursery.cancel_scope.cancel()


async def test_what_the_profile_does_not_declare_is_no_entity() -> None:
    ours = entities("sp-1p")
    assert "storage" in ours
    assert "mpps" not in ours
    with pytest.raises(NotDeclared, match="profile sp-1p declares no service mpps"):
        ours["mpps"]
