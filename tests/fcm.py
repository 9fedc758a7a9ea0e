"""A stand-in for Firebase Cloud Messaging on loopback: the real paths, the real shapes of its answers.

``python -m tests.fcm --port N`` prints each request's body as one line of JSON, and answers every one as sent.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR, socket
from threading import Event, Lock, Thread
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

SEND = re.compile(r"/v1/projects/[^/]+/messages:send")


class Answer(NamedTuple):
    """What a request is answered: a status, a body and more headers.

    Status 0 hangs up without a word, and -1 says nothing at all until the stand-in ends.
    """

    status: int
    body: bytes
    headers: dict[str, str] = {}


def sent(project: str = "demo-alongside") -> Answer:
    """The answer to a push that was taken."""
    return Answer(200, json.dumps({"name": f"projects/{project}/messages/0:1500415314455276"}).encode())


def failure(status: int, code: str, fcm: str | None = None, retry_after: str | None = None) -> Answer:
    """A Google API error; ``fcm`` is FCM's own error code, in the details where the real one puts it."""
    kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
    error: dict[str, Any] = {"code": status, "message": f"{code} says FCM.", "status": code}
    if fcm:
        error["details"] = [{"@type": kind, "errorCode": fcm}]
    headers = {"Retry-After": retry_after} if retry_after else {}
    return Answer(status, json.dumps({"error": error}).encode(), headers)


UNREGISTERED = failure(404, "NOT_FOUND", "UNREGISTERED")
SENDER_ID_MISMATCH = failure(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH")
INVALID = failure(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")
UNAVAILABLE = failure(503, "UNAVAILABLE", "UNAVAILABLE")
HANG_UP = Answer(0, b"")
SILENCE = Answer(-1, b"")


def too_many(retry_after: str | None = None) -> Answer:
    """The answer to a rate that is too high."""
    return failure(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", retry_after)


class Fcm:
    """The stand-in while it listens.

    Attributes:
        url: its base address, for ``ALONGSIDE_FCM_ENDPOINT``.
        paths, bodies: of each request, raw, in the order of arrival.
        authorizations: the ``Authorization`` header of each request, or None.
        elsewhere: what any path is answered that is not FCM's.
        ended: set when it is over, for whoever is kept waiting.
    """

    def __init__(self, url: str, heard: Callable[[bytes], object]) -> None:
        self.url = url
        self.heard = heard
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        self.authorizations: list[str | None] = []
        self.elsewhere = failure(404, "NOT_FOUND")
        self._usual = sent()
        self._special: dict[str, Answer] = {}
        self._one_at_a_time = Lock()
        self.ended = Event()

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The message of each request, read."""
        return [json.loads(body)["message"] for body in self.bodies]

    def answer(self, answer: Answer, address: str | None = None) -> None:
        """From now on answer this, to every request or only to those for one device's address."""
        if address is None:
            self._usual = answer
        else:
            self._special[address] = answer

    def take(self, path: str, body: bytes, authorization: str | None) -> Answer:
        """Keep a request, and choose its answer."""
        with self._one_at_a_time:
            self.paths.append(path)
            self.bodies.append(body)
            self.authorizations.append(authorization)
            self.heard(body)
        if not SEND.fullmatch(path):
            return self.elsewhere
        message = json.loads(body)["message"]
        return self._special.get(message.get("fid") or message.get("token"), self._usual)


def _handler(fcm: Fcm) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # One write for head and body: two would wait for each other's acknowledgement, 40 ms each time.
        wbufsize = -1

        def do_POST(self) -> None:  # noqa: N802
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = fcm.take(self.path, body, self.headers["Authorization"])
            if answer.status <= 0:
                self.close_connection = True
                if answer is SILENCE:
                    fcm.ended.wait(60)
                return
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: Any) -> None:
            """Say nothing: what arrived is in ``bodies``."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    # Fifty connections may open at once.
    request_queue_size = 128

    def __init__(self, port: int, fcm: Fcm) -> None:
        self._open: set[socket] = set()
        super().__init__(("127.0.0.1", port), _handler(fcm))

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Hang up on everybody too, as a server that died does: kept connections would still be answered."""
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)
        super().server_close()


@contextmanager
def fcm_standin(port: int = 0, heard: Callable[[bytes], object] = lambda _: None) -> Iterator[Fcm]:
    """A stand-in that listens on loopback inside the ``with``; port 0 is any free one."""
    fcm = Fcm("", heard)
    with _Server(port, fcm) as server:
        fcm.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield fcm
        finally:
            fcm.ended.set()
            server.shutdown()
            thread.join()


def service_account(folder: Path, token_uri: str) -> str:
    """The path of a key file such as the Firebase console gives, for a project that does not exist."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "service-account.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "our-project",
                "private_key": key.decode(),
                "client_email": "push@our-project.example",
                "token_uri": token_uri,
            }
        )
    )
    return str(path)


def _print_line(body: bytes) -> None:
    sys.stdout.write(json.dumps(json.loads(body)) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Listen until interrupted."""
    parser = argparse.ArgumentParser(description="A stand-in for FCM that prints what it is sent.")
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    fcm = Fcm("", _print_line)
    with _Server(port, fcm) as server:
        print(f"ready http://127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
