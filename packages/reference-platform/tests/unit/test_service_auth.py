"""Service-to-service tokens."""

from __future__ import annotations

import time

import jwt
import pytest

from pyairtable_reference.kit.service_auth import InvalidServiceToken, issue_token, verify_token

SECRET = "s" * 40


def test_a_token_says_who_calls() -> None:
    assert verify_token(SECRET, issue_token(SECRET, "api-gateway", "user-service"), "user-service") == "api-gateway"


def test_a_caller_s_clock_may_be_a_little_ahead() -> None:
    early = issue_token(SECRET, "api-gateway", "user-service", now=time.time() + 1)
    assert verify_token(SECRET, early, "user-service") == "api-gateway"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "garbage",
        issue_token(SECRET, "api-gateway", "auth-service"),
        issue_token("x" * 40, "api-gateway", "user-service"),
        issue_token(SECRET, "api-gateway", "user-service", now=time.time() - 61),
        issue_token(SECRET, "api-gateway", "user-service", now=time.time() + 3600),
        jwt.encode({"iss": "a", "aud": "user-service"}, SECRET, algorithm="HS256"),
        jwt.encode({"iss": "a", "aud": "user-service", "exp": 2**40, "iat": 0, "jti": "1"}, None, algorithm="none"),
    ],
    ids=["none", "garbage", "other service", "forged", "expired", "not yet", "no expiry", "unsigned"],
)
def test_other_tokens_are_invalid(token: str) -> None:
    with pytest.raises(InvalidServiceToken):
        verify_token(SECRET, token, "user-service")


def test_every_token_is_unique() -> None:
    tokens = {issue_token(SECRET, "a", "b", now=0) for _ in range(5)}
    assert len(tokens) == 5
