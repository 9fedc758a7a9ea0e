"""The threads behind a service's door: prepared once, stopped in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.log import open_log
from infra.loops import Loops
from infra.service import Service
from infra.store import Store
from schemas.catalogue import TOPICS
from tests.app import until
from tests.store import EmbeddedStore
from tests.world import settings_for


@pytest.fixture
def service(embedded_store: EmbeddedStore, tmp_path: Path) -> Iterator[Service]:
    service = Service("looper", home="tests.infra", rooms=())
    service.open(settings_for(embedded_store.url, f"sqlite://{tmp_path / 'log.sqlite'}"))
    yield service
    service.store.client.drop_database(service.store.records.name)
    service.store.close()


def test_of_all_loops_one_prepares_and_none_acts_before(service: Service) -> None:
    log = open_log(service.settings.log_url)
    log.make_topics(TOPICS)
    prepared: list[str] = []
    acted: list[int] = []
    ended: list[str] = []

    def prepare(store: Store) -> None:
        # Long enough for the others to come by.
        for _ in range(20):
            store.ping()
        prepared.append(store.name)

    service.preparations.append(prepare)
    service.endings.append(lambda: ended.append("closed"))
    for number in range(4):
        service.every(0.01)(named(lambda _, n=number: acted.append(n if prepared else -1), f"act_{number}"))
    loops = Loops(service, log)
    loops.start()
    until(lambda: len(set(acted)) == 4, "every loop acts")
    assert prepared == ["looper"]
    assert -1 not in acted
    assert loops.trouble() == {}
    loops.stop()
    assert ended == ["closed"]
    before = len(acted)
    log.close()
    assert len(acted) == before


def named(act: object, name: str) -> object:
    act.__name__ = name  # type: ignore[attr-defined]
    return act
