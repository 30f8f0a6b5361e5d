"""What the base and the tuned model do with the held-out examples: losses, ranks, replies.

Whatever needs a model runs here, once; `espejo.evaluation` turns the tables into numbers.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from espejo.core import tables
from espejo.core.tables import Turn
from espejo.dataset import canaries
from espejo.dataset.canaries import AuditConfig
from espejo.formatting.labels import IGNORED, Encoded, encode
from espejo.formatting.prompts import Prompter, trained_prompter
from espejo.model.config import GenerateConfig
from espejo.model.generation import generation_config, reply_all
from espejo.model.pair import ModelPair
from espejo.prediction import few_shot, losses
from espejo.prediction.candidates import candidates

TOGETHER = 32  # canaries behind one prompt at a time: the state of the prompt is copied for each
EXAMPLES = "examples"  # the base model with the nearest training examples in its prompt
HELD_OUT, PROMPT = "held_out", "prompt"  # kinds of what is answered, beside those out of scope


def spread(rows: pd.DataFrame, number: int) -> pd.DataFrame:
    """`number` of the `rows`, evenly from the first to the last; all where there are fewer."""
    places = np.linspace(0, len(rows) - 1, min(number, len(rows)))
    return rows.iloc[places.round().astype(int)]


def learnt_examples(
    examples: pd.DataFrame, texts: Sequence[str], manifest: Mapping
) -> pd.DataFrame:
    """`examples` (filtered) without the training replies that the model never came to.

    `texts` are the ids of all texts, each that of the first of its replies; the model's `manifest`
    names those from which it did not learn, because training ended or was best before.
    """
    text_of = examples["id"].where(examples["id"].isin(texts)).ffill()
    return examples[~text_of.isin(manifest.get("unlearnt", ()))].reset_index(drop=True)


def learnt_texts(
    examples: pd.DataFrame, loss: str, author: str, masked: frozenset[str]
) -> pd.DataFrame:
    """Table LEARNT: the texts that a model learnt from `examples` of the train split.

    The replies; with a `loss` over the whole text (params train.loss) also what others say before
    them, but for the people in `masked`, whose words are read and never learnt. An earlier turn of
    the author's is a reply of its own, or was dropped and is masked. A turn that stands before
    several replies is one text, so one that is said again in its session counts once.
    """
    texts = examples["reply"].tolist()
    if loss == "text":
        silent = {author, *masked}
        others = dict.fromkeys(
            (row.session, *turn["messages"])
            for row in examples.itertuples()
            for turn in row.context
            if turn["author"] not in silent
        )
        texts += [list(messages) for _, *messages in others]
    return pd.DataFrame({"messages": texts})


def own_characters(rows: pd.DataFrame) -> pd.Series:
    """Characters of the messages themselves in each reply of `rows` (of EXAMPLES)."""
    return rows["reply"].map(lambda messages: sum(map(len, messages))).astype(int)


@dataclass(frozen=True)
class Predictor:
    """A model before and after training, and the examples that it learnt and is tested on.

    Of the split train `examples` (table EXAMPLES) holds what was learnt, and not what the filter
    dropped. `config` is the params section predict, `generate` the section of that name.
    """

    pair: ModelPair
    examples: pd.DataFrame
    author: str
    config: Mapping
    generate: GenerateConfig

    @cached_property
    def prompter(self) -> Prompter:
        """The prompter with which the model was trained."""
        return trained_prompter(self.pair.tokenizer, self.pair.manifest)

    def split(self, name: str) -> pd.DataFrame:
        """The examples of one split."""
        return self.examples[self.examples["split"].eq(name)].reset_index(drop=True)

    def losses(self, formatted: pd.DataFrame) -> pd.DataFrame:
        """Table LOSSES: all test replies, as `formatted` has them, and some that were learnt.

        For the base model as it is, with examples in its prompt (test only; where none fits there
        are no rows: the base model as it is would pass for one with examples), and tuned.
        """
        test = self.split("test")
        parts = [*self._test_losses(formatted[formatted["split"].eq("test")])]
        with self.pair.base() as model:
            for name, before in self.shots(test).items():
                if any(before):
                    sums = self._sums(test, model, f"scoring base, {name}", before)
                    parts.append(_labelled(sums, test, name))
        train = self.split("train")
        train = spread(train[own_characters(train) > 0], self.config["membership_replies"])
        for name, model in self.pair.both():
            sums = self._sums(train, model, f"scoring {name}, train")
            parts.append(_labelled(sums, train, name))
        return pd.concat(parts, ignore_index=True)

    def _test_losses(self, formatted: pd.DataFrame) -> Iterator[pd.DataFrame]:
        """Of the test texts; all tokens of the first are scored, as the notebooks did."""
        whole = self.config["notebook_examples"]
        rows = [
            encode(self.pair.tokenizer, row.text, row.spans, "text" if at < whole else "reply")
            for at, row in enumerate(formatted.itertuples())
        ]
        for name, model in self.pair.both():
            found = losses.token_losses(model, rows, self.config["batch_tokens"], f"scoring {name}")
            # One pass over whole texts serves both: the replies' tokens are among all tokens.
            replies = losses.of_reply(found[:whole], rows[:whole]) + found[whole:]
            sums = losses.per_example(replies, rows, formatted["spans"])
            means = [loss.mean() for loss in found[:whole]]
            yield _labelled(sums, formatted, name, [*means, *[None] * (len(rows) - len(means))])

    def _sums(
        self,
        rows: pd.DataFrame,
        model: PreTrainedModel,
        label: str,
        before: Sequence[Sequence[Turn]] | None = None,
    ) -> pd.DataFrame:
        """`losses.per_example` of the replies of `rows`, each after its shots in `before`."""
        before = before or [()] * len(rows)
        written = [
            self.prompter.example(row.context, row.reply, self.author, row.group, turns)
            for row, turns in zip(rows.itertuples(), before, strict=True)
        ]
        encoded = [encode(self.pair.tokenizer, text, spans) for text, spans in written]
        found = losses.token_losses(model, encoded, self.config["batch_tokens"], label)
        return losses.per_example(found, encoded, [spans for _, spans in written])

    def shots(self, rows: pd.DataFrame) -> dict[str, list[list[Turn]]]:
        """The examples before each context of `rows`: the same for all, and the nearest."""
        train, k, most = self.split("train"), self.config["shots"], self.config["shot_chars"]
        same = few_shot.fixed(train, self.author, k, most, self.config["seed"])
        return {
            "same_examples": [same] * len(rows),
            "nearest_examples": few_shot.nearest(train, rows["context"], self.author, k, most),
        }

    def ranks(self) -> pd.DataFrame:
        """Table RANKS: in some test contexts, the true reply among others of the author's."""
        rows = self.split("test")
        rows = rows[own_characters(rows) > 0].reset_index(drop=True)
        places = candidates(
            rows["reply"].tolist(),
            rows["session"].tolist(),
            self.config["candidates"],
            self.config["seed"],
        )
        # Whole blocks: every reply of one is the true one once, which makes chance exact.
        block_of = [min(row) for row in places.tolist()]
        blocks = math.ceil(self.config["ranked_contexts"] / max(1, places.shape[1]))
        places = places[np.isin(block_of, list(dict.fromkeys(block_of))[:blocks])]
        asked = [self._candidates(rows, row) for row in places]
        ids, characters = rows["id"].to_numpy(), own_characters(rows).to_numpy()
        contexts = places[:, :1].ravel()
        parts = []
        for name, model in self.pair.both():
            found = losses.of_candidates(
                model, asked, self.config["batch_tokens"], f"ranking {name}"
            )
            part = {
                "context": ids[contexts].repeat(places.shape[1]),
                "session": rows["session"].to_numpy()[contexts].repeat(places.shape[1]),
                "candidate": ids[places.ravel()],
                "model": name,
                "own_nats": found.reshape(places.shape).ravel(),
                "own_chars": characters[places.ravel()],
            }
            parts.append(pd.DataFrame(part))
        return pd.concat(parts, ignore_index=True)

    def _candidates(self, rows: pd.DataFrame, places: Sequence[int]) -> list[Encoded]:
        """The replies at `places` behind the context of the first, labelled in their messages."""
        asked = rows.iloc[places[0]]
        written = [
            self.prompter.example(
                asked["context"], rows["reply"].iloc[at], self.author, asked["group"]
            )
            for at in places
        ]
        encoded = [encode(self.pair.tokenizer, text, spans) for text, spans in written]
        for row in encoded:
            row["labels"] = [
                label if kind == "message" else IGNORED
                for label, kind in zip(row["labels"], row["kinds"], strict=True)
            ]
        return encoded

    def canaries(self, audit: AuditConfig) -> pd.DataFrame:
        """Table CANARIES: the secrets that the params section `audit` planted, and decoys.

        The base model, which never saw them, is the control. No rows where none was planted.
        """
        if not audit.canaries:
            return pd.DataFrame(columns=tables.CANARIES.names)
        planted, decoys = canaries.drawn(audit)
        parts = []
        for role in canaries.ROLES:
            mine = [one for one in planted if one.role == role]
            rows = [self._canary(text, role) for text in [one.text for one in mine] + decoys]
            # Groups of one size: the last is filled with what is counted once.
            filled = rows + rows[-1:] * (-len(rows) % TOGETHER)
            asked = [filled[at : at + TOGETHER] for at in range(0, len(filled), TOGETHER)]
            for name, model in self.pair.both():
                found = losses.of_candidates(
                    model, asked, self.config["batch_tokens"], f"canaries {name}, {role}"
                ).ravel()[: len(rows)]
                times = [one.repetitions for one in mine] + [0] * len(decoys)
                part = {"role": role, "repetitions": times, "model": name, "nats": found}
                parts.append(pd.DataFrame(part))
        return pd.concat(parts, ignore_index=True)

    def _canary(self, text: str, role: str) -> Encoded:
        """The place in which a canary is planted, with the tokens of `text` labelled."""
        context, reply = canaries.place(text, role)
        if role == canaries.AUTHOR:
            written, spans = self.prompter.example(context, reply, self.author)
        else:
            prompt = self.prompter.prompt(context, self.author)
            (where,) = self.prompter.where([0], context, self.author)
            written, spans = prompt[: where["end"]], [{**where, "kind": "message"}]
        return encode(self.pair.tokenizer, written, spans)

    def answered(self) -> pd.DataFrame:
        """The held-out examples whose contexts are answered, spread evenly over time.

        They are of the test split. Only where it holds too few are some of the validation split
        before them, by which the state of the model was chosen that is examined here.
        """
        test, most = self.split("test"), self.config["generated_replies"]
        others = spread(self.split("validation"), max(0, most - len(test)))
        return pd.concat([others, spread(test, most)], ignore_index=True)

    def replies(self) -> pd.DataFrame:
        """Table REPLIES: to the fixed prompts and to the contexts of `answered`.

        Where no example fits the prompt, no model replies with examples.
        """
        rows = self.answered()
        kinds = {PROMPT: self.config["prompts"], **self.config["out_of_scope"]}
        fixed = [
            {"id": f"{kind}-{number}", "kind": kind, "prompt": text}
            for kind, texts in kinds.items()
            for number, text in enumerate(texts, 1)
        ]
        asked = pd.DataFrame(
            [*fixed, *({"id": id_, "kind": HELD_OUT, "prompt": None} for id_ in rows["id"])],
            columns=["id", "kind", "prompt"],
        )
        alone = [
            self.prompter.prompt([{"author": "", "messages": [one["prompt"]]}], self.author)
            for one in fixed
        ]

        def after(before: Sequence[Sequence[Turn]]) -> list[str]:
            return [
                self.prompter.prompt(row.context, self.author, row.group, turns)
                for row, turns in zip(rows.itertuples(), before, strict=True)
            ]

        plain, nearest = alone + after([()] * len(rows)), self.shots(rows)["nearest_examples"]
        parts = []
        with self.pair.base() as model:
            parts.append(self._replies(asked, plain, model, "base"))
            if any(nearest):
                # The fixed prompts have no context of the author's to help with.
                some = asked[asked["kind"].eq(HELD_OUT)]
                parts.append(self._replies(some, after(nearest), model, EXAMPLES))
        with self.pair.tuned() as model:
            parts.append(self._replies(asked, plain, model, "tuned"))
        return pd.concat(parts, ignore_index=True)

    def _replies(
        self, asked: pd.DataFrame, prompts: Sequence[str], model: PreTrainedModel, name: str
    ) -> pd.DataFrame:
        """A sampled reply to each of `prompts`, as rows of REPLIES for those in `asked`."""
        written = reply_all(
            model,
            self.pair.tokenizer,
            prompts,
            generation_config(self.pair.tokenizer, self.prompter.end, self.generate),
            self.prompter.stops,
            self.config["seed"],
            batch=self.config["reply_batch"],
            label=f"replying {name}",
        )
        return asked.assign(
            model=name,
            messages=[self.prompter.bubbles(reply.text) for reply in written],
            finished=[reply.finished for reply in written],
        )


def _labelled(
    sums: pd.DataFrame,
    rows: pd.DataFrame,
    name: str,
    text_means: Sequence[float | None] | None = None,
) -> pd.DataFrame:
    """`sums` of the replies of `rows` under one model, as rows of table LOSSES."""
    ids = rows[["id", "session", "split"]].reset_index(drop=True)
    means = pd.Series(text_means or [None] * len(rows), dtype="float64")
    return pd.concat([ids, sums], axis=1).assign(model=name, text_nats_per_token=means)
