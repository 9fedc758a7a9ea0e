"""The contract of the log, run on both engines, and what each engine promises when it is killed."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kafka.cluster import ClusterMetadata

import infra.sqlite_log
from infra.kafka.broker import Broker, KafkaUnavailable, ensure_jars
from infra.kafka_log import KafkaLog, _Assignor
from infra.log import Log, LogDown, Outgoing, Place, Reader, Record, open_log, partition_of
from infra.sqlite_log import SqliteLog
from tests.kafka import running_broker

DEADLINE = 60.0
PARTITIONS = 4


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"


def read(reader: Reader, count: int) -> list[Record]:
    """The next ``count`` records, and at most those that came along with the last of them."""
    records: list[Record] = []

    def enough() -> bool:
        records.extend(reader.poll(0.2))
        return len(records) >= count

    until(enough)
    return records


def share(readers: Sequence[Reader], topic: str) -> None:
    """Poll until the readers hold the topic's partitions between them, each some. What they read is dropped."""

    def shared() -> bool:
        for reader in readers:
            reader.poll(0.1)
        held = [reader.held() for reader in readers]
        places = [place for places in held for place in places]
        return all(held) and sorted(places) == [Place(topic, i) for i in range(PARTITIONS)]

    until(shared)


def note(topic: str, text: str, key: str = "k") -> Outgoing:
    return Outgoing(topic, key, text.encode(), {})


def texts(records: Sequence[Record]) -> list[str]:
    return [record.value.decode() for record in records]


def after(records: Sequence[Record]) -> dict[Place, int]:
    """What to commit once these were handled."""
    return {record.place: record.offset + 1 for record in records}


def key_in(partition: int) -> str:
    return next(key for key in map(str, range(1000)) if partition_of(key, PARTITIONS) == partition)


