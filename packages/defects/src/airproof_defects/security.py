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
)
