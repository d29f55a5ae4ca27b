from __future__ import annotations

from typing import Any, cast

import httpx
import pytest

from airproof.platform.driver import Tenant
from airproof.platform.entities import EntityRef
from airproof_pyairtable.doors import Doors
from airproof_pyairtable.http import Http

REF = EntityRef("w1", Tenant("t1"), "u1")
PAIR = {"access_token": "access-token", "refresh_token": "refresh-token", "expires_in": 100}
REFUSED = httpx.Response(401, json={})


class FakeRedis:
    """Keys with what is left of their time, in milliseconds; -1 for no end."""

    def __init__(self) -> None:
        self.left_ms = {b"of-before": 5_000}

    def keys(self) -> list[bytes]:
        return list(self.left_ms)

    def pttl(self, key: bytes) -> int:
        return self.left_ms[key]

    def pexpire(self, key: bytes, left_ms: int) -> None:
        self.left_ms[key] = left_ms

    def delete(self, key: bytes) -> None:
        del self.left_ms[key]


class FakeHttp:
    """Opens a session whose keys live that long; refuses and grants exchanges in turn.

    Args:
        prolonged: keys that live as long again when the session is used.
        good: whether the session can be used.
    """

    def __init__(
        self,
        redis: FakeRedis,
        *exchanges: httpx.Response,
        prolonged: tuple[str, ...] = (),
        good: bool = True,
        **left_ms: int,
    ) -> None:
        self.redis, self.exchanges, self.left_ms = redis, list(exchanges), left_ms
        self.prolonged, self.good = prolonged, good
        self.exchanged: list[str] = []

    def ask(self, method: str, service: str, path: str, **more: Any) -> httpx.Response:
        if path == "/auth/refresh":
            self.exchanged.append(more["json"]["refresh_token"])
            return self.exchanges.pop(0)
        if path == "/auth/me" and not self.good:
            return REFUSED
        living = self.prolonged if path == "/auth/me" else self.left_ms
        self.redis.left_ms |= {name.encode(): self.left_ms[name] for name in living}
        return httpx.Response(200, json=PAIR)


def make_doors(http: FakeHttp) -> Doors:
    doors = Doors(cast("Http", http), {}, lambda: cast("Any", http.redis))
    doors.learn(REF.owner, {"email": "ann@t1.example", "password": "pw"})
    return doors


def test_a_session_expires_as_far_as_its_keys_do() -> None:
    http = FakeHttp(redis := FakeRedis(), access=99_990, refresh=700_000, for_ever=-1)
    assert make_doors(http).expired(REF) == "access-token"
    assert redis.left_ms == {b"of-before": 5_000, b"refresh": 600_000, b"for_ever": -1}


def test_a_session_that_is_prolonged_by_its_use_does_not_expire() -> None:
    http = FakeHttp(redis := FakeRedis(), access=99_990, refresh=700_000, prolonged=("access",))
    make_doors(http).expired(REF)
    assert redis.left_ms == {b"of-before": 5_000, b"access": 89_990, b"refresh": 600_000}


@pytest.mark.parametrize(
    ("answer", "token"),
    [(REFUSED, "refresh-token"), (httpx.Response(200, json={**PAIR, "access_token": "another"}), "another")],
)
def test_a_token_for_another_purpose_is_shown_or_what_one_gets_for_it(answer: httpx.Response, token: str) -> None:
    http = FakeHttp(FakeRedis(), answer)
    assert make_doors(http).refresh(REF) == token
    assert http.exchanged == ["access-token"]


def test_exchanges_at_once_are_counted() -> None:
    http = FakeHttp(FakeRedis(), REFUSED, httpx.Response(200, json=PAIR), REFUSED)
    assert make_doors(http).exchange_at_once(REF, 3) == 1


def test_an_exchange_for_what_lets_nobody_in_does_not_count() -> None:
    http = FakeHttp(FakeRedis(), REFUSED, httpx.Response(200, json=PAIR), good=False)
    assert make_doors(http).exchange_at_once(REF, 2) == 0


def test_what_was_shown_is_remembered() -> None:
    doors = make_doors(FakeHttp(FakeRedis(), REFUSED))
    doors.refresh(REF)
    assert set(doors.shown()) == {"pw", "access-token", "refresh-token"}
