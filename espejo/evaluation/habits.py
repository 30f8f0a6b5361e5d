"""How far the model's habits are from the author's, beside the author's distance to itself.

Distributions (character bigrams, emoji, punctuation, function words, laughter) are compared by the
Jensen-Shannon distance with base 2, from 0 (the same) to 1 (nothing in common; also where one side
is empty), sizes by the Wasserstein distance in their own unit, plain figures by their difference.
Even two samples of one person are seldom at distance 0: `own` is the mean distance between two
halves of the author's replies, which share no session and are no larger than what is compared;
`own_high` is their 95 % quantile, and `alarm` the share of them above it. A habit is off where
`distance` exceeds `own_high`: if the author had written the replies, the expected number of habits
that are off would be the sum of all `alarm`.

What the author never does (not coming to an end; mostly also repeated trigrams and empty replies)
has an `own_high` and an `alarm` of 0, and is off as soon as the model does it once. That may be
little: `distance` tells. A few hundred replies also say little about rare events: an author who
repeats a trigram in one of 240 replies does so in a quarter of all samples of 64, but has an
`own_high` of 0 if that reply is not among those that the halves are drawn from.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TypeAlias

import numpy as np
from scipy.sparse import csr_array
from scipy.special import entr, rel_entr

from espejo.core.text import LAUGHTER, fold, ngrams, words

Replies: TypeAlias = Sequence[Sequence[str]]  # lists of messages
Pairs: TypeAlias = Sequence[tuple[np.ndarray, np.ndarray]]  # two samples of replies, as indices
NUM_PAIRS = 1000  # of halves of the author's replies
_LAUGHTER = re.compile(LAUGHTER)
# The most frequent words that carry grammar and no topic, with accents and without.
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


def compare(
    real: Replies, generated: Replies, endless: Sequence[bool], max_words: int | None = None
) -> dict[str, dict]:
    """`{habit: {"distance", "real", "generated"}}`; the last two for habits that are single
    numbers.

    `endless` [n] says which of `generated` reached the limit of new tokens. Figures that depend on
    the number of words are taken from equally many words of both sides, `max_words` at most.
    """
    indices = np.arange(len(real) + len(generated))
    pair = indices[: len(real)], indices[len(real) :]
    table = {
        name: {key: float(values[0]) for key, values in row.items()}
        for name, row in _of_pairs([*real, *generated], [pair], max_words).items()
    }
    share = float(np.mean(endless)) if len(endless) else 0.0
    return {**table, "endless": {"distance": share, "real": 0.0, "generated": share}}


def habits(
    real: Replies,
    generated: Replies,
    endless: Sequence[bool],
    author: Replies,
    sessions: Sequence[int],
    seed: int,
) -> dict[str, dict]:
    """`compare`, and for each habit `own`, `own_high` and `alarm`, from the author's replies [m].

    Halves are drawn from `author` (the train split, which is the largest) by its sessions [m], and
    hold at most as many replies as `real` and `generated`. A single session has no halves, and the
    three are missing.
    """
    table = compare(real, generated, endless)
    if len(np.unique(sessions)) < 2:
        return table
    pairs = halves(sessions, (len(real), len(generated)), seed)
    sizes = [sum(len(_tokens(reply)) for reply in replies) for replies in (real, generated)]
    rows = _of_pairs(author, pairs, _equal_size(*sizes))
    distances = {name: row["distance"] for name, row in rows.items()}
    distances["endless"] = np.zeros(len(pairs))  # people come to an end
    for name, row in table.items():
        row["own"] = float(np.mean(distances[name]))
        row["own_high"] = float(np.quantile(distances[name], 0.95))
        row["alarm"] = float(np.mean(distances[name] > row["own_high"]))
    return table


def halves(sessions: Sequence[int], max_replies: tuple[int, int], seed: int) -> Pairs:
    """Pairs of samples of replies without a common session, of at most `max_replies` each.

    `sessions` [m] are those of the replies, two or more.
    """
    random, groups = np.random.default_rng(seed), np.asarray(sessions)
    names = np.unique(groups)
    pairs = []
    for _ in range(NUM_PAIRS):
        in_first = np.isin(groups, random.permutation(names)[: len(names) // 2])
        first, second = (random.permutation(np.flatnonzero(half)) for half in (in_first, ~in_first))
        pairs.append((first[: max_replies[0]], second[: max_replies[1]]))
    return pairs


def _of_pairs(
    replies: Replies, pairs: Pairs, max_words: int | None
) -> dict[str, dict[str, np.ndarray]]:
    """`compare`, without `endless`, for `pairs` [h] of samples of `replies`: arrays [h].

    Each reply is counted once; the counts of a sample are a matrix product.

    Raises ValueError where a number is not finite.
    """
    sides = [_counts(samples, len(replies)) for samples in zip(*pairs, strict=True)]
    token_samples, tokens = _first_tokens(replies, pairs, max_words)
    _, bigrams = _count_items([_bigrams(token) for token in tokens])
    bigram_counts = (_counts(samples, len(tokens)) @ bigrams for samples in token_samples)
    table = {"character_bigrams": {"distance": _jensen_shannon(*bigram_counts)}}
    for name, items in SHARES.items():
        _, counts = _count_items([items(reply) for reply in replies])
        table[name] = {"distance": _jensen_shannon(*(side @ counts for side in sides))}
    for name, sizes in SIZES.items():
        # A 0 in front makes the first size always 0.
        values, counts = _count_items([[0], *(sizes(reply) for reply in replies)])
        table[name] = _wasserstein(np.array(values), *(side @ counts[1:] for side in sides))
    words_of = [words(token) for token in tokens]
    texts = [
        [[*chain.from_iterable(words_of[index] for index in sample)] for sample in samples]
        for samples in token_samples
    ]
    for name, figure in VARIETY.items():
        table[name] = _difference(*(np.array([figure(text) for text in side]) for side in texts))
    for name, parts in PLAIN.items():
        fractions = np.array([parts(reply) for reply in replies], float).reshape(len(replies), 2)
        table[name] = _difference(*(_ratio(*(side @ fractions).T) for side in sides))
    for name, row in table.items():
        if not np.isfinite([*row.values()]).all():
            raise ValueError(f"a number of the habit {name} is not finite")
        # Rounded so that equal distances stay equal, whatever the order of summation.
        row["distance"] = row["distance"].round(9)
    return table


def _first_tokens(
    replies: Replies, pairs: Pairs, max_words: int | None
) -> tuple[list[list[np.ndarray]], list[str]]:
    """For both sides the first tokens of each sample, as indices into the list that is also
    returned. As many as the other sample of the pair has, at most `max_words`; all if the other has
    none.
    """
    tokens, indices = _numbered([_tokens(reply) for reply in replies])
    sides: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    for pair in pairs:
        samples = [
            np.concatenate([np.empty(0, int), *(indices[reply] for reply in sample)])
            for sample in pair
        ]
        size = _equal_size(*map(len, samples))
        for side, sample in zip(sides, samples, strict=True):
            side.append(sample[: size if max_words is None else min(size, max_words)])
    return [*sides], tokens


def _equal_size(first: int, second: int) -> int:
    return min(first, second) or max(first, second)


def _numbered(lists: Sequence[Iterable]) -> tuple[list, list[np.ndarray]]:
    """The different items of the lists [n], sorted, and for each list the indices of its items."""
    different = sorted(set(chain.from_iterable(lists)))
    index_of = {item: index for index, item in enumerate(different)}
    return different, [np.array([index_of[item] for item in items], int) for items in lists]


def _count_items(lists: Sequence[Iterable]) -> tuple[list, csr_array]:
    """The different items of the lists [n], sorted [k], and their counts in each list: [n, k]."""
    different, indices = _numbered(lists)
    return different, _counts(indices, len(different))


def _counts(indices: Sequence[np.ndarray], size: int) -> csr_array:
    """How often each index below `size` is in each array of `indices` [n]: [n, size]."""
    columns = np.concatenate([np.empty(0, int), *indices])
    ends = np.cumsum([0, *map(len, indices)])
    return csr_array((np.ones(len(columns)), columns, ends), shape=(len(indices), size))


def _jensen_shannon(real: csr_array, generated: csr_array) -> np.ndarray:
    """Jensen-Shannon distance [h] (Endres and Schindelin 2003) of counts [h, k], as shares."""
    counts = real.toarray(), generated.toarray()
    p, q = (_ratio(side, side.sum(axis=1, keepdims=True)) for side in counts)
    middle = (p + q) / 2
    bits = (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=1) / (2 * np.log(2))
    # Rounding may give -1e-16 for nearly equal shares; NaN stays NaN.
    distance = np.sqrt(np.maximum(bits, 0.0))
    first, second = (side.any(axis=1) for side in counts)
    return np.where(first & second, distance, first | second)


def _wasserstein(sizes: np.ndarray, real: csr_array, generated: csr_array) -> dict[str, np.ndarray]:
    """Wasserstein distance [h] of counts [h, k] of `sizes` [k], which begin with 0, and the means.

    It is the area between the two distribution functions.
    """
    shares = []
    for counts in (real.toarray(), generated.toarray()):
        counts[~counts.any(axis=1), 0] = 1  # an empty sample has size 0
        shares.append(counts / counts.sum(axis=1, keepdims=True))
    gaps = np.abs(np.cumsum(shares[0] - shares[1], axis=1)[:, :-1])
    means = {name: side @ sizes for name, side in zip(("real", "generated"), shares, strict=True)}
    return {"distance": gaps @ np.diff(sizes), **means}


def _difference(real: np.ndarray, generated: np.ndarray) -> dict[str, np.ndarray]:
    return {"distance": np.abs(real - generated), "real": real, "generated": generated}


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """`numerator / denominator`, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)


