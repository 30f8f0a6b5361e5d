"""Names of people, made comparable: as an export writes them and as a person types them."""

import re

MARKS = "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"  # direction marks: never seen, never typed
_MARKS = re.compile(f"[{MARKS}]+")
_PLAIN = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2011": "-"})


def plain(raw: str) -> str:
    """A name without direction marks, its spaces and hyphens the plain ones of a keyboard.

    Phone numbers that stand for a name come with several kinds of each.
    """
    return _MARKS.sub("", raw).translate(_PLAIN).strip()
