from __future__ import annotations

import pytest

from airproof_service.cache.stage import Stage


@pytest.mark.doubled
@pytest.mark.covers("CA-2", "CA-3")
def test_every_instance_knows_what_another_one_has_changed(stage: Stage) -> None:
    """Whichever instance of a service is asked, what another one has changed is read as soon as it was invalidated."""
    nodes = stage.cell.description.instances(stage.access.entity.service)
    instances = [stage.access.behind_the_gateway(node.name) for node in nodes]
    for version, writer in enumerate((*instances, *instances), 2):
        stage.read_from_the_cache()
        for reader in instances:
            for _ in range(2):
                stage.read(reader)
        stage.demand_done(version, writer)
        stage.wait_invalidated(version)
        for reader in instances:
            stage.read(reader)
    stage.judge()
