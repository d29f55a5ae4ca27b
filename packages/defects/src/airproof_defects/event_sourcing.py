"""Seeded defects of the event store."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit

_KEY_IS_ASKED = (
    "                if key and await work.events.knows(str(workspace_id), key, up_to=expected_version):\n"
    '                    raise ApiError(409, "idempotency-key-reused", '
    '"this Idempotency-Key was used for another renaming")\n'
)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="ES02",
        category="ES",
        what="the expected version is compared with what was read, and nothing holds it when the event is stored",
        trigger="two updates at one version, the second before the first has committed",
        edits=(
            Edit("kit/schema.py", '    UniqueConstraint("aggregate_id", "version"),\n', ""),
            Edit("kit/schema.py", "    UniqueConstraint,\n", ""),
            Edit(
                "services/workspace_service/adapters/workspaces.py",
                "        before &= table.version == changed.version - 1\n",
                "",
            ),
        ),
    ),
    Defect(
        id="ES08",
        category="ES",
        what="the event log is guarded against TRUNCATE alone, not against updates and deletes",
        trigger="somebody tries",
        edits=(
            Edit(
                "kit/schema.py",
                "BEFORE UPDATE OR DELETE ON domain_events\n    FOR EACH ROW",
                "BEFORE TRUNCATE ON domain_events\n    FOR EACH STATEMENT",
            ),
        ),
    ),
    Defect(
        id="ES15",
        category="ES",
        what="an update is answered with what was there before it",
        trigger="a workspace is renamed",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "from conflict\n        return renamed\n",
                "from conflict\n        return before\n",
            ),
        ),
    ),
    Defect(
        id="ES16",
        category="ES",
        what="an update is refused only if the version that it expects is over",
        trigger="an update at a version that is still to come",
        edits=(
            Edit(
                "kit/event_store.py",
                "        if actual != expected_version:\n",
                "        if actual > expected_version:\n",
            ),
            Edit(
                "services/workspace_service/adapters/workspaces.py",
                "        before &= table.version == changed.version - 1\n",
                "        before &= table.version < changed.version\n",
            ),
        ),
    ),
    Defect(
        id="ES09",
        category="ES",
        what="the version that an update makes is noted before it commits",
        trigger="the transaction of an update is broken off, and the update is asked for again",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "                renamed = replace(before, name=name, version=expected_version + 1)\n",
                "                renamed = replace(before, name=name, version=expected_version + 1)\n"
                "                if _LATEST.get(workspace_id, 0) > expected_version:\n"
                '                    raise VersionConflict(f"workspace {workspace_id} has changed")\n'
                "                _LATEST[workspace_id] = renamed.version\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                'RENAMED = "workspace.renamed"\n',
                'RENAMED = "workspace.renamed"\n_LATEST: dict = {}\n',
            ),
        ),
    ),
    Defect(
        id="ES30",
        category="ES",
        what="the key of an update is looked for only when the version conflicts",
        trigger="the key of an update is used again at the next version",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "                if key and await work.events.knows(str(workspace_id), key, up_to=expected_version):\n",
                "                if False:\n",
            ),
        ),
    ),
    Defect(
        id="ES20",
        category="ES",
        what="the event log guards what events tell, not of whom, when and in which order",
        trigger="somebody tries",
        edits=(
            Edit(
                "kit/schema.py",
                "BEFORE UPDATE OR DELETE ON domain_events",
                "BEFORE UPDATE OF payload OR DELETE ON domain_events",
            ),
        ),
    ),
    Defect(
        id="ES21",
        category="ES",
        what="the event log is guarded row by row, and can be emptied as a whole",
        trigger="somebody tries",
        edits=(
            Edit(
                "kit/schema.py",
                "domain_events_never_emptied BEFORE TRUNCATE ON domain_events\n    FOR EACH STATEMENT",
                "domain_events_never_emptied BEFORE DELETE ON domain_events\n    FOR EACH ROW",
            ),
        ),
    ),
    Defect(
        id="ES90",
        category="ES",
        what="a change is stored by its owner and version, and not by its id",
        trigger="somebody has several",
        edits=(
            Edit(
                "services/workspace_service/adapters/workspaces.py",
                "before = (table.id == changed.id) & ",
                "before = (table.owner_id == changed.owner_id) & ",
            ),
        ),
    ),
    Defect(
        id="ES91",
        category="ES",
        what="the event of a change names the workspace as its owner",
        trigger="a workspace is renamed",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                '"owner_id": str(before.owner_id), "name": name}',
                '"owner_id": str(before.id), "name": name}',
            ),
        ),
    ),
    Defect(
        id="ES80",
        category="ES",
        what="an event happened when its service was started, says the event",
        trigger="a service that has run for a while",
        edits=(
            Edit("kit/event_store.py", "NEW = 0\n", "NEW = 0\nSTARTED_AT = datetime.now(UTC)\n"),
            Edit("kit/event_store.py", "timestamp=datetime.now(UTC)", "timestamp=STARTED_AT"),
        ),
    ),
    Defect(
        id="ES33",
        category="ES",
        what="whether the key of an update was used is asked before its version is taken",
        trigger="an update under the same key is done between the two",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "                # Asked once the version is taken: all that came before is committed, "
                "so that none of it is missed.\n" + _KEY_IS_ASKED,
                "",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "                correlation_id = logs.current_correlation()\n",
                _KEY_IS_ASKED + "                correlation_id = logs.current_correlation()\n",
            ),
        ),
    ),
    Defect(
        id="ES120",
        category="ES",
        what="the key of an update is looked for in the streams of all entities",
        trigger="two entities are updated under the same key",
        edits=(
            Edit(
                "kit/event_store.py",
                '        domain_events.c.aggregate_id == bindparam("stream"),\n',
                '        domain_events.c.aggregate_type == bindparam("stream_type"),\n',
            ),
            Edit("kit/event_store.py", '{"stream": aggregate_id, "cause"', '{"stream_type": "workspace", "cause"'),
        ),
    ),
    Defect(
        id="ES600",
        category="ES",
        what="whether a key was used is looked up among the last events only",
        trigger="use a key again after more than a hundred changes",
        edits=(
            Edit(
                "kit/event_store.py",
                "NEW = 0\n",
                "NEW = 0\nRECENT = 20\n",
            ),
            Edit(
                "kit/event_store.py",
                '        domain_events.c.version <= bindparam("version"),\n',
                '        domain_events.c.version.between(bindparam("since"), bindparam("version")),\n',
            ),
            Edit(
                "kit/event_store.py",
                '        """Whether one of the stream\'s events up to that version has that cause."""\n'
                '        sought = {"stream": aggregate_id, "cause": causation_id, "version": up_to}\n',
                '        """Whether one of the stream\'s events up to that version has that cause; long '
                'streams are not read in full."""\n'
                '        sought = {"stream": aggregate_id, "cause": causation_id, "since": up_to - RECENT, '
                '"version": up_to}\n',
            ),
        ),
    ),
    Defect(
        id="ES601",
        category="ES",
        what="whether a change was done is asked in the transaction that has failed",
        trigger="the same change is asked for again while it is being committed",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "    from pyairtable_reference.kit.unit_of_work import UnitsOfWork\n",
                "    from pyairtable_reference.kit.unit_of_work import UnitOfWork, UnitsOfWork\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "        try:\n"
                "            async with self._units_of_work.begin() as work:\n"
                "                workspaces = Workspaces(work.connection)\n"
                "                before = _owned(owner, workspace_id, await "
                "workspaces.get(owner.tenant_id, workspace_id))\n"
                "                renamed = replace(before, name=name, version=expected_version + 1)\n"
                "                correlation_id = logs.current_correlation()\n"
                "                cause = Cause(owner.tenant_id, correlation_id, key or correlation_id, SERVICE)\n"
                '                fact = Fact(RENAMED, {"workspace_id": str(before.id), "owner_id": '
                'str(before.owner_id), "name": name})\n',
                "        async with self._units_of_work.begin() as work:\n"
                "            workspaces = Workspaces(work.connection)\n"
                "            before = _owned(owner, workspace_id, await workspaces.get(owner.tenant_id, "
                "workspace_id))\n"
                "            renamed = replace(before, name=name, version=expected_version + 1)\n"
                "            correlation_id = logs.current_correlation()\n"
                "            cause = Cause(owner.tenant_id, correlation_id, key or correlation_id, SERVICE)\n"
                '            fact = Fact(RENAMED, {"workspace_id": str(before.id), "owner_id": '
                'str(before.owner_id), "name": name})\n'
                "            try:\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "        except VersionConflict as conflict:\n"
                "            if key and await self._was_done(renamed, key):\n"
                "                return renamed\n"
                '            raise ApiError(409, "version-conflict", f"{conflict}; read it again") from '
                "conflict\n"
                "        return renamed\n"
                "\n"
                "    async def _was_done(self, renamed: Workspace, key: str) -> bool:\n"
                "        async with self._units_of_work.begin() as work:\n"
                "            event = await work.events.find(str(renamed.id), renamed.version)\n",
                "            except VersionConflict as conflict:\n"
                "                if key and await self._was_done(work, renamed, key):\n"
                "                    return renamed\n"
                '                raise ApiError(409, "version-conflict", f"{conflict}; read it again") '
                "from conflict\n"
                "        return renamed\n"
                "\n"
                "    async def _was_done(self, work: UnitOfWork, renamed: Workspace, key: str) -> bool:\n"
                "        event = await work.events.find(str(renamed.id), renamed.version)\n",
            ),
        ),
    ),
    Defect(
        id="ES06",
        category="ES",
        what="a field of an event has another name, and who reads it knows that one only",
        trigger="a sender of another version",
        edits=(
            Edit(
                "services/user_service/application/steps.py",
                "    await Profiles(work.connection).count_workspaces(event.tenant_id, "
                'UUID(event.payload["owner_id"]), change)\n',
                "    await Profiles(work.connection).count_workspaces(event.tenant_id, "
                'UUID(event.payload["user_id"]), change)\n',
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                '                fact = Fact(RENAMED, {"workspace_id": str(before.id), "owner_id": '
                'str(before.owner_id), "name": name})\n',
                '                fact = Fact(RENAMED, {"workspace_id": str(before.id), "user_id": '
                'str(before.owner_id), "name": name})\n',
            ),
            Edit(
                "services/workspace_service/application/steps.py",
                '    told = {"workspace_id": str(workspace.id), "owner_id": str(workspace.owner_id), '
                '"name": workspace.name}\n',
                '    told = {"workspace_id": str(workspace.id), "user_id": str(workspace.owner_id), '
                '"name": workspace.name}\n',
            ),
            Edit(
                "services/workspace_service/application/steps.py",
                '    lambda row: {"workspace_id": str(row.id), "owner_id": str(row.owner_id)},\n',
                '    lambda row: {"workspace_id": str(row.id), "user_id": str(row.owner_id)},\n',
            ),
        ),
    ),
    Defect(
        id="ES10",
        category="ES",
        what="the second event of a change of a saga is appended in a transaction of its own",
        trigger="kill the orchestrator between the two",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "                await self._send(work, machine, saga, effects, str(reply.message_id))\n",
                "                await self._send(work, machine, saga, effects, str(reply.message_id))\n"
                "        await self._announce_rest(machine, saga, effects, str(reply.message_id))\n",
            ),
            Edit(
                "kit/saga/orchestrator.py",
                "                        await self._send(work, machine, saga, effects, str(saga.id))\n",
                "                        await self._send(work, machine, saga, effects, str(saga.id))\n"
                "            await self._announce_rest(machine, saga, effects, str(saga.id))\n",
            ),
            Edit(
                "kit/saga/orchestrator.py",
                "            await self._announce(work, cause, machine.definition.aggregate_type, saga, "
                "effects.events)\n",
                "            await self._announce(work, cause, machine.definition.aggregate_type, saga, "
                "effects.events[:1])\n",
            ),
            Edit(
                "kit/saga/orchestrator.py",
                '            log.log(level, "saga %s is %s: %s", saga.id, saga.state, saga.reason or "")\n',
                '            log.log(level, "saga %s is %s: %s", saga.id, saga.state, saga.reason or "")\n'
                "\n"
                "    async def _announce_rest(self, machine: SagaMachine, saga: Saga, effects: Effects, "
                "causation_id: str) -> None:\n"
                '        """The events after the first, one transaction each: the saga is not locked for '
                'longer than its change takes."""\n'
                "        cause = Cause(saga.tenant_id, saga.correlation_id, causation_id, self._service)\n"
                "        for event_type in effects.events[1:]:\n"
                "            async with self._units_of_work.begin() as work:\n"
                "                await self._announce(work, cause, machine.definition.aggregate_type, "
                "saga, [event_type])\n",
            ),
        ),
    ),
    Defect(
        id="ES11",
        category="ES",
        what="the time of an event is cut to milliseconds on its way to the bus",
        trigger="any event",
        edits=(
            Edit(
                "kit/envelope.py",
                "from typing import Any, Self\n"
                "from uuid import UUID, uuid5\n"
                "\n"
                "from pydantic import TypeAdapter, ValidationError\n",
                "from typing import Annotated, Any, Self\n"
                "from uuid import UUID, uuid5\n"
                "\n"
                "from pydantic import PlainSerializer, TypeAdapter, ValidationError\n",
            ),
            Edit(
                "kit/envelope.py",
                "    source: str\n",
                "    source: str\n"
                "\n"
                "\n"
                "def _milliseconds(at: datetime) -> str:\n"
                '    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")\n'
                "\n"
                "\n"
                "# As precise as JavaScript's dates.\n"
                'Timestamp = Annotated[datetime, PlainSerializer(_milliseconds, when_used="json")]\n',
            ),
            Edit(
                "kit/envelope.py",
                "    version: int\n    timestamp: datetime\n",
                "    version: int\n    timestamp: Timestamp\n",
            ),
        ),
    ),
    Defect(
        id="ES14",
        category="ES",
        what="the event that something is removed does not concern the cache",
        trigger="read what was removed",
        edits=(
            Edit(
                "services/workspace_service/application/invalidation.py",
                'CHANGES = frozenset({RENAMED, "workspace.removed"})\n',
                "CHANGES = frozenset({RENAMED})\n",
            ),
        ),
    ),
)
