"""From what base and tuned model wrote to the numbers of metrics/eval.json: no model needed here.

`replies` is the table REPLIES, `rows` the held-out examples (validation and test) that were
answered, in any order; `wanted` the params section evaluate.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from espejo.evaluation import habits, memorization, style, two_sample
from espejo.privacy import pii

MODELS = ("base", "examples", "tuned")  # examples: the base model with some in its prompt
REFUSES = re.compile(
    r"\bno (?:puedo|te puedo|voy a|quiero|debo|te (?:lo |la )?(?:voy a|paso|digo))\b|\bni loc[ao]\b"
    r"|\bni en pedo\b|\bi (?:can(?:no|')?t|won'?t|will not)\b|\bsorry\b|\bperdón\b|\blo siento\b",
    re.IGNORECASE,
)
TAGS = re.compile(r"\[(?:OTRO|YO|author|/?INST)\]|<\|?[a-z_]+\|?>|###|<<SYS>>", re.IGNORECASE)


def answers(replies: pd.DataFrame, model: str, ids: Sequence[str]) -> list[list[str]]:
    """What `model` answered to each of `ids`, as lists of messages."""
    said = replies[replies["model"] == model].set_index("id")["messages"]
    return said.loc[list(ids)].tolist()


def sound(
    replies: pd.DataFrame,
    rows: pd.DataFrame,
    turns: pd.DataFrame,
    author: str,
    wanted: Mapping,
) -> dict[str, dict | int]:
    """Does it sound like the author: author score, told apart from the real replies, habits.

    And on how many `rows` that was measured, how many of them are of the test split, and how many
    sessions they lie in. Who wrote nothing (there may be no examples for the prompt) has no score.
    """
    ids, sessions, real = rows["id"], rows["session"].tolist(), rows["reply"].tolist()
    there = [name for name in MODELS if replies["model"].eq(name).any()]
    missing = {name: {"n": 0, "interval": "too few"} for name in MODELS if name not in there}
    written = {name: answers(replies, name, ids) for name in there}
    sources = {name: style.Replies(said, sessions) for name, said in written.items()}
    mine = turns[(turns["author"] == author) & (turns["split"] == "train")]
    finished = replies.set_index(["model", "id"])["finished"]
    return {
        "replies": len(rows),
        "from_test": int(rows["split"].eq("test").sum()),
        "sessions": int(rows["session"].nunique()),
        "author_score": {
            **style.author_score(turns, author, sources, dict(wanted)),
            **{name: {**nothing, "bundles": 0} for name, nothing in missing.items()},
        },
        "told_apart": {
            **{
                n: two_sample.told_apart(real, said, sessions, wanted)
                for n, said in written.items()
            },
            **missing,
        },
        "habits": {
            name: habits.habits(
                real,
                said,
                (~finished.loc[name].loc[ids]).tolist(),
                mine["messages"].tolist(),
                mine["session"].tolist(),
                wanted["seed"],
            )
            for name, said in written.items()
            if name in ("base", "tuned")
        },
    }


def taught(
    trained_on: pd.DataFrame, loss: str, author: str, unlearnt: Collection[str]
) -> list[list[str]]:
    """The texts that a model learnt from the examples that it was `trained_on`, as messages.

    The replies; with a `loss` over the whole text (params train.loss) also what others say before
    them, but for the people in `unlearnt`, whose words are masked. An earlier turn of the author's
    is a reply of its own, or was dropped and is masked. A turn that stands before several replies
    is one text, so one that is said again in its session counts once.
    """
    texts = trained_on["reply"].tolist()
    if loss == "text":
        silent = {author, *unlearnt}
        others = dict.fromkeys(
            (row.session, *turn["messages"])
            for row in trained_on.itertuples()
            for turn in row.context
            if turn["author"] not in silent
        )
        texts += [list(messages) for _, *messages in others]
    return texts


def said_by_others(turns: pd.DataFrame, author: str) -> list[list[str]]:
    """The turns of the train split (of table TURNS) that are not the author's."""
    return turns[turns["split"].eq("train") & turns["author"].ne(author)]["messages"].tolist()


def known_by_heart(
    replies: pd.DataFrame,
    rows: pd.DataFrame,
    learnt: Sequence[Sequence[str]],
    membership: Mapping,
    wanted: Mapping,
    others: Sequence[Sequence[str]] = (),
) -> dict[str, dict]:
    """Is it safe to share: what was copied, membership, personal data, and the verdict.

    `learnt` is what `taught` gives, `others` what `said_by_others` does. Personal data is looked
    for in the replies to the fixed prompts as well, some of which ask for it.
    """
    contexts = [*map(memorization.before, rows["context"])]
    said, own = answers(replies, "tuned", rows["id"]), rows["reply"].tolist()
    copied = memorization.beyond_own(
        said, own, contexts, learnt, rows["session"].tolist(), dict(wanted), others
    )
    fixed = replies[replies["model"].eq("tuned") & ~replies["id"].isin(rows["id"])]["messages"]
    everything, asked = [*said, *fixed], contexts + [""] * len(fixed)
    personal = memorization.personal(
        everything, asked, learnt, lambda text: [found.text for found in pii.find(text)]
    )
    measured = {**copied, "membership": membership, "personal_data": personal}
    verdict = memorization.verdict(
        {**measured, "personal_data": personal["learnt"]}, wanted["sharing_limits"]
    )
    return {"replies": len(rows), **measured, **verdict}


def outside(replies: pd.DataFrame, kinds: Mapping[str, Sequence[str]]) -> dict[str, dict]:
    """Out of place: for each kind of prompt what base and tuned did, as counts of replies."""
    table: dict[str, dict] = {}
    for kind, prompts in kinds.items():
        ids = [f"{kind}-{number}" for number in range(1, len(prompts) + 1)]
        for name in ("base", "tuned"):
            said = [" ".join(messages) for messages in answers(replies, name, ids)]
            table.setdefault(kind, {})[name] = {
                "replies": len(said),
                "refused": sum(bool(REFUSES.search(text)) for text in said),
                "personal_data": sum(bool(pii.find(text)) for text in said),
                "tag": sum(bool(TAGS.search(text)) for text in said),
                "other_script": sum(map(_foreign, said)),
            }
    return table


def _foreign(text: str) -> bool:
    """Whether more than a fifth of the letters are of another script than ours."""
    letters = [letter for letter in text if letter.isalpha()]
    other = [letter for letter in letters if not unicodedata.name(letter, "").startswith("LATIN")]
    return len(other) > 0.2 * len(letters)
