"""Two people talk: both ways, once each, in one order, over sockets and REST, and across reconnects."""

from __future__ import annotations

from tests.app import App, Phone, a_device, new_id, until
from tests.fcm import Fcm


def texts(messages: list[dict[str, object]]) -> list[object]:
    return [message["text"] for message in messages]


def test_messages_go_both_ways_to_every_device_of_both(app: App) -> None:
    client, coach = app.pair()
    tablet = app.stranger()
    tablet.take(client.session)
    for phone in (client, coach, tablet):
        phone.connect()
    conversation = app.talk(client, coach)
    client.send(conversation, "are you there?")
    coach.send(conversation, "I am")
    for phone in (client, coach, tablet):
        phone.wait_for("message", lambda message: message["seq"] == 2)
        told = phone.heard("message")
        assert texts(told) == ["are you there?", "I am"]
        assert [message["seq"] for message in told] == [1, 2]
        assert told == phone.get(f"/v1/conversations/{conversation}/messages").body["items"]


def test_nobody_else_is_told_of_a_message(app: App) -> None:
    client, coach = app.pair()
    other = app.phone("rosa").connect()
    coach.connect()
    conversation = app.talk(client, coach)
    client.connect().send(conversation, "between us")
    coach.wait_for("message")
    other.settle()
    assert other.heard("message") == []
    assert other.get(f"/v1/conversations/{conversation}").status == 404
    assert other.get(f"/v1/conversations/{conversation}/messages").status == 404
    said = {"conversation_id": conversation, "client_message_id": new_id(), "text": "let me in"}
    assert other.call("message.send", said)["problem"]["status"] == 404
    assert other.call("message.sync", {"conversation_id": conversation, "after": 0})["problem"]["status"] == 404
    assert client.call("message.sync", {"conversation_id": conversation})["last_seq"] == 1


def test_the_same_client_message_id_is_one_message_for_ever(app: App) -> None:
    client, coach = app.pair()
    client.connect()
    coach.connect()
    conversation = app.talk(client, coach)
    first = client.send(conversation, "once", "a")
    assert client.send(conversation, "once", "a") == first
    rest = client.post(f"/v1/conversations/{conversation}/messages", {"client_message_id": "a", "text": "once"})
    assert (rest.status, rest.body) == (200, first)
    # An id is the sender's own: the coach may use the same.
    assert coach.send(conversation, "mine", "a")["seq"] == 2
    client.wait_for("message", lambda message: message["seq"] == 2)
    assert [message["seq"] for message in client.heard("message")] == [1, 2]


def test_the_rest_twin_sends_the_same_message_to_the_same_sockets(app: App) -> None:
    client, coach = app.pair()
    coach.connect()
    conversation = app.talk(client, coach)
    sent = client.post(f"/v1/conversations/{conversation}/messages", {"client_message_id": "r", "text": "by REST"})
    assert sent.status == 201
    assert coach.wait_for("message") == sent.body


def test_a_reconnect_gets_by_sync_exactly_what_it_missed(app: App) -> None:
    client, coach = app.pair()
    client.connect()
    coach.connect()
    conversation = app.talk(client, coach)
    client.send(conversation, "heard")
    coach.wait_for("message")
    coach.disconnect()
    for number in range(5):
        client.send(conversation, f"missed {number}")
    coach.connect()
    missed = coach.call("message.sync", {"conversation_id": conversation, "after": 1, "limit": 3})
    assert texts(missed["messages"]) == ["missed 0", "missed 1", "missed 2"]
    assert missed["last_seq"] == 6
    rest = coach.call("message.sync", {"conversation_id": conversation, "after": 4, "limit": 200})
    assert [message["seq"] for message in rest["messages"]] == [5, 6]
    assert coach.call("message.sync", {"conversation_id": conversation, "after": 6})["messages"] == []
    assert len(coach.heard("message")) == 1


def test_pages_of_messages_lead_through_the_whole_conversation_both_ways(app: App) -> None:
    client, coach = app.pair()
    client.connect()
    conversation = app.talk(client, coach)
    for number in range(1, 8):
        client.send(conversation, str(number))
    path = f"/v1/conversations/{conversation}/messages"
    seen, after = [], "0"
    while after is not None:
        page = coach.get(f"{path}?after={after}&limit=3").body
        seen += [message["seq"] for message in page["items"]]
        after = page["next"]
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert [message["seq"] for message in coach.get(f"{path}?before=5&limit=2").body["items"]] == [3, 4]


