from __future__ import annotations

import json

import pytest

from airproof.history import REDACTED, Redactor

CANARY = "canary-5f0c1e77"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}",
        f"authorization={CANARY}",
        f'{{"authorization": "Basic {CANARY}"}}',
        f"{{'headers': {{'X-API-Key': '{CANARY}'}}}}",
        f"X-API-Key: {CANARY}",
        f"postgresql://airproof:{CANARY}@localhost:5432/auth",
        f"user=a&password={CANARY}&tenant=b",
        f'PASSWORD="{CANARY} {CANARY}"',
        f'{{"password": "with \\"quotes\\" {CANARY}", "x": 1}}',
        f'{{"message": "{{\\"new_password\\": \\"{CANARY}\\", \\"x\\": 1}}"}}',
        f'b\'{{"refresh_token":"{CANARY}"}}\'',
        f'<failure message="token={CANARY}">',
        f'"token": "{CANARY}',
        f"password: {CANARY}",
        f"X-Admin-Key: {CANARY}",
        f"Set-Cookie: {CANARY}; Path=/",
        f"newPassword={CANARY}",
        f'{{"accessToken": "{CANARY}"}}',
        f"('password', '{CANARY}')",
        f"{{'password': b'{CANARY}'}}",
    ],
)
def test_a_secret_is_found_by_the_name_it_stands_under(text: str) -> None:
    redacted = Redactor().text(text)
    assert CANARY not in redacted
    assert REDACTED in redacted
    assert Redactor().text(redacted) == redacted


def test_a_known_secret_is_found_wherever_it_stands() -> None:
    secret = 'a"b/c d\u00e9f'
    redactor = Redactor([secret])
    for text in (f"plain {secret} text", json.dumps({"x": secret}), "url?x=a%22b%2Fc%20d%C3%A9f&y=1"):
        assert "[redacted]" in redactor.text(text)


def test_a_token_is_found_by_its_look() -> None:
    assert Redactor().text("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln back") == "got [redacted] back"


@pytest.mark.parametrize(
    "text",
    [
        "tokens used: 5",
        "broken: 3",
        "keys: a, b",
        "token_type=bearer",
        "the password is wrong",
        "idempotency_key=abc",
        "http://localhost:80/x@y",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert Redactor(["x", ""]).text(text) == text


def test_values_keep_their_shape() -> None:
    value = {"password": {"old": "a", "tries": 3, "set": True}, "tokens": ["a", None], "user": "u", "n": [1.5]}
    redacted = Redactor().value(value)
    assert redacted["password"] == {"old": REDACTED, "tries": 3, "set": True}
    assert redacted["tokens"] == [REDACTED, None]
    assert (redacted["user"], redacted["n"]) == ("u", [1.5])


def test_json_stays_json() -> None:
    text = json.dumps({"password": 'x"\\', "inner": json.dumps({"secret": "y", "z": 1})})
    redacted = json.loads(Redactor().text(text))
    assert redacted["password"] == REDACTED
    assert json.loads(redacted["inner"]) == {"secret": REDACTED, "z": 1}
