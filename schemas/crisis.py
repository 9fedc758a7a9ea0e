"""Words for a bad night that need nothing but themselves: whom to call by region, and what helps until then.

Where a region is missing, an operator adds it to ``LINES``: the emergency number first, each line as its own operator
publishes it, with the place and the day. Numbers change; compare them once a year.
"""

from __future__ import annotations

from typing import NamedTuple

from schemas.risk import Card
from schemas.safety import CrisisLine, HelpOut

LANGUAGES = ("en", "es")
_CHECKED = "2026-11-25"


def _line(name: str, source: str, call: str | None = None, text: str | None = None) -> CrisisLine:
    return CrisisLine(name=name, call=call, text=text, source=source, checked_on=_CHECKED)


_EMERGENCY = "Emergency"
_IN_HOURS = "HSE Drugs and Alcohol Helpline, office hours"

LINES: dict[str, tuple[CrisisLine, ...]] = {
    "US": (
        _line(_EMERGENCY, "https://www.911.gov", call="911"),
        _line("988 Suicide & Crisis Lifeline, all hours", "https://988lifeline.org", call="988", text="988"),
        _line("Crisis Text Line", "https://www.crisistextline.org", text="741741"),
        _line(
            "SAMHSA National Helpline",
            "https://www.samhsa.gov/find-help/helplines/national-helpline",
            call="1-800-662-4357",
        ),
    ),
    "GB": (
        _line(_EMERGENCY, "https://www.gov.uk/guidance/999-and-112-the-uks-national-emergency-numbers", call="999"),
        _line("NHS 111", "https://111.nhs.uk", call="111"),
        _line("Samaritans, all hours", "https://www.samaritans.org", call="116 123"),
    ),
    "CA": (
        _line(_EMERGENCY, "https://www.canada.ca/en/services/policing/emergencies.html", call="911"),
        _line("9-8-8: Suicide Crisis Helpline, all hours", "https://988.ca", call="988", text="988"),
    ),
    "AU": (
        _line(_EMERGENCY, "https://www.triplezero.gov.au", call="000"),
        _line("Lifeline, all hours", "https://www.lifeline.org.au", call="13 11 14", text="0477 13 11 14"),
        _line(
            "National Alcohol and Other Drug Hotline",
            "https://www.health.gov.au/contacts/national-alcohol-and-other-drug-hotline",
            call="1800 250 015",
        ),
    ),
    "IE": (
        _line(_EMERGENCY, "https://www.112.ie", call="112"),
        _line("Samaritans, all hours", "https://www.samaritans.org/ireland", call="116 123"),
        _line(_IN_HOURS, "https://www.drugs.ie", call="1800 459 459"),
    ),
    "NZ": (
        _line(_EMERGENCY, "https://www.police.govt.nz/111", call="111"),
        _line("1737, need to talk? All hours", "https://1737.org.nz", call="1737", text="1737"),
        _line("Alcohol Drug Helpline", "https://alcoholdrughelp.org.nz", call="0800 787 797", text="8681"),
    ),
}


class Said(NamedTuple):
    """The words of a card."""

    title: str
    body: str


_REACHED = {
    "en": "You can reach a person here now. You do not have to be sure, and you do not have to explain.",
    "es": "Aquí puedes hablar ahora con una persona. No hace falta que lo tengas claro ni que des explicaciones.",
}
# Of a line at which nobody is at night nobody may read in the night that somebody is.
_REACHED_IN_HOURS = {
    "en": "You can reach a person here in office hours. At any other time, call one of the other numbers.",
    "es": "Aquí puedes hablar con una persona en horario de oficina. A otras horas, llama a uno de los otros números.",
}
# The names of lines are their operators'; what else stands there is said in the person's language.
_NAMES = {
    "es": {
        _EMERGENCY: "Emergencias",
        "988 Suicide & Crisis Lifeline, all hours": "988 Línea de Prevención del Suicidio y Crisis, a toda hora; para"
        " español, marca 2 o escribe AYUDA",
        "Samaritans, all hours": "Samaritans, a toda hora",
        "9-8-8: Suicide Crisis Helpline, all hours": "9-8-8: Suicide Crisis Helpline, a toda hora",
        "Lifeline, all hours": "Lifeline, a toda hora",
        _IN_HOURS: "HSE Drugs and Alcohol Helpline, en horario de oficina",
        "1737, need to talk? All hours": "1737, need to talk? A toda hora",
    }
}
_OVERDOSE = {
    "en": Said(
        "After a break, the same amount can be too much",
        "Tolerance falls quickly. Try not to be alone, keep naloxone near and tell somebody where it is. If"
        " somebody cannot be woken or breathes slowly, call at once, give naloxone, and stay.",
    ),
    "es": Said(
        "Después de una pausa, la misma cantidad puede ser demasiado",
        "La tolerancia baja rápido. Procura no estar a solas, ten naloxona cerca y di a alguien dónde está. Si"
        " alguien no despierta o respira despacio, llama enseguida, da naloxona y quédate.",
    ),
}
_PASSES = {
    "en": Said(
        "This will pass",
        "A craving rises, peaks and falls, mostly within half an hour. Move, drink some water, go where people are,"
        " and write to your coach here.",
    ),
    "es": Said(
        "Esto va a pasar",
        "Las ganas suben, llegan a lo más alto y bajan, casi siempre en media hora. Muévete, bebe agua, ve adonde"
        " haya gente y escribe aquí a tu coach.",
    ),
}
_UNKNOWN = {
    "en": Said(
        "Right now we cannot tell whether anybody is on duty",
        "Please do not wait for us. Go to somebody you trust, or call one of the numbers.",
    ),
    "es": Said(
        "Ahora mismo no sabemos si hay alguien de guardia",
        "No nos esperes. Ve con alguien de confianza o llama a uno de los números.",
    ),
}


def crisis_cards(region: str, language: str = "en") -> list[Card]:
    """A card for each line of a region, the emergency number first."""
    names = _NAMES.get(language, {})
    return [
        Card(
            kind="crisis",
            title=names.get(line.name, line.name),
            body=(_REACHED_IN_HOURS if line.name == _IN_HOURS else _REACHED)[language],
            call=line.call,
            text=line.text,
        )
        for line in LINES[region]
    ]


def overdose_card(region: str, language: str = "en") -> Card:
    """Tolerance and naloxone, with the emergency number of the region."""
    said = _OVERDOSE[language]
    return Card(kind="overdose", title=said.title, body=said.body, call=LINES[region][0].call)


def craving_card(language: str = "en") -> Card:
    """What helps until a craving has passed."""
    said = _PASSES[language]
    return Card(kind="kindness", title=said.title, body=said.body)


def unknown_duty_card(language: str = "en") -> Card:
    """Nobody could be asked who is on duty, and nothing is claimed."""
    said = _UNKNOWN[language]
    return Card(kind="coach", title=said.title, body=said.body)


def static_help(region: str, language: str = "en") -> HelpOut:
    """Help that knows nothing of the person who asks: for when nothing can be read."""
    return HelpOut(
        cards=[
            *crisis_cards(region, language),
            overdose_card(region, language),
            unknown_duty_card(language),
            craving_card(language),
        ],
        plan="unreachable",
        staffed="unreachable",
        coach_id=None,
    )
