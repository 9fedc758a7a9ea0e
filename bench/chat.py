"""Chat through the gateway, each message durable before its acknowledgement, beside a bare relay of the same stack."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median

import psutil
from pymongo import ASCENDING, InsertOne, MongoClient

from bench.check_in import Couple
from bench.load import Phone, Plan, Result, run
from bench.ready import Product, Row, cpu_seconds, pss
from infra.ids import new_id
from infra.runner import reserve_port

BATCH = 32
SEALED_TEXT = b"\x01" * 229


@contextmanager
def relay() -> Iterator[tuple[int, psutil.Process]]:
    """The bare relay as a process: its port, and itself."""
    place = reserve_port()
    port: int = place.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "bench.relay", str(port)])
    try:
        deadline = time.monotonic() + 20
        while not _listens(port):
            if time.monotonic() > deadline:
                raise RuntimeError("the bare relay did not start")
            time.sleep(0.05)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)
        place.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


Pairs = list[tuple[str, str, list[str]]]


def open_conversations(product: Product, couples: list[Couple]) -> Pairs:
    """A conversation for each couple, as the load generator wants them."""
    pairs = []
    for couple in couples:
        conversation_id = new_id()
        product.post("/conversations", {"id": conversation_id, "with": couple.coach_id}, couple.client_token)
        pairs.append((couple.client_token, couple.coach_token, [conversation_id]))
    return pairs


def measure_throughput(product: Product, couples: list[Couple], seconds: float, rounds: int) -> list[Row]:
    """As many messages as fit: bare and product in turns, so that a busy neighbour disturbs both."""
    pairs = open_conversations(product, couples)
    bare, whole, stored, per_message = [], [], [], []
    for _ in range(rounds):
        with relay() as (port, _process):
            bare.append(checked(run(Plan(port, bare_pairs(len(pairs)), seconds, new_id()))))
        stored.append(store_rate(product, 3))
        parts = product.parts()
        before = {name: cpu_seconds(part) for name, part in parts.items()}
        result = checked(run(Plan(product.port, pairs, seconds, new_id())))
        whole.append(result)
        per_message.append(
            {name: (cpu_seconds(part) - before[name]) / result.sent * 1e6 for name, part in parts.items()}
        )
    ratio = median(one.per_second / two.per_second for one, two in zip(whole, bare, strict=True))
    of_store = median(one.per_second / two for one, two in zip(whole, stored, strict=True))
    spent = ", ".join(
        f"{name} {value:.0f}" for name in per_message[0] if (value := median(one[name] for one in per_message)) >= 5
    )
    return [
        Row("bare relay", f"{_rate(bare):.0f} messages/s", _shape(len(pairs), bare)),
        Row("Alongside", f"{_rate(whole):.0f} messages/s", _shape(len(pairs), whole)),
        Row("the store alone", f"{median(stored):.0f} documents/s", f"ordered inserts of {BATCH}, each batch fsynced"),
        Row("Alongside : bare relay", f"{ratio:.3f}", f"median of {rounds} rounds"),
        Row("Alongside : the store alone", f"{of_store:.2f}", "over 1 where the gateway gathers more than a batch"),
        Row("Alongside: CPU for a message, in µs", spent, "by part; what is below 5 is left out"),
        Row("load generator", f"{max(one.core for one in (*bare, *whole)) * 100:.0f} % of one core", "at most"),
    ]


def measure_latency(product: Product, couples: list[Couple], seconds: float, rate: float) -> list[Row]:
    """At a quiet rate: until the sender knows that it is safe, and until the other one has it."""
    pairs = open_conversations(product, couples)
    with relay() as (port, _process):
        bare = checked(run(Plan(port, bare_pairs(len(pairs)), seconds, new_id(), rate=rate)))
    whole = checked(run(Plan(product.port, pairs, seconds, new_id(), rate=rate)))
    rows = []
    for what, name in (("acknowledged", "acked"), ("at the other phone", "arrived")):
        for percent in ("p50", "p99"):
            one, two = getattr(whole, f"{name}_{percent}"), getattr(bare, f"{name}_{percent}")
            note = f"bare relay {two:.2f} ms, ratio {one / two:.1f}"
            rows.append(Row(f"at {rate:.0f} messages/s: {what}, {percent}", f"{one:.2f} ms", note))
    return rows


def measure_connections(product: Product, count: int) -> list[Row]:
    """What an open, silent connection weighs."""
    tokens = [product.token(new_id(), "client") for _ in range(count)]
    whole = _weight(product.port, product.parts()["gateway"], tokens)
    with relay() as (port, process):
        bare = _weight(port, process, [f"{number}/a" for number in range(count)])
    return [
        Row(
            "memory of a silent connection: Alongside",
            f"{whole:.0f} KiB",
            f"{count} connections, the first 20 not counted",
        ),
        Row("memory of a silent connection: bare relay", f"{bare:.0f} KiB", f"ratio {whole / bare:.2f}"),
    ]


def _weight(port: int, process: psutil.Process, tokens: list[str]) -> float:
    # The first connections bring code and pools that the others share.
    shared = [Phone(port, token) for token in tokens[:20]]
    before = pss(process)
    phones = [Phone(port, token) for token in tokens[20:]]
    time.sleep(1)
    grown = pss(process) - before
    for phone in (*shared, *phones):
        phone.close()
    return grown * 1024 / len(phones)


def store_rate(product: Product, seconds: float) -> float:
    """Documents a second into the same store, shaped and indexed like messages, by one writer."""
    client: MongoClient[dict[str, object]] = MongoClient(
        product.surroundings()["ALONGSIDE_STORE_URL"], w="majority", journal=True
    )
    collection = client["bench"]["messages"]
    collection.drop()
    collection.create_index([("c", ASCENDING), ("seq", ASCENDING)], unique=True)
    collection.create_index([("c", ASCENDING), ("sender", ASCENDING), ("cmid", ASCENDING)], unique=True)
    collection.create_index("at")
    conversations, sender = [new_id() for _ in range(BATCH)], new_id()
    seq, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        seq += 1
        batch = [InsertOne(stored_message(conversation, sender, seq)) for conversation in conversations]
        collection.bulk_write(batch, ordered=True)
    rate = seq * BATCH / (time.perf_counter() - began)
    client.close()
    return rate


def stored_message(conversation: str, sender: str, seq: int) -> dict[str, object]:
    """A message as the store has it."""
    return {
        "_id": new_id(),
        "c": conversation,
        "seq": seq,
        "cmid": str(seq),
        "sender": sender,
        "owner": sender,
        "text": SEALED_TEXT,
        # Long ago, so that no process takes it for something that was not told.
        "at": datetime(2026, 1, 1, tzinfo=UTC),
    }


def bare_pairs(count: int) -> Pairs:
    """Pairs for the bare relay."""
    return [(f"{number}/a", f"{number}/b", [new_id()]) for number in range(count)]


def checked(result: Result) -> Result:
    """A figure for work that was not done is no figure."""
    if result.refused or result.missing or result.out_of_order:
        raise RuntimeError(f"messages were refused, lost or out of order: {result}")
    return result


def _rate(results: list[Result]) -> float:
    return median(result.per_second for result in results)


def _shape(pairs: int, results: list[Result]) -> str:
    each = ", ".join(f"{result.per_second:.0f}" for result in results)
    return f"{pairs} pairs, window 8, 200 bytes; rounds {each}"
