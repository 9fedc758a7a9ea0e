"""Small parts of the runner; whole groups are started in the journeys."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from infra import runner
from infra.runner import CannotStart, Child, Group, answers, read_environment, reserve_port
from schemas import catalogue


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ALONGSIDE_")]:
        monkeypatch.delenv(name)


_made: list[Group] = []


@pytest.fixture(autouse=True)
def no_group_is_left() -> Iterator[None]:
    yield
    while _made:
        _made.pop().close()


def group(folder: Path, port: int | None = None) -> Group:
    """A group that is not started; it gives up what it holds after the test."""
    _made.append(Group(folder, "127.0.0.1", port or a_port(), restart=False))
    return _made[-1]


def a_port() -> int:
    with reserve_port() as place:
        return port_of(place)


def port_of(place: socket.socket) -> int:
    return int(place.getsockname()[1])


@contextmanager
def taking_its_folder(folder: Path, port: int | None = None) -> Iterator[None]:
    """A group that takes its data folder, and gives it back."""
    taken = group(folder, port)
    try:
        taken._take_folder()
        yield
    finally:
        taken.close()


def test_a_reserved_port_is_for_the_server_that_asks_for_it_and_for_nobody_else() -> None:
    with reserve_port() as place, socket.socket() as server:
        assert not answers(f"http://127.0.0.1:{port_of(place)}/"), "nobody listens yet, and a caller is told so at once"
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", port_of(place)))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port_of(place)))
        server.listen()
        with socket.create_connection(("127.0.0.1", port_of(place)), 5), reserve_port() as other:
            assert port_of(other) != port_of(place)


def test_every_service_is_a_part_and_the_gateway_comes_last() -> None:
    assert tuple(part.name for part in runner.SERVICES) == catalogue.SERVICES
    assert runner.PARTS[-1].name == "gateway"


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    made = group(tmp_path)._secrets()
    assert len(made["ALONGSIDE_SECRET"]) >= 32
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert group(tmp_path)._secrets() == made
    assert group_in_another(tmp_path) != made


def test_what_an_older_folder_lacks_is_added_and_what_it_has_is_kept(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text(json.dumps({"ALONGSIDE_SECRET": "s" * 64, "ALONGSIDE_VAULT_KEY": "v"}))
    made = group(tmp_path)._secrets()
    assert (made["ALONGSIDE_SECRET"], made["ALONGSIDE_VAULT_KEY"]) == ("s" * 64, "v")
    assert len(made["ALONGSIDE_VAPID_PRIVATE_KEY"]) == 43
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert group(tmp_path)._secrets() == made


def group_in_another(tmp_path: Path) -> dict[str, str]:
    other = tmp_path / "another"
    other.mkdir()
    return group(other)._secrets()


def test_the_surroundings_are_kept_for_other_commands_and_only_their_owner_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = group(tmp_path)._surroundings()
    kept = tmp_path / "environment"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert environ["ALONGSIDE_SECRET"] in kept.read_text()
    monkeypatch.setenv("ALONGSIDE_LOG_URL", "sqlite:///mine")
    for name in environ:
        if name.startswith("ALONGSIDE_"):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALONGSIDE_LOG_URL", "sqlite:///mine")
    read_environment(tmp_path)
    assert os.environ["ALONGSIDE_SECRET"] == environ["ALONGSIDE_SECRET"]
    assert os.environ["ALONGSIDE_LOG_URL"] == "sqlite:///mine", "what an operator sets wins"


def test_what_an_operator_sets_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALONGSIDE_STORE_URL", "mongodb://elsewhere/")
    assert group(tmp_path)._surroundings()["ALONGSIDE_STORE_URL"] == "mongodb://elsewhere/"


def test_a_port_that_is_in_use_is_said_in_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"Port {port} is in use; .*--port"), taking_its_folder(tmp_path, port):
            pass


def test_a_folder_that_is_in_use_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "FOLDER_SECONDS", 0.1)
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CannotStart, match="another `alongside up` uses"), taking_its_folder(tmp_path):
            pass


def test_a_data_folder_is_its_owners_alone(tmp_path: Path) -> None:
    with taking_its_folder(tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_without_the_embedded_store_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(CannotStart, match="ALONGSIDE_STORE_URL"):
        group(tmp_path)._store_command()


def a_child(code: str) -> Child:
    with Path(os.devnull).open() as lock:
        child = Child("child", [sys.executable, "-c", code], os.environ, lock.fileno())
        child.start()
    return child


@pytest.mark.parametrize(
    ("code", "told"),
    [("import sys; sys.exit(3)", 3), ("pass", 0), ("import os; os.kill(os.getpid(), 9)", 128 + signal.SIGKILL)],
)
def test_the_end_of_a_child_is_told_as_a_shell_tells_it(code: str, told: int) -> None:
    child = a_child(code)
    child.wait(30)
    assert child.ended() == told


def test_a_child_that_will_not_stop_is_made_to(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    child = a_child(
        "import signal, pathlib, time; signal.signal(15, signal.SIG_IGN);"
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"
    )
    while not ready.exists():
        assert child.ended() is None
    assert child.ended() is None
    child.ask_to_stop()
    child.wait(0.1)
    assert child.ended() == 128 + signal.SIGKILL


def test_only_a_200_is_an_answer() -> None:
    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/well" else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert answers(f"{url}/well")
        assert not answers(f"{url}/unwell")
        server.shutdown()
    assert not answers(f"http://127.0.0.1:{a_port()}/well")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["up", "--demo", "--host", "0.0.0.0"], "--demo listens on the loopback only"),
        (["up", "--port", "{taken}", "--data", "{folder}"], "is in use"),
    ],
    ids=["demo", "port"],
)
def test_up_that_cannot_start_says_why_and_ends_with_2(tmp_path: Path, arguments: list[str], words: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        filled = [a.format(taken=taken.getsockname()[1], folder=tmp_path) for a in arguments]
        ran = subprocess.run(
            [sys.executable, "-m", "infra.cli", *filled], capture_output=True, text=True, timeout=60, check=False
        )
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
