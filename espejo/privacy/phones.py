"""Phone numbers in a text, as people write them; valid or possible is what `phonenumbers` says.

PhoneNumberMatcher of that library looks for one region at a time, takes seconds on a long text of
digits and cannot tell an announced number ("mi cel es") from bare digits, so the search is ours.
"""

import re
from collections.abc import Iterator, Sequence

import phonenumbers

from espejo.privacy.cues import JOINED

_BLOCK = re.compile(r"\(?\+?\d++(?:[.-]\d++)*+\)?")
SHAPE = rf"{_BLOCK.pattern}(?:[ /-]{{0,3}}{_BLOCK.pattern})*"
_CHAIN = re.compile(
    # After a full stop that ends a word (tel.351) or a comma that ends a number one may begin too.
    r"(?:(?<![\w#/.,$-])|(?<=[^\W\d_][.,])|(?<=\d{4},)(?=\(?\+?\d{3}|\d\d \d{4}))"
    rf"{SHAPE}(?![\w%€])"
)
_JOINED = re.compile(JOINED, re.I)
_Block = tuple[int, int, list[str]]  # start, end, groups of digits
_FEWEST = 6  # digits: local numbers of small places in Argentina
_BLOCKS = 8  # of one number: +54 9 11 55 55 43 21 has seven
_BEFORE = 60  # characters before a number in which it may be announced
_MOST_LOOKED_UP = 200  # in one text, some 0.05 s; then the shape of a number is enough


def find(
    text: str, regions: Sequence[str], before: re.Pattern[str], after: re.Pattern[str]
) -> Iterator[tuple[int, int]]:
    """Start and end of each phone number, in order: the longest run of blocks that makes one.

    With a country code, or where what stands before or after it announces it, its length must be
    possible; any other number must be valid in one of `regions` (ISO 3166).
    """
    looked_up, announced = 0, len(text)  # announced: the end of the last number after a cue
    for chain in _CHAIN.finditer(text):
        if len(chain[0]) < _FEWEST:
            continue
        blocks = [
            (*block.span(), re.findall(r"\d+", block[0]))
            for block in _BLOCK.finditer(text, *chain.span())
        ]
        first = 0
        while first < len(blocks):
            start = blocks[first][0]
            cued = bool(
                _JOINED.fullmatch(text, announced, start)
                or (first == 0 and before.search(text[max(0, start - _BEFORE) : start]))
                or (first == 0 and after.match(text, chain.end()))
            )
            for last, candidate in _runs(text, blocks[first : first + _BLOCKS], cued):
                looked_up += 1
                if looked_up > _MOST_LOOKED_UP or _dialled(candidate, cued, regions):
                    closes = ")" in candidate and "(" not in candidate  # (tel 351 555 1234)
                    opens = "(" in candidate and ")" not in candidate
                    end = start + len(candidate) - closes
                    yield start + opens, end
                    announced = end if cued else announced
                    first += last
                    break
            first += 1


def _runs(text: str, blocks: Sequence[_Block], cued: bool) -> list[tuple[int, str]]:
    """The runs from the first block on that have the shape of a number, the longest first.

    Each with the index of its last block. A number has enough digits and is no row of scores
    (3-1 2-0), two single digits or more, of prices (12500 13500) or sizes (38 40 42 44 46), nor
    round.
    """
    runs, groups = [], []
    for last, (_, end, more) in enumerate(blocks):
        groups += more
        digits = "".join(groups)
        if len(digits) > 15 or sum(len(group) == 1 for group in groups) > 1:
            break
        if len(digits) < _FEWEST:
            continue
        candidate = text[blocks[0][0] : end]
        fewest = _FEWEST if cued else 8 if "+" in candidate else 9
        prices = len(groups) > 1 and all(group.endswith("00") for group in groups)
        sizes = fewest == 9 and len(groups) > 3 and groups == sorted(groups)
        if len(digits) >= fewest and not (prices or sizes or digits.endswith("00000")):
            runs.append((last, candidate))
    return runs[::-1]


def _dialled(candidate: str, cued: bool, regions: Sequence[str]) -> bool:
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
