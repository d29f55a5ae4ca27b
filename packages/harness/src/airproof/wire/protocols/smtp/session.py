"""SMTP: commands, mails and their replies."""

from __future__ import annotations

from collections.abc import Mapping

from airproof.wire.protocols.framing import Violation
from airproof.wire.protocols.side import SidedSession
from airproof.wire.protocols.smtp.replies import Replies
from airproof.wire.protocols.smtp.requests import MESSAGE, Requests
from airproof.wire.session import Exchange


class SmtpSession(SidedSession):
    """An SMTP connection, followed command by command, with PIPELINING and CHUNKING.

    Events are the verbs (`EHLO`, `MAIL`, `RCPT`, `DATA`, `BDAT`, …; `UNKNOWN` for a line without one) and `message`:
    the mail that follows DATA, whose reply says whether it was taken. Every step of AUTH is an exchange `AUTH`, of
    which nothing but the mechanism is shown.

    Fields: `verb`, `sender` of MAIL, `recipient` of RCPT, `domain` of EHLO and HELO, `mechanism` of AUTH; of `message`
    and BDAT `sender` and `recipients` (taken so far, separated by commas) of the envelope, `from`, `to`, `subject` and
    `message_id` of the headers, decoded; of BDAT `last`. Content: the line, or the mail without dots that protect lines
    and, behind it, its texts without base64 and quoted-printable. Outcome: the code, `250`.

    The connection turns opaque with STARTTLS, with lines that do not end with CRLF, with a client that goes on where it
    must wait, and with a reply to nothing.
    """

    protocol = "smtp"

    def __init__(self) -> None:
        self._requests = Requests()
        self._replies = Replies(self._requests)
        super().__init__(self._requests, self._replies)

    def respond(self, exchange: Exchange, answer: Mapping[str, str | int]) -> bytes | None:
        """A reply of the wire's own.

        Args:
            exchange: one without a reply yet, or one whose reply is not passed on.
            answer: `code` (451) and `text`, of one or more lines.

        Returns:
            None for `message`, BDAT and the later steps of AUTH, for which the server would go on to wait (refuse DATA
            or AUTH instead), for 220 to STARTTLS, and for 3xx or instead of it: the client would then send what the
            server does not expect.
        """
        code, text = int(answer.get("code", 451)), str(answer.get("text", "refused by the wire"))
        if not 200 <= code <= 599 or code // 100 == 3:
            return None
        lines = text.splitlines() or [""]
        marks = ["-"] * (len(lines) - 1) + [" "]
        reply = "".join(f"{code}{mark}{line}\r\n" for mark, line in zip(marks, lines, strict=True)).encode()
        if (exchange.outcome or "").startswith("3"):
            return None
        if exchange.outcome is not None or self._is_being_answered(exchange):
            return reply
        if self.opaque or exchange not in self._requests.pending or not self._can_be_refused(exchange, code):
            return None
        try:
            self._requests.answered(exchange, code)
        except Violation:
            return None
        self._requests.pending.remove(exchange)
        exchange.outcome = str(code)
        return reply

    def _is_being_answered(self, exchange: Exchange) -> bool:
        pending = self._requests.pending
        return self._replies.begun and bool(pending) and pending[0] is exchange

    def _can_be_refused(self, exchange: Exchange, code: int) -> bool:
        if exchange.event in {MESSAGE, "BDAT"} or exchange is self._requests.current:
            return False
        if exchange.event == "STARTTLS":
            return code != 220
        return exchange.event != "AUTH" or "mechanism" in exchange.fields
