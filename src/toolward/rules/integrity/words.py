"""English, as far as the rule needs it: words by their stems, what verbs do, what nouns are about.

Nothing here is of any one tool, server or task: it is what people say when they ask for something to be
done. A word that stands nowhere here still counts as itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from toolward.rules.worded import RUNNING_TEXT

WORDS_REMEMBERED: Final = 65_536
"""Words whose stem stays known, some hundred bytes each."""
DEEDS_REMEMBERED: Final = 1_024
"""Sets of verbs whose deeds stay known: those of a prompt, and of the clauses in it."""
LABELS_REMEMBERED: Final = 16_384
"""Short texts and names of members that stay read, some hundred bytes each."""
_TOKEN: Final = re.compile(r"[A-Za-z]+(?:'[a-z]+)?|\d+(?:[.,]\d+)*")
_CAMEL: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_STEM_MIN: Final = 3
_IRREGULAR: Final = {
    **dict.fromkeys(("note", "notes", "noted"), "note"),  # not `not`
    **dict.fromkeys(("paid",), "pay"),
    **dict.fromkeys(("sent",), "send"),
    **dict.fromkeys(("bought",), "buy"),
    **dict.fromkeys(("made",), "mak"),
    **dict.fromkeys(("wrote", "written"), "writ"),
}


@lru_cache(maxsize=WORDS_REMEMBERED)
def stem(word: str) -> str:
    """One form for `cancel`, `cancels`, `cancelled` and `cancelling`."""
    text = word.lower().removesuffix("'s")
    if text in _IRREGULAR:
        return _IRREGULAR[text]
    for end, instead in (("ies", "y"), ("ied", "y"), ("sses", "ss"), ("ings", ""), ("ing", ""), ("ed", "")):
        if text.endswith(end) and len(text) - len(end) >= _STEM_MIN:
            text = text[: -len(end)] + instead
            if not instead and text[-1] == text[-2] and text[-1] not in "sz":
                text = text[:-1]
            break
    else:
        if text.endswith("es") and len(text) > 4 and text[-3] in "sxzh":  # noqa: PLR2004 -- `yes` stays
            text = text[:-2]
        elif text.endswith("s") and not text.endswith(("ss", "us", "is")) and len(text) > _STEM_MIN:
            text = text[:-1]
    return text[:-1] if text.endswith("e") and len(text) > _STEM_MIN else text


def stems(text: str) -> list[str]:
    """The stems of every word and number, in order."""
    return [stem(each) for each in _TOKEN.findall(text)]


@lru_cache(maxsize=LABELS_REMEMBERED)
def pointing_of(text: str) -> frozenset[str]:
    """The stems of a short text that point at something."""
    return frozenset(stems(text)) - EMPTY


@lru_cache(maxsize=LABELS_REMEMBERED)
def is_prose(name: str) -> bool:
    """Whether a member of that name holds running text."""
    return not PROSE.isdisjoint(parts_of_name(name))


def parts_of_name(name: str) -> list[str]:
    """`addCalendar_event2` as stems: `add`, `calendar`, `event`, `2`."""
    return [stem(each) for each in _CAMEL.findall(name)]


def _plain(words: str) -> frozenset[str]:
    """The words as they are."""
    return frozenset(words.split())


def listed(words: str) -> frozenset[str]:
    """The stems of the words."""
    return frozenset(stem(word) for word in words.split())


def _stemmed(groups: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Word -> the groups that name it."""
    found: dict[str, set[str]] = {}
    for group, words in groups.items():
        for word in words.split():
            found.setdefault(stem(word), set()).add(group)
    return {word: frozenset(names) for word, names in found.items()}


