"""A server's connections used up: whoever wants one more is refused, in the server's own words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from airproof.environment.topology import CellDescription, Endpoint, Node, Role
from airproof.errors import FaultNotHealed, FaultNotObserved, FaultUnsupported, WaitTimeout
from airproof.faults.redis_connection import RedisConnection, RedisError
from airproof.faults.targets import Target
from airproof.history import Explanation, OpenFault
from airproof.waiting import wait_until

if TYPE_CHECKING:
    import psycopg

_CONNECT_TIMEOUT_S = 5
_HEALED_WITHIN_S = 10.0


@contextmanager
def used_up_connections(
    target: Target, node: str, *, leaving: int = 0, explains: Iterable[Explanation] = ()
) -> Iterator[int]:
    """No more than `leaving` further connections can be opened to PostgreSQL or Redis; yields how many were taken.

    Of PostgreSQL the free connections are really opened, except for those that it reserves for its administrators. Of
    Redis the limit is lowered to what is open.

    Raises:
        FaultUnsupported: the node is neither.
        FaultNotObserved: one more connection was accepted.
        FaultNotHealed: no connection is accepted afterwards.
    """
    found = target.description.node(node)
    with target.history.fault("connections used up", node, explains=explains, leaving=leaving) as record:
        if found.role in {Role.POSTGRES_PRIMARY, Role.POSTGRES_REPLICA}:
            yield from _of_postgres(target.description, found, leaving, record)
        elif found.role is Role.REDIS:
            yield from _of_redis(found, leaving, record)
        else:
            raise FaultUnsupported(
                f"the connections of {node!r} cannot be used up: this is done to PostgreSQL and Redis;"
                " any node can be made short of open files (airproof.faults.resource)"
            )


def _of_postgres(cell: CellDescription, node: Node, leaving: int, record: OpenFault) -> Iterator[int]:
    taken: list[psycopg.Connection[Any]] = []
    with ExitStack() as stack:
        refused = _take_all(cell, node, taken, stack)
        held = max(0, len(taken) - leaving)
        _give_back(taken[held:], taken[:held])
        record.evidence(f"{held} connections taken, then refused: {refused}", taken=held, refusal=refused)
        yield held
    _await_accepted(node.name, lambda: _postgres_refusal(cell, node), record)


def _take_all(cell: CellDescription, node: Node, taken: list[psycopg.Connection[Any]], stack: ExitStack) -> str:
    """Opens connections until one is refused, and says how."""
    import psycopg

    with _connect(cell, node) as first:
        (most,) = first.execute("SELECT current_setting('max_connections')::int").fetchone() or (0,)
    for _ in range(most + 1):
        try:
            taken.append(stack.enter_context(_connect(cell, node)))
        except psycopg.OperationalError as error:
            return _first_line(error)
    raise FaultNotObserved(f"{node.name!r} accepted {len(taken)} connections, more than its {most}, and goes on")


def _give_back(spare: list[psycopg.Connection[Any]], held: list[psycopg.Connection[Any]]) -> None:
    """Ends the spare ones, and sees their processes end: only then the server has room for others."""
    for connection in spare:
        if held:
            ended = (connection.info.backend_pid, int(_HEALED_WITHIN_S * 1000))
            held[0].execute("SELECT pg_terminate_backend(%s, %s)", ended)
        connection.close()


def _connect(cell: CellDescription, node: Node) -> psycopg.Connection[Any]:
    import psycopg

    return psycopg.connect(
        host=node.endpoint.host,
        port=node.endpoint.port,
        user=cell.database_user,
        dbname="postgres",
        autocommit=True,
        connect_timeout=_CONNECT_TIMEOUT_S,
    )


def _postgres_refusal(cell: CellDescription, node: Node) -> str:
    import psycopg

    try:
        _connect(cell, node).close()
    except psycopg.OperationalError as error:
        return _first_line(error)
    return ""


def _of_redis(node: Node, leaving: int, record: OpenFault) -> Iterator[int]:
    with RedisConnection(node.endpoint) as admin:
        before = admin.ask("CONFIG", "GET", "maxclients")
        usual = before[1] if isinstance(before, list) else b"10000"
        info = admin.ask("INFO", "clients")
        is_open = _connected(info if isinstance(info, bytes) else b"")
        try:
            admin.ask("CONFIG", "SET", "maxclients", is_open + leaving)
            if not leaving:
                record.evidence(f"with {is_open} open, refused: {_demand_refusal(node)}", maxclients=is_open)
            else:
                record.evidence(f"with {is_open} open, {leaving} more are accepted", maxclients=is_open + leaving)
            yield is_open
        finally:
            admin.ask("CONFIG", "SET", "maxclients", usual if isinstance(usual, bytes) else b"10000")
    _await_accepted(node.name, lambda: _redis_refusal(node.endpoint), record)


def _connected(info: bytes) -> int:
    line = next(line for line in info.split(b"\r\n") if line.startswith(b"connected_clients:"))
    return int(line.partition(b":")[2])


def _demand_refusal(node: Node) -> str:
    refusal = _redis_refusal(node.endpoint)
    if not refusal:
        raise FaultNotObserved(f"{node.name!r} accepted one more connection than its limit")
    return refusal


def _redis_refusal(endpoint: Endpoint) -> str:
    try:
        with RedisConnection(endpoint) as connection:
            connection.ask("PING")
    except RedisError as error:
        return str(error)
    return ""


def _await_accepted(node: str, refusal: Any, record: OpenFault) -> None:
    try:
        wait_until(lambda: not refusal(), timeout_s=_HEALED_WITHIN_S, describe=f"{node} to accept a connection")
    except WaitTimeout as error:
        raise FaultNotHealed(f"{node!r} still refuses connections: {refusal()}") from error
    record.healed(f"{node} accepts connections")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
