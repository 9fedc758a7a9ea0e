"""From an event to a device: made once, sent once, and never held back for a phone that is not there."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.errors import AutoReconnect

from gateway import crowd, devices, post, push, service
from gateway.senders import RecordingSender, fields_of, words
from infra.ids import new_id
from schemas.alumni import NoticePosted, NoticeShareAddressed
from schemas.base import now
from schemas.goals import GoalAgreed
from schemas.people import GrantEnded
from schemas.risk import AlertRaised, CheckInDue
from tests.app import until
from tests.push import a_phone_of, deliver, hear, make_due, messages, sender, unfold_all

__all__ = ["sender"]


def an_alert(tell: list[str]) -> AlertRaised:
    return AlertRaised(
        id=new_id(),
        at=now(),
        version=1,
        alert_id="alert",
        client_id="maya",
        band="high",
        rung="coach",
        tell=tell,
        due_at=now(),
    )


def connected(person: str, device: str = "pocket", pulse: datetime | None = None) -> None:
    """The device holds a socket on a gateway whose last pulse was then."""
    service.store.collection("pulses").update_one({"_id": "gateway-1"}, {"$set": {"at": pulse or now()}}, upsert=True)
    service.store.collection("connections").insert_one(
        {"_id": new_id(), "gateway": "gateway-1", "device": f"{person}/{device}"}
    )


def addresses(sender: RecordingSender) -> list[str]:
    return [target.value for _, target in sender.sent]


def states(person: str) -> list[str]:
    return [delivery["state"] for delivery in service.store.collection("deliveries").find({"person": person})]


def test_a_message_wakes_the_reader_and_not_its_author(sender: RecordingSender) -> None:
    a_phone_of("maya")
    theirs = a_phone_of("sam")
    hear(messages(1, 1))
    assert addresses(sender) == [theirs]
    assert (sender.sent[0][0].kind, sender.sent[0][0].ref) == ("message", "conversation")
    assert states("sam") == ["sent"]


def test_an_event_heard_twice_is_pushed_once(sender: RecordingSender) -> None:
    a_phone_of("sam")
    event = an_alert(["sam"])
    for _ in range(3):
        hear(event)
        hear(messages(1, 1))
    assert [pushed.kind for pushed, _ in sender.sent] == ["alert", "message"]


def test_messages_told_late_do_not_wake_a_device_that_was_told_of_newer_ones(sender: RecordingSender) -> None:
    a_phone_of("sam")
    hear(messages(2, 3))
    hear(messages(1, 1))
    assert len(sender.sent) == 1


def test_a_connected_device_is_not_woken_by_a_message_but_by_an_alert(sender: RecordingSender) -> None:
    a_phone_of("sam")
    connected("sam")
    hear(messages(1, 1))
    assert sender.sent == []
    hear(an_alert(["sam"]))
    assert [pushed.kind for pushed, _ in sender.sent] == ["alert"]


def test_a_device_on_a_gateway_without_a_pulse_counts_as_away(sender: RecordingSender) -> None:
    a_phone_of("sam")
    connected("sam", pulse=now() - timedelta(minutes=1))
    hear(messages(1, 1))
    assert len(sender.sent) == 1


def test_what_is_told_again_for_a_gateway_that_died_wakes_the_phone_that_had_been_on_it(
    sender: RecordingSender,
) -> None:
    """While its last pulse is fresh the dead gateway's phones seem connected. The takeover tells again for them."""
    theirs = a_phone_of("sam")
    connected("sam")
    hear(messages(1, 1))
    assert sender.sent == []
    service.store.collection("pulses").update_one({"_id": "gateway-1"}, {"$set": {"at": now() - timedelta(minutes=1)}})
    hear(messages(1, 1, told_by="nobody"))
    assert addresses(sender) == [theirs]


def quiet_now() -> dict[str, str]:
    moment = now()
    return {"start": f"{moment - timedelta(hours=1):%H:%M}", "end": f"{moment + timedelta(hours=1):%H:%M}"}


