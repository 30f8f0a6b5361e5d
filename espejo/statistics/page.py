"""reports/statistics.md: it quotes words and names, so it is never in git."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from espejo.core import escaping
from espejo.statistics.measures import VERDICTS


class Phrases(NamedTuple):
    """What the page calls things in data of one kind."""

    title: str
    private: str
    learnt: str  # who or what is learnt
    others: str
    learnt_share: str  # "12 % of them are …"
    replies: str
    own_words: str
    everybody: str
    each: str  # heading above the writers one by one
    words_alt: str  # of the picture


PHRASES = {
    "chats": Phrases(
        title="What the chats hold",
        private="This page quotes words and names people: it is not for git.",
        learnt="the author",
        others="the others",
        learnt_share="the author's",
        replies="Replies of the author",
        own_words="The author's own words. A *reply* is all messages of a turn",
        everybody="Everybody's; a reply with the turns before it, as the model is given it.",
        each="Person by person",
        words_alt="The author's words",
    ),
    "dialogues": Phrases(
        title="What the dialogues hold",
        private="This page quotes the dialogues: git ignores it.",
        learnt="speaker B",
        others="speaker A",
        learnt_share="speaker B's",
        replies="Replies",
        own_words="Speaker B's words. A *reply* is all that is said in a turn (with "
        "`data.learnt: both`, of speaker A too)",
        everybody="Both speakers'; a reply with the turns before it, as the model is given it.",
        each="Speaker by speaker",
        words_alt="Speaker B's words",
    ),
    "questions": Phrases(
        title="What the questions and answers hold",
        private="This page quotes the questions and answers: git ignores it.",
        learnt="the answers",
        others="the questions",
        learnt_share="answers",
        replies="Answers",
        own_words="The answers",
        everybody="Questions and answers; each answer with its question, as the model is given it.",
        each="Questions and answers",
        words_alt="The words of the answers",
    ),
}

# What to expect at each verdict of `statistics.VERDICTS`, and what to do about it.
EXPECTED = {
    "too_few": "train to see it run; what comes out says little, and the test even less",
    "few": "expect the surface (length, capitals, punctuation, how laughter is written) more than "
    "what the author would say; the test is so small that the intervals of base and tuned may "
    "overlap",
    "fair": "expect the surface and favourite words; the test should tell base from tuned, but "
    "not one setting from a similar one",
    "enough": "expect as much style as the model has language for",
}
ADVICE = {
    "too_few": "Add chats: other conversations, or older exports of the same.",
    "few": "Add chats if you have them. If not, judge by the paired `gain` in `metrics/eval.json` "
    "and by reading `reports/samples.md`.",
    "fair": "Go on; more chats still help. Try two seeds before you believe a small difference.",
    "enough": "Go on; from here a model that knows the language better is worth more than a few "
    "more chats.",
}
SOURCES = (
    "Zhou et al., *LIMA: Less Is More for Alignment* (NeurIPS 2023): 1,000 chosen examples taught "
    "a way of answering; the model had 65 billion parameters, and the examples were long.",
    "Nicolicioiu et al., *Panza: Design and Analysis of a Fully-Local Personalized Text Writing "
    "Assistant* (arXiv:2407.10994, 2024): under 100 emails of one person gave imitations that "
    "convince; with larger models, retrieval, and emails, which are far longer than a reply.",
    "OpenAI, guide to supervised fine-tuning: improvements from 50 to 100 examples on, though "
    "it varies greatly with the use.",
    "Liu, Diddee and Ippolito, *Customizing Large Language Model Generation Style using "
    "Parameter-Efficient Finetuning* (arXiv:2409.04574, 2024): LoRA brings words and surface close "
    "to the author's; meant for people with 1,000 to 50,000 tokens of their own.",
    "Zhang et al., *When Scaling Meets LLM Finetuning* (ICLR 2024): the loss falls with a power of "
    "the amount of data, so that no limit is a step; a larger base model helps more.",
    "Our own runs (docs/real-chats.md and docs/training-cost.md, SmolLM2-135M): 355 training "
    "replies of a public support chat gained 0.16 bits per character [0.13, 0.22], with 54 test "
    "replies on which the intervals of base and tuned overlap; 656 of the demo gained 0.458 "
    "[0.435, 0.480]. The two chats differ in more than their size: this is no curve.",
)
_ROWS = {
    "samples": "samples",
    "duplicates": "said again (exact duplicates)",
    "mean_characters": "characters, mean",
    "words": "words",
    "mean_words": "words, mean",
    "p95_words": "words, 95th percentile",
    "unique_words": "unique words",
    "vocabulary_richness": "vocabulary richness, %",
    "mean_tokens": "tokens, mean",
    "p95_tokens": "tokens, 95th percentile",
}


def page(
    numbers: Mapping,
    names: Mapping[str, str],
    words: Mapping[str, Mapping[str, int]],
    telling: Mapping[str, Mapping[str, int]],
    top: int,
    kind: str = "chats",
) -> str:
    """The Markdown page.

    `numbers` are those of metrics/statistics.json; `names` maps its labels to the people's names;
    `words` and `telling` map column heads to the results of `measures.counted` and
    `measures.telling`, of which the first `top` are printed; `kind` is that of the data.
    """
    whole, read, phrases = numbers["whole"], numbers["formatted"], PHRASES[kind]
    steps = ("raw", "clean", "examples", "filtered")
    source = "as exported" if kind == "chats" else "as read"
    heads = (source, "clean", "replies", "replies after the filter")
    days = f" in {whole['days']:,} days" if whole["days"] else " (the data have no times)"
    left_out = (
        " Messages withheld in `people.yaml` count nowhere, nor does what was forwarded or written "
        "by a program."
    )
    return "\n\n".join(
        [
            f"# {phrases.title}",
            f"{phrases.private} The numbers alone are in `metrics/statistics.json` and in the "
            "pictures of `plots/`.",
            f"{numbers['clean']['all']['samples']:,} messages{days}, "
            f"{whole['author_share']:.0f} % of them {phrases.learnt_share}. {phrases.replies}: "
            f"{whole['replies']['train']:,} for training, {whole['replies']['validation']:,} for "
            f"validation, {whole['replies']['test']:,} for the test.",
            "## Is it enough?",
            *(_enough(numbers) if kind == "chats" else _no_verdict(whole, phrases)),
            f"## From the {'export' if kind == 'chats' else 'data'} to what is learnt",
            f"{phrases.own_words}; those for validation and test are never filtered.",
            measures(heads, [numbers[step].get("author", {}) for step in steps]),
            phrases.everybody,
            measures(
                (source, "clean", "with context", "with context, after the filter"),
                [numbers[step]["all"] for step in steps],
            ),
            f"In the form that the model reads: {_number(read.get('mean_tokens'))} tokens an "
            f"example in the mean, {_number(read.get('p95_tokens'))} at the 95th percentile.",
            "Words are counted without punctuation, emoji and case. A text is *said again* when it "
            "has the same words in the same order as an earlier one. *Vocabulary richness* is "
            "unique words by words: it falls the more there is, so compare people who wrote as "
            "much. Tokens are those of the model's tokenizer."
            f"{left_out if kind == 'chats' else ''}",
            *_by_app(numbers["apps"], phrases),
            f"## {phrases.each}",
            "Messages after cleaning.",
            measures(
                tuple(f"{name} ({label})" for label, name in names.items()),
                [numbers["clean"][label] for label in names],
            ),
            "## The words they use",
            "All of them:",
            ranking(words, top),
            "Without stop words, chat fillers, laughter and numbers:",
            ranking(telling, top),
            f"![{phrases.words_alt}](wordcloud.png)",
        ]
    )


def _enough(numbers: Mapping) -> list[str]:
    """What to expect of so many replies of a person."""
    verdict, whole = numbers["verdict"], numbers["whole"]
    limits = list(VERDICTS.items())
    over = [*(f"{most - 1:,}" for _, most in limits[1:]), None]
    return [
        f"**{whole['replies']['train']:,} replies for training, "
        f"{whole['training_tokens']:,} tokens of the author's own: "
        f"{EXPECTED[verdict]}.** {ADVICE[verdict]}",
        _table(
            ("replies for training", "what to expect"),
            [
                (f"{least:,} – {end}" if end else f"from {least:,}", EXPECTED[name])
                for (name, least), end in zip(limits, over, strict=True)
            ],
        ),
        "These limits are round numbers between sources that measured other things, and may "
        "well be off by a factor of two or three: lower with a model that knows the language, "
        "higher with replies of one word. What your run gained is in `metrics/eval.json`, with "
        "its interval. The sources:",
        "\n".join(f"- {source}" for source in SOURCES),
    ]


def _no_verdict(whole: Mapping, phrases: Phrases) -> list[str]:
    """Why data that is not a person's gets no verdict."""
    return [
        f"{phrases.replies} for training: {whole['replies']['train']:,}, with "
        f"{whole['training_tokens']:,} tokens. "
        "No verdict is given: the limits that espejo knows are for learning how one person writes, "
        "and say nothing about dialogues or answers. What your run gained is in "
        "`metrics/eval.json`, with its interval."
    ]


