"""What people reacts to: grants follow from what the other services decide, and looks are written down."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from pymongo.errors import DuplicateKeyError

from infra.ids import derived_id
from infra.store import AlreadyDone
from schemas.coaching import AssignmentEnded, ClientAssigned
from schemas.peers import PeerAccepted, PeerTalkEnded
from schemas.people import RecordSeen
from schemas.risk import AlertClosed, AlertEscalated, AlertHandedOver, AlertRaised, AlertWorsened
from services.people import service
from services.people.model import Grant

# Long enough for the night and the morning after; closing the alert ends it sooner.
COVER = timedelta(hours=24)
# Long enough for a night and a day of talking; nothing else is opened.
PEER = timedelta(hours=24)


@service.on(ClientAssigned)
def let_the_coach_care(event: ClientAssigned) -> None:
    Grant.change(
        derived_id(event.assignment_id, "care"),
        lambda grant: grant.give(event.coach_id, event.client_id, "care"),
        cause=event.id,
        create=True,
    )


@service.on(AssignmentEnded)
def end_the_care(event: AssignmentEnded) -> None:
    Grant.change(
        derived_id(event.assignment_id, "care"),
        lambda grant: grant.end(event.coach_id, event.client_id, "care"),
        cause=event.id,
        create=True,
    )


Asking = AlertRaised | AlertWorsened | AlertEscalated | AlertHandedOver


@service.on(AlertRaised, AlertWorsened, AlertEscalated, AlertHandedOver)
def let_those_asked_stand_in(event: Asking) -> None:
    """Whoever is asked to answer in the coach's place can see whom it is about and talk with them."""
    if event.rung == "coach":
        return
    for person_id in event.tell:
        _once(derived_id(event.alert_id, person_id, "cover"), person_id, event)


def _once(grant_id: str, person_id: str, event: Asking) -> None:
    try:
        Grant.change(
            grant_id,
            lambda grant: grant.give(person_id, event.client_id, "cover", event.at + COVER),
            cause=event.id,
            create=True,
        )
    except AlreadyDone:
        # One event makes several grants; after a crash between them, those made already are passed over.
        return


@service.on(AlertClosed)
def end_the_standing_in(event: AlertClosed) -> None:
    for person_id in event.tell:
        grant_id = derived_id(event.alert_id, person_id, "cover")
        if Grant.load(grant_id) is None:
            continue
        try:
            Grant.change(grant_id, _ending(person_id, event.client_id), cause=event.id)
        except AlreadyDone:
            continue


def _ending(person_id: str, client_id: str) -> Callable[[Grant], None]:
    return lambda grant: grant.end(person_id, client_id, "cover")


@service.on(PeerAccepted)
def let_the_peer_talk(event: PeerAccepted) -> None:
    Grant.change(
        derived_id(event.ask_id, event.peer_id, "peer"),
        lambda grant: grant.give(event.peer_id, event.client_id, "peer", event.at + PEER),
        cause=event.id,
        create=True,
    )


@service.on(PeerTalkEnded)
def end_the_peers_talk(event: PeerTalkEnded) -> None:
    Grant.change(
        derived_id(event.ask_id, event.peer_id, "peer"),
        lambda grant: grant.end(event.peer_id, event.client_id, "peer"),
        cause=event.id,
        create=True,
    )


@service.every(10)
def end_what_has_run_out(moment: datetime) -> None:
    """A grant past its time holds nowhere; that it ended is told, so that what it had opened is closed."""
    run_out = Grant.raw().find({"ended": False, "until": {"$lte": moment}}, {"_id": 1}).limit(500)
    for raw in run_out:
        Grant.change(raw["_id"], Grant.run_out)


@service.on(RecordSeen)
def write_in_the_ledger(event: RecordSeen) -> None:
    entry = {
        "_id": event.id,
        "at": event.at,
        "viewer": event.viewer_id,
        "subject": event.subject_id,
        "what": event.what,
    }
    try:
        service.store.collection("ledger").insert_one(entry)
    except DuplicateKeyError as error:
        raise AlreadyDone(event.id) from error
