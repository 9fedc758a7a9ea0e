"""One system for every test after which it heals; on the embedded log, and on a real Kafka."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.kafka.broker import Broker
from infra.runner import answers
from tests.app import App, fcm, running, until
from tests.fcm import Fcm
from tests.kafka import running_broker

__all__ = ["fcm"]


@pytest.fixture(scope="package")
def the_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with running(tmp_path_factory.mktemp("app"), restart=True) as app:
        yield app


@pytest.fixture
def app(the_app: App) -> Iterator[App]:
    """A system whose parts are started again when they die, all there at the start of each test."""
    yield from _healed(the_app)


@pytest.fixture(scope="package")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real Kafka of one's own, to be cut off, killed and started again."""
    with running_broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(scope="package")
def the_kafka_app(tmp_path_factory: pytest.TempPathFactory, broker: Broker, fcm: Fcm) -> Iterator[App]:
    data = tmp_path_factory.mktemp("kafka-app")
    with running(data, restart=True, log_url=broker.url, fcm_endpoint=fcm.url) as app:
        yield app


@pytest.fixture
def kafka_app(the_kafka_app: App) -> Iterator[App]:
    """The same as ``app``, with the log on the broker."""
    yield from _healed(the_kafka_app)


def _healed(app: App) -> Iterator[App]:
    until(lambda: answers(f"{app.url}/readyz"), "every part is there", 60)
    maya = app.phone("maya")
    for path in ("/v1/goals", "/v1/check-ins", "/v1/networks"):
        until(lambda path=path: maya.get(path).status == 200, f"{path} is answered")
    yield app
    app.hang_up()
