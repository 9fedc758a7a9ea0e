"""From a check-in on the phone to the hint on the coach's socket, beside the two things that it cannot do without.

Only a check-in that raises an alert is told to a coach, so each alert is closed before the same client's next one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pymongo import MongoClient

from bench.load import Phone, percentile
from bench.ready import Product, Row
from infra.ids import new_id
from infra.log import Outgoing, open_log


@dataclass
class Couple:
    """A client and the coach who is to hear of a bad day."""

    client_id: str
    client_token: str
    coach_id: str
    coach_token: str


def enrol(product: Product, count: int) -> list[Couple]:
    """New clients, each assigned to a new coach, through the front door."""
    me = product.post("/auth/token", {"login": "ada", "password": "alongside-demo"})
    supervisor = product.post("/auth/token", {"login": "ines", "password": "alongside-demo"})

    def couple(number: int) -> Couple:
        ids = {role: new_id() for role in ("client", "coach")}
        for role, person_id in ids.items():
            person = {
                "id": person_id,
                "role": role,
                "login": f"{role}-{number}-{person_id[-6:]}",
                "password": "long-enough-for-a-bench",
                "display_name": f"{role} {number}",
            }
            product.post("/people", person, me["access_token"])
        assignment = {"id": new_id(), "client_id": ids["client"], "coach_id": ids["coach"]}
        product.post("/assignments", assignment, supervisor["access_token"])
        tokens = {role: product.token(person_id, role) for role, person_id in ids.items()}
        return Couple(ids["client"], tokens["client"], ids["coach"], tokens["coach"])

    with ThreadPoolExecutor(4) as several:
        return list(several.map(couple, range(count)))


def measure(product: Product, couples: list[Couple], count: int, per_second: float) -> list[Row]:
    """``count`` check-ins at a modest rate, and in the same seconds as many empty writes and bare publishes."""
    whole, answered, writes, publishes = [], [], [], []
    coaches = [Phone(product.port, couple.coach_token) for couple in couples]
    write, close_store = empty_write(product)
    publish, close_log = bare_publish(product.data / "bench.sqlite")
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number / per_second - time.monotonic()))
        couple, coach = couples[number % len(couples)], coaches[number % len(couples)]
        sent = time.perf_counter()
        heard = _listen(coach)
        product.post("/check-ins", {"id": new_id(), "craving": 9}, couple.client_token)
        answered.append(time.perf_counter() - sent)
        whole.append(heard() - sent)
        writes.append(write())
        publishes.append(publish())
        _close_alert(product, couple)
        coach.wait_for(b'42["alert"')
    close_store()
    close_log()
    for coach in coaches:
        coach.close()
    return [
        Row("check-in to the coach's socket, p50", f"{percentile(whole, 50):.1f} ms", _from(count, per_second)),
        Row("check-in to the coach's socket, p99", f"{percentile(whole, 99):.1f} ms"),
        Row("check-in to its own answer, p50", f"{percentile(answered, 50):.1f} ms"),
        Row("an empty write into the same store, p50", f"{percentile(writes, 50):.2f} ms", "one journalled insert"),
        Row("a bare publish to a tail of the log, p50", f"{percentile(publishes, 50):.2f} ms", "same engine"),
        Row("check-in to socket : empty write, p50", f"{percentile(whole, 50) / percentile(writes, 50):.1f}"),
        Row("check-in to socket : publish to tail, p50", f"{percentile(whole, 50) / percentile(publishes, 50):.1f}"),
        Row(
            "check-in to socket : (empty write + publish to tail), p50",
            f"{percentile(whole, 50) / (percentile(writes, 50) + percentile(publishes, 50)):.1f}",
        ),
    ]


def _from(count: int, per_second: float) -> str:
    return f"{count} check-ins at {per_second:.0f}/s"


def _listen(coach: Phone) -> Callable[[], float]:
    """Start to wait for the next alert; the answer waits for its end and gives the moment when it came."""
    came: list[float] = []

    def wait() -> None:
        coach.wait_for(b'42["alert"')
        came.append(time.perf_counter())

    thread = threading.Thread(target=wait)
    thread.start()

    def heard() -> float:
        thread.join(20)
        if not came:
            raise RuntimeError("the coach was not told within 20 s")
        return came[0]

    return heard


def _close_alert(product: Product, couple: Couple) -> None:
    for alert in product.get("/alerts?state=open", couple.coach_token)["items"]:
        product.post(f"/alerts/{alert['id']}/close", {"outcome": "talked"}, couple.coach_token)


def empty_write(product: Product) -> tuple[Callable[[], float], Callable[[], None]]:
    """A function that makes one journalled insert and returns its seconds, and one that ends it."""
    url = product.surroundings()["ALONGSIDE_STORE_URL"]
    client: MongoClient[dict[str, object]] = MongoClient(url, w="majority", journal=True)
    collection = client["bench"]["empty"]

    def write() -> float:
        began = time.perf_counter()
        collection.insert_one({"_id": new_id()})
        return time.perf_counter() - began

    return write, client.close


def bare_publish(path: Path) -> tuple[Callable[[], float], Callable[[], None]]:
    """A function that publishes a record and returns the seconds until a tail had it, and one that ends it."""
    log = open_log(f"sqlite://{path.resolve()}")
    log.make_topics({"bench": 1})
    tail = log.tail(["bench"])
    came: list[float] = []
    ended = threading.Event()
    news = threading.Event()

    def hear() -> None:
        while not ended.is_set():
            if tail.poll(0.2):
                came.append(time.perf_counter())
                news.set()

    thread = threading.Thread(target=hear)
    thread.start()

    def publish() -> float:
        news.clear()
        began = time.perf_counter()
        log.publish([Outgoing("bench", "one", b"{}", {})])
        if not news.wait(20):
            raise RuntimeError("the tail heard nothing within 20 s")
        return came[-1] - began

    def close() -> None:
        ended.set()
        thread.join()
        tail.close()
        log.close()

    return publish, close
