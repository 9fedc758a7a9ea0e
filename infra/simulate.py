"""Invented people who use the public API, for load and demonstration: ``alongside simulate``.

Everything is decided by the seed, ids included, so that a second run says the same again and adds nothing. The first
day that a client plays is remembered by the system itself: it is the day from which the client's aim counts.
"""

from __future__ import annotations

import ipaddress
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError

from infra.demo import PASSWORD
from infra.ids import derived_id
from infra.invented import Body, Client, Said, answers_to

NOT_EVIDENCE = (
    "These people are invented. What they say and do is for load and demonstration, and is never evidence of anything."
)
# So many clients act at the same time.
AT_ONCE = 8
PATIENCE_SECONDS = 60.0
INSTRUMENTS = ("phq-9", "bam")
EVERY_DAYS = 14
# So often does a coach leave an alert as it is, or hand it over.
LEFT_OPEN, HANDED_OVER = 0.12, 0.1
# What happened in this run, then what the system holds of these people.
ROWS = (
    "coaches enrolled",
    "clients enrolled",
    "check-ins taken",
    "check-ins taken late",
    "sent again, and there already",
    "corrections taken",
    "days without a check-in",
    "assessments taken",
    "alerts handed over",
    "times tried again after 503",
    "times tried again after 429",
    "check-ins kept, steady",
    "check-ins kept, watch",
    "check-ins kept, high",
    "check-ins kept, urgent",
    "alerts raised",
    "alerts open",
    "alerts acknowledged",
    "alerts closed",
)
_OUTCOMES = {
    "high": ("talked", "talked", "messaged", "met", "no_answer", "not_needed"),
    "urgent": ("talked", "talked", "met", "emergency"),
}
_CONTACTS = {"talked": ("phone", "video"), "messaged": ("chat",), "met": ("in_person",), "emergency": ("phone",)}
_SUPPORT = ("emotional", "informational", "instrumental", "affiliational")


class CannotSimulate(Exception):
    """It is not done; ``str`` says why, to an operator."""


class Answer(NamedTuple):
    status: int
    body: Any


class Door:
    """The public API of one system on this machine.

    Attributes:
        waited: how often it asked to be tried again, by status.
    """

    def __init__(self, url: str) -> None:
        """Raises ``CannotSimulate`` for an address that is not this machine's own."""
        if not _is_loopback(url):
            raise CannotSimulate(f"{url} is not an address of the loopback: invented people stay on one's own machine.")
        self._url = url.rstrip("/")
        self._http = urllib3.PoolManager(maxsize=AT_ONCE, retries=False, timeout=30.0)
        self._lock = threading.Lock()
        self.waited: Counter[int] = Counter()

    def ask(self, method: str, path: str, body: Body | None, token: str | None) -> Answer:
        """The answer, after as many tries as it takes where it asks to be tried again.

        Raises:
            CannotSimulate: nothing answers, or not within ``PATIENCE_SECONDS``.
        """
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        sent = None if body is None else json.dumps(body)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = self._http.request(method, f"{self._url}/v1{path}", body=sent, headers=headers)
            except HTTPError as error:
                raise CannotSimulate(f"{self._url} does not answer ({type(error).__name__}).") from error
            if answer.status not in (429, 503) or time.monotonic() > deadline:
                return Answer(answer.status, json.loads(answer.data) if answer.data else None)
            with self._lock:
                self.waited[answer.status] += 1
            time.sleep(float(answer.headers.get("Retry-After", "1")))


def _is_loopback(url: str) -> bool:
    try:
        # The parser of the library that will connect: another might see another host.
        parts = urllib3.util.parse_url(url)
        host = (parts.host or "").strip("[]")
        return parts.scheme in ("http", "https") and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except (LocationParseError, ValueError):
        return False


