"""Verify Connectivity, the SP-1P's entry of the setup menu (4.1.1): does a configured node answer a C-ECHO?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from firmware_app.config import Config
from firmware_app.console.commands import Argument, Command, CommandContext, CommandFailed, CommandUsage
from firmware_app.console.protocol import Reply
from firmware_app.net.errors import NetworkError
from firmware_app.net.node import Node
from firmware_app.net.verification import echo
from firmware_app.services.peers import Entities, NotDeclared, node_of


@dataclass(frozen=True, slots=True)
class VerificationCommands:
    config: Config
    entities: Entities

    def table(self) -> tuple[Command, ...]:
        return (
            Command(
                "echo",
                "does a configured node answer? C-ECHO",
                self._echo,
                (Argument("NODE", "its table's name, such as storage; every configured one if not given", default=""),),
            ),
        )

    async def _echo(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        nodes = self._nodes(arguments["node"])
        try:
            local, contexts = self.entities["verification"], self.entities.contexts("verification")
        except NotDeclared as error:
            raise CommandFailed(f"echo: {error}") from error
        answered, silent = [], []
        for node in nodes:
            try:
                result = await echo(node, local, contexts=contexts)
            except NetworkError as error:
                silent.append(f"{error}")
                continue
            who = result.peer_implementation_version_name or result.peer_implementation_class_uid
            context.progress(f"{node.label}: echo in {1000 * result.seconds:.1f} ms, {who}")
            answered.append({"node": node.name, "seconds": result.seconds, "peer_implementation": who})
        if silent:
            raise CommandFailed(f"echo: {'; '.join(silent)}")
        return Reply(f"answered: {', '.join(node.name for node in nodes)}", {"nodes": answered})

    def _nodes(self, name: str) -> list[Node]:
        tables = self.config.nodes()
        if not tables:
            raise CommandFailed("echo: no node is configured")
        if name and name not in tables:
            raise CommandUsage(f"echo: {name!r} is no configured node: {', '.join(tables)}")
        return [node_of(each, tables[each]) for each in ([name] if name else tables)]
