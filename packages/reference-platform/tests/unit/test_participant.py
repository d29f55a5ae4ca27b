"""Participants, with a unit of work that lives in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest

from pyairtable_reference.kit.command_results import CommandResult
from pyairtable_reference.kit.envelope import Action, Command, Message, Record, Unprocessable
from pyairtable_reference.kit.participant import Answer, Done, Later, Participant, Refused, StepHandlers

from .test_envelope import as_record, make_command


class FakeResults:
    def __init__(self) -> None:
        self.kept: dict[tuple[UUID, str], dict[Action, CommandResult]] = {}

    async def of(self, saga_id: UUID, step: str) -> dict[Action, CommandResult]:
        return dict(self.kept.get((saga_id, step), {}))

    async def keep(self, command: Command, result: CommandResult) -> None:
        self.kept.setdefault((command.saga_id, command.step), {})[command.action] = result


class FakeOutbox:
    def __init__(self) -> None:
        self.messages: list[Message] = []

    def add(self, message: Message) -> None:
        self.messages.append(message)


class FakeWork:
    """A unit of work and the place they come from, in one; forgets what a failing block did."""

    def __init__(self) -> None:
        self.results = FakeResults()
        self.outbox = FakeOutbox()

    def after_commit(self, action: Callable[[], None]) -> None:
        action()

    async def lock(self, *_: object) -> None:
        pass

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Any]:
        messages, kept = list(self.outbox.messages), {key: dict(value) for key, value in self.results.kept.items()}
        try:
            yield self
        except BaseException:
            self.outbox.messages, self.results.kept = messages, kept
            raise

    def replies(self) -> list[tuple[str, str, str | None]]:
        return [(m.type.split(".")[1], m.payload["outcome"], m.payload["reason"]) for m in self.outbox.messages]


class Seats:
    """A business with one step."""

    def __init__(self, answer: Answer | Later, undo: Answer | None = None) -> None:
        self.work = FakeWork()
        self.calls: list[str] = []
        self._answers = {"execute": answer, "compensate": undo or Done()}
        steps = {"create_profile": StepHandlers(self._execute, self._compensate)}
        self.participant = Participant(self.work, "user-service", steps)  # type: ignore[arg-type]

    async def _execute(self, _: Any, command: Command) -> Answer | Later:
        self.calls.append(command.action)
        return self._answers["execute"]

    async def _compensate(self, _: Any, command: Command) -> Answer:
        self.calls.append(command.action)
        answer = self._answers["compensate"]
        assert not isinstance(answer, Later)
        return answer

    def take(self, *actions: str) -> list[tuple[str, str, str | None]]:
        for action in actions:
            command = make_command(action=Action(action), message_id=uuid4())
            anyio.run(self.participant.handle, as_record(command.message("user-service", "test")))
        return self.work.replies()


def test_a_command_is_done_once_and_answered_every_time_with_the_same_reply() -> None:
    seats = Seats(Done({"user_id": "u"}))
    assert seats.take("execute", "execute", "execute") == [("execute", "done", None)] * 3
    assert seats.calls == ["execute"]
    assert len({message.id for message in seats.work.outbox.messages}) == 1
    assert all(message.payload["result"] == {"user_id": "u"} for message in seats.work.outbox.messages)


@pytest.mark.parametrize("action", list(Action))
def test_a_command_of_another_tenant_is_unprocessable_and_takes_the_place_of_none(action: Action) -> None:
    seats = Seats(Done())
    seats.take("execute")
    forged = as_record(make_command(action=action, tenant_id="t2").message("user-service", "test"))
    with pytest.raises(Unprocessable, match="another tenant"):
        anyio.run(seats.participant.handle, forged)
    assert seats.take("compensate") == [("execute", "done", None), ("compensate", "done", None)]
    assert seats.calls == ["execute", "compensate"]


def test_a_refusal_is_final() -> None:
    seats = Seats(Refused("seat-limit"))
    assert seats.take("execute", "execute") == [("execute", "refused", "seat-limit")] * 2
    assert seats.calls == ["execute"]


def test_what_was_done_is_undone_once() -> None:
    seats = Seats(Done())
    seats.take("execute", "compensate", "compensate")
    assert seats.calls == ["execute", "compensate"]


def test_an_execution_after_its_compensation_is_refused() -> None:
    seats = Seats(Done())
    assert seats.take("compensate", "execute") == [("compensate", "done", None), ("execute", "refused", "step-undone")]
    assert seats.calls == []


def test_there_is_nothing_to_undo_after_a_refusal() -> None:
    seats = Seats(Refused("seat-limit"), undo=Refused("legal-hold"))
    assert seats.take("execute", "compensate")[-1] == ("compensate", "done", None)
    assert seats.calls == ["execute"]


def test_a_refused_compensation_stays_refused() -> None:
    seats = Seats(Done(), undo=Refused("legal-hold"))
    assert seats.take("execute", "compensate", "compensate")[1:] == [("compensate", "refused", "legal-hold")] * 2


def test_work_that_goes_on_is_answered_later() -> None:
    seats = Seats(Later())
    assert seats.take("execute") == []


def test_a_failing_handler_leaves_no_trace() -> None:
    seats = Seats(Done())

    async def explode(*_: object) -> Answer:
        raise RuntimeError("bug")

    failing = Participant(seats.work, "s", {"create_profile": StepHandlers(explode)})  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="bug"):
        anyio.run(failing.handle, as_record(make_command().message("user-service", "test")))
    assert seats.take("execute") == [("execute", "done", None)]


@pytest.mark.parametrize("changes", [{"step": "nonsense"}, {"value": b"garbage"}])
def test_unknown_commands_are_unprocessable(changes: dict[str, Any]) -> None:
    record = as_record(make_command(step=changes.get("step", "create_profile")).message("user-service", "test"))
    broken = Record(record.topic, record.key, changes.get("value", record.value), record.headers)
    with pytest.raises(Unprocessable):
        anyio.run(Seats(Done()).participant.handle, broken)


def test_a_step_that_cannot_be_undone_takes_no_compensation() -> None:
    seats = Seats(Done())
    pivot = Participant(seats.work, "s", {"create_profile": StepHandlers(seats._execute)})  # type: ignore[arg-type]
    record = as_record(make_command(action=Action.COMPENSATE).message("user-service", "test"))
    assert json.loads(record.value or b"")["action"] == "compensate"
    with pytest.raises(Unprocessable):
        anyio.run(pivot.handle, record)
