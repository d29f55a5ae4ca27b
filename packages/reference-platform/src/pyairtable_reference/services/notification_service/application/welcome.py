"""The welcome mail: queued with the command, sent by the mailer, answered when the mail server has decided.

A mail is sent at least once, always under the same Message-ID. The mail server's delay delays nobody else's mail.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol
from uuid import uuid5

from pydantic import TypeAdapter

from pyairtable_reference.kit import logs
from pyairtable_reference.kit.backoff import Backoff, delay_s, pause
from pyairtable_reference.kit.database import is_transient
from pyairtable_reference.kit.envelope import Command
from pyairtable_reference.kit.event_store import NEW, Fact
from pyairtable_reference.kit.participant import Answer, Done, Later, Participant, Refused, StepHandlers, cause_of
from pyairtable_reference.services.notification_service.adapters.mails import Mails
from pyairtable_reference.services.notification_service.adapters.smtp import MailPostponed, MailRejected
from pyairtable_reference.services.notification_service.domain.mail import WELCOME, Mail, message_id, welcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from email.message import EmailMessage

    from pyairtable_reference.kit.unit_of_work import UnitOfWork, UnitsOfWork

log = logging.getLogger(__name__)

SERVICE = "notification-service"
STEP = "send_welcome_mail"
MAILBOX_REJECTED = "mailbox-rejected"
AT_ONCE = 8
LONGEST_SLEEP_S = 1.0
FIRST_RETRY_S, LAST_RETRY_S = 0.2, 5.0

_command = TypeAdapter(Command)


class MailServer(Protocol):
    """What `SmtpServer` does."""

    async def send(self, message: EmailMessage) -> None: ...


class Mailer:
    """Queues welcome mails and sends what is queued.

    Args:
        lease_s: how long one attempt at sending may take.
    """

    def __init__(self, units_of_work: UnitsOfWork, server: MailServer, owner: str, lease_s: float) -> None:
        self._units_of_work = units_of_work
        self._server = server
        self._owner = owner
        self._lease_s = lease_s
        self._queued = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self.participant = Participant(units_of_work, SERVICE, {STEP: StepHandlers(self.queue)})

    async def queue(self, work: UnitOfWork, command: Command) -> Later:
        """Owes the mail to its recipient; the answer follows when it is out."""
        mail = Mail(
            id=uuid5(command.saga_id, WELCOME),
            tenant_id=command.tenant_id,
            saga_id=command.saga_id,
            recipient=command.payload["recipient"],
            template=WELCOME,
            message_id=message_id(command.saga_id, WELCOME),
            command=command.payload_json(),
        )
        await Mails(work.connection).add(mail)
        work.after_commit(self._queued.set)
        return Later()

    async def run(self, stopping: asyncio.Event) -> None:
        """Sends what is queued until told to stop; what is being sent then is finished, or broken off with the worker.

        What is broken off stays claimed and is sent again by the next run.
        """
        async with self._units_of_work.begin() as work:
            await Mails(work.connection).recover(self._owner)
        try:
            while not stopping.is_set():
                self._queued.clear()
                free = AT_ONCE - len(self._sending)
                due_s = await self._next_due_s() if free else None
                if due_s is not None and due_s <= 0:
                    await self._start_sending(free)
                else:
                    await pause(self._queued, min(LONGEST_SLEEP_S, max(due_s or LONGEST_SLEEP_S, 0.01)))
        finally:
            await self._finish_sending()

    async def _finish_sending(self) -> None:
        worker = asyncio.current_task()
        try:
            if self._sending and not (worker and worker.cancelling()):
                await asyncio.wait(self._sending)
        finally:
            for unfinished in self._sending:
                unfinished.cancel()

    async def _next_due_s(self) -> float | None:
        async with self._units_of_work.begin() as work:
            return await Mails(work.connection).next_due_s()

    async def _start_sending(self, limit: int) -> None:
        async with self._units_of_work.begin() as work:
            claimed = await Mails(work.connection).claim(self._owner, limit, self._lease_s)
        for mail in claimed:
            task = asyncio.create_task(self._send(mail), name=f"mail {mail.id}")
            self._sending.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._queued.set()
        if not task.cancelled() and (bug := task.exception()):
            log.error("a mail could not be processed", exc_info=bug)

    async def _send(self, mail: Mail) -> None:
        command = _command.validate_python(mail.command)
        with logs.bound(command.correlation_id, command.tenant_id):
            await self._deliver(mail, command)

    async def _deliver(self, mail: Mail, command: Command) -> None:
        try:
            await self._server.send(welcome(mail, command.payload["first_name"]))
        except MailRejected as refusal:
            error = str(refusal)
            await self._record(lambda work: self._rejected(work, mail, command, error))
        except MailPostponed as failure:
            error, wait_s = str(failure), delay_s(mail.attempts, FIRST_RETRY_S, LAST_RETRY_S)
            log.warning("mail %s not sent, again in %.1f s: %s", mail.message_id, wait_s, failure.brief)
            await self._record(lambda work: Mails(work.connection).postpone(mail, error, wait_s))
        else:
            await self._record(lambda work: self._sent(work, mail, command))

    async def _sent(self, work: UnitOfWork, mail: Mail, command: Command) -> None:
        if not await Mails(work.connection).sent(mail):
            return
        told = {"user_id": command.payload["user_id"], "recipient": mail.recipient, "message_id": mail.message_id}
        fact = Fact("welcome.email.sent", told)
        cause = cause_of(command, SERVICE)
        await work.events.append(cause, "notification", str(mail.id), [fact], expected_version=NEW)
        await self._answer(work, command, Done())

    async def _rejected(self, work: UnitOfWork, mail: Mail, command: Command, error: str) -> None:
        if await Mails(work.connection).rejected(mail, error):
            await self._answer(work, command, Refused(MAILBOX_REJECTED))

    async def _answer(self, work: UnitOfWork, command: Command, answer: Answer) -> None:
        await self.participant.answer(work, command, answer)

    async def _record(self, write: Callable[[UnitOfWork], Awaitable[None]]) -> None:
        """Writes down what became of a mail, also when the database is away just then."""
        backoff = Backoff(0.1, LONGEST_SLEEP_S)
        while True:
            try:
                async with self._units_of_work.begin() as work:
                    return await write(work)
            except Exception as failure:
                if not is_transient(failure):
                    raise
                log.warning("outcome of a mail not recorded yet: %s", failure)
                await pause(asyncio.Event(), backoff.next_delay_s())
