"""Seeded defects of the transactional outbox."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit
from airproof_defects.performance import MAILER
from airproof_defects.saga import MAILS, ORCHESTRATOR

OUTBOX = "kit/outbox.py"
RELAY = "kit/relay.py"
UNIT_OF_WORK = "kit/unit_of_work.py"

# The relay takes what a list in memory holds, as it would without an outbox table. A message that is added again keeps
# the body it had first, as it does in the table.
_MEMORY = (
    Edit(
        OUTBOX,
        '_AGAIN = {"status"',
        'UNSENT: list[Message] = []\nFIRST: dict[UUID, Message] = {}\n\n_AGAIN = {"status"',
    ),
    Edit(
        OUTBOX,
        '        wanted = {"limit": limit,',
        "        if UNSENT:\n"
        "            taken, UNSENT[:] = UNSENT[:limit], UNSENT[limit:]\n"
        "            return [Claimed(message) for message in taken]\n"
        '        wanted = {"limit": limit,',
    ),
)
_ADD = """        self._added.append(
            {
                "id": message.id,
                "kind": str(message.kind),
                "topic": message.topic,
                "key": message.key,
                "type": message.type,
                "tenant_id": message.tenant_id,
                "headers": message.headers,
                "payload": message.payload,
            }
        )
"""
_FLUSH = """        if self._added:
            await self._connection.execute(_ADD, self._added)
        return bool(self._added)
