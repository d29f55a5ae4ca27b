"""What scenarios do twice: starts, commands, replies, whole topics."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from itertools import permutations
from uuid import uuid4

from airproof.checkers.verdict import Anomaly
from airproof.checkers.view import COMPENSATE
from airproof.errors import StartRefused, WaitTimeout
from airproof.faults.process import NodeFault
from airproof.platform.driver import SagaInput, Tenant, Write
from airproof.platform.manifest import Step
from airproof.platform.observation import BusMessage, MessageKind
from airproof.waiting import wait_until
from airproof_e2e.saga.breakage import (
    KEPT_DAYS,
    aged,
    held,
    killed,
    redelivered,
    stopped,
    suspended,
    undo_refused,
)
from airproof_e2e.saga.moments import asked_to_do, before_deadline, in_turn, last_refusable, undoable
from airproof_e2e.saga.parking import wait_sent
from airproof_e2e.saga.stage import COMPENSATED, WAIT_S, Stage

AT_ONCE = 4
GATHER_S = 0.5
_BETWEEN = ("", ".", "_", "-")
"""What a name and a key may be joined with, and is in names as well."""
DEADLINE_S, NO_LATER_S = 1.0, 6.0
Talked = tuple[Step, BusMessage, BusMessage]


def commands_repeated(stage: Stage) -> None:
    """Every command and its reply are delivered again, while the saga runs, and days old when it is over."""
    stage.allowance.mails_once = True
    talks: list[Talked] = []
    saga_id = in_turn(stage, partial(_repeat, talks))
    stage.wait_end(saga_id)
    for step, command, reply in talks:
        wait_sent(stage, step.participant)
        redelivered(stage, command, days=KEPT_DAYS)
        redelivered(stage, reply, days=KEPT_DAYS)
        stage.reply(saga_id, step, count=3)


def undoing_repeated(stage: Stage) -> None:
    """All commands and replies are delivered again when the saga is undone and the same person came back.

    So is the command that was refused, for a reason that there is no more.
    """
    talks: list[Talked] = []
    saga_id = in_turn(stage, partial(_repeat, talks))
    again = stage.start(stage.make_input(subject=stage.allowance.endings[saga_id].subject))
    stage.wait_end(again)
    for step, undo, reply in talks:
        wait_sent(stage, step.participant)
        redelivered(stage, stage.command(saga_id, step))
        redelivered(stage, undo)
        redelivered(stage, reply)
        stage.reply(saga_id, step, count=2)
        stage.reply(saga_id, step, COMPENSATE, count=3)
    refused = last_refusable(stage)
    wait_sent(stage, refused.participant)
    redelivered(stage, stage.command(saga_id, refused))
    stage.reply(saga_id, refused, count=2)


def _repeat(talks: list[Talked], stage: Stage, saga_id: str, hanging: NodeFault) -> None:
    step, action = stage.step, stage.action
    command = stage.command(saga_id, step, action)
    with suspended(stage, stage.orchestrator):
        hanging.heal()
        reply = stage.reply(saga_id, step, action)
        wait_sent(stage, step.participant)
        redelivered(stage, command)
        stage.reply(saga_id, step, action, count=2)
        redelivered(stage, reply)
    talks.append((step, command, reply))


def step_overtaken(stage: Stage) -> None:
    """The command to undo the step is delivered before the command to do it, while nothing may be undone.

    There is nothing to undo, so that is no reason to refuse.
    """
    step = stage.step

    def then(saga_id: str, _: float) -> None:
        do, undo = stage.command(saga_id, step), stage.command(saga_id, step, COMPENSATE)
        with killed(stage, step.participant):
            stage.access.rewind(step.participant, undo.topic, undo)
        stage.reply(saga_id, step, COMPENSATE)
        with stopped(stage, step.participant):
            stage.access.rewind(step.participant, do.topic, do)
        stage.reply(saga_id, step)

    with ExitStack() as stack:
        if step.compensation and step.compensation.refusal:
            stack.enter_context(undo_refused(stage, step, stage.make_input()))
        before_deadline(stage, COMPENSATED, then)


def commands_rewound(stage: Stage) -> None:
    """The participant's place on the topic of its commands is set back, days later, while it is down."""
    step = stage.step
    saga_id = stage.start()
    stage.wait_end(saga_id)
    command = stage.command(saga_id, step)
    aged(stage, step.participant)
    stage.wait_end(stage.start())
    wait_sent(stage, step.participant)
    with stopped(stage, step.participant):
        stage.access.rewind(step.participant, command.topic, command)
    stage.reply(saga_id, step, count=2)


