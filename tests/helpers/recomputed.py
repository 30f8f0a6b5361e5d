"""The evaluation's figures again, from the tables and the definitions, by independent code.

Nothing of `espejo.evaluation` is used here. N-grams, weights, regressions, distances and areas are
written out with numpy, so that a mistake would have to be made twice.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from functools import lru_cache

import numpy as np
from scipy import stats
from scipy.optimize import minimize
from sklearn.model_selection import GroupKFold

PLACEHOLDER = re.compile(r"https?://\S+|<[^<>\s]{2,30}>|\[[A-ZÁÉÍÓÚÑ_]{2,20}\]")


# A logistic regression on TF-IDF weights of character n-grams that stay within words.


@lru_cache(1000)
def ngrams(text, shortest, longest):
    """Counts of n-grams of each word, padded with a blank on both sides; a shorter word counts
    once."""
    counts = Counter()
    for word in text.split():
        padded = f" {word} "
        for size in range(shortest, longest + 1):
            if size >= len(padded):
                counts[padded] += 1
                break
            counts.update(padded[start : start + size] for start in range(len(padded) - size + 1))
    return counts


class Regression:
    """Logistic regression on 1 + ln(count), times ln((1 + texts) / (1 + with it)) + 1, length 1."""

    def __init__(self, positive, negative, sizes, strength, least=1, balanced=False):
        self.sizes = sizes
        texts = [ngrams(text, *sizes) for text in [*positive, *negative]]
        having = Counter(gram for counts in texts for gram in counts)
        vocabulary = sorted(gram for gram, number in having.items() if number >= least)
        self.column = {gram: index for index, gram in enumerate(vocabulary)}
        self.rarity = np.array(
            [math.log((1 + len(texts)) / (1 + having[gram])) + 1 for gram in vocabulary]
        )
        signs = np.array([1.0] * len(positive) + [-1.0] * len(negative))
        weight = np.full(len(texts), float(strength))
        if balanced:
            share = {1.0: len(positive), -1.0: len(negative)}
            weight *= [len(texts) / (2 * share[sign]) for sign in signs]
        whole = np.array([self._row(counts) for counts in texts])
        # The best weights lie in the span of the texts: few unknowns instead of one per n-gram.
        lengths, turned = np.linalg.eigh(whole @ whole.T)
        kept = lengths > 1e-9
        axes = (turned[:, kept] / np.sqrt(lengths[kept])).T @ whole
        rows = whole @ axes.T

        def cost(point):
            margin = signs * (rows @ point[:-1] + point[-1])
            pull = -signs * weight / (1 + np.exp(np.minimum(margin, 500)))
            gradient = np.append(rows.T @ pull + point[:-1], pull.sum())
            return (weight * np.logaddexp(0, -margin)).sum() + point[:-1] @ point[:-1] / 2, gradient

        start = np.zeros(rows.shape[1] + 1)
        options = {"maxiter": 5000, "ftol": 1e-13, "gtol": 1e-7}
        point = minimize(cost, start, jac=True, method="L-BFGS-B", options=options).x
        self.weights, self.offset = axes.T @ point[:-1], point[-1]

    def _row(self, counts):
        row = np.zeros(len(self.column))
        for gram, number in counts.items():
            if gram in self.column:
                row[self.column[gram]] = 1 + math.log(number)
        row *= self.rarity
        length = math.sqrt(row @ row)
        return row / length if length else row

    def __call__(self, text):
        """The log-odds that `text` is of the first kind."""
        return float(self._row(ngrams(text, *self.sizes)) @ self.weights + self.offset)


# Author score


def _folded(word):
    apart = unicodedata.normalize("NFD", word.casefold())
    return "".join(sign for sign in apart if not unicodedata.combining(sign))


def _written(message, names):
    text = PLACEHOLDER.sub(" ", message)
    text = re.sub(r"\w+", lambda word: "" if _folded(word[0]) in names else word[0], text)
    return " ".join(text.split())


def _cut(text, characters):
    words = text.split()
    keep = min(len(words), round(len(words) * characters / (len(text) + 1)))
    return " ".join(words[int(index)] for index in np.linspace(0, len(words) - 1, keep))


def _bundles(replies, characters, names):
    bundles, held = [], []
    for message in (message for reply in replies for message in reply):
        text = _written(message, names)
        if text:
            held.append(text)
        if len(held) >= 16 and sum(len(part) + 1 for part in held) >= characters:
            bundles.append(_cut(" ".join(held), characters))
            held = []
    return [*bundles, _cut(" ".join(held), characters)] if len(held) >= 16 else bundles


def author_scores(turns, author, sources, seed):
    """`{source: (mean probability, bundles)}` with floor and ceiling, from table TURNS."""
    parts = {word for person in set(turns["author"]) for word in re.findall(r"\w+", person)}
    names = {_folded(word) for word in parts if len(word) > 2}
    learnt, rest = turns[turns["split"] == "train"], turns[turns["split"] != "train"]
    own = learnt[learnt["author"] == author]["messages"].tolist()
    own_texts = [text for reply in own for message in reply if (text := _written(message, names))]
    groups = [
        " ".join(own_texts[start : start + 16]) for start in range(0, len(own_texts) - 15, 16)
    ]
    characters = int(np.median([len(text) + 1 for text in groups]))
    positive, negative, few = _bundles(own, characters, names), [], []
    for person in sorted(set(learnt["author"]) - {author}):
        rows = learnt[learnt["author"] == person]
        bundles = _bundles(rows["messages"].tolist(), characters, names)
        negative += bundles
        few += [] if bundles else rows.index.tolist()
    if few:
        pooled = learnt.loc[few].sort_values("turn")["messages"].tolist()
        negative += _bundles(pooled, characters, names)
    drawn = np.random.default_rng(seed)
    for index in range(len(positive)):
        some = " ".join(
            own_texts[place] for place in drawn.integers(0, len(own_texts), 1 + index % 3)
        )
        negative.append(_cut((some + " ") * (characters // len(some) + 1), characters))
    judge = Regression(positive, negative, (2, 5), 100, min(4, len(positive)), balanced=True)
    people = {person: rows["messages"].tolist() for person, rows in rest.groupby("author")}
    judged = {
        "floor": [
            bundle
            for person, theirs in people.items()
            if person != author
            for bundle in _bundles(theirs, characters, names)
        ],
        "ceiling": _bundles(people.get(author, []), characters, names),
        **{name: _bundles(replies, characters, names) for name, replies in sources.items()},
    }
    return {
        name: (np.mean([1 / (1 + math.exp(-judge(text))) for text in texts]), len(texts))
        for name, texts in judged.items()
        if texts
    }


# Told apart


def told_apart(real, generated, sessions, seed, times=5):
    """AUC within folds, counted pair by pair, of five cross-validations by session."""
    ours, theirs = (
        [" ".join(" ".join(reply).split()) for reply in side] for side in (real, generated)
    )
    sessions, won, pairs = np.asarray(sessions), 0.0, 0
    folds = min(5, len(set(sessions.tolist())))
    for time in range(times):
        parts = GroupKFold(folds, shuffle=True, random_state=seed + time)
        for learnt, held_out in parts.split(sessions, groups=sessions):
            judge = Regression(
                [theirs[index] for index in learnt], [ours[index] for index in learnt], (1, 4), 10
            )
            high = [judge(theirs[index]) for index in held_out]
            low = [judge(ours[index]) for index in held_out]
            won += sum((a > b) + 0.5 * (a == b) for a in high for b in low)
            pairs += len(held_out) ** 2
    return won / pairs


# Habits


def emoji_distance(real, generated):
    """Jensen-Shannon distance, in bits, of the emoji; a message without any counts as one sign."""

    def shares(replies):
        counts = Counter()
        for text in (text for reply in replies for text in reply if text.strip()):
            signs = [sign for sign in text if unicodedata.category(sign) == "So"]
            counts.update(signs or ["none"])
        return {sign: number / counts.total() for sign, number in counts.items()}

    left, right = shares(real), shares(generated)
    bits = 0.0
    for sign in left.keys() | right.keys():
        p, q = left.get(sign, 0), right.get(sign, 0)
        bits += sum(x / 2 * math.log2(x / ((p + q) / 2)) for x in (p, q) if x)
    return math.sqrt(max(bits, 0))


def words_distance(real, generated):
    """Wasserstein distance of the words a message: the area between the distribution functions."""
    left, right = (
        [len(text.split()) for reply in side for text in reply if text.strip()]
        for side in (real, generated)
    )
    return sum(
        abs(np.mean([size <= index for size in left]) - np.mean([size <= index for size in right]))
        for index in range(max(left + right))
    )


# Copies, leaks, ranks, bits


def _spaced(text):
    words = re.findall(r"\w+", text.casefold())
    return f" {' '.join(words)} "


def copied(replies, contexts, learnt):
    """Share of the replies of eight words or more that hold eight learnt words in a row. By search
    for substrings, without sets of n-grams. Returns (share, how many are long enough).
    """
    learnt_texts = [_spaced(" ".join(reply)) for reply in learnt]
    copies = []
    for reply, context in zip(replies, contexts, strict=True):
        words = _spaced(" ".join(reply)).split()
        if len(words) < 8:
            continue
        runs = [f" {' '.join(words[start : start + 8])} " for start in range(len(words) - 7)]
        own = _spaced(context)
        copies.append(
            any(run not in own and any(run in text for text in learnt_texts) for run in runs)
        )
    return float(np.mean(copies)) if copies else None, len(copies)


def random_split_leak(examples, share):
    """Expected share of test replies that stand in a train context: hypergeometric."""
    holders = defaultdict(set)
    for index, row in enumerate(examples.itertuples()):
        for turn in row.context:
            holders[row.session, tuple(turn["messages"])].add(index)
    n = len(examples)
    test = round(share * n)
    leaks = []
    for index, row in enumerate(examples.itertuples()):
        others = len(holders[row.session, tuple(row.reply)] - {index})
        # test - 1 of the n - 1 other rows are drawn too: the probability that all `others` are.
        leaks.append(1 - stats.hypergeom(n - 1, others, test - 1).pmf(others))
    return float(np.mean(leaks))


def chance_of_ranking(candidates):
    """Mean reciprocal rank and share of first ranks where every rank is as likely."""
    ranks = range(1, candidates + 1)
    return sum(1 / rank for rank in ranks) / candidates, 1 / candidates


def bits(nats, units):
    """Bits for each of so many characters or tokens."""
    return math.log2(math.e) * sum(nats) / sum(units)


def membership(losses):
    """How many members were scored, and how often training saved more on one than on a test reply.

    For each pair of both: in nats a character of a reply's own messages, ties being half.
    """
    saved = defaultdict(float)
    for row in losses.itertuples():
        sign = {"base": 1, "tuned": -1}.get(row.model)
        if sign and row.own_chars:
            saved[row.split, row.id] += sign * row.own_nats / row.own_chars
    members, tested = (
        [value for (each, _), value in saved.items() if each == split]
        for split in ("train", "test")
    )
    won = [(a > b) + 0.5 * (a == b) for a in members for b in tested]
    return len(members), float(np.mean(won))


def places(ranks):
    """The place of the true reply in each context, from 1, by nats a character."""
    ranks_found = []
    for context, rows in ranks.groupby("context", sort=False):
        cost = dict(zip(rows["candidate"], rows["own_nats"] / rows["own_chars"], strict=True))
        ranks_found.append(1 + sum(value < cost[context] for value in cost.values()))
    return np.array(ranks_found)


def own_nats(model, tokenizer, row):
    """(nats, characters) of the messages in a row of table FORMATTED, one forward pass alone."""
    import torch

    read = tokenizer(row.text, add_special_tokens=False, return_offsets_mapping=True)
    ids = torch.tensor([read["input_ids"]])
    with torch.no_grad():
        logits = model(ids).logits[0].double()
    nats = -torch.log_softmax(logits[:-1], dim=-1)[torch.arange(ids.shape[1] - 1), ids[0, 1:]]
    spans = [span for span in row.spans if span["end"] > span["start"]]

    def kind(start, end):
        """Kind of the first span that overlaps the token; a lead gives way to the span after it."""
        touched = [span["kind"] for span in spans if span["start"] < end and start < span["end"]]
        return next((part for part in touched if part != "lead"), touched[0] if touched else "")

    own = [kind(*ends) == "message" for ends in read["offset_mapping"][1:]]
    characters = sum(s["end"] - s["start"] for s in spans if s["kind"] == "message")
    return float(nats[torch.tensor(own)].sum()), characters