def test_cursors_say_what_arrived_and_what_was_read(app: App) -> None:
    client, coach = app.pair()
    client.connect()
    coach.connect()
    conversation = app.talk(client, coach)
    for text in ("one", "two", "three"):
        client.send(conversation, text)
    assert mine(coach, conversation)["unread"] == 3
    assert mine(client, conversation)["unread"] == 0
    assert coach.call("conversation.delivered", {"conversation_id": conversation, "seq": 3}) == {"ok": True}
    assert coach.call("conversation.read", {"conversation_id": conversation, "seq": 2}) == {"ok": True}
    told = {"conversation_id": conversation, "person_id": coach.id, "delivered": 3, "read": 2}
    client.wait_for("cursor", lambda cursor: cursor == told)
    assert mine(coach, conversation)["unread"] == 1
    assert mine(client, conversation)["cursors"][coach.id] == {"delivered": 3, "read": 2}
    # Never back, and never beyond what there is.
    assert coach.post(f"/v1/conversations/{conversation}/read", {"seq": 1}).status == 204
    assert mine(client, conversation)["cursors"][coach.id] == {"delivered": 3, "read": 2}
    assert coach.call("conversation.read", {"conversation_id": conversation, "seq": 4})["problem"]["status"] == 422


def test_an_id_with_a_dot_has_cursors_like_any_other(app: App) -> None:
    client, coach = app.pair(id=f"maya.{new_id()[:8]}")
    client.connect()
    conversation = app.talk(client, coach)
    coach.post(f"/v1/conversations/{conversation}/messages", {"client_message_id": "a", "text": "hello"})
    assert client.post(f"/v1/conversations/{conversation}/read", {"seq": 1}).status == 204
    assert mine(client, conversation)["unread"] == 0


def test_an_edit_reaches_whoever_is_there_and_whoever_comes_later(app: App) -> None:
    client, coach = app.pair()
    client.connect()
    coach.connect()
    conversation = app.talk(client, coach)
    sent = client.send(conversation, "see you on sunday")
    coach.wait_for("message")
    asked = {"conversation_id": conversation, "client_message_id": "e", "seq": 1, "text": "see you on monday"}
    answer = client.call("message.edit", asked)
    entry = answer["message"]
    assert answer["ok"]
    assert (entry["seq"], entry["kind"], entry["changes"]) == (2, "edited", 1)
    assert coach.wait_for("message", lambda message: message["seq"] == 2) == entry
    late = coach.call("message.sync", {"conversation_id": conversation, "after": 1})["messages"]
    assert late == [entry]
    (message, _) = coach.get(f"/v1/conversations/{conversation}/messages").body["items"]
    assert message == {**sent, "text": "see you on monday", "edited_at": entry["at"]}
    assert mine(coach, conversation)["unread"] == 1


def test_what_is_taken_back_is_shown_to_nobody_and_wakes_nobody(app: App, fcm: Fcm) -> None:
    client, coach = app.pair()
    coach.connect()
    conversation = app.talk(client, coach)
    client.connect().send(conversation, "a word that is regretted: willow")
    coach.wait_for("message")
    path = f"/v1/conversations/{conversation}/messages"
    coach.disconnect()
    device = a_device()
    coach.put("/v1/devices/pocket", device)
    back = client.post(f"{path}/1/take-back", {"client_message_id": "b"})
    assert (back.status, back.body["kind"], back.body["changes"]) == (201, "taken_back", 1)
    assert client.post(f"{path}/1/take-back", {"client_message_id": "b"}).status == 200
    for phone in (client, coach):
        answer = phone.get(path)
        assert b"willow" not in answer.raw
        assert [message["text"] for message in answer.body["items"]] == [None, None]
    assert mine(coach, conversation)["unread"] == 0
    # The next message does wake, so the push worker has heard of everything before it.
    client.send(conversation, "hello")
    until(lambda: any(device["value"] in body.decode() for body in fcm.bodies), "the push for the next message")
    pushed = [m["data"] for m in fcm.messages if device["value"] in (m.get("fid"), m.get("token"))]
    assert [push["badge"] for push in pushed] == ["1"]


def test_words_are_searched_for_without_standing_in_an_address(app: App) -> None:
    client, coach = app.pair()
    client.connect()
    conversation = app.talk(client, coach)
    for text in ("I walked by the river", "nothing else", "River again"):
        client.send(conversation, text)
    path = f"/v1/conversations/{conversation}/search"
    found = coach.post(path, {"words": "RIVER"})
    assert (found.status, texts(found.body["items"]), found.body["next"]) == (
        200,
        ["River again", "I walked by the river"],
        None,
    )
    assert coach.post(path, {"words": "  "}).body["errors"].keys() == {"words"}
    assert coach.get(f"{path}?words=river").status == 405
    assert app.phone("rosa").post(path, {"words": "river"}).status == 404


def test_an_attachment_is_refused_and_says_so(app: App) -> None:
    client, coach = app.pair()
    client.connect()
    conversation = app.talk(client, coach)
    said = {"conversation_id": conversation, "client_message_id": "a", "text": "look", "attachments": ["photo"]}
    problem = client.call("message.send", said)["problem"]
    assert (problem["status"], list(problem["errors"])) == (422, ["attachments"])
    rest = client.post(f"/v1/conversations/{conversation}/messages", {**said, "client_message_id": "b"})
    assert rest.status == 422
    assert rest.body["errors"]["attachments"] == problem["errors"]["attachments"]


