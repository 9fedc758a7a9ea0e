"""The log in one SQLite file: several processes on one machine, durable over kill -9, nothing else to run.

Beside ``log.sqlite`` lies the folder ``log.sqlite.readers``, which holds no data and may be deleted while nobody
reads:

``<topic>/bells/<group>@<reader>``      a named pipe; its reader listens, publishers write a byte after each commit
``<topic>/claims/<group>@<partition>``  locked (``flock``) by the reader of the group that holds the partition

A pipe that nobody has open for reading belongs to a dead reader, and a lock dies with its process. So who is alive and
who holds what is known by the operating system, at once, without heartbeats or clocks. A process that forks must not go
on using, in the child, what it opened before.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import select
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4
from zlib import crc32

from infra.log import LogDown, Outgoing, Place, Reader, Record, partition_of

KEEP_DAYS = 30
"""Records older than this go, once every group of their topic has read them."""
LIMIT_DAYS = 90
"""Records older than this go, read or not: a group that was given up must not keep the log growing for ever."""

BUSY_SECONDS = 5.0
SWEEP_SECONDS = 1.0
TRIM_EVERY_SECONDS = 3600.0
TRIM_CHUNK = 1000
DAY_MS = 86_400_000

TOPIC_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,200}")

UNREACHABLE_SQLITE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}
UNREACHABLE_FILES = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE}

TABLES = """
create table if not exists heads (
    id integer primary key, topic text not null, partition integer not null, next integer not null default 0,
    unique (topic, partition));
create table if not exists records (
    head integer not null, offset integer not null, at integer not null,
    key text not null, value blob not null, headers text not null,
    primary key (head, offset)) without rowid;
create table if not exists commits (
    reader_group text not null, head integer not null, next integer not null,
    primary key (reader_group, head)) without rowid;
"""


class SqliteLog:
    """The log in the file at ``path``; its folders are made where they are missing. Safe to share between threads."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path).absolute()
        self._folder = self._path.with_name(self._path.name + ".readers")
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None
        self._next_trim = time.monotonic()

    def publish(self, records: Sequence[Outgoing]) -> None:
        if time.monotonic() >= self._next_trim:
            self.trim()
        topics = sorted({record.topic for record in records})
        with self._writing() as connection:
            heads = {topic: _heads(connection, topic) for topic in topics}
            at = time.time_ns() // 1_000_000
            rows, ends = [], {}
            for record in records:
                head = heads[record.topic][partition_of(record.key, len(heads[record.topic]))]
                headers = json.dumps(dict(record.headers), ensure_ascii=False)
                rows.append((head.id, head.next, at, record.key, record.value, headers))
                head.next += 1
                ends[head.id] = head.next
            connection.executemany("insert into records values (?, ?, ?, ?, ?, ?)", rows)
            connection.executemany("update heads set next = ? where id = ?", [(n, i) for i, n in ends.items()])
        with _down_if_unreachable():
            for topic in topics:
                _ring(self._folder / topic / "bells")

    def subscribe(self, group: str, topics: Sequence[str]) -> Reader:
        return SqliteReader(self._path, self._folder, topics, group)

    def tail(self, topics: Sequence[str]) -> Reader:
        reader = SqliteReader(self._path, self._folder, topics, group=None)
        try:
            reader.start_at_end()
        except BaseException:
            reader.close()
            raise
        return reader

    def make_topics(self, topics: Mapping[str, int]) -> list[str]:
        for topic, partitions in topics.items():
            if not TOPIC_NAME.fullmatch(topic) or partitions < 1:
                raise ValueError(f"topic {topic!r} with {partitions} partitions")
        with self._writing() as connection:
            known = {topic for (topic,) in connection.execute("select distinct topic from heads")}
            made = [topic for topic in topics if topic not in known]
            connection.executemany(
                "insert into heads (topic, partition) values (?, ?)",
                [(topic, partition) for topic in made for partition in range(topics[topic])],
            )
        return made

    def trim(self, keep_days: float = KEEP_DAYS, limit_days: float = LIMIT_DAYS) -> int:
        """Remove old records and return how many. ``publish`` calls it once an hour.

        What is older than ``keep_days`` goes once it has been read by every group that ever committed in its topic;
        what is older than ``limit_days`` goes in any case. In short transactions, so that publishers hardly wait.

        Raises:
            LogDown: some may have been removed.
        """
        self._next_trim = time.monotonic() + TRIM_EVERY_SECONDS
        now = time.time_ns() // 1_000_000
        keep, limit = now - keep_days * DAY_MS, now - limit_days * DAY_MS
        with self._writing() as connection:
            heads = [head for (head,) in connection.execute("select id from heads")]
        removed = 0
        for head in heads:
            while True:
                with self._writing() as connection:
                    count = _trim_chunk(connection, head, keep, limit)
                removed += count
                if count < TRIM_CHUNK:
                    break
        return removed

    def ping(self) -> None:
        with self._lock, _down_if_unreachable():
            self._connection().execute("select count(*) from heads").fetchone()

    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _down_if_unreachable(), self._connection() as connection:
            connection.execute("begin immediate")
            yield connection

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = _open(self._path, self._folder)
        return self._opened


