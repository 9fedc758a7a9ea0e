"""A stand-in for the push service of a browser, on loopback, and the browser that reads what it is sent."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, NamedTuple

import http_ece
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.fcm import Answer

TAKEN = Answer(201, b"")
# Says nothing at all, or a byte now and then.
SILENCE = Answer(-1, b"")
TRICKLE = Answer(-2, b"")


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Browser:
    """One browser that subscribed.

    Attributes:
        value: the JSON of its ``PushSubscription``, as an app registers it.
    """

    def __init__(self, endpoint: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._auth = os.urandom(16)
        form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        self._point = self._key.public_key().public_bytes(*form)
        self.endpoint = endpoint
        self.value = self.subscription()

    def subscription(self, **changed: Any) -> str:
        """The JSON of the subscription, with other values for some of its parts."""
        keys = {"p256dh": base64url(self._point), "auth": base64url(self._auth), **changed.pop("keys", {})}
        said = {"endpoint": self.endpoint, "expirationTime": None, "keys": keys, **changed}
        return json.dumps({name: value for name, value in said.items() if value is not ...})

    def read(self, body: bytes) -> bytes:
        """What was encrypted for it."""
        read: bytes = http_ece.decrypt(body, private_key=self._key, auth_secret=self._auth, version="aes128gcm")
        return read


class Request(NamedTuple):
    """What arrived at the push service."""

    path: str
    headers: dict[str, str]
    body: bytes


class PushService:
    """The stand-in while it listens.

    Attributes:
        url: its base address; every path is somebody's endpoint.
        requests: in the order of arrival.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.answers: dict[str, Answer] = {}
        self.ended = Event()

    def answer(self, answer: Answer, path: str = "") -> None:
        """From now on answer this, to every request or only to those on one path."""
        self.answers[path] = answer

    def chosen(self, path: str) -> Answer:
        return self.answers.get(path, self.answers.get("", TAKEN))


def _handler(service: PushService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:  # noqa: N802
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            service.requests.append(Request(self.path, headers, body))
            answer = service.chosen(self.path)
            if answer.status <= 0:
                self.close_connection = True
                self._say_little(answer)
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST

        def _say_little(self, answer: Answer) -> None:
            if answer is SILENCE:
                service.ended.wait(60)
            while answer is TRICKLE and not service.ended.wait(0.1):
                try:
                    self.wfile.write(b"H")
                    self.wfile.flush()
                except OSError:
                    return

        def log_message(self, *_: Any) -> None:
            """Say nothing: what arrived is in ``requests``."""

    return Handler


@contextmanager
def push_service() -> Iterator[PushService]:
    """A push service that listens on loopback inside the ``with``."""
    service = PushService()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(service)) as server:
        server.daemon_threads = True
        service.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield service
        finally:
            service.ended.set()
            server.shutdown()
            thread.join()
