"""The log on Apache Kafka. The only module that imports kafka.

Nothing is connected until it is needed, and every call is bounded: where no broker answers it raises ``LogDown`` within
a few seconds. A process that forks must not go on using, in the child, what it opened before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from kafka import AsyncConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    AuthorizationError,
    InvalidPartitionsError,
    InvalidTopicError,
    KafkaConfigurationError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NoError,
    RecordListTooLargeError,
    SaslAuthenticationFailedError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    UnsupportedVersionError,
    for_code,
)
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket
from kafka.structs import OffsetAndMetadata

from infra.log import LogDown, Outgoing, Place, Reader, Record, partition_of

RETENTION_DAYS = 90
"""Records older than this go, read or not."""
COPIES = 3
"""Brokers that hold each record, where there are as many."""

ANSWER_MS = 5_000
CONNECT_MS = 3_000

SESSION_MS = 6_000
HEARTBEAT_MS = 1_000

# Trying again later will not help with these; they say what is wrong with the settings or with the record.
PERMANENT = (
    AuthorizationError,
    SaslAuthenticationFailedError,
    KafkaConfigurationError,
    UnsupportedVersionError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)


class KafkaLog:
    """The log on the brokers ``servers`` (``host:port[,host:port]``). Safe to share between threads."""

    def __init__(self, servers: str) -> None:
        self._servers = servers.split(",")
        self._lock = threading.Lock()
        self._producer: KafkaProducer | None = None
        self._admin: KafkaAdminClient | None = None
        self._partitions: dict[str, int] = {}

    def publish(self, records: Sequence[Outgoing]) -> None:
        if not records:
            return
        counts = self._counts({record.topic for record in records})
        producer = self._producing()
        sent: list[Any] = []
        with _down_if_unreachable():
            try:
                sent += [
                    producer.send(
                        record.topic,
                        key=record.key.encode(),
                        value=record.value,
                        headers=[(name, text.encode()) for name, text in record.headers.items()],
                        partition=partition_of(record.key, counts[record.topic]),
                    )
                    for record in records
                ]
                for future in sent:
                    future.get(ANSWER_MS / 1000 + 1)
            except KafkaError as error:
                if _stuck(sent) or (not error.retriable and not isinstance(error, PERMANENT)):
                    # The producer may never get over it: the next publish begins with a new one.
                    self._drop(producer)
                raise

    def subscribe(self, group: str, topics: Sequence[str]) -> Reader:
        return KafkaReader(self._servers, topics, self._counts, group)

    def tail(self, topics: Sequence[str]) -> Reader:
        reader = KafkaReader(self._servers, topics, self._counts, group=None)
        try:
            reader.start_at_end()
        except BaseException:
            reader.close()
            raise
        return reader

    def make_topics(self, topics: Mapping[str, int]) -> list[str]:
        admin = self._administering()
        with _down_if_unreachable():
            known = set(admin.list_topics())
            missing = [topic for topic in topics if topic not in known]
            if not missing:
                return []
            copies = min(COPIES, len(admin.describe_cluster()["brokers"]))
            configs = {
                "min.insync.replicas": str(max(1, copies - 1)),
                "retention.ms": str(RETENTION_DAYS * 86_400_000),
            }
            wanted = {
                topic: {"num_partitions": topics[topic], "replication_factor": copies, "configs": configs}
                for topic in missing
            }
            answer = admin.create_topics(wanted, timeout_ms=ANSWER_MS, raise_errors=False)
            made = [topic["name"] for topic in answer["topics"] if _made(topic)]
            admin.wait_for_topics(missing, timeout_ms=ANSWER_MS)
        return made

    def ping(self) -> None:
        admin = self._administering()
        with _down_if_unreachable():
            if not admin.describe_cluster()["brokers"]:
                raise LogDown("no Kafka broker is up")

    def close(self) -> None:
        with self._lock:
            producer, self._producer = self._producer, None
            admin, self._admin = self._admin, None
        if producer is not None:
            _shut(producer)
        if admin is not None:
            admin.close()

    def _counts(self, topics: Iterable[str]) -> dict[str, int]:
        """How many partitions each topic has. They never change. Raises ``KeyError`` and ``LogDown``."""
        missing = [topic for topic in topics if topic not in self._partitions]
        if missing:
            admin = self._administering()
            with _down_if_unreachable():
                for topic in admin.describe_topics(missing):
                    error = for_code(topic["error_code"])
                    if error in (UnknownTopicOrPartitionError, InvalidTopicError):
                        raise KeyError(topic["name"])
                    if error is not NoError:
                        raise error(topic["name"])
                    self._partitions[topic["name"]] = len(topic["partitions"])
        return {topic: self._partitions[topic] for topic in topics}

    def _producing(self) -> KafkaProducer:
        with self._lock:
            if self._producer is None:
                self._producer = _connect(
                    KafkaProducer,
                    self._servers,
                    acks="all",
                    enable_idempotence=True,
                    request_timeout_ms=ANSWER_MS,
                    # Not tried on behind the caller's back: who is told LogDown publishes again.
                    delivery_timeout_ms=ANSWER_MS,
                    max_block_ms=ANSWER_MS,
                )
            return self._producer

    def _drop(self, producer: KafkaProducer) -> None:
        with self._lock:
            if self._producer is not producer:
                return
            self._producer = None
        _shut(producer)

    def _administering(self) -> KafkaAdminClient:
        with self._lock:
            if self._admin is None:
                self._admin = _connect(KafkaAdminClient, self._servers, request_timeout_ms=ANSWER_MS)
            return self._admin


class KafkaReader:
    """A reader of ``group``, or a tail where ``group`` is None. It connects and joins its group at the first poll."""

    def __init__(
        self,
        servers: Sequence[str],
        topics: Sequence[str],
        counts: Callable[[Iterable[str]], dict[str, int]],
        group: str | None,
    ) -> None:
        self._servers = servers
        self._topics = list(dict.fromkeys(topics))
        self._counts = counts
        self._group = group
        self._opened: KafkaConsumer | None = None
        # Handled, but the broker has not said that it remembers: told again with the next commit, or on giving up the
        # partition.
        self._unconfirmed: dict[TopicPartition, OffsetAndMetadata] = {}

    def start_at_end(self) -> None:
        """Skip everything published so far. Raises ``LogDown`` and ``KeyError``."""
        consumer = self._consumer()
        with _down_if_unreachable():
            ends = consumer.end_offsets(list(consumer.assignment()), timeout_ms=ANSWER_MS)
            for partition, end in ends.items():
                consumer.seek(partition, end)

    def poll(self, seconds: float, most: int = 100) -> list[Record]:
        consumer = self._consumer()
        with _down_if_unreachable():
            fetched = consumer.poll(timeout_ms=int(seconds * 1000), max_records=most)
        return [_record(message) for messages in fetched.values() for message in messages]

    def commit(self, offsets: Mapping[Place, int]) -> None:
        if self._group is None or self._opened is None:
            return
        for place in self.held() & offsets.keys():
            self._unconfirmed[TopicPartition(*place)] = OffsetAndMetadata(offsets[place], "", -1)
        if self._unconfirmed:
            with _down_if_unreachable():
                self._opened.commit(dict(self._unconfirmed), timeout_ms=ANSWER_MS)
            self._unconfirmed.clear()

    def rewind(self, place: Place, offset: int) -> None:
        if self._opened is not None and place in self.held():
            self._opened.seek(TopicPartition(*place), offset)

    def pause(self, places: Iterable[Place]) -> None:
        if self._opened is not None:
            self._opened.pause(*self._mine(places))

    def resume(self, places: Iterable[Place]) -> None:
        if self._opened is not None:
            self._opened.resume(*self._mine(places))

    def held(self) -> frozenset[Place]:
        if self._opened is None:
            return frozenset()
        return frozenset(Place(*partition) for partition in self._opened.assignment())

    def close(self) -> None:
        consumer, self._opened = self._opened, None
        if consumer is None:
            return
        try:
            # A broker that cannot be told now notices by itself, when the session ends.
            with suppress(KafkaError):
                consumer.close(autocommit=False, timeout_ms=CONNECT_MS)
        finally:
            consumer._client.close()

    def _mine(self, places: Iterable[Place]) -> list[TopicPartition]:
        return [TopicPartition(*place) for place in self.held().intersection(places)]

    def _consumer(self) -> KafkaConsumer:
        if self._opened is None:
            counts = self._counts(self._topics)
            consumer = _connect(
                KafkaConsumer,
                self._servers,
                group_id=self._group,
                partition_assignment_strategy=[_Assignor(counts)],
                session_timeout_ms=SESSION_MS,
                heartbeat_interval_ms=HEARTBEAT_MS,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
            )
            if self._group is None:
                consumer.assign([TopicPartition(topic, i) for topic, count in counts.items() for i in range(count)])
            else:
                consumer.subscribe(self._topics, listener=_Handover(consumer, self._unconfirmed))
            self._opened = consumer
        return self._opened


class _Known:
    """What the client knows of the cluster, and for certain how many partitions the reader's own topics have.

    A leader whose client had no partitions of a topic in that moment assigns none of it, and kafka-python 3.0.12 may
    never notice that it had been wrong: a group that hears nothing.
    """

    def __init__(self, cluster: Any, counts: Mapping[str, int]) -> None:
        self._cluster = cluster
        self._counts = counts

    def topics(self) -> set[str]:
        return {*self._cluster.topics(), *self._counts}

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        if topic in self._counts:
            return set(range(self._counts[topic]))
        partitions: set[int] | None = self._cluster.partitions_for_topic(topic)
        return partitions


class _Assignor(CooperativeStickyAssignor):
    """Shares what the reader knows there is, whatever the client knows in the moment of a rebalance."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        super().__init__()
        self._counts = counts

    def assign(self, cluster: Any, members: Any) -> Any:
        return super().assign(_Known(cluster, self._counts), members)