@pytest.mark.parametrize("quiet", ["quiet_hours", "do_not_disturb_until"])
def test_quiet_defers_a_message_and_never_an_alert(sender: RecordingSender, quiet: str) -> None:
    a_phone_of("sam", **{quiet: quiet_now() if quiet == "quiet_hours" else now() + timedelta(hours=1)})
    hear(messages(1, 1))
    assert sender.sent == []
    assert states("sam") == ["made"]
    hear(an_alert(["sam"]))
    assert [pushed.kind for pushed, _ in sender.sent] == ["alert"]
    a_phone_of("sam")
    make_due()
    assert [pushed.kind for pushed, _ in sender.sent] == ["alert", "message"]


def a_reminder(person: str) -> CheckInDue:
    return CheckInDue(id=new_id(), at=now(), version=1, client_id=person, reminder_id="opaque", tell=[person])


def test_a_reminder_says_reminder_and_names_nobody(sender: RecordingSender) -> None:
    theirs = a_phone_of("maya")
    hear(a_reminder("maya"))
    assert addresses(sender) == [theirs]
    pushed = sender.sent[0][0]
    assert words(pushed) == "Reminder"
    assert fields_of(pushed) == {"v": 1, "kind": "session", "ref": "opaque", "badge": 0}


def test_a_reminder_waits_for_the_end_of_quiet_and_for_nobody_who_is_here(sender: RecordingSender) -> None:
    a_phone_of("maya", quiet_hours=quiet_now())
    hear(a_reminder("maya"))
    assert (sender.sent, states("maya")) == ([], ["made"])
    a_phone_of("theo")
    connected("theo")
    hear(a_reminder("theo"))
    assert (sender.sent, states("theo")) == ([], [])


def test_reminders_of_two_days_that_a_phone_has_not_had_are_one(sender: RecordingSender) -> None:
    a_phone_of("maya", quiet_hours=quiet_now())
    hear(a_reminder("maya"))
    hear(a_reminder("maya"))
    a_phone_of("maya")
    make_due()
    assert len(sender.sent) == 1


def test_a_night_of_messages_is_one_push_in_the_morning(sender: RecordingSender) -> None:
    a_phone_of("sam", quiet_hours=quiet_now())
    for seq in range(1, 6):
        hear(messages(seq, seq))
    hear(messages(1, 1, conversation="another"))
    assert sender.sent == []
    a_phone_of("sam")
    make_due()
    assert sorted((pushed.ref, pushed.badge) for pushed, _ in sender.sent) == [("another", 6), ("conversation", 6)]
    assert sorted(states("sam")) == [*["needless"] * 4, "sent", "sent"]
    hear(messages(6, 6))
    assert len(sender.sent) == 3


def test_the_end_of_quiet_that_comes_earlier_brings_what_waited(sender: RecordingSender) -> None:
    a_phone_of("sam", do_not_disturb_until=now() + timedelta(days=1))
    hear(messages(1, 1))
    assert sender.sent == []
    body = {"kind": "fcm", "value": "new-address", "timezone": "UTC", "quiet_hours": None}
    device, changed = devices.keep_device("sam", "pocket", body)
    assert changed
    post.look_again(device["_id"])
    deliver()
    assert addresses(sender) == ["new-address"]


def test_quiet_that_begins_while_a_push_waits_defers_it(sender: RecordingSender) -> None:
    a_phone_of("sam")
    sender.answer("sam/pocket", "later", "503")
    hear(messages(1, 1))
    a_phone_of("sam", do_not_disturb_until=now() + timedelta(hours=3))
    make_due()
    (delivery,) = post.deliveries().find()
    assert len(sender.sent) == 1
    assert delivery["due"]["person"] > now() + timedelta(hours=2)
    assert delivery["given_up_at"] > delivery["due"]["person"]


