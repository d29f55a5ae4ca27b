from __future__ import annotations

import pytest

from airproof.wire.protocols.redis import RedisSession
from airproof.wire.session import REQUEST_LIMIT_BYTES, Exchange, Segment, Sender

CLIENT, SERVER = Sender.CLIENT, Sender.SERVER


def command(*arguments: bytes | str) -> bytes:
    words = [one.encode() if isinstance(one, str) else one for one in arguments]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def watched_session() -> RedisSession:
    session = RedisSession()
    session.watched = True
    return session


def asked(session: RedisSession, data: bytes) -> list[Exchange]:
    segments = session.receive(CLIENT, data)
    assert b"".join(segment.data for segment in segments) == data
    return [segment.exchange for segment in segments if segment.exchange]


def answered(session: RedisSession, data: bytes) -> list[tuple[str, str | None]]:
    segments = session.receive(SERVER, data)
    assert b"".join(segment.data for segment in segments) == data
    return [(segment.exchange.event, segment.exchange.outcome) for segment in segments if segment.exchange]


@pytest.mark.parametrize("value", [b"", b"\r\n", b"a\r\n", b"\r\nb", b"a\r\n$1\r\nb", b"\r\n\r\n", b"\n", b"\r"])
def test_arguments_may_hold_line_ends(value: bytes) -> None:
    session = watched_session()
    for _ in range(2):  # known commands are followed in another way than new ones
        [exchange] = asked(session, command("HSET", "key", value, "end"))
        assert exchange.content == b"HSET key " + value + b" end"
        assert exchange.fields["args"] == 3
        answered(session, b"+OK\r\n")


def test_a_command_and_its_reply_are_one_exchange_and_the_very_bytes_pass() -> None:
    session = watched_session()
    request, reply = command("set", "user:1", "Ann Lee"), b"+OK\r\n"

    (first,) = session.receive(CLIENT, request)
    (second,) = session.receive(SERVER, reply)

    assert first.data is request
    assert second.data is reply
    assert first.exchange is second.exchange
    assert first.last
    assert second.last
    exchange = first.exchange
    assert exchange is not None
    assert (exchange.number, exchange.event, exchange.outcome) == (1, "SET", "OK")
    assert exchange.fields == {"command": "SET", "args": 2, "key": "user:1", "keys": "user:1", "db": 0}
    assert exchange.content == b"set user:1 Ann Lee"


@pytest.mark.parametrize("name", ["GET", "PEXPIREAT", "ZRANGEBYSCORE"])
@pytest.mark.parametrize("count", [0, 1, 12])
def test_a_command_is_followed_the_first_time_and_every_time(name: str, count: int) -> None:
    session = RedisSession()
    request = command(name, *["x"] * count)

    seen = [exchange.event for _ in range(3) for exchange in asked(session, request)]

    assert seen == [name] * 3


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (b"+QUEUED\r\n", "QUEUED"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "-LOADING"),
        (b"-MOVED 3999 127.0.0.1:6381\r\n", "-MOVED"),
        (b":42\r\n", "int"),
        (b"$0\r\n\r\n", "bulk"),
        (b"$4\r\n\r\n\r\n\r\n", "bulk"),
        (b"$-1\r\n", "nil"),
        (b"*-1\r\n", "nil"),
        (b"_\r\n", "nil"),
        (b"*0\r\n", "array"),
        (b"*2\r\n*2\r\n:1\r\n$1\r\na\r\n*0\r\n", "array"),
        (b"#t\r\n", "bool"),
        (b",1.5\r\n", "double"),
        (b"(3492890328409238509324850943850943825024385\r\n", "bignum"),
        (b"!21\r\nSYNTAX invalid syntax\r\n", "-SYNTAX"),
        (b"=15\r\ntxt:Some string\r\n", "verbatim"),
        (b"%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n:2\r\n", "map"),
        (b"~2\r\n+a\r\n+b\r\n", "set"),
        (b"|1\r\n+ttl\r\n:3600\r\n*1\r\n|1\r\n+x\r\n+y\r\n:1\r\n", "array"),
    ],
)
def test_every_type_of_reply_is_followed_in_any_pieces(reply: bytes, outcome: str) -> None:
    for size in (1, 2, 3, 5, len(reply)):
        session = RedisSession()
        (exchange,) = asked(session, command("X", "k"))
        pieces = [reply[at : at + size] for at in range(0, len(reply), size)]
        segments = [segment for piece in pieces for segment in session.receive(SERVER, piece)]

        assert b"".join(segment.data for segment in segments) == reply
        assert {segment.exchange for segment in segments} == {exchange}
        assert [segment.last for segment in segments] == [False] * (len(segments) - 1) + [True]
        assert exchange.outcome == outcome
        assert not session.opaque


