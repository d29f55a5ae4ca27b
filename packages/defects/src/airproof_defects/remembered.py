"""Seeded defects of what a process remembers by itself, beside the cache or without one."""

from __future__ import annotations

from airproof_defects.cache import CACHE, DIRECTORY
from airproof_defects.defect import Defect, Edit

PERMISSIONS = "services/permission_service/entrypoints/http.py"
ROLES = "services/permission_service/adapters/role_assignments.py"
ROLE_STEPS = "services/permission_service/application/steps.py"
USERS = "services/user_service/entrypoints/http.py"
RULES = "kit/tenancy.py"
ACCOUNTS = "services/auth_service/application/accounts.py"

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="CA13",
        category="CACHE",
        what="the gateway remembers whose token it is",
        trigger="somebody logs out, or their account is removed, and their token is shown again",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/http.py",
                '    answer = await client.call("auth-service", "POST", "/auth/validate", headers=authorization)\n',
                '    token = authorization["authorization"]\n'
                "    answer = _KNOWN.get(token) or await client.call(\n"
                '        "auth-service", "POST", "/auth/validate", headers=authorization\n'
                "    )\n"
                "    if answer.status_code == 200:\n"
                "        _KNOWN[token] = answer\n",
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "MAX_BODY_BYTES = 1_000_000\n",
                "MAX_BODY_BYTES = 1_000_000\n_KNOWN: dict = {}\n",
            ),
        ),
    ),
    Defect(
        id="CA22",
        category="CACHE",
        what="a page of a list is kept for a minute",
        trigger="a list, a change, a list",
        edits=(
            Edit(
                DIRECTORY,
                "        async with self._replica.connect() as connection:\n",
                "        page = owner.tenant_id, owner.user_id, offset, limit\n"
                "        if page in _PAGES and time.monotonic() < _PAGES[page][0]:\n"
                "            return _PAGES[page][1]\n"
                "        async with self._replica.connect() as connection:\n",
            ),
            Edit(
                DIRECTORY,
                "            return await found\n",
                "            shown = await found\n"
                "        if shown:\n"
                "            _PAGES[page] = time.monotonic() + 60, shown\n"
                "        return shown\n",
            ),
            Edit(DIRECTORY, 'RENAMED = "workspace.renamed"\n', 'RENAMED = "workspace.renamed"\n_PAGES: dict = {}\n'),
            Edit(DIRECTORY, "from dataclasses import replace\n", "import time\nfrom dataclasses import replace\n"),
        ),
    ),
    Defect(
        id="CA23",
        category="CACHE",
        what="who may do what is remembered for a minute",
        trigger="rights are asked for, granted or revoked, and asked for again",
        edits=(
            Edit(
                PERMISSIONS,
                "    async with runtime_of(request).units_of_work.begin() as work:\n"
                "        granted = await RoleAssignments(work.connection).grants(\n"
                "            user.tenant_id, body.user_id, body.resource_id, permission\n"
                "        )\n",
                "    asked = user.tenant_id, body.user_id, body.resource_id, permission\n"
                "    until, granted = _KNOWN.get(asked, (0, False))\n"
                "    if until < time.monotonic():\n"
                "        async with runtime_of(request).units_of_work.begin() as work:\n"
                "            granted = await RoleAssignments(work.connection).grants(*asked)\n"
                "        _KNOWN[asked] = time.monotonic() + 60, granted\n",
            ),
            Edit(PERMISSIONS, "router = APIRouter(", "_KNOWN: dict = {}\nrouter = APIRouter("),
            Edit(PERMISSIONS, "from typing import Annotated\n", "import time\nfrom typing import Annotated\n"),
        ),
    ),
    Defect(
        id="CA24",
        category="CACHE",
        what="a profile is remembered for a minute",
        trigger="a colleague asks for somebody before and after they are removed",
        edits=(
            Edit(
                USERS,
                "    async with runtime_of(request).units_of_work.begin() as work:\n",
                "    key = user.tenant_id, user_id\n"
                "    if key in _KNOWN and time.monotonic() < _KNOWN[key][0]:\n"
                "        return ProfileAnswer.model_validate(_KNOWN[key][1], from_attributes=True)\n"
                "    async with runtime_of(request).units_of_work.begin() as work:\n",
            ),
            Edit(
                USERS,
                "    return ProfileAnswer.model_validate(profile, from_attributes=True)\n",
                "    _KNOWN[key] = time.monotonic() + 60, profile\n"
                "    return ProfileAnswer.model_validate(profile, from_attributes=True)\n",
            ),
            Edit(USERS, "router = APIRouter(", "_KNOWN: dict = {}\nrouter = APIRouter("),
            Edit(USERS, "from uuid import UUID\n", "import time\nfrom uuid import UUID\n"),
        ),
    ),
    Defect(
        id="CA60",
        category="CACHE",
        what="that nobody has an address is remembered for a minute",
        trigger="somebody tries to log in before they register",
        edits=(
            Edit(
                ACCOUNTS,
                "        async with self._units_of_work.begin() as work:\n"
                "            credential = await Credentials(work.connection).by_email(normalised(email))\n",
                "        address = normalised(email)\n"
                "        known = time.monotonic() - self._unknown.get(address, -60) >= 60\n"
                "        async with self._units_of_work.begin() as work:\n"
                "            credential = await Credentials(work.connection).by_email(address) if known else None\n"
                "        if known and credential is None:\n"
                "            self._unknown[address] = time.monotonic()\n",
            ),
            Edit(
                ACCOUNTS,
                "        self._log2_n = scrypt_log2_n\n",
                "        self._log2_n = scrypt_log2_n\n        self._unknown: dict[str, float] = {}\n",
            ),
            Edit(ACCOUNTS, "import asyncio\n", "import asyncio\nimport time\n"),
        ),
    ),
    Defect(
        id="CA90",
        category="CACHE",
        what="what was read is kept in the process too, and taken out where its event is consumed",
        trigger="two instances: one has read what the other one learns that it has changed",
        edits=(
            Edit(
                CACHE,
                "        self._form = form\n",
                "        self._form = form\n        self._near: dict[str, T] = {}\n",
            ),
            Edit(
                CACHE,
                "        key = self._key(tenant_id, id_)\n        try:\n",
                "        key = self._key(tenant_id, id_)\n"
                "        if key in self._near:\n"
                "            return self._near[key]\n"
                "        try:\n",
            ),
            Edit(
                CACHE,
                '                self._count("hit")\n',
                '                self._count("hit")\n                self._near[key] = value\n',
            ),
            Edit(
                CACHE,
                "        await self._run(self._invalidate,",
                "        self._near.pop(self._key(tenant_id, id_), None)\n        await self._run(self._invalidate,",
            ),
        ),
    ),
    Defect(
        id="CA92",
        category="CACHE",
        what="who may do what is remembered until a command changes it, in the process that takes the command",
        trigger="two instances: one has told what the other one takes back",
        edits=(
            Edit(
                PERMISSIONS,
                "    async with runtime_of(request).units_of_work.begin() as work:\n"
                "        granted = await RoleAssignments(work.connection).grants(\n"
                "            user.tenant_id, body.user_id, body.resource_id, permission\n"
                "        )\n",
                "    asked = user.tenant_id, body.user_id, body.resource_id, permission\n"
                "    if asked not in KNOWN:\n"
                "        async with runtime_of(request).units_of_work.begin() as work:\n"
                "            KNOWN[asked] = await RoleAssignments(work.connection).grants(*asked)\n"
                "    granted = KNOWN[asked]\n",
            ),
            Edit(
                PERMISSIONS,
                "import RoleAssignments\n",
                "import KNOWN, RoleAssignments\n",
            ),
            Edit(ROLES, "class RoleAssignments:\n", "KNOWN: dict = {}\n\n\nclass RoleAssignments:\n"),
            Edit(
                ROLE_STEPS,
                "import RoleAssignments\n",
                "import KNOWN, RoleAssignments\n",
            ),
            Edit(
                ROLE_STEPS,
                "    await RoleAssignments(work.connection).add(assignment)\n",
                "    await RoleAssignments(work.connection).add(assignment)\n    work.after_commit(KNOWN.clear)\n",
            ),
            Edit(
                ROLE_STEPS,
                "revoke_permissions = Removal(",
                "async def revoke_and_forget(work: UnitOfWork, command: Command) -> Answer:\n"
                "    work.after_commit(KNOWN.clear)\n"
                "    return await revoke_permissions(work, command)\n\n\n"
                "revoke_permissions = Removal(",
            ),
            Edit(
                ROLE_STEPS,
                "StepHandlers(assign_permissions, revoke_permissions)",
                "StepHandlers(assign_permissions, revoke_and_forget)",
            ),
        ),
    ),
    Defect(
        id="SG201",
        category="SAGA",
        what="how much a tenant may have is remembered until a command changes it, in the process that takes that",
        trigger="two instances: one has let somebody in before the other one is told of a limit",
        edits=(
            Edit(
                RULES,
                "    limit = func.coalesce(_LIMIT.scalar_subquery(), default)\n",
                "    if tenant_id not in _KNOWN:\n"
                '        found = await work.connection.execute(_LIMIT, {"tenant": tenant_id})\n'
                "        _KNOWN[tenant_id] = found.scalar_one_or_none()\n"
                "    limit = default if _KNOWN[tenant_id] is None else _KNOWN[tenant_id]\n",
            ),
            Edit(RULES, 'LEGAL_HOLD = "legal-hold"\n', 'LEGAL_HOLD = "legal-hold"\n_KNOWN: dict = {}\n'),
            Edit(
                RULES,
                "        await self._connection.execute(replace)\n",
                "        await self._connection.execute(replace)\n        _KNOWN.pop(tenant_id, None)\n",
            ),
            Edit(
                RULES,
                '        """Restores the default."""\n        await',
                '        """Restores the default."""\n        _KNOWN.pop(tenant_id, None)\n        await',
            ),
        ),
    ),
    Defect(
        id="CA210",
        category="CACHE",
        what="who changes something puts it into the cache, however late, and also when it is only asked for again",
        trigger="a change is asked for again after a later one",
        edits=(
            Edit(
                DIRECTORY,
                "            if key and await self._was_done(renamed, key):\n"
                "                return renamed\n"
                "            raise ApiError",
                "            if not key or not await self._was_done(renamed, key):\n                raise ApiError",
            ),
            Edit(
                DIRECTORY,
                "from conflict\n        return renamed\n",
                "from conflict\n"
                "        await self._cache.put(owner.tenant_id, str(workspace_id), renamed)\n"
                "        return renamed\n",
            ),
            Edit(
                CACHE,
                "    async def invalidate(",
                "    async def put(self, tenant_id: str, id_: str, value: T) -> None:\n"
                "        with suppress(CacheUnavailable):\n"
                "            body = self._form.dump_json(value)\n"
                "            put = self._redis.register_script(_PUT)\n"
                "            await self._run(put, self._key(tenant_id, id_), uuid4().hex, value.version, body, 900)\n\n"
                "    async def invalidate(",
            ),
            Edit(
                CACHE,
                '_INVALIDATE = """',
                '_PUT = """\n'
                "redis.call('HSET', KEYS[1], 'life', ARGV[1], 'version', ARGV[2], 'body', ARGV[3])\n"
                "redis.call('EXPIRE', KEYS[1], ARGV[4])\n"
                '"""\n_INVALIDATE = """',
            ),
        ),
    ),
)
