"""Seeded defects of authorisation: who gets what."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit

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
        what="a refresh token is looked up first and deleted then",
        trigger="a refresh token is used several times at the same moment",
        edits=(
            Edit(
                "services/auth_service/adapters/sessions.py",
                '            session = _session(await self._redis.getdel(f"refresh:{_hash(refresh_token)}"))\n'
                "            if session:\n",
                '            session = _session(await self._redis.get(f"refresh:{_hash(refresh_token)}"))\n'
                "            if session:\n"
                '                await self._redis.delete(f"refresh:{_hash(refresh_token)}")\n',
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
        id="SE80",
        category="SECURITY",
        what="a dead letter's cause repeats what was sent",
        trigger="a message with an address in it that is no message",
        edits=(Edit("kit/envelope.py", "{', '.join(sorted(fields))}\") from None", '{wrong}") from None'),),
    ),
)
