"""Records of Kafka, removed as an administrator may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airproof.environment.topology import Role
from airproof.errors import FaultNotObserved, FaultUnsupported
from airproof.faults.targets import Target


@contextmanager
def removed_records(target: Target, topic: str, *, before: int, partition: int = 0) -> Iterator[int]:
    """The partition begins at that offset; what was before is gone for good. Yields where it began.

    Args:
        topic: its whole name, with the cell's prefix.

    Raises:
        FaultUnsupported: the broker refused; a stand-in may not know how.
        FaultNotObserved: nothing before that offset was there.
    """
    from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
    from kafka.errors import KafkaError

    endpoint = str(target.description.node(Role.KAFKA.value).endpoint)
    place = TopicPartition(topic, partition)
    with target.history.fault("records removed", f"{topic}/{partition}", before=before) as record:
        admin = KafkaAdminClient(bootstrap_servers=endpoint)
        consumer = KafkaConsumer(bootstrap_servers=endpoint)
        try:
            began = int(consumer.beginning_offsets([place])[place])
            admin.delete_records({place: before})
            begins = int(consumer.beginning_offsets([place])[place])
        except KafkaError as error:
            raise FaultUnsupported(f"the broker does not remove records of {topic!r}: {error}") from error
        finally:
            consumer.close()
            admin.close()
        if begins <= began:
            raise FaultNotObserved(f"{topic}/{partition} begins at {begins} as before: nothing was removed")
        record.evidence(f"{topic}/{partition} begins at {begins}, not at {began}", removed=begins - began)
        try:
            yield began
        finally:
            record.healed(f"{begins - began} records stay removed; nothing else is in force")
