"""The log: topics of ordered records that outlive every process. One contract, two engines.

A *topic* has a fixed number of *partitions*. Records with the same key land in the same partition and are read in the
order in which they were published. A *group* is a set of readers that share the partitions of its topics: each
partition is read by one of them at a time, from where the group last committed. A *tail* belongs to no group: it sees
every record published after it was opened.

Delivery is at least once: what a group has not committed is read again, at the same place and offset. A record that
was published twice (see ``Log.publish``) is two records: whoever must not handle it twice gives it an id of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit
from zlib import crc32


class LogDown(Exception):
    """The log cannot be reached now. Nothing was lost; try again later."""


class Place(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Outgoing(NamedTuple):
    """A record to be published. ``key`` decides the partition; ``headers`` are text."""

    topic: str
    key: str
    value: bytes
    headers: Mapping[str, str]


class Record(NamedTuple):
    """A record as it was read. ``at`` is the publishing time in milliseconds since 1970 UTC."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes
    headers: Mapping[str, str]
    at: int

    @property
    def place(self) -> Place:
        return Place(self.topic, self.partition)


class Reader(Protocol):
    """Reads records; used by one thread."""

    def poll(self, seconds: float, most: int = 100) -> list[Record]:
        """Up to ``most`` records, waiting up to ``seconds`` for the first. Those of one partition are in order.

        A poll is also where partitions come and go between the readers of a group: what was read before and not
        committed comes again from whoever holds the partition next.

        A reader joins its group at its first poll. While the log is down a poll may also return nothing.

        Raises:
            LogDown: poll again later; what was not committed may come again.
            KeyError: a topic that does not exist (at the first poll).
        """

    def commit(self, offsets: Mapping[Place, int]) -> None:
        """Remember, for the group, the offset to read next in each partition. A tail has nothing to commit.

        A partition that this reader no longer holds is left out silently: its records will be read again elsewhere.

        Raises:
            LogDown: not remembered yet. A later commit of the same partitions makes up for it; else the records
                come again.
        """

    def rewind(self, place: Place, offset: int) -> None:
        """Read ``place`` again from ``offset`` at the next poll. Ignored for a partition that is not held."""

    def pause(self, places: Iterable[Place]) -> None:
        """Return nothing from these until resumed. Ignored for partitions that are not held."""

    def resume(self, places: Iterable[Place]) -> None:
        """Return records from these again."""

    def held(self) -> frozenset[Place]:
        """The partitions that this reader reads now."""

    def close(self) -> None:
        """Give the partitions to others at once."""


class Log(Protocol):
    """Where events are published and read."""

    def publish(self, records: Sequence[Outgoing]) -> None:
        """Return once every record is durable, in this order within each partition.

        Raises:
            LogDown: some may have been written; publish them all again.
            KeyError: a topic that does not exist; nothing was written.
        """

    def subscribe(self, group: str, topics: Sequence[str]) -> Reader:
        """A reader of ``group``. A group that never committed reads from the beginning. Connects at the first poll."""

    def tail(self, topics: Sequence[str]) -> Reader:
        """A reader of every partition, in no group: of all that is published after this returned, and nothing else.

        Raises:
            LogDown: there is no reader; try again later.
            KeyError: a topic that does not exist.
        """

    def make_topics(self, topics: Mapping[str, int]) -> list[str]:
        """Make the topics (name to number of partitions) that do not exist yet; return the names of those made.

        Raises:
            LogDown: some may have been made; try again later.
            ValueError: a name with other characters than letters, digits, dot, dash and underscore, or no partitions.
        """

    def ping(self) -> None:
        """Return if the log answers. Raises ``LogDown``."""

    def close(self) -> None:
        """Publish nothing more."""


def partition_of(key: str, partitions: int) -> int:
    """The partition of a key, the same on every engine and machine."""
    return crc32(key.encode()) % partitions


def open_log(url: str) -> Log:
    """The log of a URL: ``kafka://host:port[,host:port]`` or ``sqlite:///path``.

    Raises:
        ValueError: for another scheme.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        from infra.sqlite_log import SqliteLog

        return SqliteLog(parts.path)
    if parts.scheme == "kafka":
        from infra.kafka_log import KafkaLog

        return KafkaLog(parts.netloc)
    raise ValueError(f"ALONGSIDE_LOG_URL must start with kafka:// or sqlite://, not {parts.scheme}://")
