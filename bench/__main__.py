"""``python -m bench``: figures that are meant as ratios within one run, printed and, with ``--out``, kept as a page."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

from bench.chat import measure_connections, measure_latency, measure_throughput, open_conversations
from bench.check_in import enrol, measure
from bench.push import measure_notice
from bench.ready import Row, folder, measure_rest, measure_starts, up
from bench.risk import measure_check_ins, measure_lateness, measure_scoring
from bench.scale import compare_processes, forget, measure_processes, measure_scale

LIBRARIES = ("gevent", "python-socketio", "flask", "pymongo", "secantusdb", "waitress")


@click.command()
@click.option("--quick", is_flag=True, help="Shorter and rougher: under 90 s.")
@click.option("--pairs", default=50, show_default=True, help="How many people chat with how many others.")
@click.option("--fast-store", "fast", help="mongodb://... of a fast store, for the figures that are about the gateway.")
@click.option("--messages", default=1_000_000, show_default=True, help="How many a full store has.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the report there, too.")
def main(quick: bool, pairs: int, fast: str | None, messages: int, out: Path | None) -> None:
    """Measure Alongside against the least that the same stack can do."""
    began, busy = time.monotonic(), os.getloadavg()[0]
    sections: list[tuple[str, list[Row]]] = []

    def add(title: str, rows: list[Row]) -> None:
        sections.append((title, rows))
        click.echo("\n".join(_plain(title, rows)))

    add("Start", measure_starts(1 if quick else 2))
    with folder() as data, up(data, "--demo") as product:
        add("At rest", measure_rest(product, 5 if quick else 20))
        # Before anything busy: what a busy process has freed would hide what a connection takes.
        add("Silent connections", measure_connections(product, 200 if quick else 500))
        couples = enrol(product, pairs)
        add("A check-in that reaches the coach", measure(product, couples[:5], 40 if quick else 150, 10))
        add("A bad night", measure_check_ins(product, couples, 4 if quick else 20, 50))
        add("What judging costs", measure_scoring(product, couples[0], 200 if quick else 1000))
        add("Clocks that run out", measure_lateness(product, couples[0], 2_000 if quick else 10_000, 50))
        add("Chat, as much as fits", measure_throughput(product, couples, 3 if quick else 6, 1 if quick else 3))
        add("Chat, at a quiet rate", measure_latency(product, couples, 4 if quick else 12, 100))
    add("A notice to many", measure_notice(2000 if quick else 10_000))
    if fast is not None:
        for title, rows in _on_a_fast_store(fast, quick, pairs, messages):
            add(title, rows)
    click.echo(f"\ntook {time.monotonic() - began:.0f} s")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(_page(sections, time.monotonic() - began, busy))


def _on_a_fast_store(url: str, quick: bool, pairs: int, messages: int) -> Iterator[tuple[str, list[Row]]]:
    prefix = f"bench{time.time():.0f}_"
    settings = {"ALONGSIDE_STORE_URL": url, "ALONGSIDE_STORE_PREFIX": prefix}
    seconds, rounds = (3, 1) if quick else (6, 3)
    try:
        with folder() as data:
            with up(data, "--demo", **settings) as product:
                couples = enrol(product, pairs)
                yield "Chat on a fast store, as much as fits", measure_throughput(product, couples, seconds, rounds)
                yield "Chat on a fast store, at a quiet rate", measure_latency(product, couples, 2 * seconds, 100)
                talks = open_conversations(product, couples)
                one = [measure_processes(product, talks, seconds) for _ in range(rounds)]
            with up(data, "--demo", "--processes", "2", **settings) as product:
                two = [measure_processes(product, talks, seconds) for _ in range(rounds)]
            yield "Two gateway processes on a fast store", compare_processes(one, two)
            notice = measure_notice(2_000 if quick else 10_000, **{**settings, "ALONGSIDE_STORE_PREFIX": f"{prefix}n_"})
            yield "A notice to many on a fast store", notice
            with up(data, "--demo", **settings) as product:
                yield (
                    "Many conversations, many messages",
                    measure_scale(product, couples[:10], seconds, rounds, messages),
                )
    finally:
        forget(url, prefix)


def _plain(title: str, rows: list[Row]) -> list[str]:
    wide = max(len(row.what) for row in rows)
    return ["", title, *(f"  {row.what:<{wide}}  {row.figure:<22}  {row.note}".rstrip() for row in rows)]


def _page(sections: list[tuple[str, list[Row]]], seconds: float, busy: float) -> str:
    lines = [
        "# What Alongside takes",
        "",
        f"Measured {datetime.now(UTC):%Y-%m-%d} with `make bench` (`python -m bench --out docs/bench.md`) in"
        f" {seconds:.0f} s. Read the ratios: both sides of each were measured in the same run, on the same machine.",
        "",
        f"Machine: {os.cpu_count()} cores ({_processor()}), {platform.system()} {platform.machine()}, Python"
        f" {platform.python_version()}. Load generator, store and every part share these cores; when it began, others"
        f" kept {busy:.1f} of them busy (load average). Versions:"
        f" {', '.join(f'{name} {version(name)}' for name in LIBRARIES)}.",
        "",
        "The store is the embedded one, and the log is SQLite. Every message is on disk before its acknowledgement."
        " The bare relay is the same server stack (gevent, Flask-SocketIO, orjson, WebSocket only) with a handler that"
        " acknowledges and passes on and keeps nothing: no storage, no encryption, no rights, no order, no numbering."
        " A fast store stands in for MongoDB: the embedded engine's twin in Rust, which has every write on disk too"
        " before it answers.",
    ]
    for title, rows in sections:
        lines += ["", f"## {title}", "", "| what | figure | |", "|---|---|---|"]
        lines += [f"| {row.what} | {row.figure} | {row.note} |" for row in rows]
    return "\n".join(lines) + "\n"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


if __name__ == "__main__":
    main()
