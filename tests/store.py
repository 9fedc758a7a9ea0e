"""The embedded store as a child process, for tests. Import ``embedded_store`` from the root ``conftest.py``."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import ConnectionFailure

from infra.runner import reserve_port

READY_SECONDS = 30.0


class EmbeddedStore:
    """One SecantusDB on one folder, to be killed and started again on the same data and the same port.

    ``durable`` is for one that is killed: it keeps whatever it acknowledged, and waits for the disk at each write.
    """

    def __init__(self, folder: Path, durable: bool = True) -> None:
        self._folder = folder
        self._durable = durable
        self._place = reserve_port()
        self._port = self._place.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self._port}/?directConnection=true"

    def start(self) -> None:
        """Start it and return when it answers."""
        command = [
            str(Path(sys.executable).with_name("secantusd-py")),
            *("--host", "127.0.0.1", "--port", str(self._port), "--storage-path", str(self._folder)),
            *("--cache-size", "1G", "--log-level", "ERROR"),
            *(["--sync-on-commit"] if self._durable else []),
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        self._wait_until_it_answers(self._process)

    def kill(self) -> None:
        """Kill -9, as a machine that loses its power would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, make it end when it does not, and give its port up."""
        self._end(signal.SIGTERM)
        self._place.close()

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        with MongoClient[dict[str, object]](self.url, serverSelectionTimeoutMS=200) as client:
            while True:
                assert process.poll() is None, f"the store ended with {process.returncode}"
                assert time.monotonic() < deadline, "the store did not answer in time"
                try:
                    client.admin.command("ping")
                except ConnectionFailure:
                    continue
                return


@contextmanager
def running_store(folder: Path, durable: bool = True) -> Iterator[EmbeddedStore]:
    """A store of one's own, to be killed and started again."""
    store = EmbeddedStore(folder, durable)
    store.start()
    try:
        yield store
    finally:
        store.stop()


@pytest.fixture(scope="session")
def embedded_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    """One store for the whole run, which nobody kills; every test has databases of its own."""
    with running_store(tmp_path_factory.mktemp("store"), durable=False) as store:
        yield store
