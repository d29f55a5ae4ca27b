"""Seeded defects of the unit of work and of the transactions under it."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit
from airproof_defects.saga import KEPT_ONCE, PARTICIPANT, STORE

UNIT_OF_WORK = "kit/unit_of_work.py"
CREDENTIALS = "services/auth_service/adapters/credentials.py"

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="UW02",
        category="UOW",
        what="an error is taken for a rollback: a participant refuses what it has done and committed",
        trigger="a commit is applied, and the participant never learns it",
        edits=(
            Edit(
                PARTICIPANT,
                "from uuid import uuid4\n",
                "from uuid import uuid4\n\nfrom sqlalchemy.exc import DBAPIError\n",
            ),
            Edit(
                PARTICIPANT,
                "        async with self._units_of_work.begin() as work:\n            await work.lock(",
                "        try:\n            await self._take(command, step)\n"
                "        except DBAPIError:\n            async with self._units_of_work.begin() as work:\n"
                '                await self.answer(work, command, Refused("error"))\n\n'
                "    async def _take(self, command: Command, step: StepHandlers) -> None:\n"
                "        async with self._units_of_work.begin() as work:\n            await work.lock(",
            ),
            *KEPT_ONCE,
        ),
    ),
    Defect(
        id="DB15",
        category="DBTX",
        what="only the last statement of a transaction that broke is tried again: the outbox, without the work",
        trigger="the connection breaks at the last statement of a transaction",
        edits=(
            Edit(
                UNIT_OF_WORK,
                "from sqlalchemy import Text",
                "from sqlalchemy.exc import DBAPIError\nfrom sqlalchemy import Text",
            ),
            Edit(
                UNIT_OF_WORK,
                "        announce = False\n"
                "        try:\n"
                "            async with self._engine.begin() as connection:\n"
                "                work = UnitOfWork(connection)\n"
                "                yield work\n"
                "                announce = await work.outbox.flush()\n"
                "        finally:\n",
                "        announce = reached = False\n"
                "        try:\n"
                "            async with self._engine.begin() as connection:\n"
                "                work = UnitOfWork(connection)\n"
                "                yield work\n"
                "                reached = True\n"
                "                announce = await work.outbox.flush()\n"
                "        except DBAPIError:\n"
                "            if not reached:\n"
                "                raise\n"
                "            async with self._engine.begin() as connection:\n"
                "                work.outbox._connection = connection\n"
                "                announce = await work.outbox.flush()\n"
                "        finally:\n",
            ),
        ),
    ),
    Defect(
        id="DB09",
        category="DBTX",
        what="what the cache does not have is read from the replica",
        trigger="the replica lags",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "            async with self._units_of_work.begin() as work:\n"
                "                return await Workspaces(work.connection).get(owner.tenant_id, workspace_id)\n"
                "\n"
                "        return",
                "            async with self._replica.connect() as connection:\n"
                "                return await Workspaces(connection).get(owner.tenant_id, workspace_id)\n"
                "\n"
                "        return",
            ),
        ),
    ),
    Defect(
        id="DB16",
        category="DBTX",
        what="that no connection is free is an error like any other",
        trigger="more requests at once than a pool has connections",
        edits=(
            Edit(
                "kit/http/errors.py",
                "        PoolTimeout: _database_error,\n",
                "        PoolTimeout: _unexpected,\n",
            ),
        ),
    ),
    Defect(
        id="UW01",
        category="UOW",
        what="that a mail is rejected is committed on its own, before the answer",
        trigger="the service is killed between the two",
        edits=(
            Edit(
                "services/notification_service/application/welcome.py",
                "            await self._record(lambda work: self._rejected(work, mail, command, error))\n",
                "            await self._record(lambda work: Mails(work.connection).rejected(mail, error))\n"
                "            await self._record(lambda work: self._answer(work, command, Refused(MAILBOX_REJECTED)))\n",
            ),
        ),
    ),
    Defect(
        id="DB05",
        category="DBTX",
        what="a removal takes its row first and its stream second, an update the other way round",
        trigger="a removal comes when an update is between the two",
        edits=(
            Edit(
                "kit/tenancy.py",
                "        rows = (await work.connection.execute(select(*self.things.c).where(added))).all()\n",
                "        rows = (await work.connection.execute("
                "delete(self.things).where(added).returning(*self.things.c))).all()\n",
            ),
            Edit("kit/tenancy.py", "        await work.connection.execute(delete(self.things).where(added))\n", ""),
        ),
    ),
    Defect(
        id="DB17",
        category="DBTX",
        what="a connection that the database has closed is used all the same",
        trigger="a database is restarted",
        edits=(Edit("kit/database.py", '    event.listen(engine.sync_engine, "checkout", _refuse_closed)\n', ""),),
    ),
    Defect(
        id="DB30",
        category="DBTX",
        what="what passes by itself is taken for a bug",
        trigger="a transaction is broken off as the victim of a deadlock",
        edits=(
            Edit(
                "kit/database.py",
                "    return isinstance(failure, (OperationalError,",
                (
                    '    if getattr(getattr(failure, "orig", None), "sqlstate", None) in {"40001", "40P01", "55P03"}:\n'
                    "        return False\n"
                    "    return isinstance(failure, (OperationalError,"
                ),
            ),
        ),
    ),
    Defect(
        id="DB02",
        category="DBTX",
        what="how much a tenant has is counted without a lock",
        trigger="two instances add something to it at the same time",
        edits=(Edit("kit/tenancy.py", "    await work.lock(things.name, tenant_id)\n", ""),),
    ),
    Defect(
        id="DB03",
        category="DBTX",
        what="whether an address is taken is looked up before the insert, with no constraint behind it",
        trigger="two instances take one address at the same time",
        edits=(
            Edit(
                CREDENTIALS,
                "        return (await self._connection.execute(_ADD, asdict(credential))).first() is not None\n",
                "        if await self.by_email(credential.email):\n"
                "            return False\n"
                "        await self._connection.execute(_ADD, asdict(credential))\n"
                "        return True\n",
            ),
            Edit(CREDENTIALS, ".on_conflict_do_nothing(index_elements=[credentials.c.email])", ""),
            Edit(
                "services/auth_service/adapters/schema.py",
                'Column("email", Text, nullable=False, unique=True)',
                'Column("email", Text, nullable=False)',
            ),
        ),
    ),
    Defect(
        id="DB60",
        category="DBTX",
        what="a login opens its session inside the transaction in which it has looked the account up",
        trigger="what keeps the sessions is slow",
        edits=(
            Edit(
                "services/auth_service/application/accounts.py",
                '            raise ApiError(403, "inactive", "this account is not active")\n'
                "        return await self._sessions.open(credential)\n",
                '            raise ApiError(403, "inactive", "this account is not active")\n'
                "        async with self._units_of_work.begin() as work:\n"
                "            await Credentials(work.connection).by_id(credential.id)\n"
                "            return await self._sessions.open(credential)\n",
            ),
        ),
    ),
    Defect(
        id="UW80",
        category="UOW",
        what="a commit that breaks is taken for done, as its answer may just have been lost",
        trigger="the connection breaks before the database has got the commit",
        edits=(
            Edit(
                UNIT_OF_WORK,
                "from sqlalchemy import Text",
                "from sqlalchemy.exc import OperationalError\nfrom sqlalchemy import Text",
            ),
            Edit(
                UNIT_OF_WORK,
                "            async with self._engine.begin() as connection:\n",
                "            async with self._engine.connect() as connection:\n",
            ),
            Edit(
                UNIT_OF_WORK,
                "                announce = await work.outbox.flush()\n",
                "                announce = await work.outbox.flush()\n"
                "                try:\n"
                "                    await connection.commit()\n"
                "                except OperationalError:\n"
                "                    pass\n",
            ),
        ),
    ),
    Defect(
        id="UW70",
        category="UOW",
        what="a service that is told to stop waits for what it has in hand as long as that takes",
        trigger="a participant is told to stop when its transaction waits for another one",
        edits=(Edit("kit/runtime.py", "FINISH_S = 1.5\n", "FINISH_S = 3_600.0\n"),),
    ),
    Defect(
        id="DB110",
        category="DBTX",
        what="a service opens as many connections to its database as it has requests",
        trigger="more requests at once than a service may have connections",
        edits=(Edit("kit/database.py", "max_overflow=pool_size,", "max_overflow=-1,"),),
    ),
    Defect(
        id="DB130",
        category="DBTX",
        what="a login keeps its transaction open while the session is written elsewhere",
        trigger="somebody logs in while Redis is slow",
        edits=(
            Edit(
                "services/auth_service/application/accounts.py",
                "normalised(email))\n        stored =",
                "normalised(email))\n            return await self._checked(credential, password)\n\n"
                "    async def _checked(self, credential: Credential | None, password: str) -> Tokens:\n"
                "        stored =",
            ),
        ),
    ),
    Defect(
        id="DB220",
        category="DBTX",
        what="a tenant's limit is changed where there is one, and else put there",
        trigger="two operators set it at once, for the first time",
        edits=(
            Edit(
                "kit/tenancy.py",
                "        statement = insert(tenant_limits).values(tenant_id=tenant_id, value=value)\n"
                "        replace = statement.on_conflict_do_update("
                'index_elements=[tenant_limits.c.tenant_id], set_={"value": value})\n'
                "        await self._connection.execute(replace)\n",
                "        replace = update(tenant_limits).where(tenant_limits.c.tenant_id == tenant_id)\n"
                "        if not (await self._connection.execute(replace.values(value=value))).rowcount:\n"
                "            await self._connection.execute(insert(tenant_limits).values("
                "tenant_id=tenant_id, value=value))\n",
            ),
            Edit("kit/tenancy.py", "func, select\n", "func, select, update\n"),
        ),
    ),
    Defect(
        id="DB221",
        category="DBTX",
        what="that nothing forbids to delete something is not kept true until it is deleted",
        trigger="an operator forbids it when a saga is about to commit that",
        edits=(
            Edit(
                "kit/tenancy.py",
                "        await self._work.lock(LEGAL_HOLD, tenant_id)\n        found",
                "        found",
            ),
        ),
    ),
    Defect(
        id="UW200",
        category="UOW",
        what="a saga that was read is kept in the process, and is good as long as its row has the same version",
        trigger="the connection breaks where a saga that was moved is stored",
        edits=(
            Edit(STORE, "_LOCK = select(saga_instances.c.id)", "_LOCK = select(saga_instances.c.version)"),
            Edit(
                STORE, "_LOCK_IF_FREE = select(saga_instances.c.id)", "_LOCK_IF_FREE = select(saga_instances.c.version)"
            ),
            Edit(
                STORE,
                "        return None if found.first() is None else await self.get(saga_id)\n",
                "        if (row := found.first()) is None:\n"
                "            return None\n"
                "        if saga_id not in _READ or _READ[saga_id].version != row.version:\n"
                "            _READ[saga_id] = await self.get(saga_id)\n"
                "        self._stored[saga_id] = [replace(step) for step in _READ[saga_id].steps]\n"
                "        return _READ[saga_id]\n",
            ),
            Edit(STORE, "\n\nclass SagaStore:\n", "_READ: dict = {}\n\n\nclass SagaStore:\n"),
        ),
    ),
    Defect(
        id="DB320",
        category="DBTX",
        what="whether anything forbids to delete something is asked in the statement that waits for the lock",
        trigger="an operator's order that forbids it is about to commit when a step is undone",
        edits=(
            Edit("kit/tenancy.py", "from sqlalchemy import Table,", "from sqlalchemy import Table, Text,"),
            Edit(
                "kit/tenancy.py",
                'exists().where(legal_holds.c.tenant_id == bindparam("tenant")))',
                'exists().where(legal_holds.c.tenant_id == bindparam("tenant")).label("held"), '
                'func.pg_advisory_xact_lock(func.hashtextextended(bindparam("name", type_=Text), 0)))',
            ),
            Edit(
                "kit/tenancy.py",
                "        await self._work.lock(LEGAL_HOLD, tenant_id)\n"
                '        found = await self._connection.execute(_HELD, {"tenant": tenant_id})\n'
                "        return bool(found.scalar_one())\n",
                '        asked = {"tenant": tenant_id, "name": f"{LEGAL_HOLD}/{tenant_id}"}\n'
                "        return bool((await self._connection.execute(_HELD, asked)).one().held)\n",
            ),
        ),
    ),
    Defect(
        id="DB321",
        category="DBTX",
        what="what guards the event log is made anew with every migration",
        trigger="databases that are up to date are migrated",
        edits=(Edit("kit/schema.py", "    event.listen(domain_events,", "    event.listen(kit_metadata,"),),
    ),
    Defect(
        id="DB420",
        category="DBTX",
        what="what goes wrong with a database is lost while all are migrated at the same time",
        trigger="the databases are migrated while they are away",
        edits=(
            Edit(
                "main.py",
                "        for done in [\n"
                '            workers.submit(create_tables, url.replace("{database}", name), schema) '
                "for name, schema in DATABASES.items()\n"
                "        ]:\n"
                "            done.result()\n",
                '        workers.map(create_tables, [url.replace("{database}", name) for name in DATABASES], '
                "DATABASES.values())\n",
            ),
        ),
    ),
    Defect(
        id="DB421",
        category="DBTX",
        what="of two migrations at the same moment both make what is missing, and one of them fails over it",
        trigger="something is missing in the databases",
        edits=(
            Edit("kit/database.py", '        connection.execute(text("SELECT pg_advisory_xact_lock(7077)"))\n', ""),
        ),
    ),
    Defect(
        id="DB322",
        category="DBTX",
        what="a commit is answered before it is on disk",
        trigger="the database server is lost just after an answer",
        edits=(
            Edit(
                "kit/database.py",
                'idle_in_transaction_session_timeout=15000"',
                'idle_in_transaction_session_timeout=15000 -c synchronous_commit=off"',
            ),
        ),
    ),
    Defect(
        id="UW330",
        category="UOW",
        what="a service that is told to shut down sends all that it has to say first, however long that takes",
        trigger="the broker does not take a message just then",
        edits=(
            Edit(
                "kit/runtime.py",
                "await asyncio.wait_for(backing.relay.flush(), FLUSH_S)",
                "await backing.relay.flush()",
            ),
        ),
    ),
    Defect(
        id="DB01",
        category="DBTX",
        what="a figure is read, and then written as what it should be",
        trigger="two instances have to change it at the same time",
        edits=(
            Edit(
                "services/user_service/adapters/profiles.py",
                "        mine = (profiles.c.id == user_id) & (profiles.c.tenant_id == tenant_id)\n"
                "        await self._connection.execute("
                "update(profiles).where(mine).values(workspaces=profiles.c.workspaces + change))\n",
                "        if profile := await self.get(tenant_id, user_id):\n"
                "            owned = update(profiles).where(profiles.c.id == profile.id)\n"
                "            await self._connection.execute(owned.values(workspaces=profile.workspaces + change))\n",
            ),
        ),
    ),
    Defect(
        id="DB430",
        category="DBTX",
        what="a column is added to a table, and not where the table is there already",
        trigger="databases that another version has made are brought up to date",
        edits=(
            Edit(
                "services/workspace_service/adapters/schema.py",
                '    Column("version", Integer, nullable=False, server_default="1"),\n',
                '    Column("version", Integer, nullable=False, server_default="1"),\n'
                '    Column("renamed_at", DateTime(timezone=True)),\n',
            ),
            Edit(
                "services/workspace_service/adapters/workspaces.py",
                "values(name=changed.name, version=changed.version)",
                "values(name=changed.name, version=changed.version, renamed_at=func.now())",
            ),
            Edit(
                "services/workspace_service/adapters/workspaces.py",
                "from sqlalchemy import insert, select, update\n",
                "from sqlalchemy import func, insert, select, update\n",
            ),
        ),
    ),
    Defect(
        id="DB560",
        category="DBTX",
        what="a lock is taken by the last part of its name only: a step's is one for all sagas",
        trigger="two instances are at the same step, each of another saga",
        edits=(Edit("kit/unit_of_work.py", '"/".join(map(str, what))', "str(what[-1])"),),
    ),
    Defect(
        id="DB561",
        category="DBTX",
        what="the migration commits each of its statements",
        trigger="a migration breaks off behind a table and before its triggers",
        edits=(
            Edit(
                "kit/database.py",
                "    engine = create_engine(url)\n"
                "    with engine.begin() as connection:\n"
                '        connection.execute(text("SELECT pg_advisory_xact_lock(7077)"))\n',
                '    engine = create_engine(url, isolation_level="AUTOCOMMIT")\n'
                "    with engine.connect() as connection:\n"
                '        connection.execute(text("SELECT pg_advisory_lock(7077)"))\n',
            ),
        ),
    ),
    Defect(
        id="DB600",
        category="DBTX",
        what="a saga is read by one statement and its steps by the next",
        trigger="a saga ends between the two",
        edits=(
            Edit(
                "kit/saga/store.py",
                "_SAGAS = (\n"
                '    select(*saga_instances.c, *(column.label(f"step_{column.name}") for column in '
                "saga_steps.c))\n"
                "    .select_from(saga_instances.join(saga_steps, saga_steps.c.saga_id == saga_instances.c.id))\n"
                "    .order_by(saga_instances.c.created_at.desc(), saga_instances.c.id, saga_steps.c.position)\n",
                "_SAGAS = select(*saga_instances.c).order_by(saga_instances.c.created_at.desc(), "
                "saga_instances.c.id)\n"
                "_STEPS = (\n"
                '    select(*(column.label(f"step_{column.name}") for column in saga_steps.c))\n'
                '    .where(saga_steps.c.saga_id.in_(bindparam("sagas", expanding=True)))\n'
                "    .order_by(saga_steps.c.saga_id, saga_steps.c.position)\n",
            ),
            Edit(
                "kit/saga/store.py",
                "        rows = await self._connection.execute(statement, parameters)\n"
                '        sagas = [_saga(list(group)) for _, group in groupby(rows, key=attrgetter("id"))]\n',
                "        found = (await self._connection.execute(statement, parameters)).all()\n"
                '        rows = await self._connection.execute(_STEPS, {"sagas": [row.id for row in found]})\n'
                "        steps = {saga_id: list(group) for saga_id, group in groupby(rows, "
                'key=attrgetter("step_saga_id"))}\n'
                "        sagas = [_saga(row, steps[row.id]) for row in found]\n",
            ),
            Edit(
                "kit/saga/store.py",
                "def _saga(rows: Any) -> Saga:\n    first = rows[0]\n",
                "def _saga(first: Any, rows: Any) -> Saga:\n",
            ),
        ),
    ),
    Defect(
        id="DB601",
        category="DBTX",
        what="a pool for a copy of the database has no limit",
        trigger="many read while the copy is slow",
        edits=(
            Edit(
                "services/workspace_service/entrypoints/service.py",
                '    replica = open_engine(url, f"{settings.instance}-read", pool_size=3)\n',
                '    replica = open_engine(url, f"{settings.instance}-read", pool_size=0)\n',
            ),
        ),
    ),
    Defect(
        id="DB602",
        category="DBTX",
        what="a change looks on a second connection whether it was done, while it holds its first one",
        trigger="more change at once than there are connections, each with a key",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "                renamed = replace(before, name=name, version=expected_version + 1)\n",
                "                renamed = replace(before, name=name, version=expected_version + 1)\n"
                "                if key and await self._was_done(renamed, key):\n"
                "                    return renamed  # without taking up the stream, and without an error "
                "in the log of the database\n",
            ),
        ),
    ),
    Defect(
        id="DB603",
        category="DBTX",
        what="what an operator orders is committed after it was answered (a dependency with yield)",
        trigger="hold the commit of what an operator orders",
        edits=(
            Edit(
                "kit/http/tenancy.py",
                "from __future__ import annotations\n\n",
                "from __future__ import annotations\n\nfrom collections.abc import AsyncIterator\n",
            ),
            Edit(
                "kit/http/tenancy.py",
                'holds = APIRouter(prefix="/api/v1/tenants", tags=["tenants"], '
                "dependencies=[Depends(require_operator)])\n",
                'holds = APIRouter(prefix="/api/v1/tenants", tags=["tenants"], '
                "dependencies=[Depends(require_operator)])\n"
                "\n"
                "\n"
                "async def _rules(request: Request) -> AsyncIterator[TenantRules]:\n"
                "    async with runtime_of(request).units_of_work.begin() as work:\n"
                "        yield TenantRules(work)\n"
                "\n"
                "\n"
                "Rules = Annotated[TenantRules, Depends(_rules)]\n",
            ),
            Edit(
                "kit/http/tenancy.py",
                "async def set_limit(tenant: Tenant, limit: Limit, request: Request) -> Limit:\n"
                '    """Sets the limit."""\n'
                "    async with runtime_of(request).units_of_work.begin() as work:\n"
                "        await TenantRules(work).set_limit(tenant, limit.value)\n",
                "async def set_limit(tenant: Tenant, limit: Limit, rules: Rules) -> Limit:\n"
                '    """Sets the limit."""\n'
                "    await rules.set_limit(tenant, limit.value)\n",
            ),
            Edit(
                "kit/http/tenancy.py",
                "async def clear_limit(tenant: Tenant, request: Request) -> None:\n"
                '    """Restores the default."""\n'
                "    async with runtime_of(request).units_of_work.begin() as work:\n"
                "        await TenantRules(work).clear_limit(tenant)\n",
                "async def clear_limit(tenant: Tenant, rules: Rules) -> None:\n"
                '    """Restores the default."""\n'
                "    await rules.clear_limit(tenant)\n",
            ),
            Edit(
                "kit/http/tenancy.py",
                "async def hold(tenant: Tenant, request: Request) -> None:\n"
                '    """Forbids deletion of anything of the tenant."""\n'
                "    async with runtime_of(request).units_of_work.begin() as work:\n"
                "        await TenantRules(work).hold(tenant)\n",
                "async def hold(tenant: Tenant, rules: Rules) -> None:\n"
                '    """Forbids deletion of anything of the tenant."""\n'
                "    await rules.hold(tenant)\n",
            ),
            Edit(
                "kit/http/tenancy.py",
                "async def release(tenant: Tenant, request: Request) -> None:\n"
                '    """Allows deletion again."""\n'
                "    async with runtime_of(request).units_of_work.begin() as work:\n"
                "        await TenantRules(work).release(tenant)\n",
                "async def release(tenant: Tenant, rules: Rules) -> None:\n"
                '    """Allows deletion again."""\n'
                "    await rules.release(tenant)\n",
            ),
        ),
    ),
    Defect(
        id="DB604",
        category="DBTX",
        what="the uniqueness of addresses is that of active accounts only (partial index)",
        trigger="register with the address of an account that is locked",
        edits=(
            Edit(
                "services/auth_service/adapters/credentials.py",
                "from pyairtable_reference.services.auth_service.adapters.schema import credentials\n",
                "from pyairtable_reference.services.auth_service.adapters.schema import IS_ACTIVE, credentials\n",
            ),
            Edit(
                "services/auth_service/adapters/credentials.py",
                "_ADD = "
                "insert(credentials).on_conflict_do_nothing(index_elements=[credentials.c.email]).returning"
                "(credentials.c.id)\n",
                "_ADD = (\n"
                "    insert(credentials)\n"
                "    .on_conflict_do_nothing(index_elements=[credentials.c.email], index_where=IS_ACTIVE)\n"
                "    .returning(credentials.c.id)\n"
                ")\n",
            ),
            Edit(
                "services/auth_service/adapters/schema.py",
                "from sqlalchemy import Column, DateTime, MetaData, Table, Text, Uuid, func\n",
                "from sqlalchemy import Column, DateTime, Index, MetaData, Table, Text, Uuid, func, text\n",
            ),
            Edit(
                "services/auth_service/adapters/schema.py",
                '    Column("email", Text, nullable=False, unique=True),\n',
                '    Column("email", Text, nullable=False),\n',
            ),
            Edit(
                "services/auth_service/adapters/schema.py",
                '    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),\n)\n',
                '    Column("created_at", DateTime(timezone=True), nullable=False, '
                "server_default=func.now()),\n"
                ")\n"
                "IS_ACTIVE = text(\"status = 'active'\")\n"
                'Index("credentials_email", credentials.c.email, unique=True, postgresql_where=IS_ACTIVE)\n',
            ),
        ),
    ),
    Defect(
        id="UW03",
        category="UOW",
        what="the step is a unit of work of its own within that of its command",
        trigger="kill the participant between the two",
        edits=(
            Edit(
                "kit/participant.py",
                "            answer = await self._act(work, command, step, answered)\n",
                "            async with work.nested():\n"
                "                answer = await self._act(work, command, step, answered)\n",
            ),
            Edit(
                "kit/unit_of_work.py",
                '    """What a handler works with. Repositories use `connection`; nothing in here commits.\n',
                '    """What a handler works with. Repositories use `connection`.\n',
            ),
            Edit(
                "kit/unit_of_work.py",
                "        self._after_commit: list[Callable[[], None]] = []\n",
                "        self._after_commit: list[Callable[[], None]] = []\n"
                "\n"
                "    @asynccontextmanager\n"
                "    async def nested(self) -> AsyncIterator[None]:\n"
                '        """A unit of work inside this one: kept when the block ends, undone when it '
                'raises."""\n'
                "        yield\n"
                "        await self.connection.commit()\n",
            ),
            Edit(
                "kit/unit_of_work.py",
                "            async with self._engine.begin() as connection:\n",
                "            async with self._engine.connect() as connection:\n",
            ),
            Edit(
                "kit/unit_of_work.py",
                "                announce = await work.outbox.flush()\n",
                "                announce = await work.outbox.flush()\n                await connection.commit()\n",
            ),
        ),
    ),
    Defect(
        id="UW04",
        category="UOW",
        what="that an address is taken shows as an error of the database, which ends the whole transaction",
        trigger="register an address that is taken",
        edits=(
            Edit(
                "services/auth_service/adapters/credentials.py",
                "from sqlalchemy import ColumnElement, select\nfrom sqlalchemy.dialects.postgresql import insert\n",
                "from sqlalchemy import ColumnElement, insert, select\nfrom sqlalchemy.exc import IntegrityError\n",
            ),
            Edit(
                "services/auth_service/adapters/credentials.py",
                "        return (await self._connection.execute(_ADD, asdict(credential))).first() is not None\n",
                "        try:\n"
                "            await self._connection.execute(_ADD, asdict(credential))\n"
                "        except IntegrityError:\n"
                "            return False\n"
                "        return True\n",
            ),
            Edit(
                "services/auth_service/adapters/credentials.py",
                "_ADD = "
                "insert(credentials).on_conflict_do_nothing(index_elements=[credentials.c.email]).returning"
                "(credentials.c.id)\n",
                "_ADD = insert(credentials)\n",
            ),
        ),
    ),
    Defect(
        id="UW06",
        category="UOW",
        what="what was read stays in a memory of the process, for all that come later",
        trigger="an account goes away that was looked up before",
        edits=(
            Edit(
                "kit/unit_of_work.py",
                "from typing import TYPE_CHECKING\n",
                "from typing import TYPE_CHECKING, Any\n",
            ),
            Edit(
                "kit/unit_of_work.py",
                '    """\n'
                "\n"
                "    def __init__(self, connection: AsyncConnection) -> None:\n"
                "        self.connection = connection\n",
                "        identities: what has been read by id, so that nothing is read twice.\n"
                '    """\n'
                "\n"
                "    def __init__(self, connection: AsyncConnection, identities: dict[Any, Any]) -> None:\n"
                "        self.connection = connection\n"
                "        self.identities = identities\n",
            ),
            Edit(
                "kit/unit_of_work.py",
                "        self._engine = engine\n",
                "        self._engine = engine\n        self._identities: dict[Any, Any] = {}\n",
            ),
            Edit(
                "kit/unit_of_work.py",
                "                work = UnitOfWork(connection)\n",
                "                work = UnitOfWork(connection, self._identities)\n",
            ),
            Edit(
                "services/auth_service/application/accounts.py",
                "            credential = await Credentials(work.connection).by_id(UUID(session.user_id))\n",
                "            credential = work.identities.get(session.user_id)\n"
                "            if credential is None:\n"
                "                credential = await Credentials(work.connection).by_id(UUID(session.user_id))\n"
                "                work.identities[session.user_id] = credential\n",
            ),
        ),
    ),
    Defect(
        id="UW08",
        category="UOW",
        what="timers read sagas without a lock, and store what they have read over what is newer",
        trigger="a reply and a timer come together",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "                saga = await store.lock(saga_id, skip_locked=True)\n",
                "                saga = await store.get(saga_id)\n",
            ),
            Edit(
                "kit/saga/store.py",
                "_ADD_STEPS = insert(saga_steps)\n",
                "_ADD_STEPS = insert(saga_steps)\n_VERSION = select(saga_instances.c.version).where(_THIS)\n",
            ),
            Edit(
                "kit/saga/store.py",
                '            raise ConcurrentChange(f"saga {saga.id} is no longer at version {saga.version}")\n',
                "            # Somebody was quicker: once more, on top of theirs.\n"
                '            saga.version = (await self._connection.execute(_VERSION, {"saga": '
                "saga.id})).scalar_one()\n"
                '            if (await self._connection.execute(_SAVE, row | {"read_version": '
                "saga.version})).rowcount != 1:\n"
                '                raise ConcurrentChange(f"saga {saga.id} is no longer at version '
                '{saga.version}")\n',
            ),
        ),
    ),
    Defect(
        id="UW10",
        category="UOW",
        what="whether an update at an expected version changed a row is not asked",
        trigger="two update at one version",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "                await work.events.append(\n"
                '                    cause, "workspace", str(workspace_id), [fact], '
                "expected_version=expected_version\n"
                "                )\n"
                "                if not await workspaces.replace(renamed):\n"
                '                    raise VersionConflict(f"workspace {workspace_id} is not at version '
                '{expected_version} any more")\n',
                "                # The row decides which of two renamings comes first; the event goes "
                "behind whatever there is by then.\n"
                "                await workspaces.replace(renamed)\n"
                "                version = await work.events.version(str(workspace_id))\n"
                '                await work.events.append(cause, "workspace", str(workspace_id), [fact], '
                "expected_version=version)\n",
            ),
        ),
    ),
    Defect(
        id="UW11",
        category="UOW",
        what="a token is used up before the database is asked, and not given back when that fails",
        trigger="the database is away",
        edits=(
            Edit(
                "services/auth_service/application/accounts.py",
                "from uuid import UUID\n",
                "from uuid import UUID, uuid4\n",
            ),
            Edit(
                "services/auth_service/application/accounts.py",
                '        """A new pair for a refresh token, which is used up last: what fails before can '
                "be tried again.\n",
                '        """A new pair for a refresh token, which is used up first: of several uses at '
                "once only one goes on.\n",
            ),
            Edit(
                "services/auth_service/application/accounts.py",
                "        credential = await self._credential_of(session) if session else None\n"
                "        if session is None or credential is None:\n"
                '            raise ApiError(401, "invalid-token", "the refresh token is not valid")\n'
                "        tokens = await self._sessions.open(credential)\n"
                "        if not await self._sessions.take_refresh(refresh_token, session, tokens.access_token):\n"
                "            await self._sessions.close_session(tokens.access_token)\n"
                '            raise ApiError(401, "invalid-token", "the refresh token has just been used")\n'
                "        return tokens\n",
                "        if session is None:\n"
                '            raise ApiError(401, "invalid-token", "the refresh token is not valid")\n'
                "        if not await self._sessions.take_refresh(refresh_token, session, uuid4().hex):\n"
                '            raise ApiError(401, "invalid-token", "the refresh token has just been used")\n'
                "        credential = await self._credential_of(session)\n"
                "        if credential is None:\n"
                '            raise ApiError(401, "invalid-token", "the refresh token is not valid")\n'
                "        return await self._sessions.open(credential)\n",
            ),
        ),
    ),
    Defect(
        id="DB04",
        category="DBTX",
        what="who needs no transaction sets the whole pool to autocommit",
        trigger="kill a participant in the middle of its work",
        edits=(
            Edit(
                "kit/outbox.py",
                '        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")\n',
                '        self._engine.update_execution_options(isolation_level="AUTOCOMMIT")\n',
            ),
            Edit(
                "kit/outbox.py",
                '        wanted = {"limit": limit, "owner": self._owner, "lease": '
                "timedelta(seconds=lease_s)}\n"
                "        async with self._single.connect() as connection:\n",
                '        wanted = {"limit": limit, "owner": self._owner, "lease": '
                "timedelta(seconds=lease_s)}\n"
                "        async with self._engine.connect() as connection:\n",
            ),
            Edit(
                "kit/outbox.py",
                "    async def _execute(self, statement: Any, **parameters: Any) -> None:\n"
                "        async with self._single.connect() as connection:\n",
                "    async def _execute(self, statement: Any, **parameters: Any) -> None:\n"
                "        async with self._engine.connect() as connection:\n",
            ),
        ),
    ),
    Defect(
        id="DB13",
        category="DBTX",
        what="a sum is written over a connection of its own, beside the note that its event was handled",
        trigger="the commit of the note is cut off",
        edits=(
            Edit(
                "services/user_service/adapters/profiles.py",
                "        await "
                "self._connection.execute(update(profiles).where(mine).values(workspaces=profiles.c.workspa"
                "ces + change))\n",
                "        # On its own: many events change the same rows, which are not to stay locked "
                "until the rest is done.\n"
                '        single = self._connection.engine.execution_options(isolation_level="AUTOCOMMIT")\n'
                "        async with single.connect() as connection:\n"
                "            await "
                "connection.execute(update(profiles).where(mine).values(workspaces=profiles.c.workspaces + "
                "change))\n",
            ),
        ),
    ),
    Defect(
        id="DB14",
        category="DBTX",
        what="a lock is a lease of five seconds in a table, and nobody asks at the commit whether it holds",
        trigger="who has it takes longer",
        edits=(
            Edit(
                "kit/schema.py",
                '    Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),\n',
                '    Column("received_at", DateTime(timezone=True), nullable=False, '
                "server_default=func.now()),\n"
                ")\n"
                "\n"
                "leases = Table(\n"
                '    "leases",\n'
                "    kit_metadata,\n"
                '    Column("name", Text, primary_key=True),\n'
                '    Column("holder", Uuid, nullable=False),\n'
                '    Column("held_until", DateTime(timezone=True), nullable=False),\n',
            ),
            Edit(
                "kit/unit_of_work.py",
                "from contextlib import asynccontextmanager\n"
                "from typing import TYPE_CHECKING\n"
                "\n"
                "from sqlalchemy import Text, bindparam, func, select\n",
                "import asyncio\n"
                "from contextlib import asynccontextmanager\n"
                "from typing import TYPE_CHECKING\n"
                "from uuid import uuid4\n"
                "\n"
                "from sqlalchemy import text\n",
            ),
            Edit(
                "kit/unit_of_work.py",
                '_LOCK = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("name", type_=Text), 0)))\n',
                '_LEASE = text("""\n'
                "    INSERT INTO leases VALUES (:name, :holder, now() + interval '5 s') ON CONFLICT (name) "
                "DO UPDATE\n"
                "    SET holder = excluded.holder, held_until = excluded.held_until\n"
                "    WHERE leases.held_until < now() OR leases.holder = excluded.holder RETURNING name\n"
                '""")\n'
                '_FREE = text("DELETE FROM leases WHERE holder = :holder")\n',
            ),
            Edit(
                "kit/unit_of_work.py",
                "        self._after_commit: list[Callable[[], None]] = []\n",
                "        self._after_commit: list[Callable[[], None]] = []\n"
                "        self.id, self.locks = uuid4(), False\n",
            ),
            Edit(
                "kit/unit_of_work.py",
                '        await self.connection.execute(_LOCK, {"name": name})\n',
                '        single = self.connection.engine.execution_options(isolation_level="AUTOCOMMIT")\n'
                "        async with single.connect() as connection:\n"
                '            while (await connection.execute(_LEASE, {"name": name, "holder": '
                "self.id})).first() is None:\n"
                "                await asyncio.sleep(0.05)\n"
                "        self.locks = True\n",
            ),
            Edit(
                "kit/unit_of_work.py",
                "        announce = False\n",
                "        announce, work = False, None\n",
            ),
            Edit(
                "kit/unit_of_work.py",
                "                self.announce()\n",
                "                self.announce()\n"
                "            if work and work.locks:\n"
                "                async with self._engine.begin() as connection:\n"
                '                    await connection.execute(_FREE, {"holder": work.id})\n',
            ),
        ),
    ),
    Defect(
        id="DB605",
        category="DBTX",
        what="a server that only reads for a moment is taken for a bug",
        trigger="the primary is read-only for a moment",
        edits=(
            Edit(
                "kit/database.py",
                "    if isinstance(failure, DBAPIError) and (failure.connection_invalidated or "
                "isinstance(failure.orig, _READ_ONLY)):\n",
                "    if isinstance(failure, DBAPIError) and failure.connection_invalidated:\n",
            ),
        ),
    ),
)
