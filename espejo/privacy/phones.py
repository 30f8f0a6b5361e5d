"""Find phone numbers in a text, as people write them.

The library `phonenumbers` says whether a number is valid or possible. The search is our own,
because that library's PhoneNumberMatcher looks for one region at a time, takes seconds on a long
text of digits, and cannot tell an announced number ("mi cel es") from bare digits.
"""

import re
from collections.abc import Iterator, Sequence

import phonenumbers

from espejo.privacy.cues import SEPARATOR

_BLOCK = re.compile(r"\(?\+?\d++(?:[.-]\d++)*+\)?")
SHAPE = rf"{_BLOCK.pattern}(?:[ /-]{{0,3}}{_BLOCK.pattern})*"
_CHAIN = re.compile(
    # A number may also begin right after the full stop of a word (tel.351) or the comma after
    # another number.
    r"(?:(?<![\w#/.,$-])|(?<=[^\W\d_][.,])|(?<=\d{4},)(?=\(?\+?\d{3}|\d\d \d{4}))"
    rf"{SHAPE}(?![\w%€])"
)
_SEPARATOR = re.compile(SEPARATOR, re.I)
_Block = tuple[int, int, list[str]]  # start, end, groups of digits
_MIN_DIGITS = 6  # local numbers of small places in Argentina
_MAX_BLOCKS = 8  # of one number: +54 9 11 55 55 43 21 has seven
_CUE_CHARACTERS = 60  # before a number, in which it may be announced
_MAX_LOOKUPS = 200  # in one text, about 0.05 s; from then on the shape of a number is enough


def find(
    text: str,
    regions: Sequence[str],
    cue_before: re.Pattern[str],
    cue_after: re.Pattern[str],
) -> Iterator[tuple[int, int]]:
    """Start and end of each phone number, in order: the longest run of blocks that forms one.

    A number with a country code, or with a cue before or after it, only needs a possible length;
    any other number must be valid in one of `regions` (ISO 3166).
    """
    lookups, announced_end = 0, len(text)  # announced_end: of the last number with a cue
    for chain in _CHAIN.finditer(text):
        if len(chain[0]) < _MIN_DIGITS:
            continue
        blocks = [
            (*block.span(), re.findall(r"\d+", block[0]))
            for block in _BLOCK.finditer(text, *chain.span())
        ]
        first = 0
        while first < len(blocks):
            start = blocks[first][0]
            cued = bool(
                _SEPARATOR.fullmatch(text, announced_end, start)
                or (first == 0 and cue_before.search(text[max(0, start - _CUE_CHARACTERS) : start]))
                or (first == 0 and cue_after.match(text, chain.end()))
            )
            for last, candidate in _runs(text, blocks[first : first + _MAX_BLOCKS], cued):
                lookups += 1
                if lookups > _MAX_LOOKUPS or _is_phone_number(candidate, cued, regions):
                    closes = ")" in candidate and "(" not in candidate  # (tel 351 555 1234)
                    opens = "(" in candidate and ")" not in candidate
                    end = start + len(candidate) - closes
                    yield start + opens, end
                    announced_end = end if cued else announced_end
                    first += last
                    break
            first += 1


def _runs(text: str, blocks: Sequence[_Block], cued: bool) -> list[tuple[int, str]]:
    """The runs of blocks, from the first one on, that look like a phone number; longest first.

    Returns the index of each run's last block, and the run's text. A phone number has enough digits
    and is no row of scores (3-1 2-0: more than one single digit), of prices (12500 13500) or of
    sizes (38 40 42 44 46), and does not end in five zeros.
    """
    runs, groups = [], []
    for last, (_, end, groups_of_block) in enumerate(blocks):
        groups += groups_of_block
        digits = "".join(groups)
        if len(digits) > 15 or sum(len(group) == 1 for group in groups) > 1:
            break
        if len(digits) < _MIN_DIGITS:
            continue
        candidate = text[blocks[0][0] : end]
        minimum = _MIN_DIGITS if cued else 8 if "+" in candidate else 9
        prices = len(groups) > 1 and all(group.endswith("00") for group in groups)
        sizes = minimum == 9 and len(groups) > 3 and groups == sorted(groups)
        if len(digits) >= minimum and not (prices or sizes or digits.endswith("00000")):
            runs.append((last, candidate))
    return runs[::-1]


def _is_phone_number(candidate: str, cued: bool, regions: Sequence[str]) -> bool:
    """Whether a candidate is valid in a region or, if announced or with a "+", possible."""
    # Mexican mobiles as WhatsApp shows them, with a 1 that the numbering plan dropped in 2019.
    candidate = re.sub(r"^\(?\+52 ?1 ?(?=\d)", "+52 ", candidate)
    for region in regions:
        try:
            number = phonenumbers.parse(candidate, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return True
        if (cued or "+" in candidate) and phonenumbers.is_possible_number(number):
            return True
    return False
