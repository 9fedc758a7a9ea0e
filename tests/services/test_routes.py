"""Every route of every service: it names what it needs, and shows strangers nothing of a client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from infra.part import service_app
from schemas.catalogue import SERVICES
from services.alumni.model import Membership
from services.goals.model import Goal
from services.risk.assessment_model import Assessment
from services.risk.model import Course
from services.risk.peers_model import PeerAsk
from services.risk.plan_model import SafetyPlan
from tests.services.risk.forms import a_phq_9
from tests.services.risk.mothers import a_check_in, a_rough_day
from tests.world import Caller, World, an_id

WORDS = "the lighthouse keeper"
STRANGERS = (
    ("theo", "client"),
    ("rosa", "coach"),
    ("ines", "supervisor"),
    ("otto", "organiser"),
    ("ada", "admin"),
)


@dataclass(frozen=True)
class Call:
    """How to try a route on Maya's things.

    Attributes:
        path: of the contract; ``{goal}`` and the like stand for ids of the scene.
        body: what is sent.
        roles: those whose job it is, without any relation to the client.
    """

    path: str
    body: Any = None
    roles: tuple[str, ...] = ()


PUBLIC = {
    "GET /livez",
    "GET /readyz",
    "GET /metrics",
    "GET /openapi.json",
    "POST /v1/auth/token",
    "POST /v1/auth/firebase",
    "POST /v1/auth/refresh",
    "GET /v1/crisis-lines",
}

CALLS: dict[str, Call] = {
    # people
    "POST /v1/auth/sign-out": Call("/auth/sign-out"),
    "GET /v1/me": Call("/me"),
    "POST /v1/people": Call("/people", {"id": "maya", "role": "client", "login": "maya"}),
    "GET /v1/people": Call("/people", roles=("admin",)),
    "GET /v1/people/<person_id>": Call("/people/maya", roles=("admin",)),
    "PATCH /v1/people/<person_id>": Call("/people/maya", {"display_name": "Not Maya"}),
    "GET /v1/grants": Call("/grants"),
    "GET /v1/audit": Call("/audit?client_id=maya", roles=("admin",)),
    # coaching
    "GET /v1/coaches": Call("/coaches"),
    "GET /v1/me/availability": Call("/me/availability"),
    "PUT /v1/me/availability": Call("/me/availability", {"on_duty": False}),
    "GET /v1/caseload": Call("/caseload"),
    "POST /v1/referrals": Call("/referrals", {"id": "{referral}", "coach_id": "sam"}),
    "GET /v1/referrals": Call("/referrals", roles=("supervisor",)),
    "POST /v1/assignments": Call(
        "/assignments", {"id": "{fresh}", "client_id": "maya", "coach_id": "rosa"}, roles=("supervisor",)
    ),
    "POST /v1/assignments/<assignment_id>/end": Call("/assignments/{assignment}/end", roles=("supervisor",)),
    # risk
    "POST /v1/check-ins": Call("/check-ins", {"id": "{check_in}", "craving": 1}),
    "GET /v1/check-ins": Call("/check-ins?client_id=maya"),
    "POST /v1/check-ins/<check_in_id>/correct": Call("/check-ins/{check_in}/correct", {"id": "{fresh}", "craving": 1}),
    "POST /v1/check-ins/<check_in_id>/contest": Call("/check-ins/{check_in}/contest", {"words": "not mine"}),
    "GET /v1/check-ins/aside": Call("/check-ins/aside"),
    "GET /v1/me/reminder": Call("/me/reminder"),
    "PUT /v1/me/reminder": Call("/me/reminder", {"at": "20:00", "timezone": "UTC", "on": True}),
    "GET /v1/alerts": Call("/alerts"),
    "GET /v1/alerts/load": Call("/alerts/load"),
    "GET /v1/alerts/<alert_id>": Call("/alerts/{alert}"),
    "GET /v1/alerts/<alert_id>/trail": Call("/alerts/{alert}/trail"),
    "POST /v1/alerts/<alert_id>/hand-over": Call("/alerts/{alert}/hand-over", {"to": "rosa"}),
    "GET /v1/on-call": Call("/on-call"),
    "GET /v1/reports/model": Call("/reports/model"),
    "PUT /v1/on-call": Call("/on-call", {"people": []}, roles=("supervisor",)),
    "POST /v1/alerts/<alert_id>/acknowledge": Call("/alerts/{alert}/acknowledge"),
    "POST /v1/alerts/<alert_id>/close": Call("/alerts/{alert}/close", {"outcome": "not_needed"}),
    "GET /v1/clients/<client_id>/risk": Call("/clients/maya/risk"),
    "GET /v1/help": Call("/help"),
    "GET /v1/instruments": Call("/instruments"),
    "GET /v1/instruments/<instrument_id>": Call("/instruments/phq-9"),
    "POST /v1/assessments": Call("/assessments", a_phq_9(id="{assessment}", client_id="maya")),
    "GET /v1/assessments": Call("/assessments?client_id=maya"),
    "GET /v1/assessments/due": Call("/assessments/due?client_id=maya"),
    "GET /v1/assessments/<assessment_id>": Call("/assessments/{assessment}"),
    "GET /v1/me/peer-support": Call("/me/peer-support"),
    "PUT /v1/me/peer-support": Call("/me/peer-support", {"on": False}),
    "POST /v1/help/peers": Call("/help/peers", {"id": "{ask}"}),
    "GET /v1/help/peers/<ask_id>": Call("/help/peers/{ask}"),
    "GET /v1/help/asked": Call("/help/asked"),
    "POST /v1/help/peers/<ask_id>/accept": Call("/help/peers/{ask}/accept"),
    "POST /v1/help/peers/<ask_id>/decline": Call("/help/peers/{ask}/decline"),
    "POST /v1/help/peers/<ask_id>/end": Call("/help/peers/{ask}/end"),
    "PUT /v1/safety-plan": Call("/safety-plan", {"reasons": ["x"]}),
    "GET /v1/safety-plan": Call("/safety-plan"),
    "GET /v1/safety-plan/versions": Call("/safety-plan/versions"),
    "PUT /v1/safety-plan/sharing": Call("/safety-plan/sharing", {"coach": True, "people": []}),
    "GET /v1/safety-plan/shared-with-me": Call("/safety-plan/shared-with-me"),
    "GET /v1/clients/<client_id>/safety-plan": Call("/clients/maya/safety-plan"),
    # goals
    "POST /v1/goals": Call("/goals", {"id": "{fresh}", "text": "x", "client_id": "maya"}),
    "GET /v1/goals": Call("/goals?client_id=maya"),
    "GET /v1/goals/<goal_id>": Call("/goals/{goal}"),
    "PATCH /v1/goals/<goal_id>": Call("/goals/{goal}", {"text": "changed by a stranger"}),
    "POST /v1/goals/<goal_id>/agree": Call("/goals/{goal}/agree"),
    "POST /v1/goals/<goal_id>/complete": Call("/goals/{goal}/complete"),
    "PUT /v1/sobriety": Call("/sobriety", {"aim": "abstinence", "substances": ["alcohol"]}),
    "GET /v1/sobriety": Call("/sobriety?client_id=maya"),
    # alumni
    "POST /v1/networks": Call("/networks", {"id": "{network}", "name": "Lisbon mornings"}),
    "GET /v1/networks": Call("/networks"),
    "POST /v1/networks/<network_id>/join": Call("/networks/{other_network}/join"),
    "POST /v1/networks/<network_id>/leave": Call("/networks/{other_network}/leave"),
    "POST /v1/networks/<network_id>/notices": Call(
        "/networks/{network}/notices", {"id": "{fresh}", "title": "x", "body": "x"}
    ),
    "GET /v1/networks/<network_id>/notices": Call("/networks/{network}/notices"),
}


def routes(world: World) -> dict[str, Any]:
    """Every route of every service by method and rule, with its view."""
    found: dict[str, Any] = {}
    for name in SERVICES:
        app = service_app(world.services[name], world.log)
        for rule in app.url_map.iter_rules():
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                found[f"{method} {rule.rule}"] = app.view_functions[rule.endpoint]
    return found


def test_every_route_names_what_it_needs(world: World) -> None:
    nameless = sorted(route for route, view in routes(world).items() if not hasattr(view, "needs"))
    assert nameless == []


def test_every_route_is_in_the_table_of_these_tests_and_none_is_there_in_vain(world: World) -> None:
    assert sorted(routes(world)) == sorted({*PUBLIC, *CALLS}), "say in CALLS how a stranger would try it"


def test_what_needs_nothing_is_only_what_these_tests_call_public(world: World) -> None:
    assert {route for route, view in routes(world).items() if getattr(view, "needs", "") == "public"} == PUBLIC


@pytest.fixture
def scene(world: World) -> dict[str, str]:
    """Maya with Sam: an assignment, a referral, a bad day with words, an alert, a goal, a network with a notice."""
    world.join("client", "maya", "theo")
    world.join("coach", "sam", "rosa")
    world.join("supervisor", "ines")
    world.join("organiser", "ola", "otto")
    world.join("admin", "ada")
    maya, ola = world.caller("maya", "client"), world.caller("ola", "organiser")
    names = ("referral", "check_in", "assessment", "goal", "network", "other_network", "ask")
    ids = {name: an_id() for name in names}
    ids["assignment"] = world.assign("maya", "sam")
    made = [
        maya.post("/referrals", {"id": ids["referral"], "coach_id": "sam"}),
        maya.post("/check-ins", a_rough_day(id=ids["check_in"], note=WORDS)),
        maya.post("/assessments", a_phq_9(id=ids["assessment"])),
        maya.put("/safety-plan", {"reasons": [WORDS]}),
        ola.put("/me/peer-support", {"on": True, "area": WORDS}),
        maya.post("/help/peers", {"id": ids["ask"]}),
        maya.post("/goals", {"id": ids["goal"], "text": WORDS}),
        ola.post("/networks", {"id": ids["network"], "name": "Lisbon mornings"}),
        ola.post("/networks", {"id": ids["other_network"], "name": "Porto mornings"}),
        maya.post(f"/networks/{ids['network']}/join"),
        ola.post(f"/networks/{ids['network']}/notices", {"id": an_id(), "title": "t", "body": WORDS}),
    ]
    assert {answer.status_code for answer in made} <= {200, 201}
    world.settle()
    (alert,) = world.caller("sam", "coach").get("/alerts").json["items"]
    return {**ids, "alert": alert["id"]}


def filled(thing: Any, ids: dict[str, str]) -> Any:
    """The path or body with the ids of the scene in it."""
    if isinstance(thing, dict):
        return {name: filled(value, ids) for name, value in thing.items()}
    return thing.format(**ids, fresh=an_id()) if isinstance(thing, str) else thing


def tried(caller: Caller, route: str, ids: dict[str, str]) -> Any:
    call = CALLS[route]
    method = route.split()[0]
    headers = {"If-Match": '"1"'} if method == "PATCH" else None
    return caller.ask(method, filled(call.path, ids), filled(call.body, ids), headers=headers)


def test_without_an_identity_every_route_answers_401(world: World, scene: dict[str, str]) -> None:
    wrong = {}
    for route, call in CALLS.items():
        answer = tried(world.nobody(), route, scene)
        # A body is looked at before anybody is asked who they are only where that tells nothing.
        if answer.status_code != 401 and not (answer.status_code == 422 and call.body is not None):
            wrong[route] = answer.status_code
    assert wrong == {}


def test_a_stranger_gets_nothing_of_a_clients_from_any_route(world: World, scene: dict[str, str]) -> None:
    traces = [
        "maya",
        WORDS,
        *(scene[name] for name in ("alert", "assessment", "goal", "assignment", "referral", "ask")),
    ]
    wrong = []
    for route, call in CALLS.items():
        for name, role in STRANGERS:
            if role in call.roles:
                continue
            answer = tried(world.caller(name, role), route, scene)
            asked = filled(call.path, scene) + repr(filled(call.body, scene))
            leaked = [trace for trace in traces if trace in answer.text and trace not in asked]
            if answer.status_code in (200, 201, 204):
                leaked += [trace for trace in traces if trace in answer.text]
            elif answer.status_code not in (401, 404, 409, 422):
                leaked.append(str(answer.status_code))
            if leaked:
                wrong.append((route, role, answer.status_code, leaked))
    assert wrong == []


def test_a_stranger_changes_nothing_of_a_clients(world: World, scene: dict[str, str]) -> None:
    def record() -> tuple[Any, ...]:
        return (
            Course.raw().find_one({"_id": "maya"}),
            list(Assessment.raw().find({"client_id": "maya"})),
            SafetyPlan.raw().find_one({"_id": "maya"}),
            PeerAsk.raw().find_one({"_id": scene["ask"]}),
            Goal.raw().find_one({"_id": scene["goal"]}),
            Membership.raw().find_one({"person_id": "maya"}),
            world.services["people"].store.collection("accounts").find_one({"_id": "maya"}),
            world.services["coaching"].store.collection("assignments").find_one({"_id": scene["assignment"]}),
            world.services["coaching"].store.collection("referrals").find_one({"_id": scene["referral"]}),
        )

    before = record()
    for route, call in CALLS.items():
        for name, role in STRANGERS:
            if role not in call.roles:
                tried(world.caller(name, role), route, scene)
    world.settle()
    assert record() == before


def test_the_client_and_the_coach_do_see_what_a_stranger_does_not(world: World, scene: dict[str, str]) -> None:
    """Else the tests above would pass on routes that answer nobody."""
    assert WORDS in world.caller("sam", "coach").get("/check-ins?client_id=maya").text
    assert WORDS in world.caller("sam", "coach").get(f"/goals/{scene['goal']}").text
    assert WORDS in world.caller("maya", "client").get("/clients/maya/safety-plan").text
    assert WORDS in world.caller("maya", "client").get(f"/networks/{scene['network']}/notices").text
    assert scene["assessment"] in world.caller("sam", "coach").get("/assessments?client_id=maya").text
    assert world.caller("maya", "client").post("/check-ins", a_check_in()).status_code == 201
