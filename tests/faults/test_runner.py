"""``alongside up`` as one group: it lives together, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.runner import answers
from tests.app import App, alive, running, until


@pytest.mark.parametrize("part", ["risk", "gateway", "store"])
def test_a_part_that_dies_stops_the_rest_with_its_exit_code(tmp_path: Path, part: str) -> None:
    with running(tmp_path) as app:
        parts = app.parts()
        app.part(part).kill()
        assert app.wait() == 128 + 9
        assert [left for left in parts if alive(left)] == []
        assert f"{part} ended with 137" in app.log()


def test_with_restart_a_part_that_dies_is_started_again(app: App) -> None:
    for part in ("goals", "gateway", "push"):
        before = app.part(part)
        before.kill()
        until(lambda p=part, b=before: app.part(p).pid != b.pid, f"another {part}")
    until(lambda: answers(f"{app.url}/readyz"), "the gateway answers")
    maya = app.phone("maya")
    until(lambda: maya.get("/v1/goals").status == 200, "goals answers")


@pytest.mark.parametrize("busy", [False, True], ids=["at rest", "while people talk"])
def test_a_killed_runner_leaves_no_orphan(tmp_path: Path, busy: bool) -> None:
    with running(tmp_path) as app:
        parts = app.parts()
        assert len(parts) == 8
        if busy:
            client, coach = app.pair()
            conversation = app.talk(client, coach)
            client.connect()
            for number in range(200):
                said = {"conversation_id": conversation, "client_message_id": f"m{number}", "text": "hello"}
                client.say("message.send", said)
        app.kill()
        until(lambda: not any(alive(part) for part in parts), "every part has ended", 30)


def test_a_stop_while_people_talk_keeps_what_was_acknowledged_and_ends_with_0(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        client, coach = app.pair()
        conversation = app.talk(client, coach)
        client.connect()
        acknowledged: list[dict[str, object]] = []
        for number in range(300):
            said = {"conversation_id": conversation, "client_message_id": f"m{number:03}", "text": "hello"}
            client.say("message.send", said, lambda answer: answer["ok"] and acknowledged.append(answer["message"]))
        until(lambda: len(acknowledged) > 50, "some are acknowledged")
        assert app.stop() == 0
        kept = list(acknowledged)
        app.start()
        found = coach_sees(app, coach.id, conversation)
        assert [message["seq"] for message in found] == list(range(1, len(found) + 1))
        assert kept == found[: len(kept)]


def test_two_apps_do_not_share_a_folder_or_a_port(app: App, tmp_path: Path) -> None:
    for data, port in ((app.data, 0), (tmp_path / "two", app.port)):
        other = App(data)
        other.port = port or other.port
        with pytest.raises(pytest.fail.Exception, match="ended with 2"):
            other.start()
        other.end()
    assert app.phone("maya").get("/v1/me").status == 200


def coach_sees(app: App, coach_id: str, conversation: str) -> list[dict[str, object]]:
    """All messages of a conversation, read by its coach after a new start."""
    coach = app.stranger()
    coach.sign_in(f"coach-{coach_id}")
    found: list[dict[str, object]] = []
    after: str | None = "0"
    while after is not None:
        page = coach.get(f"/v1/conversations/{conversation}/messages?after={after}&limit=200").body
        found += page["items"]
        after = page["next"]
    return found
