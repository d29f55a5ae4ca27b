"""Seeded defects of the cache: what is taken out of it, when, and what may still come in afterwards."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit

CACHE = "kit/cache.py"
DIRECTORY = "services/workspace_service/application/directory.py"
INVALIDATION = "services/workspace_service/application/invalidation.py"

_RENAMING_IS_NOT_CONSUMED = Edit(
    INVALIDATION, 'frozenset({RENAMED, "workspace.removed"})', 'frozenset({"workspace.removed"})'
)
_UNUSED_IMPORT = Edit(
    INVALIDATION, "from pyairtable_reference.services.workspace_service.application.directory import RENAMED\n", ""
)
_APPEND = "                await work.events.append(\n"

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="CA01",
        category="CACHE",
        what="a change takes nothing out of the cache",
        trigger="a read, a change, a read",
        edits=(_RENAMING_IS_NOT_CONSUMED, _UNUSED_IMPORT),
    ),
    Defect(
        id="CA02",
        category="CACHE",
        what="the entry is deleted before the change commits, and not after",
        trigger="a read between the deletion and the commit",
        edits=(
            _RENAMING_IS_NOT_CONSUMED,
            _UNUSED_IMPORT,
            Edit(
                CACHE,
                "if not version or tonumber(version) >= tonumber(ARGV[1]) then return 0 end\n",
                "if version then return redis.call('DEL', KEYS[1]) end\n",
            ),
            Edit(
                DIRECTORY,
                _APPEND,
                "                await self._cache.invalidate(owner.tenant_id, str(workspace_id), renamed.version)\n"
                + _APPEND,
            ),
        ),
    ),
    Defect(
        id="CA03",
        category="CACHE",
        what="a fill is stored whatever has happened since its miss",
        trigger="a fill that arrives after the invalidation of what it brings",
        edits=(
            Edit(
                CACHE,
                "local found = redis.call('HMGET', KEYS[1], 'life', 'version')\n"
                "if found[1] ~= ARGV[1] or tonumber(found[2]) > tonumber(ARGV[2]) then return 0 end\n"
                "redis.call('HSET', KEYS[1], 'version'",
                "redis.call('HSET', KEYS[1], 'life', ARGV[1], 'version'",
            ),
        ),
    ),
    Defect(
        id="CA06",
        category="CACHE",
        what="the key has no tenant, and what the cache gives is not checked once more",
        trigger="somebody of another tenant asks for what its owner has just read",
        edits=(
            Edit(CACHE, 'f"cache:{self._name}:{tenant_id}:{id_}"', 'f"cache:{self._name}:{id_}"'),
            Edit(
                DIRECTORY,
                "        return _owned(owner, workspace_id, await self._cache.get("
                "owner.tenant_id, str(workspace_id), load))\n",
                "        found = await self._cache.get(owner.tenant_id, str(workspace_id), load)\n"
                "        if found is None:\n"
                "            return _owned(owner, workspace_id, None)\n"
                "        return found\n",
            ),
        ),
    ),
    Defect(
        id="CA12",
        category="CACHE",
        what="a change is written through to the cache before it commits",
        trigger="the transaction is broken off after that",
        edits=(
            Edit(
                CACHE,
                "    async def invalidate(self",
                "    async def put(self, tenant_id: str, id_: str, value: T) -> None:\n"
                "        key = self._key(tenant_id, id_)\n"
                "        life, _ = await self._run(self._look, key, uuid4().hex, MARK_S)\n"
                "        body = self._form.dump_json(value)\n"
                "        await self._run(self._fill, key, life, value.version, body, ENTRY_S)\n\n"
                "    async def invalidate(self",
            ),
            Edit(
                DIRECTORY,
                "        except VersionConflict as conflict:\n",
                "                await self._cache.put(owner.tenant_id, str(workspace_id), renamed)\n"
                "        except VersionConflict as conflict:\n",
            ),
        ),
    ),
    Defect(
        id="CA07",
        category="CACHE",
        what="that something is not there is kept, and nothing takes it out",
        trigger="a read before the thing is made",
        edits=(
            Edit(
                "kit/cache.py",
                "        loaded = await load()\n        if loaded is not None:\n",
                "        loaded = await load()\n"
                "        if loaded is None:\n"
                "            with suppress(CacheUnavailable):\n"
                '                await self._run(self._fill, key, life, 1, "null", ENTRY_S)\n'
                "        if loaded is not None:\n",
            ),
            Edit(
                "kit/cache.py",
                "            with suppress(ValidationError):\n",
                '            if body == b"null":\n'
                "                return None\n"
                "            with suppress(ValidationError):\n",
            ),
        ),
    ),
    Defect(
        id="CA14",
        category="CACHE",
        what="an entry in the form of another version is an error",
        trigger="another version has left one",
        edits=(
            Edit(
                "kit/cache.py",
                "            with suppress(ValidationError):\n"
                "                value = self._form.validate_json(body)\n"
                '                self._count("hit")\n'
                "                return value",
                "            value = self._form.validate_json(body)\n"
                '            self._count("hit")\n'
                "            return value",
            ),
        ),
    ),
    Defect(
        id="CA05",
        category="CACHE",
        what="an entry stands under the id as it was spelled, and is taken out under one spelling only",
        trigger="somebody asks for the id in capitals, before and after a change",
        edits=(
            Edit(
                "services/workspace_service/entrypoints/http.py",
                "async def get_workspace(workspace_id: UUID, user: User, directory: Application) -> WorkspaceAnswer:",
                "async def get_workspace(\n"
                "    workspace_id: UUID, user: User, directory: Application, request: Request\n"
                ") -> WorkspaceAnswer:",
            ),
            Edit(
                "services/workspace_service/entrypoints/http.py",
                "    return WorkspaceAnswer.model_validate("
                "await directory.get(user, workspace_id), from_attributes=True)\n",
                '    found = await directory.get(user, workspace_id, request.path_params["workspace_id"])\n'
                "    return WorkspaceAnswer.model_validate(found, from_attributes=True)\n",
            ),
            Edit(
                DIRECTORY,
                "async def get(self, owner: Identity, workspace_id: UUID) -> Workspace:",
                "async def get(self, owner: Identity, workspace_id: UUID, entry: str) -> Workspace:",
            ),
            Edit(
                DIRECTORY,
                "await self._cache.get(owner.tenant_id, str(workspace_id), load))",
                "await self._cache.get(owner.tenant_id, entry, load))",
            ),
        ),
    ),
    Defect(
        id="CA15",
        category="CACHE",
        what="every hit prolongs the entry",
        trigger="an entry is read again and again",
        edits=(
            Edit(
                CACHE,
                "if life then return {life, redis.call('HGET', KEYS[1], 'body')} end\n",
                "if life then\n"
                "    redis.call('EXPIRE', KEYS[1], 900)\n"
                "    return {life, redis.call('HGET', KEYS[1], 'body')}\n"
                "end\n",
            ),
        ),
    ),
    Defect(
        id="CA16",
        category="CACHE",
        what="an invalidation that the cache does not take is shrugged off",
        trigger="the cache hangs when something has changed",
        edits=(
            Edit(
                CACHE,
                "        await self._run(self._invalidate,",
                "        with suppress(CacheUnavailable):\n            await self._run(self._invalidate,",
            ),
        ),
    ),
    Defect(
        id="CA20",
        category="CACHE",
        what="whose it is is asked when it is loaded, and not of what the cache gives",
        trigger="a colleague asks for what its owner has just read",
        edits=(
            Edit(
                DIRECTORY,
                "                return await Workspaces(work.connection).get(owner.tenant_id, workspace_id)\n",
                "                found = await Workspaces(work.connection).get(owner.tenant_id, workspace_id)\n"
                "            return found if found and found.owner_id == owner.user_id else None\n",
            ),
            Edit(
                DIRECTORY,
                "        return _owned(owner, workspace_id, await self._cache.get("
                "owner.tenant_id, str(workspace_id), load))\n",
                "        found = await self._cache.get(owner.tenant_id, str(workspace_id), load)\n"
                "        if found is None:\n"
                "            return _owned(owner, workspace_id, None)\n"
                "        return found\n",
            ),
        ),
    ),
    Defect(
        id="CA21",
        category="CACHE",
        what="who misses something waits for a load that is under way, however old",
        trigger="a change while somebody loads, and a read after its invalidation",
        edits=(
            Edit(
                CACHE,
                "        self._form = form\n",
                "        self._form = form\n        self._loading: dict = {}\n",
            ),
            Edit(
                CACHE,
                "        loaded = await load()\n        if loaded is not None:\n",
                "        if key not in self._loading:\n"
                "            self._loading[key] = asyncio.ensure_future(load())\n"
                "            self._loading[key].add_done_callback(lambda _: self._loading.pop(key, None))\n"
                "        loaded = await asyncio.shield(self._loading[key])\n"
                "        if loaded is not None:\n",
            ),
            Edit(CACHE, "import logging\n", "import asyncio\nimport logging\n"),
        ),
    ),
    Defect(
        id="CA25",
        category="CACHE",
        what="what was there the last time is shown while the database is away",
        trigger="a read, a change, and a read without the database",
        edits=(
            Edit(
                DIRECTORY,
                "            async with self._units_of_work.begin() as work:\n"
                "                return await Workspaces(work.connection).get(owner.tenant_id, workspace_id)\n",
                "            try:\n"
                "                async with self._units_of_work.begin() as work:\n"
                "                    found = await Workspaces(work.connection).get(owner.tenant_id, workspace_id)\n"
                "            except DBAPIError:\n"
                "                return _LAST_KNOWN[workspace_id]\n"
                "            _LAST_KNOWN[workspace_id] = found\n"
                "            return found\n",
            ),
            Edit(
                DIRECTORY,
                'RENAMED = "workspace.renamed"\n',
                'RENAMED = "workspace.renamed"\n_LAST_KNOWN: dict = {}\n',
            ),
            Edit(
                DIRECTORY,
                "from uuid import UUID\n",
                "from uuid import UUID\n\nfrom sqlalchemy.exc import DBAPIError\n",
            ),
        ),
    ),
    Defect(
        id="CA26",
        category="CACHE",
        what="a cache that answers with an error is an error",
        trigger="the cache is full",
        edits=(
            Edit(
                CACHE,
                "from redis.exceptions import RedisError\n",
                "from redis.exceptions import ConnectionError as ConnectionLost\n"
                "from redis.exceptions import TimeoutError as NoAnswer\n",
            ),
            Edit(
                CACHE,
                "except (RedisError, OSError, TimeoutError) as failure",
                "except (ConnectionLost, NoAnswer, OSError) as failure",
            ),
        ),
    ),
    Defect(
        id="CA91",
        category="CACHE",
        what="a service is ready only if its cache answers",
        trigger="the cache is away",
        edits=(
            Edit(
                "kit/runtime.py",
                '        return {"database": await answers(backing.engine)',
                "        if self.settings.redis_url:\n"
                "            redis = open_redis(self.settings.redis_url, timeout_s=0.5)\n"
                "            try:\n"
                '                consuming["redis"] = bool(await redis.ping())\n'
                "            except Exception:\n"
                '                consuming["redis"] = False\n'
                "            await redis.aclose()\n"
                '        return {"database": await answers(backing.engine)',
            ),
            Edit(
                "kit/runtime.py",
                "from pyairtable_reference.kit.relay import Relay\n",
                "from pyairtable_reference.kit.redis import open_redis\n"
                "from pyairtable_reference.kit.relay import Relay\n",
            ),
        ),
    ),
    Defect(
        id="CA93",
        category="CACHE",
        what="a service asks its cache at the start whether it is there",
        trigger="a service is started while the cache is away",
        edits=(
            Edit(
                "kit/redis.py",
                "    retry = Retry(NoBackoff(), 1, supported_errors=(ConnectionLost,))\n",
                "    BlockingRedis.from_url(url, socket_connect_timeout=timeout_s).ping()\n"
                "    retry = Retry(NoBackoff(), 1, supported_errors=(ConnectionLost,))\n",
            ),
            Edit(
                "kit/redis.py",
                "from redis.asyncio import Connection",
                "from redis import Redis as BlockingRedis\nfrom redis.asyncio import Connection",
            ),
        ),
    ),
    Defect(
        id="CA33",
        category="CACHE",
        what="a fill names the life that its key has when all is loaded, and not when it was missed",
        trigger="a change, and the loss of the key, while a read loads",
        edits=(
            Edit(
                CACHE,
                "                await self._run(self._fill,",
                "                life, _ = await self._run(self._look, key, uuid4().hex, MARK_S)\n"
                "                await self._run(self._fill,",
            ),
        ),
    ),
    Defect(
        id="CA220",
        category="CACHE",
        what="a session has to hold what none has held before",
        trigger="somebody has logged in before an upgrade",
        edits=(
            Edit(
                "services/auth_service/adapters/sessions.py",
                "    partner: str\n\n\n@dataclass",
                "    partner: str\n    status: str\n\n\n@dataclass",
            ),
            Edit(
                "services/auth_service/adapters/sessions.py",
                '            "role": "owner",\n',
                '            "role": "owner",\n            "status": credential.status,\n',
            ),
        ),
    ),
    Defect(
        id="CA221",
        category="CACHE",
        what="browsers may keep what they are shown for half a minute",
        trigger="a request to the gateway",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "if name in answer.headers}\n    return Response",
                "if name in answer.headers}\n"
                '    if request.method == "GET" and answer.is_success:\n'
                '        outward["cache-control"] = "private, max-age=30"\n'
                "    return Response",
            ),
        ),
    ),
    Defect(
        id="CA330",
        category="CACHE",
        what="what the cache is told to be the version now is taken for it, though a newer one is known",
        trigger="the event of an older change comes again while a value from before the last change is filled in",
        edits=(
            Edit(
                "kit/cache.py",
                "if not version or tonumber(version) >= tonumber(ARGV[1]) then return 0 end\n",
                "if not version then return 0 end\n",
            ),
        ),
    ),
    Defect(
        id="CA410",
        category="CACHE",
        what="what the database cannot tell just now is looked up in its copy, which may not know of the last change",
        trigger="a read while the database breaks off what it is asked, and its copy lags",
        edits=(
            Edit(
                DIRECTORY,
                "            async with self._units_of_work.begin() as work:\n"
                "                return await Workspaces(work.connection).get(owner.tenant_id, workspace_id)\n",
                "            try:\n"
                "                async with self._units_of_work.begin() as work:\n"
                "                    return await Workspaces(work.connection).get(owner.tenant_id, workspace_id)\n"
                "            except OperationalError:\n"
                "                async with self._replica.connect() as connection:\n"
                "                    return await Workspaces(connection).get(owner.tenant_id, workspace_id)\n",
            ),
            Edit(
                DIRECTORY,
                "from pyairtable_reference.kit import logs\n",
                "from sqlalchemy.exc import OperationalError\n\nfrom pyairtable_reference.kit import logs\n",
            ),
        ),
    ),
    Defect(
        id="CA411",
        category="CACHE",
        what="while permissions cannot be looked up what was said of them last is said again",
        trigger="the database breaks off when somebody asks again what they have asked before, of who is gone by now",
        edits=(
            Edit(
                "services/permission_service/entrypoints/http.py",
                "    async with runtime_of(request).units_of_work.begin() as work:\n"
                "        granted = await RoleAssignments(work.connection).grants(\n"
                "            user.tenant_id, body.user_id, body.resource_id, permission\n"
                "        )\n",
                "    asked = user.tenant_id, body.user_id, body.resource_id, permission\n"
                "    try:\n"
                "        async with runtime_of(request).units_of_work.begin() as work:\n"
                "            granted = await RoleAssignments(work.connection).grants(*asked)\n"
                "    except OperationalError:\n"
                "        if asked not in _said:\n"
                "            raise\n"
                "        granted = _said[asked]\n"
                "    _said[asked] = granted\n",
            ),
            Edit(
                "services/permission_service/entrypoints/http.py",
                "router = APIRouter(",
                "_said: dict[tuple[str, UUID, str, str], bool] = {}\n\nrouter = APIRouter(",
            ),
            Edit(
                "services/permission_service/entrypoints/http.py",
                "from pydantic import BaseModel, ConfigDict, Field\n",
                "from pydantic import BaseModel, ConfigDict, Field\nfrom sqlalchemy.exc import OperationalError\n",
            ),
        ),
    ),
    Defect(
        id="CA400",
        category="CACHE",
        what="who asks about somebody shares what is just being looked up for another one who has asked, however old",
        trigger="somebody is removed while they are looked up, and a colleague asks about them after that",
        edits=(
            Edit(
                "services/user_service/entrypoints/http.py",
                "from uuid import UUID\n",
                "import asyncio\nfrom uuid import UUID\n",
            ),
            Edit(
                "services/user_service/entrypoints/http.py",
                '@router.get("/{user_id}")\n',
                "_asked: dict = {}\n\n\n"
                "async def _profile(units_of_work, tenant_id, user_id):\n"
                "    async with units_of_work.begin() as work:\n"
                "        return await Profiles(work.connection).get(tenant_id, user_id)\n\n\n"
                '@router.get("/{user_id}")\n',
            ),
            Edit(
                "services/user_service/entrypoints/http.py",
                "    async with runtime_of(request).units_of_work.begin() as work:\n"
                "        profile = await Profiles(work.connection).get(user.tenant_id, user_id)\n",
                "    asked = user.tenant_id, user_id\n"
                "    if asked not in _asked:\n"
                "        _asked[asked] = asyncio.create_task(_profile(runtime_of(request).units_of_work, *asked))\n"
                "        _asked[asked].add_done_callback(lambda _: _asked.pop(asked))\n"
                "    profile = await asyncio.shield(_asked[asked])\n",
            ),
        ),
    ),
    Defect(
        id="CA401",
        category="CACHE",
        what="that a token was refused is remembered for some seconds",
        trigger="an account is locked while its user goes on asking, and unlocked",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "from fastapi import APIRouter, Request, Response\n",
                "import time\n\nfrom fastapi import APIRouter, Request, Response\n",
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "    if answer.status_code == 401:\n",
                "    if answer.status_code == 401:\n"
                '        _refused[authorization["authorization"]] = time.monotonic() + 5\n',
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                '    answer = await client.call("auth-service", "POST", "/auth/validate", headers=authorization)\n',
                '    if _refused.get(authorization["authorization"], 0) > time.monotonic():\n'
                '        raise ApiError(401, "unauthorized", "a valid access token is required")\n'
                '    answer = await client.call("auth-service", "POST", "/auth/validate", headers=authorization)\n',
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "async def _body(",
                "_refused: dict[str, float] = {}\n\n\nasync def _body(",
            ),
        ),
    ),
    Defect(
        id="CA430",
        category="CACHE",
        what="a connection to the database is taken before the cache is asked",
        trigger="something is read that is cached, while the database cannot be reached",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "        async def load() -> Workspace | None:\n"
                "            async with self._units_of_work.begin() as work:\n"
                "                return await Workspaces(work.connection).get(owner.tenant_id, workspace_id)\n\n"
                "        return _owned(owner, workspace_id, "
                "await self._cache.get(owner.tenant_id, str(workspace_id), load))\n",
                "        async with self._units_of_work.begin() as work:\n"
                "            load = partial(Workspaces(work.connection).get, owner.tenant_id, workspace_id)\n"
                "            found = await self._cache.get(owner.tenant_id, str(workspace_id), load)\n"
                "        return _owned(owner, workspace_id, found)\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "from dataclasses import replace\n",
                "from dataclasses import replace\nfrom functools import partial\n",
            ),
        ),
    ),
    Defect(
        id="CA560",
        category="CACHE",
        what="fills are marked with the name of the process, and not of the key's life",
        trigger="the cache forgets between a read and its fill, and the same process has asked it again since",
        edits=(
            Edit(
                "kit/cache.py",
                "        self._form = form\n",
                "        self._form = form\n        self._life = uuid4().hex\n",
            ),
            Edit(
                "kit/cache.py",
                "            life, body = await self._run(self._look, key, uuid4().hex, MARK_S)\n",
                "            life, body = await self._run(self._look, key, self._life, MARK_S)\n",
            ),
        ),
    ),
    Defect(
        id="CA600",
        category="CACHE",
        what="what was written is put into the cache when it is asked for again",
        trigger="a change is asked for again after a newer one, and the cache has forgotten",
        edits=(
            Edit(
                "kit/cache.py",
                "        return loaded\n",
                "        return loaded\n"
                "\n"
                "    async def put(self, tenant_id: str, id_: str, value: T) -> None:\n"
                "        key = self._key(tenant_id, id_)\n"
                "        with suppress(CacheUnavailable):\n"
                "            life, _ = await self._run(self._look, key, uuid4().hex, MARK_S)\n"
                "            await self._run(self._fill, key, life, value.version, "
                "self._form.dump_json(value), ENTRY_S)\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "            if key and await self._was_done(renamed, key):\n"
                "                return renamed\n"
                '            raise ApiError(409, "version-conflict", f"{conflict}; read it again") from '
                "conflict\n",
                "            if not key or not await self._was_done(renamed, key):\n"
                '                raise ApiError(409, "version-conflict", f"{conflict}; read it again") '
                "from conflict\n"
                "        await self._cache.put(owner.tenant_id, str(workspace_id), renamed)\n",
            ),
        ),
    ),
    Defect(
        id="CA601",
        category="CACHE",
        what="scripts are loaded into the cache once per process, and called by their hash",
        trigger="the cache is restarted and its service is not",
        edits=(
            Edit(
                "kit/cache.py",
                "        self._look, self._fill, self._invalidate = map(self._redis.register_script, "
                "(_LOOK, _FILL, _INVALIDATE))\n",
                "        self._scripts = tuple(map(self._redis.register_script, (_LOOK, _FILL, _INVALIDATE)))\n"
                "        self._look, self._fill, self._invalidate = self._scripts\n"
                "        self._loaded = False\n",
            ),
            Edit(
                "kit/cache.py",
                "            return await script(keys=[key], args=arguments)\n",
                "            if not self._loaded:\n"
                "                # All of them at once, so that no call has to be told first that Redis "
                "does not know its script.\n"
                "                for known in self._scripts:\n"
                "                    await self._redis.script_load(known.script)\n"
                "                self._loaded = True\n"
                "            return await self._redis.evalsha(script.sha, 1, key, *arguments)\n",
            ),
        ),
    ),
    Defect(
        id="CA602",
        category="CACHE",
        what="what the cache does not take is owed to it in memory, and counts as told",
        trigger="the cache refuses an invalidation, and its service is killed",
        edits=(
            Edit(
                "services/workspace_service/application/invalidation.py",
                "from typing import TYPE_CHECKING\n\n",
                "import asyncio\n"
                "from typing import TYPE_CHECKING\n"
                "\n"
                "from pyairtable_reference.kit.backoff import Backoff\n"
                "from pyairtable_reference.kit.cache import CacheUnavailable\n",
            ),
            Edit(
                "services/workspace_service/application/invalidation.py",
                "        self._cache = cache\n",
                "        self._cache = cache\n        self._owed: set[asyncio.Task[None]] = set()\n",
            ),
            Edit(
                "services/workspace_service/application/invalidation.py",
                "            CacheUnavailable: Redis does not answer; the event is to be handled again.\n"
                '        """\n'
                "        event = Event.of(record)\n"
                "        if event.event_type in CHANGES:\n"
                "            await self._cache.invalidate(event.tenant_id, event.aggregate_id, event.version)\n",
                '        """\n'
                "        event = Event.of(record)\n"
                "        if event.event_type not in CHANGES:\n"
                "            return\n"
                "        try:\n"
                "            await self._cache.invalidate(event.tenant_id, event.aggregate_id, event.version)\n"
                "        except CacheUnavailable:\n"
                "            # The others need not wait for this one.\n"
                "            owed = asyncio.create_task(self._until_done(event))\n"
                "            self._owed.add(owed)\n"
                "            owed.add_done_callback(self._owed.discard)\n"
                "\n"
                "    async def _until_done(self, event: Event) -> None:\n"
                "        backoff = Backoff(0.05, 1.0)\n"
                "        while True:\n"
                "            await asyncio.sleep(backoff.next_delay_s())\n"
                "            try:\n"
                "                return await self._cache.invalidate(event.tenant_id, event.aggregate_id, "
                "event.version)\n"
                "            except CacheUnavailable:\n"
                "                continue\n",
            ),
        ),
    ),
    Defect(
        id="CA603",
        category="CACHE",
        what="what the cache holds is decoded by its client, which fails with an error of its own",
        trigger="an entry that is no text",
        edits=(
            Edit(
                "kit/redis.py",
                "    return Redis.from_pool(ConnectionPool.from_url(url, connection_class=_Connection, "
                "retry=retry, **timeouts))\n",
                "    return Redis.from_pool(\n"
                "        ConnectionPool.from_url(url, connection_class=_Connection, retry=retry, "
                "decode_responses=True, **timeouts)\n"
                "    )\n",
            ),
            Edit(
                "services/auth_service/adapters/sessions.py",
                "def _session(stored: str | bytes | None) -> Session | None:\n",
                "def _session(stored: str | None) -> Session | None:\n",
            ),
        ),
    ),
)