@pytest.mark.parametrize(
    ("arguments", "event", "keys"),
    [
        ("GET a", "GET", "a"),
        ("MGET a b c", "MGET", "a,b,c"),
        ("MSET a 1 b 2", "MSET", "a,b"),
        ("BLPOP a b 0", "BLPOP", "a,b"),
        ("RENAME a b", "RENAME", "a,b"),
        ("BITOP AND d a b", "BITOP", "d,a,b"),
        ("EVAL script 2 a b x", "EVAL", "a,b"),
        ("FCALL f 1 a x", "FCALL", "a"),
        ("ZUNIONSTORE d 2 a b", "ZUNIONSTORE", "d,a,b"),
        ("XREADGROUP GROUP g c COUNT 1 STREAMS a b > >", "XREADGROUP", "a,b"),
        ("XGROUP CREATE a g $", "XGROUP CREATE", "a"),
        ("OBJECT ENCODING a", "OBJECT ENCODING", "a"),
        ("CLIENT TRACKING ON", "CLIENT TRACKING", None),
        ("CONFIG GET maxmemory", "CONFIG GET", None),
        ("PING", "PING", None),
        ("FT.SEARCH a q", "FT.SEARCH", "a"),
    ],
)
def test_commands_name_their_keys(arguments: str, event: str, keys: str | None) -> None:
    (exchange,) = asked(watched_session(), command(*arguments.split()))

    assert exchange.event == event
    assert exchange.fields.get("keys") == keys
    assert exchange.content == arguments.encode()


@pytest.mark.parametrize(
    "arguments",
    [
        "AUTH s3cret",
        "AUTH user s3cret",
        "HELLO 3 AUTH user s3cret SETNAME x",
        "ACL SETUSER u >s3cret",
        "CONFIG SET requirepass s3cret",
        "MIGRATE h 1 k 0 1 AUTH s3cret",
    ],
)
def test_passwords_are_never_shown(arguments: str) -> None:
    (exchange,) = asked(watched_session(), command(*arguments.split()))

    assert "s3cret" not in repr(exchange)


def test_a_pipeline_is_many_exchanges_in_order() -> None:
    session = watched_session()

    exchanges = asked(session, command("SET", "a", "1") + command("GET", "a") + command("LRANGE", "b", "0", "-1"))

    assert [exchange.number for exchange in exchanges] == [1, 2, 3]
    assert answered(session, b"+OK\r\n$1\r\n1\r\n*1\r\n$1\r\nx\r\n") == [
        ("SET", "OK"), ("GET", "bulk"), ("LRANGE", "array"),
    ]  # fmt: skip


def test_inline_commands_are_read_like_the_others() -> None:
    session = watched_session()

    exchange, other = asked(session, b'set key "a \\x41\\n b"\r\n\r\nPING\n')

    assert (exchange.event, exchange.content) == ("SET", b"set key a A\n b")
    assert other.event == "PING"
    assert not session.opaque


