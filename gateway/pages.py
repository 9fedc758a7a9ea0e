"""The page for phones and desks: its files, what may run on it, and the list by which a browser keeps it whole."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from flask import Flask, Response, redirect, request, send_from_directory

from infra.web import needs

WEB = Path(__file__).parent / "web"
WORKER = "worker.js"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    # Asked for again each time, and answered with 304 where nothing changed.
    "Cache-Control": "no-cache",
}


def page_routes(app: Flask, folder: Path = WEB) -> None:
    """Serve the files of ``folder`` under ``/app/``."""

    @app.get("/")
    @needs("public")
    def home() -> Any:
        return redirect("/app/")

    @app.get(f"/app/{WORKER}")
    @needs("public")
    def worker() -> Response:
        response = Response(worker_of(folder), content_type="text/javascript; charset=utf-8")
        response.add_etag()
        response.make_conditional(request)
        response.headers.update(HEADERS)
        return response

    @app.get("/app/", defaults={"name": "index.html"})
    @app.get("/app/<path:name>")
    @needs("public")
    def page(name: str) -> Response:
        response = send_from_directory(folder, name)
        response.headers.update(HEADERS)
        return response


def worker_of(folder: Path) -> str:
    """The service worker, and before it the files that it keeps, each with its digest.

    A browser takes in a new worker where its text is another one: so whatever file changes, all are kept anew, and one
    that is not of this list is refused.
    """
    digests = {file.name: _digest(file.read_bytes()) for file in sorted(folder.glob("*.*")) if file.name != WORKER}
    # Under the name by which it is opened: to one of its own it leads by a redirect, which a browser would not keep.
    files = {"./": digests.pop("index.html"), **digests}
    shell = {"version": _digest(json.dumps(files).encode()), "files": files}
    return f"const SHELL = {json.dumps(shell)};\n{(folder / WORKER).read_text()}"


def _digest(content: bytes) -> str:
    """As ``integrity`` has it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}"
