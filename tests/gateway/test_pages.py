"""The files of the page as the gateway serves them, and the list by which a browser keeps them."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from gateway.pages import WEB, page_routes
from infra.web import make_app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(WEB, tmp_path / "web"))


@pytest.fixture
def client(folder: Path) -> Iterator[FlaskClient]:
    app = make_app("gateway", lambda: None, dict)
    page_routes(app, folder)
    with app.test_client() as client:
        yield client


def shell_of(client: FlaskClient) -> dict[str, Any]:
    """What the worker is told to keep."""
    first, _, _ = client.get("/app/worker.js").text.partition("\n")
    shell: dict[str, Any] = json.loads(first.removeprefix("const SHELL = ").removesuffix(";"))
    return shell


def test_the_worker_keeps_every_file_of_the_page_under_the_digest_of_what_is_served(client: FlaskClient) -> None:
    files = shell_of(client)["files"]
    assert set(files) == {"./", *(file.name for file in WEB.iterdir())} - {"index.html", "worker.js"}
    for name, integrity in files.items():
        with client.get(f"/app/{name.removeprefix('./')}") as served:
            assert served.status_code == 200
            assert integrity == f"sha256-{base64.b64encode(hashlib.sha256(served.data).digest()).decode()}"


@pytest.mark.parametrize("name", ["index.html", "app.css", "page.js", "worker.js"])
def test_whatever_file_changes_the_worker_is_another_and_otherwise_it_is_not_sent_again(
    client: FlaskClient, folder: Path, name: str
) -> None:
    before = client.get("/app/worker.js")
    again = {"If-None-Match": before.headers["ETag"]}
    assert client.get("/app/worker.js", headers=again).status_code == 304
    version = shell_of(client)["version"]

    (folder / name).write_text((folder / name).read_text() + "\n")

    after = client.get("/app/worker.js", headers=again)
    assert after.status_code == 200
    assert after.data != before.data
    assert (shell_of(client)["version"] == version) == (name == "worker.js")


@pytest.mark.parametrize("path", ["/app/", "/app/app.js", "/app/worker.js"])
def test_nothing_but_our_own_files_may_run_and_nothing_is_used_without_being_asked_for(
    client: FlaskClient, path: str
) -> None:
    with client.get(path) as answer:
        headers = answer.headers
    assert headers["Cache-Control"] == "no-cache"
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy.pop("default-src") == policy.pop("frame-ancestors") == "'none'"
    assert set(policy.values()) <= {"'self'", "'none'"}
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert path == "/app/" or "javascript" in headers["Content-Type"]


def test_the_page_can_be_put_on_a_home_screen_under_a_name_that_tells_nothing(client: FlaskClient) -> None:
    with client.get("/app/app.webmanifest") as answer:
        assert answer.content_type.startswith("application/manifest+json")
        manifest = json.loads(answer.data)
    assert manifest["name"] == manifest["short_name"] == "Alongside"
    assert (manifest["start_url"], manifest["scope"], manifest["display"]) == ("./", "./", "standalone")
    for name in (icon["src"] for icon in manifest["icons"]):
        with client.get(f"/app/{name}") as icon:
            assert icon.content_type.startswith("image/")


@pytest.mark.parametrize("path", ["/app/nothing.js", "/app/../serve.py", "/app/%2e%2e/serve.py", "/app/sub/"])
def test_nothing_else_is_served(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404