def test_a_transaction_counts_from_multi_to_exec() -> None:
    session = watched_session()

    asked(session, command("SELECT", "3") + command("MULTI") + command("INCR", "a") + command("EXEC"))
    exchanges = asked(session, command("GET", "a") + command("MULTI") + command("DISCARD") + command("GET", "a"))

    assert [exchange.transaction for exchange in exchanges] == [None, 2, 2, None]
    assert exchanges[0].fields["db"] == 3
    assert answered(session, b"+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n")[-1] == ("EXEC", "array")


def test_after_a_refused_multi_there_is_no_transaction() -> None:
    session = watched_session()
    asked(session, command("MULTI"))
    answered(session, b"-LOADING not now\r\n")

    (exchange,) = asked(session, command("INCR", "a"))

    assert exchange.transaction is None


def test_a_refused_select_leaves_the_database() -> None:
    session = watched_session()
    asked(session, command("SELECT", "99"))
    answered(session, b"-ERR DB index is out of range\r\n")

    assert asked(session, command("GET", "a"))[0].fields["db"] == 0


@pytest.mark.parametrize(
    ("end", "reply", "database"),
    [
        ("EXEC", b"*1\r\n+OK\r\n", 5),
        ("EXEC", b"*-1\r\n", 0),
        ("EXEC", b"-EXECABORT no\r\n", 0),
        ("DISCARD", b"+OK\r\n", 0),
    ],
)
def test_a_select_in_a_transaction_that_does_not_take_place_leaves_the_database(
    end: str, reply: bytes, database: int
) -> None:
    session = watched_session()
    asked(session, command("MULTI") + command("SELECT", "5"))
    answered(session, b"+OK\r\n+QUEUED\r\n")
    asked(session, command(end))
    answered(session, reply)

    assert asked(session, command("GET", "a"))[0].fields["db"] == database


def confirmation(word: str, channel: str, total: int, sign: str = "*") -> bytes:
    return f"{sign}3\r\n${len(word)}\r\n{word}\r\n${len(channel)}\r\n{channel}\r\n:{total}\r\n".encode()


MESSAGE = b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n"


def test_in_resp2_messages_belong_to_nobody_and_confirmations_to_their_command() -> None:
    session = watched_session()
    (subscribe,) = asked(session, command("SUBSCRIBE", "a", "b"))
    assert answered(session, confirmation("subscribe", "a", 1)) == [("SUBSCRIBE", None)]
    assert answered(session, MESSAGE) == []
    assert answered(session, confirmation("subscribe", "b", 2)) == [("SUBSCRIBE", "subscribe")]
    assert subscribe.fields["channel"] == "a,b"

    asked(session, command("PSUBSCRIBE", "c*") + command("PING"))
    assert answered(session, confirmation("psubscribe", "c*", 3) + MESSAGE) == [("PSUBSCRIBE", "psubscribe")]
    assert answered(session, b"*2\r\n$4\r\npong\r\n$0\r\n\r\n") == [("PING", "array")]

    asked(session, command("UNSUBSCRIBE") + command("PUNSUBSCRIBE") + command("LRANGE", "m", "0", "-1"))
    assert answered(session, confirmation("unsubscribe", "a", 2)) == [("UNSUBSCRIBE", None)]
    assert answered(session, confirmation("unsubscribe", "b", 1)) == [("UNSUBSCRIBE", "unsubscribe")]
    assert answered(session, confirmation("punsubscribe", "c*", 0)) == [("PUNSUBSCRIBE", "punsubscribe")]
    assert answered(session, MESSAGE) == [("LRANGE", "array")]
    assert not session.opaque


def test_ending_no_subscription_is_confirmed_once() -> None:
    session = RedisSession()
    asked(session, command("UNSUBSCRIBE") + command("GET", "a"))

    replies = b"*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n" + b"$-1\r\n"

    assert answered(session, replies) == [("UNSUBSCRIBE", "unsubscribe"), ("GET", "nil")]


