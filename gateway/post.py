"""How deliveries leave: made as records, claimed when they are due, sent by many threads, and noted.

A claim is written before the request, so that of two workers one sends. Whoever claims looks whether the push is still
needed. What a worker had claimed that died is in doubt: FCM may have had it, and there is no way to ask. What is told
to one person is sent again then, because a second push only replaces the first on the screen and none would be
silence. A notice is not: nobody is called twice by what goes to thousands, and it stands in the app as well.
"""

from __future__ import annotations

import heapq
import os
import queue
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple

from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from gateway import service
from gateway.badges import Unread, unread_of
from gateway.chat_store import DUPLICATE_KEY, ChatStore
from gateway.devices import AT_ONCE, address_of, connected, end_device, handfuls, may_wake_at
from gateway.senders import Kind, Outcome, Push, Sender, Target, open_sender
from infra import telemetry
from infra.ids import derived_id, new_id
from infra.store import STORE_DOWN, Raw, Store
from infra.vault import Erased, Tampered
from schemas.base import now

log_line = telemetry.logger("post")

# How long a device may take to connect, or its person to read elsewhere, before it is woken.
GRACE = timedelta(seconds=2)
# Never deferred, and never held back because a device seems to be connected.
OVERRIDES: tuple[Kind, ...] = ("alert",)
# What goes to many at once: each has a lane of its own, and no device is asked twice, even over a kill.
TO_MANY: tuple[Kind, ...] = ("notice",)

# Longer than a request can take, so that only a worker that died or stood still loses a claim.
LEASE = timedelta(seconds=60)
# A hint that waited for longer since it could have been sent first tells nothing any more.
GIVEN_UP_AFTER = timedelta(days=1)
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 2.0, 600.0
KEPT_SECONDS = 30 * 86_400

IN_DOUBT = "a worker ended before the answer: it may have arrived, and is not sent again"
SAID_BY_ANOTHER = "another push that waits says the same"

# In a claim, so that an operator sees whose it is.
_WORKER = f"{socket.gethostname()}-{os.getpid()}"
_SWEEP_SECONDS = 1.0
_SWEPT = 1000
_NOTED_WITHIN_SECONDS = 0.05
_EXPECTED_MOST = 50_000
_CLOSING_SECONDS = 12.0


def make_indexes(store: Store) -> None:
    """Safe to repeat."""
    deliveries = store.collection("deliveries")
    for lane in LANES:
        # There for as long as a delivery waits, and alone: what is due is found without a look at what is done.
        deliveries.create_index(f"due.{lane}", sparse=True)
    deliveries.create_index("ref")
    deliveries.create_index([("person", 1), ("_id", 1)])
    deliveries.create_index("at", expireAfterSeconds=KEPT_SECONDS)
    store.collection("said").create_index("at", expireAfterSeconds=KEPT_SECONDS)


def deliveries() -> Collection[Raw]:
    return service.store.collection("deliveries")


_opening = threading.Lock()


def sender() -> Sender:
    """What the settings ask for, opened once, whoever asks first."""
    with _opening:
        return _opened()


@cache
def _opened() -> Sender:
    return open_sender(service.settings)


# -- making


def make(cause: str, kind: Kind, ref: str, devices: list[Raw], seq: int = 0) -> None:
    """A delivery for each device, to be sent when its time has come. Made once, however often the cause is heard.

    One that would say the same as another that waits is needless from the beginning, so that a night of messages is one
    push in the morning.

    Args:
        cause: the id of the event, or another name of the same fact.
        seq: the last message that it tells of; a device that was told of this one or a later one is told no more.
    """
    for some in handfuls(devices):
        said = _said(kind, ref, some)
        made = [_delivery(cause, kind, ref, device, seq) for device in some if not 0 < seq <= said[device["_id"]].seq]
        waiting = _waiting({said[delivery["device"]].delivery for delivery in made})
        for delivery in made:
            if said[delivery["device"]].delivery in waiting - {delivery["_id"]}:
                delivery |= {"state": "needless", "why": SAID_BY_ANOTHER, "due": {}}
        _insert(made)
        # Afterwards, so that a kill in between makes them at the next hearing.
        if kind not in OVERRIDES + TO_MANY:
            _remember(kind, ref, made)
        lane = lane_of(kind)
        posts = [post for post in POSTS.values() if post.lane == lane]
        for number, post in enumerate(posts):
            share = made[number :: len(posts)]
            post.expect((delivery["due"][lane], delivery["_id"]) for delivery in share if delivery["due"])