class SqliteReader:
    """A reader of ``group``, or a tail where ``group`` is None. It joins its group at the first poll.

    The readers of a group share each topic's partitions evenly: of a topic with n partitions and m readers, each holds
    n / m rounded down or up. A reader that holds more than its share gives some up when it polls.
    """

    def __init__(self, path: Path, folder: Path, topics: Sequence[str], group: str | None) -> None:
        self._path = path
        self._folder = folder
        self._topics = list(dict.fromkeys(topics))
        self._group = group
        self._name = f"{quote(group or '', safe='')}@{uuid4().hex}"
        self._opened: sqlite3.Connection | None = None
        self._heads: dict[Place, int] = {}
        self._bells: dict[Path, int] = {}
        self._claims: dict[Place, int] = {}
        self._next: dict[Place, int] = {}
        self._paused: set[Place] = set()
        self._turn = 0

    def start_at_end(self) -> None:
        """Skip everything published so far.

        Raises:
            LogDown: nothing was changed.
            KeyError: a topic does not exist.
        """
        with self._reading() as connection:
            for topic in self._topics:
                for partition, head in enumerate(_heads(connection, topic)):
                    self._next[Place(topic, partition)] = head.next

    def poll(self, seconds: float, most: int = 100) -> list[Record]:
        deadline = time.monotonic() + seconds
        while True:
            # Silenced before the look and not after it: a record published in between rings again.
            for bell in self._bells.values():
                _silence(bell)
            self._join()
            if self._group is not None:
                self._share()
            records = self._read(most)
            patience = min(deadline - time.monotonic(), SWEEP_SECONDS)
            if records or patience <= 0:
                return records
            self._wait(patience)

    def commit(self, offsets: Mapping[Place, int]) -> None:
        rows = [(self._group, self._heads[place], offset) for place, offset in offsets.items() if place in self._claims]
        if not rows:
            return
        with _down_if_unreachable(), self._connection() as connection:
            connection.execute("begin immediate")
            connection.executemany(
                "insert into commits values (?, ?, ?) on conflict do update set next = excluded.next", rows
            )

    def rewind(self, place: Place, offset: int) -> None:
        if place in self._next:
            self._next[place] = offset

    def pause(self, places: Iterable[Place]) -> None:
        self._paused.update(place for place in places if place in self._next)

    def resume(self, places: Iterable[Place]) -> None:
        self._paused.difference_update(places)

    def held(self) -> frozenset[Place]:
        return frozenset(self._next)

    def close(self) -> None:
        for path, bell in self._bells.items():
            path.unlink(missing_ok=True)
            os.close(bell)
        self._bells.clear()
        self._release(list(self._claims))
        self._next.clear()
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _join(self) -> None:
        if self._bells:
            return
        with self._reading() as connection:
            for topic in self._topics:
                for partition, head in enumerate(_heads(connection, topic)):
                    self._heads[Place(topic, partition)] = head.id
        with _down_if_unreachable():
            for topic in self._topics:
                path = self._folder / topic / "bells" / self._name
                self._bells[path] = _hang(path)
                if self._group is not None:
                    _ring(path.parent)

    def _share(self) -> None:
        """Take free partitions up to this reader's share, or give up what is beyond it."""
        with _down_if_unreachable():
            for topic in self._topics:
                places = [place for place in self._heads if place.topic == topic]
                mine = [place for place in places if place in self._claims]
                share = self._share_of(topic, len(places))
                self._release(mine[share:])
                wanted = share - len(mine)
                for place in places:
                    if wanted > 0 and place not in self._claims and self._claim(place):
                        wanted -= 1

    def _share_of(self, topic: str, partitions: int) -> int:
        """How many of a topic's partitions are for this reader. The shares of all living readers add up to all."""
        bells = self._folder / topic / "bells"
        group = self._name.rpartition("@")[0]
        alive = {name for name in _hanging(bells) if name.rpartition("@")[0] == group and _touch(bells / name, b"")}
        readers = sorted(alive | {self._name})
        # What is left over goes to other readers for each topic, or one of them would get it all.
        rank = (readers.index(self._name) + crc32(topic.encode())) % len(readers)
        return partitions // len(readers) + (rank < partitions % len(readers))

    def _claim(self, place: Place) -> bool:
        group = self._name.rpartition("@")[0]
        path = self._folder / place.topic / "claims" / f"{group}@{place.partition}"
        path.parent.mkdir(parents=True, exist_ok=True)
        claim = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(claim)
            return False
        self._claims[place] = claim
        return True

    def _release(self, places: Iterable[Place]) -> None:
        topics = set()
        for place in places:
            os.close(self._claims.pop(place))
            self._next.pop(place, None)
            self._paused.discard(place)
            topics.add(place.topic)
        for topic in topics:
            _ring(self._folder / topic / "bells")

    def _read(self, most: int) -> list[Record]:
        records: list[Record] = []
        with self._reading() as connection:
            for place in self._claims.keys() - self._next.keys():
                self._next[place] = self._committed(connection, place)
            ends = dict(connection.execute("select id, next from heads"))
            waiting = [
                place
                for place in self._in_turn()
                if place not in self._paused and self._next[place] < ends[self._heads[place]]
            ]
            for place in waiting:
                if len(records) >= most:
                    break
                records += self._read_place(connection, place, most - len(records))
        for record in records:
            self._next[record.place] = record.offset + 1
        return records

    def _in_turn(self) -> list[Place]:
        """The held partitions, beginning with another one each time, so that none waits behind a busy one."""
        places = list(self._next)
        self._turn = (self._turn + 1) % max(1, len(places))
        return places[self._turn :] + places[: self._turn]

    def _committed(self, connection: sqlite3.Connection, place: Place) -> int:
        row = connection.execute(
            "select next from commits where reader_group = ? and head = ?", (self._group, self._heads[place])
        ).fetchone()
        return 0 if row is None else int(row[0])

    def _read_place(self, connection: sqlite3.Connection, place: Place, most: int) -> list[Record]:
        rows = connection.execute(
            "select offset, key, value, headers, at from records where head = ? and offset >= ?"
            " order by offset limit ?",
            (self._heads[place], self._next[place], most),
        )
        return [
            Record(place.topic, place.partition, offset, key, value, json.loads(headers), at)
            for offset, key, value, headers, at in rows
        ]

    def _wait(self, seconds: float) -> None:
        # Looked up now, not at import: gevent replaces it.
        bells = select.poll()
        for bell in self._bells.values():
            bells.register(bell, select.POLLIN)
        bells.poll(seconds * 1000)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with _down_if_unreachable(), self._connection() as connection:
            connection.execute("begin")
            yield connection

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = _open(self._path, self._folder)
        return self._opened


