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
)
