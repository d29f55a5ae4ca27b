"""Seeded defects of what one service makes of another one's absence."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit

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
)