def replies_rewound(stage: Stage) -> None:
    """The orchestrator's place on the topic of replies is set back, days later, while it is down.

    It remembers the saga all the same, however many others it has been at, and started, since.
    """
    given, key = stage.make_input(), str(uuid4())
    saga_id = stage.start(given, key=key)
    stage.wait_end(saga_id)
    first = stage.reply(saga_id, stage.saga.steps[0])
    aged(stage, stage.orchestrator)
    stage.wait_end(stage.start())
    with stopped(stage, stage.orchestrator):
        stage.access.rewind(stage.orchestrator, first.topic, first)
    _start_again(stage, saga_id, given, key)


def start_repeated_at_once(stage: Stage) -> None:
    """The same start is made many times, and all of them get as far as their first write before any goes on.

    A platform that lets one at a time get so far is right too.
    """
    given, key = stage.make_input(), str(uuid4())
    users = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="user")
    with users, held(stage, stage.orchestrator, Write.BUSINESS) as block:
        starts = [users.submit(stage.start, given, key=key) for _ in range(AT_ONCE)]
        block.wait_blocked(timeout_s=WAIT_S)
        with suppress(WaitTimeout):
            together = "all starts to come to their first write"
            wait_until(lambda: block.waiting() == AT_ONCE, timeout_s=GATHER_S, describe=together)
        block.release()
        ids = {start.result(WAIT_S) for start in starts}
    _demand_one(stage, ids, key)


def start_repeated_later(stage: Stage) -> None:
    """The same start is made again when the saga is over: after days one that completed, and one that was undone."""
    given, key = stage.make_input(), str(uuid4())
    first = stage.start(given, key=key)
    stage.wait_end(first)
    aged(stage, stage.orchestrator)
    _start_again(stage, first, given, key)
    if undoable(stage.saga):
        refuser, given, key = last_refusable(stage), stage.make_input(), str(uuid4())
        with stage.access.refuse(refuser.name, given):
            first = stage.start(given, key=key, ends=COMPENSATED, refused=refuser)
            stage.wait_end(first)
        _start_again(stage, first, given, key)


def _start_again(stage: Stage, first: str, given: SagaInput, key: str) -> None:
    try:
        again = stage.access.start(stage.access.respelled(given), key=key)
        _demand_one(stage, {first, again}, key)
    except StartRefused as refusal:
        promise, facts = "one start is one saga, however it ended", (f"key {key}",)
        stage.anomalies.append(Anomaly("SAGA", "start-forgotten", promise, f"saga {first}", str(refusal), facts))
    else:
        told, is_now = stage.access.told(again), stage.access.read(again).state
        if told != is_now:
            promise = "whoever starts a saga again is told how far it is"
            stage.anomalies.append(Anomaly("SAGA", "told-what-was", promise, is_now, told, (f"saga {again}",)))


def start_repeated_with_later_deadline(stage: Stage) -> None:
    """The start is made again while a participant hangs, with all the time there is; the first deadline counts.

    A platform that takes it for another start is right too.
    """
    given, key = stage.make_input(), str(uuid4())
    start = partial(stage.start, given, key=key, deadline_s=DEADLINE_S, ends=COMPENSATED)
    with asked_to_do(stage, start) as (saga_id, _):
        with suppress(StartRefused):
            again = stage.access.start(given, key=key, deadline_s=stage.saga.longest_deadline_s)
            _demand_one(stage, {saga_id, again}, key)
        stage.wait_for(saga_id, (MessageKind.EVENT, stage.saga.failed), timeout_s=DEADLINE_S + NO_LATER_S)
    stage.wait_end(saga_id)


