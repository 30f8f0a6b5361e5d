"""How far the model's habits are from the author's, each beside what the author alone gives.

Shares (character bigrams, emoji, punctuation, function words, laughter) are compared by the
Jensen-Shannon distance with base 2, from 0 (the same) to 1 (nothing in common; also where one side
has none at all), sizes by the Wasserstein distance in their own unit, plain figures by their
difference. Few of them are 0 between two samples of one person: `own` is the mean distance of two
halves of the author's replies, cut between sessions and as large as what is compared, `own_high`
what 95 % of such halves stay below. A habit is off where `distance` exceeds `own_high`.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, wasserstein_distance

from espejo.duplicates import words

Replies = Sequence[Sequence[str]]  # lists of messages
HALVES = 40  # pairs of halves of the author
_LAUGHTER = re.compile(
    r"\b(?:[aeiou]?(?:j[aeious]){2,}j?|[aeiou]?(?:h[aei]){2,}h?|k{3,}|l+o+l+|lmf?ao+|x+d+)\b"
)
# The most frequent words that carry grammar and no topic, accents as people write them or not.
_SPANISH = (
    "a al como con de del el ella en es esa ese eso esta este esto está fue ha hay la las le lo "
    "los más mas me mi muy ni no nos o para pa pero por porque q que qué se si sin sí son su sus "
    "te tu un una vos x y ya yo"
)
_ENGLISH = (
    "about all an and are as at be but by can do for from get has have he her his how i if in is "
    "it its just my not of on or our out she so some than that the their them then there they "
    "this to u up was we what when which who will with would you your"
)
FUNCTION_WORDS = frozenset(f"{_SPANISH} {_ENGLISH}".split())


def compared(
    real: Replies, generated: Replies, endless: Sequence[bool], most_words: int | None = None
) -> dict[str, dict]:
    """`{habit: {"distance", "real", "generated"}}`; the last two where a plain figure says it.

    `endless` [n] says which of `generated` hit the limit of new tokens. What grows or shrinks with
    the number of words alone is taken from as many words of both sides, `most_words` at most.
    """
    both = (real, generated)
    ours, theirs = _equal(*both, most_words)
    table = {"character_bigrams": {"distance": _divergence(_bigrams(ours), _bigrams(theirs))}}
    for name, shares in SHARES.items():
        table[name] = {"distance": _divergence(*(shares(replies) for replies in both))}
    for name, sizes in SIZES.items():
        table[name] = _sizes(*(sizes(replies) or [0] for replies in both))
    for name, figure in VARIETY.items():
        table[name] = _difference(*(figure(words(" ".join(said))) for said in (ours, theirs)))
    for name, figure in PLAIN.items():
        table[name] = _difference(*(figure(replies) for replies in both))
    table["endless"] = _difference(0.0, float(np.mean(endless)) if len(endless) else 0.0)
    return table


def _equal(
    real: Replies, generated: Replies, most: int | None = None
) -> tuple[list[str], list[str]]:
    """The first words of both, as many of one as of the other; all, where the other has none."""
    ours, theirs = (" ".join(_messages(replies)).split() for replies in (real, generated))
    equal = min(len(ours), len(theirs)) or max(len(ours), len(theirs))
    equal = equal if most is None else min(equal, most)
    return ours[:equal], theirs[:equal]


def habits(
    real: Replies,
    generated: Replies,
    endless: Sequence[bool],
    author: Replies,
    sessions: Sequence[int],
    seed: int,
) -> dict[str, dict]:
    """`compared`, and for each habit `own` and `own_high`, from the `author`'s replies [m].

    Halves come from `author` (the train split: the most there is), of whose sessions [m] each half
    takes other ones, and hold at most as many replies as `real` and `generated`.
    """
    table = compared(real, generated, endless)
    drawn, groups = np.random.default_rng(seed), np.asarray(sessions)
    known, most = np.unique(groups), len(_equal(real, generated)[0])
    if len(known) < 2:
        return table
    apart: dict[str, list[float]] = {name: [] for name in table}
    for _ in range(HALVES):
        first = np.isin(groups, drawn.permutation(known)[: len(known) // 2])
        halves = [
            [author[at] for at in drawn.permutation(np.flatnonzero(half))[: len(like)]]
            for half, like in ((first, real), (~first, generated))
        ]
        for name, row in compared(*halves, [], most).items():
            apart[name].append(row["distance"])
    for name, row in table.items():
        row["own"] = float(np.mean(apart[name]))
        row["own_high"] = float(np.quantile(apart[name], 0.95))
    return table


def _divergence(ours: Counter, theirs: Counter) -> float:
    if not ours or not theirs:
        return float(bool(ours) or bool(theirs))
    keys = sorted({*ours, *theirs})
    distance = jensenshannon(*([side[key] for key in keys] for side in (ours, theirs)), base=2)
    return float(np.nan_to_num(distance))  # rounding may ask for the root of -1e-17


def _difference(ours: float, theirs: float) -> dict[str, float]:
    return {"distance": abs(ours - theirs), "real": float(ours), "generated": float(theirs)}


def _sizes(ours: Sequence[int], theirs: Sequence[int]) -> dict[str, float]:
    means = {"real": float(np.mean(ours)), "generated": float(np.mean(theirs))}
    return {"distance": float(wasserstein_distance(ours, theirs)), **means}


def _messages(replies: Replies) -> list[str]:
    return [text for reply in replies for text in reply if text.strip()]


def _counted(pieces: Callable[[str], Sequence[str]]) -> Callable[[Replies], Counter]:
    """Shares of what `pieces` finds in each message; "" counts the messages without any."""
    return lambda replies: Counter(
        piece for text in _messages(replies) for piece in (pieces(text) or [""])
    )


def _bigrams(said: Sequence[str]) -> Counter:
    """Pairs of characters: longer n-grams are too rare in a few dozen replies to compare."""
    text = f" {' '.join(said)} " if said else ""
    return Counter(text[at : at + 2] for at in range(len(text) - 1))


def _emoji(text: str) -> list[str]:
    return [letter for letter in text if unicodedata.category(letter) == "So"]


def _punctuation(text: str) -> list[str]:
    """Each mark, and as another one each run of the same: "!" and "!!+"; words without any: ""."""
    marks = []
    for word in text.split():
        found = [run[0] for run in re.finditer(r"([^\w\s])\1*", word)]
        found = [run for run in found if unicodedata.category(run[0])[0] == "P"]
        marks += [run[0] if len(run) == 1 else f"{run[0] * 2}+" for run in found] or [""]
    return marks


def _function_words(text: str) -> list[str]:
    return [word if word in FUNCTION_WORDS else "" for word in words(text)]


def _laughter(text: str) -> list[str]:
    """Kind and length of each laugh: "ja" for jaja, "ja+" for any longer one."""
    laughs = _LAUGHTER.findall(text.casefold())
    return [laugh[:2] + ("+" if len(laugh) > 4 else "") for laugh in laughs]


def distinct(said: Sequence[str], size: int) -> float:
    """Different n-grams of `size` words, of all (Li et al. 2016)."""
    grams = list(zip(*(said[at:] for at in range(size)), strict=False))
    return len(set(grams)) / len(grams) if grams else 0.0


def _repeated_trigrams(replies: Replies) -> float:
    """Word 3-grams that stood earlier in the same reply, of all."""
    again = every = 0
    for reply in replies:
        said = words(" ".join(reply))
        grams = list(zip(said, said[1:], said[2:], strict=False))
        again, every = again + len(grams) - len(set(grams)), every + len(grams)
    return again / every if every else 0.0


def _word_entropy(said: Sequence[str]) -> float:
    return float(entropy(list(Counter(said).values()), base=2)) if said else 0.0


def _empty(replies: Replies) -> float:
    return sum(not _messages([reply]) for reply in replies) / len(replies) if replies else 0.0


SHARES = {
    "emoji": _counted(_emoji),
    "punctuation": _counted(_punctuation),
    "function_words": _counted(_function_words),
    "laughter": _counted(_laughter),
}
SIZES = {
    "characters_per_message": lambda replies: [len(text) for text in _messages(replies)],
    "words_per_message": lambda replies: [len(text.split()) for text in _messages(replies)],
    "messages_per_turn": lambda replies: [len(_messages([reply])) for reply in replies],
}
VARIETY = {
    "distinct_1": lambda said: distinct(said, 1),
    "distinct_2": lambda said: distinct(said, 2),
    "word_entropy": _word_entropy,
}
PLAIN = {"repeated_trigrams": _repeated_trigrams, "empty": _empty}
