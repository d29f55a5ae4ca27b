"""Service-to-service authentication: short-lived signed tokens that say who calls whom."""

from __future__ import annotations

import time
from uuid import uuid4

import jwt

HEADER = "X-Service-Token"
REFUSED = "service-unauthorized"
"""What an answer says when it is the calling service that was not believed, and not the user it calls for."""
LIFETIME_S = 60
CLOCKS_APART_S = 5
"""How far the clock of who calls may be ahead of that of who is called."""
_ALGORITHM = "HS256"


class InvalidServiceToken(Exception):
    """The token is missing, forged, expired, or meant for another service."""


def issue_token(secret: str, caller: str, callee: str, *, lives_s: int = LIFETIME_S, now: float | None = None) -> str:
    """A token with which `caller` may call `callee` for that long."""
    issued_at = int(time.time() if now is None else now)
    good = {"iat": issued_at - CLOCKS_APART_S, "exp": issued_at + lives_s}
    claims = {"iss": caller, "aud": callee, "jti": str(uuid4()), **good}
    return jwt.encode(claims, secret, algorithm=_ALGORITHM)


def verify_token(secret: str, token: str, callee: str) -> str:
    """The caller a token speaks for.

    Raises:
        InvalidServiceToken: it does not allow calling `callee` now.
    """
    required = ["iss", "aud", "iat", "exp", "jti"]
    try:
        claims = jwt.decode(token, secret, algorithms=[_ALGORITHM], audience=callee, options={"require": required})
    except jwt.InvalidTokenError as invalid:
        raise InvalidServiceToken(str(invalid)) from invalid
    return str(claims["iss"])