class _Handover(AsyncConsumerRebalanceListener):
    """Commits what was handled before a partition goes to another reader."""

    def __init__(self, consumer: KafkaConsumer, unconfirmed: dict[TopicPartition, OffsetAndMetadata]) -> None:
        self._consumer = consumer
        self._unconfirmed = unconfirmed

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        offsets = self._forget(revoked)
        if offsets:
            await self._consumer.commit_async(offsets)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing to do: reading begins where the group last committed."""

    async def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        # Others may have them already: committing now would set those back.
        self._forget(lost)

    def _forget(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
        return {one: self._unconfirmed.pop(one) for one in partitions if one in self._unconfirmed}


class _ClosedWhenRefused(KafkaNetSocket):
    """Makes kafka-python's sockets. Its own leaves the socket of every failed attempt open until it is collected."""

    SCHEMES = ("direct",)

    async def sock_connect(self, net: Any, sock: Any, sockaddr: Any, timeout_at: float | None = None) -> Any:
        try:
            return await super().sock_connect(net, sock, sockaddr, timeout_at)
        except BaseException:
            sock.close()
            raise


def _connect(client: Callable[..., Any], servers: Sequence[str], **options: Any) -> Any:
    """A client of kafka-python. Raises ``LogDown`` where no broker answers."""
    begun: list[KafkaNetClient] = []

    def network(**configs: Any) -> KafkaNetClient:
        begun.append(KafkaNetClient(**configs))
        return begun[-1]

    with _down_if_unreachable():
        try:
            return client(
                bootstrap_servers=list(servers),
                bootstrap_timeout_ms=CONNECT_MS,
                reconnect_backoff_max_ms=500,
                proxy_url="direct://",
                kafka_client=network,
                **options,
            )
        except KafkaError:
            # A client that could not be built leaves its network thread running.
            for one in begun:
                one.close()
            raise


