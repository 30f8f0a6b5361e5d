"""What the chats hold, in numbers: how much text, how varied, whose, and whether it is enough.

Numbers only: people are `author`, `person_1`, `person_2` …, so that the result may go into git.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
import pandas as pd
import stopwordsiso

from espejo.core import fingerprints
from espejo.core.config import Count, Section, Word
from espejo.core.errors import UserError
from espejo.core.tables import FORWARDED
from espejo.core.text import LAUGHTER, fold, words
from espejo.privacy.people import People


class StatisticsConfig(Section):
    """What is counted and shown of the chats."""

    section = "statistics"
    top_words: Count
    languages: list[Word]
    people: Count


CountTokens = Callable[[Sequence[str]], Sequence[int]]

AUTHOR = "author"
_BATCH_MESSAGES = 10_000  # measured at a time

# Minimum training replies of each verdict; `SOURCES` of statistics/page.py has the references. They
# are round numbers from studies of other tasks: nobody has measured how many a chat style takes.
# 100: the minimum in studies of emails and of hosted models. 500: below it the split leaves some 60
# test replies, and in our run with 54 the intervals of base and tuned overlapped. 1,000: LIMA.
VERDICTS = {"too_few": 0, "few": 100, "fair": 500, "enough": 1000}

NOT_APPLICABLE = "not_applicable"

# Words that say little in a chat and are missing from stop word lists, which come from books and
# newspapers; the Spanish one has no voseo. Without accents and in small letters, as `fold` leaves
# words.
_SHORTENED = "q k d x xq pq porq xfa tb tmb tbn dps dsp desp ns nc bn tdo toy ta toi pa na hs fa"
_FILLING = """ja je ji ah aja aha ay uy uh oh eh ey epa mm mmm hmm mhm che bue buen bueh dale ok oka
    okey okis okay sip sep nop nah lol xd omg re gracias porfa"""
_VOSEO = "vos sos tenes podes queres sabes haces decis venis estas vas mira fijate anda"
_ENGLISH = """u ur im ill ive dont cant thats gonna wanna gotta yeah yep yup nope thx pls lmao
    haha"""
_FILLERS = frozenset(" ".join((_SHORTENED, _FILLING, _VOSEO, _ENGLISH)).split())
_LAUGHTER = re.compile(LAUGHTER)


def with_words(messages: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table MESSAGES that hold text of the person who sent it.

    Left out are those of people who withheld theirs, and what somebody forwarded or a program
    wrote.
    """
    of_nobody = messages["kind"].isin(["withheld", "forwarded"])
    return messages[~of_nobody & messages["text"].ne("")]


def numbered(messages: pd.DataFrame, people: People, limit: int) -> dict[str, str]:
    """Names to `author` and, for the `limit` people with most messages, `person_1`, `person_2` …

    All others have no group of their own, and count only in the whole.
    """
    counts = messages["author"].value_counts().drop(list(people.aliases), errors="ignore")
    ranked = sorted(counts.index, key=lambda name: (-counts[name], name))[:limit]
    numbers = {name: f"person_{number}" for number, name in enumerate(ranked, start=1)}
    return {**dict.fromkeys(sorted(people.aliases), AUTHOR), **numbers}


class TokenCounter:
    """Counts the tokens of messages, those of each different message once.

    A message occurs in up to five contexts, and in several tables. Known messages are kept as
    hashes with their counts: twelve bytes each.
    """

    def __init__(self, count_tokens: CountTokens) -> None:
        self._count_tokens = count_tokens
        self._hashes = np.zeros(0, np.uint64)  # of known messages, sorted
        self._tokens = np.zeros(0, np.int32)

    def tokens(self, messages: Sequence[str]) -> np.ndarray:
        """int32[n]: the number of tokens of each message by itself."""
        hashes = fingerprints.of_strings(messages)
        unknown = np.flatnonzero(~fingerprints.isin(hashes, self._hashes))
        new, first = np.unique(hashes[unknown], return_index=True)
        counts = self._count_tokens([messages[index] for index in unknown[first].tolist()])
        places = np.searchsorted(self._hashes, new)
        self._hashes = np.insert(self._hashes, places, new)
        self._tokens = np.insert(self._tokens, places, np.array(counts, np.int32))
        return self._tokens[np.searchsorted(self._hashes, hashes)]


