"""Where to call on a bad night, by region. Numbers as their operators publish them; an operator checks them yearly.

Sources: 988 Suicide & Crisis Lifeline, Crisis Text Line and SAMHSA National Helpline (United States); 999, NHS 111 and
Samaritans (United Kingdom).
"""

from __future__ import annotations

from schemas.risk import Card, CrisisLine

LINES: dict[str, tuple[CrisisLine, ...]] = {
    "US": (
        CrisisLine(name="Emergency", call="911", text=None),
        CrisisLine(name="988 Suicide & Crisis Lifeline, all hours", call="988", text="988"),
        CrisisLine(name="Crisis Text Line", call=None, text="741741"),
        CrisisLine(name="SAMHSA National Helpline", call="1-800-662-4357", text=None),
    ),
    "GB": (
        CrisisLine(name="Emergency", call="999", text=None),
        CrisisLine(name="NHS 111", call="111", text=None),
        CrisisLine(name="Samaritans, all hours", call="116 123", text=None),
    ),
}


def crisis_cards(region: str) -> list[Card]:
    """A card for each line of a region."""
    return [
        Card(
            kind="crisis",
            title=line.name,
            body="You can reach a person here now. You do not have to be sure, and you do not have to explain.",
            call=line.call,
            text=line.text,
        )
        for line in LINES[region]
    ]