@contextmanager
def child(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that runs ``code``; killed at the end."""
    command = [sys.executable, "-c", dedent(code), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        try:
            yield process
        finally:
            process.kill()


def kill(process: subprocess.Popen[str]) -> str:
    """Kill -9; return what it had still said."""
    process.send_signal(signal.SIGKILL)
    assert process.stdout is not None
    return process.stdout.read()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


class LogContract:
    """What holds for every engine. A subclass brings the fixture ``url``."""

    @pytest.fixture
    def log(self, url: str) -> Iterator[Log]:
        with closing(open_log(url)) as log:
            yield log

    @pytest.fixture
    def topic(self, log: Log) -> str:
        topic = f"topic-{uuid4().hex}"
        log.make_topics({topic: PARTITIONS})
        return topic

    @pytest.fixture
    def group(self) -> str:
        return f"group-{uuid4().hex}"

    def test_records_of_one_key_are_read_in_the_order_they_were_published(
        self, log: Log, topic: str, group: str
    ) -> None:
        log.publish([note(topic, f"{key} {i}", key) for i in range(10) for key in ("ann", "bo", "cy")])
        log.publish([note(topic, f"ann {i}", "ann") for i in range(10, 20)])
        with closing(log.subscribe(group, [topic])) as reader:
            records = read(reader, 40)
        for key, count in (("ann", 20), ("bo", 10), ("cy", 10)):
            own = [record for record in records if record.key == key]
            assert texts(own) == [f"{key} {i}" for i in range(count)]

    def test_a_record_comes_back_as_it_was_published(self, log: Log, topic: str, group: str) -> None:
        headers = {"id": "1", "naïve": "ünï 💚", "empty": ""}
        before = time.time_ns() // 1_000_000
        log.publish([Outgoing(topic, "ключ", bytes(range(256)), headers)])
        with closing(log.subscribe(group, [topic])) as reader:
            [record] = read(reader, 1)
        assert record.place == Place(topic, partition_of("ключ", PARTITIONS))
        assert (record.key, record.value, record.headers) == ("ключ", bytes(range(256)), headers)
        assert before <= record.at <= time.time_ns() // 1_000_000

    def test_an_empty_value_and_an_empty_key_are_kept(self, log: Log, topic: str, group: str) -> None:
        log.publish([Outgoing(topic, "", b"", {})])
        with closing(log.subscribe(group, [topic])) as reader:
            [record] = read(reader, 1)
        assert (record.key, record.value, record.headers) == ("", b"", {})

    def test_offsets_count_the_records_of_a_partition_from_zero(self, log: Log, topic: str, group: str) -> None:
        log.publish([note(topic, str(i), key_in(i % 2)) for i in range(10)])
        with closing(log.subscribe(group, [topic])) as reader:
            records = read(reader, 10)
        for partition in (0, 1):
            assert [record.offset for record in records if record.partition == partition] == [0, 1, 2, 3, 4]

    def test_publishing_nothing_is_nothing(self, log: Log) -> None:
        log.publish([])

    def test_a_poll_returns_no_more_than_was_asked_for(self, log: Log, topic: str, group: str) -> None:
        log.publish([note(topic, str(i), str(i)) for i in range(20)])
        with closing(log.subscribe(group, [topic])) as reader:
            seen: list[Record] = []

            def all_seen() -> bool:
                records = reader.poll(0.2, most=3)
                assert len(records) <= 3
                seen.extend(records)
                return len(seen) == 20

            until(all_seen)
        assert sorted(texts(seen)) == sorted(str(i) for i in range(20))

    def test_a_group_goes_on_where_it_committed(self, log: Log, topic: str, group: str) -> None:
        log.publish([note(topic, "one"), note(topic, "two")])
        with closing(log.subscribe(group, [topic])) as reader:
            one = read(reader, 1)[:1]
            reader.commit(after(one))
        with closing(log.subscribe(group, [topic])) as reader:
            assert texts(read(reader, 1)) == ["two"]

    def test_what_was_not_committed_comes_again_and_is_the_same(self, log: Log, topic: str, group: str) -> None:
        log.publish([note(topic, "one"), note(topic, "two")])
        with closing(log.subscribe(group, [topic])) as reader:
            first = read(reader, 2)
        with closing(log.subscribe(group, [topic])) as reader:
            assert read(reader, 2) == first

    def test_two_groups_read_independently(self, log: Log, topic: str, group: str) -> None:
        log.publish([note(topic, "one"), note(topic, "two")])
        with closing(log.subscribe(group, [topic])) as reader:
            reader.commit(after(read(reader, 2)))
        with closing(log.subscribe(group + "-other", [topic])) as other:
            assert texts(read(other, 2)) == ["one", "two"]

    def test_a_group_reads_several_topics(self, log: Log, topic: str, group: str) -> None:
        log.make_topics({topic + "-b": 1})
        log.publish([note(topic, "a"), note(topic + "-b", "b")])
        with closing(log.subscribe(group, [topic, topic + "-b"])) as reader:
            assert sorted(texts(read(reader, 2))) == ["a", "b"]
            assert reader.held() == {Place(topic, i) for i in range(PARTITIONS)} | {Place(topic + "-b", 0)}

    def test_two_readers_share_the_partitions(self, log: Log, topic: str, group: str) -> None:
        with closing(log.subscribe(group, [topic])) as a, closing(log.subscribe(group, [topic])) as b:
            share([a, b], topic)
            assert len(a.held()) == len(b.held()) == PARTITIONS // 2
            log.publish([note(topic, str(i), key_in(i)) for i in range(PARTITIONS)])
            records: list[Record] = []

            def all_read() -> bool:
                for reader in (a, b):
                    own = reader.poll(0.1)
                    assert all(record.place in reader.held() for record in own)
                    records.extend(own)
                return len(records) >= PARTITIONS

            until(all_read)
        assert sorted(texts(records)) == ["0", "1", "2", "3"]

    def test_a_reader_that_closes_hands_over_its_partitions(self, log: Log, topic: str, group: str) -> None:
        with closing(log.subscribe(group, [topic])) as stays:
            with closing(log.subscribe(group, [topic])) as leaves:
                share([stays, leaves], topic)
            until(lambda: stays.poll(0.1) == [] and len(stays.held()) == PARTITIONS)

    def test_a_commit_for_a_partition_that_went_to_another_reader_is_left_out(
        self, log: Log, topic: str, group: str
    ) -> None:
        log.publish([note(topic, str(i), key_in(i)) for i in range(PARTITIONS)])
        with closing(log.subscribe(group, [topic])) as a:
            handled = after(read(a, PARTITIONS))
            with closing(log.subscribe(group, [topic])) as b:
                share([a, b], topic)
                kept = self._commit_when_settled(a, b, handled)
        with closing(log.subscribe(group, [topic])) as reader:
            again = read(reader, PARTITIONS - len(kept))
        assert {record.place for record in again} == handled.keys() - kept

    @staticmethod
    def _commit_when_settled(a: Reader, b: Reader, offsets: dict[Place, int]) -> frozenset[Place]:
        """Commit for ``a``; return what it held then. A group that is moving partitions about refuses commits."""
        kept: list[frozenset[Place]] = []

        def committed() -> bool:
            try:
                a.commit(offsets)
            except LogDown:
                a.poll(0.1)
                b.poll(0.1)
                return False
            kept.append(a.held())
            return True

        until(committed)
        return kept[0]

    def test_a_killed_readers_partitions_are_taken_over_with_what_it_had_not_committed(
        self, log: Log, topic: str, group: str, url: str
    ) -> None:
        log.publish([note(topic, str(i), key_in(i)) for i in range(PARTITIONS)])
        code = """
            import sys
            from infra.log import open_log
            url, group, topic = sys.argv[1:]
            reader = open_log(url).subscribe(group, [topic])
            seen = 0
            while True:
                seen += len(reader.poll(0.1))
                if seen == 4:
                    print("read", flush=True)
        """
        with child(code, url, group, topic) as process:
            assert line(process) == "read"
            kill(process)
        with closing(log.subscribe(group, [topic])) as reader:
            assert sorted(texts(read(reader, PARTITIONS))) == ["0", "1", "2", "3"]
            assert len(reader.held()) == PARTITIONS

    def test_a_rewound_partition_is_read_again_from_there(self, log: Log, topic: str, group: str) -> None:
        log.publish([note(topic, str(i)) for i in range(3)])
        with closing(log.subscribe(group, [topic])) as reader:
            records = read(reader, 3)
            reader.rewind(records[0].place, records[1].offset)
            assert texts(read(reader, 2)) == ["1", "2"]

    def test_a_paused_partition_is_silent_until_it_is_resumed(self, log: Log, topic: str, group: str) -> None:
        quiet, loud = key_in(0), key_in(1)
        with closing(log.subscribe(group, [topic])) as reader:
            until(lambda: reader.poll(0.1) == [] and len(reader.held()) == PARTITIONS)
            reader.pause([Place(topic, 0)])
            log.publish([note(topic, "quiet", quiet), note(topic, "loud", loud)])
            assert texts(read(reader, 1)) == ["loud"]
            assert Place(topic, 0) in reader.held()
            assert reader.poll(0.2) == []
            reader.resume([Place(topic, 0)])
            assert texts(read(reader, 1)) == ["quiet"]

    def test_what_is_said_about_a_partition_that_is_not_held_is_ignored(self, log: Log, topic: str, group: str) -> None:
        with closing(log.subscribe(group, [topic])) as reader:
            elsewhere = Place("elsewhere", 7)
            reader.rewind(elsewhere, 3)
            until(lambda: reader.poll(0.1) == [] and len(reader.held()) == PARTITIONS)
            reader.pause([elsewhere])
            reader.rewind(elsewhere, 3)
            reader.resume([elsewhere])
            reader.commit({elsewhere: 3})
            assert elsewhere not in reader.held()

    def test_a_tail_sees_only_what_is_published_after_it_was_opened(self, log: Log, topic: str) -> None:
        log.publish([note(topic, f"old {i}", str(i)) for i in range(8)])
        with closing(log.tail([topic])) as tail:
            # Published before the first poll: seen all the same.
            log.publish([note(topic, f"new {i}", str(i)) for i in range(8)])
            assert sorted(texts(read(tail, 8))) == [f"new {i}" for i in range(8)]
            assert tail.held() == {Place(topic, i) for i in range(PARTITIONS)}

    def test_every_tail_sees_everything_and_commits_nothing(self, log: Log, topic: str) -> None:
        with closing(log.tail([topic])) as a, closing(log.tail([topic])) as b:
            log.publish([note(topic, "hello")])
            for tail in (a, b):
                records = read(tail, 1)
                tail.commit(after(records))
                assert texts(records) == ["hello"]

    def test_publishing_to_a_topic_that_does_not_exist_is_an_error_and_publishes_nothing_there(
        self, log: Log, topic: str, group: str
    ) -> None:
        with pytest.raises(KeyError, match="nowhere"):
            log.publish([note(topic, "lost"), note("nowhere", "lost")])
        log.publish([note(topic, "kept")])
        with closing(log.subscribe(group, [topic])) as reader:
            assert texts(read(reader, 1)) == ["kept"]

    def test_reading_a_topic_that_does_not_exist_is_an_error(self, log: Log, group: str) -> None:
        with pytest.raises(KeyError, match="nowhere"):
            log.tail(["nowhere"])
        with closing(log.subscribe(group, ["nowhere"])) as reader, pytest.raises(KeyError, match="nowhere"):
            reader.poll(0)

    def test_topics_are_made_once(self, log: Log, topic: str, group: str) -> None:
        log.publish([note(topic, "kept")])
        assert log.make_topics({topic: PARTITIONS, topic + "-b": 1}) == [topic + "-b"]
        assert log.make_topics({topic: PARTITIONS, topic + "-b": 1}) == []
        with closing(log.subscribe(group, [topic])) as reader:
            assert texts(read(reader, 1)) == ["kept"]

    def test_a_name_that_cannot_be_a_topic_is_refused(self, log: Log) -> None:
        for name in ("..", "a/b", ""):
            with pytest.raises(ValueError, match="topic"):
                log.make_topics({name: 1})
        with pytest.raises(KeyError):
            log.publish([note("a/b", "lost")])

    def test_a_log_that_is_there_answers_a_ping(self, log: Log) -> None:
        log.ping()

    def test_a_closed_log_and_reader_may_be_closed_again(self, log: Log, topic: str, group: str) -> None:
        reader = log.subscribe(group, [topic])
        reader.poll(0.1)
        reader.close()
        reader.close()
        log.close()
        log.close()

    def test_a_second_process_reads_what_this_one_publishes(self, log: Log, topic: str, url: str) -> None:
        code = """
            import sys
            from infra.log import open_log
            url, topic = sys.argv[1:]
            tail = open_log(url).tail([topic])
            print("open", flush=True)
            while True:
                for record in tail.poll(1):
                    print(record.value.decode(), flush=True)
        """
        with child(code, url, topic) as process:
            assert line(process) == "open"
            log.publish([note(topic, "hello")])
            assert line(process) == "hello"

    def test_it_publishes_and_tails_under_gevent(self, log: Log, topic: str, url: str) -> None:
        code = """
            from gevent import monkey
            monkey.patch_all()
            import sys
            import gevent
            from infra.log import Outgoing, open_log
            url, topic = sys.argv[1:]
            log = open_log(url)
            tail = log.tail([topic])
            # Begins to wait before anything is there: a poll that held up the loop would never hear of it.
            waiting = gevent.spawn(tail.poll, 50)
            gevent.sleep(0)
            log.publish([Outgoing(topic, "k", b"hello", {})])
            print([record.value.decode() for record in waiting.get(timeout=40)], flush=True)
        """
        with child(code, url, topic) as process:
            assert line(process) == "['hello']"


def test_a_machine_without_java_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(KafkaUnavailable, match="`java` is not on this machine"):
        ensure_jars()


Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(0, 5)),
        st.tuples(st.sampled_from(["poll", "commit", "reopen"]), st.integers(0, 1)),
    ),
    max_size=40,
)


def walk(url: str, steps: Sequence[Step], patience: float) -> None:
    """Do the steps with two readers of one group, and hold every record read against what must come next."""
    topic, group = f"topic-{uuid4().hex}", f"group-{uuid4().hex}"
    published: dict[Place, list[str]] = defaultdict(list)
    committed: dict[Place, set[int]] = defaultdict(lambda: {0})
    seen: set[tuple[Place, int]] = set()

    def poll(reader: Reader, positions: dict[Place, int]) -> int:
        held = reader.held()
        records = reader.poll(patience)
        for record in records:
            place = record.place
            expected = set(committed[place])
            if place in positions and (place in held or record.offset > min(expected)):
                expected = {positions[place]}
            assert record.offset in expected
            assert record.value.decode() == published[place][record.offset]
            positions[place] = record.offset + 1
            seen.add((place, record.offset))
        return len(records)

    def commit(reader: Reader, positions: dict[Place, int]) -> None:
        mine = {place: offset for place, offset in positions.items() if place in reader.held()}
        try:
            reader.commit(positions)
        except LogDown:
            # Not remembered yet; it may still be.
            for place, offset in mine.items():
                committed[place].add(offset)
        else:
            committed.update({place: {offset} for place, offset in mine.items()})

    with closing(open_log(url)) as log:
        log.make_topics({topic: PARTITIONS})
        readers = [(log.subscribe(group, [topic]), dict[Place, int]()) for _ in range(2)]
        for number, (act, which) in enumerate(steps):
            if act == "publish":
                place = Place(topic, partition_of(str(which), PARTITIONS))
                published[place].append(str(number))
                log.publish([note(topic, str(number), str(which))])
            elif act == "poll":
                poll(*readers[which])
            elif act == "commit":
                commit(*readers[which])
            else:
                readers[which][0].close()
                readers[which] = (log.subscribe(group, [topic]), {})
        for reader, _ in readers:
            reader.close()
        everything = {(place, i) for place, values in published.items() for i in range(len(values))}
        left = {(place, i) for place, i in everything if i >= max(committed[place])}
        again: dict[Place, int] = {}
        with closing(log.subscribe(group, [topic])) as last:
            until(lambda: poll(last, again) >= 0 and seen >= everything and all(p in again for p, _ in left))
            commit(last, again)
        log.publish([note(topic, "end", key_in(i)) for i in range(PARTITIONS)])
        with closing(log.subscribe(group, [topic])) as reader:
            assert texts(read(reader, PARTITIONS)) == ["end"] * PARTITIONS


class TestSqliteLog(LogContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite://{tmp_path}/made/on/the/way/log.sqlite"

    @pytest.fixture
    def sqlite_log(self, log: Log) -> SqliteLog:
        assert isinstance(log, SqliteLog)
        return log

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(steps=STEPS)
    def test_any_interleaving_delivers_everything_in_order_and_nothing_after_its_commit(
        self, url: str, steps: list[Step]
    ) -> None:
        walk(url, steps, patience=0)

    def test_a_publisher_killed_at_any_moment_loses_nothing_it_was_told_is_durable(
        self, log: Log, topic: str, group: str, url: str
    ) -> None:
        code = """
            import itertools, sys
            from infra.log import Outgoing, open_log
            url, topic = sys.argv[1:]
            log = open_log(url)
            for number in itertools.count():
                log.publish([Outgoing(topic, "k", f"{number} {part}".encode(), {}) for part in "abc"])
                print(number, flush=True)
        """
        with child(code, url, topic) as process:
            told = [line(process) for _ in range(100)]
            # A line that was cut short was not told.
            told += kill(process).splitlines(keepends=True)
        acknowledged = len([number for number in told[100:] if number.endswith("\n")]) + 100
        with closing(log.tail([topic])) as end, closing(log.subscribe(group, [topic])) as reader:
            log.publish([note(topic, "end")])
            [last] = read(end, 1)
            records = read(reader, last.offset + 1)
        values = texts(records)[:-1]
        assert len(values) >= 3 * acknowledged
        # In order, without a gap, and the last batch whole.
        assert values == [f"{number} {part}" for number in range(len(values) // 3) for part in "abc"]

    def test_several_processes_publish_at_once(self, log: Log, topic: str, group: str, url: str) -> None:
        code = """
            import sys
            from infra.log import Outgoing, open_log
            url, topic, name = sys.argv[1:]
            log = open_log(url)
            for number in range(100):
                log.publish([Outgoing(topic, name, f"{name} {number}".encode(), {})])
            print("done", flush=True)
        """
        with child(code, url, topic, "a") as a, child(code, url, topic, "b") as b:
            assert line(a) == line(b) == "done"
        with closing(log.subscribe(group, [topic])) as reader:
            records = read(reader, 200)
        for name in "ab":
            assert texts([r for r in records if r.key == name]) == [f"{name} {i}" for i in range(100)]

    def test_a_waiting_reader_is_woken_by_the_publisher_and_not_by_the_sweep(
        self, log: Log, topic: str, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(infra.sqlite_log, "SWEEP_SECONDS", DEADLINE)
        code = """
            import sys
            from infra.log import Outgoing, open_log
            url, topic = sys.argv[1:]
            log = open_log(url)
            sys.stdin.readline()
            log.publish([Outgoing(topic, "k", b"hello", {})])
        """
        with closing(log.tail([topic])) as tail:
            assert tail.poll(0) == []
            command = [sys.executable, "-c", dedent(code), url, topic]
            with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as process:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.close()
                # Without the bell this would end with the poll, empty-handed.
                assert texts(tail.poll(DEADLINE / 2)) == ["hello"]

    def test_the_bell_of_a_killed_reader_is_removed(
        self, log: Log, topic: str, group: str, url: str, tmp_path: Path
    ) -> None:
        code = """
            import sys
            from infra.log import open_log
            url, group, topic = sys.argv[1:]
            reader = open_log(url).subscribe(group, [topic])
            reader.poll(0)
            print("polled", flush=True)
            reader.poll(60)
        """
        bells = tmp_path / "made/on/the/way/log.sqlite.readers" / topic / "bells"
        with child(code, url, group, topic) as process:
            assert line(process) == "polled"
            log.publish([note(topic, "heard")])
            assert len(os.listdir(bells)) == 1
            kill(process)
        log.publish([note(topic, "unheard")])
        assert os.listdir(bells) == []

    def test_a_third_reader_gets_its_share_too(self, log: Log, topic: str, group: str) -> None:
        readers = [log.subscribe(group, [topic]) for _ in range(3)]
        share(readers, topic)
        assert sorted(len(reader.held()) for reader in readers) == [1, 1, 2]
        for reader in readers:
            reader.close()

    def test_a_file_that_another_holds_too_long_is_a_log_that_is_down(
        self, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(infra.sqlite_log, "BUSY_SECONDS", 0.01)
        path = tmp_path / "made/on/the/way/log.sqlite"
        with closing(SqliteLog(path)) as log, closing(sqlite3.connect(path)) as holder:
            log.ping()
            holder.execute("begin immediate")
            with pytest.raises(LogDown):
                log.publish([note(topic, "not now")])
            holder.rollback()
            log.publish([note(topic, "now")])

    def test_a_path_that_cannot_be_a_database_is_a_log_that_is_down(self, tmp_path: Path) -> None:
        (tmp_path / "log.sqlite").mkdir()
        with closing(SqliteLog(tmp_path / "log.sqlite")) as log, pytest.raises(LogDown):
            log.ping()

    def test_trimming_keeps_what_a_group_has_still_to_read(self, sqlite_log: SqliteLog, topic: str, group: str) -> None:
        here, elsewhere = key_in(0), key_in(1)
        sqlite_log.publish([note(topic, str(i), here) for i in range(5)] + [note(topic, "elsewhere", elsewhere)])
        # Keeping until tomorrow: everything is old enough.
        tomorrow = -1
        assert sqlite_log.trim(keep_days=tomorrow) == 0, "no group has read anything"
        with closing(sqlite_log.subscribe(group, [topic])) as reader:
            until(lambda: len(reader.poll(0)) == 6)
            reader.commit({Place(topic, 0): 3})
        assert sqlite_log.trim() == 0, "nothing is old"
        assert sqlite_log.trim(keep_days=tomorrow) == 3
        with closing(sqlite_log.subscribe(group, [topic])) as reader:
            assert sorted(texts(read(reader, 3))) == ["3", "4", "elsewhere"]
        with closing(sqlite_log.subscribe(group + "-new", [topic])) as reader:
            assert sorted(texts(read(reader, 3))) == ["3", "4", "elsewhere"]

    def test_trimming_removes_what_is_beyond_the_limit_though_nobody_read_it(
        self, sqlite_log: SqliteLog, topic: str, group: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(infra.sqlite_log, "TRIM_CHUNK", 2)
        sqlite_log.publish([note(topic, str(i)) for i in range(5)])
        assert sqlite_log.trim(limit_days=-1) == 5
        sqlite_log.publish([note(topic, "five")])
        with closing(sqlite_log.subscribe(group, [topic])) as reader:
            [record] = read(reader, 1)
        assert (record.offset, record.value) == (5, b"five")


@pytest.mark.kafka
class TestKafkaLog(LogContract):
    @pytest.fixture
    def url(self, kafka_broker: Broker) -> str:
        return kafka_broker.url

    @settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(steps=STEPS)
    def test_any_interleaving_delivers_everything_in_order_and_nothing_after_its_commit(
        self, url: str, steps: list[Step]
    ) -> None:
        walk(url, steps, patience=0.3)

    def test_a_killed_broker_is_a_log_that_is_down_and_comes_back_with_everything(self, tmp_path: Path) -> None:
        with running_broker(tmp_path) as broker, closing(open_log(broker.url)) as log:
            log.make_topics({"diary": PARTITIONS})
            with closing(log.tail(["diary"])) as tail, closing(log.subscribe("readers", ["diary"])) as reader:
                log.publish([note("diary", f"before {i}", str(i)) for i in range(20)])
                reader.commit(after(read(reader, 20)))
                log.publish([note("diary", f"uncommitted {i}", str(i)) for i in range(20)])
                broker.kill()
                with pytest.raises(LogDown):
                    log.publish([note("diary", "while it was down")])
                with pytest.raises(LogDown):
                    log.ping()
                with pytest.raises(LogDown):
                    log.tail(["diary"])
                broker.start()
                until(lambda: self._published(log, note("diary", "after")))
                expected = {f"{when} {i}" for when in ("before", "uncommitted") for i in range(20)} | {"after"}
                to_tail, to_group = set(expected), {text for text in expected if not text.startswith("before")}
                until(lambda: self._crossed_off(tail, to_tail))
                until(lambda: self._crossed_off(reader, to_group))

    def test_a_broker_killed_with_records_on_their_way_is_published_to_again(self, tmp_path: Path) -> None:
        """The producer of kafka-python never comes back from that by itself."""
        with running_broker(tmp_path) as broker, closing(open_log(broker.url)) as log:
            log.make_topics({"diary": PARTITIONS})
            with closing(log.tail(["diary"])) as tail:
                published: list[str] = []
                writing = threading.Thread(target=self._write_until_down, args=(log, published))
                writing.start()
                until(lambda: len(published) > 50)
                broker.kill()
                writing.join(30)
                assert not writing.is_alive()
                broker.start()
                until(lambda: self._published(log, note("diary", "after")))
                missing = {*published, "after"}
                until(lambda: self._crossed_off(tail, missing))

    def test_a_log_without_a_broker_is_built_at_once_and_is_down(self) -> None:
        with closing(KafkaLog("127.0.0.1:1")) as log:
            with pytest.raises(LogDown):
                log.ping()
            with closing(log.subscribe("group", ["topic"])) as reader, pytest.raises(LogDown):
                reader.poll(0)

    @staticmethod
    def _write_until_down(log: Log, published: list[str]) -> None:
        for number in itertools.count():
            try:
                log.publish([note("diary", f"{number} {i}", str(i)) for i in range(3)])
            except LogDown:
                return
            published += [f"{number} {i}" for i in range(3)]

    @staticmethod
    def _published(log: Log, record: Outgoing) -> bool:
        try:
            log.publish([record])
        except LogDown:
            return False
        return True

    @staticmethod
    def _crossed_off(reader: Reader, missing: set[str]) -> bool:
        try:
            missing.difference_update(texts(reader.poll(0.5)))
        except LogDown:
            return False
        return not missing


def test_a_leader_shares_its_topics_whether_or_not_its_client_knows_them_in_that_moment() -> None:
    """The client's picture of the cluster has a hole now and then, and a hole once assigned was never noticed again."""
    assignor = _Assignor({"topic": 4})
    knows_nothing = ClusterMetadata(bootstrap_servers=["127.0.0.1:1"])
    members = [SimpleNamespace(member_id=id, metadata=assignor.metadata({"topic"})) for id in ("one", "two")]
    shares = [share.assigned_partitions for share in assignor.assign(knows_nothing, members).values()]
    assert [topic for ((topic, _),) in shares] == ["topic", "topic"]
    assert sorted(number for ((_, numbers),) in shares for number in numbers) == [0, 1, 2, 3]
