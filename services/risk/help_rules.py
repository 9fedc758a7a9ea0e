"""What a person is shown who had a bad day or asks for help. Pure: schemas only.

First what needs nobody: the person's own plan and numbers to call. Then, about humans, only what is known: that
somebody was asked, and whether they are on duty. Nothing here promises that anybody answers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from schemas.crisis import Said, craving_card, crisis_cards, overdose_card, unknown_duty_card
from schemas.risk import Band, Card
from schemas.safety import Contact, NewSafetyPlan

Staffed = Literal["taken", "on_duty", "off_duty", "nobody"]

# The steps in the order of Stanley and Brown, and the reasons after them.
STEPS: dict[str, dict[str, str]] = {
    "warning_signs": {
        "en": "How I notice that it is getting hard",
        "es": "Cómo noto que se está poniendo difícil",
    },
    "coping_strategies": {"en": "What I can do by myself", "es": "Lo que puedo hacer por mi cuenta"},
    "people_and_places": {
        "en": "People and places that take my mind off it",
        "es": "Personas y lugares que me distraen",
    },
    "people_to_ask": {"en": "People I can ask for help", "es": "Personas a las que puedo pedir ayuda"},
    "professionals": {"en": "Professionals I can turn to", "es": "Profesionales a quienes puedo acudir"},
    "safer_surroundings": {"en": "Making the place I am in safer", "es": "Hacer más seguro el lugar donde estoy"},
    "reasons": {"en": "What is worth living for", "es": "Por lo que vale la pena vivir"},
}
# On a hard day that is no crisis: what one can do alone, and what for.
FOR_A_HARD_DAY = ("coping_strategies", "reasons")


class Staffing(NamedTuple):
    """Whether a human is there, as far as is known, and which.

    Attributes:
        staffed: ``taken``: somebody has said that they are on it; ``on_duty``: somebody who was asked is on duty;
            ``off_duty``: somebody was asked, and none of them is; ``nobody``: there was nobody to ask.
        person_id: of that human.
    """

    staffed: Staffed
    person_id: str | None


def staffing(asked: Sequence[str], on_duty: Collection[str], taken_by: str | None = None) -> Staffing:
    """What may be said of those who were asked.

    Args:
        asked: the first who was asked first.
        on_duty: everybody who is on duty now.
        taken_by: who has said that they are on it.
    """
    if taken_by is not None:
        return Staffing("taken", taken_by)
    if there := [person for person in asked if person in on_duty]:
        return Staffing("on_duty", there[0])
    return Staffing("off_duty", asked[0]) if asked else Staffing("nobody", None)


_ASKED: dict[Staffed, dict[str, Said]] = {
    "taken": {
        "en": Said(
            "Somebody has already said that they are on it",
            "Whoever took your last bad day up can see this one too, and may not be looking right now. If it cannot"
            " wait, ask for help here and call one of the numbers.",
        ),
        "es": Said(
            "Alguien ya dijo que se ocupa",
            "Quien se ocupó de tu último mal día también puede ver este, y quizá no esté mirando ahora. Si no puede"
            " esperar, pide ayuda aquí y llama a uno de los números.",
        ),
    },
    "on_duty": {
        "en": Said(
            "We are asking a person who is on duty",
            "How soon they can be in touch we do not know. If it cannot wait, ask for help here and call one of the"
            " numbers.",
        ),
        "es": Said(
            "Estamos avisando a una persona que está de guardia",
            "No sabemos cuánto tardará en ponerse en contacto. Si no puede esperar, pide ayuda aquí y llama a uno de"
            " los números.",
        ),
    },
    "off_duty": {
        "en": Said(
            "We are asking a person who is not on duty right now",
            "It can take until they look. While nobody answers we ask again, and others where there are any. If it"
            " cannot wait, ask for help here and call one of the numbers.",
        ),
        "es": Said(
            "Estamos avisando a una persona que ahora no está de guardia",
            "Puede tardar hasta que lo vea. Mientras nadie responda volvemos a avisar, y a otras personas si las hay."
            " Si no puede esperar, pide ayuda aquí y llama a uno de los números.",
        ),
    },
    "nobody": {
        "en": Said(
            "Right now there is nobody whom we could ask",
            "Your check-in is kept for the first coach we can ask, and we do not know when that is. Please do not wait"
            " for it: call one of the numbers.",
        ),
        "es": Said(
            "Ahora mismo no hay nadie a quien avisar",
            "Tu registro queda guardado para la primera persona a la que podamos avisar, y no sabemos cuándo será. No"
            " la esperes: llama a uno de los números.",
        ),
    },
}
_ON_DUTY: dict[Staffed, dict[str, Said]] = {
    "on_duty": {
        "en": Said(
            "A coach is marked as on duty now",
            "Write to your coach here, or ask for whoever is on duty. How soon they answer we do not know.",
        ),
        "es": Said(
            "Ahora consta un coach de guardia",
            "Escribe aquí a tu coach o pide hablar con quien esté de guardia. No sabemos cuánto tardará en responder.",
        ),
    },
    "off_duty": {
        "en": Said(
            "Nobody is on duty right now",
            "You can write to your coach, and it can take until they look. What cannot wait goes to the numbers here.",
        ),
        "es": Said(
            "Ahora no hay nadie de guardia",
            "Puedes escribir a tu coach, y puede tardar hasta que lo vea. Si no puede esperar, llama a los números.",
        ),
    },
    "nobody": {
        "en": Said(
            "Nobody is on duty right now",
            "We know of no coach for you yet, and nobody is watching this page. Please call one of the numbers here.",
        ),
        "es": Said(
            "Ahora no hay nadie de guardia",
            "Todavía no sabemos de un coach para ti, y nadie está mirando esta página. Llama a uno de los números.",
        ),
    },
}


_PEERS = {
    "en": Said(
        "You can ask people who offered to be asked",
        "Up to three of them, the nearest first, are told that somebody asks; who it is they see only if they say yes."
        " They are people like you and not staff, and nobody has to be there.",
    ),
    "es": Said(
        "Puedes preguntar a personas que se ofrecieron",
        "Hasta tres, primero las más cercanas, sabrán que alguien pregunta; quién es, solo si dicen que sí. Son"
        " personas como tú y no personal, y nadie tiene obligación de estar.",
    ),
}
_PEERS_ASKED = {
    "en": Said(
        "People who offered were asked: {}",
        "Nobody has to be there, and it may be that nobody answers. If it cannot wait, call one of the numbers.",
    ),
    "es": Said(
        "Personas que se ofrecieron y a las que preguntamos: {}",
        "Nadie tiene obligación de estar, y puede que nadie responda. Si no puede esperar, llama a uno de los números.",
    ),
}
_PEERS_ACCEPTED = {
    "en": Said(
        "Somebody who was asked said yes",
        "You can write to each other here for a day. They see nothing else of yours, and may have to go at any time.",
    ),
    "es": Said(
        "Una de esas personas dijo que sí",
        "Pueden escribirse aquí durante un día. No ve nada más de lo tuyo y puede tener que irse en cualquier momento.",
    ),
}
_NO_PEERS = {
    "en": Said(
        "Nobody who offered can be asked right now",
        "Try again in a while if you like. If it cannot wait, call one of the numbers.",
    ),
    "es": Said(
        "Ahora no hay a quién preguntar",
        "Prueba otra vez dentro de un rato si quieres. Si no puede esperar, llama a uno de los números.",
    ),
}


def cards(
    band: Band,
    opioids: bool,
    region: str,
    plan: NewSafetyPlan | None = None,
    asked: Staffing | None = None,
    language: str = "en",
    there: Staffing | None = None,
) -> list[Card]:
    """What the client is shown with the answer to a check-in.

    Args:
        band: of the check-in.
        opioids: a lapse with opioids was told.
        region: whose lines to show.
        plan: the client's own, where there is one that can be read.
        asked: who was asked to be in touch; None where nobody was, or that is not known.
        there: whether a human is, where nobody was asked; None where that is not known.
    """
    shown = [overdose_card(region, language)] if opioids else []
    if band not in ("high", "urgent"):
        return shown
    shown += plan_cards(plan, language, tuple(STEPS) if band == "urgent" else FOR_A_HARD_DAY)
    if band == "urgent" or asked is None or asked.staffed == "nobody":
        shown += crisis_cards(region, language)
    return [*shown, _card(_ASKED[asked.staffed][language]) if asked else _duty_card(there, language)]


def help_cards(
    region: str,
    plan: NewSafetyPlan | None = None,
    staffed: Staffing | None = None,
    opioids: bool = False,
    language: str = "en",
    peers: bool = False,
) -> list[Card]:
    """What a person who asks for help is shown, whoever is or is not on duty.

    Args:
        opioids: a lapse with opioids was told lately.
        peers: somebody has offered to be asked.
    """
    overdose = [overdose_card(region, language)]
    return [
        *(overdose if opioids else []),
        *plan_cards(plan, language),
        *crisis_cards(region, language),
        *([] if opioids else overdose),
        _duty_card(staffed, language),
        *([Card(kind="peers", title=_PEERS[language].title, body=_PEERS[language].body)] if peers else []),
        craving_card(language),
    ]


def peers_card(asked: int, accepted: bool, language: str = "en") -> Card:
    """What a person is told who asked so many people who had offered."""
    if accepted:
        said = _PEERS_ACCEPTED[language]
    elif asked == 0:
        said = _NO_PEERS[language]
    else:
        said = _PEERS_ASKED[language]
    return Card(kind="peers", title=said.title.format(asked), body=said.body)


def plan_cards(plan: NewSafetyPlan | None, language: str, steps: Sequence[str] = tuple(STEPS)) -> list[Card]:
    """A card for each of these steps in which the client has written something."""
    written = [(STEPS[step][language], getattr(plan, step)) for step in steps] if plan else []
    return [_step(title, lines) for title, lines in written if lines]


def _step(title: str, lines: Sequence[str | Contact]) -> Card:
    numbers = [line.phone for line in lines if isinstance(line, Contact) and line.phone]
    # A card has room for one number to press; the others stand beside their names.
    return Card(
        kind="plan", title=title, body="\n".join(_line(line) for line in lines), call=numbers[0] if numbers else None
    )


def _line(line: str | Contact) -> str:
    if isinstance(line, str):
        return line
    return f"{line.name}: {line.phone}" if line.phone else line.name


def _duty_card(there: Staffing | None, language: str) -> Card:
    return _card(_ON_DUTY[there.staffed][language]) if there else unknown_duty_card(language)


def _card(said: Said) -> Card:
    return Card(kind="coach", title=said.title, body=said.body)