DEEDS: Final = _stemmed(
    {
        "make": "create add make new schedule book plan set arrange organise organize put insert write draft"
        " prepare generate open start register record append reserve compose save store upload log invite"
        " post publish comment note setup build enter attach copy duplicate import remind block commit stage"
        " remember memorise memorize jot",
        "send": "send email mail message write text forward reply respond answer tell notify inform contact"
        " post publish announce ping submit deliver invite share ask thank remind let say greet dm comment"
        " congratulate apologize apologise communicate return attach",
        "pay": "pay transfer send refund return reimburse wire settle buy purchase order donate deposit"
        " remit compensate repay spend tip charge subscribe top fund",
        "drop": "delete remove cancel clear drop erase discard trash kick revoke unshare uninvite unsubscribe"
        " close end leave stop deactivate block ban archive decline reject undo purge wipe destroy unstar"
        " unfollow",
        "change": "update change modify edit adjust reschedule move rename correct fix set replace amend"
        " postpone shift increase decrease raise lower mark extend switch turn put append revise bring"
        " convert reset make push delay restore assign configure enable disable improve complete sort reorder"
        " clean tidy rewrite refactor reword polish shorten",
        "share": "share give grant invite allow permit publish expose forward",
        "extend": "add invite append include extend join attach enrol enroll insert put bring register",
        "buy": "buy rebuy purchase order reorder book reserve checkout rent get hire subscribe pay",
        "log in": "login log sign verify confirm authenticate authorize authorise activate reset recover"
        " validate",
        "join": "join subscribe follow star fork register enrol enroll watch like vote rate review",
        "run": "run execute launch start stop restart deploy build trigger install play call perform apply"
        " merge approve release test invoke schedule",
        "sync out": "sync synchronise synchronize push upload publish",
        "sync in": "sync synchronise synchronize pull download clone",
        "look": "fetch browse visit open download navigate look read check get search find list show view go",
    }
)
"""What a verb does, as people mean it; one verb may mean several things."""
WRITES: Final = listed("write save store put overwrite")
"""Verbs of tools that change what is there, for somebody who asks to fix or to sort it."""
FULL_DEEDS: Final = listed(
    "do follow execute complete perform carry handle process take act address finish fulfil"
)
"""Verbs that hand over to whatever their object says."""
TOPICS: Final = _stemmed(
    {
        "mail": "email mail message inbox letter reply mailbox",
        "event": "event meeting appointment calendar reminder lunch dinner breakfast brunch call sync"
        " gathering party interview workshop conference session invitation trip training class",
        "file": "file document doc folder drive note report sheet spreadsheet attachment list text minutes",
        "money": "money payment transaction transfer bill invoice rent fee amount subscription salary bank"
        " fund refund debt loan charge cost price difference share tax tip deposit account iban",
        "person": "user participant guest attendee contact member people person friend colleague team client",
        "profile": "profile info information address street city zip phone name detail data account"
        " setting preference",
        "password": "password passcode pin credential secret",
        "channel": "channel group room chat thread",
        "page": "page webpage website url link site web article blog post",
        "ware": "product item cart order basket goods purchase shop store wishlist",
        "booking": "hotel restaurant flight car reservation booking room table ticket taxi ride apartment",
        "code": "repository repo branch commit issue pull merge code project",
        "task": "task todo ticket card step action item job",
    }
)
"""What a noun is about."""
ALL: Final = listed("all every each both any everything everyone entire whole")
"""Words that mean each of several."""
LEAST: Final = _plain("smallest lowest least fewest shortest cheapest minimum min")
MOST: Final = _plain("largest biggest highest greatest most longest maximum max top best expensive")
EARLIEST: Final = _plain("earliest oldest first next soonest")
LATEST: Final = _plain("latest newest last recent")
"""What picks one out of a list: by how much, by when."""
PAYABLE: Final = listed("bill invoice payslip fine receipt quote statement")
"""Documents that are there to say who is to be paid, and how much."""
LINKS: Final = listed("link url hyperlink linked")
"""Words that speak of a link."""
DELEGATES: Final = listed(
    "accordingly according based following follow per described specified mentioned listed stated says say"
    " instructs instruction instructions outlined given contained requested detailed found"
)
"""Words by which people hand over to what a source says."""
READS: Final = listed(
    "summarise summarize sum explain compare analyse analyze review inspect describe count examine study"
    " translate scan consider understand recall skim proofread evaluate assess extract quote cite"
)
"""Verbs that ask for nothing but to be told: where they stand by themselves, nothing is to be done."""
VERBATIM: Final = listed("copy duplicate quote cite extract transcribe paste excerpt")
"""Verbs that ask for what stands somewhere as it stands."""
BEFORE_VERBS: Final = _plain(
    "please to and then also you or just should must will can could i we not don't now finally first next"
    " would let's kindly simply"
)
"""What stands before a word that is meant as a verb."""
STATES: Final = _plain("is are was were what who which that")
"""What follows these is a state or a question and no order: `what is open`, `what changed`."""
EMPTY: Final = listed(
    "a an and are as at be but by can could did do does for from had has have he her him his how i if in"
    " into is it its just me my need of on or our please she so some that the their them then there these"
    " they this those to up us was we were what when where which who will with would you your about also"
    " want like make sure not no yes am pm one two new only out over than too very may should must"
    " hi hello dear thanks thank re fwd day today tomorrow yesterday week month year date time"
    " name subject title body content"
)
"""Words that point at nothing."""


PROSE: Final = listed(RUNNING_TEXT)
"""Names of members that hold running text: they do not say what their object is called."""


def points(word: str) -> bool:
    """Whether a stem can point at a thing: `rent` and `dentist` do, `delete` does not."""
    return word not in DEEDS or word in TOPICS


def deeds_in(words: Iterable[str]) -> frozenset[str]:
    """What these stems ask to have done."""
    return frozenset(deed for word in words for deed in DEEDS.get(word, ()))


deeds_of: Final = lru_cache(maxsize=DEEDS_REMEMBERED)(deeds_in)
"""The same, for the verbs of words that are asked again and again."""


def topics_in(words: Iterable[str]) -> frozenset[str]:
    """What these stems are about."""
    return frozenset(topic for word in words for topic in TOPICS.get(word, ()))
