"""What each action does to a message. Every effect leaves evidence, also when it turned out to be impossible."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

from airproof.wire.armed import Armed
from airproof.wire.passage import Passage, Then
from airproof.wire.rules import Rule
from airproof.wire.session import Sender

SLICE_S = 0.02
"""How long a throttled lane pauses at least between two writes."""

_THEN = {"reset": Then.RESET, "silent": Then.SILENT}
_NOT_WHOLE = "the message is too long to be kept, or ended early"


async def apply(armed: Armed, passage: Passage) -> None:
    """Does what the rule says, and proves it. It may take as long as the rule wants."""
    await _EFFECTS[armed.rule.action.kind](armed, passage)


async def pause(armed: Armed, seconds: float) -> None:
    """Waits, but not longer than the rule is in force."""
    if seconds > 0:
        with suppress(TimeoutError):
            await asyncio.wait_for(armed.over.wait(), seconds)


def delay_of(armed: Armed) -> float:
    """The next delay of the rule's distribution, in seconds."""
    parameters = armed.rule.action.parameters
    mean, spread = float(parameters["seconds"]), float(parameters.get("spread_s", 0))
    match parameters.get("distribution", "fixed"):
        case "uniform":
            drawn = armed.random.uniform(mean - spread, mean + spread)
        case "normal":
            drawn = armed.random.gauss(mean, spread)
        case "exponential":
            drawn = armed.random.expovariate(1 / mean) if mean else 0.0
        case _:
            drawn = mean
    return max(0.0, drawn)


def senders_cut(rule: Rule) -> tuple[Sender, ...]:
    """Whose bytes vanish by a rule that cuts."""
    direction = str(rule.action.parameters["direction"])
    return tuple(Sender) if direction == "both" else (Sender[direction.partition("->")[0].upper()],)


async def hold(armed: Armed) -> float:
    """Waits until the rule is released or removed; how long it took, in seconds."""
    held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    began = monotonic()
    if not armed.over.is_set():
        armed.held.append(held)
        armed.change()
        try:
            await held
        finally:
            if held in armed.held:
                armed.held.remove(held)
                armed.change()
    return monotonic() - began


async def _delay(armed: Armed, passage: Passage) -> None:
    seconds = delay_of(armed)
    _prove(armed, passage, seconds=round(seconds, 6))
    passage.due += seconds
    await pause(armed, passage.due - monotonic())
    if armed.over.is_set():
        passage.due = min(passage.due, monotonic())


async def _hold(armed: Armed, passage: Passage) -> None:
    _prove(armed, passage)
    waited_s = await hold(armed)
    passage.connection.tell("released", rule=armed.rule.id, exchange=passage.exchange.number, waited_s=waited_s)


async def _lose(armed: Armed, passage: Passage) -> None:
    data = passage.data
    await passage.whole()
    _prove(armed, passage, data)
    _end(armed, passage, b"")


async def _reset(armed: Armed, passage: Passage) -> None:
    _prove(armed, passage)
    passage.lose(Then.RESET)


async def _half_close(armed: Armed, passage: Passage) -> None:
    if not await passage.whole():
        _fail(armed, passage, _NOT_WHOLE)
        return
    _prove(armed, passage)
    passage.is_gone = True
    passage.then = Then.END


async def _cut(armed: Armed, passage: Passage) -> None:
    _prove(armed, passage)
    passage.connection.broken_by(armed)
    for sender in senders_cut(armed.rule):
        if sender is passage.sender:
            passage.lose(Then.SILENT)
        else:
            passage.connection.lane_from(sender).sink.silent = True


async def _throttle(armed: Armed, passage: Passage) -> None:
    rate = float(armed.rule.action.parameters["bytes_per_s"])
    _prove(armed, passage)
    size = max(1, int(rate * SLICE_S))
    data: bytes | None = passage.data
    passage.data = b""
    while data is not None:
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            await pause(armed, len(piece) / rate)
            passage.lane.sink.write(piece)
        data = await passage.next_piece()
    passage.is_gone = True