class _Head:
    """Where the next record of a partition goes."""

    def __init__(self, head_id: int, next_offset: int) -> None:
        self.id = head_id
        self.next = next_offset


def _heads(connection: sqlite3.Connection, topic: str) -> list[_Head]:
    """The heads of a topic by partition. Raises ``KeyError`` where there is no such topic."""
    rows = connection.execute("select id, next from heads where topic = ? order by partition", (topic,))
    heads = [_Head(*row) for row in rows]
    if not heads:
        raise KeyError(topic)
    return heads


def _trim_chunk(connection: sqlite3.Connection, head: int, keep: float, limit: float) -> int:
    """Remove up to ``TRIM_CHUNK`` of a partition's oldest records; return how many."""
    # A group that committed elsewhere in the topic, and never here, has still to read everything here.
    (read_by_all,) = connection.execute(
        "select min(coalesce(here.next, 0)) from"
        " (select distinct reader_group from commits join heads on heads.id = commits.head"
        "  where topic = (select topic from heads where id = ?1)) as groups"
        " left join commits as here on here.reader_group = groups.reader_group and here.head = ?1",
        (head,),
    ).fetchone()
    oldest = connection.execute(
        "select offset, at from records where head = ? order by offset limit ?", (head, TRIM_CHUNK)
    )
    count = 0
    for offset, at in oldest:
        if at >= limit and (at >= keep or offset >= (read_by_all or 0)):
            break
        count += 1
        last = offset
    if count:
        connection.execute("delete from records where head = ? and offset <= ?", (head, last))
    return count


