"""What the chats hold, in numbers: how much text, how varied, whose, and whether it is enough.

Numbers only: people are `author`, `person_1`, `person_2` …, so that the result may go into git.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import numpy as np
import pandas as pd
import stopwordsiso

from espejo.core.config import Count, Section, Word
from espejo.core.errors import UserError
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


class Cutter:
    """Cuts messages into words and counts their tokens, each different message once.

    A message occurs in up to five contexts, and in several tables.
    """

    def __init__(self, count_tokens: CountTokens) -> None:
        self._count_tokens = count_tokens
        self._words: dict[str, list[str]] = {}
        self._tokens: dict[str, int] = {}

    def learn(self, messages: Iterable[str]) -> None:
        """Cut those of the messages that are new."""
        new = [message for message in dict.fromkeys(messages) if message not in self._words]
        self._words.update((message, words(message)) for message in new)
        self._tokens.update(zip(new, self._count_tokens(new), strict=True))

    def words(self, messages: Iterable[str]) -> list[str]:
        """The words of messages that `learn` has cut, in order."""
        return list(chain.from_iterable(self._words[message] for message in messages))

    def tokens(self, messages: Iterable[str]) -> int:
        """The number of tokens of messages that `learn` has cut, each by itself."""
        return sum(self._tokens[message] for message in messages)


def measured(samples: Sequence[Sequence[str]], cut: Cutter) -> dict[str, float]:
    """How much text and how varied; for no text, only that there are 0 samples.

    A sample is one message or several. Words are those of `core.text.words` (no punctuation, no
    emoji, no case), `duplicates` the samples that say the same words in the same order as an
    earlier one (as `duplicates.exact`), and vocabulary richness 100 * unique words / words: the
    longer the text the lower, so compare like with like.
    """
    if not samples:
        return {"samples": 0}
    cut.learn(chain.from_iterable(samples))
    texts = [cut.words(sample) for sample in samples]
    keys = {
        " ".join(words_of) or " ".join(sample)
        for words_of, sample in zip(texts, samples, strict=True)
    }
    lengths = np.array([len(words_of) for words_of in texts])
    tokens = np.array([cut.tokens(sample) for sample in samples])
    unique, total = len(set(chain.from_iterable(texts))), int(lengths.sum())
    return {
        "samples": len(samples),
        "duplicates": len(samples) - len(keys),
        "mean_characters": float(np.mean([sum(map(len, sample)) for sample in samples])),
        "words": total,
        "mean_words": float(lengths.mean()),
        "p95_words": float(np.percentile(lengths, 95)),
        "unique_words": unique,
        "vocabulary_richness": 100 * unique / total if total else 0.0,  # percent
        "mean_tokens": float(tokens.mean()),
        "p95_tokens": float(np.percentile(tokens, 95)),
    }


def of_messages(messages: pd.DataFrame, labels: dict[str, str], cut: Cutter) -> dict[str, dict]:
    """`measured` over all messages and over those of each label of `labels`."""
    label = messages["author"].map(labels)
    groups = {name: messages.loc[label.eq(name), "text"] for name in dict.fromkeys(labels.values())}
    return {
        name: measured([[text] for text in texts], cut)
        for name, texts in {"all": messages["text"], **groups}.items()
    }


def of_apps(messages: pd.DataFrame, author: str, cut: Cutter) -> dict[str, dict[str, dict]]:
    """`of_messages` for each app that the messages (columns of CLEAN) are from."""
    return {
        str(app): of_messages(rows, {author: AUTHOR}, cut) for app, rows in messages.groupby("app")
    }


def of_examples(examples: pd.DataFrame, cut: Cutter) -> dict[str, dict]:
    """`measured` over contexts with their replies (`all`), and over the author's replies."""
    both = [
        [*chain.from_iterable(turn["messages"] for turn in context), *reply]
        for context, reply in zip(examples["context"], examples["reply"], strict=True)
    ]
    return {"all": measured(both, cut), AUTHOR: measured(list(examples["reply"]), cut)}


def whole(cleaned: pd.DataFrame, filtered: pd.DataFrame, author: str, cut: Cutter) -> dict:
    """The numbers that belong to no step: replies by split, what is learnt from, days, shares."""
    train = filtered.loc[filtered["split"].eq("train"), "reply"]
    splits = filtered["split"].value_counts()
    return {
        "replies": {name: int(splits.get(name, 0)) for name in ("train", "validation", "test")},
        "training_tokens": sum(cut.tokens(reply) for reply in train),
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


def written(messages: Iterable[str], pseudonyms: str | None) -> list[str]:
    """The messages without what the pipeline put in: <URL> and the like, and pseudonyms.

    `pseudonyms` is params clean.pseudonyms ("PERSON_{n}"), None where names were kept.
    """
    names = re.escape(pseudonyms).replace(r"\{n\}", r"\d+") if pseudonyms else "(?!)"
    put_in = re.compile(rf"<[A-Z_]{{2,30}}>|{names}")
    return [put_in.sub(" ", message) for message in messages]


def counted(messages: Iterable[str]) -> dict[str, int]:
    """Counts of words, the most frequent first, ties in alphabetical order."""
    counts = Counter(chain.from_iterable(map(words, messages)))
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def telling(counts: dict[str, int], stop: frozenset[str]) -> dict[str, int]:
    """`counted` without stop words (from `stop_words`), numbers and laughter."""
    return {word: n for word, n in counts.items() if _tells(fold(word), stop)}


def _tells(word: str, stop: frozenset[str]) -> bool:
    return not (word in stop or word.isdigit() or _LAUGHTER.fullmatch(word))