def _by_app(apps: Mapping[str, Mapping[str, Mapping]], phrases: Phrases) -> list[str]:
    """A table per app, where there are two or more."""
    if len(apps) < 2:
        return []
    parts = ["## App by app", "Messages after cleaning."]
    for app, columns in apps.items():
        heads = "everybody", phrases.learnt
        parts += [f"### {app}", measures(heads, [columns["all"], columns["author"]])]
    return parts


def measures(heads: Sequence[str], columns: Sequence[Mapping[str, float]]) -> str:
    """Results of `statistics.measured` side by side, a dash where there is nothing to measure."""
    rows = [
        (name, *(_number(column.get(key)) for column in columns)) for key, name in _ROWS.items()
    ]
    return _table(("", *heads), rows)


def ranking(columns: Mapping[str, Mapping[str, int]], top: int) -> str:
    """The first `top` words of each column with their counts."""
    ranked = [[f"{word} ({n:,})" for word, n in counts.items()] for counts in columns.values()]
    rows = [
        (str(place + 1), *(column[place] if place < len(column) else "" for column in ranked))
        for place in range(min(top, max(map(len, ranked))))
    ]
    return _table(("", *columns), rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of texts, with everything that people wrote escaped."""
    head, *body = ([escaping.markdown(cell) for cell in line] for line in [heads, *rows])
    return escaping.table(head, body)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