class Caller:
    """Somebody who is signed in, and signs in again when that has ended."""

    def __init__(self, door: Door, login: str) -> None:
        """Raises ``CannotSimulate`` where the demo's password is not the right one."""
        self._door = door
        self._login = login
        self._sign_in()

    def get(self, path: str) -> Any:
        return self._done("GET", path, None).body

    def post(self, path: str, body: Body | None = None) -> Answer:
        return self._done("POST", path, body)

    def put(self, path: str, body: Body) -> Answer:
        return self._done("PUT", path, body)

    def sees(self, path: str) -> bool:
        """Whether it is there for them."""
        return self._ask("GET", path, None).status == 200

    def all_of(self, path: str) -> Iterator[Any]:
        """Every item of a list."""
        after = ""
        while True:
            page = self.get(f"{path}?limit=200{after}")
            yield from page["items"]
            if page["next"] is None:
                return
            after = f"&after={page['next']}"

    def _done(self, method: str, path: str, body: Body | None) -> Answer:
        answer = self._ask(method, path, body)
        if answer.status >= 400:
            raise CannotSimulate(f"{method} {path} was answered {answer.status}: {json.dumps(answer.body)[:300]}")
        return answer

    def _ask(self, method: str, path: str, body: Body | None) -> Answer:
        answer = self._door.ask(method, path, body, self._token)
        if answer.status == 401:
            self._sign_in()
            answer = self._door.ask(method, path, body, self._token)
        return answer

    def _sign_in(self) -> None:
        answer = self._door.ask("POST", "/auth/token", {"login": self._login, "password": PASSWORD}, None)
        if answer.status != 200:
            raise CannotSimulate(
                f"{self._login} cannot sign in with the demo's password ({answer.status}). "
                "Invented people live beside those of `alongside up --demo`, and nowhere else."
            )
        self._token: str = answer.body["access_token"]


@dataclass(frozen=True)
class Coach:
    """An invented one."""

    id: str
    caller: Caller


def simulate(url: str, clients: int, days: int, seed: int, coaches: int) -> Iterator[str]:
    """Play, and say line by line what came of it.

    Args:
        url: of a system on this machine that was started with ``--demo``.
        clients, coaches: how many there are, each client with one of the coaches.
        days: how many each client plays: the last ones before today, and in a later run from the same first day on.
        seed: decides everything else.
    Raises:
        CannotSimulate: the words say why.
    """
    began, door = time.monotonic(), Door(url)
    stage = Stage(door, seed)
    yield NOT_EVIDENCE
    staff = [stage.coach(number) for number in range(1, coaches + 1)]
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        plays = list(pool.map(lambda number: stage.play(Client(seed, number), staff, days), range(1, clients + 1)))
    finally:
        pool.shutdown(cancel_futures=True)
    rows: Counter[str] = sum((play.done for play in plays), stage.done)
    rows.update(_kept(plays, [stage.ines, *(coach.caller for coach in staff)]))
    rows.update({f"times tried again after {status}": count for status, count in door.waited.items()})
    yield from (f"{rows[row]:>9,}  {row}" for row in ROWS)
    yield f"{time.monotonic() - began:>9,.1f}  seconds"
    yield NOT_EVIDENCE


class Stage:
    """Where they play, and who brings them there.

    Attributes:
        done: how many people are new.
    """

    def __init__(self, door: Door, seed: int) -> None:
        """Raises ``CannotSimulate`` where there are no demo people."""
        self._door = door
        self._seed = seed
        self._today = datetime.now(UTC).date()
        self._ada, self.ines = Caller(door, "ada"), Caller(door, "ines")
        self._instruments = [one for one in self.ines.all_of("/instruments") if one["id"] in INSTRUMENTS]
        self.done: Counter[str] = Counter()

    def coach(self, number: int) -> Coach:
        id = derived_id("simulate", str(self._seed), "coach", str(number))
        caller, new = self._enrolled("coach", id, f"simulated-{self._seed}-coach-{number}", number)
        self.done["coaches enrolled"] += new
        return Coach(id, caller)

    def play(self, client: Client, staff: Sequence[Coach], days: int) -> Play:
        """All that one client does, from being enrolled to the last day."""
        own, other = (staff[(client.number + step) % len(staff)] for step in (0, 1))
        caller, new = self._enrolled("client", client.id, client.login, client.number)
        self.ines.post(
            "/assignments", {"id": derived_id(client.id, own.id), "client_id": client.id, "coach_id": own.id}
        )
        _until(lambda: own.caller.sees(f"/clients/{client.id}/risk"), "the coach may see the client")
        play = Play(client, caller, own, other)
        play.done["clients enrolled"] += new
        first = self._first_day(client, caller, days)
        for number, said in enumerate(client.days(first, min(days, (self._today - first).days))):
            play.day(said)
            if number % EVERY_DAYS == EVERY_DAYS - 1 and client.number % 2:
                play.answer(self._instruments, first + timedelta(number))
        play.catch_up()
        return play

    def _enrolled(self, role: str, id: str, login: str, number: int) -> tuple[Caller, bool]:
        """Somebody who can sign in, and whether they are new."""
        body = {"id": id, "role": role, "login": login, "password": PASSWORD}
        answer = self._ada.post("/people", {**body, "display_name": f"Simulated {role} {number}"})
        return Caller(self._door, login), answer.status == 201

    def _first_day(self, client: Client, caller: Caller, days: int) -> date:
        """The day from which the client's aim counts, which is chosen in the first run and kept ever after."""
        since = caller.get("/sobriety")["since"]
        if since is None:
            aim, substances, days_per_week, _ = client.aim
            since = (self._today - timedelta(days)).isoformat()
            choice = {"aim": aim, "substances": substances, "days_per_week": days_per_week, "since": since}
            caller.put("/sobriety", choice)
        return date.fromisoformat(since)


