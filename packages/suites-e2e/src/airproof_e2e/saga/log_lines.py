"""What whoever collects the logs of all services relies on: each line is an object that says when, who and what.

And what nobody else is told of is in there.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from airproof.cells.logs import parse
from airproof.checkers.verdict import Anomaly
from airproof.checkers.view import witness
from airproof.environment.capabilities import LogLine
from airproof.errors import WaitTimeout
from airproof.waiting import wait_until
from airproof_e2e.saga.stage import WAIT_S, Stage

TEXTS = ("level", "logger", "service", "instance", "message")
TOLERANCE = timedelta(seconds=1)


def ill_written(lines: Sequence[LogLine], services: Mapping[str, str], began: datetime) -> Iterator[Anomaly]:
    """Judges lines that services have written since then; `services` are theirs by the nodes that they run on."""
    named: dict[tuple[str, str], set[str]] = defaultdict(set)
    wrong: dict[str, list[LogLine]] = defaultdict(list)
    for line in lines:
        told = _object(line.text)
        if not told and line.text.startswith("{") and not line.text.endswith("}"):
            continue  # a kill has cut it off
        if flaw := _flaw(told, services[line.node], began):
            wrong[flaw].append(line)
        else:
            named[told["service"], told["instance"]].add(line.node)
    for flaw, found in wrong.items():
        promise, expected = "a line of a log is an object that says when, who and what", "that in each"
        seen = f"{flaw} in {len(found)} of {len(lines)} lines, of {', '.join(sorted({line.node for line in found}))}"
        facts = witness(line.text[:200] for line in found)
        yield Anomaly("GATEWAY", "not-to-be-collected", promise, expected, seen, facts)
    if shared := {name: nodes for name, nodes in named.items() if len(nodes) > 1}:
        promise, expected = "a line of a log says which instance has written it", "a name of its own for each"
        seen = "; ".join(
            f"{' '.join(name)} is what {' and '.join(sorted(nodes))} say" for name, nodes in shared.items()
        )
        yield Anomaly("GATEWAY", "not-told-apart", promise, expected, seen)


def wait_error(stage: Stage, service: str, about: str) -> None:
    """Waits until the service has logged an error since the scenario began, and notes an anomaly if it does not."""
    if stage.cell.capabilities.logs:
        with suppress(WaitTimeout):
            logged = f"{service} to log an error about {about}"
            wait_until(lambda: any(map(_is_error, _lines(stage, service))), timeout_s=WAIT_S, describe=logged)
        demand_error(stage, service, about)


def demand_error(stage: Stage, service: str, about: str, *, count: int = 1) -> None:
    """Notes an anomaly unless the service has logged so many errors since the scenario began."""
    lines = _lines(stage, service)
    logged = sum(map(_is_error, lines))
    if stage.cell.capabilities.logs and logged < count:
        promise = "what a service cannot do, of which nobody else is told, it logs as an error"
        expected = f"{count} errors of {service} about {about}" if count > 1 else f"an error of {service} about {about}"
        seen = f"{logged or 'none'} in {len(lines)} lines"
        stage.anomalies.append(Anomaly("GATEWAY", "unlogged", promise, expected, seen, witness(lines[-1:])))


def count_errors(stage: Stage, service: str) -> int:
    """How many errors the service has logged since the scenario began."""
    return sum(map(_is_error, _lines(stage, service)))


def _lines(stage: Stage, service: str) -> list[LogLine]:
    nodes = {node.name for node in stage.cell.description.instances(service)}
    return [line for line in stage.log_lines() if line.node in nodes]


def _is_error(line: LogLine) -> bool:
    return parse(line).is_error


def _object(text: str) -> Mapping[str, Any]:
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _flaw(told: Mapping[str, Any], service: str, began: datetime) -> str:
    """What is wrong with a line of that service; empty if nothing is."""
    if not told:
        return "no object"
    if lacking := [name for name in TEXTS if not isinstance(told.get(name), str)]:
        return f"no {', '.join(lacking)}"
    if told["service"] != service:
        return f"the name of {told['service']}"
    try:
        at = datetime.fromisoformat(told.get("ts", told.get("timestamp")))
    except (TypeError, ValueError):
        return "no time"
    if at.tzinfo is None:
        return "a time of no zone"
    written_then = began - TOLERANCE <= at <= datetime.now(UTC) + TOLERANCE
    return "" if written_then else "another time than that when it was written"
