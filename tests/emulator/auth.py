"""Starts the real Firebase Auth emulator on loopback, and speaks to it as a phone and as the Firebase console would.

Open ``auth_emulator()`` in a fixture of as wide a scope as its tests leave it whole: it takes 7 seconds to start. Where
node or npm is missing the tests are skipped; with ``ALONGSIDE_REQUIRE_EMULATOR=1`` they fail.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

HERE = Path(__file__).parent
PROJECT = "demo-alongside"
READY_WITHIN_SECONDS = 90
STOPS_WITHIN_SECONDS = 15
# Straight to loopback, whatever proxy this machine has.
_WEB = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Account(NamedTuple):
    """An account at the emulator, signed in.

    Attributes:
        uid: Firebase's id of the person.
        id_token: what a phone hands to ``POST /v1/auth/firebase``.
    """

    uid: str
    id_token: str


class AuthEmulator:
    """A running emulator.

    Attributes:
        host: its ``host:port``, as the setting wants it.
        project: the Firebase project that its tokens are of.
    """

    def __init__(self, host: str, process: subprocess.Popen[bytes]) -> None:
        self.host = host
        self.project = PROJECT
        self._process = process

    def sign_up(self, email: str, password: str = "a-long-password") -> Account:
        """A new account with an unverified address."""
        return self._account("accounts:signUp", email, password)

    def sign_in(self, email: str, password: str = "a-long-password") -> Account:
        """A new token for an account, which speaks of it as it is now."""
        return self._account("accounts:signInWithPassword", email, password)

    def change(self, uid: str, **fields: Any) -> None:
        """Change an account as an administrator: ``disableUser``, ``emailVerified``, ``validSince`` (seconds)."""
        self._administer("update", {"localId": uid, **fields})

    def delete(self, uid: str) -> None:
        """End an account as an administrator."""
        self._administer("delete", {"localId": uid})

    def kill(self) -> None:
        """End it at once, as if its machine had died."""
        _stop(self._process, signal.SIGKILL)

    def _account(self, act: str, email: str, password: str) -> Account:
        body = {"email": email, "password": password, "returnSecureToken": True}
        answer = self._post(f"{act}?key=any", body, {})
        return Account(answer["localId"], answer["idToken"])

    def _administer(self, act: str, body: dict[str, Any]) -> None:
        self._post(f"projects/{PROJECT}/accounts:{act}", body, {"Authorization": "Bearer owner"})

    def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://{self.host}/identitytoolkit.googleapis.com/v1/{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", **headers},
        )
        with _WEB.open(request, timeout=20) as response:
            answer: dict[str, Any] = json.load(response)
            return answer


@contextmanager
def auth_emulator() -> Iterator[AuthEmulator]:
    """An emulator that answers inside the ``with``, on a port of its own."""
    _install()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = _configure(folder)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                _command(folder),
                cwd=folder,
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait_until_ready(process, f"http://127.0.0.1:{port}/", folder / "log")
            yield AuthEmulator(f"127.0.0.1:{port}", process)
        finally:
            _stop(process, signal.SIGTERM)


def _missing(what: str) -> NoReturn:
    if os.environ.get("ALONGSIDE_REQUIRE_EMULATOR") == "1":
        pytest.fail(f"The Auth emulator is required: {what}")
    pytest.skip(f"No Auth emulator: {what}")


def _install() -> None:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            _missing(f"{program} is missing")
    # npm writes this file last, so an installation that was cut short is made again.
    if (HERE / "node_modules" / ".package-lock.json").exists():
        return
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        _missing(f"npm ci failed: {done.stderr[-2000:]}")


def _configure(folder: Path) -> int:
    """Write a firebase.json with free ports into a folder, and return the port of the Auth emulator."""
    config = json.loads((HERE / "firebase.json").read_text())
    parts = ("auth", "hub", "logging")
    with ExitStack() as held:
        for part in parts:
            # All are held until each is known, so that no two are the same.
            free = held.enter_context(socket.create_server(("127.0.0.1", 0)))
            config["emulators"][part]["port"] = free.getsockname()[1]
    (folder / "firebase.json").write_text(json.dumps(config))
    port: int = config["emulators"]["auth"]["port"]
    return port


def _command(folder: Path) -> list[str]:
    cli = HERE / "node_modules" / "firebase-tools" / "lib" / "bin" / "firebase.js"
    start = ["emulators:start", "--only", "auth", "--project", PROJECT, "--config", str(folder / "firebase.json")]
    return ["node", str(cli), *start]


def _environment(folder: Path) -> dict[str, str]:
    """The environment that keeps firebase-tools to itself: no update check, no message of the day, no usage report.

    ``CI`` silences the message of the day; an empty configuration folder has no consent to a report of usage.
    """
    quiet = {"CI": "1", "NO_UPDATE_NOTIFIER": "1"}
    return {**os.environ, **quiet, "XDG_CONFIG_HOME": str(folder), "TMPDIR": str(folder)}


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"The Auth emulator did not start: {log.read_text()[-4000:]}")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with _WEB.open(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _stop(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """End the whole process group that was started here."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, how)
    try:
        process.wait(STOPS_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
