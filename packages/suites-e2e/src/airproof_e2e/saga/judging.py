"""One judgement at the end of every scenario, whatever it did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import chain

import pytest

from airproof.cells.logs import parse
from airproof.checkers.expectation import Expectation
from airproof.checkers.readouts import ReadOut, keep, keep_verdict
from airproof.checkers.verdict import Anomaly, combine, judged
from airproof.checkers.view import witness
from airproof.environment.capabilities import LogLine
from airproof.errors import NotReady, PlatformError, WaitTimeout
from airproof.platform.driver import Tenant
from airproof.platform.observation import BusMessage, MessageKind, SagaReadout, SagaState
from airproof_e2e.saga.log_lines import ill_written
from airproof_e2e.saga.moments import services_of
from airproof_e2e.saga.stage import WAIT_S, Stage


def judge(stage: Stage, promise: str, stuck: Anomaly | None = None) -> None:
    """Waits until nothing moves any more, reads everything, and fails the test if a promise is broken.

    Args:
        stuck: that the scenario waited for something in vain.
    """
    unquiet = _settle(stage)
    readouts = [_read_out(stage, tenant) for tenant in stage.allowances]
    verdicts = [readout.judge() for readout in readouts]
    # What the scenario has looked for itself comes first: a proof blames what is named first.
    own = judged("scenario", stage.anomalies)
    # Last, because who reads what sagas have left behind logs in, and that may be logged too.
    left = judged("rest", [*_unending(stuck, unquiet), *_secrets_on_the_bus(stage, readouts), *_logs(stage, readouts)])
    verdict = combine([own, *verdicts, left])
    history = stage.cell.history
    keep_verdict(history, verdict, of_scenario=(*own.anomalies, *left.anomalies))
    if not verdict:
        faults = ", ".join(f"{fault.kind} {fault.target}" for fault in history.recording().faults)
        text = f"{verdict}\npromise of the scenario: {promise}\nfaults: {faults or 'none'}"
        pytest.fail(text, pytrace=False)


def _unending(stuck: Anomaly | None, unquiet: str) -> Iterator[Anomaly]:
    if stuck:
        yield stuck
    if unquiet:
        yield Anomaly("SAGA", "never-quiet", "after a while nothing moves any more", "a quiet cell", unquiet)


def _secrets_on_the_bus(stage: Stage, readouts: Sequence[ReadOut]) -> Iterator[Anomaly]:
    """What a secret is kept as goes to who keeps it, with one command, and to nobody else."""
    messages = [message for readout in readouts for message in readout.observation.bus]
    texts = [f"{message.headers}{message.body}" for message in messages]
    whole = "".join(texts)
    secrets = [secret for secret in stage.platform.requests.secrets(*stage.allowances) if secret in whole]
    telling = [one for one, text in zip(messages, texts, strict=True) if any(secret in text for secret in secrets)]
    keepers = {one.type for one in telling if one.kind is MessageKind.COMMAND}
    open_ = [one for one in telling if one.kind in {MessageKind.EVENT, MessageKind.REPLY}]
    if open_ or len(keepers) > 1:
        promise = "what a secret is kept as is told to its keeper alone"
        seen = ", ".join(sorted({f"{one.kind.value} {one.type}" for one in telling}))
        yield Anomaly("SECURITY", "secret-on-the-bus", promise, "one kind of command", seen, witness(open_ or telling))


def _logs(stage: Stage, readouts: Sequence[ReadOut]) -> Iterator[Anomaly]:
    lines = stage.log_lines()
    seen = [readout.observation for readout in readouts]
    dead = [one for one in chain(*(one.bus for one in seen)) if one.kind is MessageKind.DEAD_LETTER and one.message_id]
    letters = {one.message_id for one in dead}
    sagas = list(chain(*(one.sagas for one in seen)))
    if lines:
        services = {node.name: node.service for node in stage.cell.description.services()}
        own, began = [line for line in lines if line.node in services], stage.cell.history.header["began"]
        errors = " ".join(line.text for line in lines if parse(line).is_error)
        yield from ill_written(own, services, datetime.fromisoformat(began))
        yield from _untold("SAGA", {one.saga_id for one in sagas if one.state is SagaState.FAILED}, errors)
        yield from _untold("OUTBOX", letters, errors)
        yield from _lost(sagas, [line for line in own if not any(one in line.text for one in letters)])
        yield from _lost_letters(dead, own)
        yield from _silent(stage, [one for one in sagas if one.state.terminal], chain(*(one.bus for one in seen)), own)
    yield from _secrets_in_logs(stage, lines)


def _untold(category: str, ids: Collection[str], errors: str) -> Iterator[Anomaly]:
    if missing := sorted(one for one in ids if one not in errors):
        promise = "what somebody has to look after, a saga that failed or a dead letter, is logged as an error"
        yield Anomaly(
            category, "not-told", promise, "an error about each", f"none about {len(missing)}", witness(missing)
        )


def _lost(sagas: Sequence[SagaReadout], lines: Sequence[LogLine]) -> Iterator[Anomaly]:
    about = [(line, one.correlation_id, one.tenant_id) for one in sagas for line in lines if one.saga_id in line.text]
    yield from _not_under("a saga", about)


def _silent(
    stage: Stage, ended: Sequence[SagaReadout], bus: Iterable[BusMessage], lines: Sequence[LogLine]
) -> Iterator[Anomaly]:
    """Who does or undoes a step of a saga says so in its log, each time, and who drives it how it has ended."""
    participants, sagas = {step.name: step.participant for step in stage.saga.steps}, {one.saga_id for one in ended}
    replies = {(one.saga_id, one.type) for one in bus if one.kind is MessageKind.REPLY and not one.injected}
    answered = Counter((participants.get(type_.partition(".")[0]), id_) for id_, type_ in replies if id_ in sagas)
    for service in services_of(stage.saga):
        nodes = {node.name for node in stage.cell.description.instances(service)}
        said = [line.text for line in lines if line.node in nodes]
        least = {id_: answered[service, id_] or service == stage.orchestrator for id_ in sagas}
        if untold := sorted(id_ for id_ in sagas if sum(id_ in text for text in said) < least[id_]):
            promise, seen = "a saga is told of in the log of each who takes part", f"fewer about {len(untold)} sagas"
            expected = f"a line of {service} about each step of each that it does or undoes, and about its end"
            yield Anomaly("GATEWAY", "not-to-be-found", promise, expected, seen, witness(untold))


def _lost_letters(letters: Sequence[BusMessage], lines: Sequence[LogLine]) -> Iterator[Anomaly]:
    """Not of a letter whose head is no text."""
    known = [one for one in letters if one.correlation_id.isascii()]
    about = [
        (line, one.correlation_id, one.tenant_id) for one in known for line in lines if one.message_id in line.text
    ]
    yield from _not_under("a dead letter", about)


def _not_under(whom: str, about: Sequence[tuple[LogLine, str, str]]) -> Iterator[Anomaly]:
    """Lines that do not name the conversation, or the tenant, of what they are about."""
    for number, (category, what) in enumerate((("GATEWAY", "correlation id"), ("TENANCY", "tenant"))):
        lost = [(line, known[number]) for line, *known in about if known[number] not in line.text]
        if lost:
            promise, expected = f"a log tells of {whom} under its {what}", f"{lost[0][1]} in each line about it"
            nodes = ", ".join(sorted({line.node for line, _ in lost}))
            seen, told = f"{len(lost)} of {len(about)} lines without it, of {nodes}", (line.text for line, _ in lost)
            yield Anomaly(category, "not-to-be-found", promise, expected, seen, witness(told))


def _secrets_in_logs(stage: Stage, lines: Sequence[LogLine]) -> Iterator[Anomaly]:
    requests = stage.platform.requests
    secrets = {secret for allowance in stage.allowances.values() for secret in allowance.secrets}
    secrets.update(requests.secrets(*stage.allowances))
    people = requests.personal(*stage.allowances)
    told = [line for line in lines if any(secret in line.text for secret in secrets)]
    named = [line for line in lines if any(one in line.text.lower() for one in people)]
    for name, what, found in (("secret-in-a-log", "a secret", told), ("person-in-a-log", "who somebody is", named)):
        if found:
            seen = f"{len(found)} lines of {', '.join(sorted({line.node for line in found}))}"
            yield Anomaly("SECURITY", name, f"no log holds {what}", "none", seen)


def _read_out(stage: Stage, tenant: Tenant) -> ReadOut:
    allowance = stage.allowances[tenant]
    observation = stage.access.observe(tenant)
    expectation = Expectation(
        endings=tuple(allowance.endings.values()),
        completed=allowance.completed,
        calm=not stage.disturbances,
        mails_once=allowance.mails_once,
        parked=frozenset(allowance.parked),
        held_back=frozenset(allowance.held_back),
        foreign=frozenset(allowance.foreign),
        secrets=tuple(allowance.secrets),
        tests=stage.tests,
    )
    readout = ReadOut(stage.saga, observation, expectation)
    keep(stage.cell.history, readout)
    return readout


def _settle(stage: Stage) -> str:
    """Waits for all endings and for quiet; returns what kept the cell from becoming quiet."""
    with suppress(WaitTimeout, PlatformError):
        for allowance in stage.allowances.values():
            for saga_id in allowance.endings:
                stage.wait_end(saga_id)
    try:
        stage.cell.barrier(WAIT_S)
    except NotReady as moving:
        return str(moving)
    return ""
