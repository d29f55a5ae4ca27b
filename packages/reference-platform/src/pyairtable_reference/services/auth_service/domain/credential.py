"""Credentials: who may log in, under which e-mail address."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Credential:
    """What a person logs in with. Its id is the user's id everywhere."""

    id: UUID
    tenant_id: str
    saga_id: UUID
    email: str
    password_hash: str
    status: str = ACTIVE


def normalised(email: str) -> str:
    """The one spelling of an address under which it is unique."""
    return email.strip().lower()
