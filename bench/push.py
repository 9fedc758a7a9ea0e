"""A notice to thousands, beside what the stand-in for FCM itself allows: a bare client that sends the same requests."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import urllib3

from bench.ready import Product, Row, folder, up
from infra.ids import derived_id, new_id
from infra.settings import read_settings
from infra.store import Raw, connect
from infra.vault import Vault
from schemas.base import now

# The stand-in: so long for a request, and so many at a time, which makes 250 a second.
SECONDS, AT_ONCE = 0.2, 50
# Of the bare client's requests, which all take the same time, so many stand for all.
BARE_REQUESTS = 2000
LONGEST_SECONDS = 300.0


def measure_notice(members: int, **settings: str) -> list[Row]:
    """From the organiser's request to the last push that is noted as sent, on an installation of its own.

    ``settings`` are ``ALONGSIDE_*`` variables, by their whole names, such as the store of another kind.
    """
    with standin() as url, folder() as data, up(data, "--demo", ALONGSIDE_FCM_ENDPOINT=url, **settings) as product:
        me = product.post("/auth/token", {"login": "ola", "password": "alongside-demo"})
        network = {"id": new_id(), "name": "River"}
        product.post("/networks", network, me["access_token"])
        enrol_members({**product.surroundings(), **settings}, network["id"], members)
        bare = asyncio.run(_bare(url, min(members, BARE_REQUESTS))) * max(1.0, members / BARE_REQUESTS)
        began = time.monotonic()
        notice = {"id": new_id(), "title": "Picnic", "body": "Saturday at the river."}
        product.post(f"/networks/{network['id']}/notices", notice, me["access_token"])
        posted = time.monotonic() - began
        place = f"/networks/{network['id']}/notices/{notice['id']}/progress"
        found = _wait_until_all_are_told(product, place, me["access_token"], members, url)
        ours = time.monotonic() - began
        times = urllib3.request("GET", url, timeout=20.0).json()
    asked = [times.get(f"address-{number}", 0) for number in range(members)]
    return [
        Row("a notice: members, each with a phone that is asleep", f"{members}", f"sent {found['sent']}"),
        Row("a notice: phones that were asked for exactly once", f"{asked.count(1)}", f"more than once {_more(asked)}"),
        Row("a notice: its own answer", f"{posted * 1000:.0f} ms"),
        Row("a notice: until the last is noted as sent", f"{ours:.1f} s", f"{members / ours:.0f}/s"),
        Row(
            "the same requests from a bare client",
            f"{bare:.1f} s",
            f"{members / bare:.0f}/s; the stand-in takes {AT_ONCE} at a time, {SECONDS * 1000:.0f} ms each",
        ),
        Row("a notice : bare client", f"{ours / bare:.2f}"),
    ]


def _more(asked: list[int]) -> int:
    return sum(times > 1 for times in asked)


@contextmanager
def standin(seconds: float = SECONDS, at_once: int = AT_ONCE) -> Iterator[str]:
    """The address of a stand-in for FCM, in a process of its own."""
    command = [sys.executable, "-m", "bench.fcm", str(seconds), str(at_once)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[1]
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def enrol_members(surroundings: Mapping[str, str], network_id: str, members: int) -> None:
    """Members and their phones, written as the product keeps them: ten thousand sign-ups would take minutes.

    The phone of number N is reached at ``address-N``. ``surroundings`` are the settings of a running product.
    """
    with patch.dict(os.environ, surroundings):
        settings = read_settings()
    alumni, gateway = connect("alumni", settings), connect("gateway", settings)
    people = [f"member-{number:05}" for number in range(members)]
    places = [
        {
            "_id": derived_id(network_id, person, "membership"),
            "version": 1,
            "seen": [],
            "outbox": [],
            "network_id": network_id,
            "person_id": person,
            "member": True,
        }
        for person in people
    ]
    vault = Vault(gateway, settings.vault_key)

    def phone(number: int) -> Raw:
        person, value = people[number], f"address-{number}"
        return {
            "_id": f"{person}/pocket",
            "person": person,
            "device": "pocket",
            "kind": "fcm",
            "value": vault.seal(person, "devices/pocket", value),
            "value_hash": value,
            "timezone": "UTC",
            "quiet_hours": None,
            "do_not_disturb_until": None,
            "language": "en",
            "seen_at": now(),
        }

    with ThreadPoolExecutor(8) as several:
        phones = list(several.map(phone, range(members)))
    for start in range(0, members, 500):
        alumni.collection("memberships").insert_many(places[start : start + 500], ordered=False)
        gateway.collection("devices").insert_many(phones[start : start + 500], ordered=False)
    for store in (alumni, gateway):
        store.close()


async def _bare(url: str, count: int) -> float:
    """Seconds that as many requests of the same size take over as many connections as the stand-in works on at once."""
    place = urlsplit(url)
    message = {
        "message": {
            "fid": "address-of-nobody",
            "data": {"v": "1", "kind": "notice", "ref": new_id(), "badge": "0"},
            "notification": {"body": "Update"},
            "android": {
                "priority": "high",
                "ttl": "86400s",
                "collapse_key": new_id(),
                "notification": {"tag": new_id()},
            },
            "apns": {"headers": {"apns-priority": "10"}, "payload": {"aps": {"badge": 0, "sound": "default"}}},
        }
    }
    body = json.dumps(message).encode()
    path = "/v1/projects/demo-alongside/messages:send"
    head = f"POST {path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    left = iter(range(count))

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        for _ in left:
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(answer.rpartition(b"Content-Length: ")[2]))
        writer.close()
        await writer.wait_closed()

    began = time.monotonic()
    await asyncio.gather(*(connection() for _ in range(AT_ONCE)))
    return time.monotonic() - began


def _wait_until_all_are_told(product: Product, path: str, token: str, members: int, standin: str) -> Any:
    deadline = time.monotonic() + LONGEST_SECONDS
    found: Any = None
    while time.monotonic() < deadline:
        # To count ten thousand deliveries is work for the store that is measured, so first whoever gets them is asked.
        if len(urllib3.request("GET", standin, timeout=20.0).json()) < members:
            time.sleep(0.5)
            continue
        found = _progress(product, path, token)
        if found is not None and found["addressed"] and found["sent"] + found["failed"] >= members:
            return found
        time.sleep(0.25)
    raise RuntimeError(f"not everybody was told within {LONGEST_SECONDS:.0f} s: {found}")


def _progress(product: Product, path: str, token: str) -> Any:
    """How far the notice has come; None until the gateway has heard of it."""
    url = f"http://127.0.0.1:{product.port}/v1{path}"
    answer = urllib3.request("GET", url, headers={"Authorization": f"Bearer {token}"}, timeout=20.0)
    return answer.json() if answer.status == 200 else None


if __name__ == "__main__":
    for row in measure_notice(int(sys.argv[1])):
        print(*row, sep="   ")
