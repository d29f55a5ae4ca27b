"""What scenarios do to the network between services, databases and broker: slow, lossy, flapping, parted."""

from __future__ import annotations

from zlib import crc32

from airproof.faults.network import flapping, latency, loss, partition, slow_link
from airproof.platform.observation import MessageKind
from airproof_e2e.saga.messages import BROKER, DATABASE, start_in_the_end
from airproof_e2e.saga.moments import services_of
from airproof_e2e.saga.stage import Stage

LATENCY_S, SLOW_BYTES_PER_S = 0.001, 1_000_000
LOST = 0.02


def slow(stage: Stage) -> None:
    """Every message of every service takes longer, and bytes trickle to the broker."""
    services = services_of(stage.saga)
    stage.disturbances.append("slow")
    with (
        latency(
            stage.cell, services, DATABASE, LATENCY_S, spread_s=LATENCY_S, distribution="uniform", seed=_seed(stage)
        ),
        slow_link(stage.cell, services, BROKER, SLOW_BYTES_PER_S),
    ):
        stage.wait_end(stage.start())


def lossy(stage: Stage) -> None:
    """Now and then a message between a service and its database is lost, and its connection with it."""
    stage.disturbances.append("loss")
    with loss(stage.cell, services_of(stage.saga), DATABASE, LOST, seed=_seed(stage), required=False):
        saga_id = start_in_the_end(stage)
        stage.wait_for(saga_id, (MessageKind.EVENT, stage.saga.completed))
    stage.wait_end(saga_id)


def flaps(stage: Stage) -> None:
    """The links to the broker come and go."""
    stage.disturbances.append("flapping")
    with flapping(stage.cell, services_of(stage.saga), BROKER, up=4, down=1, cycles=3, seed=_seed(stage)):
        stage.wait_end(stage.start())


def parted(stage: Stage) -> None:
    """The step's participant reaches neither its database nor the broker when it is asked."""
    stage.disturbances.append("partition")
    with partition(stage.cell, stage.step.participant, [DATABASE, BROKER]):
        saga_id = stage.start()
        stage.command(saga_id, stage.step, count=2)
    stage.wait_end(saga_id)


def _seed(stage: Stage) -> int:
    """Another one in every test, and the same in the same test of the same run."""
    return crc32(stage.tenant.id.encode())
