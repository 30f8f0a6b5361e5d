"""Replies of one session in one training text, so that what they share is read once.

The context of a reply contains nearly all of the context of the reply before it. Learnt one by one,
each turn of a chat goes through the model three times; in one text, where every reply is learnt in
its place, only once. A later reply of a text then has more than `group.history` turns before it.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

import pandas as pd

from espejo.core.tables import FORMATTED, Span, Turn
from espejo.dataset import leaks
from espejo.formatting.prompts import Prompter, trim


def training_texts(
    examples: pd.DataFrame,
    prompter: Prompter,
    author: str,
    read_only: Collection[str],
    limit: int,
    masked: Collection[leaks.Saying] = (),
) -> pd.DataFrame:
    """`examples` (tables.EXAMPLES) as texts (tables.FORMATTED) of up to `limit` replies each.

    A reply joins the text of the one before it in its session if that text is exactly a prefix of
    its own: not with a template that writes earlier turns differently, or a context above the limit
    of characters. The words of the people in `read_only`, and those of the turns in `masked`
    (leaks.unlearnt), are marked as never learnt. A text has the id of its first reply.
    """
    rows: list[dict] = []
    written: list[Turn] = []  # the turns in the last text of `rows`
    replies = 0
    for row in examples.itertuples():
        context, text, spans = list(row.context), "", list[Span]()
        joined = bool(rows) and rows[-1]["session"] == row.session and replies < limit
        if joined:
            longer = continued(written, context)
            text, spans = prompter.example(longer, row.reply, author, row.group)
            whole = trim(longer, prompter.max_context_chars) == longer
            goes_on = longer[: len(written)] == written and text.startswith(rows[-1]["text"])
            joined = goes_on and whole
        if joined:
            context, spans, replies = longer, rows[-1]["spans"] + spans, replies + 1
        else:
            text, spans = prompter.example(context, row.reply, author, row.group)
            replies = 1
            rows.append({"id": row.id, "session": row.session, "split": row.split})
        rows[-1] |= {"text": text, "spans": spans, "context": context, "group": row.group}
        written = [*context, {"author": author, "messages": list(row.reply)}]
    for row in rows:
        context = row.pop("context")
        indices = [
            index
            for index, turn in enumerate(context)
            if turn["author"] in read_only or leaks.saying(row["session"], turn) in masked
        ]
        row["masked"] = prompter.where(indices, context, author, row.pop("group"))
    return pd.DataFrame(rows, columns=FORMATTED.names)


def texts_in_parts(
    parts: Iterable[pd.DataFrame],
    planted: pd.DataFrame,
    prompter: Prompter,
    author: str,
    read_only: Collection[str],
    limit: int,
    held_out: leaks.HeldOut | None,
) -> Iterator[pd.DataFrame]:
    """The `training_texts` of examples in parts of whole sessions, and of canaries `planted`.

    First come train and validation, in texts of up to `limit` replies, with the turns masked that
    are not to be learnt for `held_out` (None: all are learnt); then the canaries; then test, whose
    replies are scored one by one, each after the context that it has in a chat.
    """
    tests = []
    for part in parts:
        tested = part["split"].eq("test")
        tests.append(part[tested])
        masked = leaks.unlearnt(part, author, held_out) if held_out else set()
        yield training_texts(part[~tested], prompter, author, read_only, limit, masked)
    yield training_texts(planted, prompter, author, read_only, limit)
    for part in tests:
        yield training_texts(part, prompter, author, read_only, 1)


def continued(turns: Sequence[Turn], context: Sequence[Turn]) -> list[Turn]:
    """`turns` followed by the new turns of `context`, which overlap: a suffix of `turns` is a
    prefix of `context`. If they do not overlap, `context` alone.
    """
    for shared in range(min(len(turns), len(context)), 0, -1):
        if list(turns[-shared:]) == list(context[:shared]):
            return [*turns, *context[shared:]]
    return list(context)
