"""A bad night for many at once: check-ins at a rate, what the score costs of one, and clocks under many open alerts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from pymongo import MongoClient

from bench.check_in import Couple, empty_write
from bench.load import Phone, percentile
from bench.ready import Product, Row
from infra.ids import new_id
from infra.store import clock_of
from schemas.risk import NewCheckIn
from services.risk.outlook import LEAST_KNOWN_DAYS
from services.risk.rules import Outlook, judge
from services.risk.score import Model, Record

PATIENCE = 20.0
_SEEDING = 500


class Desk:
    """A coach's phone whose hints are read as they come: when each alert was told of."""

    def __init__(self, product: Product, token: str) -> None:
        self.told: dict[str, float] = {}
        self._phone = Phone(product.port, token)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._phone.close()
        self._thread.join(5)

    def _listen(self) -> None:
        while True:
            try:
                packet = self._phone.wait_for(b'42["alert"')
            except TimeoutError:
                continue
            except OSError:
                # Closed by us at the end, or by the server, which shows as alerts that nobody heard of.
                return
            self.told[json.loads(packet[2:])[1]["alert_id"]] = time.perf_counter()


def measure_check_ins(product: Product, couples: list[Couple], seconds: float, per_second: float) -> list[Row]:
    """Bad days at a rate, each of another client, to the socket of the client's coach; and empty writes before them."""
    write, close_store = empty_write(product)
    writes = [write() for _ in range(100)]
    close_store()
    desks = [Desk(product, couple.coach_token) for couple in couples]
    count = int(seconds * per_second)
    clients = [new_id() for _ in range(count)]
    answered: list[float] = []
    sent: dict[str, float] = {}

    def bad_day(client: str, due: float) -> None:
        token = product.token(client, "client")
        product.post("/check-ins", {"id": new_id(), "craving": 9, "confidence": 3}, token)
        answered.append(time.perf_counter() - due)

    with _courses(product) as courses:
        _assign(courses, clients, couples)
        began = time.perf_counter()
        with ThreadPoolExecutor(32) as several:
            asked = []
            for number, client in enumerate(clients):
                sent[client] = began + number / per_second
                time.sleep(max(0.0, sent[client] - time.perf_counter()))
                asked.append(several.submit(bad_day, client, sent[client]))
            for one in asked:
                one.result(PATIENCE)
        told = _told(desks, count)
        raised = {alert["id"]: course["_id"] for course in _of(courses, clients) for alert in course["alerts"]}
    for desk in desks:
        desk.close()
    whole = [moment - sent[raised[alert]] for alert, moment in told.items()]
    return [
        Row(
            "check-in to the coach's socket, p50",
            f"{percentile(whole, 50):.1f} ms",
            f"{count} at {per_second:.0f}/s, each raising an alert",
        ),
        Row("check-in to the coach's socket, p99", f"{percentile(whole, 99):.1f} ms"),
        Row("check-in to its own answer, p50", f"{percentile(answered, 50):.1f} ms"),
        Row("an empty write into the same store, p50", f"{percentile(writes, 50):.2f} ms", "at rest, before"),
        Row("check-in to socket : empty write, p50", f"{percentile(whole, 50) / percentile(writes, 50):.1f}"),
        Row("check-in to socket : empty write, p99", f"{percentile(whole, 99) / percentile(writes, 99):.1f}"),
    ]


def _assign(courses: Any, clients: list[str], couples: list[Couple]) -> None:
    """Clients who are nobody, each with one of the coaches, as risk knows it."""
    made = [
        {
            "_id": client,
            "version": 1,
            "seen": [],
            "outbox": [],
            "assignments": [{"id": new_id(), "coach": couples[at % len(couples)].coach_id, "ended": False}],
        }
        for at, client in enumerate(clients)
    ]
    for at in range(0, len(made), _SEEDING):
        courses.insert_many(made[at : at + _SEEDING])


def _told(desks: list[Desk], count: int) -> dict[str, float]:
    """Every alert that was told of, once all were. Raises ``RuntimeError`` when some are not."""
    deadline = time.monotonic() + PATIENCE
    while sum(len(desk.told) for desk in desks) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{count - sum(len(desk.told) for desk in desks)} alerts were told to nobody")
        time.sleep(0.05)
    return {alert: moment for desk in desks for alert, moment in desk.told.items()}


def _of(courses: Any, clients: list[str]) -> Any:
    return courses.find({"_id": {"$in": clients}}, {"alerts.id": 1})


