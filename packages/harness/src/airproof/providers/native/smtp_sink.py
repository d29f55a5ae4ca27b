"""The mail sink of a cell: aiosmtpd for the platform, a small HTTP interface for the tests. Forked from the zygote.

| request | |
|---|---|
| `GET /mails?recipient=a@b.c` | the mails for it in order: `[{message_id, recipient, subject, text, received_at}]` |
| `PUT /rejections/a@b.c` | that recipient is answered `550 5.1.1` from now on |
| `DELETE /rejections/a@b.c` | and no longer |

What happened is kept in a journal, so that a killed sink forgets nothing it has accepted.
Reads from its environment: `SMTP_ENDPOINT` and `CONTROL_ENDPOINT` as `host:port`, `JOURNAL`, a path.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from email import message_from_bytes
from email.policy import default as default_policy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from aiosmtpd.smtp import SMTP, Envelope, Session

LARGEST_MAIL_BYTES = 10 * 2**20
REJECTION = "550 5.1.1 mailbox unavailable"
REJECTIONS = "/rejections/"


class Journal:
    """Accepted mails and rejected recipients, written down before anybody is told."""

    def __init__(self, path: Path) -> None:
        self.mails: list[dict[str, Any]] = []
        self.rejections: set[str] = set()
        if path.exists():
            for line in path.read_text().splitlines():
                self._apply(json.loads(line))
        self._file = path.open("a")

    def write(self, **entry: Any) -> None:
        """Adds an entry: `mail`, `reject` or `accept`."""
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        self._apply(entry)

    def _apply(self, entry: dict[str, Any]) -> None:
        if "mail" in entry:
            self.mails.append(entry["mail"])
        if "reject" in entry:
            self.rejections.add(entry["reject"])
        if "accept" in entry:
            self.rejections.discard(entry["accept"])


class Receiver:
    """What aiosmtpd asks."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accepts the recipient unless it is rejected."""
        del server, session
        if address.lower() in self._journal.rejections:
            return REJECTION
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keeps the mail once for each recipient."""
        del server, session
        content = envelope.original_content or b""
        mail = message_from_bytes(content, policy=default_policy)
        text, html = mail.get_body(("plain",)), mail.get_body(("html",))
        for recipient in envelope.rcpt_tos:
            self._journal.write(
                mail={
                    "message_id": str(mail["Message-ID"] or "").strip(),
                    "recipient": recipient.lower(),
                    "subject": str(mail["Subject"] or ""),
                    "text": text.get_content() if text else "",
                    "html": html.get_content() if html else "",
                    "received_at": time.time(),
                }
            )
        return "250 OK"


class Control:
    """The HTTP interface: one request a connection."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the request of one connection."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ", 2)
            status, answer = self._answer(method, target)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            status, answer = "400 Bad Request", None
        body = json.dumps(answer).encode()
        fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
        try:
            writer.write(f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n".encode() + body)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except ConnectionError:  # who asked is gone and needs no answer
            writer.close()

    def _answer(self, method: str, target: str) -> tuple[str, Any]:
        address = urlsplit(target)
        if method == "GET" and address.path == "/mails":
            wanted = [recipient.lower() for recipient in parse_qs(address.query).get("recipient", [])]
            return "200 OK", [mail for mail in self._journal.mails if not wanted or mail["recipient"] in wanted]
        if address.path.startswith(REJECTIONS) and method in {"PUT", "DELETE"}:
            recipient = unquote(address.path.removeprefix(REJECTIONS)).lower()
            self._journal.write(**{"reject" if method == "PUT" else "accept": recipient})
            return "200 OK", {"recipient": recipient}
        return "404 Not Found", None


async def run(journal: Journal, smtp: tuple[str, int], control: tuple[str, int]) -> None:
    """Serves until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)

    def connect() -> SMTP:
        return SMTP(
            Receiver(journal),
            hostname="sink.airproof",
            ident="Airproof mail sink",
            enable_SMTPUTF8=True,
            data_size_limit=LARGEST_MAIL_BYTES,
            loop=loop,
        )

    control_server = await asyncio.start_server(Control(journal).serve, *control)
    smtp_server = await loop.create_server(connect, *smtp)
    async with control_server, smtp_server:
        await ended.wait()


def main() -> None:
    """The entry point: everything is read from the environment."""
    journal = Journal(Path(os.environ["JOURNAL"]))
    asyncio.run(run(journal, _address("SMTP_ENDPOINT"), _address("CONTROL_ENDPOINT")))


def _address(variable: str) -> tuple[str, int]:
    host, _, port = os.environ[variable].rpartition(":")
    return host, int(port)
