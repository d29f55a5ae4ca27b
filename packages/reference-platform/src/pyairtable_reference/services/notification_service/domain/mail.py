"""Mails: what is sent, and under which one id."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from uuid import UUID

SENDER = "hello@pyairtable.example"
WELCOME = "welcome"


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that is owed to somebody.

    Attributes:
        command: the command that asked for it, to be answered when the mail is out.
        attempts: how often it has been tried, this time included.
    """

    id: UUID
    tenant_id: str
    saga_id: UUID
    recipient: str
    template: str
    message_id: str
    command: dict[str, Any]
    attempts: int = 0


def message_id(saga_id: UUID, template: str) -> str:
    """The one Message-ID of a saga's mail, however often it is sent."""
    return f"<{saga_id}.{template}@pyairtable.example>"


def welcome(mail: Mail, first_name: str) -> EmailMessage:
    """The welcome mail."""
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = mail.recipient
    message["Subject"] = "Welcome to PyAirtable"
    message["Message-ID"] = mail.message_id
    message.set_content(f"Hello {first_name},\n\nyour workspace is ready.\n")
    return message
