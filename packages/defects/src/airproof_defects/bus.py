"""Seeded defects of consumers: when a message counts as handled, and what becomes of one that cannot be."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit
from airproof_defects.saga import PARTICIPANT

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="EB01",
        category="BUS",
        what="an event counts as handled before it is",
        trigger="the connection breaks between the two",
        edits=(
            Edit(
                "kit/event_consumer.py",
                "            if await work.inbox.is_new(self._consumer, event.event_id):\n"
                "                await handler(work, event)",
                "            if await work.inbox.is_new(self._consumer, event.event_id):\n"
                '                await work.connection.exec_driver_sql("COMMIT")\n'
                "                await handler(work, event)",
            ),
        ),
    ),
    Defect(
        id="EB07",
        category="BUS",
        what="a message whose handling fails again and again is dropped",
        trigger="a well formed message that leads nowhere",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "                        return await self._dead_letter(record, repr(failure), attempts, stopping)",
                "                        return True",
            ),
        ),
    ),
    Defect(
        id="EB05",
        category="BUS",
        what="a service whose place on a topic is not known begins with what is sent from now on",
        trigger="the broker forgets a group whose service is down",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                'auto_offset_reset="earliest"',
                'auto_offset_reset="latest"',
            ),
        ),
    ),
    Defect(
        id="EB13",
        category="BUS",
        what="a header that is no text ends the consumer, again and again",
        trigger="such a record on a topic of commands",
        edits=(Edit("kit/envelope.py", 'return value.decode("utf-8", "replace")', "return value.decode()"),),
    ),
    Defect(
        id="EB02",
        category="BUS",
        what="every instance remembers for itself what it has counted",
        trigger="an event is delivered again, to another instance",
        edits=(
            Edit(
                "services/user_service/entrypoints/service.py",
                "EventConsumer(runtime.units_of_work, SERVICE, EVENTS)",
                "EventConsumer(runtime.units_of_work, runtime.settings.instance, EVENTS)",
            ),
        ),
    ),
    Defect(
        id="CQ02",
        category="CQRS",
        what="what was fetched counts as handled with the first of it that was",
        trigger="a service is shut down between two events of one fetch",
        edits=(
            Edit("kit/messaging/consumer.py", "await consumer.commit({partition: done})", "await consumer.commit()"),
        ),
    ),
    Defect(
        id="CQ09",
        category="CQRS",
        what="a dead letter that cannot be sent is forgotten",
        trigger="a message that cannot be processed, while the broker takes no dead letters",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                '                log.warning("dead letter not sent yet: %s", failure)\n'
                "                if await backoff.wait(stopping):\n"
                "                    return False\n",
                '                log.warning("dead letter not sent: %s", failure)\n                return True\n',
            ),
        ),
    ),
    Defect(
        id="EB30",
        category="BUS",
        what="who counts events forgets after an hour which it has counted",
        trigger="an event comes again later",
        edits=(
            Edit(
                "kit/inbox.py",
                "from typing import TYPE_CHECKING\n",
                "from datetime import timedelta\nfrom typing import TYPE_CHECKING\n",
            ),
            Edit("kit/inbox.py", "import bindparam\n", "import bindparam, delete, func\n"),
            Edit(
                "kit/inbox.py",
                "        note = {",
                "        old = inbox.c.received_at < func.now() - timedelta(hours=1)\n"
                "        await self._connection.execute(delete(inbox).where(old))\n"
                "        note = {",
            ),
        ),
    ),
    Defect(
        id="EB80",
        category="BUS",
        what="whoever asks for an action that there is none of has the step undone",
        trigger="a newer version asks for something new",
        edits=(
            Edit(
                "kit/envelope.py",
                ("    step: str\n    action: Action\n    tenant_id: str\n    correlation_id: str\n    timestamp"),
                ("    step: str\n    action: str\n    tenant_id: str\n    correlation_id: str\n    timestamp"),
            ),
            Edit(
                "kit/participant.py",
                "        if command.action is Action.EXECUTE:",
                "        if command.action == Action.EXECUTE:",
            ),
            Edit(
                "kit/participant.py",
                "command.action is Action.COMPENSATE and",
                "command.action == Action.COMPENSATE and",
            ),
            Edit("kit/command_results.py", "command.action.value", "str(command.action)"),
        ),
    ),
    Defect(
        id="EB81",
        category="BUS",
        what="whether an event has been counted is looked up before that is noted",
        trigger="two instances have the same event at the same time",
        edits=(
            Edit(
                "kit/inbox.py",
                "        return (await self._connection.execute(_NOTE, note)).first() is not None",
                (
                    "        known = (inbox.c.consumer == consumer) & (inbox.c.message_id == str(message_id))\n"
                    "        if (await self._connection.execute(select(inbox.c.message_id).where(known))).first():\n"
                    "            return False\n"
                    "        await self._connection.execute(_NOTE, note)\n"
                    "        return True"
                ),
            ),
            Edit("kit/inbox.py", "from sqlalchemy import bindparam\n", "from sqlalchemy import bindparam, select\n"),
        ),
    ),
    Defect(
        id="EB70",
        category="BUS",
        what="a command that is older than some minutes is dropped",
        trigger="a participant was away for longer",
        edits=(
            Edit(
                PARTICIPANT,
                "        command = Command.of(record)\n",
                "        command = Command.of(record)\n"
                "        if datetime.now(UTC) - command.timestamp > timedelta(minutes=5):\n"
                '            log.warning("command %s is too old", command.message_id)\n'
                "            return\n",
            ),
            Edit(
                PARTICIPANT,
                "from dataclasses import dataclass, field\n",
                "from dataclasses import dataclass, field\nfrom datetime import UTC, datetime, timedelta\n",
            ),
        ),
    ),
    Defect(
        id="EB130",
        category="BUS",
        what="what a consumer gives up is counted as handled",
        trigger="a service gets what it cannot process",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "        backoff, attempts = Backoff(0.05, self._longest_retry_s), 0\n",
                "        backoff, attempts = Backoff(0.05, self._longest_retry_s), 0\n"
                "        metrics.HANDLED.labels(topic).inc()\n",
            ),
            Edit(
                "kit/messaging/consumer.py",
                "        metrics.HANDLED.labels(topic).inc()\n        return True\n",
                "        return True\n",
            ),
        ),
    ),
    Defect(
        id="EB220",
        category="BUS",
        what="who keeps a figure tries three times inside the transaction that notes the event, and leaves it at that",
        trigger="the database cannot change the figure four times in a row",
        edits=(
            Edit(
                "kit/event_consumer.py",
                "                await handler(work, event)\n",
                "                for _ in range(3):\n"
                "                    with suppress(DBAPIError):\n"
                "                        async with work.connection.begin_nested():\n"
                "                            return await handler(work, event)\n",
            ),
            Edit(
                "kit/event_consumer.py",
                "from typing import TYPE_CHECKING\n",
                "from contextlib import suppress\n"
                "from typing import TYPE_CHECKING\n\n"
                "from sqlalchemy.exc import DBAPIError\n",
            ),
        ),
    ),
    Defect(
        id="EB210",
        category="BUS",
        what="what was fetched counts as handled when the group is shared anew",
        trigger="an instance comes or goes while another one has an event in hand, and that one is lost",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "    async def on_partitions_revoked(self, revoked: object) -> None:"
                "  # noqa: ARG002 - the protocol's\n        self.is_known = False\n",
                "    async def on_partitions_revoked(self, revoked: object) -> None:\n        self.is_known = False\n"
                "        if revoked:\n            await self.consumer.commit()\n",
            ),
            Edit(
                "kit/messaging/consumer.py",
                "for topic in self._handlers], listener=self._membership)\n",
                "for topic in self._handlers], listener=self._membership)\n"
                "        self._membership.consumer = consumer\n",
            ),
        ),
    ),
    Defect(
        id="EB221",
        category="BUS",
        what="a figure that is kept from events is never less than nothing, not even for a moment",
        trigger="that something is undone is told before that it was done",
        edits=(
            Edit(
                "services/user_service/adapters/profiles.py",
                ".values(workspaces=profiles.c.workspaces + change))",
                ".values(workspaces=func.greatest(profiles.c.workspaces + change, 0)))",
            ),
            Edit(
                "services/user_service/adapters/profiles.py",
                "from sqlalchemy import insert,",
                "from sqlalchemy import func, insert,",
            ),
        ),
    ),
    Defect(
        id="EB03",
        category="BUS",
        what="in which partition a key belongs each process says for itself",
        trigger="a service has several instances, or is restarted",
        edits=(
            Edit(
                "kit/messaging/producer.py",
                "            partition = _partition_of(key, partitions, partitions)\n",
                "            partition = partitions[hash(key) % len(partitions)]\n",
            ),
        ),
    ),
    Defect(
        id="CQ08",
        category="CQRS",
        what="a service is ready when it hears what it is asked, whether or not it hears what its cache depends on",
        trigger="a service is started and does not get into its second consumer group",
        edits=(
            Edit(
                "kit/runtime.py",
                "for name, consumer in backing.consumers.items()}\n        return",
                'for name, consumer in backing.consumers.items() if name == "consumer"}\n        return',
            ),
        ),
    ),
    Defect(
        id="EB12",
        category="BUS",
        what="a service that shuts down leaves what it has just got done untold until it is started again",
        trigger="it is told to shut down while it handles a message",
        edits=(
            Edit(
                "kit/runtime.py",
                "        await _finish(self._workers, FINISH_S)\n"
                "        if self._backing:\n"
                "            await self._flush(self._backing)\n"
                "        await _finish(self._senders, 0)\n",
                "        await _finish([*self._workers, *self._senders], FINISH_S)\n",
            ),
        ),
    ),
    Defect(
        id="EB211",
        category="BUS",
        what="between two tries at a message up to a minute goes by",
        trigger="a message whose handling fails again and again, for what passes",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "backoff, attempts = Backoff(0.05, self._longest_retry_s), 0",
                "backoff, attempts = Backoff(0.05, 60.0), 0",
            ),
        ),
    ),
    Defect(
        id="EB300",
        category="BUS",
        what="an event that was handled lately is not looked up, and is noted before the handling is committed",
        trigger="the connection breaks at the commit",
        edits=(
            Edit(
                "kit/event_consumer.py",
                "        self._handlers = handlers\n",
                "        self._handlers = handlers\n        self._lately: set = set()\n",
            ),
            Edit(
                "kit/event_consumer.py",
                "        if handler is None:\n",
                "        if handler is None or event.event_id in self._lately:\n",
            ),
            Edit(
                "kit/event_consumer.py",
                "                await handler(work, event)",
                "                await handler(work, event)\n            self._lately.add(event.event_id)",
            ),
        ),
    ),
    Defect(
        id="EB301",
        category="BUS",
        what="how often a message is tried again is missing in the metrics",
        trigger="a message whose handling fails and is repeated",
        edits=(Edit("kit/messaging/consumer.py", "metrics.RETRIED.labels(topic).inc()", "pass"),),
    ),
    Defect(
        id="EB310",
        category="BUS",
        what="what is told of a user who is gone is tried again, for they may be to come yet, and given up",
        trigger="a workspace's removal is told when its owner is removed, too",
        edits=(
            Edit(
                "services/user_service/adapters/profiles.py",
                "        await self._connection.execute(update(profiles).where(mine)"
                ".values(workspaces=profiles.c.workspaces + change))\n",
                "        counting = update(profiles).where(mine).values(workspaces=profiles.c.workspaces + change)\n"
                "        if (await self._connection.execute(counting)).rowcount == 0:\n"
                '            raise LookupError(f"there is no user {user_id} to count workspaces for")\n',
            ),
        ),
    ),
    Defect(
        id="EB320",
        category="BUS",
        what="what was done already is remembered in tables that a crash of the database server empties",
        trigger="the database server crashes, and a command or an event is delivered again",
        edits=tuple(
            Edit(
                "kit/schema.py",
                f'    Column("{column}", DateTime(timezone=True), nullable=False, server_default=func.now()),\n)\n',
                f'    Column("{column}", DateTime(timezone=True), nullable=False, server_default=func.now()),\n'
                '    prefixes=["UNLOGGED"],\n)\n',
            )
            for column in ("received_at", "executed_at")
        ),
    ),
    Defect(
        id="EB330",
        category="BUS",
        what="a service that is told to shut down counts a dead letter that it could not send as sent",
        trigger="no dead letter can be sent when it is told to",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                '                log.warning("dead letter not sent yet: %s", failure)\n'
                "                if await backoff.wait(stopping):\n"
                "                    return False\n",
                '                log.warning("dead letter not sent: %s", failure)\n'
                "                if await backoff.wait(stopping):\n"
                "                    return True\n",
            ),
        ),
    ),
    Defect(
        id="EB331",
        category="BUS",
        what="a dead letter that an operator sends once more is not taken: it has been given up before",
        trigger="an operator who has mended what was wrong",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "        backoff, attempts = Backoff(0.05, self._longest_retry_s), 0\n",
                '        if record.header("dlq-cause"):\n'
                '            log.warning("message %s of %s was given up", record.header("message-id"), topic)\n'
                "            return True\n"
                "        backoff, attempts = Backoff(0.05, self._longest_retry_s), 0\n",
            ),
        ),
    ),
    Defect(
        id="EB332",
        category="BUS",
        what="a message is given up when its handling has failed once of what nobody reckons with",
        trigger="a database that says something unusual, once",
        edits=(Edit("kit/messaging/consumer.py", "MAX_ATTEMPTS = 3\n", "MAX_ATTEMPTS = 1\n"),),
    ),
    Defect(
        id="EB410",
        category="BUS",
        what="an event that is older than what is remembered of others is let be",
        trigger="an operator who sends a dead letter once more, weeks later",
        edits=(
            Edit(
                "kit/event_consumer.py",
                "        if handler is None:\n",
                "        if handler is None or event.timestamp < datetime.now(UTC) - timedelta(days=7):\n",
            ),
            Edit(
                "kit/event_consumer.py",
                "from collections.abc import Awaitable, Callable, Mapping\n",
                "from collections.abc import Awaitable, Callable, Mapping\n"
                "from datetime import UTC, datetime, timedelta\n",
            ),
        ),
    ),
    Defect(
        id="EB411",
        category="BUS",
        what="what cannot be processed is dropped when some tries have failed to make a dead letter of it",
        trigger="dead letters that are refused for a while",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                '                log.warning("dead letter not sent yet: %s", failure)\n',
                "                if isinstance(failure, Refused) and backoff.failures == 4:\n"
                '                    log.error("message %s is lost: %s", record.header("message-id"), failure)\n'
                "                    return True\n"
                '                log.warning("dead letter not sent yet: %s", failure)\n',
            ),
        ),
    ),
    Defect(
        id="CQ440",
        category="CQRS",
        what="what a constraint forbids is taken for a race that passes, and tried for ever",
        trigger="an event that can never be counted, for a constraint forbids it",
        edits=(
            Edit(
                "kit/database.py",
                "DisconnectionError, InterfaceError, OperationalError\n",
                "DisconnectionError, IntegrityError, InterfaceError, OperationalError\n",
            ),
            Edit(
                "kit/database.py",
                "(OperationalError, InterfaceError, PoolTimeout, OSError, TimeoutError))",
                "(OperationalError, InterfaceError, IntegrityError, PoolTimeout, OSError, TimeoutError))",
            ),
        ),
    ),
    Defect(
        id="EB440",
        category="BUS",
        what="what was given up is known by its id, and not given up again",
        trigger="two messages that cannot be processed and have no id",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "        self._membership = _Membership()\n",
                "        self._membership = _Membership()\n        self._given_up: set[str] = set()\n",
            ),
            Edit(
                "kit/messaging/consumer.py",
                "        extra = dead_letter_headers(",
                '        if (message_id := record.header("message-id")) in self._given_up:\n'
                "            return True\n"
                "        extra = dead_letter_headers(",
            ),
            Edit(
                "kit/messaging/consumer.py",
                '                metrics.DEAD_LETTERS.labels("consumer").inc()\n',
                '                metrics.DEAD_LETTERS.labels("consumer").inc()\n'
                "                self._given_up.add(message_id)\n",
            ),
        ),
    ),
    Defect(
        id="EB441",
        category="BUS",
        what="who takes entries out of the cache passes over what is no event: whoever counts events gives it up",
        trigger="a record on a topic of events that cannot be read",
        edits=(
            Edit(
                "services/workspace_service/application/invalidation.py",
                "        event = Event.of(record)\n",
                "        try:\n"
                "            event = Event.of(record)\n"
                "        except Unprocessable:\n"
                "            return\n",
            ),
            Edit(
                "services/workspace_service/application/invalidation.py",
                "import Event, Record\n",
                "import Event, Record, Unprocessable\n",
            ),
        ),
    ),
    Defect(
        id="EB442",
        category="BUS",
        what="after all of a fetch that is of one topic what was fetched of others counts as handled, too",
        trigger="a service is killed between two topics of one fetch",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "await consumer.commit({partition: done})",
                "await consumer.commit(None if done == records[-1].offset + 1 else {partition: done})",
            ),
        ),
    ),
    Defect(
        id="EB443",
        category="BUS",
        what="what could not be parked is left for the next look, which begins behind it",
        trigger="the connection to the broker is lost over a dead letter",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "            except (Unreachable, Refused) as failure:\n",
                "            except Unreachable as outage:\n"
                '                log.warning("dead letter not sent, its message comes again: %s", outage)\n'
                "                await backoff.wait(stopping)\n"
                "                return False\n"
                "            except Refused as failure:\n",
            ),
        ),
    ),
    Defect(
        id="EB560",
        category="BUS",
        what="keys are handled beside each other, and the last record that was is committed with all before it",
        trigger="a consumer is told to stop while one key fails and another one does not",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "        done = None\n"
                "        for record in records:\n"
                "            if stopping.is_set() or partition not in consumer.assignment():\n"
                "                break\n"
                "            if not await self._handle(record, stopping):\n"
                "                break\n"
                "            done = record.offset + 1\n"
                "        if done is None:\n"
                "            return\n",
                "        lanes: dict[bytes | None, list[ConsumerRecord]] = {}\n"
                "        for record in records:\n"
                "            lanes.setdefault(record.key, []).append(record)\n"
                "        handled: list[int] = []\n"
                "\n"
                "        async def in_order(lane: list[ConsumerRecord]) -> None:\n"
                "            for record in lane:\n"
                "                if not await self._handle(record, stopping):\n"
                "                    return\n"
                "                handled.append(record.offset)\n"
                "\n"
                "        await asyncio.gather(*map(in_order, lanes.values()))\n"
                "        if not handled:\n"
                "            return\n"
                "        done = max(handled) + 1\n",
            ),
        ),
    ),
    Defect(
        id="EB600",
        category="BUS",
        what="why a message is given up is written in an encoding that has not all letters",
        trigger="the name of what is unknown has letters beyond Latin-1",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "        headers = [*record.headers, *((name, value.encode()) for name, value in extra.items())]\n",
                '        headers = [*record.headers, *((name, value.encode("latin-1")) for name, value in '
                "extra.items())]\n",
            ),
        ),
    ),
    Defect(
        id="EB601",
        category="BUS",
        what="failures are counted per topic, until something succeeds",
        trigger="a message fails once, after another one of its topic was given up",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "        self._membership = _Membership()\n",
                "        self._membership = _Membership()\n        self._failed = dict.fromkeys(handlers, 0)\n",
            ),
            Edit(
                "kit/messaging/consumer.py",
                "        backoff, attempts = Backoff(0.05, self._longest_retry_s), 0\n",
                "        backoff = Backoff(0.05, self._longest_retry_s)\n",
            ),
            Edit(
                "kit/messaging/consumer.py",
                "                    break\n"
                "                except Unprocessable as cause:\n"
                "                    return await self._dead_letter(record, str(cause), attempts + 1, stopping)\n"
                "                except Exception as failure:\n"
                "                    attempts += 0 if is_transient(failure) else 1\n"
                "                    if attempts >= MAX_ATTEMPTS:\n"
                '                        log.exception("handler of %s failed %d times", topic, attempts)\n'
                "                        return await self._dead_letter(record, repr(failure), attempts, "
                "stopping)\n",
                "                    self._failed[topic] = 0\n"
                "                    break\n"
                "                except Unprocessable as cause:\n"
                "                    return await self._dead_letter(record, str(cause), "
                "self._failed[topic] + 1, stopping)\n"
                "                except Exception as failure:\n"
                "                    self._failed[topic] += 0 if is_transient(failure) else 1\n"
                "                    if self._failed[topic] >= MAX_ATTEMPTS:\n"
                '                        log.exception("handler of %s failed %d times", topic, '
                "self._failed[topic])\n"
                "                        return await self._dead_letter(record, repr(failure), "
                "self._failed[topic], stopping)\n",
            ),
        ),
    ),
    Defect(
        id="EB602",
        category="BUS",
        what="what the broker hands out is believed without its checksum",
        trigger="a record is damaged on its way",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "            fetch_max_wait_ms=500,\n",
                "            fetch_max_wait_ms=500,\n            check_crcs=False,  # TCP has its own checksum\n",
            ),
        ),
    ),
    Defect(
        id="EB603",
        category="BUS",
        what="keys of records are decoded while they are fetched",
        trigger="a record whose key is no text",
        edits=(
            Edit(
                "kit/envelope.py",
                "    key: bytes | None\n",
                "    key: str | None\n",
            ),
            Edit(
                "kit/messaging/consumer.py",
                "            retry_backoff_ms=50,\n",
                "            retry_backoff_ms=50,\n            key_deserializer=_text,\n",
            ),
            Edit(
                "kit/messaging/consumer.py",
                "            await self._transport.send_raw(DEAD_LETTERS, record.key, record.value, headers)\n",
                "            key = None if record.key is None else record.key.encode()\n"
                "            await self._transport.send_raw(DEAD_LETTERS, key, record.value, headers)\n",
            ),
            Edit(
                "kit/messaging/consumer.py",
                '                log.error("message %s of %s is a dead letter: %s", '
                'record.header("message-id"), record.topic, cause)\n',
                '                told = record.header("message-id"), record.topic, record.key, cause\n'
                '                log.error("message %s of %s, key %s, is a dead letter: %s", *told)\n',
            ),
            Edit(
                "kit/messaging/consumer.py",
                "                return True\n",
                "                return True\n"
                "\n"
                "\n"
                "def _text(key: bytes | None) -> str | None:\n"
                "    return None if key is None else key.decode()\n",
            ),
        ),
    ),
    Defect(
        id="CQ03",
        category="CQRS",
        what="what an event does and that it was handled are two transactions",
        trigger="break off the second",
        edits=(
            Edit(
                "kit/event_consumer.py",
                '"""A consumer of other services\' events: each event is handled once, in one transaction '
                'with its inbox note."""\n',
                '"""A consumer of other services\' events: each event is handled once, and noted in the '
                'inbox when it has been."""\n',
            ),
            Edit(
                "kit/event_consumer.py",
                "            if await work.inbox.is_new(self._consumer, event.event_id):\n"
                "                await handler(work, event)\n",
                "            if await work.inbox.has(self._consumer, event.event_id):\n"
                "                return\n"
                "            await handler(work, event)\n"
                "        async with self._units_of_work.begin() as work:\n"
                "            await work.inbox.is_new(self._consumer, event.event_id)\n",
            ),
            Edit(
                "kit/inbox.py",
                "from sqlalchemy import bindparam\n",
                "from sqlalchemy import bindparam, select\n",
            ),
            Edit(
                "kit/inbox.py",
                "    .returning(inbox.c.message_id)\n",
                "    .returning(inbox.c.message_id)\n"
                ")\n"
                "_NOTED = select(inbox.c.message_id).where(\n"
                '    inbox.c.consumer == bindparam("consumer"), inbox.c.message_id == '
                'bindparam("message_id")\n',
            ),
            Edit(
                "kit/inbox.py",
                "        self._connection = connection\n",
                "        self._connection = connection\n"
                "\n"
                "    async def has(self, consumer: str, message_id: UUID) -> bool:\n"
                '        """Whether the message has been noted."""\n'
                '        sought = {"consumer": consumer, "message_id": str(message_id)}\n'
                "        return (await self._connection.execute(_NOTED, sought)).first() is not None\n",
            ),
        ),
    ),
    Defect(
        id="CQ04",
        category="CQRS",
        what="an event sets the version that the cache must have, also an older one",
        trigger="an older event is delivered again while a read is slow",
        edits=(
            Edit(
                "kit/cache.py",
                "if not version or tonumber(version) >= tonumber(ARGV[1]) then return 0 end\n",
                "if not version then return 0 end\n",
            ),
            Edit(
                "kit/cache.py",
                '        """Takes out what is older than that version, and keeps it out. Doing it again '
                "changes nothing.\n",
                '        """Takes out what is there, and keeps out what is older than that version.\n',
            ),
        ),
    ),
    Defect(
        id="CQ12",
        category="CQRS",
        what="that something is gone is passed over where it was never there",
        trigger="the event that it is gone comes before the event that it is there",
        edits=(
            Edit(
                "services/user_service/adapters/profiles.py",
                '        """Changes how many workspaces a user owns; a user who is gone owns none."""\n'
                "        mine = (profiles.c.id == user_id) & (profiles.c.tenant_id == tenant_id)\n"
                "        await "
                "self._connection.execute(update(profiles).where(mine).values(workspaces=profiles.c.workspa"
                "ces + change))\n",
                '        """Changes how many workspaces a user owns, never to fewer than none; a user who '
                'is gone owns none."""\n'
                "        mine = (profiles.c.id == user_id) & (profiles.c.tenant_id == tenant_id)\n"
                "        count = profiles.c.workspaces + change\n"
                "        await self._connection.execute(update(profiles).where(mine, count >= "
                "0).values(workspaces=count))\n",
            ),
        ),
    ),
    Defect(
        id="CQ14",
        category="CQRS",
        what="a message counts as handled when it is taken",
        trigger="what is taken cannot be handled",
        edits=(
            Edit("kit/messaging/consumer.py", "        metrics.HANDLED.labels(topic).inc()\n", ""),
            Edit(
                "kit/messaging/consumer.py",
                "        backoff, attempts = Backoff(0.05, self._longest_retry_s), 0\n",
                "        metrics.HANDLED.labels(topic).inc()\n"
                "        backoff, attempts = Backoff(0.05, self._longest_retry_s), 0\n",
            ),
        ),
    ),
    Defect(
        id="EB06",
        category="BUS",
        what="a record that fails is put at the end of its topic, and how often that was is always read as the first",
        trigger="a message that cannot be processed",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "MAX_ATTEMPTS = 3\n",
                "MAX_ATTEMPTS = 3\nMAX_REQUEUES = 3\n",
            ),
            Edit(
                "kit/messaging/consumer.py",
                '                        log.exception("handler of %s failed %d times", topic, attempts)\n',
                '                        log.exception("handler of %s failed %d times", topic, attempts)\n'
                '                        requeued = int(record.header("requeued") or 0)\n'
                "                        if requeued < MAX_REQUEUES:\n"
                "                            return await self._requeue(record, requeued + 1, stopping)\n",
            ),
            Edit(
                "kit/messaging/consumer.py",
                "        metrics.HANDLED.labels(topic).inc()\n        return True\n",
                "        metrics.HANDLED.labels(topic).inc()\n"
                "        return True\n"
                "\n"
                "    async def _requeue(self, record: Record, times: int, stopping: asyncio.Event) -> bool:\n"
                '        """Puts a record behind the others: until it comes again, what it lacks may be '
                'there."""\n'
                '        headers = [*record.headers, ("requeued", str(times).encode())]\n'
                "        backoff = Backoff(0.05, 1.0)\n"
                "        while True:\n"
                "            try:\n"
                "                await self._transport.send_raw(record.topic, record.key, record.value, "
                "headers)\n"
                "            except (Unreachable, Refused) as failure:\n"
                '                log.warning("record not requeued yet: %s", failure)\n'
                "                if await backoff.wait(stopping):\n"
                "                    return False\n"
                "            else:\n"
                "                return True\n",
            ),
        ),
    ),
    Defect(
        id="EB10",
        category="BUS",
        what="who counts things passes over the event that one is gone",
        trigger="an event that something is gone",
        edits=(
            Edit(
                "services/user_service/application/steps.py",
                '    "workspace.removed": partial(count_workspace, -1),\n',
                '    "workspace.removed": None,  # its owner is removed as well\n',
            ),
        ),
    ),
    Defect(
        id="EB11",
        category="BUS",
        what="who finds the broker away takes nothing until partitions are assigned anew",
        trigger="the broker is restarted",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "                fetch = asyncio.create_task(consumer.getmany(timeout_ms=5000))\n",
                "                fetch = asyncio.create_task(consumer.getmany(timeout_ms=500))\n",
            ),
            Edit(
                "kit/messaging/consumer.py",
                "                    return\n",
                "                    return\n"
                "                if not fetch.result():\n"
                "                    await self._pause_if_away(consumer)\n",
            ),
            Edit(
                "kit/messaging/consumer.py",
                "            stop.cancel()\n",
                "            stop.cancel()\n"
                "\n"
                "    async def _pause_if_away(self, consumer: AIOKafkaConsumer) -> None:\n"
                '        """Fetches nothing from a broker that is away: when it is back, the partitions '
                'are assigned anew."""\n'
                "        try:\n"
                "            await consumer.topics()\n"
                "        except KafkaError as failure:\n"
                '            log.warning("consumer pauses: %s: %s", type(failure).__name__, failure)\n'
                "            consumer.pause(*consumer.assignment())\n",
            ),
        ),
    ),
    Defect(
        id="EB15",
        category="BUS",
        what="a timer that was due before its process began is none",
        trigger="the orchestrator is away when a deadline passes",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "        self._broken: dict[UUID, datetime] = {}\n",
                "        self._broken: dict[UUID, datetime] = {}\n        self._since = datetime.now(UTC)\n",
            ),
            Edit(
                "kit/saga/orchestrator.py",
                "                timers = await SagaStore(work.connection).timers(BATCH, but=self._broken)\n",
                "                timers = await SagaStore(work.connection).timers(BATCH, "
                "since=self._since, but=self._broken)\n",
            ),
            Edit(
                "kit/saga/store.py",
                "    .where(saga_instances.c.timer_at.is_not(None), "
                'saga_instances.c.id.not_in(bindparam("but", expanding=True)))\n',
                '    .where(saga_instances.c.timer_at >= bindparam("since"), '
                'saga_instances.c.id.not_in(bindparam("but", expanding=True)))\n',
            ),
            Edit(
                "kit/saga/store.py",
                "    async def timers(self, limit: int, *, but: Iterable[UUID] = ()) -> list[tuple[UUID, "
                "datetime]]:\n"
                '        """The sagas whose timers run out next, without some, and when."""\n'
                '        rows = await self._connection.execute(_TIMERS, {"limit": limit, "but": list(but)})\n',
                "    async def timers(self, limit: int, *, since: datetime, but: Iterable[UUID] = ()) -> "
                "list[tuple[UUID, datetime]]:\n"
                '        """The sagas whose timers run out next, from a time on and without some, and '
                'when."""\n'
                '        rows = await self._connection.execute(_TIMERS, {"limit": limit, "since": since, '
                '"but": list(but)})\n',
            ),
        ),
    ),
    Defect(
        id="EB17",
        category="BUS",
        what="a relay takes as much as before however much it has in hand",
        trigger="the broker does not answer while much waits",
        edits=(
            Edit(
                "kit/relay.py",
                "        self._full = False\n",
                "",
            ),
            Edit(
                "kit/relay.py",
                "        free = IN_FLIGHT - len(self._sending)\n"
                "        claimed = await self._queue.claim(free, LEASE_S) if free > 0 else []\n"
                "        claimed = [one for one in claimed if one.message.id not in self._sending]\n"
                "        self._claims += 1\n"
                "        self._full = len(claimed) >= free\n",
                "        claimed = await self._queue.claim(IN_FLIGHT, LEASE_S)\n"
                "        if len(claimed) == IN_FLIGHT:\n"
                "            self._news.set()\n"
                "        claimed = [one for one in claimed if one.message.id not in self._sending]\n"
                "        self._claims += 1\n",
            ),
            Edit(
                "kit/relay.py",
                '        """Looks for more if something may have waited: for this message, for a place, or '
                'unseen since the claim."""\n'
                "        message_id = claimed.message.id\n"
                "        del self._sending[message_id], self._begun[message_id]\n"
                "        if claimed.followed or self._full or claim != self._claims:\n",
                '        """Looks for more if something may have waited: for this message, or unseen since '
                'the claim."""\n'
                "        message_id = claimed.message.id\n"
                "        del self._sending[message_id], self._begun[message_id]\n"
                "        if claimed.followed or claim != self._claims:\n",
            ),
        ),
    ),
    Defect(
        id="EB607",
        category="BUS",
        what="a letter that is too large is tried for ever",
        trigger="what cannot be processed is as large as a record may be",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "            if len(value) < LARGE_BYTES:\n"
                "                raise\n"
                '            left_out = ("dlq-left-out", f"{len(value)} bytes".encode())\n'
                "            await self._transport.send_raw(DEAD_LETTERS, record.key, None, [*headers, "
                "left_out])\n",
                '            log.warning("a letter of %d bytes is too large", len(value))\n            raise\n',
            ),
        ),
    ),
)