class _Said(NamedTuple):
    """The last that a device was told of a thing."""

    seq: int = 0
    delivery: str = ""


def _said(kind: Kind, ref: str, devices: Iterable[Raw]) -> dict[str, _Said]:
    marks = {_mark(device["_id"], kind, ref): device["_id"] for device in devices}
    said = dict.fromkeys(marks.values(), _Said())
    if kind not in OVERRIDES + TO_MANY:
        for mark in service.store.collection("said").find({"_id": {"$in": list(marks)}}):
            said[marks[mark["_id"]]] = _Said(mark["seq"], mark["delivery"])
    return said


def _remember(kind: Kind, ref: str, made: list[Raw]) -> None:
    said = service.store.collection("said")
    for delivery in made:
        last = {"delivery": delivery["_id"], "at": delivery["at"]} if delivery["due"] else {"at": delivery["at"]}
        mark = {"_id": _mark(delivery["device"], kind, ref)}
        said.update_one(mark, {"$set": last, "$max": {"seq": delivery["seq"]}}, upsert=True)


def _mark(device_id: str, kind: Kind, ref: str) -> str:
    return f"{device_id}/{kind}/{ref}"


def _waiting(ids: set[str]) -> set[str]:
    """Those of these deliveries that nobody has begun to send."""
    where = {"_id": {"$in": sorted(ids - {""})}, "state": "made", "claim": None}
    return {found["_id"] for found in deliveries().find(where, {"_id": 1})} if ids - {""} else set()


def _delivery(cause: str, kind: Kind, ref: str, device: Raw, seq: int) -> Raw:
    moment = now()
    due = moment if kind in OVERRIDES else may_wake_at(moment + GRACE, device)
    return {
        "_id": derived_id(cause, device["_id"], "delivery"),
        "device": device["_id"],
        "person": device["person"],
        "kind": kind,
        "ref": ref,
        "seq": seq,
        "state": "made",
        "why": None,
        "at": moment,
        "due": {lane_of(kind): due},
        "given_up_at": due + GIVEN_UP_AFTER,
        "tries": 0,
        "claim": None,
    }


def _insert(made: list[Raw]) -> None:
    if made:
        try:
            deliveries().insert_many(made, ordered=False)
        except BulkWriteError as error:
            if any(wrong["code"] != DUPLICATE_KEY for wrong in error.details["writeErrors"]):
                raise


# -- sending


class _Ready(NamedTuple):
    """What is sent now: a delivery that was claimed, its device, and what its person has not read."""

    delivery: Raw
    device: Raw
    unread: Unread


class _Answer(NamedTuple):
    """What became of a delivery; without an outcome it turned out to be needless."""

    ready: _Ready
    outcome: Outcome | None


