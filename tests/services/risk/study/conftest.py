"""What several tests of the study look at is made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.risk.study.files import Trial, read_all
from services.risk.study.panel import Row, rows_of
from tests.services.risk.study import worlds


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two made-up trials."""
    folder = tmp_path_factory.mktemp("trials")
    worlds.trial(folder / "north", seed=1)
    worlds.trial(folder / "south", people=60, seed=2)
    return folder


@pytest.fixture(scope="session")
def trials(made_up: Path) -> list[Trial]:
    return read_all([made_up])


@pytest.fixture(scope="session")
def rows(trials: list[Trial]) -> list[Row]:
    return rows_of(trials)


@pytest.fixture(scope="session")
def real() -> list[Trial]:
    """The two trials that the shipped model was fitted on."""
    return read_all([worlds.real_folder()])


@pytest.fixture(scope="session")
def real_rows(real: list[Trial]) -> list[Row]:
    return rows_of(real)
