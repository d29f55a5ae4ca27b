"""The bus of a cell: what passes over it, and what an operator may do to topics and groups."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, MemberToRemove, OffsetSpec
from kafka.structs import OffsetAndMetadata

from airproof.environment.topology import CellDescription, Role
from airproof.errors import PlatformError
from airproof.platform.driver import Tenant
from airproof.platform.observation import BusMessage, MessageKind
from airproof.waiting import wait_until
from airproof_pyairtable.connecting import CONNECTING
from airproof_pyairtable.manifest import DEAD_LETTERS
from airproof_pyairtable.places import CONSUMPTION, EVENT_TOPICS, TOPICS, commands_topic, node_of
from airproof_pyairtable.poison import encoded, poisons
from airproof_pyairtable.record_log import RecordLog
from airproof_pyairtable.records import older

REQUEST_TIMEOUT_MS = 20_000
SHARED_TIMEOUT_S = 20.0
LOOK_AGAIN_S = 0.02


class Bus:
    """The bus of one cell; see `airproof.platform.messaging.BusAccess`. Safe to use from several threads."""

    def __init__(self, cell: CellDescription) -> None:
        self._bootstrap = str(cell.node(Role.KAFKA.value).endpoint)
        self._prefix = cell.topic_prefix
        self._partitions = [
            TopicPartition(f"{self._prefix}{topic.name}", number)
            for topic in TOPICS
            for number in range(topic.within(cell).partitions)
        ]
        self._lock = threading.RLock()
        self._admin_client: KafkaAdminClient | None = None
        self._producer_client: KafkaProducer | None = None
        self._log: RecordLog | None = None

    @property
    def log(self) -> RecordLog:
        """The records from the first use of the bus on."""
        with self._lock:
            if self._log is None:
                self._log = RecordLog(self._bootstrap, self._prefix, self._ends())
            return self._log

    def messages(self, saga_id: str) -> tuple[BusMessage, ...]:
        """Everything of the saga that the bus holds at this moment, its events included."""
        self.fence()
        talk = self.log.of("", [saga_id], [])
        return tuple(self.log.of("", [saga_id], {message.correlation_id for message in talk}))

    def fence(self) -> None:
        """Waits until all that was on the bus when it was called has been read."""
        self.log.wait_read(self._ends())

    def lag(self) -> list[str]:
        """The consumer groups that have not handled everything, one clause each."""
        with self._lock:
            ends = self._ends()
            committed = self._admin.list_group_offsets([f"{self._prefix}{name}" for name in CONSUMPTION])
        behind = []
        for name in CONSUMPTION:
            offsets = committed.get(f"{self._prefix}{name}", {})
            for partition, end in ends.items():
                if self._is_read_by(name, partition):
                    done = max(offsets[partition].offset, 0) if partition in offsets else self._begin(partition, end)
                    if done < end:
                        behind.append(f"{name} is {end - done} records behind on {partition.topic}")
        return behind

    def _is_read_by(self, group: str, partition: TopicPartition) -> bool:
        return partition.topic.removeprefix(self._prefix) in CONSUMPTION[group]

    def _begin(self, partition: TopicPartition, end: int) -> int:
        """Where a group begins that the broker does not know: where nothing was ever sent that is the end."""
        if end == 0:
            return 0
        with self._lock:
            found = self._admin.list_partition_offsets({partition: OffsetSpec.EARLIEST})
        return int(found[partition].offset)

    def wait_consumed(self, group: str, message: BusMessage, *, timeout_s: float) -> None:
        """Waits until the group has handled the record.

        Raises:
            WaitTimeout: it has not.
        """
        partition = TopicPartition(f"{self._prefix}{message.topic}", message.partition)

        def consumed() -> bool:
            with self._lock:
                offsets = self._admin.list_group_offsets([f"{self._prefix}{group}"]).get(f"{self._prefix}{group}", {})
            return partition in offsets and offsets[partition].offset > message.offset

        describe = f"group {group!r} to consume offset {message.offset} of {message.topic}"
        wait_until(consumed, timeout_s=timeout_s, describe=describe, longest_interval_s=LOOK_AGAIN_S)

    def send_again(self, message: BusMessage, days: float = 0, *, elsewhere: bool = False) -> BusMessage:
        """Produces the record once more, key and headers unchanged; its body older, if asked."""
        raw = self.log.raw(message)
        copy = replace(message, injected=True, partition=self.beside(message) if elsewhere else message.partition)
        value = json.dumps(older(message.body, days)).encode() if days else raw.value
        return self._send(copy, raw.key, value, list(raw.headers))

    def beside(self, message: BusMessage) -> int:
        """Another partition of the message's topic.

        Raises:
            PlatformError: there is none.
        """
        topic = f"{self._prefix}{message.topic}"
        for one in self._partitions:
            if one.topic == topic and one.partition != message.partition:
                return int(one.partition)
        raise PlatformError(f"{message.topic} has one partition only")

    def send_letter(self, letter: BusMessage, to: BusMessage, *, days: float = 0) -> BusMessage:
        """Produces the dead letter's record to the place of the message, with all headers that it has by now."""
        raw = self.log.raw(letter)
        copy = replace(to, injected=True, headers=letter.headers)
        value = json.dumps(older(letter.body, days)).encode() if days else raw.value
        return self._send(copy, raw.key, value, list(raw.headers))

    def send_poison(self, service: str, tenant: Tenant) -> tuple[BusMessage, ...]:
        """Sends messages that are addressed to the service and that it can do nothing with."""
        return self.send_new(poisons(service, tenant.id))

    def send_new(self, messages: Iterable[BusMessage]) -> tuple[BusMessage, ...]:
        """Sends messages of our own."""
        return tuple(self._send(message, *encoded(message)) for message in messages)

    def wait_dead_letter(self, message_id: str, *, key: str = "", by: str = "", timeout_s: float) -> BusMessage:
        """Waits until the message lies among the dead letters."""

        def is_wanted(letter: BusMessage) -> bool:
            same = letter.message_id == message_id if message_id else letter.key == key
            return same and by in {"", letter.headers.get("dlq-source")}

        def letter() -> BusMessage | None:
            return next(filter(is_wanted, self.log.dead_letters()), None)

        return self.log.wait(letter, timeout_s, f"dead letter {message_id or key}{by and f' of {by}'}")

    def provide(self, topic: str) -> None:
        """Creates it with one partition; it is deleted with the cell's other topics."""
        wanted = {f"{self._prefix}{topic}": {"num_partitions": 1, "replication_factor": 1}}
        with self._lock:
            self._admin.create_topics(wanted, timeout_ms=REQUEST_TIMEOUT_MS, wait_for_metadata=True)

    @contextmanager
    def refusing(self, what: str, *, larger_than: int = 0) -> Iterator[None]:
        """Lowers the topic's largest record size."""
        topics = {**EVENT_TOPICS, MessageKind.DEAD_LETTER: DEAD_LETTERS}
        topic = f"{self._prefix}{topics.get(what) or commands_topic(what)}"
        self._set_largest_record(topic, str(max(larger_than, 1)))
        try:
            yield
        finally:
            self._set_largest_record(topic, None)

    def rewind(self, service: str, to: BusMessage) -> None:
        """Sets the group of a service that is down back to the record."""
        partition = TopicPartition(f"{self._prefix}{to.topic}", to.partition)
        with self._lock:
            group = self._left(service)
            answer = self._admin.alter_group_offsets(group, {partition: OffsetAndMetadata(to.offset, "", None)})
        failed = {str(one): error.__name__ for one, error in answer.items() if error.errno}
        if failed:
            raise PlatformError(f"group {group!r} could not be rewound: {failed}")

    def forget_group(self, service: str) -> None:
        """Deletes the group of a service that is down, and all that its topics hold: who begins there begins now."""
        self.fence()
        ends = {one: end for one, end in self._ends().items() if self._is_read_by(service, one)}
        with self._lock:
            self._admin.delete_records(ends)
            group = self._left(service)
            answer = self._admin.delete_groups([group])
        if answer.get(group) != "OK":
            raise PlatformError(f"group {group!r} could not be deleted: {answer}")

    def expel(self, service: str, node: str) -> None:
        """Takes the node's member out of the group, and waits until the others have shared it among them."""
        group = f"{self._prefix}{service}"

        def members() -> dict[str, str]:
            """Their ids by node; none while the group is being shared."""
            with self._lock:
                described = self._admin.describe_groups([group])[group]
            found = {
                node_of(one["client_id"].removeprefix(self._prefix)): one["member_id"] for one in described["members"]
            }
            return found if described["group_state"] == "Stable" else {}

        def is_shared_without() -> bool:
            return bool(others := members()) and node not in others

        gone = wait_until(
            lambda: members().get(node), timeout_s=SHARED_TIMEOUT_S, describe=f"group {group!r} to have {node} in it"
        )
        with self._lock:
            self._admin.remove_group_members(group, [MemberToRemove(member_id=gone)])
        without = f"group {group!r} to be shared without {node}"
        wait_until(is_shared_without, timeout_s=SHARED_TIMEOUT_S, describe=without, longest_interval_s=LOOK_AGAIN_S)

    def _left(self, service: str) -> str:
        """The group of a service that is down, when all its members have left it."""
        group = f"{self._prefix}{service}"
        members = self._admin.describe_groups([group])[group]["members"]
        if members:
            self._admin.remove_group_members(group, [MemberToRemove(member_id=one["member_id"]) for one in members])
        return group

    def close(self) -> None:
        """Closes all connections."""
        with self._lock:
            for client in (self._log, self._producer_client, self._admin_client):
                if client is not None:
                    client.close()

    @property
    def _admin(self) -> KafkaAdminClient:
        if self._admin_client is None:
            self._admin_client = KafkaAdminClient(
                bootstrap_servers=self._bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS, **CONNECTING
            )
        return self._admin_client

    def _ends(self) -> dict[TopicPartition, int]:
        with self._lock:
            found = self._admin.list_partition_offsets(dict.fromkeys(self._partitions, OffsetSpec.LATEST))
        return {partition: place.offset for partition, place in found.items()}

    def _send(
        self, message: BusMessage, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> BusMessage:
        with self._lock:
            if self._producer_client is None:
                self._producer_client = KafkaProducer(bootstrap_servers=self._bootstrap, acks="all", **CONNECTING)
            producer = self._producer_client
        sent = producer.send(
            f"{self._prefix}{message.topic}", key=key, value=value, headers=headers, partition=message.partition
        )
        place = sent.get(timeout=REQUEST_TIMEOUT_MS / 1000)
        self.log.mark_injected((message.topic, place.partition, place.offset))
        return replace(message, partition=place.partition, offset=place.offset)

    def _set_largest_record(self, topic: str, size_bytes: str | None) -> None:
        name = "max.message.bytes"
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {name: size_bytes or ""})
        with self._lock:
            change = self._admin.alter_configs if size_bytes else self._admin.reset_configs
            change([resource])
            wait_until(
                lambda: self._modified(topic).get(name) == size_bytes,
                timeout_s=REQUEST_TIMEOUT_MS / 1000,
                describe=f"{name} of {topic} to be {size_bytes or 'the default'}",
            )

    def _modified(self, topic: str) -> dict[str, str]:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        described = self._admin.describe_configs([resource])
        values: dict[str, str] = {}
        for topics in described.values():
            for name, config in topics.get(topic, {}).items():
                values[name] = config["value"]
        return values
