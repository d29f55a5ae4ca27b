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
)