def start_by_a_stranger(stage: Stage) -> None:
    """Somebody who is no service of the platform starts the saga at the orchestrator."""
    with suppress(StartRefused):
        stranger = stage.access.start_unidentified(stage.make_input())
        promise = "only a service of the platform starts sagas"
        stage.anomalies.append(Anomaly("XSERVICE", "stranger-served", promise, "a refusal", f"saga {stranger}"))
    stage.start()


def start_repeated_with_other_body(stage: Stage) -> None:
    """The key of a start is used again for others, and by another tenant, whom it is no other start to.

    That tenant is called like the first one but for the case of letters. Then the first one makes its start again.
    The others are one that has nothing in common with it, those that differ in one field, and those in which one field
    begins with the last letter of another. More tenants have keys that read like the first one's when name and key are
    written as one.
    """
    key, other, given = str(uuid4()), Tenant(stage.tenant.id.upper()), stage.make_input()
    saga_id = stage.start(given, key=key)
    try:
        theirs = stage.start(stage.make_input(tenant=other, subject=f"another-{given.subject}"), key=key)
    except StartRefused as refusal:
        _note_shared_key(stage, key, str(refusal))
    else:
        if theirs == saga_id:
            _note_shared_key(stage, key, f"saga {theirs} of {stage.tenant.id}")
        _demand_own_key(stage, saga_id, given, key)
    _demand_own_names(stage, key)
    names = [name for name, value in given.fields.items() if value != given.tenant.id]
    varied = [(name, replace(given, fields={**given.fields, name: f"{given.fields[name]}x"})) for name in names]
    varied += [
        (f"{one} and {another}", replace(given, fields={**given.fields, **_moved(given, one, another)}))
        for one, another in permutations([name for name in names if given.fields[name] not in given.secrets], 2)
        if given.fields[another] != given.subject
    ]
    for what, another in [("all", stage.make_input()), *varied]:
        try:
            seen = f"saga {stage.access.start(another, key=key)}"
        except StartRefused as refusal:
            if refusal.code == stage.platform.manifest.key_reused:
                continue
            seen = str(refusal)
        promise, facts = "a key that was used for another start is refused", (f"key {key}", f"differs in {what}")
        expected = f"a refusal, {stage.platform.manifest.key_reused}"
        stage.anomalies.append(Anomaly("CONTRACT", "key-reused", promise, expected, seen, facts))


def _moved(given: SagaInput, one: str, another: str) -> dict[str, str]:
    """The two fields when a letter of the one is the other's."""
    was = given.fields[one]
    return {one: was[:-1], another: was[-1] + given.fields[another]}


def _demand_own_key(stage: Stage, saga_id: str, given: SagaInput, key: str) -> None:
    """The start is still the same, although another tenant has used its key since."""
    try:
        again = stage.access.start(given, key=key)
    except StartRefused as refusal:
        _note_shared_key(stage, key, str(refusal))
    else:
        if again != saga_id:
            _note_shared_key(stage, key, f"saga {again} when it was started again")


def _demand_own_names(stage: Stage, key: str) -> None:
    """A tenant's name and its key do not become another tenant's, whatever may be put between them."""
    for number, between in enumerate(_BETWEEN):
        other, alike = Tenant(f"{stage.tenant.id}{between}x"), f"x{between}{key}"
        ours = stage.make_input()
        theirs = stage.make_input(tenant=other, subject=f"another{number}-{ours.subject}")
        try:
            if stage.start(ours, key=alike) == stage.start(theirs, key=key):
                _note_shared_key(stage, alike, "one saga of two tenants")
        except StartRefused as refusal:
            _note_shared_key(stage, alike, str(refusal))


def _note_shared_key(stage: Stage, key: str, seen: str) -> None:
    promise = "keys of different tenants have nothing to do with each other"
    stage.anomalies.append(Anomaly("TENANCY", "key-shared", promise, "a saga of its own", seen, (f"key {key}",)))


def _demand_one(stage: Stage, ids: set[str], key: str) -> None:
    if len(ids) > 1:
        promise, seen = "one start makes one saga", f"{len(ids)} sagas"
        stage.anomalies.append(
            Anomaly("SAGA", "second-instance", promise, "one id", seen, (f"key {key}", *sorted(ids)))
        )
