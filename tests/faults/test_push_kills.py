"""A push worker is killed while a notice goes to many: nobody is called twice, and it is known who was not called."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3
from pymongo import MongoClient

from bench.push import enrol_members, standin
from gateway.post import IN_DOUBT, LANES
from infra.runner import answers, reserve_port
from schemas.base import now
from tests.app import App, Phone, new_id, running, until

MEMBERS = 600
# Claimed, or answered and not noted yet, by one worker when it dies.
IN_DOUBT_MOST = LANES["many"] * 2


def surroundings(app: App) -> dict[str, str]:
    lines = (app.data / "environment").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


@contextmanager
def another_worker(app: App, fcm: str) -> Iterator[subprocess.Popen[bytes]]:
    """A second push worker beside the app's own."""
    place = reserve_port()
    address = f"127.0.0.1:{place.getsockname()[1]}"
    environ = {**os.environ, **surroundings(app), "ALONGSIDE_LISTEN": address, "ALONGSIDE_FCM_ENDPOINT": fcm}
    command = [sys.executable, "-m", "infra.cli", "serve", "push"]
    with (app.data / "another.err").open("ab") as errors:
        process = subprocess.Popen(command, env=environ, stderr=errors)
    try:
        until(lambda: answers(f"http://{address}/readyz"), "the second worker is ready")
        yield process
    finally:
        process.kill()
        process.wait(10)
        place.close()


def asked(url: str) -> dict[str, int]:
    """How often the stand-in was asked for each address."""
    times: dict[str, int] = urllib3.request("GET", url, timeout=20.0).json()
    return times


def a_network(app: App, organiser: Phone) -> str:
    id = new_id()
    assert organiser.post("/v1/networks", {"id": id, "name": "River"}).status == 201
    enrol_members(surroundings(app), id, MEMBERS)
    return id


def kept(app: App, name: str) -> Any:
    client = MongoClient[dict[str, Any]](surroundings(app)["ALONGSIDE_STORE_URL"], tz_aware=True)
    return client, client["gateway"][name]


def let_leases_run_out(app: App, dead: int) -> bool:
    """What takes a minute, now: as soon as all that is left was claimed by the dead, the living may look at it."""
    client, deliveries = kept(app, "deliveries")
    with client:
        of_the_dead = {"state": "made", "claim": {"$regex": f"-{dead}/"}}
        if deliveries.count_documents({"state": "made"}) > deliveries.count_documents(of_the_dead):
            return False
        deliveries.update_many(of_the_dead, {"$set": {"due.many": now()}})
        return True


def reasons(app: App) -> set[str]:
    client, deliveries = kept(app, "deliveries")
    with client:
        return {delivery["why"] for delivery in deliveries.find({"state": "failed"})}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("several", [False, True], ids=["and starts again", "beside another worker"])
def test_over_a_kill_in_the_middle_no_device_is_asked_for_twice(tmp_path: Path, several: bool) -> None:
    # So slow that the kill falls into the middle.
    with standin(0.2, 40) as url, running(tmp_path, restart=True, fcm_endpoint=url) as app:
        organiser = app.phone("ola")
        network, notice = a_network(app, organiser), new_id()

        def progress() -> Any:
            return organiser.get(f"/v1/networks/{network}/notices/{notice}/progress").body

        def post_and_kill(victim: Any) -> None:
            body = {"id": notice, "title": "Picnic", "body": "Saturday at the river."}
            assert organiser.post(f"/v1/networks/{network}/notices", body).status == 201
            until(lambda: len(asked(url)) > MEMBERS // 4, "a part of the members was told")
            victim.kill()
            assert len(asked(url)) < MEMBERS, "the kill came too late to show anything"
            until(lambda: (found := progress())["addressed"] and found["devices"] == MEMBERS, "all are known", 120)
            until(lambda: let_leases_run_out(app, victim.pid), "only what the dead had claimed is left", 120)
            until(lambda: progress()["made"] == 0, "everybody is accounted for", 120)

        if several:
            with another_worker(app, url) as worker:
                post_and_kill(worker)
        else:
            post_and_kill(app.part("push"))
        found, times = progress(), asked(url)
        assert max(times.values()) == 1, "somebody was called twice"
        assert found["sent"] + found["failed"] == MEMBERS
        assert found["failed"] <= IN_DOUBT_MOST
        # Whoever was not called at all is among those who are shown as failed, and nobody is left out silently.
        assert MEMBERS - len(times) <= found["failed"]
        assert reasons(app) <= {IN_DOUBT}
