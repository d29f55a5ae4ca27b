"""What rules may read of an SMTP command or of a mail."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from itertools import islice

UNKNOWN = "UNKNOWN"
"""The event of a line that begins with no verb."""

_VERB = re.compile(rb"[A-Za-z][A-Za-z0-9]{0,15}(?=[ \r]|$)").match
_PATH = re.compile(rb"(?:FROM|TO):\s*<?([^<>\s]*)>?", re.IGNORECASE).search
_ENCODED = re.compile(rb"^content-transfer-encoding:[ \t]*(?:base64|quoted-printable)", re.IGNORECASE | re.MULTILINE)
_NESTING = re.compile(rb"multipart/|message/", re.IGNORECASE)
_HEADERS_MOST = 64 * 1024
_PARTED_MOST = 100


def event_of(line: bytes) -> str:
    """The verb of a command, in upper case."""
    match = _VERB(line)
    return match[0].decode().upper() if match else UNKNOWN


def path_of(line: bytes) -> str:
    """The mailbox that MAIL or RCPT names; empty for the sender of a bounce."""
    match = _PATH(line)
    return _text(match[1]) if match else ""


def describe_command(event: str, line: bytes) -> tuple[dict[str, str | int], bytes]:
    """The fields and the content of a command; of AUTH the mechanism only."""
    words = line.split()
    argument = _text(words[1]) if len(words) > 1 else ""
    match event:
        case "AUTH":
            return {"verb": event, "mechanism": argument.upper()}, f"AUTH {argument}".encode()
        case "MAIL":
            return {"verb": event, "sender": path_of(line)}, line.rstrip()
        case "RCPT":
            return {"verb": event, "recipient": path_of(line)}, line.rstrip()
        case "EHLO" | "HELO":
            return {"verb": event, "domain": argument}, line.rstrip()
        case _:
            return {"verb": event}, line.rstrip()


def describe_mail(content: bytes, sender: str, recipients: Sequence[str]) -> tuple[dict[str, str | int], bytes]:
    """The fields and the content of a mail: its headers decoded, and behind the mail its texts without encoding."""
    headers = _headers(content)
    fields: dict[str, str | int] = {
        "sender": sender,
        "recipients": ",".join(recipients),
        "from": _decoded(headers, "from"),
        "to": _decoded(headers, "to"),
        "subject": _decoded(headers, "subject"),
        "message_id": _decoded(headers, "message-id"),
    }
    return fields, b"\n".join([content, *_texts(content)])


def unstuffed(raw: bytes) -> bytes:
    """The content of DATA as the sender meant it: without the dot that ends it and those that protect lines."""
    content = (b"\r\n" + raw).removesuffix(b"\r\n.\r\n")
    return content.replace(b"\r\n..", b"\r\n.")[2:]


def _headers(content: bytes) -> Message:
    end = content.find(b"\r\n\r\n")
    return BytesHeaderParser().parsebytes(content[: min(end + 4 if end >= 0 else _HEADERS_MOST, _HEADERS_MOST)])


def _decoded(headers: Message, name: str) -> str:
    value = str(headers.get(name, ""))
    with suppress(ValueError, LookupError, MessageError):
        value = str(make_header(decode_header(value)))
    return " ".join(value.encode(errors="replace").decode().split())


def _texts(content: bytes) -> list[bytes]:
    """The texts in a mail that are encoded, decoded; none of one in which parts lie deeper than in any sound mail."""
    if not _ENCODED.search(content) or sum(1 for _ in islice(_NESTING.finditer(content), _PARTED_MOST)) == _PARTED_MOST:
        return []
    parts = BytesParser().parsebytes(content).walk()
    return [
        decoded
        for part in parts
        if part.get_content_maintype() == "text" and isinstance(decoded := part.get_payload(decode=True), bytes)
    ]


def _text(data: bytes) -> str:
    return data.decode(errors="backslashreplace")
