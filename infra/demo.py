"""The people of ``alongside up --demo``. They are added once to a new data folder, and on the loopback only."""

from __future__ import annotations

import importlib
import json
import time
from pathlib import Path
from typing import Any

import urllib3

from infra.access import Grants
from infra.ids import derived_id
from infra.settings import read_settings
from infra.store import connect
from schemas.catalogue import SERVICES

PASSWORD = "alongside-demo"
PEOPLE = {
    "maya": ("client", "Maya"),
    "theo": ("client", "Theo"),
    "sam": ("coach", "Sam"),
    "rosa": ("coach", "Rosa"),
    "ines": ("supervisor", "Ines"),
    "ola": ("organiser", "Ola"),
    "ada": ("admin", "Ada"),
}
ASSIGNED = {"maya": "sam", "theo": "rosa"}


def person_id(login: str) -> str:
    """The id of a demo person, the same in every data folder."""
    return derived_id("demo", login)


def add_people(data: Path, url: str) -> None:
    """Enrol the people, assign the clients, and return when every service knows of it."""
    marker = data / "demo"
    if marker.exists():
        return
    enrol_first("ada", *PEOPLE["ada"], PASSWORD, person_id("ada"))
    as_ada = _sign_in(url, "ada")
    for login, (role, name) in PEOPLE.items():
        if login != "ada":
            person = {"id": person_id(login), "role": role, "login": login, "password": PASSWORD, "display_name": name}
            _post(url, "/v1/people", person, as_ada)
    as_ines = _sign_in(url, "ines")
    for client, coach in ASSIGNED.items():
        ids = {"client_id": person_id(client), "coach_id": person_id(coach)}
        _post(url, "/v1/assignments", {"id": derived_id("demo", client, coach), **ids}, as_ines)
    _wait_until_known()
    marker.touch()


def enrol_first(login: str, role: str, name: str, password: str, id: str) -> None:
    """Enrol a person past the front door: the first admin has nobody to be enrolled by."""
    people = importlib.import_module("services.people").service.load()
    people.open(read_settings())
    people.prepare()
    importlib.import_module("services.people.model").enrol(id, login, role, name, password)
    people.store.close()


def _sign_in(url: str, login: str) -> str:
    token: str = _post(url, "/v1/auth/token", {"login": login, "password": PASSWORD})["access_token"]
    return token


def _post(url: str, path: str, body: Any, token: str | None = None) -> Any:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    answer = urllib3.request("POST", url + path, body=json.dumps(body), headers=headers, timeout=20.0)
    if answer.status not in (200, 201):
        raise RuntimeError(f"{path}: {answer.status} {answer.data[:300]!r}")
    return answer.json()


def _wait_until_known() -> None:
    """Each service keeps its own copy of the grants; the demo is ready when all of them have it."""
    settings = read_settings()
    for name in (*SERVICES, "gateway"):
        store = connect(name, settings)
        grants = Grants(store)
        deadline = time.monotonic() + 30
        while not all(grants.allows(person_id(coach), person_id(client)) for client, coach in ASSIGNED.items()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not hear of the demo's grants within 30 s")
            time.sleep(0.02)
        store.close()