def measure_scoring(product: Product, couple: Couple, rounds: int) -> list[Row]:
    """What judging costs of a check-in by a client with a year of days, in this process, beside the whole answer."""
    today = 740_000
    record = Record(
        use=list(range(today - 300, today, 9)),
        other=list(range(today - 360, today, 15)),
        kept=list(range(today - 364, today)),
        medication=list(range(today - 364, today)),
        withdrawal=[(day, day % 4) for day in range(today - 60, today)],
    )
    model, answers = Model.read(), {"craving": 6, "confidence": 4, "mood": 5}
    assert today - record.kept[0] > LEAST_KNOWN_DAYS
    scored = [_seconds(lambda: model.score(record, today, answers)) for _ in range(rounds)]
    body = NewCheckIn(id="c", craving=6, confidence=4, mood=5)
    judged = [_seconds(lambda: judge(body, False, Outlook("watch", ["why"]))) for _ in range(rounds)]
    calm = [_seconds(lambda: _calm_day(product, couple)) for _ in range(min(rounds, 60))]
    cost = median(scored) + median(judged)
    return [
        Row("the score of a record of a year", f"{median(scored) * 1e6:.0f} us", "one model, both horizons"),
        Row("the band of a check-in", f"{median(judged) * 1e6:.0f} us"),
        Row("a calm check-in to its answer, p50", f"{median(calm) * 1e3:.1f} ms"),
        Row("score and band : check-in, p50", f"{cost / median(calm):.4f}"),
    ]


def _calm_day(product: Product, couple: Couple) -> None:
    product.post("/check-ins", {"id": new_id(), "craving": 1}, couple.client_token)


def _seconds(act: Any) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def measure_lateness(product: Product, couple: Couple, open_alerts: int, due: int) -> list[Row]:
    """How late the next human is asked, with few alerts open and with many: ``due`` of them fall due in 10 s."""
    with _courses(product) as courses:
        alone = _lateness(courses, couple, due)
        _seed(courses, couple, open_alerts, timedelta(days=1), timedelta(0))
        among = _lateness(courses, couple, due)
    return [
        Row(f"lateness of {due} escalations, p50", f"{percentile(alone, 50):.0f} ms", "no other alert open"),
        Row(f"the same among {open_alerts:,} open alerts, p50", f"{percentile(among, 50):.0f} ms"),
        Row("p99, alone and among them", f"{percentile(alone, 99):.0f} ms, {percentile(among, 99):.0f} ms"),
        Row(
            "among them : alone, p99", f"{percentile(among, 99) / percentile(alone, 99):.2f}", "looked for each second"
        ),
    ]


@contextmanager
def _courses(product: Product) -> Iterator[Any]:
    client: MongoClient[dict[str, Any]] = MongoClient(
        product.surroundings()["ALONGSIDE_STORE_URL"], tz_aware=True, w="majority", journal=True
    )
    try:
        yield client[f"{product.prefix}risk"]["courses"]
    finally:
        client.close()


def _lateness(courses: Any, couple: Couple, due: int) -> list[float]:
    """In seconds, by the store's clock, from when each fell due to when the next human was asked."""
    ids = _seed(courses, couple, due, timedelta(seconds=3), timedelta(seconds=10) / due)
    asked = "asked"
    deadline = time.monotonic() + 120
    while True:
        found = list(courses.find({"_id": {"$in": ids}}, {"alerts": 1}))
        late = [
            (step["at"] - alert["raised_at"]).total_seconds()
            for course in found
            for alert in course["alerts"]
            for step in alert["trail"]
            if step["what"] == asked
        ]
        if len(late) >= due:
            courses.update_many({"_id": {"$in": ids}}, {"$set": {"alerts": []}, "$inc": {"version": 1}})
            return late
        if time.monotonic() > deadline:
            raise RuntimeError(f"{due - len(late)} alerts were not escalated within two minutes")
        time.sleep(0.5)


def _seed(courses: Any, couple: Couple, count: int, first: timedelta, apart: timedelta) -> list[str]:
    """Open alerts of clients who are nobody, as risk keeps them. ``raised_at`` is when each falls due."""
    start: datetime = clock_of(courses.database) + first
    made = [_a_course(couple, start + number * apart) for number in range(count)]
    for at in range(0, count, _SEEDING):
        courses.insert_many(made[at : at + _SEEDING])
    return [course["_id"] for course in made]


def _a_course(couple: Couple, due: datetime) -> dict[str, Any]:
    step = {"what": "raised", "by": None, "to": [couple.coach_id], "rung": "coach", "at": due, "last_at": due}
    alert = {
        "id": new_id(),
        "band": "high",
        "reasons": ["Craving is strong today"],
        "state": "open",
        "rung": "coach",
        "raised_at": due,
        "next_at": due,
        "told": [couple.coach_id],
        "causes": [new_id()],
        "trail": [{**step, "times": 1}],
    }
    return {"_id": f"bench-{new_id()}", "version": 1, "seen": [], "outbox": [], "alerts": [alert]}