def _messages(reply: Sequence[str]) -> list[str]:
    return [text for text in reply if text.strip()]


def _tokens(reply: Sequence[str]) -> list[str]:
    """What stands between spaces."""
    return " ".join(_messages(reply)).split()


def _each(find: Callable[[str], Sequence[str]]) -> Callable[[Sequence[str]], list[str]]:
    """What `find` gives for each message of a reply, "" for a message without any."""
    return lambda reply: [item for text in _messages(reply) for item in find(text) or [""]]


def _bigrams(token: str) -> list[str]:
    """Pairs of characters: longer n-grams are too rare in a few dozen replies to compare."""
    return [first + second for first, second in ngrams(f" {token} ", 2)]


def _emoji(text: str) -> list[str]:
    return [letter for letter in text if unicodedata.category(letter) == "So"]


def _punctuation(text: str) -> list[str]:
    """The punctuation of each word, with single and repeated marks distinct ("!" and "!!+"); "" for
    none."""
    marks = []
    for token in text.split():
        runs = [match[0] for match in re.finditer(r"([^\w\s])\1*", token)]
        runs = [run for run in runs if unicodedata.category(run[0])[0] == "P"]
        marks += [run if len(run) == 1 else f"{run[0] * 2}+" for run in runs] or [""]
    return marks


