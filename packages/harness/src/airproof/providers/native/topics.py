"""The topics of a cell on a broker: created when it comes up, deleted with its consumer groups when it goes.

As a program, `python -m airproof.providers.native.topics HOST:PORT PREFIX`, it deletes: the undo command of a cell on a
shared broker.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread
from typing import Any

from airproof.errors import AirproofError, NotReady
from airproof.platform.driver import Topic
from airproof.waiting import wait_until

TIMEOUT_MS = 20_000
UNDO_TIMEOUT_S = 8.0


def load_client() -> None:
    """Imports kafka-python, which takes 0.3 s: to be done while the broker starts."""
    import kafka.admin  # noqa: F401


@contextmanager
def _admin(bootstrap: str) -> Iterator[Any]:
    from kafka import KafkaAdminClient

    client = KafkaAdminClient(
        bootstrap_servers=bootstrap,
        client_id="airproof",
        request_timeout_ms=TIMEOUT_MS,
        bootstrap_timeout_ms=TIMEOUT_MS,
        retry_backoff_ms=20,
    )
    try:
        yield client
    finally:
        client.close()


def create_topics(bootstrap: str, prefix: str, topics: Sequence[Topic]) -> None:
    """Creates the platform's topics, named with the cell's prefix, and waits until each of them has a leader.

    Raises:
        NotReady: the broker refused.
    """
    from kafka.errors import KafkaError

    wanted = {
        f"{prefix}{topic.name}": {"num_partitions": topic.partitions, "replication_factor": 1} for topic in topics
    }
    if not wanted:
        return
    try:
        with _admin(bootstrap) as client:
            client.create_topics(wanted, timeout_ms=TIMEOUT_MS, wait_for_metadata=True)
    except KafkaError as error:
        raise NotReady(f"Kafka at {bootstrap} did not create the topics of {prefix!r}: {error!r}") from error


def delete_topics(bootstrap: str, prefix: str) -> None:
    """Deletes every topic and consumer group with that prefix; members that were killed are put out first.

    Raises:
        AirproofError: the broker refused, or does not answer.
    """
    from kafka.errors import KafkaError

    try:
        _delete(bootstrap, prefix)
    except KafkaError as error:
        raise AirproofError(f"Kafka at {bootstrap} did not delete the topics of {prefix!r}: {error!r}") from error


def _delete(bootstrap: str, prefix: str) -> None:
    from kafka.admin import MemberToRemove

    with _admin(bootstrap) as client:
        groups = [group["group_id"] for group in client.list_groups() if group["group_id"].startswith(prefix)]
        for name, group in client.describe_groups(groups).items() if groups else ():
            members = [MemberToRemove(member_id=member["member_id"]) for member in group["members"]]
            if members:
                client.remove_group_members(name, members)
        if groups:
            client.delete_groups(groups)
        topics = [topic for topic in client.list_topics() if topic.startswith(prefix)]
        if topics:
            client.delete_topics(topics, timeout_ms=TIMEOUT_MS)


def undo(bootstrap: str, prefix: str) -> None:
    """Deletes, unless the broker is gone or goes meanwhile, and the topics with it.

    Raises:
        AirproofError: the broker is there and refused.
        WaitTimeout: the broker is there and does not answer.
    """
    failures: SimpleQueue[AirproofError | None] = SimpleQueue()

    def delete() -> None:
        try:
            delete_topics(bootstrap, prefix)
        except AirproofError as error:
            failures.put(error)
        else:
            failures.put(None)

    deletion = Thread(target=delete, daemon=True)
    deletion.start()
    wait_until(
        lambda: not deletion.is_alive() or not _listens(bootstrap), timeout_s=UNDO_TIMEOUT_S, describe="the deletion"
    )
    failure = None if failures.empty() else failures.get()
    if failure is not None and _listens(bootstrap):
        raise failure


def _listens(bootstrap: str) -> bool:
    host, _, port = bootstrap.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=UNDO_TIMEOUT_S).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    undo(sys.argv[1], sys.argv[2])
