"""Seeded defects of what sagas keep, do in time and tell their operators."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit
from airproof_defects.saga import MACHINE, ORCHESTRATOR, STORE

TENANCY = "kit/tenancy.py"
ENDPOINTS = "services/saga_orchestrator/entrypoints/http.py"

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="SG50",
        category="SAGA",
        what="what a timer changes is stored in one transaction, and told in the next",
        trigger="the connection breaks between the two",
        edits=(
            Edit(
                ORCHESTRATOR,
                "                    await store.save(saga, machine.next_timer(saga))\n"
                "                    with logs.bound(*whose):\n"
                "                        await self._send(work, machine, saga, effects, str(saga.id))\n",
                "                    await store.save(saga, machine.next_timer(saga))\n"
                "            if effects.changed:\n"
                "                async with self._units_of_work.begin() as work:\n"
                "                    with logs.bound(*whose):\n"
                "                        await self._send(work, machine, saga, effects, str(saga.id))\n",
            ),
        ),
    ),
    Defect(
        id="SG53",
        category="SAGA",
        what="whether a deadline has passed is looked at only when somebody is to be asked again",
        trigger="a participant has been asked a few times when the deadline passes",
        edits=(
            Edit(
                MACHINE,
                "        if self._may_give_up(saga):\n            timers.append(",
                "        if not timers and self._may_give_up(saga):\n            timers.append(",
            ),
        ),
    ),
    Defect(
        id="PF420",
        category="PERF",
        what="a saga that cannot be given up any more is looked at all the time once its deadline has passed",
        trigger="the mail service is away at the deadline",
        edits=(
            Edit(
                MACHINE,
                "        if self._may_give_up(saga):\n            timers.append(",
                "        if saga.state is SagaState.RUNNING:\n            timers.append(",
            ),
        ),
    ),
    Defect(
        id="SG54",
        category="SAGA",
        what="a saga whose start says nothing of it may take as long as it likes",
        trigger="a saga is started without a deadline",
        edits=(
            Edit(
                ENDPOINTS,
                "body.deadline_s or runtime_of(request).settings.saga_deadline_s\n",
                "body.deadline_s or 365 * 86_400.0\n",
            ),
        ),
    ),
    Defect(
        id="SG55",
        category="SAGA",
        what="that a saga failed is logged like any other end",
        trigger="a step cannot be undone",
        edits=(
            Edit(
                ORCHESTRATOR,
                "level = logging.ERROR if saga.state is SagaState.FAILED else logging.INFO",
                "level = logging.INFO",
            ),
        ),
    ),
    Defect(
        id="SG56",
        category="SAGA",
        what="a start is known for a day",
        trigger="the same start is made again days later",
        edits=(
            Edit(
                STORE,
                'saga_instances.c.correlation_id == bindparam("correlation"),\n',
                'saga_instances.c.correlation_id == bindparam("correlation"),\n'
                "    saga_instances.c.created_at > func.now() - timedelta(days=1),\n",
            ),
            Edit(STORE, "from datetime import UTC, datetime\n", "from datetime import UTC, datetime, timedelta\n"),
        ),
    ),
    Defect(
        id="SG57",
        category="SAGA",
        what="a list of sagas shows the oldest first",
        trigger="a tenant has several",
        edits=(
            Edit(
                STORE,
                "    .order_by(saga_instances.c.created_at.desc(), saga_instances.c.id, ",
                "    .order_by(saga_instances.c.created_at, saga_instances.c.id, ",
            ),
        ),
    ),
    Defect(
        id="SG58",
        category="SAGA",
        what="a saga that has ended keeps its timer",
        trigger="a saga",
        edits=(
            Edit(
                ORCHESTRATOR,
                "                await store.save(saga, machine.next_timer(saga))\n"
                "                await self._send(work, machine, saga, effects, str(reply.message_id))\n",
                "                await store.save(saga, machine.next_timer(saga) or saga.deadline_at)\n"
                "                await self._send(work, machine, saga, effects, str(reply.message_id))\n",
            ),
        ),
    ),
    Defect(
        id="SG59",
        category="SAGA",
        what="whether a tenant is under legal hold is remembered for a minute",
        trigger="somebody is removed before the hold is placed, and somebody else under it",
        edits=(
            Edit(
                TENANCY, "from collections.abc import Callable\n", "import time\nfrom collections.abc import Callable\n"
            ),
            Edit(TENANCY, "_HELD = select", "_KNOWN: dict[tuple[str, str], tuple[float, bool]] = {}\n_HELD = select"),
            Edit(
                TENANCY,
                '        found = await self._connection.execute(_HELD, {"tenant": tenant_id})\n'
                "        return bool(found.scalar_one())\n",
                "        key = (str(self._connection.engine.url), tenant_id)\n"
                "        until, held = _KNOWN.get(key, (0.0, False))\n"
                "        if until < time.monotonic():\n"
                '            found = await self._connection.execute(_HELD, {"tenant": tenant_id})\n'
                "            held = bool(found.scalar_one())\n"
                "            _KNOWN[key] = time.monotonic() + 60.0, held\n"
                "        return held\n",
            ),
        ),
    ),
    Defect(
        id="SG230",
        category="SAGA",
        what="a look at the timers takes one tenant's sagas after the other's, whatever is due",
        trigger="more sagas of a tenant wait than a look takes",
        edits=(
            Edit(
                STORE,
                "    .order_by(saga_instances.c.timer_at)\n",
                "    .order_by(saga_instances.c.tenant_id, saga_instances.c.timer_at)\n",
            ),
        ),
    ),
    Defect(
        id="SG202",
        category="SAGA",
        what="the last step is given up when its participant was asked often, as if it had said no",
        trigger="the mail service is away for some minutes, and its command is on the bus",
        edits=(
            Edit(
                MACHINE,
                "            if step.resend_at is not None and step.resend_at <= now:\n                action",
                "            if step.resend_at is not None and step.resend_at <= now:\n"
                "                if step is saga.steps[self._pivot] and step.attempts >= 10:\n"
                "                    no = Outcome.REFUSED, Answer()\n"
                "                    return self.on_reply(saga, step.name, Action.EXECUTE, *no, now)\n"
                "                action",
            ),
        ),
    ),
    Defect(
        id="SG560",
        category="SAGA",
        what="a saga whose timer failed once is left alone for ever",
        trigger="a saga cannot be read for a moment, as during an upgrade",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "        self._broken: dict[UUID, datetime] = {}\n",
                "        self._broken: set[UUID] = set()\n",
            ),
            Edit(
                "kit/saga/orchestrator.py",
                "            self._broken = {saga_id: until for saga_id, until in self._broken.items() if "
                "until > now}\n",
                "",
            ),
            Edit(
                "kit/saga/orchestrator.py",
                "            self._broken[saga_id] = datetime.now(UTC) + self._retry\n",
                "            self._broken.add(saga_id)\n",
            ),
        ),
    ),
    Defect(
        id="SG600",
        category="SAGA",
        what="what a step answers while it is being undone ends the asking for that",
        trigger="a step is done after all while it is being undone, and who is to undo it does not answer",
        edits=(
            Edit(
                "kit/saga/machine.py",
                "        step.state = StepState.COMPENSATED\n        self._undo_next(saga, now, effects)\n",
                "        step.state = StepState.COMPENSATED\n"
                "        self._undo_next(saga, now, effects)\n"
                "\n"
                "    def late_done(self, saga: Saga, step: Step, answer: Answer, now: datetime, effects: "
                "Effects) -> None:\n"
                "        step.result = answer.result\n",
            ),
            Edit(
                "kit/saga/machine.py",
                "    (SagaState.RUNNING, StepState.RUNNING, Action.EXECUTE, Outcome.REFUSED): "
                "SagaMachine.step_refused,\n",
                "    (SagaState.RUNNING, StepState.RUNNING, Action.EXECUTE, Outcome.REFUSED): "
                "SagaMachine.step_refused,\n"
                "    (SagaState.COMPENSATING, StepState.COMPENSATING, Action.EXECUTE, Outcome.DONE): "
                "SagaMachine.late_done,\n",
            ),
        ),
    ),
    Defect(
        id="SG601",
        category="SAGA",
        what="what has failed ten times in a whole life is given up, though it worked in between",
        trigger="databases are away for long",
        edits=(
            Edit(
                "kit/runtime.py",
                "CLOSE_S = 0.7\n",
                "CLOSE_S = 0.7\n\nMOST_FAILURES = 10\n",
            ),
            Edit(
                "kit/runtime.py",
                '                    log.exception("%s failed and starts again", name)\n',
                '                    log.exception("%s failed and starts again", name)\n'
                "                if backoff.failures >= MOST_FAILURES:\n"
                '                    log.error("%s has failed %d times, given up", name, backoff.failures)\n'
                "                    return\n",
            ),
        ),
    ),
    Defect(
        id="SG602",
        category="SAGA",
        what="the welcome mail is known by its recipient, and not by its saga",
        trigger="somebody registers again whose mail was rejected",
        edits=(
            Edit(
                "services/notification_service/application/welcome.py",
                "from uuid import uuid5\n",
                "from uuid import NAMESPACE_URL, uuid5\n",
            ),
            Edit(
                "services/notification_service/application/welcome.py",
                "            id=uuid5(command.saga_id, WELCOME),\n",
                "            id=uuid5(NAMESPACE_URL, "
                "f\"{WELCOME}/{command.tenant_id}/{command.payload['recipient']}\"),\n",
            ),
        ),
    ),
    Defect(
        id="SG603",
        category="SAGA",
        what="a start that is made again prolongs the deadline",
        trigger="a start is made again before its deadline, with more time",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "                saga = await self._started_before(store, start)\n",
                "                found = await self._started_before(store, start)\n"
                "                saga = await store.lock(found.id) or found\n"
                "                if not saga.state.terminal:\n"
                "                    # Whoever asks again still waits for it.\n"
                "                    saga.deadline_at = max(saga.deadline_at, now + "
                "timedelta(seconds=start.deadline_s))\n"
                "                    await store.save(saga, machine.next_timer(saga))\n",
            ),
        ),
    ),
    Defect(
        id="SG607",
        category="SAGA",
        what="a saga is stored in one transaction and set off in the next",
        trigger="kill the orchestrator between the two",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "            effects = machine.start(saga, now)\n"
                "            if await store.add(saga, machine.next_timer(saga)):\n"
                "                await self._send(work, machine, saga, effects, str(saga.id))\n"
                "            else:\n"
                "                saga = await self._started_before(store, start)\n",
                "            if not await store.add(saga, None):\n"
                "                saga = await self._started_before(store, start)\n"
                "        if saga.state is SagaState.PENDING:\n"
                "            async with self._units_of_work.begin() as work:\n"
                "                effects = machine.start(saga, now)\n"
                "                await SagaStore(work.connection).save(saga, machine.next_timer(saga))\n"
                "                await self._send(work, machine, saga, effects, str(saga.id))\n",
            ),
        ),
    ),
)
