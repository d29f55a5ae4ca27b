"""Seeded defects of the gateway: whom it lets in, what it passes on and what it makes of an answer."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="GW02",
        category="GATEWAY",
        what="whatever lies below a public path is public, however it is spelled, and what it leads to",
        trigger="somebody without a token asks for something below it",
        edits=(
            Edit(
                "services/api_gateway/domain/routes.py",
                "    if (method, path) in _PUBLIC:",
                '    if path.startswith("/auth/") or path.startswith("/sagas/"):',
            ),
        ),
    ),
    Defect(
        id="GW03",
        category="GATEWAY",
        what="headers in which a client says who it is pass, and win",
        trigger="a user sends the headers of another one",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/http.py",
                '"content-type", "idempotency-key")\n_OUT',
                '"content-type", "idempotency-key", "x-user-id", "x-tenant-id")\n_OUT',
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "headers=headers | identity",
                "headers={name.lower(): value for name, value in identity.items()} | headers",
            ),
        ),
    ),
    Defect(
        id="GW11",
        category="GATEWAY",
        what="whatever was lost on its way to a service or back is sent once more, also a change",
        trigger="the answer to a change is lost",
        edits=(
            Edit(
                "kit/service_client.py",
                "            return await self._client.request("
                "method, url, headers=sent, content=content, json=json)\n",
                "            try:\n"
                "                return await self._client.request("
                "method, url, headers=sent, content=content, json=json)\n"
                "            except httpx.TransportError:\n"
                "                return await self._client.request("
                "method, url, headers=sent, content=content, json=json)\n",
            ),
        ),
    ),
    Defect(
        id="GW13",
        category="GATEWAY",
        what="a service makes a correlation id of its own, for it is told none",
        trigger="a request is answered by a service behind the gateway",
        edits=(
            Edit(
                "kit/service_client.py",
                '            "X-Correlation-ID": logs.current_correlation(),\n',
                "",
            ),
        ),
    ),
    Defect(
        id="GW14",
        category="GATEWAY",
        what="who cannot be identified just now is told that they are nobody",
        trigger="auth-service is away",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "    if answer.status_code == 401:",
                "    if answer.status_code != 200:",
            ),
        ),
    ),
    Defect(
        id="GW20",
        category="GATEWAY",
        what="what a message leads to is logged under the id of the message",
        trigger="somebody looks for a request in the logs",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                'logs.bound(correlation_id=record.header("correlation-id"),',
                'logs.bound(correlation_id=record.header("message-id"),',
            ),
        ),
    ),
    Defect(
        id="GW60",
        category="GATEWAY",
        what="an error does not say in its body under which correlation id it can be found",
        trigger="an error",
        edits=(
            Edit(
                "kit/http/errors.py",
                '"message": message, "correlation_id": logs.current_correlation()}',
                '"message": message}',
            ),
        ),
    ),
    Defect(
        id="GW61",
        category="GATEWAY",
        what="what nobody expects is told to the user and not logged",
        trigger="the database says that a page of it is broken",
        edits=(
            Edit(
                "kit/http/errors.py",
                '    log.error("request failed", exc_info=error)\n'
                '    return error_response(500, "internal-error", "the request could not be processed")\n',
                '    return error_response(500, "internal-error", f"{type(error).__name__}: {error}")\n',
            ),
        ),
    ),
    Defect(
        id="GW62",
        category="GATEWAY",
        what="of an answer's head its kind alone is passed on",
        trigger="a service says when to try again",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/http.py",
                '_OUTWARD = ("content-type", "retry-after", "allow")',
                '_OUTWARD = ("content-type",)',
            ),
        ),
    ),
    Defect(
        id="GW120",
        category="GATEWAY",
        what="the head that tells which methods there are does not get through",
        trigger="a request by a method that there is not",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/http.py",
                '("content-type", "retry-after", "allow")',
                '("content-type", "retry-after")',
            ),
        ),
    ),
    Defect(
        id="GW220",
        category="GATEWAY",
        what="of the two names under which a client may say its correlation id one is known",
        trigger="a client says it under the other one",
        edits=(Edit("kit/http/middleware.py", '("X-Correlation-ID", "X-Request-ID", ', '("X-Correlation-ID", '),),
    ),
    Defect(
        id="GW230",
        category="GATEWAY",
        what="a client that hangs up is logged as an error",
        trigger="a client hangs up before it has said all",
        edits=(
            Edit(
                "kit/http/middleware.py",
                "            except ClientDisconnect:\n"
                "                status = CLIENT_GONE\n"
                '                log.info("%s %s: the client hung up", scope["method"], scope["path"])\n',
                "",
            ),
        ),
    ),
    Defect(
        id="GW310",
        category="GATEWAY",
        what="an answer is passed on piece by piece, its status before the rest of it has come",
        trigger="a service's answer breaks off in the middle",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "from fastapi import APIRouter, Request, Response\n",
                "from fastapi import APIRouter, Request, Response\n"
                "from fastapi.responses import StreamingResponse\n"
                "from starlette.background import BackgroundTask\n",
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "        content=await _body(request),\n",
                "        content=await _body(request),\n        stream=True,\n",
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "    return Response(answer.content, answer.status_code, outward)\n",
                "    closed = BackgroundTask(answer.aclose)\n"
                "    return StreamingResponse(answer.aiter_bytes(), answer.status_code, outward, background=closed)\n",
            ),
            Edit(
                "kit/service_client.py",
                "        json: Any = None,\n",
                "        json: Any = None,\n        stream: bool = False,\n",
            ),
            Edit(
                "kit/service_client.py",
                "            return await self._client.request("
                "method, url, headers=sent, content=content, json=json)\n",
                "            request = self._client.build_request("
                "method, url, headers=sent, content=content, json=json)\n"
                "            return await self._client.send(request, stream=stream)\n",
            ),
        ),
    ),
    Defect(
        id="GW420",
        category="GATEWAY",
        what="a log tells a time of no zone",
        trigger="a line is logged",
        edits=(
            Edit(
                "kit/logs.py", "datetime.fromtimestamp(record.created, UTC)", "datetime.fromtimestamp(record.created)"
            ),
        ),
    ),
    Defect(
        id="GW422",
        category="GATEWAY",
        what="what goes wrong with a mail of which nobody has thought is not logged",
        trigger="a mail is in the queue that cannot be read",
        edits=(
            Edit(
                "services/notification_service/application/welcome.py",
                "        if not task.cancelled() and (bug := task.exception()):\n"
                '            log.error("a mail could not be processed", exc_info=bug)\n',
                "        if not task.cancelled():\n            task.exception()\n",
            ),
        ),
    ),
    Defect(
        id="GW421",
        category="GATEWAY",
        what="all instances of a service call themselves the same in their logs",
        trigger="two instances log a line",
        edits=(
            Edit(
                "kit/logs.py",
                "JsonFormatter(settings.service_name, settings.service_instance)",
                "JsonFormatter(settings.service_name, settings.service_name)",
            ),
        ),
    ),
    Defect(
        id="GW340",
        category="GATEWAY",
        what="whose a message is, is known where it is handled, and not where that fails",
        trigger="a message is tried in vain, or given up",
        edits=(
            Edit(
                "kit/messaging/consumer.py",
                '        with logs.bound(correlation_id=record.header("correlation-id"), '
                'tenant_id=record.header("tenant-id")):\n'
                "            while True:\n",
                "        with nullcontext():\n            while True:\n",
            ),
            Edit(
                "kit/messaging/consumer.py",
                "                    await self._handlers[topic](record)\n",
                '                    about = record.header("correlation-id"), record.header("tenant-id")\n'
                "                    with logs.bound(*about):\n"
                "                        await self._handlers[topic](record)\n",
            ),
            Edit(
                "kit/messaging/consumer.py",
                "from collections.abc import Awaitable, Callable, Mapping\n",
                "from collections.abc import Awaitable, Callable, Mapping\nfrom contextlib import nullcontext\n",
            ),
        ),
    ),
    Defect(
        id="GW410",
        category="GATEWAY",
        what="whatever looks like an address is taken out of a line of a log, be it the id of a conversation",
        trigger="a client whose ids look like addresses",
        edits=(
            Edit(
                "kit/logs.py",
                "        return json.dumps(line, ensure_ascii=False)\n",
                '        return re.sub(r\'[^\\s"\\\\]+@[^\\s"\\\\]+\', "***", json.dumps(line, ensure_ascii=False))\n',
            ),
            Edit("kit/logs.py", "import logging\nimport sys\n", "import logging\nimport re\nimport sys\n"),
        ),
    ),
    Defect(
        id="GW400",
        category="GATEWAY",
        what="that a step was undone is told in debug logs only",
        trigger="a saga is undone",
        edits=(
            Edit(
                "kit/participant.py",
                '        log.info("%s of saga %s: %s %s", ',
                "        level = logging.INFO if command.action is Action.EXECUTE else logging.DEBUG\n"
                '        log.log(level, "%s of saga %s: %s %s", ',
            ),
        ),
    ),
    Defect(
        id="GW401",
        category="GATEWAY",
        what="that a mail could not be sent is told in debug logs only",
        trigger="the mail server is away",
        edits=(
            Edit(
                "services/notification_service/application/welcome.py",
                '            log.warning("mail %s not sent',
                '            log.debug("mail %s not sent',
            ),
        ),
    ),
    Defect(
        id="GW450",
        category="GATEWAY",
        what="the tenant that a client says it is of is put into the log before anybody has checked it",
        trigger="a client pretends to be of another tenant, and something is logged about its request",
        edits=(
            Edit(
                "kit/http/middleware.py",
                'logs.bound(correlation_id, "")',
                'logs.bound(correlation_id, headers.get("X-Tenant-ID", ""))',
            ),
        ),
    ),
    Defect(
        id="GW451",
        category="GATEWAY",
        what="a service that says when to try again is asked once more at once, also for a change",
        trigger="a service answers 503",
        edits=(
            Edit(
                "kit/service_client.py",
                "            return await self._client.request("
                "method, url, headers=sent, content=content, json=json)\n",
                "            answer = await self._client.request("
                "method, url, headers=sent, content=content, json=json)\n"
                '            if answer.status_code == 503 and "retry-after" in answer.headers:\n'
                "                await asyncio.sleep(0.1)\n"
                "                answer = await self._client.request("
                "method, url, headers=sent, content=content, json=json)\n"
                "            return answer\n",
            ),
        ),
    ),
    Defect(
        id="GW452",
        category="GATEWAY",
        what="what nobody expects is answered by the outermost middleware, which knows of no correlation id",
        trigger="another service answers what cannot be read",
        edits=(
            Edit(
                "kit/http/errors.py",
                "        PoolTimeout: _database_error,\n",
                "        PoolTimeout: _database_error,\n        Exception: _unexpected,\n",
            ),
            Edit(
                "kit/http/middleware.py",
                '                log.exception("%s %s failed", scope["method"], scope["path"])\n'
                "                if status:\n"
                "                    raise\n"
                '                response = error_response(500, "internal-error", '
                '"the request could not be processed")\n'
                "                await response(scope, receive, send_with_id)\n",
                "                raise\n",
            ),
        ),
    ),
    Defect(
        id="GW430",
        category="GATEWAY",
        what="all errors have one set of headers, to which is added what one of them needs",
        trigger="somebody is refused after another one was told that something is away",
        edits=(
            Edit(
                "kit/http/errors.py",
                '    again = {"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}\n'
                "    return JSONResponse(body, status_code=status, headers={**again, **(headers or {})})\n",
                "    if status == HTTPStatus.SERVICE_UNAVAILABLE:\n"
                '        _COMMON["Retry-After"] = "1"\n'
                "    return JSONResponse(body, status_code=status, headers={**_COMMON, **(headers or {})})\n",
            ),
            Edit(
                "kit/http/errors.py",
                "log = logging.getLogger(__name__)\n",
                "log = logging.getLogger(__name__)\n\n_COMMON: dict[str, str] = {}\n",
            ),
        ),
    ),
    Defect(
        id="GW600",
        category="GATEWAY",
        what="a token that is good for nothing is refused where none is needed",
        trigger="log in with an old token in the head of the request",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "    if needed is not Access.USER:\n"
                "        return {}\n"
                '    authorization = {"authorization": request.headers.get("authorization", "")}\n',
                '    if needed is Access.OPERATOR or "authorization" not in request.headers:\n'
                "        if needed is Access.USER:\n"
                '            raise ApiError(401, "unauthorized", "a valid access token is required")\n'
                "        return {}\n"
                '    authorization = {"authorization": request.headers["authorization"]}\n',
            ),
        ),
    ),
    Defect(
        id="GW601",
        category="GATEWAY",
        what="what the identity service answers besides the expected is taken for claims",
        trigger="answer the question who somebody is by 404",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "    if answer.status_code != 200:\n",
                "    if answer.is_server_error:\n",
            ),
        ),
    ),
    Defect(
        id="GW01",
        category="GATEWAY",
        what="the table of routes has a prefix of others before them",
        trigger="any request to a service behind",
        edits=(
            Edit(
                "services/api_gateway/domain/routes.py",
                '    "/auth": "auth-service",\n',
                '    "/api/v1": "workspace-service",\n    "/auth": "auth-service",\n',
            ),
        ),
    ),
    Defect(
        id="GW602",
        category="GATEWAY",
        what="for whom a request is passed on is kept where all requests share it, while its body is waited for",
        trigger="a request whose body comes in two pieces, and somebody else's in between",
        edits=(
            Edit(
                "kit/service_client.py",
                "        self._settings = settings\n",
                "        self._settings = settings\n        self.on_behalf: dict[str, str] = {}\n",
            ),
            Edit(
                "kit/service_client.py",
                '            "X-Correlation-ID": logs.current_correlation(),\n',
                '            "X-Correlation-ID": logs.current_correlation(),\n            **self.on_behalf,\n',
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "    identity = await _identity(request, client, path)\n",
                "    client.on_behalf = await _identity(request, client, path)\n",
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "        headers=headers | identity,\n",
                "        headers=headers,\n",
            ),
        ),
    ),
    Defect(
        id="GW603",
        category="GATEWAY",
        what="that a service does not believe who calls it is told to the user as their own fault",
        trigger="a call of the gateway loses its token",
        edits=(
            Edit(
                "kit/service_client.py",
                '        self._client.event_hooks = {"response": [_demand_belief]}\n',
                "",
            ),
        ),
    ),
    Defect(
        id="GW604",
        category="GATEWAY",
        what="a saga whose row cannot be read is passed over without a word",
        trigger="a saga in a state that another version has left is due",
        edits=(
            Edit(
                "kit/saga/orchestrator.py",
                "            with logs.bound(*whose):\n"
                '                log.exception("timer of saga %s could not be fired; the others go on", '
                "saga_id)\n",
                "            if isinstance(failure, KeyError):\n"
                "                with logs.bound(*whose):\n"
                '                    log.exception("timer of saga %s could not be fired; the others go '
                'on", saga_id)\n',
            ),
        ),
    ),
)
