"""The threads behind a service's door, and what its readiness says of them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from infra import telemetry
from infra.log import Log, LogDown
from infra.service import Service, Tick
from infra.store import STORE_DOWN, clock_of
from infra.worker import PASSING, Relay, Worker, backoff

log_line = telemetry.logger("loops")

SWEEP_SECONDS = 2.0


class Loops:
    """Hears, tells and keeps deadlines for one service until stopped.

    A loop that meets an error which passes waits and goes on. Any other error is ours: the process ends with it, and
    whoever started the process starts it again, so that a dead thread is never taken for a quiet one.
    """

    def __init__(self, service: Service, log: Log) -> None:
        self._service = service
        self._log = log
        self._worker = Worker(service, log)
        self._relay = Relay(service.store, log)
        self._stop = threading.Event()
        self._prepared = threading.Event()
        self._preparing = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._trouble: dict[str, str] = {"start": "not ready yet"}

    def start(self) -> None:
        """Start the threads; they wait by themselves for a store or a log that is away."""
        loops: dict[str, Callable[[], None]] = {"hear": self._hear, "tell": self._tell, "sweep": self._sweep}
        for tick in self._service.ticks:
            loops[f"tick {tick.act.__name__}"] = self._ticking(tick)
        for name, act in loops.items():
            self._start_thread(name, act)

    def stop(self) -> None:
        """Finish what is under way and end the threads."""
        self._stop.set()
        for thread in self._threads:
            thread.join(10)
        self._worker.close()
        for act in self._service.endings:
            act()

    def trouble(self) -> dict[str, str]:
        """What does not go on now, by the name of the loop; empty when all is well."""
        return dict(self._trouble)

    def _start_thread(self, name: str, act: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._guard, args=(name, act), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guard(self, name: str, act: Callable[[], None]) -> None:
        try:
            self._wait_until_prepared()
            self._repeat(name, act)
        except Exception:
            log_line.exception("loop_died", loop=name)
            os._exit(70)

    def _wait_until_prepared(self) -> None:
        """One of the loops prepares, and the others wait for it."""
        attempt = 0
        while not self._prepared.is_set() and not self._stop.is_set():
            try:
                with self._preparing:
                    if not self._prepared.is_set():
                        self._service.prepare()
                        self._trouble.pop("start", None)
                        self._prepared.set()
            except PASSING:
                attempt += 1
                self._stop.wait(backoff(attempt))

    def _repeat(self, name: str, act: Callable[[], None]) -> None:
        attempt = 0
        while not self._stop.is_set():
            try:
                act()
                attempt = 0
                self._trouble.pop(name, None)
            except PASSING as error:
                attempt += 1
                self._trouble[name] = type(error).__name__
                log_line.warning("loop_waits", loop=name, why=type(error).__name__)
                self._stop.wait(backoff(attempt))

    def _hear(self) -> None:
        self._worker.step()

    def _tell(self) -> None:
        self._relay.step()

    def _sweep(self) -> None:
        self._relay.sweep()
        self._worker.replay()
        self._stop.wait(SWEEP_SECONDS)

    def _ticking(self, tick: Tick) -> Callable[[], None]:
        def act() -> None:
            started = time.monotonic()
            try:
                # By the clock that all processes share: a deadline set on one machine is kept by another.
                tick.act(clock_of(self._service.store.records))
            except PASSING:
                telemetry.ticks_failed.labels(tick.act.__name__).inc()
                raise
            self._stop.wait(max(0.0, tick.seconds - (time.monotonic() - started)))

        return act


def dependencies(service: Service, log: Log, loops: Loops | None) -> dict[str, str]:
    """Each thing that the service leans on, by name, with ``ok`` or what is wrong."""
    found = {"store": _answer(service.store.ping), "log": _answer(log.ping)}
    if loops is not None:
        found.update({f"loop {name}": why for name, why in loops.trouble().items()})
    return found


def _answer(ping: Callable[[], None]) -> str:
    try:
        ping()
    except (*STORE_DOWN, LogDown) as error:
        return type(error).__name__
    return "ok"