class Post:
    """Sends the deliveries of one lane. One thread steps; its own threads send."""

    def __init__(self, lane: str, at_once: int) -> None:
        self._due = f"due.{lane}"
        self.lane = lane
        self._at_once = at_once
        # A few are claimed ahead, so that no thread waits for the store. They are in doubt too if this process dies.
        self._most = at_once + at_once // 2
        self._threads: ThreadPoolExecutor | None = None
        self._news: queue.SimpleQueue[tuple[datetime, str] | _Answer | None] = queue.SimpleQueue()
        self._expected: list[tuple[datetime, str]] = []
        self._answers: list[_Answer] = []
        self._answered_at = 0.0
        self._on_the_way = 0
        self._swept_at = 0.0
        self._unsure: tuple[list[str], str] | None = None

    def expect(self, made: Iterable[tuple[datetime, str]]) -> None:
        """Know of deliveries that will be due then, without a look into the store. Any thread may tell."""
        for due_and_id in made:
            self._news.put(due_and_id)

    @property
    def on_the_way(self) -> int:
        """How many are being sent, or were and are not noted yet."""
        return self._on_the_way + len(self._answers)

    def step(self, seconds: float = 1.0) -> None:
        """Wait up to ``seconds`` for something to do, and do it: note what was answered, send what is due.

        Raises one of ``STORE_DOWN``; nothing is lost, call again later.
        """
        self._gather(min(seconds, self._next_due()))
        if self._worth_noting():
            self._note()
        room = self._most - self._on_the_way
        # A claim for one at a time would cost more than the request.
        if room >= self._at_once // 2:
            self._send(self._take(min(room, AT_ONCE)))

    def close(self) -> None:
        """Wait for what is on the way and note it; claim nothing more."""
        deadline = time.monotonic() + _CLOSING_SECONDS
        while self._on_the_way and time.monotonic() < deadline:
            self._gather(0.1)
        self._note()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    def _gather(self, seconds: float) -> None:
        """The first news, waited for, and all that came with it."""
        try:
            news = self._news.get(timeout=seconds) if seconds > 0 else self._news.get_nowait()
            while True:
                if isinstance(news, _Answer):
                    self._on_the_way -= 1
                    self._answered_at = self._answered_at if self._answers else time.monotonic()
                    self._answers.append(news)
                elif news is not None and len(self._expected) < _EXPECTED_MOST:
                    heapq.heappush(self._expected, news)
                news = self._news.get_nowait()
        except queue.Empty:
            return

    def _worth_noting(self) -> bool:
        """Whether enough was answered, or for long enough; each by itself would cost as much as several together."""
        if len(self._answers) >= self._at_once // 2 or not self._on_the_way:
            return True
        return bool(self._answers) and time.monotonic() >= self._answered_at + _NOTED_WITHIN_SECONDS

    def _next_due(self) -> float:
        """Seconds until there is something to note or to claim, as far as is known."""
        moment = time.monotonic()
        due = [self._answered_at + _NOTED_WITHIN_SECONDS - moment] if self._answers else []
        if self._most - self._on_the_way >= self._at_once // 2:
            due.append(self._swept_at + _SWEEP_SECONDS - moment)
            due += [(self._expected[0][0] - now()).total_seconds()] if self._expected else []
        return max(0.0, min(due, default=float("inf")))

    # -- claiming

    def _take(self, room: int) -> list[_Ready]:
        """Claim up to so many deliveries that are due and still needed."""
        self._let_go_of_unsure()
        ids = self._candidates(room)
        if not ids:
            return []
        moment = now()
        where = {"_id": {"$in": ids}, "state": "made", self._due: {"$lte": moment}}
        found = self._without_doubt(list(deliveries().find(where)))
        needed = self._still_needed(found, moment)
        return self._claimed(needed, moment)

    def _candidates(self, room: int) -> list[str]:
        moment = now()
        ids: list[str] = []
        while self._expected and self._expected[0][0] <= moment and len(ids) < room:
            ids.append(heapq.heappop(self._expected)[1])
        if not ids and time.monotonic() >= self._swept_at + _SWEEP_SECONDS:
            self._swept_at = time.monotonic()
            ids = self._swept(moment, room)
        return ids

    def _swept(self, moment: datetime, room: int) -> list[str]:
        """What was deferred, is to be tried again, or was left by a crash. Others look there too, so in no order."""
        found = [d["_id"] for d in deliveries().find({self._due: {"$lte": moment}}, {"_id": 1}).limit(_SWEPT)]
        random.shuffle(found)
        for id in found[room:]:
            heapq.heappush(self._expected, (moment, id))
        return found[:room]

    def _without_doubt(self, found: list[Raw]) -> list[Raw]:
        """End what another may have sent already and is not to be sent twice; the rest."""
        doubtful = [d for d in found if d["claim"] is not None and d["kind"] in TO_MANY]
        for delivery in doubtful:
            self._end([delivery], "failed", IN_DOUBT)
        ended = {delivery["_id"] for delivery in doubtful}
        return [delivery for delivery in found if delivery["_id"] not in ended]

    def _still_needed(self, found: list[Raw], moment: datetime) -> list[_Ready]:
        if not found:
            return []
        where = {"_id": {"$in": [delivery["device"] for delivery in found]}}
        devices = {device["_id"]: device for device in service.store.collection("devices").find(where)}
        here = connected(devices) if self.lane != "alert" else set()
        unread = unread_of(service.store, service.grants, _chat(), {delivery["person"] for delivery in found})
        service.vault.fetch({delivery["person"] for delivery in found})
        self._end([d for d in found if d["device"] not in devices], "failed", "the device was removed")
        self._end([d for d in found if d["device"] in here], "needless", "the device is connected")
        needed = []
        for delivery in found:
            device = devices.get(delivery["device"])
            if device is None or delivery["device"] in here:
                continue
            later = moment if delivery["kind"] in OVERRIDES else may_wake_at(moment, device)
            if later > moment:
                self._wait(delivery, later, delivery["why"], {"given_up_at": later + GIVEN_UP_AFTER})
            else:
                needed.append(_Ready(delivery, device, unread[delivery["person"]]))
        return needed

    def _claimed(self, needed: list[_Ready], moment: datetime) -> list[_Ready]:
        """Those that this worker alone sends now."""
        if not needed:
            return []
        ids, token = [ready.delivery["_id"] for ready in needed], f"{_WORKER}/{new_id()}"
        self._unsure = ids, token
        claimed = deliveries().update_many(
            {"_id": {"$in": ids}, "state": "made", self._due: {"$lte": moment}},
            {"$set": {"claim": token, self._due: moment + LEASE}, "$inc": {"tries": 1}},
        )
        mine = set(ids)
        if claimed.modified_count < len(ids):
            mine = {d["_id"] for d in deliveries().find({"_id": {"$in": ids}, "claim": token}, {"_id": 1})}
        self._unsure = None
        for ready in needed:
            ready.delivery.update(claim=token, tries=ready.delivery["tries"] + 1)
        return [ready for ready in needed if ready.delivery["_id"] in mine]

    def _let_go_of_unsure(self) -> None:
        """Give back what was perhaps claimed when the store went away; nothing of it was sent."""
        if self._unsure is not None:
            ids, token = self._unsure
            change = {"$set": {"claim": None, self._due: now()}, "$inc": {"tries": -1}}
            deliveries().update_many({"_id": {"$in": ids}, "claim": token}, change)
            self._unsure = None

    # -- the request

    def _send(self, ready: list[_Ready]) -> None:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._at_once, thread_name_prefix=f"post-{self.lane}")
        for one in ready:
            self._on_the_way += 1
            self._threads.submit(_ask, one).add_done_callback(self._hear)

    def _hear(self, answer: Future[_Answer]) -> None:
        self._news.put(answer.result())

    # -- noting

    def _note(self) -> None:
        """Write down what became of what was sent. It stays here until it is written."""
        sent = [answer.ready.delivery for answer in self._answers if answer.outcome and answer.outcome.state == "sent"]
        self._end(sent, "sent", None)
        while self._answers:
            answer = self._answers[-1]
            if answer.outcome is None:
                self._end([answer.ready.delivery], "needless", "it was read meanwhile")
            elif answer.outcome.state != "sent":
                self._note_trouble(answer.ready, answer.outcome)
            telemetry.pushes.labels(
                answer.ready.delivery["kind"], answer.outcome.state if answer.outcome else "needless"
            ).inc()
            self._answers.pop()

    def _note_trouble(self, ready: _Ready, outcome: Outcome) -> None:
        moment = now()
        if outcome.state == "gone":
            end_device(ready.device)
            self._end([ready.delivery], "failed", "the address is no longer known")
        elif outcome.state == "refused" or moment >= ready.delivery["given_up_at"]:
            self._end([ready.delivery], "failed", outcome.why)
        else:
            self._wait(ready.delivery, moment + _pause(ready.delivery["tries"], outcome.retry_after), outcome.why, {})

    def _end(self, ended: list[Raw], state: str, why: str | None) -> None:
        change = {"$set": {"state": state, "why": why and why[:200], "claim": None}, "$unset": {"due": 1}}
        by_claim: dict[str | None, list[str]] = {}
        for delivery in ended:
            by_claim.setdefault(delivery["claim"], []).append(delivery["_id"])
        for claim, ids in by_claim.items():
            for some in handfuls(ids):
                # One that was opened meanwhile, or that another worker has taken over, is left as it is.
                deliveries().update_many({"_id": {"$in": some}, "state": "made", "claim": claim}, change)

    def _wait(self, delivery: Raw, due: datetime, why: str | None, more: Raw) -> None:
        deliveries().update_one(
            {"_id": delivery["_id"], "state": "made", "claim": delivery["claim"]},
            {"$set": {"claim": None, self._due: due, "why": why and why[:200], **more}},
        )
        self.expect([(due, delivery["_id"])])


