"""What a lost connection to the broker looks like to those who use it."""

from aiokafka.errors import KafkaError


def is_lost(failure: RuntimeError) -> bool:
    """Whether it is a KafkaError, or what uvloop raises where aiokafka writes to a connection that was just closed."""
    return isinstance(failure, KafkaError) or "handler is closed" in str(failure)
