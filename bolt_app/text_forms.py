"""Normal forms of typed text: one for storing names, one for comparing them.

Texts that look the same become equal: characters are composed (NFC), invisible ones and control
characters removed (https://unicode.org/reports/tr15/). Secrets, notification keys and idempotency
keys are never normalized.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

# Default_Ignorable_Code_Point: characters that are invisible where they are not supported
# (https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt).
_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_INVISIBLE = re.compile(f"[{_IGNORABLE}]")
_SEEN = re.compile(rf"[^\s{_IGNORABLE}]")
# Control characters other than white space (https://www.unicode.org/charts/PDF/U0000.pdf and
# https://www.unicode.org/charts/PDF/U0080.pdf): invisible, but terminals obey them.
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
# Phones and word processors replace keyboard characters with these.
_TYPED = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"),
        **dict.fromkeys("\u2018\u2019\u201a\u201b", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f", '"'),
    }
)


# The longest text that is brought into a form. Longer ones are no names, and callers reject them by
# their length: normalizing takes a hundred times as long as reading.
LONGEST = 4000
# No language puts more marks on a letter (https://unicode.org/reports/tr15/#Stream_Safe_Text_Format).
MOST_MARKS = 30


def normalized(form: Literal["NFC", "NFD", "NFKD"], text: str) -> str:
    """Return `text` in a Unicode normal form, with at most `MOST_MARKS` marks on a letter.

    Normalizing sorts the marks of a letter, which takes time that grows with their number's square.
    """
    if text.isascii():
        return text
    return unicodedata.normalize(form, text if len(text) <= MOST_MARKS else _with_few_marks(text))


def _with_few_marks(text: str) -> str:
    kept, marks = [], 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def visible(text: str) -> str:
    """Return `text` composed (NFC), without invisible characters and surrounding spaces.

    Line breaks and tabs inside it stay. This form and all others are defined for texts up to
    `LONGEST`: a longer one is unchanged.
    """
    if len(text) > LONGEST:
        return text
    return normalized("NFC", _CONTROLS.sub("", _INVISIBLE.sub("", text))).strip()


def has_visible(text: str) -> bool:
    """Whether people see anything of `text`, which may be of any length."""
    return _SEEN.search(text) is not None


def lowered(text: str) -> str:
    """Return a name in its stored form: `visible`, in lower case."""
    return text if len(text) > LONGEST else normalized("NFC", visible(text).lower())


def typed(text: str) -> str:
    """Return `visible` text with the dashes and quotes of a keyboard."""
    return text if len(text) > LONGEST else visible(text).translate(_TYPED)


def comparable(text: str) -> str:
    """Return a form in which texts are equal if people would consider them the same.

    In addition to `typed`, capitals and the number of spaces between words are ignored
    (https://www.unicode.org/versions/latest/core-spec/chapter-3/#G34145, caseless matching).
    """
    if len(text) > LONGEST:
        return text
    folded = normalized("NFD", " ".join(typed(text).split())).casefold()
    return normalized("NFC", folded)