def _ask(ready: _Ready) -> _Answer:
    """Send one, on a thread of the post. Whatever goes wrong is an outcome."""
    delivery, device = ready.delivery, ready.device
    try:
        unread = ready.unread.counts()
        if delivery["seq"] and unread.get(delivery["ref"], 0) == 0:
            return _Answer(ready, None)
        target = Target(device["_id"], device["kind"], address_of(device))
        language = device.get("language", "en")
        push = Push(delivery["kind"], delivery["ref"], ready.unread.badge(), language, delivery["ref"])
        return _Answer(ready, sender().send(push, target))
    except STORE_DOWN as error:
        return _Answer(ready, Outcome(device["_id"], "later", f"the store is away: {type(error).__name__}"))
    except (Erased, Tampered) as error:
        return _Answer(ready, Outcome(device["_id"], "refused", f"the address is not readable: {type(error).__name__}"))
    except Exception as error:  # noqa: BLE001 - an error of ours ends one delivery, is kept with it and told
        return _Answer(ready, _broken(delivery, error))


def _broken(delivery: Raw, error: Exception) -> Outcome:
    # Its name alone: what it says may hold an address.
    log_line.error("push_broke", delivery_id=delivery["_id"], why=type(error).__name__)
    return Outcome(delivery["device"], "refused", f"an error of ours: {type(error).__name__}")