def test_do_not_disturb_that_ends_in_the_quiet_hours_lasts_until_their_end() -> None:
    night = {"start": "22:00", "end": "07:00"}
    until_eleven = datetime(2026, 1, 10, 23, 0, tzinfo=UTC)
    device = {"timezone": "UTC", "quiet_hours": night, "do_not_disturb_until": until_eleven}
    assert devices.may_wake_at(until_eleven - timedelta(hours=9), device) == datetime(2026, 1, 11, 7, 0, tzinfo=UTC)
    device["quiet_hours"] = None
    assert devices.may_wake_at(until_eleven - timedelta(hours=9), device) == until_eleven
    assert devices.may_wake_at(until_eleven + timedelta(hours=1), device) == until_eleven + timedelta(hours=1)


@pytest.mark.parametrize(
    ("zone", "start", "end", "moment", "due"),
    [
        ("UTC", "22:00", "07:00", "2026-01-10T21:59", "2026-01-10T21:59"),
        ("UTC", "22:00", "07:00", "2026-01-10T22:00", "2026-01-11T07:00"),
        ("UTC", "22:00", "07:00", "2026-01-11T03:00", "2026-01-11T07:00"),
        ("UTC", "22:00", "07:00", "2026-01-11T07:00", "2026-01-11T07:00"),
        ("UTC", "13:00", "15:00", "2026-01-11T14:00", "2026-01-11T15:00"),
        ("UTC", "13:00", "15:00", "2026-01-11T15:00", "2026-01-11T15:00"),
        ("America/New_York", "22:00", "07:00", "2026-01-11T03:30", "2026-01-11T12:00"),
        # The night in which the clock goes forward is an hour shorter.
        ("Europe/London", "22:00", "07:00", "2026-03-28T23:00", "2026-03-29T06:00"),
        # The end does not exist on this night: the gap is passed over.
        ("Europe/London", "22:00", "01:30", "2026-03-28T23:00", "2026-03-29T01:30"),
    ],
)
def test_quiet_hours_are_kept_on_the_clock_of_the_device(
    zone: str, start: str, end: str, moment: str, due: str
) -> None:
    device = {"timezone": zone, "quiet_hours": {"start": start, "end": end}}
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert devices.after_quiet_hours(at, device) == datetime.fromisoformat(due).replace(tzinfo=UTC)


def test_a_delivery_that_a_crash_left_is_sent(sender: RecordingSender) -> None:
    theirs = a_phone_of("sam")
    post.make("cause", "alert", "alert", devices.devices_of(["sam"]))
    post.POSTS["alert"] = post.Post("alert", 4)
    deliver()
    deliver()
    assert addresses(sender) == [theirs]


def test_a_message_waits_for_the_grace_and_an_alert_does_not(
    sender: RecordingSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post, "GRACE", timedelta(minutes=5))
    a_phone_of("sam")
    hear(messages(1, 1))
    hear(an_alert(["sam"]))
    assert [pushed.kind for pushed, _ in sender.sent] == ["alert"]
    make_due(kind="message")
    assert [pushed.kind for pushed, _ in sender.sent] == ["alert", "message"]


def test_what_a_device_that_connected_within_the_grace_was_told_is_needless(
    sender: RecordingSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post, "GRACE", timedelta(minutes=5))
    a_phone_of("sam")
    hear(messages(1, 1))
    connected("sam")
    make_due()
    (delivery,) = post.deliveries().find()
    assert (sender.sent, delivery["state"], delivery["why"]) == ([], "needless", "the device is connected")


def test_what_was_read_elsewhere_within_the_grace_is_needless(
    sender: RecordingSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post, "GRACE", timedelta(minutes=5))
    a_phone_of("sam")
    hear(messages(1, 2))
    post._chat().move_cursor("conversation", "sam", 2, 2)
    make_due()
    (delivery,) = post.deliveries().find()
    assert (sender.sent, delivery["state"], delivery["why"]) == ([], "needless", "it was read meanwhile")


