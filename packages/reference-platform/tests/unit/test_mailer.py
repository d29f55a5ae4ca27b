"""The mailer, with a queue that lives in memory and a mail server that keeps its answer to itself."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from pyairtable_reference.kit import logs
from pyairtable_reference.kit.runtime import FINISH_S, _finish
from pyairtable_reference.services.notification_service.adapters.smtp import MailPostponed, SmtpServer
from pyairtable_reference.services.notification_service.application import welcome
from pyairtable_reference.services.notification_service.domain.mail import WELCOME, Mail, message_id
from pyairtable_reference.services.notification_service.domain.mail import welcome as welcome_mail

from .test_envelope import make_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from email.message import EmailMessage

OWNER = "notification-service-1"
PATIENCE_S = 5.0


class MemoryQueue:
    """The mails that are due, and those somebody has claimed; each is its own transaction."""

    def __init__(self, mail: Mail) -> None:
        self.due, self.claimed = [mail], list[Mail]()
        self.changed: list[str] = []

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Any]:
        yield self

    @property
    def connection(self) -> MemoryQueue:
        return self

    async def recover(self, owner: str) -> None:
        assert owner == OWNER
        self.due, self.claimed = self.due + self.claimed, []

    async def next_due_s(self) -> float | None:
        return 0.0 if self.due else None

    async def claim(self, *_: object) -> list[Mail]:
        self.due, self.claimed = [], self.due
        return self.claimed

    async def postpone(self, mail: Mail, error: str, delay_s: float) -> None:
        self.changed.append(error)


class HoldingServer:
    """A mail server that reads a mail, notes it, and does not answer."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[str] = asyncio.Queue()
        self.left: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        while not (await reader.readline()).startswith(b"DATA"):
            writer.write(b"250 yes\r\n")
        writer.write(b"354 go on\r\n")
        self.received.put_nowait((await reader.readuntil(b"\r\n.\r\n")).decode())
        self.left.put_nowait(await reader.read())
        writer.close()


def make_mail() -> Mail:
    saga = uuid4()
    payload = {"first_name": "Ada", "user_id": "1", "recipient": "ada@example.org"}
    command = make_command(saga_id=saga, payload=payload).payload_json()
    return Mail(uuid4(), "acme", saga, payload["recipient"], WELCOME, message_id(saga, WELCOME), command)


async def send_and_stop(queue: MemoryQueue, server: HoldingServer, port: int, finish_s: float) -> str:
    """Runs a mailer until the server holds a mail back, then stops it as the runtime does; returns the mail."""
    mailer = welcome.Mailer(queue, SmtpServer("127.0.0.1", port, 60, 60), OWNER, 180)  # type: ignore[arg-type]
    stopping = asyncio.Event()
    running = asyncio.create_task(mailer.run(stopping))
    mail = await asyncio.wait_for(server.received.get(), PATIENCE_S)
    stopping.set()
    await _finish([running], finish_s)
    assert running.done()
    assert await asyncio.wait_for(server.left.get(), PATIENCE_S) == b""
    return mail


def test_a_mail_in_doubt_holds_up_no_stop_and_is_sent_again_under_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(welcome, "Mails", lambda connection: connection)
    mail = make_mail()
    queue = MemoryQueue(mail)

    async def scenario() -> None:
        server = HoldingServer()
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        async with listening:
            sent = [await send_and_stop(queue, server, port, finish_s) for finish_s in (0, FINISH_S)]
        assert all(mail.message_id in one for one in sent)

    asyncio.run(scenario())
    assert (queue.claimed, queue.changed) == ([mail], [])


def test_who_can_send_no_more_mails_does_not_ask_for_more_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(welcome, "Mails", lambda connection: connection)
    asked = 0

    class Overfull(MemoryQueue):
        async def next_due_s(self) -> float | None:
            nonlocal asked
            asked += 1
            return -1.0

        async def claim(self, *_: object) -> list[Mail]:
            return [make_mail() for _ in range(welcome.AT_ONCE)]

    class Hanging:
        async def send(self, message: EmailMessage) -> None:
            await asyncio.get_running_loop().create_future()

    async def scenario() -> None:
        mailer = welcome.Mailer(Overfull(make_mail()), Hanging(), OWNER, 180)  # type: ignore[arg-type]
        running = asyncio.create_task(mailer.run(asyncio.Event()))
        await asyncio.wait({running}, timeout=0.2)
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(scenario())
    assert asked == 1


def test_answers_that_take_too_long_in_all_put_a_mail_off() -> None:
    async def scenario() -> None:
        server = HoldingServer()
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        async with listening:
            smtp = SmtpServer("127.0.0.1", listening.sockets[0].getsockname()[1], timeout_s=60, in_all_s=0.2)
            with pytest.raises(MailPostponed):
                await asyncio.wait_for(smtp.send(welcome_mail(make_mail(), "Ada")), PATIENCE_S)

    asyncio.run(scenario())


def test_a_mail_is_sent_in_the_conversation_of_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(welcome, "Mails", lambda connection: connection)
    mail, told = make_mail(), []

    class Busy:
        async def send(self, message: EmailMessage) -> None:
            told.append(logs.current_correlation())
            raise MailPostponed("not now", "450")

    queue = MemoryQueue(mail)
    asyncio.run(welcome.Mailer(queue, Busy(), OWNER, 180)._send(mail))  # type: ignore[arg-type]
    assert (told, queue.changed) == ([mail.command["correlation_id"]], ["not now"])