def _pause(tries: int, asked: float | None) -> timedelta:
    """What the other side asked for; otherwise longer from try to try, and not the same for all who wait."""
    if asked is not None:
        return timedelta(seconds=min(asked, GIVEN_UP_AFTER.total_seconds()))
    longest = min(FIRST_PAUSE_SECONDS * 2.0 ** min(tries - 1, 20), LONGEST_PAUSE_SECONDS)
    return timedelta(seconds=longest * random.uniform(0.75, 1.0))


def _chat() -> ChatStore:
    return ChatStore(service.store, service.vault)


# By lane, how many requests at once. An alert waits behind nothing, and a person's message not behind a crowd's notice.
LANES = {"alert": 16, "person": 50, "many": 50}
# What goes to many has two of them, because while one waits for the store its threads have nothing to send.
POSTS = {
    "alert": Post("alert", LANES["alert"]),
    "person": Post("person", LANES["person"]),
    "many": Post("many", LANES["many"] // 2),
    "many too": Post("many", LANES["many"] // 2),
}


def lane_of(kind: Kind) -> str:
    return "alert" if kind in OVERRIDES else "many" if kind in TO_MANY else "person"


def look_again(device_id: str) -> None:
    """Its quiet may have changed: what waits for it is looked at anew, and waits on where it is quiet still."""
    soon = now() + GRACE
    for lane in LANES:
        where = {f"due.{lane}": {"$gt": soon}, "device": device_id, "state": "made", "claim": None, "tries": 0}
        deliveries().update_many(where, {"$set": {f"due.{lane}": soon}})


def opened(delivery_id: str, person_id: str) -> Raw | None:
    """Note that a person opened what a delivery was about; None where it is not the person's. Needs no more sending."""
    mine = {"_id": delivery_id, "person": person_id}
    change = {"$set": {"state": "opened", "why": None, "opened_at": now()}, "$unset": {"due": 1}}
    deliveries().update_one({**mine, "state": {"$ne": "opened"}}, change)
    return deliveries().find_one(mine)


def _sending(name: str) -> Callable[[datetime], None]:
    def send(_: datetime) -> None:
        """For ever: waits by itself when there is nothing to do."""
        POSTS[name].step()

    send.__name__ = f"send_{name.replace(' ', '_')}"
    return send


for _name in POSTS:
    service.every(0)(_sending(_name))


def _close() -> None:
    for post in POSTS.values():
        post.close()


service.endings.append(_close)
