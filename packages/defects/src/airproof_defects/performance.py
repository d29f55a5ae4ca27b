"""Seeded defects of how much work is done for what is asked."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit

MAILER = "services/notification_service/application/welcome.py"
SMTP = "services/notification_service/adapters/smtp.py"

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="PF01",
        category="PERF",
        what="the sagas of a list are read one by one",
        trigger="a tenant has several",
        edits=(
            Edit(
                "kit/saga/store.py",
                "        return await self._all(_OF_TENANT, tenant=tenant_id, offset=offset, limit=limit)\n",
                "        known = await self._all(_OF_TENANT, tenant=tenant_id, offset=offset, limit=limit)\n"
                "        found = [await self.get(saga.id) for saga in known]\n"
                "        return [saga for saga in found if saga is not None]\n",
            ),
        ),
    ),
    Defect(
        id="PF02",
        category="PERF",
        what="what was not found leaves a mark that stays",
        trigger="somebody reads what is not there",
        edits=(
            Edit(
                "kit/cache.py",
                ("redis.call('EXPIRE', KEYS[1], ARGV[2])\nreturn {ARGV[1], false}"),
                "return {ARGV[1], false}",
            ),
        ),
    ),
    Defect(
        id="PF90",
        category="PERF",
        what="what the cache holds is loaded all the same",
        trigger="something is read twice",
        edits=(
            Edit(
                "kit/cache.py",
                "if life then return {life, redis.call('HGET', KEYS[1], 'body')} end",
                "if life then return {life, false} end",
            ),
        ),
    ),
    Defect(
        id="PF91",
        category="PERF",
        what="requests are counted by their paths",
        trigger="somebody asks for something by its id",
        edits=(
            Edit(
                "kit/http/middleware.py",
                'metrics.REQUESTS.labels(scope["method"], status)',
                'metrics.REQUESTS.labels(scope["path"], status)',
            ),
        ),
    ),
    Defect(
        id="PF92",
        category="PERF",
        what="mails that were sent count as due",
        trigger="a mail was sent",
        edits=(
            Edit(
                "services/notification_service/adapters/mails.py",
                " - func.now()).where(mails.c.status == QUEUED)",
                " - func.now())",
            ),
        ),
    ),
    Defect(
        id="PF93",
        category="PERF",
        what="the workspaces of a list are read one by one",
        trigger="somebody has several",
        edits=(
            Edit(
                "services/workspace_service/adapters/workspaces.py",
                "        return [Workspace(*row) for row in rows]\n",
                "        found = [await self.get(tenant_id, row.id) for row in rows.all()]\n"
                "        return [one for one in found if one]\n",
            ),
        ),
    ),
    Defect(
        id="PF133",
        category="PERF",
        what="a request that failed as nobody expected is not counted",
        trigger="a saga of another version is to be shown",
        edits=(
            Edit(
                "kit/http/middleware.py",
                "                await response(scope, receive, send_with_id)\n",
                "                await response(scope, receive, send_with_id)\n                return\n",
            ),
        ),
    ),
    Defect(
        id="PF130",
        category="PERF",
        what="the connection to the mail server is closed only when it has taken the mail",
        trigger="a mail is put off or rejected",
        edits=(
            Edit(
                SMTP,
                "        async with server:\n"
                "            try:\n"
                "                await server.send_message(message)\n"
                "            except asyncio.CancelledError:\n"
                "                # Left open, it would say QUIT and wait for that answer too.\n"
                "                server.close()\n"
                "                raise\n",
                "        await server.connect()\n"
                "        try:\n"
                "            await server.send_message(message)\n"
                "        except asyncio.CancelledError:\n"
                "            server.close()\n"
                "            raise\n"
                "        await server.quit()\n",
            ),
        ),
    ),
    Defect(
        id="PF131",
        category="PERF",
        what="a mail that cannot be processed keeps its place among those that are sent at a time",
        trigger="as many as there are places cannot be processed",
        edits=(
            Edit(
                MAILER,
                "        self._sending.discard(task)\n"
                "        self._queued.set()\n"
                "        if not task.cancelled() and (bug := task.exception()):\n"
                '            log.error("a mail could not be processed", exc_info=bug)\n',
                "        if not task.cancelled() and (bug := task.exception()):\n"
                '            log.error("a mail could not be processed", exc_info=bug)\n'
                "            return\n"
                "        self._sending.discard(task)\n"
                "        self._queued.set()\n",
            ),
        ),
    ),
    Defect(
        id="PF132",
        category="PERF",
        what="mails that are being sent are not counted among those that may be sent at a time",
        trigger="many mails wait while the mail server is slow",
        edits=(Edit(MAILER, "free = AT_ONCE - len(self._sending)", "free = AT_ONCE"),),
    ),
    Defect(
        id="PF110",
        category="PERF",
        what="each call of another service makes a client of its own",
        trigger="requests that follow one another",
        edits=(
            Edit(
                "kit/service_client.py",
                "            return await self._client.request(",
                "            async with httpx.AsyncClient(\n"
                "                verify=trusted_roots(), timeout=self._settings.delivery_timeout_s, trust_env=False\n"
                "            ) as client:\n"
                "                return await client.request(",
            ),
        ),
    ),
    Defect(
        id="PF111",
        category="PERF",
        what="passwords are checked on the event loop",
        trigger="somebody is served while another logs in",
        edits=(
            Edit(
                "services/auth_service/application/accounts.py",
                "await asyncio.to_thread(verify_password, password, stored)",
                "verify_password(password, stored)",
            ),
        ),
    ),
    Defect(
        id="PF03",
        category="PERF",
        what="whoever does not reach the broker looks more rarely for what is to be sent, and goes on so",
        trigger="the broker comes back, and another process leaves something in the outbox",
        edits=(
            Edit(
                "kit/relay.py",
                "            self._outages += 1\n",
                "            self._outages += 1\n            self._poll_s = min(2 * self._poll_s, 30.0)\n",
            ),
        ),
    ),
    Defect(
        id="PF230",
        category="PERF",
        what="how long requests take is told in milliseconds, where seconds are meant",
        trigger="a request",
        edits=(
            Edit(
                "kit/http/middleware.py",
                "observe(time.monotonic() - started)",
                "observe(1000 * (time.monotonic() - started))",
            ),
        ),
    ),
    Defect(
        id="PF231",
        category="PERF",
        what="lists are read from the primary, and the replica is there for nothing",
        trigger="somebody lists what is theirs",
        edits=(
            Edit(
                "services/workspace_service/entrypoints/service.py",
                'url = settings.database_read_url or settings.require("database_url")',
                'url = settings.require("database_url")',
            ),
        ),
    ),
    Defect(
        id="PF300",
        category="PERF",
        what="a command that was refused is counted as done",
        trigger="a participant refuses its step",
        edits=(
            Edit(
                "kit/participant.py",
                "labels(command.step, command.action, kept.outcome)",
                "labels(command.step, command.action, Outcome.DONE)",
            ),
        ),
    ),
    Defect(
        id="PF400",
        category="PERF",
        what="which service is behind a path is remembered for each path that was ever asked for",
        trigger="many paths are asked for that are all different",
        edits=(
            Edit(
                "services/api_gateway/domain/routes.py",
                "from enum import Enum, auto\n",
                "from enum import Enum, auto\nfrom functools import cache\n",
            ),
            Edit("services/api_gateway/domain/routes.py", "def upstream(path: str)", "@cache\ndef upstream(path: str)"),
        ),
    ),
    Defect(
        id="PF401",
        category="PERF",
        what="messages are fetched when there are many of them, or half a second has gone by",
        trigger="a saga",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                "            fetch_max_wait_ms=500,\n",
                "            fetch_min_bytes=16_384,\n            fetch_max_wait_ms=500,\n",
            ),
        ),
    ),
    Defect(
        id="PF402",
        category="PERF",
        what="who asks for messages is not made to wait until there are some, and asks again at once",
        trigger="there is nothing to do",
        edits=(Edit("kit/messaging/consumer.py", "consumer.getmany(timeout_ms=5000)", "consumer.getmany()"),),
    ),
    Defect(
        id="PF440",
        category="PERF",
        what="an answer is counted when it is written down, whether or not that is committed",
        trigger="a transaction is broken off, and what it did is done again",
        edits=(
            Edit(
                "kit/participant.py",
                "        work.after_commit(metrics.COMMANDS.labels(command.step, command.action, kept.outcome).inc)\n",
                "        metrics.COMMANDS.labels(command.step, command.action, kept.outcome).inc()\n",
            ),
        ),
    ),
    Defect(
        id="PF430",
        category="PERF",
        what="all that waits in the outbox is taken at once",
        trigger="more waits than is sent at a time",
        edits=(Edit("kit/relay.py", "IN_FLIGHT = 64\n", "IN_FLIGHT = 100_000\n"),),
    ),
    Defect(
        id="PF524",
        category="PERF",
        what="under which hash a token is kept is remembered for each token that was ever shown",
        trigger="many show tokens that are all different",
        edits=(
            Edit(
                "services/auth_service/adapters/sessions.py",
                "from dataclasses import dataclass\n",
                "from dataclasses import dataclass\nfrom functools import cache\n",
            ),
            Edit(
                "services/auth_service/adapters/sessions.py", "def _hash(token: str)", "@cache\ndef _hash(token: str)"
            ),
        ),
    ),
    Defect(
        id="PF525",
        category="PERF",
        what="the gateway remembers each token that it has turned away",
        trigger="many show tokens that are all different",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "    if answer.status_code == 401:\n",
                '    if answer.status_code == 401:\n        _turned_away.add(authorization["authorization"])\n',
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                '    answer = await client.call("auth-service"',
                '    if authorization["authorization"] in _turned_away:\n'
                '        raise ApiError(401, "unauthorized", "a valid access token is required")\n'
                '    answer = await client.call("auth-service"',
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "router = APIRouter()\n",
                "router = APIRouter()\n_turned_away: set[str] = set()\n",
            ),
        ),
    ),
    Defect(
        id="PF05",
        category="PERF",
        what="a service has ten connections for all that it asks",
        trigger="one of those that it asks does not answer",
        edits=(
            Edit(
                "kit/service_client.py",
                "        limits = httpx.Limits(max_connections=200, max_keepalive_connections=50, "
                "keepalive_expiry=4)\n",
                "        limits = httpx.Limits(max_connections=10, max_keepalive_connections=10, keepalive_expiry=4)\n",
            ),
        ),
    ),
    Defect(
        id="PF604",
        category="PERF",
        what="a page is cut out of everything there is",
        trigger="a tenant has more sagas than a page shows",
        edits=(
            Edit(
                "kit/saga/store.py",
                "_OF_TENANT = _SAGAS.where(\n"
                "    saga_instances.c.id.in_(\n"
                "        select(saga_instances.c.id)\n"
                '        .where(saga_instances.c.tenant_id == bindparam("tenant"))\n'
                "        .order_by(saga_instances.c.created_at.desc(), saga_instances.c.id)\n"
                '        .offset(bindparam("offset"))\n'
                '        .limit(bindparam("limit"))\n'
                "    )\n"
                ")\n",
                '_OF_TENANT = _SAGAS.where(saga_instances.c.tenant_id == bindparam("tenant"))\n',
            ),
            Edit(
                "kit/saga/store.py",
                "        return await self._all(_OF_TENANT, tenant=tenant_id, offset=offset, limit=limit)\n",
                "        sagas = await self._all(_OF_TENANT, tenant=tenant_id)\n"
                "        return sagas[offset : offset + limit]\n",
            ),
        ),
    ),
    Defect(
        id="PF605",
        category="PERF",
        what="a saga that failed is not counted",
        trigger="a saga ends so that somebody has to look after it",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "            work.after_commit(metrics.SAGAS.labels(saga.saga_type, saga.state).inc)\n",
                "            if saga.state is not SagaState.FAILED:\n"
                "                work.after_commit(metrics.SAGAS.labels(saga.saga_type, saga.state).inc)\n",
            ),
        ),
    ),
)
