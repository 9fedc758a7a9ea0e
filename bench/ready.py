"""How long ``alongside up`` takes to be ready, and what the group takes when nobody is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psutil
import urllib3

from infra.access import Tokens
from infra.ids import new_id
from infra.runner import reserve_port

SETTLE_SECONDS = 3.0
HOUR = 3600


class Row(NamedTuple):
    """One line of the report."""

    what: str
    figure: str
    note: str = ""


@dataclass
class Product:
    """A running ``alongside up``."""

    port: int
    data: Path
    seconds: float
    process: subprocess.Popen[str]
    prefix: str = ""

    def surroundings(self) -> dict[str, str]:
        """What the parts were told: where the store and the log are, and the secrets."""
        lines = (self.data / "environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def token(self, person_id: str, role: str) -> str:
        """An access token, made here: a hundred sign-ins would only measure how slow a password check has to be."""
        return Tokens(self.surroundings()["ALONGSIDE_SECRET"], "app").sign(person_id, role, new_id(), HOUR)

    def parts(self) -> dict[str, psutil.Process]:
        """Each process of the group by its name; several of one part have numbers."""
        runner = psutil.Process(self.process.pid)
        found = {"runner": runner}
        for child in runner.children(recursive=True):
            name = _part_name(child)
            found[name if name not in found else f"{name} {child.pid}"] = child
        return found

    def get(self, path: str, token: str) -> Any:
        return self._ask("GET", path, None, token)

    def post(self, path: str, body: dict[str, Any], token: str | None = None) -> Any:
        return self._ask("POST", path, json.dumps(body), token)

    def _ask(self, method: str, path: str, body: str | None, token: str | None) -> Any:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        url = f"http://127.0.0.1:{self.port}/v1{path}"
        answer = urllib3.request(method, url, body=body, headers=headers, timeout=20.0)
        if answer.status not in (200, 201):
            raise RuntimeError(f"{path} answered {answer.status}: {answer.data[:300]!r}")
        return answer.json()


def _part_name(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    serving = re.search(r" serve (\w+)", command)
    return "crew" if "--processes" in command and serving else serving[1] if serving else "store"


@contextmanager
def up(data: Path, *options: str, **settings: str) -> Iterator[Product]:
    """Start the product on a data folder, wait for `ready`, and stop it at the end.

    ``settings`` are ``ALONGSIDE_*`` variables, by their whole names.
    """
    place = reserve_port()
    port: int = place.getsockname()[1]
    command = [sys.executable, "-m", "infra.cli", "up", "--data", str(data), "--port", str(port), *options]
    environ = {"ALONGSIDE_RATE_LIMITS": "off", **os.environ, **settings}
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("ready "):
            raise RuntimeError(f"`alongside up` did not become ready: {line!r}")
        prefix = environ.get("ALONGSIDE_STORE_PREFIX", "")
        yield Product(port, data, time.monotonic() - began, process, prefix)
    finally:
        process.terminate()
        process.wait(60)
        place.close()
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def folder() -> Iterator[Path]:
    """A data folder that is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="alongside-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def measure_starts(times: int) -> list[Row]:
    """From the command to `ready`, on a new data folder and on one that was used before."""
    new: list[float] = []
    again: list[float] = []
    stop: list[float] = []
    for _ in range(times):
        with folder() as data:
            for seconds in (new, again):
                with up(data) as product:
                    seconds.append(product.seconds)
                    told = time.monotonic()
                stop.append(time.monotonic() - told)
    return [
        Row("`alongside up` to `ready`, new data folder", f"{median(new):.2f} s", _all(new)),
        Row("`alongside up` to `ready`, existing data folder", f"{median(again):.2f} s", _all(again)),
        Row("SIGTERM to the end, in order", f"{median(stop):.2f} s", _all(stop)),
    ]


def _all(seconds: list[float]) -> str:
    return f"median of {', '.join(f'{one:.2f}' for one in seconds)}" if len(seconds) > 1 else "one start"


def measure_rest(product: Product, seconds: float) -> list[Row]:
    """What the group takes with nobody there, by part: share of one core, proportional and resident memory."""
    # Start-up leaves work behind (indexes, first polls) that is not rest.
    time.sleep(SETTLE_SECONDS)
    parts = product.parts()
    before = {name: cpu_seconds(part) for name, part in parts.items()}
    began = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    cores = {name: (cpu_seconds(part) - before[name]) / took * 100 for name, part in parts.items()}
    memory = {name: (pss(part), part.memory_info().rss / 2**20) for name, part in parts.items()}
    rows = [
        Row("at rest: CPU of the group", f"{sum(cores.values()):.1f} % of one core", f"over {seconds:.0f} s"),
        Row(
            "at rest: memory of the group",
            f"{sum(one for one, _ in memory.values()):.0f} MiB",
            f"sum of PSS; the sum of RSS is {sum(one for _, one in memory.values()):.0f} MiB",
        ),
    ]
    for name in parts:
        proportional, resident = memory[name]
        rows.append(Row(f"at rest: {name}", f"{cores[name]:.1f} %, {proportional:.0f} MiB", f"RSS {resident:.0f} MiB"))
    return rows


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def pss(process: psutil.Process) -> float:
    """Memory in MiB, shared pages divided among those who share them."""
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024
