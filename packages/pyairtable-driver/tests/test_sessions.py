from __future__ import annotations

import hashlib
import json
import time
from typing import Any, cast

import httpx
import pytest

from airproof.errors import PlatformError
from airproof.platform.driver import Tenant
from airproof.platform.entities import EntityRef
from airproof.platform.sessions import Login
from airproof_pyairtable.databases import Databases
from airproof_pyairtable.doors import Doors
from airproof_pyairtable.http import Http
from airproof_pyairtable.sessions import Sessions

REF = EntityRef("w1", Tenant("t1"), "u1")
PAIR = {"access_token": "access-token", "refresh_token": "refresh-token", "expires_in": 100}


class FakeRedis:
    """Keys with what is left of their time, in milliseconds."""

    def __init__(self, **left_ms: int) -> None:
        self.left_ms = left_ms
        self.kept: dict[str, str] = {}

    def set(self, key: str, kept: str, *, ex: int) -> None:
        self.left_ms[key], self.kept[key] = 1000 * ex, kept

    def keys(self) -> list[str]:
        return list(self.left_ms)

    def pttl(self, key: str) -> int:
        return self.left_ms[key]

    def pexpire(self, key: str, left_ms: int) -> None:
        self.left_ms[key] = left_ms

    def delete(self, key: str) -> None:
        del self.left_ms[key]


class FakeHttp:
    """Gives one answer to everything, and with it come keys."""

    def __init__(self, answer: httpx.Response, redis: FakeRedis, **left_ms: int) -> None:
        self.answer, self.redis, self.left_ms = answer, redis, left_ms

    def ask(self, method: str, service: str, path: str, **more: Any) -> httpx.Response:
        self.redis.left_ms |= self.left_ms
        return self.answer


def make_sessions(answer: httpx.Response, redis: FakeRedis, **left_ms: int) -> Sessions:
    http = cast("Http", FakeHttp(answer, redis, **left_ms))
    doors = Doors(http, {}, lambda: cast("Any", redis))
    return Sessions(doors, http, cast("Databases", None), lambda: cast("Any", redis))


def test_what_came_with_a_login_gets_older_and_nothing_else_does() -> None:
    sessions = make_sessions(httpx.Response(200, json=PAIR), redis := FakeRedis(other=900_000), of_it=90_000)
    login = sessions.log_in(REF)
    assert login == Login("access-token", "refresh-token", 100.0)
    sessions.pass_time(login, 60)
    assert redis.left_ms == {"other": 900_000, "of_it": 30_000}
    sessions.pass_time(login, 60)
    assert redis.left_ms == {"other": 900_000}


@pytest.mark.parametrize("newer", [False, True])
def test_a_login_of_another_version_is_a_pair_whose_tokens_know_each_other(newer: bool) -> None:
    login = make_sessions(httpx.Response(200), redis := FakeRedis()).left_by_another_version(REF, newer=newer)
    tokens = [hashlib.sha256(token.encode()).hexdigest() for token in (login.token, login.exchange)]
    pair = [
        json.loads(redis.kept[f"{kind}:{token}"]) for kind, token in zip(("access", "refresh"), tokens, strict=True)
    ]
    assert [one["partner"] for one in pair] == tokens[::-1]
    assert [one["user_id"] for one in pair] == [REF.owner] * 2
    assert all(("added_by_a_newer_version" in one) is newer for one in pair)
    assert redis.left_ms[f"access:{tokens[0]}"] == 1000 * login.lasts_s


def test_the_end_of_a_login_is_told_from_now_on() -> None:
    sessions = make_sessions(httpx.Response(200, json={"exp": time.time() + 50}), FakeRedis())
    assert sessions.ends_in_s(Login("a", "b", 0.0)) == pytest.approx(50, abs=5)


def test_who_is_refused_gets_nothing() -> None:
    sessions, login = make_sessions(httpx.Response(401, json={}), FakeRedis()), Login("a", "b", 0.0)
    assert [sessions.log_in(REF), sessions.exchange(login), sessions.ends_in_s(login)] == [None] * 3


def test_what_says_neither_yes_nor_no_is_an_error() -> None:
    with pytest.raises(PlatformError, match="whether somebody is let in was answered 503"):
        make_sessions(httpx.Response(503, json={}), FakeRedis()).log_in(REF)
