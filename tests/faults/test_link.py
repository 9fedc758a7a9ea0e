"""A phone on a link that breaks again and again, in the middle of whatever is on its way."""

from __future__ import annotations

import os
import random
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.app import App, Phone, until
from tests.faults.talk import talking

CUTS = int(os.environ.get("ALONGSIDE_FAULT_KILLS", "10")) * 5
SEED = int(os.environ.get("ALONGSIDE_FAULT_SEED", "7"))
AT_ONCE = 4096


class Flapping:
    """A link to a server on the loopback, cut off at a random byte, and there again at once.

    Attributes:
        cuts: how often it was cut off.
        calm: set to cut off no more.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._chance = random.Random(SEED)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stop = threading.Event()
        self.cuts = 0
        self.calm = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def run(self) -> None:
        """Carry one connection after the other until the end."""
        carried: list[threading.Thread] = []
        self._listener.settimeout(0.1)
        while not self._stop.is_set():
            try:
                phone, _ = self._listener.accept()
            except TimeoutError:
                continue
            carried.append(threading.Thread(target=self._carry, args=(phone, self._bytes_left())))
            carried[-1].start()
        self._listener.close()
        for thread in carried:
            thread.join(10)

    def end(self) -> None:
        self._stop.set()

    def _bytes_left(self) -> int:
        """Until the cut: sometimes within the greeting, and otherwise somewhere in what two people say."""
        return self._chance.choice([self._chance.randrange(250), *[self._chance.randrange(1500, 20_000)] * 4])

    def _carry(self, phone: socket.socket, left: int) -> None:
        with phone, socket.create_connection(("127.0.0.1", self._server)) as server:
            other = {phone: server, server: phone}
            while not self._stop.is_set():
                for one in select.select(list(other), [], [], 0.1)[0]:
                    most = AT_ONCE if self.calm.is_set() else min(left, AT_ONCE)
                    try:
                        data = one.recv(most) if most else b""
                        other[one].sendall(data)
                    except OSError:
                        data = b""
                    if not data:
                        self.cuts += not most
                        self._cut(phone, server)
                        return
                    left -= len(data)

    def _cut(self, *ends: socket.socket) -> None:
        """Now and then without a goodbye even of the operating system."""
        if self._chance.random() < 0.5:
            for end in ends:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextmanager
def flapping(port: int) -> Iterator[Flapping]:
    link = Flapping(port)
    thread = threading.Thread(target=link.run)
    thread.start()
    try:
        yield link
    finally:
        link.end()
        thread.join(20)


def over(links: list[Flapping], mine: list[Phone]) -> Callable[[Phone], Phone]:
    """Gives each person a phone of their own on the next link."""
    rest = iter(links)

    def another(signed_in: Phone) -> Phone:
        phone = Phone(next(rest).url)
        phone.take(signed_in.session)
        mine.append(phone)
        return phone

    return another


@pytest.mark.timeout(120 + 2 * CUTS)
def test_a_link_that_flaps_loses_doubles_and_reorders_nothing(app: App) -> None:
    phones: list[Phone] = []
    with ExitStack() as stack:
        links = [stack.enter_context(flapping(app.port)) for _ in range(4)]
        stack.callback(lambda: [phone.put_away() for phone in phones])
        with talking(app, 2, over(links, phones)) as crowd:
            until(lambda: crowd.broken or sum(link.cuts for link in links) >= CUTS, "the link was cut often", 60 + CUTS)
            for link in links:
                link.calm.set()
        crowd.assert_whole()
    assert all(link.cuts > 1 for link in links)
    assert all(talker.reconnects > 1 for talker in crowd.talkers)