def _stuck(sent: Iterable[Any]) -> bool:
    """Whether a record was given up neither by the broker nor by the producer when its time was over.

    kafka-python 3.0.12 stays so for ever after a broker died with a record on its way.
    """
    return any(not future.is_done for future in sent)


def _shut(producer: KafkaProducer) -> None:
    try:
        producer.close(timeout=1)
    except KafkaTimeoutError:
        # It still holds what was answered with LogDown, and may do so for ever.
        producer._sender.force_close()


@contextmanager
def _down_if_unreachable() -> Iterator[None]:
    try:
        yield
    except PERMANENT:
        raise
    except KafkaError as error:
        raise LogDown(f"Kafka cannot be used now: {error!r}") from error


def _made(topic: Mapping[str, Any]) -> bool:
    """Whether a topic was made. Somebody else may have made it just before."""
    error = for_code(topic["error_code"])
    if error in (InvalidTopicError, InvalidPartitionsError):
        raise ValueError(f"topic {topic['name']!r}: {topic['error_message']}")
    if error not in (NoError, TopicAlreadyExistsError):
        raise error(f"{topic['name']}: {topic['error_message']}")
    return error is NoError


def _record(message: Any) -> Record:
    """What we published, as it was. What others published can hold anything: then what is no text is replaced."""
    headers = {name: (value or b"").decode(errors="replace") for name, value in message.headers}
    key = (message.key or b"").decode(errors="replace")
    value = message.value or b""
    return Record(message.topic, message.partition, message.offset, key, value, headers, message.timestamp)
