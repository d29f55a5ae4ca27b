"""What a participant has answered, per saga, step and action: the memory that makes commands idempotent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, select

from pyairtable_reference.kit.envelope import Action, Command, Outcome
from pyairtable_reference.kit.schema import command_results

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.ext.asyncio import AsyncConnection

_KEEP = insert(command_results)
_KEPT = select(
    *(command_results.c[name] for name in ("action", "reply_id", "tenant_id", "outcome", "reason", "result"))
).where(command_results.c.saga_id == bindparam("saga"), command_results.c.step == bindparam("of_step"))


@dataclass(frozen=True, slots=True)
class CommandResult:
    """An answer as it is kept; `reply_id` is the id of the reply, however often it is sent."""

    reply_id: UUID
    tenant_id: str
    outcome: Outcome
    reason: str | None
    result: dict[str, Any]


class CommandResults:
    """The answers, inside the caller's transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def of(self, saga_id: UUID, step: str) -> dict[Action, CommandResult]:
        """What has been answered for a step, by action."""
        rows = await self._connection.execute(_KEPT, {"saga": saga_id, "of_step": step})
        return {
            Action(row.action): CommandResult(row.reply_id, row.tenant_id, Outcome(row.outcome), row.reason, row.result)
            for row in rows
        }

    async def keep(self, command: Command, result: CommandResult) -> None:
        """Remembers the answer to a command."""
        await self._connection.execute(
            _KEEP,
            {
                "saga_id": command.saga_id,
                "step": command.step,
                "action": command.action.value,
                "tenant_id": result.tenant_id,
                "outcome": result.outcome.value,
                "reason": result.reason,
                "result": result.result,
                "reply_id": result.reply_id,
            },
        )