def test_in_resp3_pushes_stand_anywhere_between_replies() -> None:
    session = RedisSession()
    asked(session, command("HELLO", "3") + command("SUBSCRIBE", "a") + command("LRANGE", "m", "0", "-1"))
    assert answered(session, b"%1\r\n+proto\r\n:3\r\n") == [("HELLO", "map")]

    push = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"
    segments = session.receive(SERVER, push + confirmation("subscribe", "a", 1, ">") + push + MESSAGE)

    owners = [(segment.exchange.event if segment.exchange else None, segment.last) for segment in segments]
    assert owners == [(None, False), ("SUBSCRIBE", True), (None, False), ("LRANGE", True)]
    assert not session.opaque


def test_a_refused_subscription_is_one_reply() -> None:
    session = RedisSession()
    asked(session, command("SUBSCRIBE", "a", "b") + command("GET", "a"))

    assert answered(session, b"-NOPERM no\r\n:1\r\n") == [("SUBSCRIBE", "-NOPERM"), ("GET", "int")]


def test_commands_without_replies_are_not_waited_for() -> None:
    session = RedisSession()
    off = asked(session, command("CLIENT", "REPLY", "OFF") + command("SET", "a", "1"))
    on = asked(
        session, command("CLIENT", "REPLY", "ON") + command("CLIENT", "REPLY", "SKIP") + command("SET", "a", "1")
    )
    asked(session, command("GET", "a"))

    assert [exchange.outcome for exchange in [*off, *on]] == ["", "", None, "", ""]
    assert answered(session, b"+OK\r\n$1\r\n1\r\n") == [("CLIENT REPLY", "OK"), ("GET", "bulk")]


def test_monitor_and_replication_make_the_session_opaque() -> None:
    monitoring = RedisSession()
    asked(monitoring, command("MONITOR"))
    assert answered(monitoring, b'+OK\r\n+1700000000.1 [0 lua] "GET"\r\n') == [("MONITOR", "OK")]
    assert monitoring.opaque

    replica = RedisSession()
    assert [exchange.event for exchange in asked(replica, command("PSYNC", "?", "-1") + b"whatever")] == ["PSYNC"]
    assert replica.opaque


@pytest.mark.parametrize(
    "garbage",
    [b"*1\r\n+GET\r\n", b"*x\r\n", b"*2\r\n$3\r\nGET\r\n$1\r\nabc", b"*1\r\n$3\nGET\r\n", b'set "a\r\n', b"x" * 70_000],
)
def test_what_is_no_command_turns_the_session_opaque_and_is_not_lost(garbage: bytes) -> None:
    for watched in (False, True):
        session = RedisSession()
        session.watched = watched
        request = command("GET", "a")
        segments = [one for piece in (request, garbage[:4], garbage[4:]) for one in session.receive(CLIENT, piece)]
        segments += session.receive(CLIENT, b"more")

        assert b"".join(segment.data for segment in segments) == request + garbage + b"more"
        assert session.opaque


@pytest.mark.parametrize("reply", [b"+OK\r\n", b"$?\r\n", b"hello\r\n", b"*1\r\n>1\r\n+x\r\n"])
def test_a_reply_to_nothing_turns_the_session_opaque(reply: bytes) -> None:
    session = RedisSession()
    if reply != b"+OK\r\n":
        asked(session, command("GET", "a"))

    segments = session.receive(SERVER, reply)

    assert b"".join(segment.data for segment in segments) == reply
    assert session.opaque


def test_what_is_kept_of_the_other_side_follows_when_the_session_turns_opaque() -> None:
    session = watched_session()
    assert session.receive(CLIENT, command("SET", "a", "1")[:-3]) == []
    session.receive(SERVER, b"garbage")

    assert session.receive(CLIENT, b"1\r\n") == [Segment(command("SET", "a", "1"))]


