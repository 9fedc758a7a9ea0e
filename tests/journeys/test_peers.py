"""Somebody in need asks people who offered; one says yes, and the two write to each other."""

from __future__ import annotations

from tests.app import App, a_rough_day, new_id, until


def test_a_peer_who_said_yes_may_talk_with_the_client_and_sees_nothing_else(app: App) -> None:
    client, coach = app.pair()
    near, far = app.enrol("client").connect(), app.enrol("client").connect()
    area = new_id()
    assert near.put("/v1/me/peer-support", {"on": True, "area": area}).status == 200
    assert far.put("/v1/me/peer-support", {"on": True, "area": area[:4]}).status == 200
    assert client.post("/v1/check-ins", a_rough_day()).status == 201
    client.connect()
    assert "peers" in {card["kind"] for card in client.get("/v1/help").body["cards"]}

    ask = new_id()
    assert client.post("/v1/help/peers", {"id": ask, "area": area}).body["asked"] >= 2
    told = {"ask_id": ask, "change": "asked"}
    near.wait_for("peer", lambda hint: hint == told)
    far.wait_for("peer", lambda hint: hint == told)
    assert near.post("/v1/conversations", {"id": new_id(), "with": client.id}).status == 404
    assert near.post(f"/v1/help/peers/{ask}/accept").body["client_id"] == client.id
    assert far.post(f"/v1/help/peers/{ask}/accept").status == 409
    client.wait_for("peer", lambda hint: hint == {"ask_id": ask, "change": "accepted"})

    # Whoever of the two begins, it is one and the same right: the client's conversation.
    talk = {"id": new_id(), "with": client.id}
    until(lambda: near.post("/v1/conversations", talk).status == 201, "the gateway knows the grant")
    assert near.post("/v1/conversations", talk).status == 200
    theirs = {"id": new_id(), "with": near.id}
    assert client.post("/v1/conversations", theirs).status == 201
    for conversation in (talk["id"], theirs["id"]):
        near.send(conversation, "I am Pia. Tell me.")
        assert client.wait_for("message", lambda m, c=conversation: m["conversation_id"] == c)["sender_id"] == near.id
        client.send(conversation, "thank you")
    assert far.post("/v1/conversations", {"id": new_id(), "with": client.id}).status == 404
    for path in (
        f"check-ins?client_id={client.id}",
        f"clients/{client.id}/risk",
        f"clients/{client.id}/safety-plan",
        f"goals?client_id={client.id}",
        f"people/{client.id}",
    ):
        assert near.get(f"/v1/{path}").status == 404, path
    assert coach.get(f"/v1/clients/{client.id}/risk").status == 200
