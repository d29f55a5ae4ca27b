"""The way to the mail server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiosmtplib

if TYPE_CHECKING:
    from email.message import EmailMessage


class MailRejected(Exception):
    """The mail server will never take this mail. The text is its answer."""


class MailPostponed(Exception):
    """The mail server did not take the mail this time, or did not answer. The text says why.

    Attributes:
        brief: the same without the server's own words, which may name the recipient.
    """

    def __init__(self, text: str, brief: str) -> None:
        super().__init__(text)
        self.brief = brief


class SmtpServer:
    """Sends one mail per connection.

    Args:
        timeout_s: how long any one answer may take.
        in_all_s: how long all answers about one mail may take together.
    """

    def __init__(self, host: str, port: int, timeout_s: float, in_all_s: float) -> None:
        self._host = host
        self._port = port
        self._timeout_s = timeout_s
        self._in_all_s = in_all_s

    async def send(self, message: EmailMessage) -> None:
        """Returns when the mail server has accepted the mail.

        Raises:
            MailRejected: a 5xx answer.
            MailPostponed: a 4xx answer, or none.
        """
        try:
            async with asyncio.timeout(self._in_all_s):
                await self._deliver(message)
        except aiosmtplib.SMTPRecipientsRefused as refused:
            _raise(refused.recipients[0].code, refused.recipients[0].message, refused)
        except aiosmtplib.SMTPResponseException as answer:
            _raise(answer.code, answer.message, answer)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as failure:
            raise MailPostponed(f"{type(failure).__name__}: {failure}", type(failure).__name__) from failure

    async def _deliver(self, message: EmailMessage) -> None:
        server = aiosmtplib.SMTP(
            hostname=self._host, port=self._port, timeout=self._timeout_s, start_tls=False, use_tls=False
        )
        async with server:
            try:
                await server.send_message(message)
            except asyncio.CancelledError:
                # Left open, it would say QUIT and wait for that answer too.
                server.close()
                raise


def _raise(code: int, text: str, cause: Exception) -> None:
    if 500 <= code < 600:
        raise MailRejected(f"{code} {text}") from cause
    raise MailPostponed(f"{code} {text}", str(code)) from cause
