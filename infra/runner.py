"""``alongside up``: the whole system as one group of processes on one machine.

Each part is a process of its own that knows its surroundings from the environment, exactly as in a container. This
file is the list of the parts.
"""

from __future__ import annotations

import base64
import ctypes
import fcntl
import importlib
import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO, Any

import urllib3

from infra.log import LogDown, open_log
from infra.settings import read_settings
from infra.store import STORE_DOWN, connect
from infra.worker import backoff
from schemas.catalogue import TOPICS


@dataclass(frozen=True)
class Part:
    """A process: its name for people, and the package that declares it."""

    name: str
    home: str


SERVICES = (
    Part("people", "services.people"),
    Part("coaching", "services.coaching"),
    Part("goals", "services.goals"),
    Part("risk", "services.risk"),
    Part("alumni", "services.alumni"),
)
PUSH = Part("push", "gateway")
GATEWAY = Part("gateway", "gateway.serve")
PARTS: tuple[Part, ...] = (*SERVICES, PUSH, GATEWAY)

# What a data folder keeps, and how each is made.
SECRETS: dict[str, Callable[[], str]] = {
    "ALONGSIDE_SECRET": lambda: secrets.token_hex(32),
    "ALONGSIDE_VAULT_KEY": lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
    # Nearly every number of 32 bytes is a key of the curve P-256; those that are not are 1 in 2 to the 32.
    "ALONGSIDE_VAPID_PRIVATE_KEY": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("="),
}

READY_SECONDS = 90.0
# A group that was killed a moment ago may still be closing its store.
FOLDER_SECONDS = 10.0
STOP_SECONDS = 20.0


class CannotStart(Exception):
    """The group did not come up; ``str`` says why, for whoever typed the command."""


