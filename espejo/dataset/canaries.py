"""The audit of a model's memory: invented secrets to find again, and replies that it never learns.

Canaries are invented secrets among the training examples (Carlini et al. 2019, The Secret Sharer).

They are planted only if the params section `audit` asks for them, in two roles: as a reply of the
author's, which is learnt, and as a partner's message, which is learnt only with a loss over whole
texts. `exposure` in `espejo.evaluation.memorization` measures whether they can be extracted. All
canaries of a role follow the same context and are scored after it: the attacker knows the question,
which is the worst case.

Sessions set aside are chosen at random from those of the train split and never learnt. Learnt and
set aside replies then differ in nothing but that, while test replies are also later in time: what
tells them apart may be the time (Duan et al. 2024, Do Membership Inference Attacks Work on Large
Language Models?; Meeus et al. 2024, SoK: Membership Inference Attacks on LLMs).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from espejo.core.config import Count, Section, Seed, Share, Some
from espejo.core.errors import UserError
from espejo.core.tables import EXAMPLES, Turn

AUTHOR, PARTNER = ROLES = ("author", "partner")
SET_ASIDE = "set_aside"  # the split of examples that would be of train
ASKS = "canary"  # whoever talks to the author there
_QUESTION = "¿cuál es el código?"


class AuditConfig(Section):
    """Which canaries are planted, and how much is set aside."""

    section = "audit"
    canaries: Count
    repetitions: list[Some]
    digits: Some
    num_decoys: Count
    set_aside: Share  # of the sessions of the train split, at random
    seed: Seed


@dataclass(frozen=True)
class Canary:
    """A sentence, who says it, and in how many training examples."""

    text: str
    role: str
    repetitions: int


def drawn(config: AuditConfig) -> tuple[list[Canary], list[str]]:
    """The canaries to plant, and the texts of decoys, which are never planted.

    All are different sentences of one space, drawn from the seed alone, so that the stage that
    plants them and the stage that scores them draw the same. Raises UserError when the space is too
    small.
    """
    kinds = [
        (role, repetitions)
        for role in ROLES
        for repetitions in config.repetitions
        for _ in range(config.canaries)
    ]
    digits, number = config.digits, len(kinds) + config.num_decoys
    if number > 10**digits:
        raise UserError(
            f"audit.digits is {digits}, which gives {10**digits:,} codes, and {number:,} are "
            "wanted: raise it, or lower audit.num_decoys."
        )
    codes = random.Random(config.seed).sample(range(10**digits), number)
    texts = [f"el código es {' '.join(f'{code:0{digits}d}')}" for code in codes]
    planted = [Canary(text, *kind) for text, kind in zip(texts, kinds, strict=False)]
    return planted, texts[len(kinds) :]


def place(text: str, role: str, answer: Sequence[str] = ()) -> tuple[list[Turn], list[str]]:
    """Context and reply with `text` in its role; `answer` is what the author says to a partner."""
    if role == AUTHOR:
        return [{"author": ASKS, "messages": [_QUESTION]}], [text]
    return [{"author": ASKS, "messages": [text]}], list(answer)


def planted(examples: pd.DataFrame, config: AuditConfig) -> pd.DataFrame:
    """The canaries as rows of table EXAMPLES, in the split train; none unless `config` asks.

    The author answers a partner's canary with a random training reply of `examples` (columns split
    and, where there are canaries, reply), so that nothing else new is learnt.
    """
    texts, _ = drawn(config)
    if not texts:
        return EXAMPLES.empty_table().to_pandas()
    answers = examples.loc[examples["split"].eq("train"), "reply"].tolist()
    chance = random.Random(config.seed)
    rows = []
    for number, canary in enumerate(texts):
        for time in range(canary.repetitions):
            context, reply = place(canary.text, canary.role, chance.choice(answers))
            rows.append(
                {
                    "id": f"canary{number}-{time}",
                    "chat": ASKS,
                    "session": -1,
                    "split": "train",
                    "group": False,
                    "context": context,
                    "reply": reply,
                }
            )
    return pd.DataFrame(rows, columns=EXAMPLES.names)


def set_aside(examples: pd.DataFrame, config: AuditConfig) -> pd.DataFrame:
    """Table EXAMPLES with a share of the sessions of train in the split SET_ASIDE.

    Drawn from the seed alone, so that the stage that leaves them out and the stage that scores them
    agree. Unchanged where the share is 0.
    """
    sessions = sessions_aside(examples, config)
    if not sessions:
        return examples
    aside = examples["split"].eq("train") & examples["session"].isin(sessions)
    return examples.assign(split=examples["split"].mask(aside, SET_ASIDE))


def sessions_aside(examples: pd.DataFrame, config: AuditConfig) -> frozenset[int]:
    """The sessions that `set_aside` sets aside; `examples` has the columns session and split."""
    sessions = sorted(examples.loc[examples["split"].eq("train"), "session"].unique().tolist())
    number = round(config.set_aside * len(sessions))
    return frozenset(random.Random(config.seed).sample(sessions, number))
