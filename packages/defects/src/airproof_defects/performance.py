"""Seeded defects of how much work is done for what is asked."""

from __future__ import annotations

from airproof_defects.defect import Defect, Edit

DEFECTS: tuple[Defect, ...] = (
    Defect(
        id="PF01",
        category="PERF",
        what="the sagas of a list are read one by one",
        trigger="a tenant has several",
        edits=(
            Edit(
                "kit/saga/store.py",
                "        return await self._all(_OF_TENANT, tenant=tenant_id, limit=limit)\n",
                "        known = await self._all(_OF_TENANT, tenant=tenant_id, limit=limit)\n"
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
)
