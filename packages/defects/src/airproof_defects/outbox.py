"""Seeded defects of the transactional outbox."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit

OUTBOX = "kit/outbox.py"
RELAY = "kit/relay.py"
UNIT_OF_WORK = "kit/unit_of_work.py"

# The relay takes what a list in memory holds, as it would without an outbox table.
_TAKEN_FROM_MEMORY = Edit(
    OUTBOX,
    '        row, older = event_outbox.alias("row"), event_outbox.alias("older")\n',
    "        if UNSENT:\n"
    "            taken, UNSENT[:] = UNSENT[:limit], UNSENT[limit:]\n"
    "            return [Claimed(message, 0) for message in taken]\n"
    '        row, older = event_outbox.alias("row"), event_outbox.alias("older")\n',
)
_MEMORY = Edit(OUTBOX, '_again = {"status"', 'UNSENT: list[Message] = []\n\n_again = {"status"')
_INSERT = """        statement = insert(event_outbox).values(
            id=message.id,
            kind=message.kind.value,
            topic=message.topic,
            key=message.key,
            type=message.type,
            tenant_id=message.tenant_id,
            headers=message.headers,
            payload=message.payload,
        )
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[event_outbox.c.id], set_=_again, where=event_outbox.c.status == PUBLISHED
            )
        )
"""

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="OB01",
        category="OUTBOX",
        what="messages go out when they are written, before the transaction commits",
        trigger="the transaction is rolled back after the handler wrote a message",
        edits=(
            _MEMORY,
            Edit(OUTBOX, _INSERT, "        UNSENT.append(message)\n"),
            _TAKEN_FROM_MEMORY,
        ),
    ),
    Defect(
        id="OB02",
        category="OUTBOX",
        what="messages wait in memory for the commit and are sent after it; nothing is stored",
        trigger="the process is killed between commit and send",
        edits=(
            _MEMORY,
            Edit(
                OUTBOX,
                "        self.written = False\n",
                "        self.written = False\n        self.messages: list[Message] = []\n",
            ),
            Edit(OUTBOX, _INSERT, "        self.messages.append(message)\n"),
            _TAKEN_FROM_MEMORY,
            Edit(
                UNIT_OF_WORK,
                "        if work.outbox.written:\n",
                "        UNSENT.extend(work.outbox.messages)\n        if work.outbox.written:\n",
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
                "        await self._record(partial(self._queue.published, [message.id]))\n"
                "        try:\n            await self._transport.send(message)\n",
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
)
