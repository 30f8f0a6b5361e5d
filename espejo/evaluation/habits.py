"""How far the model's habits are from the author's, each beside what the author alone gives.

Shares (character bigrams, emoji, punctuation, function words, laughter) are compared by the
Jensen-Shannon distance with base 2, from 0 (the same) to 1 (nothing in common; also where one side
has none at all), sizes by the Wasserstein distance in their own unit, plain figures by their
difference. Few of them are 0 between two samples of one person: `own` is the mean distance of two
halves of the author's replies, cut between sessions and as large as what is compared, `own_high`
what 95 % of such halves do not exceed, and `alarm` the share of them that do. A habit is off where
`distance` exceeds `own_high`: so many habits as all `alarm` together would be off if the author
had written the replies.

What the author never does (not to come to an end; mostly also repeated trigrams and empty replies)
has an `own_high` and an `alarm` of 0, and is off as soon as the model does it once. That may be
little: `distance` says how much. And a few hundred replies do not tell what is seldom: who repeats
a trigram in one of 240 replies is off in a quarter of the samples of 64, and is told 0 where that
one is not among those that the halves come from.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import chain

import numpy as np
from scipy.sparse import csr_array
from scipy.special import entr, rel_entr

from espejo.core.text import words

Replies = Sequence[Sequence[str]]  # lists of messages
Pairs = Sequence[tuple[np.ndarray, np.ndarray]]  # two samples of some replies, as their places
HALVES = 1000  # pairs of halves of the author
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
    places = np.arange(len(real) + len(generated))
    pair = places[: len(real)], places[len(real) :]
    table = {
        name: {key: float(values[0]) for key, values in row.items()}
        for name, row in _of_pairs([*real, *generated], [pair], most_words).items()
    }
    cut = float(np.mean(endless)) if len(endless) else 0.0
    return {**table, "endless": {"distance": cut, "real": 0.0, "generated": cut}}


def habits(
    real: Replies,
    generated: Replies,
    endless: Sequence[bool],
    author: Replies,
    sessions: Sequence[int],
    seed: int,
) -> dict[str, dict]:
    """`compared`, and for each habit `own`, `own_high` and `alarm`, from the author's replies [m].

    Halves come from `author` (the train split: the most there is), of whose sessions [m] each half
    takes other ones, and hold at most as many replies as `real` and `generated`. One session has no
    halves, and the three are missing.
    """
    table = compared(real, generated, endless)
    if len(np.unique(sessions)) < 2:
        return table
    pairs = halves(sessions, (len(real), len(generated)), seed)
    said = [sum(len(_spoken(reply)) for reply in replies) for replies in (real, generated)]
    found = _of_pairs(author, pairs, _equal(*said))
    apart = {name: row["distance"] for name, row in found.items()}
    apart["endless"] = np.zeros(len(pairs))  # people come to an end
    for name, row in table.items():
        row["own"] = float(np.mean(apart[name]))
        row["own_high"] = float(np.quantile(apart[name], 0.95))
        row["alarm"] = float(np.mean(apart[name] > row["own_high"]))
    return table


def halves(sessions: Sequence[int], most: tuple[int, int], seed: int) -> Pairs:
    """Pairs of samples, of at most so many replies each, that have no session in common.

    `sessions` [m] are those of the replies, two or more.
    """
    drawn, groups = np.random.default_rng(seed), np.asarray(sessions)
    known, pairs = np.unique(groups), []
    for _ in range(HALVES):
        first = np.isin(groups, drawn.permutation(known)[: len(known) // 2])
        one, other = (drawn.permutation(np.flatnonzero(half)) for half in (first, ~first))
        pairs.append((one[: most[0]], other[: most[1]]))
    return pairs


def _of_pairs(replies: Replies, pairs: Pairs, most: int | None) -> dict[str, dict]:
    """What `compared` says, but for `endless`, of `pairs` [h] of samples of `replies`: arrays [h].

    Each reply is counted once; what a sample holds is a product of matrices.

    Raises ValueError where a number is not finite.
    """
    sides = [_sums(places, len(replies)) for places in zip(*pairs, strict=True)]
    spoken, forms = _first_words(replies, pairs, most)
    bigrams = _counted([_bigrams(form) for form in forms])[1]
    taken = (_sums(places, len(forms)) @ bigrams for places in spoken)
    table = {"character_bigrams": {"distance": _divergence(*taken)}}
    for name, pieces in SHARES.items():
        counts = _counted([pieces(reply) for reply in replies])[1]
        table[name] = {"distance": _divergence(*(side @ counts for side in sides))}
    for name, sizes in SIZES.items():
        known, counts = _counted([[0], *(sizes(reply) for reply in replies)])  # 0 is always known
        table[name] = _sizes(np.array(known), *(side @ counts[1:] for side in sides))
    cut = [words(form) for form in forms]
    said = [[list(chain.from_iterable(cut[at] for at in one)) for one in side] for side in spoken]
    for name, figure in VARIETY.items():
        table[name] = _difference(*(np.array([figure(one) for one in side]) for side in said))
    for name, parts in PLAIN.items():
        counts = np.array([parts(reply) for reply in replies], float).reshape(len(replies), 2)
        table[name] = _difference(*(_ratio(*(side @ counts).T) for side in sides))
    for name, row in table.items():
        if not np.isfinite([*row.values()]).all():
            raise ValueError(f"a number of the habit {name} is not finite")
        # Halves at the same distance stay so, in whatever order their counts were summed.
        row["distance"] = row["distance"].round(9)
    return table


def _first_words(
    replies: Replies, pairs: Pairs, most: int | None
) -> tuple[list[list[np.ndarray]], Sequence[str]]:
    """For both sides the first words of each sample, as many as the other has, as places in a list.

    `most` at most; all of them where the other has none. The list is of what stands between blanks.
    """
    forms, places = _numbered([_spoken(reply) for reply in replies])
    sides: list[list[np.ndarray]] = [[], []]
    for pair in pairs:
        said = [np.concatenate([np.empty(0, int), *(places[at] for at in one)]) for one in pair]
        equal = _equal(*map(len, said))
        for side, one in zip(sides, said, strict=True):
            side.append(one[: equal if most is None else min(equal, most)])
    return sides, forms


def _equal(ours: int, theirs: int) -> int:
    return min(ours, theirs) or max(ours, theirs)


def _numbered(found: Sequence[Iterable[Hashable]]) -> tuple[list, list[np.ndarray]]:
    """The different pieces in `found` [n], sorted, and the places in them of those of each."""
    known = sorted(set(chain.from_iterable(found)))
    place = {piece: at for at, piece in enumerate(known)}
    return known, [np.array([place[piece] for piece in pieces], int) for pieces in found]


def _counted(found: Sequence[Iterable[Hashable]]) -> tuple[list, csr_array]:
    """The different pieces in `found` [n], sorted [k], and how often each has them: [n, k]."""
    known, places = _numbered(found)
    return known, _sums(places, len(known))


def _sums(places: Sequence[np.ndarray], size: int) -> csr_array:
    """How often each of `size` places is in each of `places` [n]: [n, size]."""
    columns = np.concatenate([np.empty(0, int), *places])
    ends = np.cumsum([0, *map(len, places)])
    return csr_array((np.ones(len(columns)), columns, ends), shape=(len(places), size))


def _divergence(ours: csr_array, theirs: csr_array) -> np.ndarray:
    """Jensen-Shannon distance [h] (Endres and Schindelin 2003) of counts [h, k], as shares."""
    one, other = ours.toarray(), theirs.toarray()
    p, q = (_ratio(side, side.sum(axis=1, keepdims=True)) for side in (one, other))
    middle = (p + q) / 2
    bits = (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=1) / (2 * np.log(2))
    # Of nearly the same shares rounding may make -1e-16; what is no number stays none.
    distance = np.sqrt(np.maximum(bits, 0.0))
    some, others = one.any(axis=1), other.any(axis=1)
    return np.where(some & others, distance, some | others)


def _sizes(known: np.ndarray, ours: csr_array, theirs: csr_array) -> dict[str, np.ndarray]:
    """Wasserstein distance: the area between distributions of sizes `known` [k], 0 the first."""
    shares = []
    for counts in (ours.toarray(), theirs.toarray()):
        counts[~counts.any(axis=1), 0] = 1  # who said nothing said 0
        shares.append(counts / counts.sum(axis=1, keepdims=True))
    gaps = np.abs(np.cumsum(shares[0] - shares[1], axis=1)[:, :-1])
    means = {name: side @ known for name, side in zip(("real", "generated"), shares, strict=True)}
    return {"distance": gaps @ np.diff(known), **means}


def _difference(ours: np.ndarray, theirs: np.ndarray) -> dict[str, np.ndarray]:
    return {"distance": np.abs(ours - theirs), "real": ours, "generated": theirs}


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """`over / under`, 0 where there is nothing to count."""
    return np.divide(over, under, out=np.zeros_like(over), where=under != 0)


def _messages(reply: Sequence[str]) -> list[str]:
    return [text for text in reply if text.strip()]


def _spoken(reply: Sequence[str]) -> list[str]:
    """What stands between blanks."""
    return " ".join(_messages(reply)).split()


def _each(pieces: Callable[[str], Sequence[str]]) -> Callable[[Sequence[str]], list[str]]:
    """What `pieces` finds in each message of a reply, "" for a message without any."""
    return lambda reply: [piece for text in _messages(reply) for piece in pieces(text) or [""]]


def _bigrams(word: str) -> list[str]:
    """Pairs of characters: longer n-grams are too rare in a few dozen replies to compare."""
    text = f" {word} "
    return [text[at : at + 2] for at in range(len(text) - 1)]


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


def _word_entropy(said: Sequence[str]) -> float:
    """In bits."""
    shares = np.array([*Counter(said).values()]) / len(said) if said else np.ones(1)
    return float(entr(shares).sum() / np.log(2))


def _repeated_trigrams(reply: Sequence[str]) -> tuple[int, int]:
    """Word 3-grams that stood earlier in the same reply, and all."""
    said = words(" ".join(reply))
    grams = list(zip(said, said[1:], said[2:], strict=False))
    return len(grams) - len(set(grams)), len(grams)


SHARES = {
    "emoji": _each(_emoji),
    "punctuation": _each(_punctuation),
    "function_words": _each(_function_words),
    "laughter": _each(_laughter),
}
SIZES = {
    "characters_per_message": lambda reply: [len(text) for text in _messages(reply)],
    "words_per_message": lambda reply: [len(text.split()) for text in _messages(reply)],
    "messages_per_turn": lambda reply: [len(_messages(reply))],
}
VARIETY = {
    "distinct_1": lambda said: distinct(said, 1),
    "distinct_2": lambda said: distinct(said, 2),
    "word_entropy": _word_entropy,
}
PLAIN = {  # of each reply: how often, of how many
    "repeated_trigrams": _repeated_trigrams,
    "empty": lambda reply: (not _messages(reply), 1),
}