class Measure:
    """How much text and how varied, of samples that are added some thousand at a time.

    A sample is one message or several.
    """

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._characters, self._words, self._tokens = ([np.zeros(0, np.int32)] for _ in range(3))
        # Hashes: of the words of each sample, and of each different word.
        self._keys, self._vocabulary = ([np.zeros(0, np.uint64)] for _ in range(2))

    def add(self, samples: Sequence[Sequence[str]]) -> None:
        """Add samples."""
        texts = [" ".join(sample) for sample in samples]
        words_of = fingerprints.of_words(texts)
        self._words.append(words_of.lengths.astype(np.int32))
        self._vocabulary.append(np.unique(words_of.hashes))
        wordless = np.flatnonzero(words_of.lengths == 0)
        keys = words_of.whole()
        keys[wordless] = fingerprints.of_strings(texts[index] for index in wordless.tolist())
        self._keys.append(keys)
        characters = [sum(map(len, sample)) for sample in samples]
        self._characters.append(np.array(characters, np.int32))
        tokens = self._counter.tokens(list(chain.from_iterable(samples)))
        sample = np.repeat(np.arange(len(samples)), list(map(len, samples)))
        sums = np.bincount(sample, tokens, len(samples))  # as floats, which hold them exactly
        self._tokens.append(sums.astype(np.int32))

    def numbers(self) -> dict[str, float]:
        """The numbers of all samples; for none, only that there are 0.

        Words are those of `core.text.words` (no punctuation, no emoji, no case), `duplicates` the
        samples that say the same words in the same order as an earlier one (as
        `duplicates.exact`), and vocabulary richness 100 * unique words / words: the longer the text
        the lower, so compare like with like.
        """
        characters, lengths, tokens = map(
            np.concatenate, (self._characters, self._words, self._tokens)
        )
        if not len(lengths):
            return {"samples": 0}
        different = len(np.unique(np.concatenate(self._keys)))
        unique, total = len(np.unique(np.concatenate(self._vocabulary))), int(lengths.sum())
        return {
            "samples": len(lengths),
            "duplicates": len(lengths) - different,
            "mean_characters": float(characters.mean()),
            "words": total,
            "mean_words": float(lengths.mean()),
            "p95_words": float(np.percentile(lengths, 95)),
            "unique_words": unique,
            "vocabulary_richness": 100 * unique / total if total else 0.0,  # percent
            "mean_tokens": float(tokens.mean()),
            "p95_tokens": float(np.percentile(tokens, 95)),
        }


def measured(texts: pd.Series, counter: TokenCounter) -> dict[str, float]:
    """The numbers of `Measure` over messages."""
    measure = Measure(counter)
    for start in range(0, len(texts), _BATCH_MESSAGES):
        measure.add([[text] for text in texts.iloc[start : start + _BATCH_MESSAGES]])
    return measure.numbers()


def of_messages(
    messages: pd.DataFrame, labels: dict[str, str], counter: TokenCounter
) -> dict[str, dict]:
    """`measured` over all messages and over those of each label of `labels`."""
    label = messages["author"].map(labels)
    groups = {
        name: measured(messages.loc[label.eq(name), "text"], counter)
        for name in dict.fromkeys(labels.values())
    }
    return {"all": measured(messages["text"], counter), **groups}


def of_apps(messages: pd.DataFrame, author: str, counter: TokenCounter) -> dict[str, dict]:
    """`of_messages` for each app that the messages (columns of CLEAN) are from."""
    columns = messages[["author", "text"]]
    return {
        str(app): of_messages(rows, {author: AUTHOR}, counter)
        for app, rows in columns.groupby(messages["app"])
    }


