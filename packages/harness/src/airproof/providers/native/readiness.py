"""Readiness by really talking, in the node's own protocol; a process that dies meanwhile ends the wait."""

from __future__ import annotations

import http.client
import socket
import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from airproof.environment.capabilities import ProcessStatus
from airproof.environment.topology import Endpoint
from airproof.errors import NotReady, WaitTimeout
from airproof.waiting import wait_until

if TYPE_CHECKING:
    from airproof.supervision import Supervisor

Probe = Callable[[], str]
"""Asks once. Empty: ready; else what was seen instead."""

PROBE_TIMEOUT_S = 2.0
LONGEST_INTERVAL_S = 0.02
LAST_LINES = 15
LAST_BYTES = 16_384


def await_ready(supervisor: Supervisor, group: str, probes: Mapping[str, Probe], *, timeout_s: float) -> None:
    """Waits until every process, given by its full name with its probe, is ready.

    Raises:
        NotReady: one of them exited, or is not ready after `timeout_s`; the message holds its last log lines.
    """
    missing = dict(probes)
    seen: dict[str, str] = {}

    def all_ready() -> bool:
        _demand_alive(supervisor, group, missing)
        for name, probe in list(missing.items()):
            seen[name] = probe()
            if not seen[name]:
                del missing[name]
        return not missing

    try:
        wait_until(all_ready, timeout_s=timeout_s, describe="readiness", longest_interval_s=LONGEST_INTERVAL_S)
    except WaitTimeout as error:
        name = next(iter(missing))
        others = f" (nor are {', '.join(list(missing)[1:])})" if len(missing) > 1 else ""
        said = last_lines(supervisor, name)
        raise NotReady(
            f"{name} is not ready after {timeout_s:g} s{others}; last seen: {seen.get(name)}; {said}"
        ) from error


def last_lines(supervisor: Supervisor, name: str) -> str:
    """The end of a process's log, for an error message."""
    path = supervisor.log_path(name)
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LAST_BYTES))
            lines = file.read().decode(errors="replace").splitlines()[-LAST_LINES:]
    except OSError as error:
        return f"its log {path} cannot be read ({error.strerror})"
    if not lines:
        return "it has written nothing"
    return "\n".join(["its last lines:", *(f"  {line}" for line in lines)])


def _demand_alive(supervisor: Supervisor, group: str, names: Mapping[str, Probe]) -> None:
    states = {state.node: state for state in supervisor.states(group)}
    for name in names:
        state = states.get(name)
        if state is None:
            raise NotReady(f"{name} was removed before it was ready")
        if state.status is ProcessStatus.EXITED:
            raise NotReady(
                f"{name} exited with status {state.exit_code} instead of becoming ready; {last_lines(supervisor, name)}"
            )


def all_of(*probes: Probe) -> Probe:
    """Ready when all of them are; those behind the first that is not are not asked."""
    return lambda: next((seen for probe in probes if (seen := probe())), "")


def redis_probe(endpoint: Endpoint) -> Probe:
    """PING is answered PONG."""

    def ask() -> str:
        answer = _exchange(endpoint, b"PING\r\n", 7)
        return "" if answer == b"+PONG\r\n" else _shown(answer)

    return ask


def smtp_probe(endpoint: Endpoint) -> Probe:
    """The banner says 220."""

    def ask() -> str:
        answer = _exchange(endpoint, b"", 4)
        return "" if answer == b"220 " else _shown(answer)

    return ask


def http_probe(endpoint: Endpoint, path: str, *, token: str = "") -> Probe:
    """GET of the path, as the bearer of a token if one is given, is answered 200."""
    headers = {"Connection": "close", **({"Authorization": f"Bearer {token}"} if token else {})}

    def ask() -> str:
        connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=PROBE_TIMEOUT_S)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read(500)
        except (OSError, http.client.HTTPException) as error:
            return f"{path}: {error!r}"
        finally:
            connection.close()
        return "" if answer.status == 200 else f"{path}: {answer.status} {body.decode(errors='replace')}"

    return ask


def kafka_probe(endpoint: Endpoint) -> Probe:
    """Metadata, version 1 for no topic, names at least one broker: it is registered and unfenced."""
    client = b"airproof"
    request = struct.pack(">hhih", 3, 1, 1, len(client)) + client + struct.pack(">i", 0)

    def ask() -> str:
        answer = _exchange(endpoint, struct.pack(">i", len(request)) + request, 12)
        if isinstance(answer, OSError) or len(answer) < 12:
            return _shown(answer)
        brokers = struct.unpack(">iii", answer)[2]
        return "" if brokers > 0 else "no broker is registered yet"

    return ask


def _exchange(endpoint: Endpoint, request: bytes, size_bytes: int) -> bytes | OSError:
    """Sends the request and reads so many bytes of the answer, fewer if the connection ends."""
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=PROBE_TIMEOUT_S) as connection:
            connection.sendall(request)
            answer = b""
            while len(answer) < size_bytes and (part := connection.recv(size_bytes - len(answer))):
                answer += part
    except OSError as error:
        return error
    return answer


def _shown(answer: bytes | OSError) -> str:
    return f"answered {answer!r}" if isinstance(answer, bytes) else str(answer)