"""

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="OB01",
        category="OUTBOX",
        what="messages go out when they are written, before the transaction commits",
        trigger="the transaction is rolled back after the handler wrote a message",
        edits=(
            *_MEMORY,
            Edit(OUTBOX, _ADD, "        UNSENT.append(FIRST.setdefault(message.id, message))\n"),
            Edit(OUTBOX, _FLUSH, "        return True\n"),
        ),
    ),
    Defect(
        id="OB02",
        category="OUTBOX",
        what="messages wait in memory for the commit and are sent after it; nothing is stored",
        trigger="the process is killed between commit and send",
        edits=(
            *_MEMORY,
            Edit(
                OUTBOX, "        self._added: list[dict[str, Any]] = []\n", "        self.added: list[Message] = []\n"
            ),
            Edit(OUTBOX, _ADD, "        self.added.append(FIRST.setdefault(message.id, message))\n"),
            Edit(OUTBOX, _FLUSH, "        return bool(self.added)\n"),
            Edit(
                UNIT_OF_WORK,
                "        if announce:\n",
                "        UNSENT.extend(work.outbox.added)\n        if announce:\n",
            ),
            Edit(
                UNIT_OF_WORK,
                "from pyairtable_reference.kit.outbox import Outbox\n",
                "from pyairtable_reference.kit.outbox import UNSENT, Outbox\n",
            ),
        ),
    ),
    Defect(
        id="OB04",
        category="OUTBOX",
        what="a row is marked published when it is handed to the producer, not when the broker has it",
        trigger="the process is killed while the broker does not acknowledge",
        edits=(
            Edit(
                RELAY,
                "        message = claimed.message\n        try:\n            await self._transport.send(message)\n",
                "        message = claimed.message\n"
                "        await self._record(partial(self._queue.published, message.id))\n"
                "        try:\n            await self._transport.send(message)\n",
            ),
        ),
    ),
    Defect(
        id="OB09",
        category="OUTBOX",
        what="the relay looks only behind the newest row that it has seen: what commits late is never sent",
        trigger="a transaction that took an earlier place in the outbox commits after a later one was sent",
        edits=(
            Edit(
                OUTBOX,
                "        self._owner = owner\n\n    async def recover",
                "        self._owner = owner\n        self._newest = 0\n\n    async def recover",
            ),
            Edit(
                OUTBOX,
                "        return [Claimed(_message(row), row.attempts, row.followed) for row in sorted",
                "        rows = [row for row in rows if row.attempts or row.position > self._newest]\n"
                "        self._newest = max([self._newest, *(row.position for row in rows)])\n"
                "        return [Claimed(_message(row), row.attempts, row.followed) for row in sorted",
            ),
        ),
    ),
    Defect(
        id="OB11",
        category="OUTBOX",
        what="a message that the broker refuses is tried for ever",
        trigger="a row that the broker will not take",
        edits=(
            Edit(
                RELAY,
                "        if attempt < self._max_attempts:\n",
                "        if attempt < self._max_attempts or attempt:\n",
            ),
        ),
    ),
    Defect(
        id="OB10",
        category="OUTBOX",
        what="while a message waits for its next try all that came after it wait",
        trigger="a message that the broker has refused",
        edits=(
            Edit(
                "kit/outbox.py",
                "        older.c.status == PENDING,\n"
                "        older.c.topic == row.c.topic,\n"
                "        older.c.key == row.c.key,\n"
                "        older.c.position < row.c.position,\n"
                "    )\n"
                "    due",
                "        older.c.status == PENDING,\n"
                "        or_(and_(older.c.topic == row.c.topic, older.c.key == row.c.key), older.c.attempts > 0),\n"
                "        older.c.position < row.c.position,\n"
                "    )\n"
                "    due",
            ),
        ),
    ),
    Defect(
        id="OB06",
        category="OUTBOX",
        what="whoever looks into the outbox takes what others have taken already",
        trigger="two instances of a service look at the same moment",
        edits=(
            Edit(
                "kit/outbox.py",
                ".where(or_(row.c.claimed_until.is_(None), row.c.claimed_until < func.now()), ~waits)",
                ".where(~waits)",
            ),
            Edit(
                "kit/outbox.py",
                "        .with_for_update(skip_locked=True)\n",
                "",
            ),
        ),
    ),
    Defect(
        id="OB07",
        category="OUTBOX",
        what="a message on the way keeps none waiting that follows it under the same key",
        trigger="an instance is slow to send what it has claimed, and another one looks",
        edits=(
            Edit(
                OUTBOX,
                "        older.c.position < row.c.position,\n    )\n    due",
                "        older.c.position < row.c.position,\n        older.c.claimed_by.is_(None),\n    )\n    due",
            ),
        ),
    ),
    Defect(
        id="OB15",
        category="OUTBOX",
        what="a service that starts sweeps out of its outbox what waits for nobody but an operator",
        trigger="a service is restarted that has parked a message",
        edits=(
            Edit(
                OUTBOX, "import Interval, and_, bindparam, exists,", "import Interval, and_, bindparam, delete, exists,"
            ),
            Edit(
                OUTBOX,
                "        await self._execute(_RECOVER, owner=self._owner)\n",
                "        await self._execute(_RECOVER, owner=self._owner)\n"
                "        await self._execute(delete(event_outbox).where(event_outbox.c.status != PENDING))\n",
            ),
        ),
    ),
    Defect(
        id="OB18",
        category="OUTBOX",
        what="a message to a topic that there is none counts as sent",
        trigger="a row whose topic is missing",
        edits=(
            Edit(
                "kit/messaging/producer.py",
                "            await self._refuse_if_missing(producer, name)\n            partitions",
                "            if name not in (await producer.client.fetch_all_metadata()).topics():\n"
                "                return\n"
                "            await producer.partitions_for(name)\n            partitions",
            ),
        ),
    ),
    Defect(
        id="OB17",
        category="OUTBOX",
        what="a producer that the broker does not go on with is kept: what it sends is refused for ever",
        trigger="the broker has lost the producer's place",
        edits=(
            Edit(
                "kit/messaging/producer.py",
                '            if not (getattr(failure, "retriable", False) or isinstance(failure, _PASSING)):\n'
                "                self._broken.set()\n",
                "",
            ),
        ),
    ),
    Defect(
        id="OB21",
        category="OUTBOX",
        what="a dead letter tells the topic on which it lies itself, not that of its message",
        trigger="a message that cannot be processed",
        edits=(Edit(OUTBOX, '"dlq-topic": topic,', '"dlq-topic": DEAD_LETTERS,'),),
    ),
    Defect(
        id="OB30",
        category="OUTBOX",
        what="a service that starts sweeps out of its outbox what is older than a day",
        trigger="a service is restarted days after it has parked a message",
        edits=(
            Edit(
                OUTBOX, "import Interval, and_, bindparam, exists,", "import Interval, and_, bindparam, delete, exists,"
            ),
            Edit(
                OUTBOX,
                "        await self._execute(_RECOVER, owner=self._owner)\n",
                "        await self._execute(_RECOVER, owner=self._owner)\n"
                "        old = event_outbox.c.created_at < func.now() - timedelta(days=1)\n"
                "        await self._execute(delete(event_outbox).where(old))\n",
            ),
        ),
    ),
    Defect(
        id="OB31",
        category="OUTBOX",
        what="a message that is added again while it waits is due at once, and its tries begin anew",
        trigger="a command that the broker refuses is asked for again",
        edits=(Edit(OUTBOX, "where=event_outbox.c.status == PUBLISHED\n", "where=event_outbox.c.status != FAILED\n"),),
    ),
    Defect(
        id="OB32",
        category="OUTBOX",
        what="a message of which no record can be made is tried for ever and blocks its key",
        trigger="a header without a value",
        edits=(
            Edit(
                "kit/messaging/producer.py",
                "        except (AttributeError, TypeError, ValueError) as wrong:\n",
                "        except ZeroDivisionError as wrong:\n",
            ),
        ),
    ),
    Defect(
        id="OB33",
        category="OUTBOX",
        what="what could not be sent for an outage waits up to a minute when it is over",
        trigger="a service is started before it reaches the broker, with several messages to send",
        edits=(Edit(RELAY, "LONGEST_WAIT_S = 1.0", "LONGEST_WAIT_S = 60.0"),),
    ),
    Defect(
        id="OB40",
        category="OUTBOX",
        what="an instance that starts takes back what any instance has claimed of the mails",
        trigger="one instance is restarted while another one has a mail in hand",
        edits=(Edit(MAILS, "mails.c.claimed_by == owner)", "mails.c.claimed_by.is_not(None))"),),
    ),
    Defect(
        id="OB41",
        category="OUTBOX",
        what="a mail that an instance has claimed is only that instance's, also when the claim has ended",
        trigger="an instance with a mail in hand is lost and stays away",
        edits=(
            Edit(
                MAILS,
                "            .where(mails.c.status == QUEUED, mails.c.next_attempt_at <= func.now())\n",
                "            .where(mails.c.status == QUEUED, mails.c.claimed_by.is_(None))\n"
                "            .where(mails.c.next_attempt_at <= func.now())\n",
            ),
        ),
    ),
    Defect(
        id="OB90",
        category="OUTBOX",
        what="a mail in hand is anybody's again before its sender has given up",
        trigger="the mail server is slow",
        edits=(
            Edit(
                "services/notification_service/entrypoints/service.py",
                "lease_s=3 * answer_s",
                "lease_s=answer_s / 2",
            ),
        ),
    ),
    Defect(
        id="OB80",
        category="OUTBOX",
        what="while a message waits for its next try all others of its topic wait",
        trigger="a message that the broker has refused once, and others of its topic",
        edits=(
            Edit(
                "kit/outbox.py",
                (
                    "        older.c.status == PENDING,\n"
                    "        older.c.topic == row.c.topic,\n"
                    "        older.c.key == row.c.key,\n"
                    "        older.c.position"
                ),
                ("        older.c.status == PENDING,\n        older.c.topic == row.c.topic,\n        older.c.position"),
            ),
        ),
    ),
    Defect(
        id="OB82",
        category="OUTBOX",
        what="the next message of a key is looked for only now and then",
        trigger="many messages of one aggregate",
        edits=(
            Edit(
                "kit/relay.py",
                "        if claimed.followed or self._full or claim",
                "        if self._full or claim",
            ),
        ),
    ),
    Defect(
        id="OB83",
        category="OUTBOX",
        what="what an instance has claimed is its own for ten minutes, whatever becomes of it",
        trigger="an instance that is lost with a claim",
        edits=(Edit("kit/relay.py", "LEASE_S = 6.0", "LEASE_S = 600.0"),),
    ),
    Defect(
        id="OB85",
        category="OUTBOX",
        what="a claim is not renewed while its message is on the way",
        trigger="a broker that takes longer to answer than the claim lasts",
        edits=(
            Edit(
                "kit/relay.py",
                "[one for one, at in self._begun.items() if now - at < RENEWED_FOR_S]",
                "[]",
            ),
        ),
    ),
    Defect(
        id="OB87",
        category="OUTBOX",
        what="a dead letter names as who gave it up the service that sent it",
        trigger="a message that its receiver cannot process",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "attempts, self._group.removeprefix(self._prefix))",
                'attempts, record.header("source"))',
            ),
        ),
    ),
    Defect(
        id="OB88",
        category="OUTBOX",
        what="that a topic may not be written to is no refusal: such a message is tried for ever",
        trigger="the broker says so",
        edits=(Edit("kit/messaging/producer.py", "    kafka.TopicAuthorizationFailedError,\n", ""),),
    ),
    Defect(
        id="OB89",
        category="OUTBOX",
        what="what a consumer gives up is not counted",
        trigger="a message that cannot be processed",
        edits=(
            Edit("kit/messaging/consumer.py", '                metrics.DEAD_LETTERS.labels("consumer").inc()\n', ""),
        ),
    ),
    Defect(
        id="OB70",
        category="OUTBOX",
        what="a reply to a saga that a timer is moving is taken for one to a saga that there is none",
        trigger="a step is done when its saga's deadline passes",
        edits=(
            Edit(
                ORCHESTRATOR,
                "saga = await store.lock(reply.saga_id)\n",
                "saga = await store.lock(reply.saga_id, skip_locked=True)\n",
            ),
        ),
    ),
    Defect(
        id="OB130",
        category="OUTBOX",
        what="the tries before an operator sends a message again count on",
        trigger="what an operator sends again is refused again",
        edits=(
            Edit(
                OUTBOX,
                "update(event_outbox).where(parked).values(**_AGAIN))",
                'update(event_outbox).where(parked).values(_AGAIN | {"attempts": event_outbox.c.attempts}))',
            ),
        ),
    ),
    Defect(
        id="OB131",
        category="OUTBOX",
        what="a message of a kind that the service does not know stops whoever sends what the outbox holds",
        trigger="another version has left such a message",
        edits=(
            Edit(OUTBOX, "kind=row.kind,", "kind=Kind(row.kind),"),
            Edit(OUTBOX, "import DEAD_LETTERS, Message\n", "import DEAD_LETTERS, Kind, Message\n"),
        ),
    ),
    Defect(
        id="OB110",
        category="OUTBOX",
        what="a message counts as told when one broker has it",
        trigger="a message is sent",
        edits=(
            Edit(
                "kit/messaging/producer.py",
                '            enable_idempotence=True,\n            acks="all",\n',
                "            acks=1,\n",
            ),
        ),
    ),
    Defect(
        id="OB20",
        category="OUTBOX",
        what="a mail is sent inside the transaction in which that is recorded",
        trigger="the mail server is slow",
        edits=(
            Edit(
                MAILER,
                '            await self._server.send(welcome(mail, command.payload["first_name"]))\n',
                "            await self._record(lambda work: self._send_in(work, mail, command))\n",
            ),
            Edit(
                MAILER,
                "        else:\n            await self._record(lambda work: self._sent(work, mail, command))\n",
                "",
            ),
            Edit(
                MAILER,
                "    async def _sent(",
                "    async def _send_in(self, work: UnitOfWork, mail: Mail, command: Command) -> None:\n"
                '        await work.lock("mail", mail.id)\n'
                '        await self._server.send(welcome(mail, command.payload["first_name"]))\n'
                "        await self._sent(work, mail, command)\n\n"
                "    async def _sent(",
            ),
        ),
    ),
    Defect(
        id="OB210",
        category="OUTBOX",
        what="a message that the broker has not acknowledged for long counts as sent, for its producer repeats it",
        trigger="a broker that hangs for longer than a request may take",
        edits=(
            Edit(
                "kit/messaging/producer.py",
                "        while not await self._comes(producer, acknowledged):\n"
                "            await self._refuse_if_missing(producer, topic)\n",
                "        waited_s = 0.0\n"
                "        while not await self._comes(producer, acknowledged):\n"
                "            await self._refuse_if_missing(producer, topic)\n"
                "            waited_s += _LOOK_S\n"
                "            if waited_s >= self._timeout_s:\n"
                "                return\n",
            ),
        ),
    ),
    Defect(
        id="OB211",
        category="OUTBOX",
        what="a message that the broker does not take just now keeps all others waiting",
        trigger="a topic of which too few copies are there",
        edits=(Edit(RELAY, "IN_FLIGHT = 64", "IN_FLIGHT = 1"),),
    ),
    Defect(
        id="OB212",
        category="OUTBOX",
        what="of what waits the newest is sent first",
        trigger="more messages wait than are sent at a time",
        edits=(Edit(OUTBOX, "        .order_by(row.c.position)\n", "        .order_by(row.c.position.desc())\n"),),
    ),
    Defect(
        id="OB213",
        category="OUTBOX",
        what="what is sent is not counted",
        trigger="messages are sent",
        edits=(Edit(RELAY, "            metrics.PUBLISHED.labels(message.kind).inc()\n", ""),),
    ),
    Defect(
        id="OB200",
        category="OUTBOX",
        what="the messages of a transaction are written by their ids, not in the order in which they came about",
        trigger="two events of one stream in one transaction: the first step of a saga is refused",
        edits=(
            Edit(
                "kit/outbox.py",
                "self._connection.execute(_ADD, self._added)",
                'self._connection.execute(_ADD, sorted(self._added, key=lambda row: row["id"]))',
            ),
        ),
    ),
    Defect(
        id="OB300",
        category="OUTBOX",
        what="a message that came while the one before it was on its way is found at the next poll only",
        trigger="an aggregate changes twice before the broker has the first event",
        edits=(
            Edit(
                "kit/relay.py",
                "        if claimed.followed or self._full or claim != self._claims:\n",
                "        if claimed.followed or self._full:\n",
            ),
        ),
    ),
    Defect(
        id="OB301",
        category="OUTBOX",
        what="a dead letter tells one try less than there were",
        trigger="the broker refuses a message for good",
        edits=(
            Edit(
                "kit/outbox.py",
                "dead_letter_copy(message, error, attempts))",
                "dead_letter_copy(message, error, max(claimed.attempts, 1)))",
            ),
        ),
    ),
    Defect(
        id="OB420",
        category="OUTBOX",
        what="a dead letter has each header of its record once, with the last of its values",
        trigger="a record that cannot be processed has two headers of one name",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "headers = [*record.headers, *((name,",
                "headers = [*dict(record.headers).items(), *((name,",
            ),
        ),
    ),
    Defect(
        id="OB320",
        category="OUTBOX",
        what="an instance renews all claims in its name, also those of which it never heard",
        trigger="the answer to a claim is lost while something else is on its way",
        edits=(
            Edit(
                OUTBOX,
                "_RENEW = _OWN.values(claimed_until=_LEASE_END)",
                "_RENEW = update(event_outbox).where("
                'event_outbox.c.status == PENDING, event_outbox.c.claimed_by == bindparam("owner")'
                ").values(claimed_until=_LEASE_END)",
            ),
            Edit(
                OUTBOX,
                "        for message_id in ids:\n"
                "            lease = timedelta(seconds=lease_s)\n"
                "            await self._execute(_RENEW, message_id=message_id, owner=self._owner, lease=lease)\n",
                "        lease = timedelta(seconds=lease_s)\n"
                "        await self._execute(_RENEW, owner=self._owner, lease=lease)\n",
            ),
        ),
    ),
    Defect(
        id="OB321",
        category="OUTBOX",
        what="each connection takes several places in the outbox at a time",
        trigger="messages of one key wait that two connections have written in turn",
        edits=(
            Edit(
                "kit/schema.py",
                'Identity(always=True), nullable=False, unique=True),\n    Column("tenant_id"',
                'Identity(always=True, cache=32), nullable=False, unique=True),\n    Column("tenant_id"',
            ),
        ),
    ),
    Defect(
        id="OB410",
        category="OUTBOX",
        what="a dead letter says what kind of mistake made it one, and nothing of the mistake, which may hold a value",
        trigger="messages that cannot be processed for different reasons",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "self._dead_letter(record, str(cause), attempts + 1, stopping)",
                "self._dead_letter(record, type(cause).__name__, attempts + 1, stopping)",
            ),
            Edit(
                "kit/messaging/consumer.py",
                "self._dead_letter(record, repr(failure), attempts, stopping)",
                "self._dead_letter(record, type(failure).__name__, attempts, stopping)",
            ),
        ),
    ),
    Defect(
        id="OB400",
        category="OUTBOX",
        what="the outbox is a table that a crash of the database server empties",
        trigger="the database server crashes while a message waits",
        edits=(
            Edit(
                "kit/schema.py",
                '    Column("published_at", DateTime(timezone=True)),\n)\n',
                '    Column("published_at", DateTime(timezone=True)),\n    prefixes=["UNLOGGED"],\n)\n',
            ),
        ),
    ),
    Defect(
        id="OB401",
        category="OUTBOX",
        what="who finds nothing to send looks for it more and more rarely",
        trigger="another process leaves something in the outbox of a service that has had nothing to do for long",
        edits=(
            Edit(
                "kit/relay.py",
                "        while not stopping.is_set():\n"
                "            self._news.clear()\n"
                "            await self.send_due()\n"
                "            await pause(self._news, self._poll_s)\n",
                "        idle = Backoff(self._poll_s, 30.0)\n"
                "        while not stopping.is_set():\n"
                "            self._news.clear()\n"
                "            if await self.send_due() or self._sending:\n"
                "                idle.reset()\n"
                "            await pause(self._news, idle.next_delay_s())\n",
            ),
        ),
    ),
    Defect(
        id="OB430",
        category="OUTBOX",
        what="the oldest are looked for first, and then those of them that are due",
        trigger="more messages wait for their next try than are sent at a time",
        edits=(
            Edit(
                "kit/outbox.py",
                "    due = (\n"
                "        select(row.c.id)\n"
                "        .where(row.c.status == PENDING, row.c.next_attempt_at <= func.now())\n"
                "        .where(or_(row.c.claimed_until.is_(None), row.c.claimed_until < func.now()), ~waits)\n"
                "        .order_by(row.c.position)\n"
                '        .limit(bindparam("limit"))\n',
                "    heads = select(row.c.id).where(row.c.status == PENDING, ~waits).order_by(row.c.position)\n"
                '    oldest = heads.limit(bindparam("limit")).cte("oldest")\n'
                "    due = (\n"
                "        select(row.c.id)\n"
                "        .where(row.c.id.in_(select(oldest.c.id)), row.c.status == PENDING)\n"
                "        .where(row.c.next_attempt_at <= func.now())\n"
                "        .where(or_(row.c.claimed_until.is_(None), row.c.claimed_until < func.now()))\n",
            ),
        ),
    ),
    Defect(
        id="OB440",
        category="OUTBOX",
        what="a dead letter that the broker refuses for good counts as sent",
        trigger="what waits in an outbox cannot be sent, and no dead letter can",
        edits=(
            Edit(
                "kit/relay.py",
                "            await self._record(partial(self._queue.park, claimed, cause))\n",
                "            if message.topic == DEAD_LETTERS:\n"
                "                return await self._record(partial(self._queue.published, message.id))\n"
                "            await self._record(partial(self._queue.park, claimed, cause))\n",
            ),
            Edit(
                "kit/relay.py",
                "from pyairtable_reference.kit.database import is_transient\n",
                "from pyairtable_reference.kit.database import is_transient\n"
                "from pyairtable_reference.kit.envelope import DEAD_LETTERS\n",
            ),
        ),
    ),
    Defect(
        id="OB560",
        category="OUTBOX",
        what="a parked message is sent again whenever it is asked for again, not only when an operator says so",
        trigger="the broker refuses a command for good, and the orchestrator asks for it again",
        edits=(Edit(OUTBOX, "where=event_outbox.c.status == PUBLISHED", "where=event_outbox.c.status != PENDING"),),
    ),
    Defect(
        id="OB561",
        category="OUTBOX",
        what="a topic that was missing once is not looked for again",
        trigger="a topic is made for what is parked, and an operator has it sent",
        edits=(
            Edit(
                "kit/messaging/producer.py",
                "        self._broken = asyncio.Event()\n",
                "        self._broken = asyncio.Event()\n        self._missing: set[str] = set()\n",
            ),
            Edit(
                "kit/messaging/producer.py",
                "            self._producer = producer\n",
                "            self._producer = producer\n            self._missing.clear()\n",
            ),
            Edit(
                "kit/messaging/producer.py",
                "        known = await producer.client.fetch_all_metadata()\n        if topic not in known.topics():\n",
                "        # The metadata of all topics is large: it is not asked for again at each attempt.\n"
                "        if topic not in self._missing:\n"
                "            known = await producer.client.fetch_all_metadata()\n"
                "            if topic not in known.topics():\n"
                "                self._missing.add(topic)\n"
                "        if topic in self._missing:\n",
            ),
        ),
    ),
    Defect(
        id="OB600",
        category="OUTBOX",
        what="what could not be noted as sent is on its way for ever",
        trigger="the database fails when a sent message is to be noted",
        edits=(
            Edit(
                "kit/relay.py",
                "        del self._sending[message_id], self._begun[message_id]\n",
                "        if not task.cancelled() and (bug := task.exception()):\n"
                '            log.error("message %s could not be relayed", message_id, exc_info=bug)\n'
                "            return\n"
                "        del self._sending[message_id], self._begun[message_id]\n",
            ),
        ),
    ),
    Defect(
        id="OB601",
        category="OUTBOX",
        what="what waits for its next try keeps nothing of its aggregate waiting",
        trigger="the first of two events waits for its next try, while others are sent",
        edits=(
            Edit(
                "kit/outbox.py",
                "        older.c.position < row.c.position,\n",
                "        older.c.position < row.c.position,\n"
                "        or_(older.c.attempts == 0, older.c.next_attempt_at <= func.now()),\n",
            ),
        ),
    ),
    Defect(
        id="OB602",
        category="OUTBOX",
        what="an acknowledgement that is waited for with a time limit is cancelled",
        trigger="the broker acknowledges after more than a second",
        edits=(
            Edit(
                "kit/messaging/producer.py",
                "        done, _ = await asyncio.wait({awaited}, timeout=_LOOK_S)\n"
                "        if not done and self._producer is not producer:\n"
                '            raise Unreachable("the producer was replaced")\n'
                "        return bool(done)\n",
                "        try:\n"
                "            await asyncio.wait_for(awaited, _LOOK_S)\n"
                "        except TimeoutError:\n"
                "            if self._producer is not producer:\n"
                '                raise Unreachable("the producer was replaced") from None\n'
                "            return False\n"
                "        return True\n",
            ),
        ),
    ),
    Defect(
        id="OB603",
        category="OUTBOX",
        what="a dead letter that is given up once more tells why it was the first time",
        trigger="an operator sends a dead letter again, and it is given up for another reason",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "        headers = [*record.headers, *((name, value.encode()) for name, value in extra.items())]\n",
                "        present = {name for name, _ in record.headers}\n"
                "        added = [(name, value.encode()) for name, value in extra.items() if name not in "
                "present]\n"
                "        headers = [*record.headers, *added]\n",
            ),
        ),
    ),
    Defect(
        id="OB604",
        category="OUTBOX",
        what="the outbox is ordered by when a transaction began",
        trigger="of two changes of an entity the later one began first, while neither can be told",
        edits=(
            Edit(
                "kit/outbox.py",
                "from sqlalchemy import Interval, and_, bindparam, exists, func, or_, select, update\n",
                "from sqlalchemy import Interval, and_, bindparam, exists, func, or_, select, tuple_, update\n",
            ),
            Edit(
                "kit/outbox.py",
                '_LEASE_END = func.now() + bindparam("lease", type_=Interval)\n',
                '_LEASE_END = func.now() + bindparam("lease", type_=Interval)\n'
                "\n"
                "\n"
                "def _age(table: Any) -> Any:\n"
                '    """When a row was written. Identities alone do not tell: a sequence hands them out in '
                'blocks to each session."""\n'
                "    return tuple_(table.c.created_at, table.c.position)\n",
            ),
            Edit(
                "kit/outbox.py",
                "        older.c.position < row.c.position,\n",
                "        _age(older) < _age(row),\n",
            ),
            Edit(
                "kit/outbox.py",
                "        .order_by(row.c.position)\n",
                "        .order_by(row.c.created_at, row.c.position)\n",
            ),
            Edit(
                "kit/outbox.py",
                "        newer.c.position > event_outbox.c.position,\n",
                "        _age(newer) > _age(event_outbox),\n",
            ),
            Edit(
                "kit/outbox.py",
                "        return [Claimed(_message(row), row.attempts, row.followed) for row in "
                'sorted(rows, key=attrgetter("position"))]\n',
                '        rows = sorted(rows, key=attrgetter("created_at", "position"))\n'
                "        return [Claimed(_message(row), row.attempts, row.followed) for row in rows]\n",
            ),
        ),
    ),
    Defect(
        id="OB605",
        category="OUTBOX",
        what="an operator sends again whatever is not published, also what waits or is on its way",
        trigger="ask for a message that waits for its next try",
        edits=(
            Edit(
                "kit/outbox.py",
                '        """Queues a parked message again, unchanged; returns whether there is one."""\n'
                "        parked = and_(event_outbox.c.id == message_id, event_outbox.c.status == FAILED)\n"
                "        return (await "
                "self._connection.execute(update(event_outbox).where(parked).values(**_AGAIN))).rowcount == 1\n",
                '        """Queues a message again that has not been published, unchanged; returns whether '
                'there is one."""\n'
                "        unsent = and_(event_outbox.c.id == message_id, event_outbox.c.status != PUBLISHED)\n"
                "        return (await "
                "self._connection.execute(update(event_outbox).where(unsent).values(**_AGAIN))).rowcount == 1\n",
            ),
        ),
    ),
    Defect(
        id="OB606",
        category="OUTBOX",
        what="what was acknowledged is no more on its way before it is noted as sent",
        trigger="acknowledge an event and let nothing be noted until its claim has ended",
        edits=(
            Edit(
                "kit/outbox.py",
                "_PUBLISHED = _UPDATE.values(status=PUBLISHED, published_at=func.now(), last_error=None)\n",
                "_PUBLISHED = (\n"
                "    update(event_outbox)\n"
                '    .where(event_outbox.c.id.in_(bindparam("message_ids", expanding=True)), '
                "event_outbox.c.status == PENDING)\n"
                "    .values(status=PUBLISHED, published_at=func.now(), last_error=None)\n"
                ")\n",
            ),
            Edit(
                "kit/outbox.py",
                "    async def published(self, message_id: UUID) -> None:\n"
                '        """The broker has acknowledged it."""\n'
                "        await self._execute(_PUBLISHED, message_id=message_id)\n",
                "    async def published(self, ids: Sequence[UUID]) -> None:\n"
                '        """The broker has acknowledged them."""\n'
                "        await self._execute(_PUBLISHED, message_ids=list(ids))\n",
            ),
            Edit(
                "kit/relay.py",
                "    async def published(self, message_id: UUID) -> None: ...\n",
                "    async def published(self, ids: Sequence[UUID]) -> None: ...\n",
            ),
            Edit(
                "kit/relay.py",
                '    """Sends the outbox of one database, many messages at a time, one at a time per topic and key.\n',
                '    """Sends the outbox of one database, many messages at a time, one at a time per topic '
                "and key.\n"
                "\n"
                "    Acknowledgements are written down by a task of their own. While it writes, others "
                "gather, and the next statement\n"
                "    takes them all: a place to send from is free as soon as the broker has answered, and "
                "a burst costs few commits.\n",
            ),
            Edit(
                "kit/relay.py",
                "        self._sending: dict[UUID, asyncio.Task[None]] = {}\n",
                "        self._sending: dict[UUID, asyncio.Task[None]] = {}\n"
                "        self._acknowledged: list[UUID] = []\n"
                "        self._noting: asyncio.Task[None] | None = None\n",
            ),
            Edit(
                "kit/relay.py",
                "        while await self.send_due() or self._sending:\n"
                "            if self._sending:\n"
                "                await asyncio.wait(self._sending.values(), "
                "return_when=asyncio.FIRST_COMPLETED)\n",
                "        while await self.send_due() or self._sending or self._noting:\n"
                "            going_on = [*self._sending.values(), *([self._noting] if self._noting else [])]\n"
                "            if going_on:\n"
                "                await asyncio.wait(going_on, return_when=asyncio.FIRST_COMPLETED)\n",
            ),
            Edit(
                "kit/relay.py",
                "            await self._record(partial(self._queue.published, message.id))\n"
                "            metrics.PUBLISHED.labels(message.kind).inc()\n",
                "            self._acknowledged.append(message.id)\n"
                "            if self._noting is None:\n"
                '                self._noting = asyncio.create_task(self._note_acknowledged(), name="note '
                'acknowledged messages")\n'
                "            metrics.PUBLISHED.labels(message.kind).inc()\n"
                "\n"
                "    async def _note_acknowledged(self) -> None:\n"
                '        """Writes down what the broker has acknowledged, all at once, until there is '
                'nothing left to write."""\n'
                "        try:\n"
                "            while self._acknowledged:\n"
                "                ids, self._acknowledged = self._acknowledged, []\n"
                "                await self._record(partial(self._queue.published, ids))\n"
                "                self._news.set()  # What waited for these can be claimed now.\n"
                "        except Exception:\n"
                '            log.exception("acknowledged messages could not be noted")\n'
                "        finally:\n"
                "            self._noting = None\n",
            ),
        ),
    ),
    Defect(
        id="OB03",
        category="OUTBOX",
        what="messages are written over another connection than the change that they tell of",
        trigger="cut the connection before the change is committed",
        edits=(
            Edit(
                "kit/outbox.py",
                "    async def flush(self) -> bool:\n"
                '        """Writes what was added; returns whether there was anything."""\n'
                "        if self._added:\n"
                "            await self._connection.execute(_ADD, self._added)\n",
                "    async def flush(self, connection: AsyncConnection | None = None) -> bool:\n"
                '        """Writes what was added, over another connection if one is given; returns '
                'whether there was anything."""\n'
                "        if self._added:\n"
                "            await (connection or self._connection).execute(_ADD, self._added)\n",
            ),
            Edit(
                "kit/runtime.py",
                "        self.units_of_work = UnitsOfWork(self.engine, self.relay.wake)\n",
                "        # Messages have connections of their own: a busy pool does not keep them waiting.\n"
                '        self.outbox_engine = open_engine(settings.require("database_url"), '
                'f"{settings.instance}-outbox", pool_size=1)\n'
                "        self.units_of_work = UnitsOfWork(self.engine, self.relay.wake, self.outbox_engine)\n",
            ),
            Edit(
                "kit/runtime.py",
                "            await self._backing.engine.dispose()\n",
                "            await self._backing.engine.dispose()\n"
                "            await self._backing.outbox_engine.dispose()\n",
            ),
            Edit(
                "kit/unit_of_work.py",
                "    def __init__(self, engine: AsyncEngine, announce: Callable[[], None]) -> None:\n"
                "        self._engine = engine\n",
                "    def __init__(\n"
                "        self, engine: AsyncEngine, announce: Callable[[], None], outbox_engine: "
                "AsyncEngine | None = None\n"
                "    ) -> None:\n"
                "        self._engine = engine\n"
                "        self._outbox_engine = outbox_engine or engine\n",
            ),
            Edit(
                "kit/unit_of_work.py",
                "                announce = await work.outbox.flush()\n",
                "                async with self._outbox_engine.begin() as outbox_connection:\n"
                "                    announce = await work.outbox.flush(outbox_connection)\n",
            ),
        ),
    ),
    Defect(
        id="OB13",
        category="OUTBOX",
        what="what an operator sends again is a new message",
        trigger="send a parked message again",
        edits=(
            Edit(
                "kit/outbox.py",
                "from uuid import UUID, uuid5\n",
                "from uuid import UUID, uuid4, uuid5\n",
            ),
            Edit(
                "kit/outbox.py",
                "from pyairtable_reference.kit.envelope import DEAD_LETTERS, Message\n",
                "from pyairtable_reference.kit import logs\n"
                "from pyairtable_reference.kit.envelope import DEAD_LETTERS, Kind, Message\n",
            ),
            Edit(
                "kit/outbox.py",
                '        """Queues a parked message again, unchanged; returns whether there is one."""\n'
                "        parked = and_(event_outbox.c.id == message_id, event_outbox.c.status == FAILED)\n"
                "        return (await "
                "self._connection.execute(update(event_outbox).where(parked).values(**_AGAIN))).rowcount == 1\n",
                '        """Queues a parked message again, as a message of the operator\'s request; returns '
                'whether there is one."""\n'
                "        parked = and_(event_outbox.c.id == message_id, event_outbox.c.status == FAILED)\n"
                "        row = (await "
                "self._connection.execute(select(event_outbox).where(parked).with_for_update())).one_or_none()\n"
                "        if row is None:\n"
                "            return False\n"
                '        fresh, field = str(uuid4()), "event_id" if row.kind == Kind.EVENT else '
                '"message_id"\n'
                '        told = {"message-id": fresh, "correlation-id": logs.current_correlation(), '
                '"causation-id": str(message_id)}\n'
                '        again = _AGAIN | {"headers": row.headers | told, "payload": row.payload | {field: '
                "fresh}}\n"
                "        await self._connection.execute(update(event_outbox).where(parked).values(**again))\n"
                "        return True\n",
            ),
        ),
    ),
    Defect(
        id="OB607",
        category="OUTBOX",
        what="every dead letter of an outbox tells the same cause",
        trigger="the broker refuses messages for different reasons",
        edits=(
            Edit(
                "kit/outbox.py",
                "                outbox.add(dead_letter_copy(message, error, attempts))\n",
                '                outbox.add(dead_letter_copy(message, "refused by the broker", attempts))\n',
            ),
        ),
    ),
    Defect(
        id="OB608",
        category="OUTBOX",
        what="the producer is not idempotent",
        trigger="the acknowledgement of a message is lost",
        edits=(
            Edit(
                "kit/messaging/producer.py",
                "            enable_idempotence=True,\n",
                "            enable_idempotence=False,\n",
            ),
        ),
    ),
)