async def _respond(armed: Armed, passage: Passage) -> None:
    is_request = passage.sender is Sender.CLIENT
    if not await passage.whole():
        _fail(armed, passage, _NOT_WHOLE)
        return
    reply = passage.connection.session.respond(passage.exchange, dict(armed.rule.action.parameters))  # type: ignore[arg-type]
    if reply is None:
        _fail(armed, passage, "the protocol has no such answer to this")
        return
    _prove(armed, passage, answered=reply)
    passage.is_gone = True
    if is_request:
        passage.data = b""
        passage.connection.answer(passage.exchange, reply)
    else:
        passage.data = reply


async def _duplicate(armed: Armed, passage: Passage) -> None:
    again = None
    if await passage.whole():
        again = passage.connection.session.repeat(passage.exchange, passage.data)
    if again is None:
        _fail(armed, passage, "this request cannot be sent twice on this connection")
        return
    passage.connection.repeats += 1
    _prove(armed, passage)
    passage.data += again


async def _reorder(armed: Armed, passage: Passage) -> None:
    me = passage.connection.id
    if armed.meeting and armed.meeting[0] != me and not armed.meeting[1].done():
        overtaken, waiting = armed.meeting
        armed.meeting = None
        _prove(armed, passage, overtook=overtaken)

        def has_passed() -> None:
            if not waiting.done():
                waiting.set_result(None)
                armed.change()

        passage.when_passed(has_passed)
        return
    waiting = asyncio.get_running_loop().create_future()
    armed.meeting = (me, waiting)
    timeout_s = float(armed.rule.action.parameters["timeout_s"])
    why = f"no other match came within {timeout_s:g} s"
    try:
        await armed.wait(waiting.done, timeout_s)
    except asyncio.CancelledError:
        why = "its connection ended while it waited"
        raise
    finally:
        if waiting.done():
            _prove(armed, passage)
        else:
            waiting.cancel()
            _fail(armed, passage, why)


async def _corrupt(armed: Armed, passage: Passage) -> None:
    await passage.whole()
    parameters = armed.rule.action.parameters
    before = passage.data
    if "find" in parameters:
        find, replacement = (bytes.fromhex(str(parameters[name])) for name in ("find", "replacement"))
        passage.data = before.replace(find, replacement)
    else:
        passage.data = _flipped(before, armed, int(parameters["offset"]), int(parameters["count"]))
    if passage.data == before:
        _fail(armed, passage, "there is nothing to corrupt at that place")
    else:
        _prove(armed, passage, before, became=passage.data)


def _flipped(data: bytes, armed: Armed, offset: int, count: int) -> bytes:
    changed = bytearray(data)
    places = [offset] if offset >= 0 else armed.random.sample(range(len(data)), min(count, len(data)))
    for place in places:
        if place < len(changed):
            changed[place] ^= 0xFF
    return bytes(changed)


async def _truncate(armed: Armed, passage: Passage) -> None:
    await passage.whole()
    keep = int(armed.rule.action.parameters["keep"])
    if keep >= len(passage.data):
        _fail(armed, passage, f"the message has {len(passage.data)} bytes only")
        return
    _prove(armed, passage, dropped_bytes=len(passage.data) - keep)
    _end(armed, passage, passage.data[:keep])


def _end(armed: Armed, passage: Passage, data: bytes) -> None:
    """Passes on these bytes as the last ones, then does what the rule says comes then."""
    then = _THEN[str(armed.rule.action.parameters.get("then", "reset"))]
    passage.lose(then)
    passage.data = data
    if then is Then.SILENT:
        passage.connection.broken_by(armed)


def _prove(armed: Armed, passage: Passage, data: bytes | None = None, **facts: object) -> None:
    passage.connection.prove(armed, passage.exchange, passage.data if data is None else data, **facts)


def _fail(armed: Armed, passage: Passage, why: str) -> None:
    passage.connection.prove(armed, passage.exchange, passage.data, failure=why)


_EFFECTS: dict[str, Callable[[Armed, Passage], Awaitable[None]]] = {
    "delay": _delay,
    "hold": _hold,
    "lose_request": _lose,
    "lose_reply": _lose,
    "reset": _reset,
    "half_close": _half_close,
    "cut": _cut,
    "throttle": _throttle,
    "respond": _respond,
    "duplicate": _duplicate,
    "reorder": _reorder,
    "corrupt": _corrupt,
    "truncate": _truncate,
}