def _open(path: Path, folder: Path) -> sqlite3.Connection:
    folder.mkdir(parents=True, exist_ok=True)
    # No topic can be called @opening.
    with open(folder / "@opening", "w") as opening:
        # Two processes that turn a fresh file to WAL together would find it locked without being made to wait.
        fcntl.flock(opening, fcntl.LOCK_EX)
        connection = sqlite3.connect(path, BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            connection.executescript(TABLES)
        except sqlite3.Error:
            connection.close()
            raise
    return connection


@contextmanager
def _down_if_unreachable() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        # The low byte is the kind of failure; the rest says where it happened.
        if error.sqlite_errorcode & 0xFF in UNREACHABLE_SQLITE:
            raise LogDown(f"the log file cannot be used now: {error}") from error
        raise
    except OSError as error:
        if error.errno in UNREACHABLE_FILES:
            raise LogDown(f"the log's folder cannot be used now: {error}") from error
        raise


def _hang(path: Path) -> int:
    """Make a bell and return its descriptor."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unseen = path.with_name(path.name + ".new")
    os.mkfifo(unseen, 0o600)
    # Open for writing too, so that it never reports the end when a publisher closes it. Renamed only when open: a bell
    # that is seen with nobody behind it would be taken for a dead reader's and removed.
    bell = os.open(unseen, os.O_RDWR | os.O_NONBLOCK)
    unseen.rename(path)
    return bell


def _hanging(bells: Path) -> list[str]:
    try:
        return [name for name in os.listdir(bells) if not name.endswith(".new")]
    except FileNotFoundError:
        return []


def _ring(bells: Path) -> None:
    for name in _hanging(bells):
        _touch(bells / name, b"!")


def _touch(path: Path, sound: bytes) -> bool:
    """Write to a bell; return whether its reader is alive. The bell of a dead one is removed."""
    try:
        bell = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        path.unlink(missing_ok=True)
        return False
    try:
        if sound:
            # A full pipe is ringing already; and a reader that died since the opening needs no waking.
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(bell, sound)
    finally:
        os.close(bell)
    return True


def _silence(bell: int) -> None:
    # A pipe holds at most 64 KiB. Nothing in it is the usual case.
    with suppress(BlockingIOError):
        os.read(bell, 65_536)
