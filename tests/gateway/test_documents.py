"""The two documents say what there is, and the REST one is held against the running gateway."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.specs.openapi.definitions import OPENAPI_31

from gateway.live import NEEDS
from schemas.catalogue import EVENTS, OWNERS, SERVICES, TOPICS, owner_of
from tests.app import App, Phone

EXAMPLES = 6
# What the contract says that a socket hears and is told.
HEARD = {
    "message.edit",
    "message.take_back",
    "message.send",
    "message.sync",
    "conversation.delivered",
    "conversation.read",
    "typing",
    "duty",
}
TOLD = {
    "ready",
    "message",
    "cursor",
    "typing",
    "presence",
    "conversation",
    "alert",
    "goal",
    "notice",
    "sync",
    "peer",
    "expired",
}
SIGN_OUT = "/v1/auth/sign-out"
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def openapi(the_app: App) -> dict[str, Any]:
    return document(the_app, "/v1/openapi.json")


@pytest.fixture(scope="module")
def asyncapi(the_app: App) -> dict[str, Any]:
    return document(the_app, "/v1/asyncapi.json")


def document(app: App, path: str) -> dict[str, Any]:
    phone = app.stranger()
    found: dict[str, Any] = phone.get(path).body
    phone.put_away()
    return found


def test_the_rest_document_is_openapi_3_1(openapi: dict[str, Any]) -> None:
    assert openapi["openapi"] == "3.1.0"
    Draft202012Validator(OPENAPI_31).validate(openapi)


def test_every_reference_in_the_documents_leads_somewhere(openapi: dict[str, Any], asyncapi: dict[str, Any]) -> None:
    for whole in (openapi, asyncapi):
        references = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(whole)))
        assert references
        for reference in references:
            place: Any = whole
            for step in reference.split("/"):
                assert step in place, reference
                place = place[step]


def test_every_schema_in_the_documents_is_one(openapi: dict[str, Any], asyncapi: dict[str, Any]) -> None:
    for whole in (openapi, asyncapi):
        for schema in whole["components"]["schemas"].values():
            Draft202012Validator.check_schema(schema)


def test_the_rest_document_has_every_route_of_every_part(the_app: App, openapi: dict[str, Any]) -> None:
    """What the parts say of themselves, asked one by one, is all in the one document, and has an owner."""
    peers = dict(peer.split("=", 1) for peer in the_app.setting("PEERS").split(","))
    assert peers.keys() == set(SERVICES)
    for name, url in peers.items():
        inside = Phone(url)
        paths = inside.get("/openapi.json").body["paths"]
        inside.put_away()
        assert paths
        for path, operations in paths.items():
            assert openapi["paths"][path].keys() >= operations.keys(), path
            assert owner_of(path.removeprefix("/v1/")) == name, path
    first_segments = {"/".join(path.split("/")[2:3]) for path in openapi["paths"]}
    assert {owned.split("/")[0] for owned in OWNERS} <= first_segments


def test_every_operation_says_what_it_needs_and_how_it_fails(openapi: dict[str, Any]) -> None:
    for path, operations in openapi["paths"].items():
        for method in METHODS & operations.keys():
            operation = operations[method]
            assert operation["x-needs"], (method, path)
            assert (operation["x-needs"] != "public") == ("security" in operation), (method, path)
            assert "application/problem+json" in operation["responses"]["default"]["content"], (method, path)


def test_the_socket_document_names_every_event_and_every_topic(asyncapi: dict[str, Any]) -> None:
    assert asyncapi["asyncapi"] == "3.0.0"
    assert asyncapi["channels"].keys() == {*TOPICS, "sockets"}
    for event in EVENTS.values():
        message = asyncapi["channels"][event.topic]["messages"][event.__name__]
        assert message["name"] == event.type_name()
        assert event.__name__ in asyncapi["components"]["schemas"]


def test_the_socket_document_names_everything_that_a_socket_hears_and_is_told(asyncapi: dict[str, Any]) -> None:
    operations = asyncapi["operations"]
    by_action = {
        action: {
            operation["messages"][0]["$ref"].rpartition("/")[2]
            for operation in operations.values()
            if operation["action"] == action
        }
        for action in ("receive", "send")
    }
    assert by_action["receive"] == HEARD == NEEDS.keys()
    assert by_action["send"] >= TOLD
    assert asyncapi["channels"]["sockets"]["messages"].keys() >= HEARD | TOLD


def test_what_a_client_says_on_a_socket_has_a_payload_in_the_document(asyncapi: dict[str, Any]) -> None:
    messages = asyncapi["channels"]["sockets"]["messages"]
    assert [name for name in sorted(HEARD) if "payload" not in messages[name]] == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("login", ["maya", "sam", "ada", None])
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
def test_no_request_that_the_document_suggests_breaks_a_part(
    the_app: App, openapi: dict[str, Any], login: str | None, mode: GenerationMode
) -> None:
    broken: list[str] = []
    phone = the_app.phone(login) if login else the_app.stranger()
    for found in schemathesis.openapi.from_dict(openapi).get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.POSITIVE or can_be_wrong(operation):
            broken += hammer(the_app, phone, operation, mode)
            if login and operation.path == SIGN_OUT:
                phone.sign_in(login)
    if login:
        assert phone.get("/v1/me").status == 200, "it was signed in all along"
    phone.put_away()
    assert broken == []


def hammer(app: App, phone: Phone, operation: Any, mode: GenerationMode) -> list[str]:
    """Ask what the document suggests for an operation; returns the requests that broke something."""
    broken: list[str] = []
    asked = 0

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        nonlocal asked
        asked += 1
        response = case.call(
            base_url=app.url, headers={"Authorization": f"Bearer {phone.token}"} if phone.token else {}
        )
        if response.status_code >= 500 and response.status_code != 501:
            broken.append(f"{response.status_code} {case.as_curl_command()[:400]}")
        elif response.status_code >= 400:
            assert response.headers["content-type"] == ["application/problem+json"]

    ask()
    assert asked
    return broken


def can_be_wrong(operation: Any) -> bool:
    """Whether there is anything in a request that could be other than the document says."""
    return bool(operation.body or any(True for _ in operation.iter_parameters()))
