"""The whole system as a child process, and people who use it over the public contract and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import engineio
import psutil
import pytest
import socketio
import urllib3

from infra.runner import reserve_port
from tests.fcm import Fcm, fcm_standin

PASSWORD = "alongside-demo"
WITHIN_SECONDS = 30.0


def new_id() -> str:
    """An id as a phone makes one."""
    return str(uuid4())


def until(condition: Callable[[], Any], what: str, seconds: float = WITHIN_SECONDS) -> Any:
    """What the condition answers as soon as that is true. Fails with ``what`` when it never is."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.01)
    return answer


class Answer(NamedTuple):
    """An answer over HTTP. ``body`` is None where it is not JSON; ``raw`` is always there."""

    status: int
    body: Any
    headers: Any
    raw: bytes


class Told(NamedTuple):
    """What a socket was told, and when by the monotonic clock."""

    event: str
    data: Any
    at: float


class App:
    """``alongside up --demo`` as a child on a free port of the loopback.

    Attributes:
        url: of the gateway.
        data: folder of the embedded store and log.
    """

    def __init__(self, data: Path, *, restart: bool = False, processes: int = 1, **settings: str) -> None:
        """``processes`` are the gateway's; ``settings`` are ``ALONGSIDE_*`` variables without the prefix, small."""
        self.data = data
        self._place = reserve_port()
        self.port = self._place.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._options = [*(["--restart"] if restart else []), "--processes", str(processes)]
        self._settings = {f"ALONGSIDE_{name.upper()}": value for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None
        self._phones: list[Phone] = []

    # -- its life

    def start(self) -> App:
        """Return when it prints that it is ready."""
        self.data.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "infra.cli",
            "up",
            "--demo",
            "--data",
            str(self.data),
            "--port",
            str(self.port),
        ]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ALONGSIDE_")}
        out = self.data / "up.out"
        before = out.stat().st_size if out.exists() else 0
        with out.open("ab") as printed, (self.data / "up.err").open("ab") as errors:
            self._process = subprocess.Popen(
                [*command, *self._options],
                env={**kept, **self._settings},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=errors,
                start_new_session=True,
            )
        process = self._process
        ready = f"ready {self.url}".encode()
        until(lambda: process.poll() is not None or ready in out.read_bytes()[before:], "ready", 120)
        if process.poll() is not None:
            pytest.fail(f"`alongside up` ended with {process.returncode}: {self.log()[-4000:]}")
        return self

    def stop(self) -> int:
        """Ask it to stop as an operator does; returns its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        assert self._process is not None
        return self._process.wait(60)

    def kill(self) -> None:
        """Kill -9 the runner alone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def end(self) -> None:
        """Leave nothing of it behind, whatever a test did to it."""
        self.hang_up()
        self._place.close()
        if self._process is None:
            return
        try:
            left = [*psutil.Process(self._process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            left = []
        if self._process.poll() is None:
            for child in left:
                _continue(child)
            self.stop()
        for child in left:
            if child.is_running():
                child.kill()

    def log(self) -> str:
        """What its parts wrote."""
        return (self.data / "up.err").read_text(errors="replace")

    def setting(self, name: str) -> str:
        """One of the surroundings that the runner gave to its parts."""
        lines = (self.data / "environment").read_text().splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith(f"ALONGSIDE_{name}="))

    # -- its parts

    def parts(self) -> list[psutil.Process]:
        """The children of the runner."""
        assert self._process is not None
        return psutil.Process(self._process.pid).children()

    def part(self, name: str) -> psutil.Process:
        """The process of a part: a service, ``gateway``, ``push`` or ``store``."""
        found: psutil.Process = until(lambda: self._find(name), f"a process {name}")
        return found

    def gateways(self) -> list[psutil.Process]:
        """The processes that share the gateway's port, where there are several."""
        return self.part("gateway").children()

    def _find(self, name: str) -> psutil.Process | None:
        for child in self.parts():
            try:
                command = child.cmdline()
            except psutil.NoSuchProcess:
                continue
            if (
                command[-2:] == ["serve", name]
                or (name == "gateway" and "--processes" in command)
                or (name == "store" and any("secantusd-py" in word for word in command))
            ):
                return child
        return None

    # -- its people

    def phone(self, login: str, password: str = PASSWORD) -> Phone:
        """Somebody's phone, signed in. It is put away by ``hang_up``."""
        phone = Phone(self.url)
        self._phones.append(phone)
        phone.sign_in(login, password)
        return phone

    def stranger(self) -> Phone:
        """A phone on which nobody has signed in."""
        phone = Phone(self.url)
        self._phones.append(phone)
        return phone

    def enrol(self, role: str, **fields: Any) -> Phone:
        """A new person, signed in."""
        id = fields.pop("id", new_id())
        login = fields.pop("login", f"{role}-{id}".lower().replace(":", "-"))
        body = {"id": id, "role": role, "login": login, "password": PASSWORD, "display_name": role.title(), **fields}
        assert self.phone("ada").post("/v1/people", body).status == 201
        return self.phone(login)

    def pair(self, **client: Any) -> tuple[Phone, Phone]:
        """A new client and the new coach who cares for the client, as every part knows."""
        mine, theirs = self.enrol("client", **client), self.enrol("coach")
        self.assign(mine, theirs)
        return mine, theirs

    def assign(self, client: Phone, coach: Phone) -> str:
        """Give a client to a coach; returns the id of the assignment when every part knows of it."""
        id = new_id()
        body = {"id": id, "client_id": client.id, "coach_id": coach.id}
        until(lambda: self.phone("ines").post("/v1/assignments", body).status in (200, 201), "assigned")
        until(lambda: coach.get(f"/v1/clients/{client.id}/risk").status == 200, "risk knows the grant")
        until(lambda: coach.get(f"/v1/goals?client_id={client.id}").status == 200, "goals knows the grant")
        talk = {"id": new_id(), "with": client.id}
        until(lambda: coach.post("/v1/conversations", talk).status in (200, 201), "the gateway knows the grant")
        return id

    def talk(self, client: Phone, coach: Phone) -> str:
        """A new conversation between the two."""
        id = new_id()
        assert client.post("/v1/conversations", {"id": id, "with": coach.id}).status == 201
        return id

    def hang_up(self) -> None:
        """Put every phone away."""
        while self._phones:
            self._phones.pop().put_away()


class _InOrder(engineio.Client):  # type: ignore[misc]
    """Hands on one packet after the other: the library gives each to a thread of its own, and two may change places."""

    def _trigger_event(self, event: str, *arguments: Any, **options: Any) -> Any:
        return super()._trigger_event(event, *arguments, **{**options, "run_async": False})


class _Client(socketio.Client):  # type: ignore[misc]
    def _engineio_client_class(self) -> type[_InOrder]:
        return _InOrder


class Phone:
    """One person's phone: REST, and a socket that keeps everything it is told, in order.

    Attributes:
        id: of the person.
        token: the access token, or None.
        session: the whole answer of the sign-in.
        told: everything the socket was told, oldest first.
        refused: what the server said when it did not let the socket in.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.id = ""
        self.token: str | None = None
        self.session: dict[str, Any] = {}
        self.told: list[Told] = []
        self.refused: Any = None
        self._http = urllib3.PoolManager(retries=False, timeout=20.0)
        self._socket: socketio.Client | None = None
        self._wire: Any = None
        self._news = threading.Condition()

    def sign_in(self, login: str, password: str = PASSWORD) -> None:
        """Begin a session of one's own."""
        answer = self.post("/v1/auth/token", {"login": login, "password": password})
        assert answer.status == 200, answer
        self.take(answer.body)

    def take(self, session: dict[str, Any]) -> None:
        """Go on with the session that a sign-in answered."""
        self.session = session
        self.id, self.token = session["person"]["id"], session["access_token"]

    # -- REST

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, None, headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.ask("POST", path, body, headers)

    def put(self, path: str, body: Any, **headers: str) -> Answer:
        return self.ask("PUT", path, body, headers)

    def patch(self, path: str, body: Any, **headers: str) -> Answer:
        return self.ask("PATCH", path, body, headers)

    def delete(self, path: str) -> Answer:
        return self.ask("DELETE", path, None, {})

    def ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer:
        """Any request. ``body`` in bytes goes out as it is, anything else as JSON."""
        sent = {"Content-Type": "application/json"}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        answer = self._http.request(method, self.url + path, body=raw, headers=sent)
        kind = answer.headers.get("Content-Type", "")
        return Answer(
            answer.status, answer.json() if "json" in kind and answer.data else None, answer.headers, answer.data
        )

    # -- the socket

    def connect(self, **auth: Any) -> Phone:
        """Open the socket and return when the server says that it is ready. Raises what a refusal raises."""
        self.disconnect()
        before = len(self.told)
        self._socket = _Client(reconnection=False, handle_sigint=False)
        self._socket.on("*", self._hear)
        self._socket.on("connect_error", self._hear_refusal)
        try:
            self._socket.connect(
                self.url, auth={"token": self.token, **auth}, transports=["websocket"], wait_timeout=10
            )
        except socketio.exceptions.ConnectionError:
            self.disconnect()
            raise
        self._wire = self._socket.eio.ws
        until(lambda: len(self.told) > before or not self.connected, "the first word after connecting")
        if len(self.told) == before:
            raise socketio.exceptions.ConnectionError("the connection ended before the first word")
        return self

    def disconnect(self) -> None:
        """Close the socket, if there is one."""
        if self._socket is not None:
            self._socket.disconnect()
            # The library leaves open what the other side hung up.
            for wire in {self._wire, self._socket.eio.ws} - {None}:
                wire.shutdown()
            if self._socket.eio.http is not None:
                self._socket.eio.http.close()
            self._socket = self._wire = None

    @property
    def connected(self) -> bool:
        return self._socket is not None and self._socket.connected

    @property
    def local_port(self) -> int:
        """This side's port of the open socket."""
        port: int = self._wire.sock.getsockname()[1]
        return port

    def call(self, event: str, data: Any, seconds: float = 15.0) -> Any:
        """Say something and return the acknowledgement."""
        assert self._socket is not None
        return self._socket.call(event, data, timeout=seconds)

    def say(self, event: str, data: Any, done: Callable[..., Any] | None = None) -> None:
        """Say something without waiting; ``done`` is called with the acknowledgement."""
        assert self._socket is not None
        self._socket.emit(event, data, callback=done)

    def send(self, conversation_id: str, text: str, client_message_id: str | None = None) -> Any:
        """Send a message and return it as it was acknowledged."""
        said = {"conversation_id": conversation_id, "client_message_id": client_message_id or new_id(), "text": text}
        answer = self.call("message.send", said)
        assert answer["ok"], answer
        return answer["message"]

    def heard(self, event: str) -> list[Any]:
        """What was told under this name so far, oldest first."""
        return [told.data for told in tuple(self.told) if told.event == event]

    def wait_for(self, event: str, condition: Callable[[Any], bool] = lambda _: True, seconds: float = 20.0) -> Any:
        """The first telling of this name for which the condition holds, waited for."""
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                found = [data for data in self.heard(event) if condition(data)]
                if found:
                    return found[0]
                left = deadline - time.monotonic()
                if left <= 0:
                    pytest.fail(f"{event} was not told within {seconds:.0f} s; told were {self.told[-5:]}")
                self._news.wait(left)

    def settle(self) -> None:
        """Return when everything that was on its way to this socket before has arrived.

        What the server tells one socket keeps its order, so an answer to a question asked now is behind all of it.
        """
        self.call("message.sync", {"conversation_id": "nothing", "after": 0, "limit": 1})

    def _hear_refusal(self, said: Any = None) -> None:
        self.refused = said

    def put_away(self) -> None:
        self.disconnect()
        self._http.clear()

    def _hear(self, event: str, data: Any = None) -> None:
        with self._news:
            self.told.append(Told(event, data, time.monotonic()))
            self._news.notify_all()


def a_check_in(**answers: Any) -> dict[str, Any]:
    """A day like others."""
    return {"id": new_id(), "craving": 2, **answers}


def a_rough_day(**answers: Any) -> dict[str, Any]:
    """A day on which a human has to be in touch."""
    return a_check_in(craving=9, **answers)


def a_device(**fields: Any) -> dict[str, Any]:
    """A phone that FCM can reach, under an address of its own."""
    return {"kind": "fcm", "value": f"address-{new_id()}", "timezone": "Europe/London", **fields}


@contextmanager
def running(data: Path, *, restart: bool = False, processes: int = 1, **settings: str) -> Iterator[App]:
    """An app of one's own, to be killed and started again."""
    app = App(data, restart=restart, processes=processes, **settings)
    try:
        yield app.start()
    finally:
        app.end()


@pytest.fixture(scope="package")
def fcm() -> Iterator[Fcm]:
    """The stand-in for FCM that the app of a package pushes to."""
    with fcm_standin() as standin:
        yield standin


@pytest.fixture(scope="package")
def the_app(tmp_path_factory: pytest.TempPathFactory, fcm: Fcm) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("app"), fcm_endpoint=fcm.url) as app:
        yield app


@pytest.fixture
def app(the_app: App) -> Iterator[App]:
    """The app of a package, for tests that do it no harm; phones are put away after each."""
    yield the_app
    the_app.hang_up()


def alive(process: psutil.Process) -> bool:
    """Whether it still does something; it may end at any moment, also while it is asked."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _continue(child: psutil.Process) -> None:
    try:
        child.resume()
    except psutil.NoSuchProcess:
        return
