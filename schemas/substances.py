"""Kinds of substances, and the words by which people name them on a phone: English and Spanish, shops' and streets'.

The lists are for sorting what a person says of oneself, and for nothing else: a word that none of them knows is taken
for ``other``, never for nothing.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal, get_args

Substance = Literal["opioids", "alcohol", "stimulants", "cannabis", "sedatives", "nicotine", "other"]
SUBSTANCES: tuple[Substance, ...] = get_args(Substance)

# In small letters and without accents; ``~`` stands for the rest of a word. Those whose lapse is the most dangerous
# come first, because where only one kind can be named it is the first.
_WORDS: dict[Substance, str] = {
    "opioids": """
        opioid~, opiat~, opiace~, opio, opium, heroin~, fentan~, fent, fenty, carfent~, nitazen~, isotonitazen~, oxy~,
        oxi, oxico~, roxy~, roxi~, morphin~, morfin~, ms contin, codein~, hydroco~, hidroco~, hydromorph~,
        hidromorf~, oxymorph~, oximorf~, opana~, dilaudid~, tramad~, ultram~, tapentad~, nucynta~, demerol, meperidin~,
        pethidin~, petidin~, methadon~, metadon~, bupren~, bupe, subs, suboxon~, subutex, sublocade, percocet~, perc,
        percs, percoset~, vicodin~, vicos, vics, norco~, lortab~, kratom, smack, dope, china white, black tar, tar,
        tranq, blues, m30, m30s, m 30, m 30s, lean, purple drank, sizzurp, speedball~, chiva, caballo, pain pill~,
        painkiller~, pain killer~
    """,
    "sedatives": """
        sedativ~, sedant~, benzo~, ~azepam, ~zolam, xan, xans, xanax~, xannie~, xanies, bars, valium~, diaz, ativan,
        klonopin~, clonaz~, rivotril, restoril, rohypnol, roofie~, lexotan~, orfidal, trankimazin, tranquimazin,
        tranquil~, ambien, zolpid~, lunesta, zopiclon~, eszopiclon~, barbit~, phenobarb~, fenobarb~, secobarb~, soma,
        carisoprod~, quaalud~, methaqual~, ghb, gbl, gabapent~, neurontin, pregabal~, lyrica, downers, sleeping pill~,
        sleeping tablet~, pastillas para dormir
    """,
    "alcohol": """
        alcohol~, beer~, bud light, lager~, ale, ales, cider~, pint, pints, wine~, champagne, prosecco, vodka~, whisk~,
        bourbon, scotch, brandy, cognac, rum, gin, tequila~, mezcal~, liquor~, liqueur~, spirits, booz~, drink, drinks,
        drinking, drank, drunk, cocktail~, margarita~, shots, seltzer~, moonshine, sake, cervez~, birra~, chela,
        chelas, caguama~, michelada~, vino~, cava, sangria~, copa, copas, trago~, licor~, ron, ginebra, aguardient~,
        pisco, fernet, cubata~, orujo, bebida~, borrach~
    """,
    "stimulants": """
        stimulant~, estimulant~, cocain~, coca, coke, crack, blow, yayo, perico, farlopa, merca, bazuco, basuco, tusi,
        meth, meths, methamph~, metanf~, metaanf~, crystal~, cristal, ice, tina, crank, speed, amphet~, anfet~,
        dexamphet~, dextroamph~, lisdexamf~, adderall~, adderal, vyvanse, dexedrin~, ritalin~, concerta, methylphen~,
        metilfen~, mdma, mda, ecstasy, extasis, molly, uppers, mephedron~, mefedron~, bath salts, flakka, khat,
        captagon, speedball~
    """,
    "cannabis": """
        cannab~, canab~, marij~, marih~, weed, pot, grass, ganja, kush, reefer~, thc, hhc, cbd, hash, hashish, hachis,
        joint, joints, spliff~, blunt, blunts, bong~, buds, dab, dabs, edible~, gummies, gummy, delta 8, delta 9,
        k2, spice, porro~, canuto~, mota, hierba, faso, fasos, macon~
    """,
    "nicotine": """
        nicotin~, cigar~, cig, cigs, smokes, tobacc~, tabac~, vape~, vaping, vapeo~, vapeador~, juul~, zyn, zyns, snus,
        shisha, hookah~, cachimba~, pitillo~, puros, marlboro~, iqos
    """,
}


def _pattern(listed: str) -> re.Pattern[str]:
    words = [" ".join(word.split()).replace("~", r"\w*") for word in listed.split(",")]
    return re.compile(rf"\b(?:{'|'.join(words)})\b")


_PATTERNS = {kind: _pattern(listed) for kind, listed in _WORDS.items()}


def kinds_in(what: str) -> list[Substance]:
    """Every kind that the words name, the most dangerous first; ``other`` alone where no list knows them."""
    words = _plain(what)
    return [kind for kind, pattern in _PATTERNS.items() if pattern.search(words)] or ["other"]


def _plain(what: str) -> str:
    """In small letters, without accents, and with single spaces for whatever stands between words."""
    letters = (letter for letter in unicodedata.normalize("NFKD", what.casefold()) if not unicodedata.combining(letter))
    return " ".join(re.findall(r"\w+", "".join(letters).replace("_", " ")))
