"""The words by which a column's header gives away its part, and what each weighs.

A header is cut into lower-case words first: ``PolicyBindDate``, ``policy_bind_date`` and ``POLICY BIND DATE`` are all
``policy bind date``. A word of the tables is one of these; with a hyphen it is the end (``-datum`` in
``schadendatum``) or the start (``geburts-``) of one; two words joined by ``+`` must follow each other.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Literal

Part = Literal[
    "id",
    "event_time",
    "label",
    "amount",
    "claimant",
    "entity",
    "kind",
    "pii",
    "sensitive",
    "money",
    "count",
    "age",
    "code",
    "open",
    "born",
]

_CLAIM = (
    "claim claims claimid case incident sinistre siniestro reclamo schaden schaden- sinistro expediente fall- dossier"
)
_NUMBER = (
    "id ids number no nr num numero nummer -nummer -nr key ref reference code uuid guid claimid policyid customerid"
)
_PERSON = (
    "claimant customer client insured insuree member patient policyholder policy+holder holder beneficiary person "
    "employee driver agent adjuster kunde kunden kunden- versicherter versicherten- versicherungsnehmer assure cliente "
    "asegurado provider doctor physician"
)
_TRADE = (
    "agent broker garage workshop repairer repair+shop body+shop bodyshop contractor vendor provider hospital clinic "
    "pharmacy doctor physician adjuster surveyor assessor lawyer attorney werkstatt -werkstatt makler -makler "
    "vermittler -vermittler handwerker gutachter sachverstaendiger sachbearbeiter krankenhaus klinik apotheke arzt "
    "anwalt -anwalt taller abogado perito farmacia garagiste courtier avocat pharmacie"
)
_THING = (
    "vehicle car auto property house home building policy product make model brand roof device garage vendor account "
    "fahrzeug fahrzeug- auto- haus gebaeude gebaeude- vehicule coche vehiculo cover tenure"
)

WORDS: dict[Part, tuple[tuple[int, str], ...]] = {
    "id": (
        (4, _CLAIM),
        (3, _NUMBER),
        (2, "transaction txn policy police record row+id"),
        (-4, _PERSON + " vendor vehicle fahrzeug zip postal"),
        (
            -9,
            "unnamed index amount betrag date datum location address name routing account acct iban card ssn phone tel",
        ),
    ),
    "event_time": (
        (5, "loss incident accident occurrence occurred event crash damage unfall unfall- schaden- schaden sinistre"),
        (5, "siniestro accidente fnol service treatment admission admitted visit ocurrencia"),
        (4, "report reported reporting notified notification claim claimed filed submitted submission meldung melde-"),
        (4, "gemeldet declaration encounter"),
        (2, "created received opened transaction txn"),
        (1, "date time datetime timestamp ts day at on dt datum -datum tag fecha jour epoch"),
        (-20, "dod death died birth dob born birthday geburt geburts- naissance nacimiento expiry expiration"),
        (-9, "policy coverage cover trip contract effective eff bind inception joining joined hire hired expires due"),
        (-2, "start begin beginn -beginn debut inicio"),
        (-9, "renewal vertrag- vertrags- ablauf license licence manufactured purchase purchased built"),
        (-5, "paid payment settled settlement closed close decided decision updated modified resolved discharge known"),
        (-5, "end ended finished auszahlung auszahlungs- regulierung regulierungs- processed"),
    ),
    "label": (
        (9, "fraud fraudulent isfraud fraude frode betrug betrugs- -betrug fraudfound fraudflag"),
        (6, "legit legitimate genuine suspicious suspicion suspected siu anomaly verdacht verdachts- scam abuse"),
        (5, "label target class y outcome"),
        (2, "flag flagged is found reported confirmed detected kennzeichen"),
        (-6, "score probability risk date amount reason type"),
    ),
    "amount": (
        (3, "amount amt betrag -betrag summe -summe hoehe -hoehe montant importe monto value sum charge charges"),
        (3, "cost costs kosten -kosten paid payout billed incurred usd eur gbp chf inr"),
        (3, "claim claims claimed loss damage schaden schaden- sinistre siniestro indemnity reserve"),
        (2, "total gross gesamt gesamt- submitted estimated"),
        (-9, "premium praemie premie prime deductible deductable excess limit income salary gain gains price selbst-"),
        (-9, "selbstbehalt insured+value sum+insured coverage tax fee versicherungssumme house car vehicle+value"),
        (-9, "count number no nr id age year years month months day days hour ratio rate pct percent score avg mean"),
        (-9, "date time code zip past previous prior lifetime anzahl flag capital"),
    ),
    "claimant": (
        (4, "claimant customer client insured member patient policyholder policy+holder beneficiary bene"),
        (4, "kunde kunden kunden- versicherter versicherten- versicherungsnehmer assure cliente asegurado"),
        (3, _NUMBER + " ssn"),
        (-9, "name age sex gender zip address amount date type class group count date education occupation"),
        (-9, "hobbies relationship state city since months value segment income"),
    ),
    "entity": (
        (5, _TRADE + " rep representative phone telephone mobile telefon email mail iban vin plate kennzeichen"),
        (4, _PERSON + " licence license"),
        (1, _NUMBER),
        (-9, "type class age sex gender date name address city state zip count rating amount commission since years"),
        (-9, "months value group education occupation hobbies relationship relation deductible number+of kind fault"),
        (-9, "flag is has with involved present represented visit visits day days hours fee cost costs charge rate"),
        (-9, "specialty speciality category score distance network notes report provision courtage kosten honorar"),
    ),
    "kind": (
        (5, "peril cause loss+type claim+type incident+type accident+type damage+type type+of+loss type+of+claim"),
        (5, "schadenart schadensart schadenursache ursache insurance+type line+of+business coverage cover sparte"),
        (-9, "date amount id number no code+description state city days status limit deductible"),
    ),
    "pii": (
        (
            5,
            "ssn nin dni nif passport reisepass email mail e+mail phone tel telephone mobile fax handy telefono",
        ),
        (5, "telefon address addr adresse -adresse direccion street strasse -strasse rue calle iban bic acct konto"),
        (5, "kontonummer konto- routing card birth dob birthday geburt geburts- naissance nacimiento"),
        (5, "surname lastname firstname fullname nachname vorname prenom nombre apellido apellidos nom license+plate"),
        (5, "plate kennzeichen vin fin matricula immatriculation latitude longitude lat lon lng gps ip"),
        (5, "zip zipcode postal postcode plz postleitzahl codigo+postal code+postal account+number account+no"),
        (5, "bank+account national+id tax+id steuer- social+security driver+license licence+number license+number"),
        (5, "sozialversicherungs- incident+location loss+location policy+number policy+no policynumber policy+nr"),
        (
            5,
            "policennummer customer+id claimant+id patient+id member+id insured+id client+id customerid beneficiary+id",
        ),
        (5, "versicherungsnummer kundennummer kunden+nr account"),
        (5, "name names versicherungsnehmer"),
        (-9, "type class model make product brand file column+name plan hospital count number+of event scheme change"),
        (-9, "fraud months days since age flag is has betrug balance amount limit cost value"),
    ),
    "sensitive": (
        (5, "sex gender geschlecht sexe sexo genero marital familienstand civil race ethnic ethnicity religion faith"),
        (5, "nationality citizenship staatsangehoerigkeit nationalite nacionalidad disability disabled education"),
        (5, "social+class age alter edad maritalstatus"),
        (-9, _THING + " days since change"),
        (5, "policyholder policy+holder holder of+policy"),  # takes the weight of "policy" back
        (4, "of+policy+holder"),
    ),
    "money": (
        (
            5,
            "amount amt betrag -betrag summe -summe cost costs kosten -kosten premium praemie price paid payout charge",
        ),
        (5, "charges billed deductible deductable excess income salary value limit reserve usd eur gbp chf total"),
        (5, "capital gain gains loss losses montant importe monto selbstbehalt selbst- claim claimed"),
        (-9, "count number no nr num id age year month day days hour hours ratio rate code type date time status of"),
        (-9, "prior past previous claims anzahl since months years"),
    ),
    "count": (
        (5, "count number+of no+of num+of anzahl anzahl- nombre+de numero+de witnesses vehicles injuries passengers"),
        (
            5,
            "claims persons months years days hours visits bedrooms rooms children members mileage km miles age tenure",
        ),
        (5, "suppliments supplements photos kilometerstand hour"),
    ),
    "age": ((5, "age alter edad"), (-9, _THING), (9, "policyholder policy+holder")),
    "code": (
        (5, "zip zipcode postal postcode plz postleitzahl phone tel telephone mobile fax ssn code icd npi iban acct"),
        (5, "account vin fin konto- kontonummer routing card kennzeichen telefon telefon- telefonnummer plate"),
        (5, "id number no nr num nummer -nummer -nr key ref uuid"),
        (-9, "number+of no+of num+of anzahl- balance calls"),
    ),
    "open": (
        (5, "state city town region county country province bundesland ort stadt land make model brand marke modell"),
        (5, "occupation hobby hobbies job profession beruf product diagnosis procedure street branch office handler"),
        (5, _TRADE),
        (5, "id number code zip nr nummer -nummer"),
    ),
    "born": ((5, "birth dob born birthday geburt geburts- naissance nacimiento"),),
}


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split(","))


FRAUD = _listed("1,1.0,y,yes,true,t,fraud,fraudulent,ja,j,oui,o,si,sí,sim,positive,confirmed,suspicious,bad,betrug")
"""How a label says fraud, in lower case."""
NOT_FRAUD = _listed(
    "0,0.0,n,no,false,f,nein,non,legit,legitimate,genuine,negative,not_fraud,non-fraud,good,normal,honest,not fraud,"
    "no fraud,non fraud,kein betrug"
)
LEGIT_HEADER = re.compile(r"\b(legit|legitimate|genuine|not fraud|non fraud)\b")
"""A header under which yes means that there was no fraud."""
UNDECIDED = _listed("pending,open,under investigation,undecided,unknown,in review,offen,not investigated")
MARKERS = _listed(
    "?,??,na,n/a,#n/a,n.a.,null,nan,nat,-,--,---,.,\\n,(null),<na>,nil,unknown,unk,missing,not available,not known,tbd,"
    "not provided,unspecified,unbekannt,k.a.,k. a.,inconnu,desconocido,#value!,#ref!,#div/0!"
)
"""Words for "unknown" wherever they stand, in lower case; 'none' is not among them, as it often is an answer."""
_SPELT = {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"}


def words_of(header: str) -> str:
    """Cut a header into lower-case words of a to z and digits.

    >>> words_of("PolicyBindDate"), words_of("Höhe des Schadens (€)"), words_of("SSN"), words_of("")
    ('policy bind date', 'hoehe des schadens', 'ssn', '')
    """
    spelt = "".join(_SPELT.get(sign, sign) for sign in header)
    plain = unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode()
    cut = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", plain)
    return " ".join(re.findall(r"[a-z]+|[0-9]+", cut.lower()))


@cache
def weigh(part: Part, header: str) -> tuple[int, tuple[str, ...]]:
    """Score a header for a part: the sum over the rows of the table of which some word is in it, and those words.

    >>> weigh("event_time", "policy_bind_date"), weigh("event_time", "LossDate")
    ((-8, ('date', 'policy')), (6, ('loss', 'date')))
    """
    said, score, found = words_of(header), 0, []
    for weight, pattern in _table(part):
        if hit := pattern.search(said):
            score += weight
            found.append(hit[0])
    return score, tuple(found)


@cache
def _table(part: Part) -> list[tuple[int, re.Pattern[str]]]:
    return [(weight, re.compile("|".join(map(_pattern, words.split())))) for weight, words in WORDS[part]]


def _pattern(word: str) -> str:
    body = re.escape(word.strip("-")).replace(r"\+", " ")
    return ("" if word.startswith("-") else r"\b") + body + ("" if word.endswith("-") else r"\b")
