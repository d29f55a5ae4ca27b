"""redis-py through a wire, in front of a real server."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airproof.environment.model import RedisSource
from airproof.providers.native.redis import find_redis
from airproof.waiting import wait_until
from airproof.wire import Wire, on
from airproof.wire import redis as redis_messages

redis = pytest.importorskip("redis")
backoff = pytest.importorskip("redis.backoff")
retry = pytest.importorskip("redis.retry")

HERE = on("client", "server")
Connect = Callable[..., Any]


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    directory: Path = tmp_path_factory.mktemp("redis")
    options = {"port": str(port), "bind": "127.0.0.1", "save": "", "dir": str(directory), "loglevel": "warning"}
    argv = [
        find_redis(RedisSource.AUTO).executable,
        *(part for name in options for part in (f"--{name}", options[name])),
    ]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: answers(port), timeout_s=20, describe="redis to listen")
            yield port
        finally:
            process.kill()


@pytest.fixture
def recorded(wire: Wire, redis_port: int, open_link: Callable[..., int]) -> int:
    """The port of a link to Redis that records everything."""
    port = open_link(redis_port, protocol="redis")
    wire.record()
    return port


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def client(request: pytest.FixtureRequest, recorded: int) -> Iterator[Any]:
    once = retry.Retry(backoff.NoBackoff(), 0)
    client = redis.Redis(port=recorded, protocol=request.param, decode_responses=True, socket_timeout=10, retry=once)
    client.flushall()
    yield client
    client.close()


def seen(wire: Wire, *events: str) -> list[tuple[str, str]]:
    """Events and outcomes of the exchanges so far, those of the client's own greeting left out."""
    exchanges = [event for event in wire.events() if event["kind"] == "exchange"]
    return [(one["event"], one["outcome"]) for one in exchanges if not events or one["event"] in events]


def test_commands_pass_and_are_recorded(client: Any, wire: Wire) -> None:
    assert client.set("user:1", "ann")
    assert client.get("user:1") == "ann"
    assert client.get("nobody") is None
    assert client.hset("h", mapping={"a": "1", "b": "2"}) == 2
    assert client.hgetall("h") == {"a": "1", "b": "2"}
    assert client.set("big", "x" * 3_000_000)
    assert len(client.get("big")) == 3_000_000
    with pytest.raises(redis.ResponseError):
        client.incr("user:1")

    outcomes = seen(wire, "SET", "GET", "HSET", "HGETALL", "INCRBY")
    kind = "map" if client.get_connection_kwargs()["protocol"] == 3 else "array"
    assert outcomes == [
        ("SET", "OK"), ("GET", "bulk"), ("GET", "nil"), ("HSET", "int"), ("HGETALL", kind), ("SET", "OK"),
        ("GET", "bulk"), ("INCRBY", "-ERR"),
    ]  # fmt: skip


def test_pipelines_and_transactions_pass_command_by_command(client: Any, wire: Wire) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for number in range(200):
            pipeline.set(f"k{number}", "v" * number)
        assert all(pipeline.execute())
    with client.pipeline() as pipeline:
        pipeline.watch("k1")
        pipeline.multi()
        pipeline.incr("n")
        pipeline.mget("k1", "k2")
        assert pipeline.execute() == [1, ["v", "vv"]]

    events = [event for event in wire.events() if event["kind"] == "exchange"]
    assert len([event for event in events if event["event"] == "SET"]) == 200
    inside = [(event["event"], event["outcome"]) for event in events if event["transaction"] == 1]
    assert inside == [("MULTI", "OK"), ("INCRBY", "QUEUED"), ("MGET", "QUEUED"), ("EXEC", "array")]


def test_scripts_pass(client: Any, wire: Wire) -> None:
    script = client.register_script("return {KEYS[1], ARGV[1], redis.call('incr', KEYS[1])}")

    assert script(keys=["s"], args=["x"]) == ["s", "x", 1]
    assert seen(wire, "SCRIPT LOAD", "EVALSHA")[-1] == ("EVALSHA", "array")


def test_messages_arrive_between_other_commands(client: Any, wire: Wire) -> None:
    subscriber = client.pubsub(ignore_subscribe_messages=True)
    subscriber.subscribe("a", "b")
    subscriber.psubscribe("c*")

    def delivered() -> Any:
        return subscriber.get_message(timeout=0.1)

    wait_until(lambda: not delivered() and len(client.pubsub_channels()) == 2, timeout_s=10, describe="subscriptions")
    for channel in ("a", "b", "c1"):
        client.publish(channel, f"to {channel}")
    received = [wait_until(delivered, timeout_s=10, describe="a message")["data"] for _ in range(3)]
    subscriber.unsubscribe()
    subscriber.punsubscribe()
    wait_until(lambda: client.pubsub_numpat() == 0, timeout_s=10, describe="the end of subscriptions")
    subscriber.close()

    assert received == ["to a", "to b", "to c1"]
    assert ("SUBSCRIBE", "subscribe") in seen(wire)
    assert ("PUNSUBSCRIBE", "punsubscribe") in seen(wire)


def test_a_redis_that_is_loading_can_be_pretended(client: Any, wire: Wire) -> None:
    client.set("a", "1")
    with (
        wire.apply(
            HERE.when(redis_messages.command("GET", key="a")).times(1).respond(error="LOADING Redis is loading")
        ),
        pytest.raises(redis.exceptions.BusyLoadingError),
    ):
        client.execute_command("GET", "a")
    assert client.get("a") == "1"


def test_a_duplicated_command_takes_effect_twice_and_is_answered_once(client: Any, wire: Wire) -> None:
    with wire.apply(HERE.when(redis_messages.command("INCRBY")).nth(1).duplicate()):
        assert client.incr("n") == 1
    assert client.get("n") == "2"


def test_a_refused_transaction_leaves_nothing_behind(client: Any, wire: Wire) -> None:
    pipeline = client.pipeline().incr("n").set("m", "1")
    rule = HERE.when(redis_messages.command("*")).respond(error="OOM command not allowed")
    with wire.apply(rule), pytest.raises(redis.RedisError, match="command not allowed"):
        pipeline.execute()
    assert client.get("n") is None
