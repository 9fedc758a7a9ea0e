"""A real Kafka for the tests that need one. Import ``kafka_broker`` in a conftest.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.kafka.broker import Broker, KafkaUnavailable

REQUIRED = "ALONGSIDE_REQUIRE_KAFKA"
"""Set to 1 where a machine without Kafka is a failure and not a reason to skip."""


@contextmanager
def running_broker(data: Path) -> Iterator[Broker]:
    """A broker of one's own, to be killed and started again."""
    broker = Broker(data)
    try:
        broker.start()
    except KafkaUnavailable as missing:
        if os.environ.get(REQUIRED) == "1":
            raise
        pytest.skip(f"no Kafka here: {missing}")
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for the whole run; every test makes topics and groups of its own."""
    with running_broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker
