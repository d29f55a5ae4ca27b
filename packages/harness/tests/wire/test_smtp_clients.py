"""smtplib and aiosmtpd with a wire between them."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from airproof.wire import Wire, on
from airproof.wire import smtp as smtp_messages

HERE = on("client", "server")


class Sink:
    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.mails.append(envelope)
        return "250 taken"


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def smtp_port(sink: Sink, wire: Wire, open_link: Callable[..., int]) -> Iterator[int]:
    """The port of a recorded link to a server that takes every mail."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    controller = Controller(
        sink, "127.0.0.1", port, auth_require_tls=False, authenticator=lambda *_: AuthResult(success=True)
    )
    controller.start()
    try:
        yield open_link(port, protocol="smtp")
    finally:
        controller.stop(no_assert=True)


def mail(text: str, subject: str = "Grüße") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"], message["Message-ID"] = (
        "jo@x.org",
        "ann@y.org",
        subject,
        "<7@x>",
    )
    message.set_content(text)
    return message


def exchanges(wire: Wire) -> list[tuple[str, str]]:
    return [(event["event"], event["outcome"]) for event in wire.events() if event["kind"] == "exchange"]


def test_a_mail_passes_and_is_recorded(smtp_port: int, sink: Sink, wire: Wire) -> None:
    wire.record()
    with smtplib.SMTP("127.0.0.1", smtp_port, timeout=10) as client:
        client.login("user", "s3cret-word")
        client.send_message(mail(".dot\nyour code is 4711\n" + "x" * 70_000))

    events = [("EHLO", "250"), ("AUTH", "235"), ("MAIL", "250"), ("RCPT", "250"), ("DATA", "354"), ("message", "250")]
    assert [one for one in exchanges(wire) if one[0] != "QUIT"] == events
    assert sink.mails[0].content.replace(b"\r\n", b"\n").count(b"\n.dot\nyour code is 4711\n") == 1
    (message,) = [event for event in wire.events() if event.get("event") == "message"]
    assert (message["fields"]["subject"], message["fields"]["to"]) == ("Grüße", "ann@y.org")
    assert "s3cret-word" not in repr(wire.events())


def test_steps_of_a_login_are_followed(smtp_port: int, wire: Wire) -> None:
    wire.record()
    with smtplib.SMTP("127.0.0.1", smtp_port, timeout=10) as client:
        client.ehlo()
        client.user, client.password = "user", "s3cret-word"
        code, _ = client.auth("LOGIN", client.auth_login, initial_response_ok=False)
        assert code == 235
        assert client.noop()[0] == 250

    assert [one for one in exchanges(wire) if one[0] in {"AUTH", "NOOP"}] == [
        ("AUTH", "334"), ("AUTH", "334"), ("AUTH", "235"), ("NOOP", "250"),
    ]  # fmt: skip


def test_a_recipient_is_refused_by_the_wire(smtp_port: int, sink: Sink, wire: Wire) -> None:
    with (
        wire.apply(HERE.when(smtp_messages.rcpt("ann@y.org")).respond(code=451, text="try later")),
        smtplib.SMTP("127.0.0.1", smtp_port, timeout=10) as client,
    ):
        with pytest.raises(smtplib.SMTPRecipientsRefused, match="451"):
            client.send_message(mail("hello"))
        assert client.noop()[0] == 250

    assert sink.mails == []


def test_the_acknowledgement_of_a_mail_is_lost_after_it_was_taken(smtp_port: int, sink: Sink, wire: Wire) -> None:
    with (
        wire.apply(HERE.when(smtp_messages.message("code is 4711")).after("250").lose_reply()),
        smtplib.SMTP("127.0.0.1", smtp_port, timeout=10) as client,
        pytest.raises((smtplib.SMTPServerDisconnected, ConnectionResetError)),
    ):
        client.send_message(mail("your code is 4711 ä", subject="plain"))

    assert len(sink.mails) == 1
