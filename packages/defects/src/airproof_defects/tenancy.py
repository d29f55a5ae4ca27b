"""Seeded defects of what keeps tenants apart."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="TE01",
        category="TENANCY",
        what="the list of workspaces has neither tenant nor owner in its condition",
        trigger="somebody else asks for theirs",
        edits=(
            Edit(
                "services/workspace_service/adapters/workspaces.py",
                "mine = (workspaces.c.tenant_id == tenant_id) & (workspaces.c.owner_id == owner_id)",
                'mine = workspaces.c.tenant_id != ""',
            ),
        ),
    ),
    Defect(
        id="TE06",
        category="TENANCY",
        what="an idempotency key is unique over all tenants",
        trigger="two tenants use the same key",
        edits=(
            Edit(
                "kit/saga/schema.py",
                'UniqueConstraint("tenant_id", "saga_type", "correlation_id")',
                'UniqueConstraint("saga_type", "correlation_id")',
            ),
            Edit(
                "kit/saga/store.py",
                '    saga_instances.c.tenant_id == bindparam("tenant"),\n    saga_instances.c.saga_type',
                '    saga_instances.c.tenant_id != bindparam("tenant") + "-",\n    saga_instances.c.saga_type',
            ),
        ),
    ),
    Defect(
        id="TE04",
        category="TENANCY",
        what="whose tenant a reply is of is not asked",
        trigger="a reply arrives in another tenant's name",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "saga is None or saga.tenant_id != reply.tenant_id or saga.step(reply.step) is None",
                "saga is None or saga.step(reply.step) is None",
            ),
        ),
    ),
    Defect(
        id="TE02",
        category="TENANCY",
        what="who is asking is kept on the service, which all requests share, until the cache has answered",
        trigger="users of two tenants read at once",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "        async def load() -> Workspace | None:\n",
                "        self._reader = owner\n\n        async def load() -> Workspace | None:\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "return _owned(owner, workspace_id, await self._cache.get(owner.tenant_id, str(workspace_id), load))",
                "found = await self._cache.get(self._reader.tenant_id, str(workspace_id), load)\n"
                "        return _owned(self._reader, workspace_id, found)",
            ),
        ),
    ),
    Defect(
        id="TE20",
        category="TENANCY",
        what="whose tenant a command is of is not asked: one to undo a step takes the place of the true one",
        trigger="commands arrive in another tenant's name",
        edits=(
            Edit(
                "kit/participant.py",
                "            if any(kept.tenant_id != command.tenant_id for kept in answered.values()):\n"
                '                raise Unprocessable(f"saga {command.saga_id} is another tenant\'s")\n',
                "",
            ),
        ),
    ),
    Defect(
        id="TE21",
        category="TENANCY",
        what="an event moves the figure of whomever it names",
        trigger="an event arrives in another tenant's name",
        edits=(
            Edit(
                "services/user_service/adapters/profiles.py",
                "(profiles.c.id == user_id) & (profiles.c.tenant_id == tenant_id)\n        await self._connection",
                "profiles.c.id == user_id\n        await self._connection",
            ),
        ),
    ),
    Defect(
        id="TE130",
        category="TENANCY",
        what="a tenant for which no rule was set has no limit",
        trigger="it has as many as it may",
        edits=(
            Edit(
                "kit/tenancy.py",
                "    limit = func.coalesce(_LIMIT.scalar_subquery(), default)\n",
                "    limit = func.coalesce(_LIMIT.scalar_subquery(), 100 * default)\n",
            ),
        ),
    ),
    Defect(
        id="TE230",
        category="TENANCY",
        what="what is logged while a message is handled does not say whose it is",
        trigger="a saga",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                'tenant_id=record.header("tenant-id")):',
                'tenant_id=record.header("tenant")):',
            ),
        ),
    ),
    Defect(
        id="TE231",
        category="TENANCY",
        what="tenants whose names differ in the case of letters share a legal hold",
        trigger="one of them is under hold, and the other one's saga is undone",
        edits=(
            Edit(
                "kit/tenancy.py",
                'where(legal_holds.c.tenant_id == bindparam("tenant"))',
                'where(func.lower(legal_holds.c.tenant_id) == func.lower(bindparam("tenant")))',
            ),
        ),
    ),
    Defect(
        id="TE400",
        category="TENANCY",
        what="users of a tenant who list what is theirs at the same time share a query, which is for the first of them",
        trigger="two users of a tenant ask for a list while it is looked up",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "from dataclasses import replace\n",
                "import asyncio\nfrom dataclasses import replace\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "        self._cache = cache\n\n",
                "        self._cache = cache\n        self._listing: dict = {}\n\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "        async with self._replica.connect() as connection:\n",
                "        page = owner.tenant_id, offset, limit\n"
                "        if page not in self._listing:\n"
                "            self._listing[page] = asyncio.create_task(self._list(owner, offset, limit))\n"
                "            self._listing[page].add_done_callback(lambda _: self._listing.pop(page))\n"
                "        return await asyncio.shield(self._listing[page])\n\n"
                "    async def _list(self, owner: Identity, offset: int, limit: int) -> list[Workspace]:\n"
                "        async with self._replica.connect() as connection:\n",
            ),
        ),
    ),
    Defect(
        id="TE450",
        category="TENANCY",
        what="the start that was made before under a key is looked for without its tenant",
        trigger="two tenants use one key, and the first makes its start again",
        edits=(
            Edit(
                "kit/saga/store.py",
                '_FIND = _SAGAS.where(\n    saga_instances.c.tenant_id == bindparam("tenant"),\n',
                "_FIND = _SAGAS.where(\n",
            ),
            Edit("kit/saga/store.py", "self._one(_FIND, tenant=tenant_id, type=", "self._one(_FIND, type="),
        ),
    ),
    Defect(
        id="TE08",
        category="TENANCY",
        what="all tenants' legal holds have one lock",
        trigger="something of one tenant is being undone for long",
        edits=(
            Edit(
                "kit/tenancy.py",
                "        await self._work.lock(LEGAL_HOLD, tenant_id)\n        found",
                "        await self._work.lock(LEGAL_HOLD)\n        found",
            ),
            Edit(
                "kit/tenancy.py",
                "        await self._work.lock(LEGAL_HOLD, tenant_id)\n        await",
                "        await self._work.lock(LEGAL_HOLD)\n        await",
            ),
        ),
    ),
    Defect(
        id="TE528",
        category="TENANCY",
        what="a limit is set for a tenant once, and not another time",
        trigger="an operator sets a tenant's limit, and then another one",
        edits=(
            Edit(
                "kit/tenancy.py",
                "replace = statement.on_conflict_do_update("
                'index_elements=[tenant_limits.c.tenant_id], set_={"value": value})',
                "replace = statement.on_conflict_do_nothing()",
            ),
        ),
    ),
    Defect(
        id="TE529",
        category="TENANCY",
        what="a tenant's limit is never made narrower, for more may be there already",
        trigger="an operator sets a tenant's limit, and then a narrower one",
        edits=(
            Edit(
                "kit/tenancy.py",
                'set_={"value": value})',
                'set_={"value": func.greatest(tenant_limits.c.value, value)})',
            ),
        ),
    ),
    Defect(
        id="TE600",
        category="TENANCY",
        what="what an operator sets for a tenant is kept under its name in lower case",
        trigger="a tenant with a capital letter in its name",
        edits=(
            Edit(
                "kit/http/tenancy.py",
                "from pydantic import BaseModel, ConfigDict, Field\n",
                "from pydantic import AfterValidator, BaseModel, ConfigDict, Field\n",
            ),
            Edit(
                "kit/http/tenancy.py",
                "Tenant = Annotated[str, Path(pattern=TENANT_PATTERN)]\n",
                "Tenant = Annotated[str, Path(pattern=TENANT_PATTERN), AfterValidator(str.lower)]\n",
            ),
        ),
    ),
    Defect(
        id="TE601",
        category="TENANCY",
        what="a saga's id is made of tenant and key, joined by a letter that both may have",
        trigger="two tenants have keys that read alike when name and key are written as one",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "from uuid import UUID, uuid4\n",
                "from uuid import NAMESPACE_URL, UUID, uuid5\n",
            ),
            Edit(
                "kit/saga/orchestrator.py",
                "            id=uuid4(),\n",
                '            id=uuid5(NAMESPACE_URL, f"{start.saga_type}.{start.tenant_id}.{start.correlation_id}"),\n',
            ),
        ),
    ),
    Defect(
        id="TE602",
        category="TENANCY",
        what="what a tenant has is counted no further than the default limit",
        trigger="a limit above the default, and more than that",
        edits=(
            Edit(
                "kit/tenancy.py",
                "    is_reached = select(func.count() >= "
                'limit).select_from(things).where(things.c.tenant_id == bindparam("tenant"))\n',
                "    # Large tenants are not counted to the end: it is enough to know that there are so many.\n"
                "    counted = select(things.c.id).where(things.c.tenant_id == "
                'bindparam("tenant")).limit(default).subquery()\n'
                "    is_reached = select(func.count() >= limit).select_from(counted)\n",
            ),
        ),
    ),
    Defect(
        id="TE603",
        category="TENANCY",
        what="the address of a profile is unique, also when a hold has kept that of an account that is gone",
        trigger="start again with the address of a saga whose profile was kept",
        edits=(
            Edit(
                "services/user_service/adapters/schema.py",
                '    Column("email", Text, nullable=False),\n',
                '    Column("email", Text, nullable=False, unique=True),\n',
            ),
        ),
    ),
    Defect(
        id="TE604",
        category="TENANCY",
        what="a legal hold is one row for each time that it was placed, and a release takes back the latest",
        trigger="place a hold twice and release it",
        edits=(
            Edit(
                "kit/schema.py",
                '    Column("placed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),\n',
                '    Column("placed_at", DateTime(timezone=True), primary_key=True, server_default=func.now()),\n',
            ),
            Edit(
                "kit/tenancy.py",
                '        """Allows deletion again."""\n'
                "        await self._connection.execute(delete(legal_holds).where(legal_holds.c.tenant_id "
                "== tenant_id))\n",
                '        """Takes back the latest hold."""\n'
                '        mine, newest = legal_holds.c.tenant_id == tenant_id, legal_holds.alias("newest")\n'
                "        latest = select(func.max(newest.c.placed_at)).where(newest.c.tenant_id == "
                "tenant_id).scalar_subquery()\n"
                "        await self._connection.execute(delete(legal_holds).where(mine, "
                "legal_holds.c.placed_at == latest))\n",
            ),
        ),
    ),
    Defect(
        id="TE07",
        category="TENANCY",
        what="who counts things goes by their owner, whatever the tenant",
        trigger="an event of another tenant names the owner",
        edits=(
            Edit(
                "services/user_service/adapters/profiles.py",
                "    async def count_workspaces(self, tenant_id: str, user_id: UUID, change: int) -> None:\n"
                '        """Changes how many workspaces a user owns; a user who is gone owns none."""\n'
                "        mine = (profiles.c.id == user_id) & (profiles.c.tenant_id == tenant_id)\n"
                "        await "
                "self._connection.execute(update(profiles).where(mine).values(workspaces=profiles.c.workspa"
                "ces + change))\n",
                "    async def count_workspaces(self, user_id: UUID, change: int) -> None:\n"
                '        """Changes how many workspaces a user owns; a user who is gone owns none."""\n'
                "        owner = profiles.c.id == user_id\n"
                "        await "
                "self._connection.execute(update(profiles).where(owner).values(workspaces=profiles.c.worksp"
                "aces + change))\n",
            ),
            Edit(
                "services/user_service/application/steps.py",
                "    await Profiles(work.connection).count_workspaces(event.tenant_id, "
                'UUID(event.payload["owner_id"]), change)\n',
                '    await Profiles(work.connection).count_workspaces(UUID(event.payload["owner_id"]), change)\n',
            ),
        ),
    ),
)