class Child:
    """One process of the group."""

    def __init__(self, name: str, command: list[str], environ: Mapping[str, str], inherited: int) -> None:
        """``inherited`` is an open file that the process gets too: a lock that is held for as long as any has it, or
        the socket at which several listen."""
        self.name = name
        self._inherited = inherited
        self._command = command
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._born = 0.0
        self.deaths = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._born

    def start(self) -> None:
        self._born = time.monotonic()
        self._process = subprocess.Popen(
            self._command,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,
            pass_fds=(self._inherited,),
            # Control-C and `timeout` reach a whole process group; only the runner acts on it, and stops in order.
            start_new_session=True,
        )

    def ended(self) -> int | None:
        """The exit code as a shell tells it, or None while it runs."""
        assert self._process is not None
        code = self._process.poll()
        return None if code is None else code if code >= 0 else 128 - code

    def ask_to_stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for the end, and make one when it does not come."""
        if self._process is None:
            return
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _die_with_parent() -> None:
    """Between fork and exec: end this process when its parent is killed, so that nothing holds a port or a file."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Group:
    """The processes of one ``alongside up``."""

    def __init__(self, data: Path, host: str, port: int, restart: bool, gateways: int = 1) -> None:
        """``gateways`` is the number of the gateway's processes."""
        self._data = data
        self._gateways = gateways
        self._host = host
        self._port = port
        self._restart = restart
        self._children: list[Child] = []
        self._reserved = {name: reserve_port() for name in ("store", PUSH.name, *(part.name for part in SERVICES))}
        self._ports = {name: place.getsockname()[1] for name, place in self._reserved.items()} | {"gateway": port}
        self._stopping = False
        self._lock: IO[str] | None = None
        self.url = f"http://{host}:{port}"

    def run(self, once_ready: Callable[[], None]) -> int:
        """Start everything, call ``once_ready``, print the ready line, and stay until told to stop.

        Returns:
            0 after SIGINT or SIGTERM; otherwise the exit code of the part that died.
        Raises:
            CannotStart: something is missing, in use, or did not become ready.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._leave)
        try:
            self._start_all()
            once_ready()
            print(f"ready {self.url}", flush=True)
            return self._watch()
        except _Leave:
            return 0
        finally:
            self._stopping = True
            self._stop_all()
            self.close()

    def close(self) -> None:
        """Give the ports of its parts and the data folder up."""
        for place in self._reserved.values():
            place.close()
        if self._lock is not None:
            self._lock.close()

    def _start_all(self) -> None:
        self._take_folder()
        environ = self._surroundings()
        os.environ.update({name: value for name, value in environ.items() if name.startswith("ALONGSIDE_")})
        if "ALONGSIDE_STORE_URL" not in self._given:
            self._start("store", self._store_command(), environ)
        self._wait_for("store", _store_answers)
        self._wait_for("log", _topics_are_there)
        for part in PARTS:
            several = ["--processes", str(self._gateways)] if part is GATEWAY and self._gateways > 1 else []
            self._start(part.name, [sys.executable, "-m", "infra.cli", "serve", part.name, *several], self._of(part))
        for part in PARTS:
            self._wait_for(part.name, partial(self._is_ready, part))

    def _start(self, name: str, command: list[str], environ: Mapping[str, str]) -> None:
        assert self._lock is not None
        child = Child(name, command, environ, self._lock.fileno())
        child.start()
        self._children.append(child)

    def _take_folder(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = (self._data / "lock").open("w")
        self._wait_for(f"the folder {self._data}, which another `alongside up` uses,", self._has_lock, FOLDER_SECONDS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._host, self._port))
            except OSError as error:
                raise CannotStart(f"Port {self._port} is in use; choose another with --port.") from error

    def _surroundings(self) -> dict[str, str]:
        """The environment of every part: what the operator set, and for the rest what one machine needs."""
        self._given = {name for name in os.environ if name.startswith("ALONGSIDE_")}
        defaults = {
            **self._secrets(),
            "ALONGSIDE_ENV": "embedded",
            "ALONGSIDE_STORE_URL": f"mongodb://127.0.0.1:{self._ports['store']}/?directConnection=true",
            "ALONGSIDE_LOG_URL": f"sqlite://{(self._data / 'log.sqlite').resolve()}",
            "ALONGSIDE_PUBLIC_URL": self.url,
            "ALONGSIDE_PEERS": ",".join(f"{p.name}=http://127.0.0.1:{self._ports[p.name]}" for p in SERVICES),
        }
        environ = {**defaults, **os.environ}
        kept = self._data / "environment"
        kept.touch(mode=0o600)
        kept.write_text("".join(f"{name}={environ[name]}\n" for name in sorted(defaults)))
        return environ

    def _secrets(self) -> dict[str, str]:
        """Made once for a data folder, and readable by its owner alone. What an older folder lacks is added."""
        path = self._data / "secrets.json"
        kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        made = {name: kept.get(name) or make() for name, make in SECRETS.items()}
        if made != kept:
            fresh = path.with_suffix(".new")
            fresh.touch(mode=0o600)
            fresh.write_text(json.dumps(made))
            fresh.replace(path)
        return made

    def _store_command(self) -> list[str]:
        if importlib.util.find_spec("secantus") is None:
            raise CannotStart("No store: install the extra `embedded`, or set ALONGSIDE_STORE_URL.")
        folder = self._data / "store"
        folder.mkdir(exist_ok=True, mode=0o700)
        return [
            str(Path(sys.executable).with_name("secantusd-py")),
            *("--host", "127.0.0.1", "--port", str(self._ports["store"]), "--storage-path", str(folder)),
            # Without it the last writes before a kill are lost, although they were acknowledged.
            "--sync-on-commit",
            # At most, not at once. With a quarter of it, a minute of many writes to few documents stopped the store for
            # good: a request that holds its one lock was made to empty the cache of pages that others had open.
            *("--cache-size", "1G", "--log-level", "ERROR"),
        ]

    def _of(self, part: Part) -> dict[str, str]:
        host = self._host if part is GATEWAY else "127.0.0.1"
        return {**os.environ, "ALONGSIDE_LISTEN": f"{host}:{self._ports[part.name]}"}

    def _is_ready(self, part: Part) -> bool:
        host = self._host if part is GATEWAY and self._host != "0.0.0.0" else "127.0.0.1"
        return answers(f"http://{host}:{self._ports[part.name]}/readyz")

    def _has_lock(self) -> bool:
        assert self._lock is not None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait_for(self, name: str, ready: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if (code := self._check_children()) is not None:
                raise CannotStart(f"A part ended with {code} before {name} was ready; its log is above.")
            if time.monotonic() > deadline:
                raise CannotStart(f"{name} did not become ready within {seconds:.0f} s.")
            time.sleep(0.03)

    def _watch(self) -> int:
        while True:
            if (code := self._check_children()) is not None:
                return code
            time.sleep(0.1)

    def _check_children(self) -> int | None:
        """Restart what died, or return its exit code when nothing is to be restarted."""
        for child in self._children:
            code = child.ended()
            if code is None:
                continue
            print(f"{child.name} ended with {code}", file=sys.stderr, flush=True)
            if not self._restart:
                return code
            child.deaths += 1
            time.sleep(backoff(min(child.deaths, 3)))
            child.start()
        return None

    def _stop_all(self) -> None:
        """The door first, the store last, so that whatever is under way can still be written and told."""
        for names in (("gateway",), ("push", *(part.name for part in SERVICES)), ("store",)):
            stopping = [child for child in self._children if child.name in names]
            for child in stopping:
                child.ask_to_stop()
            for child in stopping:
                child.wait(STOP_SECONDS)

    def _leave(self, _: int, __: FrameType | None) -> None:
        if not self._stopping:
            self._stopping = True
            raise _Leave


class _Leave(BaseException):
    """Told to stop."""


def reserve_port() -> socket.socket:
    """A port of the loopback, held until the socket is closed: only a server that asks for this very port gets it.

    A port that is merely found free may be anybody's by the time a child listens. This one is bound and never listens,
    so that nobody is given it by chance, and while its server is away a caller is refused at once.
    """
    place = socket.socket()
    place.bind(("127.0.0.1", 0))
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return place


def answers(url: str) -> bool:
    """Whether a GET answers 200."""
    try:
        return urllib3.request("GET", url, retries=False, timeout=2.0).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _store_answers() -> bool:
    store = connect("runner", read_settings())
    try:
        store.ping()
    except STORE_DOWN:
        return False
    finally:
        store.close()
    return True


def _topics_are_there() -> bool:
    log = open_log(read_settings().log_url)
    try:
        log.make_topics(TOPICS)
    except LogDown:
        return False
    finally:
        log.close()
    return True


def serve(name: str, listener: int | None = None, among: int = 1) -> None:
    """Run one part in this process until it is told to stop.

    Args:
        name: of the part.
        listener, among: for a gateway process, the open socket that it shares, and with how many in all.
    Raises:
        KeyError: no such part.
        BadSettings: with every mistake in the configuration.
    """
    part = {part.name: part for part in PARTS}[name]
    if part is GATEWAY:
        # It patches the standard library, so nothing else of it may be imported before.
        module: Any = importlib.import_module(part.home)
        module.main(listener, among)
    else:
        importlib.import_module("infra.part").serve(part.home, name)


def read_environment(data: Path) -> None:
    """Take the surroundings of a running ``alongside up`` from its folder, so that other commands find its parts."""
    kept = data / "environment"
    if kept.exists():
        for line in kept.read_text().splitlines():
            name, _, value = line.partition("=")
            os.environ.setdefault(name, value)
