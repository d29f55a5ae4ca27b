"""A saga participant: executes and compensates steps, each exactly once however often and in whatever order asked.

What was answered is kept per saga, step and action, in the transaction of the work. A command that comes again gets
the same reply again, because the first one may have been lost. A compensation is recorded even when there is nothing
to undo; an execution that arrives after it is refused, so no late work survives its own undoing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pyairtable_reference.kit import metrics
from pyairtable_reference.kit.command_results import CommandResult
from pyairtable_reference.kit.envelope import Action, Command, Outcome, Record, Reply, Unprocessable
from pyairtable_reference.kit.event_store import Cause

if TYPE_CHECKING:
    from pyairtable_reference.kit.unit_of_work import UnitOfWork, UnitsOfWork

log = logging.getLogger(__name__)

UNDONE = "step-undone"


@dataclass(frozen=True, slots=True)
class Done:
    """The work is done (or undone); `result` is what later steps may need."""

    result: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """The participant says no, for good; `reason` is short and stable: `email-taken`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Later:
    """The work is recorded and goes on; whoever finishes it calls `Participant.answer`."""


Answer = Done | Refused
Execute = Callable[["UnitOfWork", Command], Awaitable[Answer | Later]]
Compensate = Callable[["UnitOfWork", Command], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class StepHandlers:
    """How a participant does a step and how it undoes it; None where it cannot be undone."""

    execute: Execute
    compensate: Compensate | None = None


class Participant:
    """Takes the commands of one service.

    Args:
        steps: what this service takes part in, by step name.
    """

    def __init__(self, units_of_work: UnitsOfWork, service: str, steps: Mapping[str, StepHandlers]) -> None:
        self._units_of_work = units_of_work
        self._service = service
        self._steps = steps

    async def handle(self, record: Record) -> None:
        """Does what a command asks and answers it.

        Raises:
            Unprocessable: it is no command, one this service does not know, or one to another tenant's saga.
        """
        command = Command.of(record)
        step = self._steps.get(command.step)
        if step is None or (command.action is Action.COMPENSATE and step.compensate is None):
            raise Unprocessable(f"{self._service} does not know the command {command.type}")
        async with self._units_of_work.begin() as work:
            await work.lock("step", command.saga_id, command.step)
            answered = await work.results.of(command.saga_id, command.step)
            if any(kept.tenant_id != command.tenant_id for kept in answered.values()):
                raise Unprocessable(f"saga {command.saga_id} is another tenant's")
            if command.action in answered:
                self._reply(work, command, answered[command.action])
                return
            answer = await self._act(work, command, step, answered)
            if not isinstance(answer, Later):
                await self.answer(work, command, answer)

    async def answer(self, work: UnitOfWork, command: Command, answer: Answer) -> None:
        """Records an answer and sends it, in the caller's transaction."""
        kept = (
            CommandResult(uuid4(), command.tenant_id, Outcome.DONE, None, answer.result)
            if isinstance(answer, Done)
            else CommandResult(uuid4(), command.tenant_id, Outcome.REFUSED, answer.reason, {})
        )
        await work.results.keep(command, kept)
        self._reply(work, command, kept)
        work.after_commit(metrics.COMMANDS.labels(command.step, command.action, kept.outcome).inc)
        log.info("%s of saga %s: %s %s", command.type, command.saga_id, kept.outcome, kept.reason or "")

    async def _act(
        self, work: UnitOfWork, command: Command, step: StepHandlers, answered: Mapping[Action, CommandResult]
    ) -> Answer | Later:
        if command.action is Action.EXECUTE:
            return Refused(UNDONE) if Action.COMPENSATE in answered else await step.execute(work, command)
        executed = answered.get(Action.EXECUTE)
        if step.compensate is None or executed is None or executed.outcome is Outcome.REFUSED:
            return Done()
        return await step.compensate(work, command)

    def _reply(self, work: UnitOfWork, command: Command, answered: CommandResult) -> None:
        reply = Reply(
            message_id=answered.reply_id,
            in_reply_to=command.message_id,
            saga_id=command.saga_id,
            step=command.step,
            action=command.action,
            outcome=answered.outcome,
            reason=answered.reason,
            result=answered.result,
            tenant_id=command.tenant_id,
            correlation_id=command.correlation_id,
        )
        work.outbox.add(reply.message(self._service))


def cause_of(command: Command, service: str) -> Cause:
    """The command, as the cause of the events it leads to."""
    return Cause(command.tenant_id, command.correlation_id, str(command.message_id), service)
