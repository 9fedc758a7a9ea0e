"""What a message costs as conversations and messages become many, and what a second gateway process adds.

On a fast store, because on the embedded one the store is all that is measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection

from bench.chat import Pairs, checked, stored_message
from bench.check_in import Couple
from bench.load import Plan, run
from bench.ready import Product, Row, cpu_seconds
from gateway.chat_store import new_conversation
from infra.ids import new_id

OURS = ("gateway", "push")
AT_ONCE = 1000


def measure_scale(product: Product, couples: list[Couple], seconds: float, rounds: int, messages: int) -> list[Row]:
    """CPU of the gateway and the push for a message: few and many conversations in turns, then a full store.

    One message of a pair is under way at a time. With more, those of one conversation are told together and those of
    many are not, and that alone would be measured.
    """
    few, many = _conversations(product, couples, 1), _conversations(product, couples, 10_000 // len(couples))
    # Whoever writes for the first time has the conversation read; what is compared is everything after.
    _cost(product, many, 2 * seconds)
    costs: dict[str, list[float]] = {"few": [], "many": [], "full": []}
    for _ in range(rounds):
        costs["few"].append(_cost(product, few, seconds))
        costs["many"].append(_cost(product, many, seconds))
    took = _fill(product, messages)
    for _ in range(rounds):
        costs["full"].append(_cost(product, many, seconds))
    few_cost, many_cost, full_cost = (median(costs[name]) for name in ("few", "many", "full"))
    count = len(couples)
    return [
        Row(f"CPU for a message, {count} conversations", f"{few_cost:.0f} µs", _each(costs["few"])),
        Row(
            f"CPU for a message, {sum(len(pair[2]) for pair in many)} conversations",
            f"{many_cost:.0f} µs",
            f"ratio {many_cost / few_cost:.2f}; {_each(costs['many'])}",
        ),
        Row(
            f"the same with {messages:,} messages more in the store",
            f"{full_cost:.0f} µs",
            f"ratio {full_cost / many_cost:.2f}; {_each(costs['full'])}; filling it took {took:.0f} s",
        ),
    ]


def measure_processes(product: Product, pairs: Pairs, seconds: float) -> float:
    """Messages a second through however many processes the gateway has."""
    return checked(run(Plan(product.port, pairs, seconds, new_id()))).per_second


def compare_processes(one: list[float], two: list[float]) -> list[Row]:
    """One gateway process beside two, on the same store and the same cores."""
    return [
        Row("one process", f"{median(one):.0f} messages/s", _each(one)),
        Row("two processes", f"{median(two):.0f} messages/s", f"ratio {median(two) / median(one):.2f}; {_each(two)}"),
    ]


def forget(url: str, prefix: str) -> None:
    """Remove the databases of a run."""
    client: MongoClient[dict[str, Any]] = MongoClient(url)
    for name in client.list_database_names():
        if name.startswith(prefix):
            client.drop_database(name)
    client.close()


def _cost(product: Product, pairs: Pairs, seconds: float) -> float:
    parts = {name: part for name, part in product.parts().items() if name in OURS}
    before = sum(map(cpu_seconds, parts.values()))
    result = checked(run(Plan(product.port, pairs, seconds, new_id(), window=1)))
    return (sum(map(cpu_seconds, parts.values())) - before) / result.sent * 1e6


def _conversations(product: Product, couples: list[Couple], each: int) -> Pairs:
    """``each`` conversations for every couple, put into the store by hand: by the front door ten thousand take long."""
    pairs: Pairs = []
    with _collection(product, "conversations") as kept:
        for couple in couples:
            members = [couple.client_id, couple.coach_id]
            made = [
                new_conversation(new_id(), "direct", couple.client_id, members, False, "bench") for _ in range(each)
            ]
            kept.insert_many(made)
            pairs.append((couple.client_token, couple.coach_token, [conversation["_id"] for conversation in made]))
    return pairs


def _fill(product: Product, count: int) -> float:
    """Put messages of conversations that nobody has open into the store; returns the seconds it took."""
    began = time.monotonic()
    with _collection(product, "messages") as kept:
        for start in range(0, count, AT_ONCE):
            conversation, sender = new_id(), new_id()
            kept.insert_many(
                [stored_message(conversation, sender, seq) for seq in range(1, min(AT_ONCE, count - start) + 1)]
            )
    return time.monotonic() - began


@contextmanager
def _collection(product: Product, name: str) -> Iterator[Collection[dict[str, Any]]]:
    surroundings = product.surroundings()
    client: MongoClient[dict[str, Any]] = MongoClient(surroundings["ALONGSIDE_STORE_URL"])
    yield client[f"{product.prefix}gateway"][name]
    client.close()


def _each(figures: list[float]) -> str:
    return f"rounds {', '.join(f'{figure:.0f}' for figure in figures)}"