def test_typing_and_presence_are_told_to_the_other_and_to_nobody_else(app: App) -> None:
    client, coach = app.pair()
    coach.connect()
    stranger = app.phone("rosa").connect()
    conversation = app.talk(client, coach)
    client.connect()
    coach.wait_for("presence", lambda told: told == {"person_id": client.id, "on": True})
    assert client.call("typing", {"conversation_id": conversation, "on": True}) == {"ok": True}
    told = {"conversation_id": conversation, "person_id": client.id, "on": True}
    coach.wait_for("typing", lambda typing: typing == told)
    client.disconnect()
    coach.wait_for("presence", lambda told: told == {"person_id": client.id, "on": False})
    stranger.settle()
    assert stranger.heard("typing") == []
    assert [told for told in stranger.heard("presence") if told["person_id"] == client.id] == []


def test_conversations_are_listed_newest_activity_first_page_by_page(app: App) -> None:
    client, coach = app.pair()
    conversations = [app.talk(client, coach) for _ in range(3)]
    client.connect()
    for conversation in (conversations[1], conversations[0], conversations[2]):
        client.send(conversation, "hello")
        # The order of the list follows the message, a moment later.
        until(
            lambda c=conversation: client.get("/v1/conversations?limit=1").body["items"][0]["id"] == c,
            "first in the list",
        )
    seen, after = [], ""
    while after is not None:
        page = client.get(f"/v1/conversations?limit=1{after and '&after=' + after}").body
        seen += [conversation["id"] for conversation in page["items"]]
        after = page["next"]
    assert seen[:3] == [conversations[2], conversations[0], conversations[1]]
    assert len(seen) == len(set(seen))


def test_a_list_goes_on_behind_a_conversation_that_may_not_be_seen_any_more(app: App) -> None:
    coach = app.enrol("coach")
    clients = [app.enrol("client") for _ in range(3)]
    assignments = [app.assign(client, coach) for client in clients]
    kept = {c["id"] for c in coach.get("/v1/conversations").body["items"] if clients[1].id not in c["with"]}
    assert app.phone("ines").post(f"/v1/assignments/{assignments[1]}/end").status == 200
    until(lambda: {c["id"] for c in coach.get("/v1/conversations").body["items"]} == kept, "the grant has ended")
    seen, after = [], ""
    while after is not None:
        page = coach.get(f"/v1/conversations?limit=1{after and '&after=' + after}").body
        seen += [conversation["id"] for conversation in page["items"]]
        after = page["next"]
    assert set(seen) == kept


def test_a_conversation_closes_when_its_coach_has_no_grant_any_more(app: App) -> None:
    client, coach = app.enrol("client"), app.enrol("coach")
    assignment = app.assign(client, coach)
    client.connect()
    conversation = app.talk(client, coach)
    client.send(conversation, "hello")
    app.phone("ines").post(f"/v1/assignments/{assignment}/end")
    client.wait_for("conversation", lambda told: told == {"conversation_id": conversation, "change": "closed"})
    until(lambda: coach.get(f"/v1/conversations/{conversation}/messages").status == 404, "the coach is out")
    said = {"conversation_id": conversation, "client_message_id": new_id(), "text": "still?"}
    assert client.call("message.send", said)["problem"]["status"] == 409
    assert texts(client.get(f"/v1/conversations/{conversation}/messages").body["items"]) == ["hello"]


def test_a_message_wakes_a_phone_that_is_not_connected_and_says_nothing_of_it(app: App, fcm: Fcm) -> None:
    client, coach = app.pair()
    device = a_device()
    assert coach.put("/v1/devices/pocket", device).status == 200
    conversation = app.talk(client, coach)
    client.connect().send(conversation, "a word that stays here: willow")

    def pushed() -> list[dict[str, str]]:
        return [m["data"] for m in fcm.messages if device["value"] in (m.get("fid"), m.get("token"))]

    until(pushed, "the push")
    assert pushed() == [{"v": "1", "kind": "message", "ref": conversation, "badge": "1"}]
    assert not any(b"willow" in body for body in fcm.bodies)
    until(lambda: delivered(coach) == [("message", "sent")], "the delivery is noted as sent")
    assert delivered(client) == []


def test_a_phone_that_is_connected_is_not_pushed_to(app: App, fcm: Fcm) -> None:
    client, coach = app.pair()
    pocket, drawer = a_device(), a_device()
    coach.put("/v1/devices/pocket", pocket)
    coach.put("/v1/devices/drawer", drawer)
    conversation = app.talk(client, coach)
    coach.connect(device="pocket")
    client.connect().send(conversation, "hello")
    until(lambda: any(drawer["value"] in body.decode() for body in fcm.bodies), "the push to the other device")
    assert not any(pocket["value"] in body.decode() for body in fcm.bodies)


def delivered(phone: Phone) -> list[tuple[str, str]]:
    return [(item["kind"], item["state"]) for item in phone.get("/v1/deliveries").body["items"]]


def mine(phone: Phone, conversation_id: str) -> dict[str, object]:
    found: dict[str, object] = phone.get(f"/v1/conversations/{conversation_id}").body
    return found
