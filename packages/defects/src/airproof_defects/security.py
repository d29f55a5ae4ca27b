"""Seeded defects of security: who gets in and what they get, and what can be learnt of that."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit
from airproof_defects.saga import ORCHESTRATOR

ACCOUNTS = "services/auth_service/application/accounts.py"
SESSIONS = "services/auth_service/adapters/sessions.py"

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="SE01",
        category="SECURITY",
        what="whose workspace it is is not asked, only of which tenant",
        trigger="a colleague of the owner asks for it",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "if found is None or found.owner_id != owner.user_id:",
                "if found is None:",
            ),
        ),
    ),
    Defect(
        id="SE02",
        category="SECURITY",
        what="where operators are asked for, any user's token will do",
        trigger="a user asks for a saga",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "    if needed is Access.OPERATOR:\n",
                '    if needed is Access.OPERATOR and "authorization" not in request.headers:\n',
            ),
        ),
    ),
    Defect(
        id="SE07",
        category="SECURITY",
        what="an e-mail address is put into a statement as text",
        trigger="somebody logs in with an address that has a quote in it",
        edits=(
            Edit(
                "services/auth_service/adapters/credentials.py",
                "        return await self._one(credentials.c.email == email)\n",
                "        from sqlalchemy import text\n\n        return await self._one(text(f\"email = '{email}'\"))\n",
            ),
        ),
    ),
    Defect(
        id="SE09",
        category="SECURITY",
        what="a login says whether there is such an account",
        trigger="somebody logs in with an address that nobody has",
        edits=(
            Edit(
                "services/auth_service/application/accounts.py",
                "        if credential is None or not matches:\n",
                "        if credential is None:\n"
                '            raise ApiError(401, "invalid-credentials", "there is no such account")\n'
                "        if not matches:\n",
            ),
        ),
    ),
    Defect(
        id="SE05",
        category="SECURITY",
        what="the session of an access token is kept for ever",
        trigger="somebody asks with a token that is over its time",
        edits=(
            Edit(
                "services/auth_service/adapters/sessions.py",
                "_json(session, now + ACCESS_S, refresh), ex=ACCESS_S)",
                "_json(session, now + ACCESS_S, refresh))",
            ),
        ),
    ),
    Defect(
        id="SE11",
        category="SECURITY",
        what="a login that fails is logged with all that was typed",
        trigger="somebody gets a password wrong",
        edits=(
            Edit(
                "services/auth_service/application/accounts.py",
                "        if credential is None or not matches:\n",
                "        if credential is None or not matches:\n"
                "            import logging\n\n"
                '            logging.getLogger(__name__).info("login of %s with %r failed", email, password)\n',
            ),
        ),
    ),
    Defect(
        id="SE17",
        category="SECURITY",
        what="whoever finds a refresh token uses it up, also one that somebody else has used up meanwhile",
        trigger="a refresh token is used several times at the same moment",
        edits=(
            Edit(
                SESSIONS,
                "            return bool(await self._redis.eval(_TAKE, len(keys), *keys, _hash(taker), TAKEN_S))\n",
                "            await self._redis.delete(*keys)\n            return True\n",
            ),
        ),
    ),
    Defect(
        id="SE18",
        category="SECURITY",
        what="of a password the first 72 bytes count",
        trigger="somebody gets the end of a long password wrong",
        edits=(
            Edit(
                "services/auth_service/domain/passwords.py",
                "hashlib.scrypt(password.encode(),",
                "hashlib.scrypt(password.encode()[:72],",
            ),
        ),
    ),
    Defect(
        id="SE19",
        category="SECURITY",
        what="who may not see a workspace is told that there is one",
        trigger="a colleague of the owner asks for it",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "    if found is None or found.owner_id != owner.user_id:\n",
                "    if found is not None and found.owner_id != owner.user_id:\n"
                '        raise ApiError(403, "forbidden", "this workspace belongs to somebody else")\n'
                "    if found is None:\n",
            ),
        ),
    ),
    Defect(
        id="SE20",
        category="SECURITY",
        what="sessions are kept under their tokens themselves",
        trigger="somebody logs in",
        edits=(
            Edit(
                "services/auth_service/adapters/sessions.py",
                "    return hashlib.sha256(token.encode()).hexdigest()\n",
                "    return token\n",
            ),
        ),
    ),
    Defect(
        id="SE40",
        category="SECURITY",
        what="a session lasts longer each time it is used",
        trigger="somebody goes on asking with one token",
        edits=(
            Edit(
                "services/auth_service/adapters/sessions.py",
                'self._redis.get(f"access:{_hash(access_token)}"))',
                'self._redis.getex(f"access:{_hash(access_token)}", ex=ACCESS_S))',
            ),
        ),
    ),
    Defect(
        id="SE41",
        category="SECURITY",
        what="a service token need not say when it ends",
        trigger="a token without an end is shown to a service",
        edits=(
            Edit(
                "kit/service_auth.py",
                '["iss", "aud", "iat", "exp", "jti"]',
                '["iss", "aud"]',
            ),
        ),
    ),
    Defect(
        id="SE42",
        category="SECURITY",
        what="of letters that are none of Latin-1 each counts as any other",
        trigger="a password is right but for such a letter",
        edits=(
            Edit(
                "services/auth_service/domain/passwords.py",
                "hashlib.scrypt(password.encode(),",
                'hashlib.scrypt(password.encode("latin-1", "replace"),',
            ),
        ),
    ),
    Defect(
        id="SE43",
        category="SECURITY",
        what="an address is looked up as a pattern",
        trigger="somebody logs in with an underscore for a letter",
        edits=(
            Edit(
                "services/auth_service/adapters/credentials.py",
                "self._one(credentials.c.email == email)",
                'self._one(credentials.c.email.ilike(email.replace("%", r"\\%")))',
            ),
        ),
    ),
    Defect(
        id="SE44",
        category="SECURITY",
        what="whoever asks for a saga is told what it was started with",
        trigger="an operator looks at a saga",
        edits=(
            Edit(
                "services/saga_orchestrator/entrypoints/http.py",
                ("    reason: str | None\n    steps: list[StepAnswer]\n"),
                ("    reason: str | None\n    input_data: dict[str, Any]\n    steps: list[StepAnswer]\n"),
            ),
            Edit(
                "services/saga_orchestrator/entrypoints/http.py",
                "            reason=saga.reason,\n",
                ("            reason=saga.reason,\n            input_data=saga.input,\n"),
            ),
        ),
    ),
    Defect(
        id="SE45",
        category="SECURITY",
        what="a statement that fails is logged with its parameters",
        trigger="a connection breaks while somebody registers",
        edits=(
            Edit(
                "kit/database.py",
                "        hide_parameters=True,\n",
                "",
            ),
        ),
    ),
    Defect(
        id="SE60",
        category="SECURITY",
        what="where there is no account no password is checked, which is quicker",
        trigger="somebody measures how long logins take",
        edits=(
            Edit(
                ACCOUNTS,
                "        stored = credential.password_hash if credential else f\"scrypt${self._log2_n}${'00' * 16}$\"\n"
                "        matches = await asyncio.to_thread(verify_password, password, stored)\n",
                "        matches = credential is not None and await asyncio.to_thread(\n"
                "            verify_password, password, credential.password_hash\n"
                "        )\n",
            ),
        ),
    ),
    Defect(
        id="SE61",
        category="SECURITY",
        what="whether an account is active is asked at a login only",
        trigger="an account is locked while its user is logged in",
        edits=(
            Edit(
                ACCOUNTS,
                "return credential if credential and credential.status == ACTIVE else None",
                "return credential",
            ),
        ),
    ),
    Defect(
        id="SE62",
        category="SECURITY",
        what="a session lasts as many milliseconds as it should seconds",
        trigger="somebody is logged in for two minutes",
        edits=(
            Edit(
                SESSIONS,
                "_json(session, now + ACCESS_S, refresh), ex=ACCESS_S)",
                "_json(session, now + ACCESS_S, refresh), px=ACCESS_S)",
            ),
        ),
    ),
    Defect(
        id="SE63",
        category="SECURITY",
        what="what a session is exchanged with never ends",
        trigger="somebody finds an old token",
        edits=(
            Edit(
                SESSIONS,
                "_json(session, now + REFRESH_S, access), ex=REFRESH_S)",
                "_json(session, now + REFRESH_S, access))",
            ),
        ),
    ),
    Defect(
        id="SE64",
        category="SECURITY",
        what="all passwords are hashed with one salt",
        trigger="two users have the same password",
        edits=(
            Edit(
                "services/auth_service/domain/passwords.py",
                "json.dumps(request).encode()",
                'b"salt"',
            ),
        ),
    ),
    Defect(
        id="SE65",
        category="SECURITY",
        what="each call to a service is logged with the token that it is made with",
        trigger="a request",
        edits=(
            Edit(
                "kit/service_client.py",
                "        try:\n            return await self._client.request(",
                '        logging.getLogger(__name__).info("%s %s with %s", method, service, identity)\n'
                "        try:\n            return await self._client.request(",
            ),
            Edit("kit/service_client.py", "import ssl\n", "import logging\nimport ssl\n"),
        ),
    ),
    Defect(
        id="SE66",
        category="SECURITY",
        what="a session stands for its account while that cannot be looked up",
        trigger="the database breaks off while somebody who was removed asks for something",
        edits=(
            Edit(
                ACCOUNTS,
                "        async with self._units_of_work.begin() as work:\n"
                "            credential = await Credentials(work.connection).by_id(UUID(session.user_id))\n",
                "        try:\n"
                "            async with self._units_of_work.begin() as work:\n"
                "                credential = await Credentials(work.connection).by_id(UUID(session.user_id))\n"
                "        except DBAPIError:\n"
                "            user_id = UUID(session.user_id)\n"
                '            return Credential(user_id, session.tenant_id, user_id, session.email, "")\n',
            ),
            Edit(
                ACCOUNTS, "from uuid import UUID\n", "from uuid import UUID\n\nfrom sqlalchemy.exc import DBAPIError\n"
            ),
        ),
    ),
    Defect(
        id="SE67",
        category="SECURITY",
        what="that a service cannot be reached is told with its address",
        trigger="a service is away",
        edits=(
            Edit(
                "kit/service_client.py",
                'f"{service} cannot be reached")',
                'f"{service} cannot be reached at {self._settings.upstream(service)}: {failure}")',
            ),
        ),
    ),
    Defect(
        id="SE68",
        category="SECURITY",
        what="tokens are looked up in small letters",
        trigger="somebody shows a token in capitals",
        edits=(
            Edit(
                SESSIONS,
                "hashlib.sha256(token.encode())",
                "hashlib.sha256(token.lower().encode())",
            ),
        ),
    ),
    Defect(
        id="SE69",
        category="SECURITY",
        what="a token is used up before it is known whether it can be exchanged",
        trigger="the database breaks off while a token is exchanged",
        edits=(
            Edit(
                ACCOUNTS,
                "        credential = await self._credential_of(session) if session else None\n",
                "        if taken := session is not None:\n"
                '            taken = await self._sessions.take_refresh(refresh_token, session, "")\n'
                "        credential = await self._credential_of(session) if session else None\n",
            ),
            Edit(
                ACCOUNTS,
                "if not await self._sessions.take_refresh(refresh_token, session, tokens.access_token):",
                "if not taken:",
            ),
        ),
    ),
    Defect(
        id="SE90",
        category="SECURITY",
        what="what is in a workspace goes by two names, of which one is not known",
        trigger="an owner asks whether they may create a base",
        edits=(Edit("services/permission_service/domain/permission.py", '{"airtable_base": "base"}', "{}"),),
    ),
    Defect(
        id="SE91",
        category="SECURITY",
        what="what the mail server says is logged",
        trigger="it repeats whom it takes no mail for",
        edits=(
            Edit(
                "services/notification_service/application/welcome.py",
                "mail.message_id, wait_s, failure.brief)",
                "mail.message_id, wait_s, error)",
            ),
        ),
    ),
    Defect(
        id="SE80",
        category="SECURITY",
        what="a dead letter's cause repeats what was sent",
        trigger="a message with an address in it that is no message",
        edits=(Edit("kit/envelope.py", "{', '.join(sorted(fields))}\") from None", '{wrong}") from None'),),
    ),
    Defect(
        id="SE70",
        category="SECURITY",
        what="an event tells what its saga was started with, the hash of a password too",
        trigger="a saga",
        edits=(
            Edit(
                ORCHESTRATOR,
                '"saga_type": saga.saga_type, "reason": saga.reason}\n',
                '"saga_type": saga.saga_type, "reason": saga.reason, "input": saga.input}\n',
            ),
        ),
    ),
    Defect(
        id="SE110",
        category="SECURITY",
        what="browsers are told that the pages of any site may ask, with what their users are logged in with",
        trigger="a request from a page of another site",
        edits=(
            Edit(
                "kit/http/app.py",
                "    app.add_middleware(RequestContext)\n",
                "    app.add_middleware(RequestContext)\n"
                "    app.add_middleware(\n"
                '        CORSMiddleware, allow_origins=["*"], allow_credentials=True, allow_methods=["*"],'
                ' allow_headers=["*"]\n'
                "    )\n",
            ),
            Edit(
                "kit/http/app.py",
                "from fastapi.responses import",
                "from fastapi.middleware.cors import CORSMiddleware\nfrom fastapi.responses import",
            ),
        ),
    ),
    Defect(
        id="SE111",
        category="SECURITY",
        what="a logout that fails is told as done",
        trigger="somebody logs out while Redis takes no command",
        edits=(
            Edit(
                ACCOUNTS,
                "        await self._sessions.close_session(access_token)\n",
                "        with suppress(ApiError):\n            await self._sessions.close_session(access_token)\n",
            ),
            Edit(ACCOUNTS, "import asyncio\n", "import asyncio\nfrom contextlib import suppress\n"),
        ),
    ),
    Defect(
        id="SE200",
        category="SECURITY",
        what="a logout uses its token up first: what is broken off then can never be done",
        trigger="Redis takes one command of a logout and not the next, and the user logs out again",
        edits=(
            Edit(
                SESSIONS,
                "session = _session(await self._redis.get(access))\n",
                "session = _session(await self._redis.getdel(access))\n",
            ),
        ),
    ),
    Defect(
        id="SE201",
        category="SECURITY",
        what="a token is used up before there is what it is exchanged for",
        trigger="Redis takes what uses a token up, and not what follows",
        edits=(
            Edit(
                ACCOUNTS,
                "        tokens = await self._sessions.open(credential)\n"
                "        if not await self._sessions.take_refresh(refresh_token, session, tokens.access_token):\n"
                "            await self._sessions.close_session(tokens.access_token)\n",
                '        if not await self._sessions.take_refresh(refresh_token, session, ""):\n',
            ),
            Edit(
                ACCOUNTS,
                "        return tokens\n",
                "        return await self._sessions.open(credential)\n",
            ),
        ),
    ),
    Defect(
        id="SE120",
        category="SECURITY",
        what="whoever may create what is in a workspace may change and delete it too",
        trigger="an owner asks whether they may delete a project",
        edits=(
            Edit(
                "services/permission_service/domain/permission.py",
                "    meaning = _MEANS.get(action)\n",
                "    meaning = _MEANS.get(action)\n"
                '    if resource_type != "workspace" and meaning == "write":\n'
                '        meaning = "create"\n',
            ),
        ),
    ),
    Defect(
        id="SE130",
        category="SECURITY",
        what="a login is kept first and given an end afterwards",
        trigger="what keeps it dies in between",
        edits=(
            Edit(
                "services/auth_service/adapters/sessions.py",
                "_json(session, now + ACCESS_S, refresh), ex=ACCESS_S)\n",
                "_json(session, now + ACCESS_S, refresh))\n"
                '            await self._redis.expire(f"access:{access}", ACCESS_S)\n',
            ),
        ),
    ),
    Defect(
        id="SE230",
        category="SECURITY",
        what="each statement holds, as a comment, the id that a client has given its request",
        trigger="a request whose id has a star and a slash in it",
        edits=(
            Edit(
                "kit/database.py",
                '    event.listen(engine.sync_engine, "checkout", _refuse_closed)\n',
                '    event.listen(engine.sync_engine, "before_cursor_execute", _comment, retval=True)\n'
                '    event.listen(engine.sync_engine, "checkout", _refuse_closed)\n',
            ),
            Edit(
                "kit/database.py",
                "def _refuse_closed(",
                "def _comment(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> tuple[str, Any]:\n"
                '    """Says in the database\'s own log on whose behalf a statement is run."""\n'
                "    return f\"{statement} /* correlation_id='{logs.current_correlation()}' */\", parameters\n\n\n"
                "def _refuse_closed(",
            ),
            Edit(
                "kit/database.py",
                "if TYPE_CHECKING:\n    from collections.abc import Iterable\n",
                "from pyairtable_reference.kit import logs\n\n"
                "if TYPE_CHECKING:\n    from collections.abc import Iterable\n",
            ),
        ),
    ),
    Defect(
        id="SE231",
        category="SECURITY",
        what="the kind of a thing is put into a statement as text",
        trigger="somebody asks what they may do with a thing of a kind with a quote in it",
        edits=(
            Edit(
                "services/permission_service/adapters/role_assignments.py",
                "import exists, insert, select",
                "import exists, insert, select, text",
            ),
            Edit(
                "services/permission_service/adapters/role_assignments.py",
                "table.permissions.contains([permission])",
                """text(f"permissions @> '[\\"{permission}\\"]'")""",
            ),
        ),
    ),
    Defect(
        id="SE232",
        category="SECURITY",
        what="passwords are hashed at a low cost, whatever the operator has said",
        trigger="somebody registers",
        edits=(
            Edit(
                "services/auth_service/entrypoints/service.py",
                "scrypt_log2_n=settings.password_scrypt_log2_n",
                "scrypt_log2_n=min(settings.password_scrypt_log2_n, 8)",
            ),
        ),
    ),
    Defect(
        id="SE233",
        category="SECURITY",
        what="whether a service is ready is told with how it is configured",
        trigger="anybody asks whether it is",
        edits=(
            Edit(
                "kit/http/app.py",
                '    return JSONResponse({"ready": all(checks.values()), "checks": checks}, ',
                "    settings = {name: str(value) for name, value in asdict(runtime_of(request).settings).items()}\n"
                '    return JSONResponse({"ready": all(checks.values()), "checks": checks, "settings": settings}, ',
            ),
            Edit(
                "kit/http/app.py",
                "from contextlib import asynccontextmanager\n",
                "from contextlib import asynccontextmanager\nfrom dataclasses import asdict\n",
            ),
        ),
    ),
    Defect(
        id="SE300",
        category="SECURITY",
        what="what a saga was started with is shown to whoever asks the orchestrator for it",
        trigger="somebody asks, past the gateway",
        edits=(
            Edit(
                "services/saga_orchestrator/entrypoints/http.py",
                '@router.get("/{saga_id}", dependencies',
                '@router.get("/{saga_id}/input")\n'
                "async def get_input(saga_id: UUID, orchestrator: Application) -> dict[str, Any]:\n"
                "    saga = await orchestrator.read(saga_id)\n"
                "    return saga.input if saga else {}\n\n\n"
                '@router.get("/{saga_id}", dependencies',
            ),
        ),
    ),
    Defect(
        id="SE310",
        category="SECURITY",
        what="who somebody is is asked once for all requests that they have under way",
        trigger="a request is made while an earlier one is looked up, and the account was locked in between",
        edits=(
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "from fastapi import APIRouter, Request, Response\n",
                "import asyncio\n\nimport httpx\nfrom fastapi import APIRouter, Request, Response\n",
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                '    authorization = {"authorization": request.headers.get("authorization", "")}\n'
                '    answer = await client.call("auth-service", "POST", "/auth/validate", headers=authorization)\n',
                '    answer = await _validated(client, request.headers.get("authorization", ""))\n',
            ),
            Edit(
                "services/api_gateway/entrypoints/http.py",
                "async def _body(",
                "_asked: dict[str, asyncio.Task[httpx.Response]] = {}\n\n\n"
                "async def _validated(client: ServiceClient, authorization: str) -> httpx.Response:\n"
                "    if authorization not in _asked:\n"
                '        call = client.call("auth-service", "POST", "/auth/validate", '
                'headers={"authorization": authorization})\n'
                "        _asked[authorization] = asyncio.create_task(call)\n"
                "        _asked[authorization].add_done_callback(lambda _: _asked.pop(authorization))\n"
                "    return await asyncio.shield(_asked[authorization])\n\n\n"
                "async def _body(",
            ),
        ),
    ),
    Defect(
        id="SE301",
        category="SECURITY",
        what="the welcome mail says it in HTML, too, with the name as its user gave it",
        trigger="somebody whose name holds markup registers",
        edits=(
            Edit(
                "services/notification_service/domain/mail.py",
                "    return message\n",
                '    message.add_alternative(f"<p>Hello {first_name}, your workspace is ready.</p>", subtype="html")\n'
                "    return message\n",
            ),
        ),
    ),
    Defect(
        id="SE311",
        category="SECURITY",
        what="whoever shows a token that was exchanged ends what it was exchanged for",
        trigger="a user's two pages exchange one token at the same moment",
        edits=(
            Edit(
                SESSIONS,
                "        async with self._available():\n"
                '            access = f"access:{_hash(access_token)}"\n'
                "            session = _session(await self._redis.get(access))\n"
                "            if session:\n"
                '                await self._redis.delete(access, f"refresh:{session.partner}")\n',
                "        async with self._available():\n"
                "            await self._end(_hash(access_token))\n\n"
                "    async def remember_successor(self, refresh_token: str, access_token: str) -> None:\n"
                "        async with self._available():\n"
                '            used = f"used:{_hash(refresh_token)}"\n'
                "            await self._redis.set(used, _hash(access_token), ex=REFRESH_S)\n\n"
                "    async def end_successor(self, refresh_token: str) -> None:\n"
                "        async with self._available():\n"
                '            successor = await self._redis.get(f"used:{_hash(refresh_token)}")\n'
                "            if successor:\n"
                "                await self._end(successor.decode())\n\n"
                "    async def _end(self, access: str) -> None:\n"
                '        session = _session(await self._redis.get(f"access:{access}"))\n'
                "        if session:\n"
                '            await self._redis.delete(f"access:{access}", f"refresh:{session.partner}")\n',
            ),
            Edit(
                ACCOUNTS,
                "        credential = await self._credential_of(session) if session else None\n",
                "        if session is None:\n"
                "            await self._sessions.end_successor(refresh_token)\n"
                "        credential = await self._credential_of(session) if session else None\n",
            ),
            Edit(
                ACCOUNTS,
                "        return tokens\n",
                "        await self._sessions.remember_successor(refresh_token, tokens.access_token)\n"
                "        return tokens\n",
            ),
        ),
    ),
    Defect(
        id="SE312",
        category="SECURITY",
        what="which sessions a user has is kept for ever",
        trigger="a session ends by itself",
        edits=(
            Edit(
                SESSIONS,
                "        return tokens\n",
                '            await self._redis.sadd(f"sessions:{credential.id}", access)\n        return tokens\n',
            ),
        ),
    ),
    Defect(
        id="SE313",
        category="SECURITY",
        what="whoever hears nothing of having used a token up is told, when asked again, that somebody else has",
        trigger="the answer of what keeps the sessions to an exchange is lost",
        edits=(
            Edit(
                SESSIONS,
                "            return bool(await self._redis.eval(_TAKE, len(keys), *keys, _hash(taker), TAKEN_S))\n",
                "            return bool(await self._redis.delete(*keys[:2]))\n",
            ),
        ),
    ),
    Defect(
        id="SE420",
        category="SECURITY",
        what="who shows an operator's key with a letter that is none of a header's makes a service fail",
        trigger="somebody asks for what is for operators",
        edits=(
            Edit(
                "kit/http/security.py",
                '    given = request.headers.get("X-API-Key", "").encode()\n'
                "    return hmac.compare_digest(given, _settings(request).admin_key.encode())\n",
                '    given = request.headers.get("X-API-Key", "")\n'
                "    return hmac.compare_digest(given, _settings(request).admin_key)\n",
            ),
        ),
    ),
    Defect(
        id="SE340",
        category="SECURITY",
        what="whoever exchanges a token first gets another one for it, be it that its user has logged out meanwhile",
        trigger="a login is exchanged while its user logs out",
        edits=(
            Edit(
                SESSIONS,
                "if redis.call('DEL', KEYS[1], KEYS[2]) > 0 then\n"
                "    redis.call('SET', KEYS[3], ARGV[1], 'EX', ARGV[2])\n"
                "    return 1\n"
                "end\n",
                "redis.call('DEL', KEYS[1], KEYS[2])\nredis.call('SET', KEYS[3], ARGV[1], 'NX', 'EX', ARGV[2])\n",
            ),
        ),
    ),
    Defect(
        id="SE410",
        category="SECURITY",
        what="when many logins with an address have failed, nobody gets in with it for a while",
        trigger="somebody who guesses at the password of somebody else",
        edits=(
            Edit(
                ACCOUNTS,
                "        if credential is None or not matches:\n",
                "        locked = await self._sessions.is_locked(normalised(email))\n"
                "        if credential is None or not matches or locked:\n"
                "            await self._sessions.count_failure(normalised(email))\n",
            ),
            Edit(
                SESSIONS,
                "    async def find(self",
                "    async def count_failure(self, email: str) -> None:\n"
                '        """Counts a login that failed."""\n'
                "        async with self._available():\n"
                "            counted = self._redis.pipeline(transaction=True)\n"
                '            await counted.incr(key := f"failed:{_hash(email)}").expire(key, 900).execute()\n\n'
                "    async def is_locked(self, email: str) -> bool:\n"
                '        """Whether so many have failed that nobody gets in."""\n'
                "        async with self._available():\n"
                '            return int(await self._redis.get(f"failed:{_hash(email)}") or 0) >= 20\n\n'
                "    async def find(self",
            ),
        ),
    ),
    Defect(
        id="SE400",
        category="SECURITY",
        what="whether a password is right is remembered, also of the one hash that those without an account have",
        trigger="the same password is tried with two addresses that nobody has",
        edits=(
            Edit(
                "services/auth_service/domain/passwords.py",
                "import json\n",
                "import json\nfrom functools import lru_cache\n",
            ),
            Edit(
                "services/auth_service/domain/passwords.py",
                "def verify_password(",
                "@lru_cache(maxsize=1024)\ndef verify_password(",
            ),
        ),
    ),
    Defect(
        id="SE401",
        category="SECURITY",
        what="whether a service's token is right is remembered, and its end forgotten",
        trigger="a token is shown again when it has expired",
        edits=(
            Edit("kit/service_auth.py", "import time\n", "import time\nfrom functools import lru_cache\n"),
            Edit("kit/service_auth.py", "def verify_token(", "@lru_cache(maxsize=1024)\ndef verify_token("),
        ),
    ),
    Defect(
        id="SE450",
        category="SECURITY",
        what="a token is noted as exchanged first and taken by another command, which may not be reached",
        trigger="the last command of an exchange is broken off",
        edits=(
            Edit(
                "services/auth_service/adapters/sessions.py",
                '        keys = f"refresh:{refresh}", f"access:{session.partner}", f"taken:{refresh}"\n'
                "        async with self._available():\n"
                "            return bool(await self._redis.eval(_TAKE, len(keys), *keys, _hash(taker), TAKEN_S))\n",
                '        taken, mine = f"taken:{refresh}", _hash(taker)\n'
                "        async with self._available():\n"
                "            before = await self._redis.set(taken, mine, ex=TAKEN_S, nx=True, get=True)\n"
                "            if before not in {None, mine.encode()}:\n"
                "                return False\n"
                '            await self._redis.delete(f"refresh:{refresh}", f"access:{session.partner}")\n'
                "            return True\n",
            ),
        ),
    ),
    Defect(
        id="SE560",
        category="SECURITY",
        what="a service that nobody told the operators' key does without",
        trigger="a service is deployed without the operators' key; who shows none is let in",
        edits=(
            Edit(
                "kit/settings.py",
                "    admin_key: str = _variable(secret=True)\n",
                '    admin_key: str = _variable(str, "", secret=True)\n',
            ),
        ),
    ),
    Defect(
        id="SE561",
        category="SECURITY",
        what="the secret of the services has a default, for development",
        trigger="a service is deployed without the services' secret; whoever has read the source speaks for all",
        edits=(
            Edit(
                "kit/settings.py",
                "    service_secret: str = _variable(secret=True)\n",
                '    service_secret: str = _variable(default="development-only-service-secret-0123456789", '
                "secret=True)\n",
            ),
        ),
    ),
    Defect(
        id="SE562",
        category="SECURITY",
        what="the driver's own error, which is logged as the cause, keeps the row",
        trigger="a database refuses a row",
        edits=(
            Edit(
                "kit/database.py",
                "    error.args = (told,)\n    if wrapped is not None:\n",
                "    # What is raised, and so logged, is SQLAlchemy's; the driver's own is left as it is.\n"
                "    if wrapped is None:\n"
                "        error.args = (told,)\n"
                "    else:\n",
            ),
        ),
    ),
    Defect(
        id="SE600",
        category="SECURITY",
        what="what somebody asks about is a pattern for what is granted",
        trigger="somebody asks whether they may read *",
        edits=(
            Edit(
                "services/permission_service/adapters/role_assignments.py",
                "from typing import TYPE_CHECKING\n\nfrom sqlalchemy import exists, insert, select\n",
                "from fnmatch import fnmatchcase\n"
                "from typing import TYPE_CHECKING\n"
                "\n"
                "from sqlalchemy import insert, select\n",
            ),
            Edit(
                "services/permission_service/adapters/role_assignments.py",
                '        """Whether the user has the permission on the resource."""\n'
                "        table = role_assignments.c\n"
                "        granted = exists().where(\n"
                "            table.tenant_id == tenant_id,\n"
                "            table.user_id == user_id,\n"
                "            table.resource_id == resource_id,\n"
                "            table.permissions.contains([permission]),\n"
                "        )\n"
                "        return bool((await self._connection.execute(select(granted))).scalar_one())\n",
                '        """Whether the user has the permission on the resource; a role may hold patterns, '
                'such as `workspace.*`."""\n'
                "        table = role_assignments.c\n"
                "        held = select(table.permissions).where(\n"
                "            table.tenant_id == tenant_id, table.user_id == user_id, table.resource_id == "
                "resource_id\n"
                "        )\n"
                "        roles = (await self._connection.execute(held)).scalars()\n"
                "        return any(fnmatchcase(pattern, permission) for permissions in roles for pattern "
                "in permissions)\n",
            ),
        ),
    ),
    Defect(
        id="SE601",
        category="SECURITY",
        what="who a session belongs to is looked up by name when it is exchanged",
        trigger="somebody gets the name of a user who is gone",
        edits=(
            Edit(
                "services/auth_service/application/accounts.py",
                "        credential = await self._credential_of(session) if session else None\n",
                "        credential = await self._holder_of(session.email) if session else None\n",
            ),
            Edit(
                "services/auth_service/application/accounts.py",
                "        await self._sessions.close_session(access_token)\n",
                "        await self._sessions.close_session(access_token)\n"
                "\n"
                "    async def _holder_of(self, email: str) -> Credential | None:\n"
                '        """The credential of an address as it is now, for the new pair to tell."""\n'
                "        async with self._units_of_work.begin() as work:\n"
                "            credential = await Credentials(work.connection).by_email(email)\n"
                "        return credential if credential and credential.status == ACTIVE else None\n",
            ),
        ),
    ),
    Defect(
        id="SE602",
        category="SECURITY",
        what="whose a thing is is asked when the version was right",
        trigger="somebody repeats what its owner has done",
        edits=(
            Edit(
                "services/workspace_service/application/directory.py",
                "                before = _owned(owner, workspace_id, await "
                "workspaces.get(owner.tenant_id, workspace_id))\n",
                "                before = _found(workspace_id, await workspaces.get(owner.tenant_id, workspace_id))\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "                # Asked once the version is taken: all that came before is committed, so "
                "that none of it is missed.\n",
                "                # Asked once the version is taken: all that came before is committed, so "
                "that none of it is missed.\n"
                "                _owned(owner, workspace_id, before)\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "def _owned(owner: Identity, workspace_id: UUID, found: Workspace | None) -> Workspace:\n"
                "    if found is None or found.owner_id != owner.user_id:\n"
                '        raise ApiError(404, "not-found", f"there is no workspace {workspace_id}")\n'
                "    return found\n",
                "def _found(workspace_id: UUID, found: Workspace | None) -> Workspace:\n"
                "    if found is None:\n"
                '        raise ApiError(404, "not-found", f"there is no workspace {workspace_id}")\n'
                "    return found\n"
                "\n"
                "\n"
                "def _owned(owner: Identity, workspace_id: UUID, found: Workspace | None) -> Workspace:\n"
                "    return _found(workspace_id, found if found and found.owner_id == owner.user_id else None)\n",
            ),
        ),
    ),
    Defect(
        id="SE603",
        category="SECURITY",
        what="an address that a header decodes to another one is taken",
        trigger="start with an address that has an encoded word",
        edits=(
            Edit(
                "services/auth_service/entrypoints/http.py",
                '_ATOM = r"[A-Za-z0-9!#$%&\'*+/=^_`{|}~-]+"\n',
                '_ATOM = r"[A-Za-z0-9!#$%&\'*+/=?^_`{|}~-]+"\n',
            ),
        ),
    ),
    Defect(
        id="SE604",
        category="SECURITY",
        what="a permission is looked for in the text of all of them, by its end",
        trigger="ask about a kind of thing whose name is the end of another one",
        edits=(
            Edit(
                "services/permission_service/adapters/role_assignments.py",
                "from sqlalchemy import exists, insert, select\n",
                "from sqlalchemy import Text, cast, exists, insert, select\n",
            ),
            Edit(
                "services/permission_service/adapters/role_assignments.py",
                "            table.permissions.contains([permission]),\n",
                "            # With the end of the word: who may `read` may not `read-all`.\n"
                "            cast(table.permissions, Text).contains(f'{permission}\"', autoescape=True),\n",
            ),
        ),
    ),
    Defect(
        id="SE03",
        category="SECURITY",
        what="an update takes any field that there is",
        trigger="update a field that nobody may",
        edits=(
            Edit(
                "services/workspace_service/adapters/workspaces.py",
                "        change = update(workspaces).where(before).values(name=changed.name, "
                "version=changed.version)\n",
                "        change = update(workspaces).where(before).values(**asdict(changed))\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "from dataclasses import replace\nfrom typing import TYPE_CHECKING\nfrom uuid import UUID\n",
                "from dataclasses import asdict\n"
                "from typing import TYPE_CHECKING, Any\n"
                "from uuid import UUID\n"
                "\n"
                "from pydantic import TypeAdapter\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "from pyairtable_reference.services.workspace_service.application.steps import SERVICE\n",
                "from pyairtable_reference.services.workspace_service.application.steps import SERVICE\n"
                "from pyairtable_reference.services.workspace_service.domain.workspace import Workspace\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "    from pyairtable_reference.services.workspace_service.domain.workspace import Workspace\n"
                "\n"
                'RENAMED = "workspace.renamed"\n',
                '\nRENAMED = "workspace.renamed"\n_FORM = TypeAdapter(Workspace)\n',
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "        self, owner: Identity, workspace_id: UUID, name: str, *, expected_version: int, key: str\n",
                "        self, owner: Identity, workspace_id: UUID, changes: dict[str, Any], *, "
                "expected_version: int, key: str\n",
            ),
            Edit(
                "services/workspace_service/application/directory.py",
                "                renamed = replace(before, name=name, version=expected_version + 1)\n"
                "                correlation_id = logs.current_correlation()\n"
                "                cause = Cause(owner.tenant_id, correlation_id, key or correlation_id, SERVICE)\n"
                '                fact = Fact(RENAMED, {"workspace_id": str(before.id), "owner_id": '
                'str(before.owner_id), "name": name})\n',
                '                fields = asdict(before) | changes | {"version": expected_version + 1}\n'
                "                renamed = _FORM.validate_python(fields)\n"
                "                correlation_id = logs.current_correlation()\n"
                "                cause = Cause(owner.tenant_id, correlation_id, key or correlation_id, SERVICE)\n"
                '                fact = Fact(RENAMED, {"workspace_id": str(before.id), "owner_id": '
                'str(before.owner_id), "name": renamed.name})\n',
            ),
            Edit(
                "services/workspace_service/entrypoints/http.py",
                '    model_config = ConfigDict(extra="forbid")\n',
                '    model_config = ConfigDict(extra="allow")\n',
            ),
            Edit(
                "services/workspace_service/entrypoints/http.py",
                "        user, workspace_id, body.name, expected_version=body.expected_version, key=idempotency_key\n",
                "        user,\n"
                "        workspace_id,\n"
                '        body.model_dump(exclude={"expected_version"}),\n'
                "        expected_version=body.expected_version,\n"
                "        key=idempotency_key,\n",
            ),
        ),
    ),
    Defect(
        id="SE604",
        category="SECURITY",
        what="an error repeats the token that is not good",
        trigger="somebody shows a token that is not good any more",
        edits=(
            Edit(
                "services/auth_service/application/accounts.py",
                '            raise ApiError(401, "invalid-token", "the access token is not valid")\n',
                '            raise ApiError(401, "invalid-token", f"the access token {access_token} is not valid")\n',
            ),
        ),
    ),
)
