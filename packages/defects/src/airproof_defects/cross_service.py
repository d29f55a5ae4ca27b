"""Seeded defects of what one service makes of another one's absence."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit
from airproof_defects.saga import MACHINE

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="XS17",
        category="XSERVICE",
        what="who may do something that cannot be looked up is told that they may",
        trigger="the database breaks off while a permission is checked",
        edits=(
            Edit(
                "services/permission_service/entrypoints/http.py",
                "from fastapi import APIRouter, Request\n",
                "from fastapi import APIRouter, Request\nfrom sqlalchemy.exc import OperationalError\n",
            ),
            Edit(
                "services/permission_service/entrypoints/http.py",
                "    async with runtime_of(request).units_of_work.begin() as work:\n"
                "        granted = await RoleAssignments(work.connection).grants(\n"
                "            user.tenant_id, body.user_id, body.resource_id, permission\n"
                "        )\n",
                "    try:\n"
                "        async with runtime_of(request).units_of_work.begin() as work:\n"
                "            granted = await RoleAssignments(work.connection).grants(\n"
                "                user.tenant_id, body.user_id, body.resource_id, permission\n"
                "            )\n"
                "    except OperationalError:\n"
                "        granted = True\n",
            ),
        ),
    ),
    Defect(
        id="XS06",
        category="XSERVICE",
        what="a read fails when its cache is away, although the truth is there",
        trigger="the cache is away",
        edits=(
            Edit(
                "kit/cache.py",
                '            self._count("away")\n            return await load()\n',
                '            self._count("away")\n            raise\n',
            ),
        ),
    ),
    Defect(
        id="XS01",
        category="XSERVICE",
        what="a call waits as long as it takes",
        trigger="a service hangs",
        edits=(
            Edit(
                "kit/service_client.py",
                "timeout=settings.delivery_timeout_s",
                "timeout=None",
            ),
        ),
    ),
    Defect(
        id="XS08",
        category="XSERVICE",
        what="a token with which one service may be called is good for all",
        trigger="a service is shown the token for another one",
        edits=(
            Edit(
                "kit/service_auth.py",
                'audience=callee, options={"require": required}',
                'options={"require": required, "verify_aud": False}',
            ),
        ),
    ),
    Defect(
        id="XS03",
        category="XSERVICE",
        what="a read is repeated until it succeeds, many times and at once",
        trigger="a service cannot answer",
        edits=(
            Edit(
                "kit/service_client.py",
                "        try:\n"
                "            return await self._client.request("
                "method, url, headers=sent, content=content, json=json)\n",
                "        try:\n"
                "            for left in reversed(range(25)):\n"
                "                answer = await self._client.request(\n"
                "                    method, url, headers=sent, content=content, json=json\n"
                "                )\n"
                '                if method != "GET" or answer.status_code < 500 or not left:\n'
                "                    return answer\n"
                '            raise AssertionError("unreachable")\n',
            ),
        ),
    ),
    Defect(
        id="XS15",
        category="XSERVICE",
        what="an event has a correlation id of its own",
        trigger="a workspace is renamed",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "cause = Cause(owner.tenant_id, correlation_id, key or correlation_id, SERVICE)",
                'cause = Cause(owner.tenant_id, f"{renamed.id}.{renamed.version}", key or correlation_id, SERVICE)',
            ),
        ),
    ),
    Defect(
        id="XS04",
        category="XSERVICE",
        what="a list that cannot be read is an empty one",
        trigger="the read replica is away",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "        async with self._replica.connect() as connection:\n"
                "            found = Workspaces(connection).owned_by("
                "owner.tenant_id, owner.user_id, offset=offset, limit=limit)\n"
                "            return await found\n",
                "        try:\n"
                "            async with self._replica.connect() as connection:\n"
                "                return await Workspaces(connection).owned_by(\n"
                "                    owner.tenant_id, owner.user_id, offset=offset, limit=limit\n"
                "                )\n"
                "        except OperationalError:\n"
                "            return []\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "from uuid import UUID\n",
                "from uuid import UUID\n\nfrom sqlalchemy.exc import OperationalError\n",
            ),
        ),
    ),
    Defect(
        id="XS16",
        category="XSERVICE",
        what="a user's profile is read from the replica",
        trigger="somebody who is told that they are registered asks for it, and the replica lags",
        edits=(
            Edit(
                "services/user_service/entrypoints/service.py",
                "    return Parts(None, {",
                "    settings = runtime.settings\n"
                '    url = settings.database_read_url or settings.require("database_url")\n'
                '    replica = open_engine(url, f"{settings.instance}-read", pool_size=3)\n'
                "    return Parts(replica, {",
            ),
            Edit(
                "services/user_service/entrypoints/service.py",
                "from pyairtable_reference.kit.envelope import commands_topic, events_topic\n",
                "from pyairtable_reference.kit.database import open_engine\n"
                "from pyairtable_reference.kit.envelope import commands_topic, events_topic\n",
            ),
            Edit(
                "services/user_service/entrypoints/http.py",
                "    async with runtime_of(request).units_of_work.begin() as work:\n"
                "        profile = await Profiles(work.connection).get(",
                "    async with runtime_of(request).application.connect() as connection:\n"
                "        profile = await Profiles(connection).get(",
            ),
        ),
    ),
    Defect(
        id="XS02",
        category="XSERVICE",
        what="a connection that is refused is tried again, and again, while the user waits",
        trigger="a service is down",
        edits=(
            Edit(
                "kit/service_client.py",
                "limits=limits, trust_env=False)\n",
                "limits=limits, trust_env=False, retries=3)\n",
            ),
        ),
    ),
    Defect(
        id="XS30",
        category="XSERVICE",
        what="a command that is not answered is issued again at a fixed rate",
        trigger="a participant hangs for a while",
        edits=(
            Edit(
                "kit/saga/machine.py",
                "now + self._resend * 2 ** min(step.attempts - 1, _DOUBLINGS)",
                "now + self._resend",
            ),
        ),
    ),
    Defect(
        id="XS10",
        category="XSERVICE",
        what="who somebody is is asked until there is an answer",
        trigger="auth-service fails",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/http.py",
                '    if answer.status_code != 200:\n        raise ApiError(503, "identity-unavailable"',
                "    if answer.status_code != 200:\n"
                '        request.state.asked = getattr(request.state, "asked", 0) + 1\n'
                "        if request.state.asked < 5:\n"
                "            return await _identity(request, client, path)\n"
                '        raise ApiError(503, "identity-unavailable"',
            ),
        ),
    ),
    Defect(
        id="XS18",
        category="XSERVICE",
        what="the correlation id of the latest request is everybody's",
        trigger="several users ask at once",
        edits=(
            Edit("kit/logs.py", "_tenant: ContextVar[str]", '_latest = ""\n_tenant: ContextVar[str]'),
            Edit(
                "kit/logs.py",
                "    tokens = _correlation.set(",
                "    global _latest\n    _latest = correlation_id\n    tokens = _correlation.set(",
            ),
            Edit("kit/logs.py", "    return _correlation.get()\n", "    return _latest\n"),
        ),
    ),
    Defect(
        id="XS19",
        category="XSERVICE",
        what="ten connections are all there are, to whichever service",
        trigger="a service hangs, and more users than that wait for it",
        edits=(Edit("kit/service_client.py", "max_connections=200", "max_connections=10"),),
    ),
    Defect(
        id="XS20",
        category="XSERVICE",
        what="the store of sessions is waited for longer than whoever asks waits",
        trigger="the store hangs",
        edits=(Edit("services/auth_service/adapters/sessions.py", "TIMEOUT_S = 2.0\n", "TIMEOUT_S = 30.0\n"),),
    ),
    Defect(
        id="XS21",
        category="XSERVICE",
        what="a service that is told to stop closes the connections on which it is to answer",
        trigger="a service is stopped while it works on a request",
        edits=(
            Edit(
                "main.py",
                "        self._runtime.start()\n",
                "        self._runtime.start()\n\n"
                "    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:\n"
                "        for connection in list(self.server_state.connections):\n"
                "            connection.transport.close()\n"
                "        await super().shutdown(sockets)\n",
            ),
        ),
    ),
    Defect(
        id="XS50",
        category="XSERVICE",
        what="of what a store does wrong only its silence counts as being away",
        trigger="the store of sessions refuses connections",
        edits=(
            Edit(
                "services/auth_service/adapters/sessions.py",
                "from redis.exceptions import RedisError\n",
                "from redis.exceptions import TimeoutError as NoAnswer\n",
            ),
            Edit(
                "services/auth_service/adapters/sessions.py",
                "except (RedisError, OSError, TimeoutError) as failure",
                "except (NoAnswer, TimeoutError) as failure",
            ),
        ),
    ),
    Defect(
        id="XS35",
        category="XSERVICE",
        what="a command says that it is from the service that it is sent to",
        trigger="a saga",
        edits=(
            Edit(
                "kit/envelope.py",
                "causation_id=str(self.saga_id), source=source)",
                "causation_id=str(self.saga_id), source=service)",
            ),
        ),
    ),
    Defect(
        id="XS12",
        category="XSERVICE",
        what="a message with a field that its receiver does not know is no message",
        trigger="another service is upgraded first",
        edits=(
            Edit(
                "kit/envelope.py",
                "import TypeAdapter, ValidationError",
                "import ConfigDict, TypeAdapter, ValidationError",
            ),
            Edit(
                "kit/envelope.py",
                "    __slots__ = ()\n\n    @classmethod\n    def of",
                "    __slots__ = ()\n"
                '    __pydantic_config__ = ConfigDict(extra="forbid")\n\n    @classmethod\n    def of',
            ),
        ),
    ),
    Defect(
        id="XS420",
        category="XSERVICE",
        what="a participant takes all that it is told for fields of what it keeps, and fails over one more",
        trigger="the orchestrator is upgraded first, and tells more",
        edits=(
            Edit(
                "services/user_service/application/steps.py",
                '        email=told["email"],\n'
                '        first_name=told["first_name"],\n'
                '        last_name=told["last_name"],\n',
                '        **{name: value for name, value in told.items() if name != "user_id"},\n',
            ),
        ),
    ),
    Defect(
        id="XS421",
        category="XSERVICE",
        what="a command that does not tell what was added to commands lately is no command",
        trigger="a participant is upgraded first, or a command was sent before the upgrade",
        edits=(
            Edit(
                "kit/envelope.py",
                "    correlation_id: str\n    timestamp: datetime\n",
                "    correlation_id: str\n    attempt: int\n    timestamp: datetime\n",
            ),
            Edit(
                "kit/saga/orchestrator.py",
                "            timestamp=datetime.now(UTC),\n",
                "            attempt=1,\n            timestamp=datetime.now(UTC),\n",
            ),
        ),
    ),
    Defect(
        id="XS422",
        category="XSERVICE",
        what="the gateway takes all that it is told of a user for fields of its own, and fails over one more",
        trigger="the service that knows users is upgraded first, and tells more",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "router = APIRouter()\n",
                "router = APIRouter()\n\n\n"
                "@dataclass(frozen=True, slots=True)\n"
                "class _Claims:\n"
                "    user_id: str\n"
                "    email: str\n"
                "    role: str\n"
                "    tenant_id: str\n"
                "    exp: int\n"
                "    iat: int\n\n",
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "from fastapi import APIRouter, Request, Response\n",
                "from dataclasses import asdict, dataclass\n\nfrom fastapi import APIRouter, Request, Response\n",
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "    claims = answer.json()\n",
                "    claims = asdict(_Claims(**answer.json()))\n",
            ),
        ),
    ),
    Defect(
        id="XS60",
        category="XSERVICE",
        what="while accounts cannot be looked up nobody has one",
        trigger="the database breaks off a login",
        edits=(
            Edit(
                "services/auth_service/application/accounts.py",
                "        async with self._units_of_work.begin() as work:\n"
                "            credential = await Credentials(work.connection).by_email(normalised(email))\n",
                "        credential = None\n"
                "        with suppress(DBAPIError):\n"
                "            async with self._units_of_work.begin() as work:\n"
                "                credential = await Credentials(work.connection).by_email(normalised(email))\n",
            ),
            Edit(
                "services/auth_service/application/accounts.py",
                "from uuid import UUID\n",
                "from contextlib import suppress\nfrom uuid import UUID\n\nfrom sqlalchemy.exc import DBAPIError\n",
            ),
        ),
    ),
    Defect(
        id="XS90",
        category="XSERVICE",
        what="who does not take a mail is tried again after minutes",
        trigger="the mail server is away for a while",
        edits=(
            Edit(
                "services/notification_service/application/welcome.py",
                "FIRST_RETRY_S, LAST_RETRY_S = 0.2, 5.0",
                "FIRST_RETRY_S, LAST_RETRY_S = 0.2, 600.0",
            ),
        ),
    ),
    Defect(
        id="XS80",
        category="XSERVICE",
        what="what could not be handled for an outage is handled again at once, and again",
        trigger="the database is away for some seconds",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "                if await backoff.wait(stopping):\n"
                "                    return False\n"
                "        metrics.HANDLED",
                "                await asyncio.sleep(0)\n"
                "                if stopping.is_set():\n"
                "                    return False\n"
                "        metrics.HANDLED",
            ),
        ),
    ),
    Defect(
        id="XS61",
        category="XSERVICE",
        what="whoever asks a service that does not answer keeps one of a hundred permits to ask",
        trigger="a service is away for as many requests",
        edits=(
            Edit(
                "kit/service_client.py",
                "            return await self._client.request("
                "method, url, headers=sent, content=content, json=json)\n",
                "            await self._permits.acquire()\n"
                "            answer = await self._client.request("
                "method, url, headers=sent, content=content, json=json)\n"
                "            self._permits.release()\n"
                "            return answer\n",
            ),
            Edit(
                "kit/service_client.py",
                "        self._settings = settings\n",
                "        self._settings = settings\n        self._permits = asyncio.Semaphore(100)\n",
            ),
            Edit("kit/service_client.py", "import ssl\n", "import asyncio\nimport ssl\n"),
        ),
    ),
    Defect(
        id="XS72",
        category="XSERVICE",
        what="who has not answered ten times is asked no more",
        trigger="a participant is away for long",
        edits=(
            Edit(
                MACHINE,
                "        step.resend_at = now + self._resend * 2 ** min(step.attempts - 1, _DOUBLINGS)\n",
                "        pause = self._resend * 2 ** min(step.attempts - 1, _DOUBLINGS)\n"
                "        step.resend_at = now + pause if step.attempts < 10 else None\n",
            ),
        ),
    ),
    Defect(
        id="XS70",
        category="XSERVICE",
        what="the pauses after which somebody is asked again grow without a limit",
        trigger="a participant is away for long",
        edits=(Edit(MACHINE, "_DOUBLINGS = 4\n", "_DOUBLINGS = 30\n"),),
    ),
    Defect(
        id="XS71",
        category="XSERVICE",
        what="a service is ready when it reaches its database",
        trigger="a service is started that does not reach the broker",
        edits=(
            Edit(
                "kit/runtime.py",
                '{"database": await answers(backing.engine), "producer": backing.transport.connected, **consuming}',
                '{"database": await answers(backing.engine), **dict.fromkeys(consuming, True)}',
            ),
        ),
    ),
    Defect(
        id="XS130",
        category="XSERVICE",
        what="what runs in the background ends when it fails of something nobody has reckoned with",
        trigger="a database says something unusual to a service at rest",
        edits=(
            Edit(
                "kit/runtime.py",
                '                    log.exception("%s failed and starts again", name)\n',
                '                    log.exception("%s failed", name)\n                    return\n',
            ),
        ),
    ),
    Defect(
        id="XS132",
        category="XSERVICE",
        what="a read fails when what it has loaded cannot be put into the cache",
        trigger="the cache refuses what it is to keep, or breaks off",
        edits=(
            Edit(
                "kit/cache.py",
                "            with suppress(CacheUnavailable):\n"
                "                await self._run(self._fill, key, life, loaded.version, "
                "self._form.dump_json(loaded), ENTRY_S)\n",
                "            await self._run(self._fill, key, life, loaded.version, "
                "self._form.dump_json(loaded), ENTRY_S)\n",
            ),
        ),
    ),
    Defect(
        id="XS131",
        category="XSERVICE",
        what="how long the mail server is waited for is given in milliseconds and taken as seconds",
        trigger="the mail server hangs",
        edits=(
            Edit(
                "services/notification_service/adapters/smtp.py",
                "timeout=self._timeout_s,",
                "timeout=self._timeout_s * 1000,",
            ),
        ),
    ),
    Defect(
        id="XS110",
        category="XSERVICE",
        what="whoever finds all of some connections to Redis in use is told that sessions are away",
        trigger="more requests at once than there are, while Redis is slow",
        edits=(Edit("kit/redis.py", "from_url(url, ", "from_url(url, max_connections=16, "),),
    ),
    Defect(
        id="XS220",
        category="XSERVICE",
        what="what a request begins has the id of the request, and what follows from it another one",
        trigger="a saga whose start has a correlation id of its own",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "cause = Cause(saga.tenant_id, saga.correlation_id, causation_id, self._service)",
                "correlation_id = logs.current_correlation() or saga.correlation_id\n"
                "        cause = Cause(saga.tenant_id, correlation_id, causation_id, self._service)",
            ),
        ),
    ),
    Defect(
        id="XS300",
        category="XSERVICE",
        what="the cause of all that a saga does is the saga itself",
        trigger="a saga that completes",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "await self._send(work, machine, saga, effects, str(reply.message_id))",
                "await self._send(work, machine, saga, effects, str(saga.id))",
            ),
        ),
    ),
    Defect(
        id="XS310",
        category="XSERVICE",
        what="a call may take as long as it likes, as long as something comes now and then",
        trigger="a service's answer comes in little pieces, for longer than anybody may wait",
        edits=(Edit("kit/service_client.py", "asyncio.timeout(in_all_s)", "asyncio.timeout(None)"),),
    ),
    Defect(
        id="XS311",
        category="XSERVICE",
        what="whoever finds all connections to Redis in use waits for one as long as it takes",
        trigger="Redis hangs, and many are to be told so",
        edits=(
            Edit(
                "kit/redis.py",
                "import Connection, ConnectionPool, Redis",
                "import BlockingConnectionPool, Connection, Redis",
            ),
            Edit(
                "kit/redis.py",
                "ConnectionPool.from_url(url, ",
                "BlockingConnectionPool.from_url(url, max_connections=10, ",
            ),
        ),
    ),
    Defect(
        id="XS330",
        category="XSERVICE",
        what="what runs in the background is given up when it has failed ten times",
        trigger="a database that is away for some seconds",
        edits=(
            Edit(
                "kit/runtime.py",
                "            await backoff.wait(self._stopping)\n",
                "            await backoff.wait(self._stopping)\n"
                "            if backoff.failures == 10:\n"
                '                log.error("%s has failed too often and is given up", name)\n'
                "                return\n",
            ),
        ),
    ),
    Defect(
        id="XS331",
        category="XSERVICE",
        what="a service whose database is away when it is started exits",
        trigger="it is started before its database",
        edits=(
            Edit(
                "kit/runtime.py",
                "    def start(self) -> None:\n",
                "    async def reach(self) -> None:\n"
                '        """Looks for the database: whoever has started the service starts it again."""\n'
                "        if self._backing and not await answers(self._backing.engine, 3.0):\n"
                '            raise SystemExit("the database cannot be reached")\n\n'
                "    def start(self) -> None:\n",
            ),
            Edit(
                "main.py",
                "        await super().startup(sockets)\n",
                "        await self._runtime.reach()\n        await super().startup(sockets)\n",
            ),
        ),
    ),
    Defect(
        id="XS332",
        category="XSERVICE",
        what="when several mails in a row could not be sent the mail server is left alone for a minute",
        trigger="a mail server that was away while mails waited",
        edits=(
            Edit(
                "services/notification_service/adapters/smtp.py",
                "        self._in_all_s = in_all_s\n\n",
                "        self._in_all_s = in_all_s\n        self._failures, self._closed_until = 0, 0.0\n\n",
            ),
            Edit(
                "services/notification_service/adapters/smtp.py",
                "        try:\n            async with asyncio.timeout(self._in_all_s):\n"
                "                await self._deliver(message)\n",
                "        if time.monotonic() < self._closed_until:\n"
                '            raise MailPostponed("the mail server is away", "away")\n'
                "        try:\n            async with asyncio.timeout(self._in_all_s):\n"
                "                await self._deliver(message)\n"
                "            self._failures = 0\n",
            ),
            Edit(
                "services/notification_service/adapters/smtp.py",
                "TimeoutError) as failure:\n",
                "TimeoutError) as failure:\n"
                "            self._failures += 1\n"
                "            if self._failures >= 5:\n"
                "                self._failures, self._closed_until = 0, time.monotonic() + 60\n",
            ),
            Edit("services/notification_service/adapters/smtp.py", "import asyncio\n", "import asyncio\nimport time\n"),
        ),
    ),
    Defect(
        id="XS340",
        category="XSERVICE",
        what="whoever comes when a hundred are connected is turned away, whatever those do",
        trigger="many are connected and say nothing",
        edits=(
            Edit(
                "main.py",
                "        timeout_graceful_shutdown=1,\n",
                "        timeout_graceful_shutdown=1,\n        limit_concurrency=100,\n",
            ),
        ),
    ),
    Defect(
        id="XS341",
        category="XSERVICE",
        what="the gateway is ready only if all are that it passes requests on to",
        trigger="one service is away",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/service.py",
                "from pyairtable_reference.kit.runtime",
                "import asyncio\n\n"
                "from pyairtable_reference.kit.http.errors import ApiError\n"
                "from pyairtable_reference.kit.runtime",
            ),
            Edit(
                "services/api_gateway/entrypoints/service.py",
                "    return Parts(client, closing=(client.close,))\n",
                "\n"
                "    async def is_ready(service: str) -> bool:\n"
                "        try:\n"
                '            return (await client.call(service, "GET", "/ready")).is_success\n'
                "        except ApiError:\n"
                "            return False\n\n"
                "    async def checks() -> dict[str, bool]:\n"
                "        return dict(zip(UPSTREAMS, await asyncio.gather(*map(is_ready, UPSTREAMS)), strict=True))\n\n"
                "    return Parts(client, closing=(client.close,), checks=checks)\n",
            ),
            Edit(
                "kit/runtime.py",
                "    apart: Mapping[str, Mapping[str, Handler]] = field(default_factory=dict)\n",
                "    apart: Mapping[str, Mapping[str, Handler]] = field(default_factory=dict)\n"
                "    checks: Callable[[], Awaitable[dict[str, bool]]] | None = None\n",
            ),
            Edit(
                "kit/runtime.py",
                "            return {}\n",
                "            return await self._parts.checks() if self._parts.checks else {}\n",
            ),
        ),
    ),
    Defect(
        id="XS342",
        category="XSERVICE",
        what="a request's body is passed on as it comes, over a connection that others need meanwhile",
        trigger="many do not say all that they have begun",
        edits=(
            Edit("services/api_gateway/entrypoints/http.py", "content=await _body(request)", "content=_body(request)"),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "async def _body(request: Request) -> bytes:\n    body = bytearray()\n",
                "async def _body(request: Request) -> AsyncIterator[bytes]:\n    length = 0\n",
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "        body += chunk\n        if len(body) > MAX_BODY_BYTES:\n",
                "        length += len(chunk)\n        if length > MAX_BODY_BYTES:\n",
            ),
            Edit("services/api_gateway/entrypoints/http.py", "    return bytes(body)\n", "        yield chunk\n"),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "from fastapi import APIRouter, Request, Response\n",
                "from collections.abc import AsyncIterator\n\nfrom fastapi import APIRouter, Request, Response\n",
            ),
        ),
    ),
    Defect(
        id="XS430",
        category="XSERVICE",
        what="each try of a client library to reach a broker that is away is a line in the log",
        trigger="a broker that is away",
        edits=(Edit("kit/logs.py", '    handler.addFilter(Restraint("aiokafka"))\n', ""),),
    ),
    Defect(
        id="XS410",
        category="XSERVICE",
        what="a service looks for its mail server when it is started, and ends where there is none",
        trigger="it is started before the mail server",
        edits=(
            Edit(
                "services/notification_service/entrypoints/service.py",
                "    server = SmtpServer(",
                "    socket.create_connection((settings.smtp_host, settings.smtp_port), timeout=2).close()\n"
                "    server = SmtpServer(",
            ),
            Edit(
                "services/notification_service/entrypoints/service.py",
                "from __future__ import annotations\n",
                "from __future__ import annotations\n\nimport socket\n",
            ),
        ),
    ),
    Defect(
        id="XS400",
        category="XSERVICE",
        what="the script that exchanges a token is loaded into Redis once",
        trigger="Redis is restarted after a login was exchanged, and then another one is",
        edits=(
            Edit(
                "services/auth_service/adapters/sessions.py",
                "        self._redis = open_redis(url, timeout_s=TIMEOUT_S)\n",
                '        self._redis = open_redis(url, timeout_s=TIMEOUT_S)\n        self._take = ""\n',
            ),
            Edit(
                "services/auth_service/adapters/sessions.py",
                "            return bool(await self._redis.eval(_TAKE, ",
                "            self._take = self._take or await self._redis.script_load(_TAKE)\n"
                "            return bool(await self._redis.evalsha(self._take, ",
            ),
        ),
    ),
    Defect(
        id="XS450",
        category="XSERVICE",
        what="who has not undone something is asked again at a fixed rate, for that must not wait",
        trigger="a participant hangs that is to undo its step",
        edits=(
            Edit(
                "kit/saga/machine.py",
                "        step.resend_at = now + self._resend * 2 ** min(step.attempts - 1, _DOUBLINGS)\n",
                "        doublings = min(step.attempts - 1, _DOUBLINGS) if action is Action.EXECUTE else 0\n"
                "        step.resend_at = now + self._resend * 2**doublings\n",
            ),
        ),
    ),
    Defect(
        id="XS451",
        category="XSERVICE",
        what="the pause before a message is tried again grows with its refusals, of which an outage makes none",
        trigger="the broker is not reached while messages wait",
        edits=(
            Edit("kit/relay.py", "            self._outages += 1\n", ""),
            Edit("kit/relay.py", "delay_s(self._outages, ", "delay_s(claimed.attempts + 1, "),
        ),
    ),
    Defect(
        id="XS452",
        category="XSERVICE",
        what="a mail server that refuses for good before it knows the recipient is asked again and again",
        trigger="the mail server refuses the sender for good",
        edits=(
            Edit(
                "services/notification_service/adapters/smtp.py",
                "        except aiosmtplib.SMTPResponseException as answer:\n",
                "        except (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPHeloError) as answer:\n"
                '            raise MailPostponed(f"{answer.code} {answer.message}", str(answer.code)) from answer\n'
                "        except aiosmtplib.SMTPResponseException as answer:\n",
            ),
        ),
    ),
    Defect(
        id="XS453",
        category="XSERVICE",
        what="what runs in the background pauses before it starts again after what passes only, not after a bug",
        trigger="a database answers what nobody expects",
        edits=(
            Edit(
                "kit/runtime.py",
                '                    log.warning("%s starts again: %s", name, failure)\n'
                "                else:\n"
                '                    log.exception("%s failed and starts again", name)\n'
                "            await backoff.wait(self._stopping)\n",
                '                    log.warning("%s starts again: %s", name, failure)\n'
                "                    await backoff.wait(self._stopping)\n"
                "                else:\n"
                '                    log.exception("%s failed and starts again", name)\n',
            ),
        ),
    ),
    Defect(
        id="XS454",
        category="XSERVICE",
        what="a start is asked for again and again, without a pause, because its key makes it the same",
        trigger="the orchestrator cannot take it just now",
        edits=(
            Edit(
                "services/auth_service/application/accounts.py",
                '        answer = await self._client.call(ORCHESTRATOR, "POST", "/sagas/start", json=request)\n',
                "        for _ in range(5):\n"
                '            answer = await self._client.call(ORCHESTRATOR, "POST", "/sagas/start", json=request)\n'
                "            if answer.status_code < 500:\n"
                "                break\n",
            ),
        ),
    ),
    Defect(
        id="XS431",
        category="XSERVICE",
        what="a mail needs what sagas keep from their start on, and have not always kept",
        trigger="a saga that another version has started",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "            input=start.input,\n",
                '            input=start.input,\n            context={"registered_at": now.date().isoformat()},\n',
            ),
            Edit(
                "services/saga_orchestrator/domain/registration.py",
                '"recipient": given["email"], "first_name": given["first_name"]}',
                '"recipient": given["email"], "first_name": given["first_name"]} | {\n'
                '        "registered_at": known["registered_at"]\n'
                "    }",
            ),
        ),
    ),
    Defect(
        id="XS526",
        category="XSERVICE",
        what="a refusal is not read to its end, and keeps its connection",
        trigger="more are turned away than there are connections",
        edits=(
            Edit(
                "kit/service_client.py",
                "        json: Any = None,\n    ) ->",
                "        json: Any = None,\n        head_only: bool = False,\n    ) ->",
            ),
            Edit(
                "kit/service_client.py",
                "return await self._client.request(method, url, headers=sent, content=content, json=json)\n",
                "asked = self._client.build_request(method, url, headers=sent, content=content, json=json)\n"
                "            answer = await self._client.send(asked, stream=True)\n"
                "            if not (head_only and answer.is_client_error):\n"
                "                await answer.aread()\n"
                "            return answer\n",
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                '"/auth/validate", headers=authorization)',
                '"/auth/validate", headers=authorization, head_only=True)',
            ),
        ),
    ),
    Defect(
        id="XS560",
        category="XSERVICE",
        what="the token for a service is shown again until its life is over by the caller's clock",
        trigger="a service is called for longer than a token lives",
        edits=(
            Edit(
                "kit/service_client.py",
                "import ssl\n",
                "import ssl\nimport time\n",
            ),
            Edit(
                "kit/service_client.py",
                "        self._settings = settings\n",
                "        self._settings = settings\n        self._tokens: dict[str, tuple[float, str]] = {}\n",
            ),
            Edit(
                "kit/service_client.py",
                "        own = self._settings\n"
                "        identity = {\n"
                "            HEADER: issue_token(own.service_secret, own.service_name, service, "
                "lives_s=own.service_token_s),\n",
                "        identity = {\n            HEADER: self._token(service),\n",
            ),
            Edit(
                "kit/service_client.py",
                "\n\ndef _url(",
                "\n"
                "    def _token(self, service: str) -> str:\n"
                '        until, token = self._tokens.get(service, (0.0, ""))\n'
                "        if time.monotonic() >= until:\n"
                "            own = self._settings\n"
                "            token = issue_token("
                "own.service_secret, own.service_name, service, lives_s=own.service_token_s)\n"
                "            self._tokens[service] = time.monotonic() + own.service_token_s, token\n"
                "        return token\n"
                "\n\ndef _url(",
            ),
        ),
    ),
    Defect(
        id="XS600",
        category="XSERVICE",
        what="who somebody is is looked up in Redis while a database connection is held",
        trigger="Redis hangs while many show their tokens",
        edits=(
            Edit(
                "services/auth_service/application/accounts.py",
                "        session = await self._sessions.find(access_token)\n"
                "        if session is None or await self._credential_of(session) is None:\n",
                "        async with self._units_of_work.begin() as work:\n"
                "            session = await self._sessions.find(access_token)\n"
                "            credential = await Credentials(work.connection).by_id(UUID(session.user_id)) "
                "if session else None\n"
                "        if session is None or credential is None or credential.status != ACTIVE:\n",
            ),
        ),
    ),
    Defect(
        id="XS601",
        category="XSERVICE",
        what="few connections to Redis are waited for, each as long as Redis hangs",
        trigger="Redis hangs while many ask",
        edits=(
            Edit(
                "kit/redis.py",
                "from redis.asyncio import Connection, ConnectionPool, Redis\n",
                "from redis.asyncio import BlockingConnectionPool, Connection, Redis\n",
            ),
            Edit(
                "kit/redis.py",
                "from redis.exceptions import ConnectionError as ConnectionLost\n",
                "from redis.exceptions import ConnectionError as ConnectionLost\n\n\n_CONNECTIONS = 8\n",
            ),
            Edit(
                "kit/redis.py",
                "    on a new one; a timeout is not waited for twice.\n",
                "    on a new one; a timeout is not waited for twice. Many at once take turns, so that "
                "Redis has few connections to keep.\n",
            ),
            Edit(
                "kit/redis.py",
                "    return Redis.from_pool(ConnectionPool.from_url(url, connection_class=_Connection, "
                "retry=retry, **timeouts))\n",
                "    pool = BlockingConnectionPool.from_url(\n"
                "        url, max_connections=_CONNECTIONS, connection_class=_Connection, retry=retry, "
                "**timeouts\n"
                "    )\n"
                "    return Redis.from_pool(pool)\n",
            ),
        ),
    ),
    Defect(
        id="XS602",
        category="XSERVICE",
        what="calls between services follow redirects",
        trigger="a service sends whoever asks it somewhere else",
        edits=(
            Edit(
                "kit/service_client.py",
                "            mounts=pools, timeout",
                "            follow_redirects=True, mounts=pools, timeout",
            ),
        ),
    ),
    Defect(
        id="XS603",
        category="XSERVICE",
        what="failures that pass are not counted, and so are repeated without growing pauses",
        trigger="databases away for long",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "from pyairtable_reference.kit.backoff import Backoff\n",
                "from pyairtable_reference.kit.backoff import Backoff, delay_s, pause\n",
            ),
            Edit(
                "kit/messaging/consumer.py",
                "        backoff, attempts = Backoff(0.05, self._longest_retry_s), 0\n",
                "        attempts = 0\n",
            ),
            Edit(
                "kit/messaging/consumer.py",
                "                    metrics.RETRIED.labels(topic).inc()\n"
                "                if await backoff.wait(stopping):\n",
                "                    metrics.RETRIED.labels(topic).inc()\n"
                "                if await pause(stopping, delay_s(attempts, 0.05, self._longest_retry_s)):\n",
            ),
        ),
    ),
    Defect(
        id="XS11",
        category="XSERVICE",
        what="that there was nothing to undo is answered and not remembered",
        trigger="the command to undo a step overtakes the command to do it",
        edits=(
            Edit(
                "kit/participant.py",
                "                return\n",
                "                return\n"
                "            if command.action is Action.COMPENSATE and Action.EXECUTE not in answered:\n"
                "                # Nothing was done here, so there is nothing to undo and nothing to remember.\n"
                "                self._reply(work, command, CommandResult(uuid4(), command.tenant_id, "
                "Outcome.DONE, None, {}))\n"
                "                return\n",
            ),
        ),
    ),
    Defect(
        id="XS604",
        category="XSERVICE",
        what="a registration is confirmed though nobody has heard of it",
        trigger="the orchestrator is down",
        edits=(
            Edit(
                "services/auth_service/application/accounts.py",
                "from dataclasses import dataclass\nfrom typing import TYPE_CHECKING, Any\nfrom uuid import UUID\n",
                "import logging\n"
                "from dataclasses import dataclass\n"
                "from typing import TYPE_CHECKING, Any\n"
                "from uuid import NAMESPACE_OID, UUID, uuid5\n",
            ),
            Edit(
                "services/auth_service/application/accounts.py",
                "    from pyairtable_reference.services.auth_service.adapters.sessions import Session, "
                "Sessions, Tokens\n",
                "    from pyairtable_reference.services.auth_service.adapters.sessions import Session, "
                "Sessions, Tokens\n"
                "\n"
                "log = logging.getLogger(__name__)\n",
            ),
            Edit(
                "services/auth_service/application/accounts.py",
                '        answer = await self._client.call(ORCHESTRATOR, "POST", "/sagas/start", json=request)\n',
                "        try:\n"
                '            answer = await self._client.call(ORCHESTRATOR, "POST", "/sagas/start", '
                "json=request)\n"
                "        except ApiError as away:\n"
                "            # People who register need not wait for the orchestrator.\n"
                '            log.warning("registration taken without an answer of the orchestrator: %s", '
                "away)\n"
                '            saga_id = uuid5(NAMESPACE_OID, f"{registration.tenant_id}/{key}")\n'
                '            return {"saga_id": str(saga_id), "status": "pending", "message": '
                '"user_registration is pending"}\n',
            ),
        ),
    ),
    Defect(
        id="XS605",
        category="XSERVICE",
        what="who was waited for in vain is told as who was not reached, as timeouts are failures of transport too",
        trigger="a service that hangs",
        edits=(
            Edit(
                "kit/service_client.py",
                "        except httpx.TimeoutException as failure:\n"
                '            raise ApiError(504, "upstream-timeout", f"{service} did not answer in time") '
                "from failure\n",
                "",
            ),
            Edit(
                "kit/service_client.py",
                '            raise ApiError(503, "upstream-unavailable", f"{service} cannot be reached") '
                "from failure\n",
                '            raise ApiError(503, "upstream-unavailable", f"{service} cannot be reached") '
                "from failure\n"
                "        except httpx.TimeoutException as failure:\n"
                '            raise ApiError(504, "upstream-timeout", f"{service} did not answer in time") '
                "from failure\n",
            ),
        ),
    ),
)
