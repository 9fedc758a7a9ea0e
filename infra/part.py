"""One service as a process: its HTTP door, and its loops behind it."""

from __future__ import annotations

import importlib
import signal
from types import FrameType
from typing import Any

from flask import Flask, jsonify, request
from waitress.server import create_server

from infra import telemetry
from infra.access import Identity, Tokens
from infra.log import Log, open_log
from infra.loops import Loops, dependencies
from infra.service import Service
from infra.settings import read_settings
from infra.web import IDENTITY_HEADER, api_of, make_app, needs, openapi

# A request holds its thread while it waits for the store; a handful is plenty for one small server's service.
HTTP_THREADS = 8


def service_app(service: Service, log: Log, loops: Loops | None = None) -> Flask:
    """The Flask app of a service that was opened. It trusts identities that the gateway signed for it alone."""
    tokens = Tokens(service.settings.secret, service.name)

    def identify() -> Identity | None:
        token = request.headers.get(IDENTITY_HEADER)
        return None if token is None else tokens.read(token)

    app = make_app(service.name, identify, lambda: dependencies(service, log, loops))
    api_of(app).register_blueprint(service.api, url_prefix="/v1")

    @app.get("/openapi.json")
    @needs("public")
    def describe() -> Any:
        return jsonify(openapi(app))

    return app


def serve(home: str, name: str) -> None:
    """Run the service declared in the package ``home`` until SIGINT or SIGTERM.

    Raises:
        BadSettings: with every mistake in the configuration.
    """
    settings = read_settings()
    telemetry.log_as_json(name)
    service: Service = importlib.import_module(home).service
    service.load().open(settings)
    log = open_log(settings.log_url)
    loops = Loops(service, log)
    host, port = settings.listen
    server = create_server(service_app(service, log, loops), host=host, port=port, threads=HTTP_THREADS, ident=None)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    loops.start()
    try:
        server.run()
    finally:
        loops.stop()
        log.close()


def _leave(_: int, __: FrameType | None) -> None:
    # Whoever asks twice is already being served.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(0)
