"""Seeded defects of sagas: orchestrator and participants."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit

MACHINE = "kit/saga/machine.py"
ORCHESTRATOR = "kit/saga/orchestrator.py"
STORE = "kit/saga/store.py"
SCHEMA = "kit/saga/schema.py"
PARTICIPANT = "kit/participant.py"
ENVELOPE = "kit/envelope.py"
RESULTS = "kit/command_results.py"
MAILS = "services/notification_service/adapters/mails.py"
WELCOME = "services/notification_service/application/welcome.py"

# An answer that is there already is left as it is, so that doing a command again does not fail on its own memory.
KEPT_ONCE = (
    Edit(
        RESULTS,
        "from sqlalchemy import bindparam, insert, select\n",
        "from sqlalchemy import bindparam, select\nfrom sqlalchemy.dialects.postgresql import insert\n",
    ),
    Edit(RESULTS, "_KEEP = insert(command_results)\n", "_KEEP = insert(command_results).on_conflict_do_nothing()\n"),
)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="SG01",
        category="SAGA",
        what="turning back stops before the first step, as in a loop that runs to 1 instead of 0",
        trigger="any step after the first is refused",
        edits=(
            Edit(
                MACHINE,
                "reversed(saga.steps), reversed(self.definition.steps), strict=True",
                "reversed(saga.steps[1:]), reversed(self.definition.steps[1:]), strict=True",
            ),
        ),
    ),
    Defect(
        id="SG03",
        category="SAGA",
        what="a compensation that comes again is done again: what it undoes is undone for somebody else",
        trigger="the command of a compensation is delivered twice",
        edits=(
            Edit(
                PARTICIPANT,
                "if command.action in answered:\n",
                "if command.action in answered and command.action is Action.EXECUTE:\n",
            ),
            *KEPT_ONCE,
        ),
    ),
    Defect(
        id="SG04",
        category="SAGA",
        what="a refused compensation counts as done",
        trigger="a participant refuses to undo its step",
        edits=(
            Edit(
                MACHINE,
                "        step.state = StepState.COMPENSATION_FAILED\n",
                "        step.state = StepState.COMPENSATED\n",
            ),
        ),
    ),
    Defect(
        id="SG200",
        category="SAGA",
        what="a step that could not be undone is undone when that is asked for again, and its saga says that it is not",
        trigger="the command of a refused compensation is delivered again when nothing is against it any more",
        edits=(
            Edit(
                PARTICIPANT,
                "        await work.results.keep(command, kept)\n",
                "        if command.action is Action.EXECUTE or kept.outcome is Outcome.DONE:\n"
                "            await work.results.keep(command, kept)\n",
            ),
        ),
    ),
    Defect(
        id="SG05",
        category="SAGA",
        what="a restarted orchestrator issues the step in flight under a new id, and participants look at nothing else",
        trigger="the orchestrator is killed between a command and its reply",
        edits=(
            Edit(
                ENVELOPE,
                'return uuid5(saga_id, f"{step}.{action}")',
                "return uuid4()",
            ),
            Edit(ENVELOPE, "from uuid import UUID, uuid5", "from uuid import UUID, uuid4"),
            Edit(
                PARTICIPANT,
                "if command.action in answered:\n",
                'if not await work.inbox.is_new("commands", command.message_id) and command.action in answered:\n',
            ),
            *KEPT_ONCE,
            Edit(
                ORCHESTRATOR,
                "        while not stopping.is_set():\n            self._awake_at = _NEVER\n",
                "        async with self._units_of_work.begin() as work:\n"
                "            await SagaStore(work.connection).hurry()\n"
                "        while not stopping.is_set():\n            self._awake_at = _NEVER\n",
            ),
            Edit(
                STORE,
                "    async def timers(self, limit: int",
                "    async def hurry(self) -> None:\n"
                "        for table, timer in ((saga_steps, 'resend_at'), (saga_instances, 'timer_at')):\n"
                "            running = table.c[timer].is_not(None)\n"
                "            now = {timer: func.now()}\n"
                "            await self._connection.execute(update(table).where(running).values(now))\n\n"
                "    async def timers(self, limit: int",
            ),
        ),
    ),
    Defect(
        id="SG06",
        category="SAGA",
        what="a restarted orchestrator takes no replies until somebody starts a saga",
        trigger="the orchestrator is restarted while a reply is on the way",
        edits=(
            Edit(
                ORCHESTRATOR,
                "        self._timer_set = asyncio.Event()\n",
                "        self._timer_set = asyncio.Event()\n        self._started = asyncio.Event()\n",
            ),
            Edit(
                ORCHESTRATOR,
                "        now = datetime.now(UTC)\n        saga = Saga(\n",
                "        self._started.set()\n        now = datetime.now(UTC)\n        saga = Saga(\n",
            ),
            Edit(
                ORCHESTRATOR,
                "        reply = Reply.of(record)\n",
                "        reply = Reply.of(record)\n        await self._started.wait()\n",
            ),
        ),
    ),
    Defect(
        id="SG16",
        category="SAGA",
        what="whether a start is known is looked up before the insert, with no constraint behind it",
        trigger="the same start arrives many times at once",
        edits=(
            Edit(SCHEMA, '    UniqueConstraint("tenant_id", "saga_type", "correlation_id"),\n', ""),
            Edit(SCHEMA, "    UniqueConstraint,\n", ""),
            Edit(
                STORE,
                '        row = _row(saga, timer_at) | {"id"',
                "        if await self.find(saga.tenant_id, saga.saga_type, saga.correlation_id):\n"
                "            return False\n"
                '        row = _row(saga, timer_at) | {"id"',
            ),
        ),
    ),
    Defect(
        id="SG20",
        category="SAGA",
        what="only timers look at the deadline: a reply that comes after it takes the saga on to the next step",
        trigger="a step is done after the deadline, before a timer has looked",
        edits=(
            Edit(
                MACHINE,
                "        elif self._too_late(saga, now):\n            self._turn_back(saga, DEADLINE, now, effects)\n",
                "",
            ),
        ),
    ),
    Defect(
        id="SG21",
        category="SAGA",
        what="timers wait for a saga that somebody is moving, and with it all others",
        trigger="the timer of another saga runs out meanwhile",
        edits=(
            Edit(
                ORCHESTRATOR, "saga = await store.lock(saga_id, skip_locked=True)", "saga = await store.lock(saga_id)"
            ),
        ),
    ),
    Defect(
        id="SG22",
        category="SAGA",
        what="the look at the timers ends at the first saga that cannot be moved",
        trigger="a saga of another version is due",
        edits=(
            Edit(
                ORCHESTRATOR,
                "            if is_transient(failure):\n"
                "                raise\n"
                "            with logs.bound(*whose):\n"
                '                log.exception("timer of saga %s could not be fired; the others go on", saga_id)\n'
                "            self._broken[saga_id] = datetime.now(UTC) + self._retry\n"
                "            return False\n",
                "            if not is_transient(failure):\n"
                '                log.exception("timer of saga %s could not be fired", saga_id)\n'
                "            raise\n",
            ),
        ),
    ),
    Defect(
        id="SG23",
        category="SAGA",
        what="a look at the timers takes the oldest sagas that wait, whatever is due",
        trigger="more older sagas wait than a look takes",
        edits=(
            Edit(STORE, "    .order_by(saga_instances.c.timer_at)\n", "    .order_by(saga_instances.c.created_at)\n"),
        ),
    ),
    Defect(
        id="SG24",
        category="SAGA",
        what="an instance looks for the timers of others hardly ever",
        trigger="the instance that set a timer is lost",
        edits=(Edit(ORCHESTRATOR, "LONGEST_SLEEP_S = 1.0\n", "LONGEST_SLEEP_S = 30.0\n"),),
    ),
    Defect(
        id="SG25",
        category="SAGA",
        what="a participant undoes what it has refused",
        trigger="the refusal comes when the step is undone for its deadline",
        edits=(
            Edit(
                PARTICIPANT,
                "executed is None or executed.outcome is Outcome.REFUSED:\n",
                "executed is None:\n",
            ),
        ),
    ),
    Defect(
        id="SG26",
        category="SAGA",
        what="sagas that cannot be moved are looked at first, again and again",
        trigger="more of them are due than a look takes",
        edits=(Edit(STORE, '{"limit": limit, "but": list(but)}', '{"limit": limit, "but": []}'),),
    ),
    Defect(
        id="SG30",
        category="SAGA",
        what="mails that are due are taken without locking them",
        trigger="two instances look for mails at the same time",
        edits=(Edit(MAILS, "            .with_for_update(skip_locked=True)\n", ""),),
    ),
    Defect(
        id="SG31",
        category="SAGA",
        what="a mail that is asked for again is due at once",
        trigger="the mail server is slower than the orchestrator is patient",
        edits=(
            Edit(
                MAILS,
                "insert(mails).values(**row).on_conflict_do_nothing())",
                "insert(mails).values(**row).on_conflict_do_update(\n"
                '            index_elements=[mails.c.id], set_={"next_attempt_at": func.now()}\n'
                "        ))",
            ),
        ),
    ),
    Defect(
        id="SG60",
        category="SAGA",
        what="a rule that was set once is not changed any more, only taken back",
        trigger="an operator sets a limit twice",
        edits=(
            Edit(
                "kit/tenancy.py",
                'on_conflict_do_update(index_elements=[tenant_limits.c.tenant_id], set_={"value": value})',
                "on_conflict_do_nothing()",
            ),
        ),
    ),
    Defect(
        id="SG90",
        category="SAGA",
        what="a mail is given up after eight tries",
        trigger="the mail server is away for a minute",
        edits=(
            Edit(
                WELCOME,
                "            error, wait_s = str(failure), delay_s",
                "            error = str(failure)\n"
                "            if mail.attempts >= 8:\n"
                "                return await self._record(lambda work: self._rejected(work, mail, command, error))\n"
                "            error, wait_s = str(failure), delay_s",
            ),
        ),
    ),
    Defect(
        id="SG91",
        category="SAGA",
        what="whatever the mail server says but to a recipient is said for good",
        trigger="the mail server has no room just now",
        edits=(
            Edit(
                "services/notification_service/adapters/smtp.py",
                "            _raise(answer.code, answer.message, answer)\n",
                '            raise MailRejected(f"{answer.code} {answer.message}") from answer\n',
            ),
        ),
    ),
    Defect(
        id="SG92",
        category="SAGA",
        what="whatever the mail server says but to a recipient may pass",
        trigger="the mail server does not take the mail itself",
        edits=(
            Edit(
                "services/notification_service/adapters/smtp.py",
                "            _raise(answer.code, answer.message, answer)\n",
                '            raise MailPostponed(f"{answer.code} {answer.message}", str(answer.code)) from answer\n',
            ),
        ),
    ),
    Defect(
        id="SG300",
        category="SAGA",
        what="who sends mails breaks off those in hand when it is told to shut down",
        trigger="a shutdown when the mail server has a mail and has not said so yet",
        edits=(
            Edit(
                WELCOME,
                "            if self._sending and not (worker and worker.cancelling()):\n",
                "            if not worker:\n",
            ),
            Edit(
                WELCOME,
                "        try:\n            while not stopping.is_set():\n",
                "        stopped = asyncio.create_task(stopping.wait())\n"
                "        stopped.add_done_callback(lambda _: self._queued.set())\n"
                "        try:\n            while not stopping.is_set():\n",
            ),
        ),
    ),
    Defect(
        id="SG301",
        category="SAGA",
        what="a step is not kept from being undone while it is being done: its undoing finds nothing to undo",
        trigger="the command to do a step and the one to undo it are at two instances at the same time",
        edits=(Edit(PARTICIPANT, '            await work.lock("step", command.saga_id, command.step)\n', ""),),
    ),
    Defect(
        id="SG320",
        category="SAGA",
        what="why a mail was not sent can be no longer than 255 letters",
        trigger="a mail server that explains at length why it does not take a mail",
        edits=(
            Edit(
                "services/notification_service/adapters/schema.py",
                "MetaData, Table, Text,",
                "MetaData, String, Table, Text,",
            ),
            Edit(
                "services/notification_service/adapters/schema.py",
                'Column("last_error", Text)',
                'Column("last_error", String(255))',
            ),
        ),
    ),
    Defect(
        id="SG321",
        category="SAGA",
        what="the times of a saga are kept without their zone",
        trigger="the database server is in another time zone than the service",
        edits=(
            Edit(
                "kit/saga/schema.py",
                'Column("deadline_at", DateTime(timezone=True),',
                'Column("deadline_at", DateTime,',
            ),
        ),
    ),
    Defect(
        id="SG330",
        category="SAGA",
        what="a mail that its server has taken is sent again where that does not say good-bye as it should",
        trigger="a mail server that is closing when it has a mail",
        edits=(
            Edit(
                "services/notification_service/adapters/smtp.py",
                "        async with server:\n"
                "            try:\n"
                "                await server.send_message(message)\n"
                "            except asyncio.CancelledError:\n"
                "                # Left open, it would say QUIT and wait for that answer too.\n"
                "                server.close()\n"
                "                raise\n",
                "        await server.connect()\n"
                "        try:\n"
                "            await server.send_message(message)\n"
                "            await server.quit()\n"
                "        finally:\n"
                "            server.close()\n",
            ),
        ),
    ),
    Defect(
        id="SG410",
        category="SAGA",
        what="of all instances the one that has got a lock fires all timers, and keeps the lock as long as it is there",
        trigger="that instance hangs",
        edits=(
            Edit(
                ORCHESTRATOR,
                '        """Fires timers until told to stop."""\n',
                '        """Fires timers until told to stop, if no other instance does."""\n'
                "        while not stopping.is_set():\n"
                '            async with self._units_of_work.leading("timers") as leads:\n'
                "                if leads:\n"
                "                    await self._fire_timers(stopping)\n"
                "            await pause(stopping, LONGEST_SLEEP_S)\n\n"
                "    async def _fire_timers(self, stopping: asyncio.Event) -> None:\n",
            ),
            Edit(
                "kit/unit_of_work.py",
                "    @asynccontextmanager\n    async def begin(",
                "    @asynccontextmanager\n"
                "    async def leading(self, what: str) -> AsyncIterator[bool]:\n"
                '        """Whether this process leads in something until the block ends."""\n'
                '        single = self._engine.execution_options(isolation_level="AUTOCOMMIT")\n'
                "        name = func.hashtextextended(what, 1)\n"
                "        async with single.connect() as connection:\n"
                "            leads = (await connection.execute(select(func.pg_try_advisory_lock(name)))).scalar_one()\n"
                "            try:\n"
                "                yield bool(leads)\n"
                "            finally:\n"
                "                await connection.execute(select(func.pg_advisory_unlock(name)))\n\n"
                "    @asynccontextmanager\n    async def begin(",
            ),
        ),
    ),
    Defect(
        id="SG440",
        category="SAGA",
        what="who sends mails begins anew beside those in hand, and takes them for what was left in hand before",
        trigger="its connection to the database breaks when it comes to take a mail, while it has another in hand",
        edits=(
            Edit(
                WELCOME,
                "        finally:\n            await self._finish_sending()\n",
                "        finally:\n            if stopping.is_set():\n                await self._finish_sending()\n",
            ),
        ),
    ),
    Defect(
        id="SG500",
        category="SAGA",
        what="only steps that came into another state are stored: asks for the same are not counted",
        trigger="a participant is asked again, and again",
        edits=(Edit("kit/saga/store.py", "if step != stored[at]]", "if step.state is not stored[at].state]"),),
    ),
    Defect(
        id="SG501",
        category="SAGA",
        what="how often a step was asked for is stored when it is asked for, and not when it is again",
        trigger="a participant is asked again, and again",
        edits=(
            Edit(
                "kit/saga/store.py",
                '_STEP = ("state", "attempts", "command_id", "reason", "result", "resend_at")',
                '_STEP = ("state", "command_id", "reason", "result", "resend_at")',
            ),
            Edit(
                "kit/saga/store.py",
                'rows = [_step(saga, step) | {"saga": saga.id, "at": at} for at, step in moved]',
                "new = [(at, _step(saga, step)) for at, step in moved]\n"
                "            rows = [{key: row[key] for key in _STEP} "
                '| {"saga": saga.id, "at": at} for at, row in new]',
            ),
        ),
    ),
    Defect(
        id="SG604",
        category="SAGA",
        what="a start that is repeated is answered from memory, as the saga was then",
        trigger="start a saga again when it is over",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "BATCH = 50\n",
                "BATCH = 50\nRECENT = 1000\n",
            ),
            Edit(
                "kit/saga/orchestrator.py",
                "        self._broken: dict[UUID, datetime] = {}\n",
                "        self._broken: dict[UUID, datetime] = {}\n"
                "        self._recent: dict[tuple[str, str, str], Saga] = {}\n",
            ),
            Edit(
                "kit/saga/orchestrator.py",
                '            raise IncompleteInput(f"the input must have the fields '
                '{sorted(machine.definition.input_fields)}")\n',
                '            raise IncompleteInput(f"the input must have the fields '
                '{sorted(machine.definition.input_fields)}")\n'
                "        request = (start.tenant_id, start.saga_type, start.correlation_id)\n"
                "        recent = self._recent.get(request)\n"
                "        if recent is not None and recent.input == start.input:\n"
                "            return recent\n",
            ),
            Edit(
                "kit/saga/orchestrator.py",
                "                saga = await self._started_before(store, start)\n"
                "        self._set_timer(machine.next_timer(saga))\n",
                "                saga = await self._started_before(store, start)\n"
                "        self._set_timer(machine.next_timer(saga))\n"
                "        self._recent[request] = saga\n"
                "        if len(self._recent) > RECENT:\n"
                "            del self._recent[next(iter(self._recent))]\n",
            ),
        ),
    ),
    Defect(
        id="SG605",
        category="SAGA",
        what="a reply that meets its saga locked is noted and left to whoever has the lock",
        trigger="a reply comes while its participant is being asked once more",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "            saga = await store.lock(reply.saga_id)\n",
                "            saga = await store.lock(reply.saga_id, skip_locked=True)\n"
                "            if saga is None and await store.get(reply.saga_id):\n"
                "                # Its timer has just run out: the command is issued again, and so is this "
                "answer. Nobody has to wait.\n"
                "                return\n",
            ),
        ),
    ),
    Defect(
        id="SG606",
        category="SAGA",
        what="the steps of a new saga are shared by all sagas that start in a process",
        trigger="more sagas than one",
        edits=(
            Edit(
                "kit/saga/machine.py",
                "        self.definition = definition\n",
                "        self.definition = definition\n"
                "        self.steps = [Step(step.name) for step in definition.steps]\n",
            ),
            Edit(
                "kit/saga/orchestrator.py",
                "from pyairtable_reference.kit.saga.machine import Answer, Effects, Saga, SagaMachine, "
                "SagaState, Step\n",
                "from pyairtable_reference.kit.saga.machine import Answer, Effects, Saga, SagaMachine, SagaState\n",
            ),
            Edit(
                "kit/saga/orchestrator.py",
                "            steps=[Step(step.name) for step in machine.definition.steps],\n",
                "            steps=machine.steps.copy(),\n",
            ),
        ),
    ),
    Defect(
        id="SG02",
        category="SAGA",
        what="what was done is undone in the order in which it was done",
        trigger="a step is refused when two were done",
        edits=(
            Edit(
                "kit/saga/machine.py",
                "        for step, declared in zip(reversed(saga.steps), reversed(self.definition.steps), "
                "strict=True):\n",
                "        for step, declared in zip(saga.steps, self.definition.steps, strict=True):\n",
            ),
        ),
    ),
    Defect(
        id="SG09",
        category="SAGA",
        what="who registers an address within half a minute takes over the row of who did before, whose saga goes on",
        trigger="two sagas want one address",
        edits=(
            Edit(
                "services/auth_service/adapters/credentials.py",
                "from sqlalchemy import ColumnElement, select\n",
                "from sqlalchemy import ColumnElement, func, select, text\n",
            ),
            Edit(
                "services/auth_service/adapters/credentials.py",
                '        """Stores a credential; false if its e-mail address is taken. Waits for a '
                'concurrent taker\'s decision."""\n',
                '        """Stores a credential; false if its e-mail address is taken. Waits for a '
                "concurrent taker's decision.\n"
                "\n"
                "        Who has registered a moment ago and does so again has given the first attempt up: "
                "the second one takes over.\n"
                '        """\n',
            ),
            Edit(
                "services/auth_service/adapters/credentials.py",
                "_ADD = "
                "insert(credentials).on_conflict_do_nothing(index_elements=[credentials.c.email]).returning"
                "(credentials.c.id)\n",
                "_NEW = insert(credentials)\n"
                "_ADD = _NEW.on_conflict_do_update(\n"
                "    index_elements=[credentials.c.email],\n"
                '    set_={name: _NEW.excluded[name] for name in ("id", "saga_id", "password_hash")},\n'
                "    where=(credentials.c.tenant_id == _NEW.excluded.tenant_id)\n"
                "    & (credentials.c.created_at > func.now() - text(\"interval '30 seconds'\")),\n"
                ").returning(credentials.c.id)\n",
            ),
        ),
    ),
    Defect(
        id="SG12",
        category="SAGA",
        what="the first command is committed before its saga is, and a reply to no saga is noted as handled",
        trigger="the reply is there before the second commit",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "        async with self._units_of_work.begin() as work:\n"
                "            store = SagaStore(work.connection)\n"
                "            effects = machine.start(saga, now)\n"
                "            if await store.add(saga, machine.next_timer(saga)):\n"
                "                await self._send(work, machine, saga, effects, str(saga.id))\n"
                "            else:\n",
                "        # The command first: a saga that is stored has been sent on its way.\n"
                "        async with self._units_of_work.begin() as work:\n"
                "            known = await SagaStore(work.connection).find(start.tenant_id, "
                "start.saga_type, start.correlation_id)\n"
                "            effects = machine.start(saga, now)\n"
                "            if known is None:\n"
                "                await self._send(work, machine, saga, effects, str(saga.id))\n"
                "        async with self._units_of_work.begin() as work:\n"
                "            store = SagaStore(work.connection)\n"
                "            if known is not None or not await store.add(saga, machine.next_timer(saga)):\n",
            ),
            Edit(
                "kit/saga/orchestrator.py",
                "            Unprocessable: it is no reply, or one to a saga that does not exist.\n",
                "            Unprocessable: it is no reply, or one to another tenant's saga or to a step "
                "that it does not have.\n",
            ),
            Edit(
                "kit/saga/orchestrator.py",
                "            if saga is None or saga.tenant_id != reply.tenant_id or saga.step(reply.step) is None:\n",
                "            if saga is None:\n"
                '                log.warning("there is no saga %s; its reply is ignored", reply.saga_id)\n'
                "                return\n"
                "            if saga.tenant_id != reply.tenant_id or saga.step(reply.step) is None:\n",
            ),
        ),
    ),
    Defect(
        id="SG13",
        category="SAGA",
        what="to undo what was never done is nothing: neither answered nor remembered",
        trigger="the command to undo a step is there before the command to do it",
        edits=(
            Edit(
                "kit/participant.py",
                "                return\n",
                "                return\n"
                "            if command.action is Action.COMPENSATE and Action.EXECUTE not in answered:\n"
                '                log.info("%s of saga %s: nothing is known of it", command.type, '
                "command.saga_id)\n"
                "                return\n",
            ),
            Edit(
                "kit/participant.py",
                "        executed = answered.get(Action.EXECUTE)\n"
                "        if step.compensate is None or executed is None or executed.outcome is Outcome.REFUSED:\n",
                "        if step.compensate is None or answered[Action.EXECUTE].outcome is Outcome.REFUSED:\n",
            ),
        ),
    ),
    Defect(
        id="SG14",
        category="SAGA",
        what="a deadline turns a saga back whatever step it is at",
        trigger="the deadline passes while the pivot is awaited",
        edits=(
            Edit(
                "kit/saga/machine.py",
                "Before the pivot's command is issued a deadline turns the saga back; every step that was "
                "issued is compensated, also\n",
                "Before the pivot is done a deadline turns the saga back; every step that was issued is "
                "compensated, also\n",
            ),
            Edit(
                "kit/saga/machine.py",
                "        return saga.state is SagaState.RUNNING and saga.steps[self._pivot].state is "
                "StepState.PENDING\n",
                "        return saga.state is SagaState.RUNNING and saga.steps[self._pivot].state is not "
                "StepState.DONE\n",
            ),
            Edit(
                "kit/saga/machine.py",
                "        saga.reason = reason\n",
                "        saga.reason = reason\n        for step in saga.steps:\n            step.resend_at = None\n",
            ),
        ),
    ),
    Defect(
        id="SG608",
        category="SAGA",
        what="what is due of a saga is collected before it is done: after the deadline the step is asked for once more",
        trigger="deadline and next ask are due together, the deadline first",
        edits=(
            Edit(
                "kit/saga/machine.py",
                "from collections.abc import Callable\n",
                "from collections.abc import Callable, Iterator\n",
            ),
            Edit(
                "kit/saga/machine.py",
                "from enum import StrEnum\n",
                "from enum import StrEnum\nfrom functools import partial\nfrom operator import itemgetter\n",
            ),
            Edit(
                "kit/saga/machine.py",
                '        """Does what is due: gives up after the deadline, issues unanswered commands '
                'again."""\n'
                "        effects = Effects()\n"
                "        if self._too_late(saga, now):\n"
                "            self._turn_back(saga, DEADLINE, now, effects)\n"
                "        for step in saga.steps:\n"
                "            if step.resend_at is not None and step.resend_at <= now:\n"
                "                action = Action.EXECUTE if step.state is StepState.RUNNING else "
                "Action.COMPENSATE\n"
                "                self._issue(step, action, now, effects)\n"
                "        effects.changed = bool(effects.commands or effects.events)\n",
                '        """Does what is due, the earliest first: gives up after the deadline, issues '
                'unanswered commands again."""\n'
                "        effects = Effects()\n"
                "        due = sorted(((at, act) for at, act in self._timers(saga) if at <= now), "
                "key=itemgetter(0))\n"
                "        for _, act in due:\n"
                "            act(now, effects)\n"
                "        effects.changed = bool(due)\n",
            ),
            Edit(
                "kit/saga/machine.py",
                "        timers = [step.resend_at for step in saga.steps if step.resend_at]\n"
                "        if self._may_give_up(saga):\n"
                "            timers.append(saga.deadline_at)\n"
                "        return min(timers, default=None)\n",
                "        return min((at for at, _ in self._timers(saga)), default=None)\n"
                "\n"
                "    def _timers(self, saga: Saga) -> Iterator[tuple[datetime, _Act]]:\n"
                '        """All that happens to a saga by itself, and when: the one place that says what '
                'time means to it."""\n'
                "        if self._may_give_up(saga):\n"
                "            yield saga.deadline_at, partial(self._turn_back, saga, DEADLINE)\n"
                "        for step in saga.steps:\n"
                "            if step.resend_at is not None:\n"
                "                yield step.resend_at, partial(self._issue, step, _AWAITED[step.state])\n",
            ),
            Edit(
                "kit/saga/machine.py",
                "_Transition = Callable[[SagaMachine, Saga, Step, Answer, datetime, Effects], None]\n",
                "_Act = Callable[[datetime, Effects], None]\n"
                "_Transition = Callable[[SagaMachine, Saga, Step, Answer, datetime, Effects], None]\n"
                "\n"
                "# Which action's reply a step in that state waits for.\n"
                "_AWAITED = {StepState.RUNNING: Action.EXECUTE, StepState.COMPENSATING: Action.COMPENSATE}\n",
            ),
        ),
    ),
)