def test_unwatched_big_values_pass_in_pieces() -> None:
    session = RedisSession()
    pieces = [b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$200000\r\n", b"x" * 100_000, b"x" * 100_000 + b"\r\n"]

    segments = [segment for piece in pieces for segment in session.receive(CLIENT, piece)]

    assert [segment.data for segment in segments] == pieces
    assert [segment.last for segment in segments] == [False, False, True]
    assert len({id(segment.exchange) for segment in segments}) == 1


def test_a_watched_request_is_kept_until_it_is_complete_and_only_up_to_the_limit() -> None:
    session = watched_session()
    whole = command("SET", "a", b"x" * 100_000)
    assert session.receive(CLIENT, whole[:50_000]) == []
    (segment,) = session.receive(CLIENT, whole[50_000:])
    assert (segment.data, segment.last) == (whole, True)

    session.receive(SERVER, b"+OK\r\n")
    long = command("SET", "longkey", b"x" * (REQUEST_LIMIT_BYTES + 100))
    first, second = [
        segment
        for piece in (long[:1_000], long[1_000 : REQUEST_LIMIT_BYTES + 50], long[REQUEST_LIMIT_BYTES + 50 :])
        for segment in session.receive(CLIENT, piece)
    ]
    assert (first.last, second.last) == (False, True)
    assert first.data + second.data == long
    assert first.exchange is not None
    assert first.exchange.fields["key"] == "longkey"


def test_an_answer_of_the_wire_takes_the_place_of_the_reply() -> None:
    session = watched_session()
    first, second = asked(session, command("GET", "a") + command("GET", "b"))

    assert session.respond(first, {"error": "LOADING Redis is loading\r\nthe dataset"}) == (
        b"-LOADING Redis is loading the dataset\r\n"
    )
    answered(session, b"$1\r\nb\r\n")
    assert (first.outcome, second.outcome) == ("-LOADING", "bulk")
    assert session.respond(second, {"value": "other"}) == b"$5\r\nother\r\n"
    assert not session.opaque


def test_answers_have_the_types_of_the_protocol() -> None:
    session = watched_session()

    def answer(**fields: str | int) -> bytes | None:
        return session.respond(asked(session, command("X"))[0], fields)

    assert answer(value=3) == b":3\r\n"
    assert answer(value="OK", type="simple") == b"+OK\r\n"
    assert answer(type="nil") == b"$-1\r\n"
    asked(session, command("HELLO", "3"))
    answered(session, b"%0\r\n")
    assert answer(type="nil") == b"_\r\n"


def test_a_transaction_can_only_be_refused_as_a_whole() -> None:
    session = watched_session()
    multi, incr, exec_ = asked(session, command("MULTI") + command("INCR", "a") + command("EXEC"))

    assert session.respond(exec_, {"error": "LOADING"}) is None
    assert session.respond(incr, {"error": "LOADING"}) is None
    assert session.respond(multi, {"error": "LOADING"}) == b"-LOADING\r\n"
    assert session.respond(incr, {"error": "LOADING"}) == b"-LOADING\r\n"
    assert session.respond(exec_, {"error": "LOADING"}) == b"-LOADING\r\n"


def test_a_repeated_command_expects_one_reply_more_that_is_marked() -> None:
    session = watched_session()
    first, _ = asked(session, command("INCR", "a") + command("GET", "a"))

    assert session.repeat(first, command("INCR", "a")) == command("INCR", "a")
    assert answered(session, b":1\r\n:2\r\n$1\r\n2\r\n") == [("INCR", "int"), ("repeated", "int"), ("GET", "bulk")]


@pytest.mark.parametrize("name", ["MULTI", "SUBSCRIBE", "HELLO", "SELECT", "QUIT"])
def test_what_changes_the_connection_is_not_repeated(name: str) -> None:
    session = watched_session()
    (exchange,) = asked(session, command(name, "1"))

    assert session.repeat(exchange, command(name, "1")) is None
