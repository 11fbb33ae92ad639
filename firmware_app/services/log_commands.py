"""What the console can do with logs: a bundle for the maker's service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firmware_app.console.commands import Command, CommandContext
from firmware_app.console.protocol import Reply

if TYPE_CHECKING:
    from firmware_app.services.service_bundle import ServiceBundle


@dataclass(frozen=True, slots=True)
class LogCommands:
    """`bundle` makes one: what it needs is imported only then."""

    bundle: Callable[[], ServiceBundle]

    def table(self) -> tuple[Command, ...]:
        text = "a bundle for service: log, configuration, versions, health, self-test; patient data is left out"
        return (Command("logs export", text, self._export),)

    async def _export(self, context: CommandContext, arguments: Mapping[str, Any]) -> Reply:
        path, missing = await self.bundle().export(context.progress)
        lines = [f"written: {path}", *(f"left out: {name}: {why}" for name, why in missing.items())]
        return Reply("\n".join(lines), {"path": str(path), "missing": missing})
