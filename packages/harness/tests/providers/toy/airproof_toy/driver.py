"""The toy's driver: only what a provider needs of one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airproof.environment.topology import CellDescription
from airproof.platform.driver import Migration, ServiceLaunch, Topic
from airproof.platform.manifest import Manifest, Service

if TYPE_CHECKING:
    from airproof.platform.driver import Platform


class ToyDriver:
    """Launches the toy; cannot connect to it."""

    manifest = Manifest("toy", services=(Service("keeper", "toy"), Service("greeter")), sagas=())
    preload: tuple[str, ...] = ("airproof_toy.service",)
    access: tuple[str, ...] = ()
    migration: Migration = Migration((sys.executable, "-m", "airproof_toy.migration"), "airproof_toy", "schema.py")
    topics: tuple[Topic, ...] = (Topic("things"), Topic("replies", 2))

    def databases(self) -> Sequence[str]:
        return ["toy"]

    def launch(self, node: str, cell: CellDescription) -> ServiceLaunch:
        service = cell.node(node).service
        variables = {"SERVICE_NAME": service, "PORT": str(cell.node(node).endpoint.port)}
        if self.manifest.service(service).database:
            variables["DATABASE_URL"] = cell.postgres_url("toy")
        return ServiceLaunch("airproof_toy.service:serve", variables)

    def connect(self, cell: CellDescription, *, seed: int) -> Platform:
        raise NotImplementedError
