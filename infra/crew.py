"""Several processes of one part behind one port, so that it can use several cores.

They share one listening socket: whoever is free takes the next connection, and none waits at a process that has died.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
from types import FrameType

from prometheus_client.multiprocess import mark_process_dead

from infra import telemetry
from infra.runner import STOP_SECONDS, Child
from infra.settings import read_settings
from infra.worker import backoff

log_line = telemetry.logger("crew")

# Somebody who has lived for this long and dies is started at once.
LONG_LIFE_SECONDS = 60.0
BACKLOG = 1024


class Crew:
    """Processes that do the same, each started again when it dies."""

    def __init__(self, part: str, processes: int, listener: socket.socket, figures: str) -> None:
        """
        Args:
            part: what each of them serves.
            listener: bound and listening.
            figures: a folder of their own in which they add their metrics up.
        """
        environ = {
            **os.environ,
            "ALONGSIDE_LISTENER": str(listener.fileno()),
            "ALONGSIDE_PROCESSES": str(processes),
            "PROMETHEUS_MULTIPROC_DIR": figures,
        }
        command = [sys.executable, "-m", "infra.cli", "serve", part]
        self._figures = figures
        self._members = [Child(part, command, environ, listener.fileno()) for _ in range(processes)]
        self._due: dict[Child, float] = {}
        self._stopping = False

    def run(self) -> None:
        """Until SIGINT or SIGTERM."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._leave)
        for member in self._members:
            member.start()
        while not self._stopping:
            self._mend()
            time.sleep(0.1)
        for member in self._members:
            member.ask_to_stop()
        for member in self._members:
            member.wait(STOP_SECONDS)

    def _mend(self) -> None:
        """Start what has died, at once or, where it dies again and again, after a while."""
        moment = time.monotonic()
        for member in self._members:
            if member not in self._due and (code := member.ended()) is not None:
                log_line.warning("process_ended", name=member.name, code=code)
                mark_process_dead(member.pid, self._figures)  # type: ignore[no-untyped-call]
                member.deaths = 0 if member.age > LONG_LIFE_SECONDS else member.deaths + 1
                self._due[member] = moment + backoff(min(member.deaths, 5))
            if self._due.get(member, float("inf")) <= moment and not self._stopping:
                del self._due[member]
                member.start()

    def _leave(self, _: int, __: FrameType | None) -> None:
        self._stopping = True


def serve_several(part: str, processes: int) -> None:
    """Serve one part with several processes until SIGINT or SIGTERM.

    Raises:
        BadSettings: with every mistake in the configuration.
        OSError: the address is in use.
    """
    settings = read_settings()
    telemetry.log_as_json(part)
    with socket.create_server(settings.listen, backlog=BACKLOG) as listener, tempfile.TemporaryDirectory() as figures:
        Crew(part, processes, listener, figures).run()
