"""Who is there, unless a file has a cast of its own."""

from __future__ import annotations

import pytest

from tests.world import Caller, World


@pytest.fixture
def cast(world: World) -> World:
    """Maya with Sam, Theo with Rosa, and Ines over them; nobody on duty."""
    world.join("client", "maya", "theo")
    world.join("coach", "sam", "rosa")
    world.join("supervisor", "ines")
    world.assign("maya", "sam")
    world.assign("theo", "rosa")
    return world


@pytest.fixture
def maya(cast: World) -> Caller:
    return cast.caller("maya", "client")


@pytest.fixture
def theo(cast: World) -> Caller:
    return cast.caller("theo", "client")


@pytest.fixture
def sam(cast: World) -> Caller:
    return cast.caller("sam", "coach")


@pytest.fixture
def rosa(cast: World) -> Caller:
    return cast.caller("rosa", "coach")


@pytest.fixture
def ines(cast: World) -> Caller:
    return cast.caller("ines", "supervisor")


@pytest.fixture
def alone(world: World) -> Caller:
    """A client of whom no other service has heard."""
    return world.caller("maya", "client")