def test_the_badge_counts_what_a_person_has_not_read_in_any_conversation(sender: RecordingSender) -> None:
    a_phone_of("sam")
    a_phone_of("sam", "tablet")
    messages(1, 3, conversation="another")
    hear(messages(1, 2))
    assert [(pushed.ref, pushed.badge) for pushed, _ in sender.sent] == [("conversation", 5)] * 2


def test_what_a_person_has_not_read_is_counted_once_for_all_devices(
    sender: RecordingSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        a_phone_of("sam", f"device-{number}")
    asked: list[str] = []
    count = post.ChatStore.unread
    monkeypatch.setattr(
        post.ChatStore, "unread", lambda chat, c, person: asked.append(person) or count(chat, c, person)
    )
    hear(messages(1, 1))
    assert len(sender.sent) == 5
    assert asked == ["sam"]


def test_the_words_are_in_the_language_of_each_device(sender: RecordingSender) -> None:
    a_phone_of("sam", "pocket", language="es")
    a_phone_of("sam", "tablet")
    hear(an_alert(["sam"]))
    assert {target.device_id: pushed.language for pushed, target in sender.sent} == {
        "sam/pocket": "es",
        "sam/tablet": "en",
    }


def test_what_is_said_again_of_a_goal_while_a_push_waits_is_one_push(sender: RecordingSender) -> None:
    a_phone_of("maya", quiet_hours=quiet_now())
    for version in (1, 2, 3):
        hear(
            GoalAgreed(
                id=new_id(), at=now(), version=version, goal_id="goal", client_id="maya", by="sam", tell=["maya"]
            )
        )
    a_phone_of("maya")
    make_due()
    assert [(pushed.kind, pushed.ref) for pushed, _ in sender.sent] == [("goal", "goal")]


def test_a_device_that_is_gone_is_forgotten(sender: RecordingSender) -> None:
    a_phone_of("sam")
    sender.answer("sam/pocket", "gone", "UNREGISTERED")
    hear(an_alert(["sam"]))
    assert states("sam") == ["failed"]
    assert service.store.collection("devices").count_documents({}) == 0


@pytest.mark.parametrize("state", ["later", "refused"])
def test_no_other_answer_ends_a_device(sender: RecordingSender, state: Any) -> None:
    a_phone_of("sam")
    sender.answer("sam/pocket", state, "busy")
    hear(an_alert(["sam"]))
    assert len(sender.sent) == 1
    assert service.store.collection("devices").count_documents({}) == 1


def test_an_address_that_was_renewed_while_the_old_one_was_found_gone_stays(sender: RecordingSender) -> None:
    a_phone_of("sam")
    old = devices.devices_of(["sam"])[0]
    renewed = a_phone_of("sam")
    devices.end_device(old)
    hear(an_alert(["sam"]))
    assert addresses(sender) == [renewed]


@pytest.mark.usefixtures("sender")
def test_a_device_that_no_app_has_registered_for_long_is_ended() -> None:
    a_phone_of("sam", "old")
    seen = a_phone_of("sam", "new")
    a_phone_of("sam", "from before")
    kept = service.store.collection("devices")
    kept.update_one({"_id": "sam/old"}, {"$set": {"seen_at": now() - timedelta(days=270, hours=1)}})
    kept.update_one({"_id": "sam/new"}, {"$set": {"seen_at": now() - timedelta(days=269)}})
    kept.update_one({"_id": "sam/from before"}, {"$unset": {"seen_at": 1}})
    devices.end_idle_devices(now())
    assert {device["_id"] for device in kept.find()} == {"sam/new", "sam/from before"}
    devices.end_idle_devices(now() + timedelta(days=268))
    assert {device["_id"] for device in kept.find()} == {"sam/from before"}
    assert seen


@pytest.mark.usefixtures("sender")
def test_registering_again_says_that_the_device_was_seen() -> None:
    a_phone_of("sam")
    kept = service.store.collection("devices")
    kept.update_one({}, {"$set": {"seen_at": now() - timedelta(days=269)}})
    a_phone_of("sam")
    devices.end_idle_devices(now() + timedelta(days=269))
    assert kept.count_documents({}) == 1


def test_a_push_that_did_not_get_through_is_tried_again(sender: RecordingSender) -> None:
    a_phone_of("sam")
    sender.answer("sam/pocket", "later", "503", retry_after=5.0)
    hear(an_alert(["sam"]))
    (delivery,) = post.deliveries().find()
    assert (delivery["state"], delivery["why"]) == ("made", "503")
    assert timedelta(seconds=3) < delivery["due"]["alert"] - now() <= timedelta(seconds=5)
    deliver()
    assert len(sender.sent) == 1
    sender.answer("sam/pocket", "sent")
    make_due()
    assert (len(sender.sent), states("sam")) == (2, ["sent"])


def test_the_pauses_grow_and_are_not_the_same_for_all() -> None:
    pauses = [post._pause(tries, None).total_seconds() for tries in range(1, 40)]
    for tries, pause in enumerate(pauses, 1):
        longest = min(2.0**tries, post.LONGEST_PAUSE_SECONDS)
        assert longest * 0.7 < pause <= longest
    assert len(set(pauses[20:])) > 1
    assert post._pause(9, 7.0) == timedelta(seconds=7)


def test_a_push_that_never_gets_through_ends_as_failed_after_a_day(sender: RecordingSender) -> None:
    a_phone_of("sam")
    sender.answer("sam/pocket", "later", "503")
    hear(an_alert(["sam"]))
    for _ in range(20):
        make_due()
    assert (len(sender.sent), states("sam")) == (21, ["made"])
    post.deliveries().update_many({}, {"$set": {"given_up_at": now()}})
    make_due()
    assert (len(sender.sent), states("sam")) == (22, ["failed"])
    make_due()
    assert len(sender.sent) == 22


def test_what_was_opened_is_not_sent_any_more_and_is_only_the_persons(sender: RecordingSender) -> None:
    a_phone_of("sam")
    hear(messages(1, 1))
    (delivery,) = post.deliveries().find()
    assert delivery["state"] == "sent"
    assert post.opened(delivery["_id"], "maya") is None
    first = post.opened(delivery["_id"], "sam")
    assert first is not None
    assert first["state"] == "opened"
    assert post.opened(delivery["_id"], "sam") == first
    post.make("cause", "goal", "goal", devices.devices_of(["sam"]))
    waiting = post.deliveries().find_one({"kind": "goal"})
    assert waiting is not None
    post.opened(waiting["_id"], "sam")
    make_due()
    assert [pushed.kind for pushed, _ in sender.sent] == ["message"]


def test_an_error_of_ours_ends_one_delivery_and_is_kept_with_it(
    sender: RecordingSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_phone_of("sam")
    theirs = a_phone_of("rosa")
    send = sender.send

    def broken(pushed: Any, target: Any) -> Any:
        if target.device_id == "sam/pocket":
            raise ZeroDivisionError
        return send(pushed, target)

    monkeypatch.setattr(sender, "send", broken)
    hear(an_alert(["sam", "rosa"]))
    assert addresses(sender) == [theirs]
    failed = post.deliveries().find_one({"person": "sam"})
    assert failed is not None
    assert (failed["state"], failed["why"]) == ("failed", "an error of ours: ZeroDivisionError")


def test_what_can_no_longer_be_read_is_not_sent(sender: RecordingSender) -> None:
    a_phone_of("sam")
    service.vault.destroy("sam")
    hear(an_alert(["sam"]))
    assert (sender.sent, states("sam")) == ([], ["failed"])


# -- several workers


def a_worker(lane: str) -> post.Post:
    return post.Post(lane, 4)


def test_of_two_workers_that_want_a_delivery_one_sends_it(sender: RecordingSender) -> None:
    for number in range(40):
        a_phone_of("sam", f"device-{number}")
    post.make("cause", "goal", "goal", devices.devices_of(["sam"]))
    workers = [a_worker("person") for _ in range(3)]
    threads = [threading.Thread(target=until_all_is_sent, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for worker in workers:
        worker.close()
    assert len(sender.sent) == 40
    assert len({target.device_id for _, target in sender.sent}) == 40
    assert states("sam") == ["sent"] * 40


def until_all_is_sent(worker: post.Post) -> None:
    def step() -> bool:
        worker.step(0.01)
        return worker.on_the_way == 0 and post.deliveries().count_documents({"state": "made"}) == 0

    until(step, "everything is sent")


def claimed_by_one_that_died(kind: Any) -> None:
    """Sam's delivery was claimed, and nobody noted what became of it."""
    post.make("cause", kind, "thing", devices.devices_of(["sam"]))
    lane = post.lane_of(kind)
    claim = {"claim": "of-the-dead", f"due.{lane}": now(), "tries": 1}
    assert post.deliveries().update_many({}, {"$set": claim}).modified_count == 1


@pytest.mark.parametrize("kind", ["alert", "message", "session", "goal", "event"])
def test_what_a_worker_that_died_may_have_sent_to_a_person_is_sent_again(sender: RecordingSender, kind: Any) -> None:
    a_phone_of("sam")
    claimed_by_one_that_died(kind)
    deliver()
    assert (len(sender.sent), states("sam")) == (1, ["sent"])


def test_what_a_worker_that_died_may_have_sent_to_many_is_not_sent_again(sender: RecordingSender) -> None:
    a_phone_of("sam")
    claimed_by_one_that_died("notice")
    deliver()
    (delivery,) = post.deliveries().find()
    assert (sender.sent, delivery["state"], delivery["why"]) == ([], "failed", post.IN_DOUBT)


def test_a_worker_that_slept_through_its_lease_notes_nothing_over_the_other(sender: RecordingSender) -> None:
    a_phone_of("sam")
    claimed_by_one_that_died("goal")
    sleeper, stale = a_worker("person"), post.deliveries().find_one()
    assert stale is not None
    sender.answer("sam/pocket", "later", "503")
    deliver()
    sleeper._end([stale], "sent", None)
    assert states("sam") == ["made"]


def test_what_was_claimed_while_the_store_went_away_is_given_back(
    sender: RecordingSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = a_phone_of("sam")
    worker = a_worker("many")
    post.make("cause", "notice", "notice", devices.devices_of(["sam"]))
    kept = post.deliveries()

    class Away:
        """The claim is written, and its answer is lost."""

        def __getattr__(self, name: str) -> Any:
            return getattr(kept, name)

        def update_many(self, *asked: Any) -> Any:
            kept.update_many(*asked)
            raise AutoReconnect("gone")

    with monkeypatch.context() as patched:
        patched.setattr(post, "deliveries", lambda: Away())
        with pytest.raises(AutoReconnect):
            worker.step(0.01)
    assert sender.sent == []
    until_all_is_sent(worker)
    worker.close()
    assert (addresses(sender), states("sam")) == ([theirs], ["sent"])


def test_a_worker_that_stops_notes_what_is_on_its_way(sender: RecordingSender, monkeypatch: pytest.MonkeyPatch) -> None:
    a_phone_of("sam")
    may_answer = threading.Event()
    send = sender.send

    def slowly(pushed: Any, target: Any) -> Any:
        may_answer.wait(20)
        return send(pushed, target)

    monkeypatch.setattr(sender, "send", slowly)
    post.make("cause", "notice", "notice", devices.devices_of(["sam"]))
    worker = a_worker("many")
    until(lambda: worker.step(0.01) or worker.on_the_way, "the request is on its way")
    assert states("sam") == ["made"]
    may_answer.set()
    worker.close()
    assert states("sam") == ["sent"]


# -- many people


def a_share(people: list[str], share: int, last: bool, notice: str = "notice") -> NoticeShareAddressed:
    return NoticeShareAddressed(
        id=new_id(),
        at=now(),
        version=share + 1,
        network_id="network",
        notice_id=notice,
        tell=people,
        share_id=new_id(),
        share=share,
        last=last,
    )


def posted() -> NoticePosted:
    return NoticePosted(id=new_id(), at=now(), version=1, network_id="network", notice_id="notice", by="ola")


def how_far() -> dict[str, Any]:
    found = crowd.progress("network", "notice", "ola")
    assert found is not None
    return found


def test_a_notice_comes_to_everybody_once_in_whatever_order_its_shares_are_heard(sender: RecordingSender) -> None:
    people = [f"member-{number:03}" for number in range(130)]
    for person in people[:120]:
        a_phone_of(person)
    hear(posted())
    shares = [a_share(people[:60], 1, last=False), a_share(people[60:], 2, last=True)]
    hear(shares[1])
    unfold_all()
    assert (how_far()["addressed"], how_far()["people"]) == (False, 70)
    for share in [*shares, *shares]:
        hear(share)
        unfold_all()
    assert sorted(target.device_id for _, target in sender.sent) == [f"{person}/pocket" for person in people[:120]]
    assert how_far() == {
        "addressed": True,
        "people": 130,
        "devices": 120,
        "made": 0,
        "sent": 120,
        "failed": 0,
        "opened": 0,
        "needless": 0,
    }


def test_a_share_that_a_worker_died_with_is_unfolded_by_another(sender: RecordingSender) -> None:
    theirs = a_phone_of("sam")
    hear(a_share(["maya", "sam"], 1, last=True))
    crowds = service.store.collection("crowds")
    assert crowds.update_one({}, {"$set": {"unfold_at": now()}}).matched_count == 1
    while not crowd._heard.empty():
        crowd._heard.get_nowait()
    unfold_all()
    assert addresses(sender) == [theirs]


def test_progress_counts_and_is_only_for_whoever_posted(sender: RecordingSender) -> None:
    for person in ("one", "two", "three", "four"):
        a_phone_of(person)
    sender.answer("two/pocket", "refused", "INVALID_ARGUMENT")
    sender.answer("three/pocket", "later", "503")
    hear(posted())
    hear(a_share(["one", "two", "three", "four"], 1, last=True))
    unfold_all()
    opened = post.deliveries().find_one({"device": "four/pocket"})
    assert opened is not None
    post.opened(opened["_id"], "four")
    found = how_far()
    assert {name: found[name] for name in ("made", "sent", "failed", "opened")} == dict.fromkeys(
        ("made", "sent", "failed", "opened"), 1
    )
    assert crowd.progress("network", "notice", "somebody") is None
    assert crowd.progress("another", "notice", "ola") is None
    assert crowd.progress("network", "another", "ola") is None


def test_an_alert_does_not_wait_behind_a_notice_to_many(
    sender: RecordingSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [f"member-{number:03}" for number in range(120)]
    for person in people:
        a_phone_of(person)
    a_phone_of("sam")
    stuck = threading.Event()
    send = sender.send

    def slowly(pushed: Any, target: Any) -> Any:
        if pushed.kind == "notice":
            stuck.wait(60)
        return send(pushed, target)

    monkeypatch.setattr(sender, "send", slowly)
    push.wake(a_share(people, 1, last=True))
    crowd.unfold(0.01)
    until(lambda: post.POSTS["many"].step(0.01) or post.POSTS["many"].on_the_way >= 50, "the notices are stuck")
    push.wake(an_alert(["sam"]))
    until(lambda: post.POSTS["alert"].step(0.01) or states("sam") == ["sent"], "the alert is sent")
    assert [pushed.kind for pushed, _ in sender.sent] == ["alert"]
    stuck.set()
    deliver()
    assert len(sender.sent) == 121


def test_the_badge_counts_what_the_persons_own_list_shows(sender: RecordingSender) -> None:
    a_phone_of("sam")
    hear(messages(1, 2))
    hear(messages(1, 3, conversation="another"))
    assert [pushed.badge for pushed, _ in sender.sent] == [2, 5]
    ended = GrantEnded(
        id=new_id(), at=now(), version=2, grant_id="care", holder_id="sam", subject_id="maya", scope="care"
    )
    service.grants.keep(ended)
    hear(an_alert(["sam"]))
    assert sender.sent[-1][0].badge == 0


# -- many messages


@pytest.mark.usefixtures("sender")
def test_messages_heard_together_ask_the_store_once_who_is_asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    a_phone_of("sam")
    a_phone_of("maya")
    connected("sam")
    asleep, asked = devices.Asleep(), []
    read = devices.devices_of
    monkeypatch.setattr(devices, "devices_of", lambda people: asked.append(sorted(people)) or read(people))
    for _ in range(20):
        assert asleep.of(["sam"]) == []
        assert [device["person"] for device in asleep.of(["maya", "sam"])] == ["maya"]
    assert asked == [["sam"], ["maya"]]
    # Whoever was asked for lately is most likely asked for again.
    service.polls += 1
    asleep.of(["maya"])
    asleep.of(["sam"])
    assert asked == [["sam"], ["maya"], ["maya", "sam"]]


@pytest.mark.usefixtures("sender")
def test_what_was_read_before_a_message_says_nothing_of_it() -> None:
    a_phone_of("sam")
    connected("sam")
    asleep = devices.Asleep()
    assert asleep.of(["sam"]) == []
    service.store.collection("connections").delete_many({})
    service.polls += 1
    assert [device["person"] for device in asleep.of(["sam"])] == ["sam"]


# -- addresses


def test_an_address_belongs_to_whoever_signed_in_on_the_device_last(sender: RecordingSender) -> None:
    address = a_phone_of("maya")
    devices.keep_device("sam", "pocket", {"kind": "fcm", "value": address, "timezone": "UTC", "quiet_hours": None})
    hear(an_alert(["maya"]))
    assert sender.sent == []
    hear(an_alert(["sam"]))
    assert addresses(sender) == [address]


def test_an_address_is_kept_sealed(sender: RecordingSender) -> None:
    address = a_phone_of("sam")
    (kept,) = service.store.collection("devices").find()
    assert address.encode() not in bytes(kept["value"])
    assert address not in str({name: value for name, value in kept.items() if name != "value"})
    hear(an_alert(["sam"]))
    assert addresses(sender) == [address]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chance=st.randoms(use_true_random=False), count=st.integers(1, 6))
def test_doubled_and_reordered_events_push_each_thing_once_and_nothing_old(
    sender: RecordingSender, chance: Random, count: int
) -> None:
    a_phone_of("maya")
    theirs = a_phone_of("sam")
    conversation = new_id()
    events = [messages(number, number, conversation=conversation) for number in range(1, count + 1)]
    records = events * 3
    chance.shuffle(records)
    for event in records:
        hear(event)
    heard = [event.to_seq for event in records]
    records_high = [seq for at, seq in enumerate(heard) if seq > max(heard[:at], default=0)]
    assert [pushed.ref for pushed, target in sender.sent if target.value == theirs] == [conversation] * len(
        records_high
    )
    assert set(states("sam")) == {"sent"}
    assert states("maya") == []


@pytest.mark.parametrize("minutes", [-7, 7])
def test_a_clock_that_is_minutes_apart_makes_nobody_seem_away_or_here(
    sender: RecordingSender, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    a_phone_of("sam")
    connected("sam")
    monkeypatch.setattr(devices, "now", lambda: now() + timedelta(minutes=minutes))
    hear(messages(1, 1))
    assert sender.sent == []
    service.store.collection("pulses").update_one({"_id": "gateway-1"}, {"$set": {"at": now() - timedelta(minutes=1)}})
    hear(messages(2, 2))
    assert len(sender.sent) == 1