class Play:
    """One client and the coaches who answer.

    Attributes:
        done: what happened, by the rows of the table.
    """

    def __init__(self, client: Client, caller: Caller, own: Coach, other: Coach) -> None:
        self.client_id = client.id
        self.caller = caller
        self._own = own
        self._other = other
        self._to_come: list[Said] = []
        self.done: Counter[str] = Counter()

    def day(self, said: Said | None) -> None:
        if said is None:
            self.done["days without a check-in"] += 1
        elif said.late:
            self._to_come.append(said)
        else:
            self._say(said)
            self.catch_up()

    def catch_up(self) -> None:
        """What was late arrives."""
        while self._to_come:
            self._say(self._to_come.pop(0))

    def answer(self, instruments: Sequence[Any], day: date) -> None:
        """Take each of the instruments, in one of its variants."""
        for one in {one["id"]: one for one in instruments}.values():
            id = derived_id(self.client_id, one["id"], day.isoformat())
            given = answers_to(one, Random(id))
            body = {"id": id, "instrument": one["id"], "version": one["version"], "variant": one["variant"]}
            answer = self.caller.post("/assessments", {**body, "at": f"{day}T20:00:00Z", "answers": given})
            self._note(answer, "assessments taken")
            if answer.status == 201 and answer.body["crisis"]:
                self._coach_answers(id)

    def _say(self, said: Said) -> None:
        for _ in range(1 + said.doubled):
            self._check_in("/check-ins", said.body, "check-ins taken late" if said.late else "check-ins taken")
        if said.correction is not None:
            self._check_in(f"/check-ins/{said.body['id']}/correct", said.correction, "corrections taken")

    def _check_in(self, path: str, body: Body, row: str) -> None:
        answer = self.caller.post(path, body)
        self._note(answer, row)
        if answer.status == 201 and answer.body["band"] in _OUTCOMES:
            self._coach_answers(body["id"])

    def _note(self, answer: Answer, row: str) -> None:
        self.done[row if answer.status == 201 else "sent again, and there already"] += 1

    def _coach_answers(self, cause: str) -> None:
        """What the coach does about the alert that is open, if one is. Now and then it waits for another bad day."""
        random = Random(f"coach {cause}")
        found = self._own.caller.get(f"/clients/{self.client_id}/risk")["open_alert"]
        if found is None or random.random() < LEFT_OPEN:
            return
        coach, path = self._own, f"/alerts/{found}"
        if self._other != coach and random.random() < HANDED_OVER:
            coach.caller.post(f"{path}/hand-over", {"to": self._other.id})
            coach = self._other
            self.done["alerts handed over"] += 1
        alert = coach.caller.get(path)
        if alert["state"] == "open":
            coach.caller.post(f"{path}/acknowledge")
        if random.random() > LEFT_OPEN:
            coach.caller.post(f"{path}/close", _closing(alert["band"], random))


def _closing(band: str, random: Random) -> Body:
    outcome = random.choice(_OUTCOMES[band])
    if outcome not in _CONTACTS:
        return {"outcome": outcome}
    return {
        "outcome": outcome,
        "contact": random.choice(_CONTACTS[outcome]),
        "support": sorted(random.sample(_SUPPORT, random.randint(1, 2))),
    }


def _kept(plays: Sequence[Play], staff: Sequence[Caller]) -> Counter[str]:
    """What the system says of these clients now: check-ins by band, and alerts by state."""
    kept: Counter[str] = Counter()
    for play in plays:
        kept.update(f"check-ins kept, {one['band']}" for one in play.caller.all_of("/check-ins"))
    theirs = {play.client_id for play in plays}
    alerts = {
        one["id"]: one["state"] for caller in staff for one in caller.all_of("/alerts") if one["client_id"] in theirs
    }
    kept["alerts raised"] = len(alerts)
    kept.update(f"alerts {state}" for state in alerts.values())
    return kept


def _until(condition: Callable[[], bool], what: str) -> None:
    """Raises ``CannotSimulate`` when it does not come true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise CannotSimulate(f"Not within {PATIENCE_SECONDS:.0f} s: {what}.")
        time.sleep(0.02)
