"""The bus of a cell: a reader that keeps every record, and what an operator may do to topics and groups."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, MemberToRemove, OffsetSpec
from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import OffsetAndMetadata

from airproof.environment.topology import CellDescription, Role
from airproof.errors import PlatformError, WaitTimeout
from airproof.platform.driver import Tenant
from airproof.platform.observation import BusMessage, MessageKind
from airproof.waiting import wait_until
from airproof_pyairtable.connecting import CONNECTING
from airproof_pyairtable.manifest import DEAD_LETTERS
from airproof_pyairtable.places import CONSUMPTION, EVENT_TOPICS, TOPICS, commands_topic, node_of
from airproof_pyairtable.poison import encoded, poisons
from airproof_pyairtable.records import older, read_record

REQUEST_TIMEOUT_MS = 20_000
FENCE_TIMEOUT_S = 20.0
LOOK_AGAIN_S = 0.02
Place = tuple[str, int, int]


class RecordLog:
    """Every record of the cell's topics from the moment of its making, read in the background.

    Waiters wake when a record arrives.
    """

    def __init__(self, bootstrap: str, prefix: str, begin: dict[TopicPartition, int]) -> None:
        self._prefix = prefix
        self._partitions = Counter(partition.topic for partition in begin)
        self._changed = threading.Condition()
        self._read_to = dict(begin)
        self._by_correlation: dict[str, list[BusMessage]] = defaultdict(list)
        self._by_saga: dict[str, list[BusMessage]] = defaultdict(list)
        self._by_tenant: dict[str, list[BusMessage]] = defaultdict(list)
        self._raw: dict[Place, ConsumerRecord] = {}
        self._injected: set[Place] = set()
        self._failure: BaseException | None = None
        self._stopping = threading.Event()
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, fetch_max_wait_ms=200, **CONNECTING
        )
        self._consumer.assign(list(begin))
        for partition, offset in begin.items():
            self._consumer.seek(partition, offset)
        self._thread = threading.Thread(target=self._read, name="airproof-bus", daemon=True)
        self._thread.start()

    def mark_injected(self, place: Place) -> None:
        """Remembers that the harness itself produced the record at that place."""
        with self._changed:
            self._injected.add(place)

    def raw(self, message: BusMessage) -> ConsumerRecord:
        """The record that the message was read from."""
        return self._raw[self._place(message)]

    def wait(self, condition: Callable[[], BusMessage | None], timeout_s: float, describe: str) -> BusMessage:
        """Waits until the condition, asked again with every record, gives a message.

        Raises:
            WaitTimeout: it gave none.
        """
        with self._changed:
            found = self._changed.wait_for(lambda: self._failure or condition(), timeout_s)
        if isinstance(found, BusMessage):
            return found
        self._raise_failure()
        raise WaitTimeout(f"waited {timeout_s:g} s for {describe} on the bus", timeout_s=timeout_s)

    def wait_read(self, ends: dict[TopicPartition, int]) -> None:
        """Waits until everything before those offsets has been read."""

        def behind() -> list[TopicPartition]:
            return [partition for partition, end in ends.items() if self._read_to.get(partition, 0) < end]

        with self._changed:
            self._changed.wait_for(lambda: self._failure or not behind(), FENCE_TIMEOUT_S)
            left = behind()
        self._raise_failure()
        if left:
            raise WaitTimeout(f"waited {FENCE_TIMEOUT_S:g} s to read the bus to its end; behind on {left}", last=left)

    def of_correlation(self, correlation_id: str) -> list[BusMessage]:
        """The records with that correlation id, in order per partition."""
        return self._marked(self._by_correlation, [correlation_id])

    def of(self, tenant_id: str, saga_ids: Iterable[str], correlation_ids: Iterable[str]) -> list[BusMessage]:
        """The records that name the tenant, one of the sagas or one of the correlation ids, in order per partition."""
        with self._changed:
            found = {
                self._place(message): message
                for messages in (
                    self._marked(self._by_tenant, [tenant_id]),
                    self._marked(self._by_saga, saga_ids),
                    self._marked(self._by_correlation, correlation_ids),
                )
                for message in messages
            }
        return [found[place] for place in sorted(found)]

    def dead_letters(self) -> list[BusMessage]:
        """The records among the dead letters."""
        with self._changed:
            return [read_record(raw, self._prefix) for (topic, _, _), raw in self._raw.items() if topic == DEAD_LETTERS]

    def close(self) -> None:
        """Ends the reading."""
        self._stopping.set()
        self._thread.join(timeout=5)
        self._consumer.close()

    def _marked(self, index: dict[str, list[BusMessage]], keys: Iterable[str]) -> list[BusMessage]:
        with self._changed:
            messages = [message for key in keys if key for message in index.get(key, ())]
        return [
            replace(message, injected=True) if self._place(message) in self._injected else message
            for message in messages
        ]

    def _read(self) -> None:
        try:
            while not self._stopping.is_set():
                self._keep(self._consumer.poll(timeout_ms=100))
        except BaseException as failure:  # noqa: BLE001  handed to whoever waits
            with self._changed:
                self._failure = failure
                self._changed.notify_all()

    def _keep(self, batches: dict[TopicPartition, list[ConsumerRecord]]) -> None:
        if not batches:
            return
        with self._changed:
            for partition, records in batches.items():
                for record in records:
                    message = read_record(record, self._prefix, self._partitions[partition.topic])
                    self._raw[self._place(message)] = record
                    self._by_tenant[message.tenant_id].append(message)
                    self._by_saga[message.saga_id].append(message)
                    self._by_correlation[message.correlation_id].append(message)
                self._read_to[partition] = self._consumer.position(partition)
            self._changed.notify_all()

    def _raise_failure(self) -> None:
        if self._failure:
            raise PlatformError(f"reading the bus failed: {self._failure!r}") from self._failure

    @staticmethod
    def _place(message: BusMessage) -> Place:
        return (message.topic, message.partition, message.offset)


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
        topic = f"{self._prefix}{message.topic}"
        others = [
            one.partition for one in self._partitions if one.topic == topic and one.partition != message.partition
        ]
        if elsewhere and not others:
            raise PlatformError(f"{message.topic} has one partition only")
        copy = replace(message, injected=True, partition=others[0] if elsewhere else message.partition)
        value = json.dumps(older(message.body, days)).encode() if days else raw.value
        return self._send(copy, raw.key, value, list(raw.headers))

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
            lambda: members().get(node), timeout_s=FENCE_TIMEOUT_S, describe=f"group {group!r} to have {node} in it"
        )
        with self._lock:
            self._admin.remove_group_members(group, [MemberToRemove(member_id=gone)])
        without = f"group {group!r} to be shared without {node}"
        wait_until(is_shared_without, timeout_s=FENCE_TIMEOUT_S, describe=without, longest_interval_s=LOOK_AGAIN_S)

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
