from __future__ import annotations

import base64

import pytest

from airproof.wire.protocols.smtp import SmtpSession
from airproof.wire.session import Exchange, Sender

CLIENT, SERVER = Sender.CLIENT, Sender.SERVER
MAIL = (
    b"From: =?utf-8?q?J=C3=B6?= <jo@x>\r\nTo: ann@y\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\r\nMessage-ID: <7@x>\r\n\r\n"
    b"..dots\r\nhello\r\n.\r\n"
)


def greeted(*, watched: bool = True) -> SmtpSession:
    session = SmtpSession()
    session.watched = watched
    (segment,) = session.receive(SERVER, b"220 mail.example ESMTP\r\n")
    assert segment.exchange is None
    return session


def asked(session: SmtpSession, data: bytes) -> list[Exchange]:
    segments = session.receive(CLIENT, data)
    assert b"".join(segment.data for segment in segments) == data
    return [segment.exchange for segment in segments if segment.exchange]


def answered(session: SmtpSession, data: bytes) -> list[tuple[str, str | None]]:
    segments = session.receive(SERVER, data)
    assert b"".join(segment.data for segment in segments) == data
    return [(one.exchange.event, one.exchange.outcome) for one in segments if one.exchange]


def at_data(*, watched: bool = True) -> SmtpSession:
    session = greeted(watched=watched)
    asked(session, b"EHLO me\r\n")
    answered(session, b"250-mail.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n")
    asked(session, b"MAIL FROM:<jo@x> SIZE=100\r\nRCPT TO:<ann@y>\r\nRCPT TO:<bob@y>\r\nDATA\r\n")
    answered(session, b"250 ok\r\n250 ok\r\n550 no\r\n354 go ahead\r\n")
    return session


def test_commands_are_exchanges_with_their_codes() -> None:
    session = greeted()
    (ehlo,) = asked(session, b"ehlo me\r\n")
    assert answered(session, b"250-mail.example\r\n") == [("EHLO", None)]
    assert answered(session, b"250 CHUNKING\r\n") == [("EHLO", "250")]
    mail, rcpt = asked(session, b"MAIL FROM:<jo@x>\r\nRCPT TO:<ann@y>\r\n")
    assert answered(session, b"250 ok\r\n550 5.1.1 unknown\r\n") == [("MAIL", "250"), ("RCPT", "550")]

    assert (ehlo.number, ehlo.fields["domain"]) == (1, "me")
    assert mail.fields == {"verb": "MAIL", "sender": "jo@x"}
    assert rcpt.fields == {"verb": "RCPT", "recipient": "ann@y"}
    assert rcpt.content == b"RCPT TO:<ann@y>"


def test_a_mail_is_an_exchange_of_its_own_with_its_headers() -> None:
    session = at_data()

    (message,) = asked(session, MAIL)

    assert answered(session, b"250 queued\r\n") == [("message", "250")]
    assert message.fields == {
        "sender": "jo@x", "recipients": "ann@y", "from": "Jö <jo@x>", "to": "ann@y", "subject": "Grüße",
        "message_id": "<7@x>",
    }  # fmt: skip
    assert message.content.endswith(b"\r\n\r\n.dots\r\nhello")
    assert [exchange.event for exchange in asked(session, b"QUIT\r\n")] == ["QUIT"]


def test_an_encoded_text_is_searched_as_it_was_meant() -> None:
    session = at_data()
    text = base64.encodebytes(b"your code is 4711-abc").replace(b"\n", b"\r\n")

    (message,) = asked(session, b"Content-Transfer-Encoding: base64\r\n\r\n" + text + b".\r\n")

    assert b"4711-abc" in message.content


@pytest.mark.parametrize("watched", [False, True])
def test_only_a_dot_between_proper_line_ends_ends_a_mail(watched: bool) -> None:
    session = at_data(watched=watched)

    for piece in (b"a\n.\n", b"b\n.\r\n", b"c\r.\r", b"\n", b".d\r\n", b"."):
        assert not any(segment.last for segment in session.receive(CLIENT, piece))
    assert session.receive(CLIENT, b"\r\n")[-1].last
    assert not session.opaque


def test_an_empty_mail_ends_at_once() -> None:
    session = at_data()

    (message, _) = asked(session, b".\r\nNOOP\r\n")

    assert message.event == "message"


def test_a_refused_data_is_followed_by_commands() -> None:
    session = greeted()
    asked(session, b"DATA\r\n")
    answered(session, b"503 no recipients\r\n")

    assert [exchange.event for exchange in asked(session, b"RSET\r\n")] == ["RSET"]


def test_chunks_are_counted() -> None:
    session = greeted()
    first, last, empty = asked(session, b"BDAT 12\r\nSubject: a\r\nbdat 4 last\r\nQUITBDAT 0 LAST\r\n")

    assert answered(session, b"250 ok\r\n" * 3) == [("BDAT", "250")] * 3
    assert first.fields["subject"] == "a"
    assert (first.fields["last"], last.fields["last"], empty.fields["last"]) == (0, 1, 1)
    assert last.content == b"QUIT"