def of_examples(parts: Iterable[pd.DataFrame], counter: TokenCounter) -> dict[str, dict]:
    """The numbers of `Measure` over contexts with their replies (`all`), and over the author's
    replies, of a table EXAMPLES in parts."""
    whole_examples, replies = Measure(counter), Measure(counter)
    for part in parts:
        both = [
            [*chain.from_iterable(turn["messages"] for turn in context), *reply]
            for context, reply in zip(part["context"], part["reply"], strict=True)
        ]
        whole_examples.add(both)
        replies.add(part["reply"].tolist())
    return {"all": whole_examples.numbers(), AUTHOR: replies.numbers()}


def whole(
    cleaned: pd.DataFrame, filtered: Iterable[pd.DataFrame], author: str, counter: TokenCounter
) -> dict:
    """The numbers that belong to no step: replies by split, what is learnt from, days, shares.

    `filtered` is table EXAMPLES in parts (columns split and reply).
    """
    replies, tokens = dict.fromkeys(("train", "validation", "test"), 0), 0
    for part in filtered:
        for name in replies:
            replies[name] += int(part["split"].eq(name).sum())
        train = part.loc[part["split"].eq("train"), "reply"]
        tokens += int(counter.tokens(list(chain.from_iterable(train))).sum())
    return {
        "replies": replies,
        "training_tokens": tokens,
        "days": days(cleaned),
        "author_share": 100 * float(cleaned["author"].eq(author).mean()) if len(cleaned) else 0.0,
    }


def days(messages: pd.DataFrame) -> int:
    """Days from the first message to the last, both counted; 0 where the data have no times."""
    dates = messages["timestamp"].dropna().dt.normalize()
    return int((dates.max() - dates.min()).days + 1) if len(dates) else 0


def verdict(training_replies: int, kind: str = "chats") -> str:
    """The key of `VERDICTS` that this many training replies reach.

    The limits are for a person's style: other data than chats get NOT_APPLICABLE.
    """
    if kind != "chats":
        return NOT_APPLICABLE
    return [name for name, least in VERDICTS.items() if training_replies >= least][-1]


def stop_words(languages: Iterable[str]) -> frozenset[str]:
    """Words that say little in these languages (ISO 639-1 codes) and in chats, folded.

    The lists are Stopwords ISO's: unlike others they have single letters and spellings without
    accents, and come as one file in a package, so that nothing is fetched.
    """
    unknown = [language for language in languages if not stopwordsiso.has_lang(language)]
    if unknown:
        raise UserError(
            f"There is no list of stop words for {unknown[0]!r}: statistics.languages takes "
            f"{', '.join(sorted(stopwordsiso.langs()))}."
        )
    listed = {fold(word) for word in stopwordsiso.stopwords(languages)}
    return frozenset(listed | _FILLERS)


def written(messages: Iterable[str], pseudonyms: str | None) -> Iterator[str]:
    """The messages without what the pipeline put in: <URL> and the like, and pseudonyms.

    `pseudonyms` is params clean.pseudonyms ("PERSON_{n}"), None where names were kept.
    """
    names = re.escape(pseudonyms).replace(r"\{n\}", r"\d+") if pseudonyms else "(?!)"
    put_in = re.compile(rf"<[A-Z_]{{2,30}}>|{names}")
    return (put_in.sub(" ", message) for message in messages)


def own_messages(
    parts: Iterable[pd.DataFrame], author: str, pseudonyms: str | None
) -> list[list[str]]:
    """The author's messages of each turn, as `written`, and none of others' turns.

    `parts` are of table TURNS; what nobody wrote (tables.FORWARDED) has no row.
    """
    return [
        list(written(messages, pseudonyms)) if name == author else []
        for part in parts
        for name, messages in zip(part["author"], part["messages"], strict=True)
        if name != FORWARDED
    ]


def counted(messages: Iterable[str]) -> dict[str, int]:
    """Counts of words, the most frequent first, ties in alphabetical order."""
    counts = Counter(chain.from_iterable(map(words, messages)))
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def telling(counts: dict[str, int], stop: frozenset[str]) -> dict[str, int]:
    """`counted` without stop words (from `stop_words`), numbers and laughter."""
    return {word: n for word, n in counts.items() if _tells(fold(word), stop)}


def _tells(word: str, stop: frozenset[str]) -> bool:
    return not (word in stop or word.isdigit() or _LAUGHTER.fullmatch(word))