def _function_words(text: str) -> list[str]:
    return [word if word in FUNCTION_WORDS else "" for word in words(text)]


def _laughter(text: str) -> list[str]:
    """Kind and length of each laugh: "ja" for jaja, "ja+" for any longer one."""
    laughs = [word for word in words(fold(text)) if _LAUGHTER.fullmatch(word)]
    return [laugh[:2] + ("+" if len(laugh) > 4 else "") for laugh in laughs]


def distinct(text: Sequence[str], size: int) -> float:
    """The share of different n-grams of `size` words among all (Li et al. 2016)."""
    grams = list(ngrams(text, size))
    return len(set(grams)) / len(grams) if grams else 0.0


def _word_entropy(text: Sequence[str]) -> float:
    """In bits."""
    shares = np.array([*Counter(text).values()]) / len(text) if text else np.ones(1)
    return float(entr(shares).sum() / np.log(2))


def _repeated_trigrams(reply: Sequence[str]) -> tuple[int, int]:
    """How many word 3-grams stood earlier in the same reply, of how many."""
    trigrams = list(ngrams(words(" ".join(reply)), 3))
    return len(trigrams) - len(set(trigrams)), len(trigrams)


SHARES = {
    "emoji": _each(_emoji),
    "punctuation": _each(_punctuation),
    "function_words": _each(_function_words),
    "laughter": _each(_laughter),
}
SIZES: dict[str, Callable[[Sequence[str]], list[int]]] = {
    "characters_per_message": lambda reply: [len(text) for text in _messages(reply)],
    "words_per_message": lambda reply: [len(text.split()) for text in _messages(reply)],
    "messages_per_turn": lambda reply: [len(_messages(reply))],
}
VARIETY: dict[str, Callable[[Sequence[str]], float]] = {
    "distinct_1": lambda text: distinct(text, 1),
    "distinct_2": lambda text: distinct(text, 2),
    "word_entropy": _word_entropy,
}
PLAIN: dict[str, Callable[[Sequence[str]], tuple[int, int]]] = {  # of each reply: n, of how many
    "repeated_trigrams": _repeated_trigrams,
    "empty": lambda reply: (not _messages(reply), 1),
}
