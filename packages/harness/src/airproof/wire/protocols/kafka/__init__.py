"""Kafka's protocol, followed: see `session`."""

from airproof.wire.protocols.kafka.session import KafkaSession

__all__ = ["KafkaSession"]
