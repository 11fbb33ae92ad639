"""The console asks configured nodes whether they answer, as the profile's own verification entity."""

from __future__ import annotations

import pytest
from dicom_acceptor import Acceptor, run_acceptor

from firmware_app.config import Config
from firmware_app.config.schema import StorageConfig, WorklistConfig
from firmware_app.console.commands import CommandContext, CommandFailed, CommandTable, CommandUsage
from firmware_app.console.protocol import Reply
from firmware_app.dicom.command import CommandField
from firmware_app.dicom.items import ImplementationClassUid
from firmware_app.profiles import load_profile
from firmware_app.services.peers import Entities
from firmware_app.services.verification_commands import VerificationCommands


def configured(acceptor: Acceptor, profile: str = "sp-1p") -> Config:
    address = {"ip_address": "127.0.0.1", "port": acceptor.node.port, "ae_title": "PEER"}
    return Config(profile=profile, worklist=WorklistConfig(**address), storage=StorageConfig(**address))  # type: ignore[arg-type]


async def said(config: Config, line: str) -> tuple[Reply, list[str]]:
    entities = Entities(config, load_profile(config.profile), "127.0.0.1")
    table, progress = CommandTable(VerificationCommands(config, entities).table()), []
    called = table.parse(line)
    return await called.command.handler(CommandContext(table, progress.append), called.arguments), progress


async def test_one_node_or_all_of_them() -> None:
    async with run_acceptor(lambda message: [0x0000]) as acceptor:
        one, _ = await said(configured(acceptor), "echo storage")
        everybody, progress = await said(configured(acceptor), "echo")
    assert (one.text, everybody.text) == ("answered: storage", "answered: worklist, storage")
    assert [line.partition(" ")[0] for line in progress] == ["worklist", "storage"]
    assert [each["node"] for each in (everybody.data or {})["nodes"]] == ["worklist", "storage"]
    assert [message.command.command_field for message in acceptor.messages] == [CommandField.C_ECHO_RQ] * 3
    assert acceptor.ends == ["released"] * 3
    ours = {
        item.uid for each in acceptor.requests for item in each.user_items if isinstance(item, ImplementationClassUid)
    }
    assert ours == {"1.2.392.200106.1641.1.5"}  # 4.2.1.2.4


async def test_who_does_not_answer_is_named_with_the_reason_and_the_others_are_asked() -> None:
    answers = iter([0x0122, 0x0000])
    async with run_acceptor(lambda message: [next(answers)]) as acceptor:
        with pytest.raises(CommandFailed, match=r"^echo: worklist \(PEER at 127\.0\.0\.1:\d+\): .*0122H"):
            await said(configured(acceptor), "echo")
    assert len(acceptor.messages) == 2


async def test_what_cannot_be_asked_is_said() -> None:
    async with run_acceptor(lambda message: [0x0000]) as acceptor:
        with pytest.raises(CommandUsage, match=r"'print' is no configured node: worklist, storage"):
            await said(configured(acceptor), "echo print")
        with pytest.raises(CommandFailed, match="the profile kodakqc declares no service verification"):
            await said(configured(acceptor, "kodakqc"), "echo")
        with pytest.raises(CommandFailed, match="no node is configured"):
            await said(Config(), "echo")
    assert acceptor.associations == 0
