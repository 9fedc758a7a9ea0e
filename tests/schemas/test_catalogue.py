"""Every event there is, what it may carry, and who answers which path."""

from __future__ import annotations

import importlib
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from flask import Flask
from flask_smorest import Api

from schemas.base import Event
from schemas.catalogue import EVENTS, MODULES, OWNERS, SERVICES, TOPICS, owner_of
from schemas.fields import Count, Id, Line, Moment, Text, Version, hints_of

# Our own fixed words for the audit ledger, and the id of a request; no person writes either.
NAMED_EXCEPTIONS = {("RecordSeen", "what"), ("RecordSeen", "request_id")}
PLAIN = (Id, Moment, Version, Count, bool)


def carries_no_words(hint: Any) -> bool:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return all(carries_no_words(argument) for argument in args if argument is not type(None))
    if origin is list:
        return args[0] == Id or get_origin(args[0]) is Literal
    return origin is Literal or hint in PLAIN


def test_no_field_of_any_event_can_hold_words_that_a_person_wrote() -> None:
    wordy = {
        (kind.__name__, name)
        for kind in EVENTS.values()
        for name, hint in hints_of(kind).items()
        if not carries_no_words(hint)
    }
    assert wordy == NAMED_EXCEPTIONS


def test_text_would_be_found_where_it_does_not_belong() -> None:
    assert not carries_no_words(Text)
    assert not carries_no_words(Line | None)
    assert not carries_no_words(list[Line])
    assert not carries_no_words(Annotated[str, "anything"])
    assert not carries_no_words(str)


@pytest.mark.parametrize("kind", EVENTS.values(), ids=lambda kind: kind.__name__)
def test_every_event_has_a_topic_and_a_key_that_is_one_of_its_ids(kind: type[Event]) -> None:
    assert kind.topic in TOPICS
    assert hints_of(kind)[kind.key] == Id
    assert kind.__doc__, "an event says in words what has happened"


@pytest.mark.parametrize("kind", EVENTS.values(), ids=lambda kind: kind.__name__)
def test_every_hint_carries_only_fields_that_the_event_has(kind: type[Event]) -> None:
    if kind.hint is not None:
        assert set(kind.hint.fields) <= set(hints_of(kind))
        assert "tell" in hints_of(kind), "a hint is told to somebody"


def test_every_event_of_every_module_is_in_the_catalogue() -> None:
    def below(kind: type[Event]) -> set[type[Event]]:
        return {kind}.union(*(below(more) for more in kind.__subclasses__()))

    declared = {
        kind
        for kind in below(Event) - {Event}
        if kind.__module__ in {module.__name__ for module in MODULES} and not kind.__name__.startswith("_")
    }
    assert declared == set(EVENTS.values())


def paths_of(service: str) -> list[str]:
    """The paths under ``/v1`` that a service really has."""
    app = Flask(service)
    app.config.update(API_TITLE="t", API_VERSION="v1", OPENAPI_VERSION="3.1.0")
    Api(app).register_blueprint(importlib.import_module(f"services.{service}").service.load().api, url_prefix="/v1")
    return sorted({rule.rule.removeprefix("/v1/") for rule in app.url_map.iter_rules() if rule.rule.startswith("/v1/")})


@pytest.mark.parametrize("service", SERVICES)
def test_every_route_of_a_service_is_forwarded_to_it(service: str) -> None:
    assert paths_of(service)
    assert {path: owner_of(path) for path in paths_of(service)} == dict.fromkeys(paths_of(service), service)


def test_every_owner_in_the_table_has_a_route_there() -> None:
    paths = {service: paths_of(service) for service in SERVICES}
    idle = [
        prefix
        for prefix, service in OWNERS.items()
        if not any(path == prefix or path.startswith(f"{prefix}/") for path in paths[service])
    ]
    assert idle == []


@pytest.mark.parametrize("path", ["", "nothing", "peoples", "people-of", "/people", "conversations", "openapi.json"])
def test_what_no_service_owns_has_no_owner(path: str) -> None:
    assert owner_of(path) is None


def test_the_longer_prefix_wins() -> None:
    assert owner_of("me") == "people"
    assert owner_of("me/availability") == "coaching"
    assert owner_of("clients/maya/risk") == "risk"
