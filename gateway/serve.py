"""The gateway as a process: REST and sockets on gevent."""

from gevent import monkey

monkey.patch_all()

import os
import signal
import socket
from typing import Any

import gevent
from flask import Flask, request
from flask_socketio import SocketIO
from gevent.pywsgi import WSGIHandler, WSGIServer
from werkzeug.middleware.proxy_fix import ProxyFix

from gateway import api, push, service
from gateway.asyncapi import asyncapi
from gateway.chat_api import chat_routes
from gateway.chat_store import ChatStore
from gateway.device_api import device_routes
from gateway.live import Live
from gateway.pages import page_routes
from gateway.wire import SOCKET, Json, Outbox, WebSocket
from infra import telemetry
from infra.access import Identity, NotSignedIn, Tokens
from infra.log import Log, open_log
from infra.loops import dependencies
from infra.settings import Settings, read_settings
from infra.store import STORE_DOWN
from infra.web import api_of, make_app, openapi
from infra.worker import backoff

log_line = telemetry.logger("gateway")

# The longest text of letters that JSON writes as twelve each, and what stands around it.
PACKET_LIMIT = 100 * 1024


class Handler(WSGIHandler):
    """A socket that has ended is closed, and what a stranger sent is not repeated in the log."""

    def handle(self) -> None:
        # An acknowledgement and the message behind it are two small packets; together they would wait 40 ms.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().handle()

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        return {**environ, SOCKET: self.socket}

    def handle_one_response(self) -> None:
        super().handle_one_response()
        if "websocket" in self.environ.get("HTTP_UPGRADE", "").lower():
            self.close_connection = True

    def log_error(self, msg: str, *args: Any) -> None:
        log_line.warning("bad_http", why=msg.partition(":")[0][:40])


def gateway_app(settings: Settings, log: Log, among: int = 1) -> tuple[Flask, Live]:
    """The Flask app with its sockets, and what tells them; one of ``among`` processes. Nothing runs yet."""
    tokens = Tokens(settings.secret, "app")
    store = ChatStore(service.store, service.vault)
    door = api.Door(settings)
    signed_out: list[Live] = []

    def identify() -> Identity | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return None
        if scheme.lower() != "bearer":
            raise NotSignedIn
        person = tokens.read(token.strip())
        if any(live.ended(person.session_id) for live in signed_out):
            raise NotSignedIn
        return person

    app = make_app("gateway", identify, lambda: dependencies(service, log, None))
    sockets = SocketIO(
        app,
        async_mode="gevent",
        async_handlers=False,
        transports=["websocket"],
        json=Json,
        max_http_buffer_size=PACKET_LIMIT,
        ping_interval=20,
        ping_timeout=20,
    )
    # How the library finds what it runs on; it knows no public way to name another.
    sockets.server.eio._async = {**sockets.server.eio._async, "queue": Outbox, "websocket": WebSocket}
    live = Live(
        sockets.server,
        tokens,
        store,
        service.grants,
        log,
        service.store.collection("pulses"),
        service.store.collection("connections"),
        service.store.collection("ended_sessions"),
        door.set_duty,
    )
    signed_out.append(live)
    for routes in (chat_routes(service, live, store), device_routes(service)):
        api_of(app).register_blueprint(routes, url_prefix="/v1")
    api.documents(app, door, lambda: openapi(app), asyncapi)
    api.forwarding(app, door)
    api.limits(app, settings, among)
    page_routes(app)
    if settings.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, settings.proxies, settings.proxies, settings.proxies)  # type: ignore[method-assign]
    return app, live


def main(listener: int | None = None, among: int = 1) -> None:
    """Run until SIGINT or SIGTERM, at the open socket ``listener`` where ``among`` processes share one.

    Raises:
        BadSettings: with every mistake in the configuration.
    """
    settings = read_settings()
    telemetry.log_as_json("gateway")
    service.open(settings)
    log = open_log(settings.log_url)
    app, live = gateway_app(settings, log, among)
    # Where several share a port, each takes one connection at a time, so that the others get theirs.
    shared = {"wsgi.multiprocess": among > 1}
    place = settings.listen if listener is None else socket.socket(fileno=listener)
    server = WSGIServer(place, app, log=None, handler_class=Handler, environ=shared)

    def leave() -> None:
        server.stop(timeout=2)
        live.stop()
        log.close()
        # What is left are the libraries' own threads, which wait for each other at an ordinary exit under gevent.
        os._exit(0)

    gevent.signal_handler(signal.SIGTERM, leave)
    gevent.signal_handler(signal.SIGINT, leave)
    _prepare()
    live.start()
    server.serve_forever()


def _prepare() -> None:
    """Make the indexes, as soon as the store is there: without them two gateways could number alike."""
    attempt = 0
    while True:
        try:
            push.make_indexes(service.store)
            return
        except STORE_DOWN as error:
            attempt += 1
            log_line.warning("store_away", why=type(error).__name__)
            gevent.sleep(backoff(attempt))


if __name__ == "__main__":
    main()