def test_credentials_are_never_shown() -> None:
    session = greeted()
    exchanges = asked(session, b"AUTH PLAIN c2VjcmV0\r\n")
    answered(session, b"535 no\r\n")
    exchanges += asked(session, b"AUTH LOGIN\r\n")
    answered(session, b"334 VXNlcm5hbWU6\r\n")
    exchanges += asked(session, b"c2VjcmV0\r\n")
    answered(session, b"334 UGFzc3dvcmQ6\r\n")
    exchanges += asked(session, b"c2VjcmV0\r\n")
    assert answered(session, b"235 ok\r\n") == [("AUTH", "235")]
    exchanges += asked(session, b"NOOP\r\n")

    assert "c2VjcmV0" not in repr(exchanges)
    assert [exchange.event for exchange in exchanges] == ["AUTH", "AUTH", "AUTH", "AUTH", "NOOP"]
    assert exchanges[0].fields["mechanism"] == "PLAIN"


def test_tls_turns_the_session_opaque_when_the_server_agrees() -> None:
    session = greeted()
    asked(session, b"STARTTLS\r\n")
    answered(session, b"454 not now\r\n")
    assert not session.opaque

    asked(session, b"STARTTLS\r\n")
    assert answered(session, b"220 go\r\n") == [("STARTTLS", "220")]
    assert session.opaque


@pytest.mark.parametrize(
    "talk",
    [b"STARTTLS\r\nNOOP\r\n", b"AUTH LOGIN\r\nc2VjcmV0\r\n", b"NOOP\n", b"x" * 20_000, b"\x16\x03\x01" + b"\n"],
)
def test_a_client_that_does_not_keep_to_the_protocol_turns_the_session_opaque(talk: bytes) -> None:
    session = greeted()

    segments = [*session.receive(CLIENT, talk[:12]), *session.receive(CLIENT, talk[12:])]

    assert session.opaque
    assert b"".join(segment.data for segment in segments) == talk
    assert "c2Vj" not in repr([segment.exchange for segment in segments])


@pytest.mark.parametrize("reply", [b"250 ok\r\n", b"hello\r\n", b"250-a\r\n251 b\r\n", b"99 x\r\n", b"250 ok\n"])
def test_a_server_that_does_not_keep_to_the_protocol_turns_the_session_opaque(reply: bytes) -> None:
    session = greeted()
    if reply != b"250 ok\r\n":
        asked(session, b"NOOP\r\n")

    segments = session.receive(SERVER, reply)

    assert session.opaque
    assert b"".join(segment.data for segment in segments) == reply


def test_content_sent_without_waiting_is_a_mail_if_data_is_taken() -> None:
    taken, refused = greeted(), greeted()
    for session in (taken, refused):
        asked(session, b"DATA\r\nhello\r\n.\r\n")

    assert answered(taken, b"354 go\r\n250 ok\r\n") == [("DATA", "354"), ("message", "250")]
    assert not taken.opaque
    answered(refused, b"503 no\r\n500 what\r\n")


def test_an_answer_of_the_wire_takes_the_place_of_the_reply() -> None:
    session = greeted()
    mail, rcpt, data = asked(session, b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n")

    assert session.respond(rcpt, {"code": 451, "text": "greylisted\ntry later"}) == (
        b"451-greylisted\r\n451 try later\r\n"
    )
    assert session.respond(data, {"code": 354}) is None
    assert session.respond(data, {"code": 421, "text": "busy"}) == b"421 busy\r\n"
    assert answered(session, b"250 ok\r\n") == [("MAIL", "250")]
    assert session.respond(mail, {"code": 550}) == b"550 refused by the wire\r\n"
    assert [exchange.event for exchange in asked(session, b"RSET\r\n")] == ["RSET"]
    assert not session.opaque


def test_a_mail_that_the_server_waits_for_cannot_be_answered_before_it_has_it() -> None:
    session = at_data()
    (message,) = asked(session, MAIL)

    assert session.respond(message, {"code": 451}) is None
    answered(session, b"250 ok\r\n")
    assert session.respond(message, {"code": 451}) == b"451 refused by the wire\r\n"


@pytest.mark.parametrize("asks_on", [b"DATA\r\n", b"AUTH LOGIN\r\n"])
def test_a_client_that_is_asked_to_go_on_cannot_be_told_otherwise(asks_on: bytes) -> None:
    session = greeted()
    (exchange,) = asked(session, asks_on)
    answered(session, b"354 go on\r\n" if asks_on.startswith(b"DATA") else b"334 VXNlcm5hbWU6\r\n")

    assert session.respond(exchange, {"code": 451}) is None


@pytest.mark.parametrize(
    ("talk", "replies"),
    [
        (b"RSET\r\nMAIL FROM:<jo@x>\r\nRCPT TO:<ann@y>\r\nDATA\r\n", b"250 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n"),
        (
            b"MAIL FROM:<jo@x>\r\nRCPT TO:<ann@y>\r\nMAIL FROM:<other@x>\r\nDATA\r\n",
            b"250 ok\r\n250 ok\r\n503 one is under way\r\n354 go on\r\n",
        ),
    ],
    ids=["reset before", "second refused"],
)
def test_the_envelope_is_what_the_server_has_taken(talk: bytes, replies: bytes) -> None:
    session = greeted()
    asked(session, talk)
    answered(session, replies)

    (message,) = asked(session, MAIL)
    assert (message.fields["sender"], message.fields["recipients"]) == ("jo@x", "ann@y")


def test_a_mail_of_parts_in_parts_without_end_passes() -> None:
    parts = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n" for n in range(2000))
    session = at_data()

    (message,) = asked(session, parts.encode() + b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n.\r\n")
    assert answered(session, b"250 ok\r\n") == [("message", "250")]
    assert b"--b1999" in message.content
