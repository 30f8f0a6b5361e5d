"""Losses, ranks and replies of the base and the tuned model on the held-out examples.

Whatever needs a model runs here, once; `espejo.evaluation` turns the tables into numbers.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from espejo.core import tables
from espejo.core.tables import Turn
from espejo.dataset import canaries
from espejo.dataset.canaries import SET_ASIDE, AuditConfig
from espejo.formatting.labels import IGNORED, Encoded, encode
from espejo.formatting.prompts import Prompter, trained_prompter
from espejo.model.config import GenerateConfig
from espejo.model.generation import generation_config, reply_all
from espejo.model.pair import ModelPair
from espejo.prediction import few_shot, losses
from espejo.prediction.candidates import rankable
from espejo.prediction.config import PredictConfig

CANARY_BATCH = 32  # canaries scored at once after a prompt, whose state is copied for each of them
EXAMPLES = "examples"  # the base model with the nearest training examples in its prompt
RETRIEVED = "retrieved"  # no model: the answer of the nearest training question
HELD_OUT, PROMPT = "held_out", "prompt"  # kinds in table REPLIES, besides those out of scope


def evenly_spaced(rows: pd.DataFrame, number: int | None) -> pd.DataFrame:
    """`number` of the `rows`, evenly from the first to the last; all where it is None or higher."""
    indices = np.linspace(0, len(rows) - 1, len(rows) if number is None else min(number, len(rows)))
    return rows.iloc[indices.round().astype(int)]


def learnt_examples(
    examples: pd.DataFrame, text_ids: Sequence[str] | pd.Series, manifest: Mapping
) -> pd.DataFrame:
    """`examples` (filtered) without the training replies that the model was not trained on.

    Each text has the id of the first of its replies; `text_ids` are those of all texts. The model's
    `manifest` lists the texts that it did not learn from: training ended before them, or the best
    checkpoint came before them.
    """
    text_of = examples["id"].where(examples["id"].isin(text_ids)).ffill()
    unlearnt = text_of.isin(manifest.get("unlearnt", ())) & examples["split"].eq("train")
    return examples[~unlearnt].reset_index(drop=True)


def learnt_texts(
    examples: pd.DataFrame, loss: str, author: str, masked: frozenset[str]
) -> pd.DataFrame:
    """Table LEARNT: the texts that a model learnt from `examples` of the train split.

    The replies; with a `loss` over the whole text (params train.loss) also what others say before
    them, except for the people in `masked`, whose words are read but never learnt. An earlier turn
    of the author is a reply of its own, or was dropped and is masked. A turn before several replies
    is one text, so a turn that is repeated in its session counts once.
    """
    texts = examples["reply"].tolist()
    if loss == "text":
        unlearnt = {author, *masked}
        others = dict.fromkeys(
            (row.session, *turn["messages"])
            for row in examples.itertuples()
            for turn in row.context
            if turn["author"] not in unlearnt
        )
        texts += [list(messages) for _, *messages in others]
    return pd.DataFrame({"messages": texts})


def own_characters(rows: pd.DataFrame) -> pd.Series:
    """Characters of the messages themselves in each reply of `rows` (of EXAMPLES)."""
    return rows["reply"].map(lambda messages: sum(map(len, messages))).astype(int)


@dataclass(frozen=True)
class Predictor:
    """A model before and after training, and the examples it was trained and is tested on.

    The train split of `examples` (table EXAMPLES) holds what was learnt, without what the filter
    dropped. `config` and `generate` are the params sections predict and generate, `probes` is table
    PROBES, and with `retrieve_for_prompts` the fixed prompts are questions like those learnt, for
    which examples can be retrieved too.
    """

    pair: ModelPair
    examples: pd.DataFrame
    author: str
    config: PredictConfig
    generate: GenerateConfig
    probes: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["kind", "prompt"]))
    retrieve_for_prompts: bool = False

    @cached_property
    def prompter(self) -> Prompter:
        """The prompter with which the model was trained."""
        return trained_prompter(self.pair.tokenizer, self.pair.manifest)

    def split(self, name: str) -> pd.DataFrame:
        """The examples of one split."""
        return self.examples[self.examples["split"].eq(name)].reset_index(drop=True)

    def losses(self, formatted: pd.DataFrame) -> pd.DataFrame:
        """Table LOSSES: all test replies, as `formatted` has them, some that were learnt, and all
        that an audit set aside.

        For the base model, the base model with examples in its prompt (test split only) and the
        tuned model. If no example fits the prompt there are no rows with examples, since they would
        be those of the base model again.
        """
        test = self.split("test")
        parts = [*self._test_losses(formatted[formatted["split"].eq("test")])]
        with self.pair.base() as model:
            for name, shots in self.shots(test).items():
                if any(shots):
                    sums = self.sums(test, model, f"scoring base, {name}", shots)
                    parts.append(_loss_rows(sums, test, name))
        train = self.split("train")
        train = evenly_spaced(train[own_characters(train) > 0], self.config.membership_replies)
        rows = pd.concat([train, self.split(SET_ASIDE)], ignore_index=True)
        for name, model in self.pair.both():
            sums = self.sums(rows, model, f"scoring {name}, train")
            parts.append(_loss_rows(sums, rows, name))
        return pd.concat(parts, ignore_index=True)

    def _test_losses(self, formatted: pd.DataFrame) -> Iterator[pd.DataFrame]:
        """Of the test texts; all tokens of the first ones are scored, as in the notebooks."""
        whole = self.config.notebook_examples
        rows = [
            encode(self.pair.tokenizer, row.text, row.spans, "text" if index < whole else "reply")
            for index, row in enumerate(formatted.itertuples())
        ]
        for name, model in self.pair.both():
            label = f"scoring {name}"
            all_losses = losses.token_losses(model, rows, self.config.batch_tokens, label)
            # One pass over whole texts serves both: the replies' tokens are among all tokens.
            whole_losses, reply_losses = all_losses[:whole], all_losses[whole:]
            reply_losses = losses.of_reply(whole_losses, rows[:whole]) + reply_losses
            sums = losses.per_example(reply_losses, rows, formatted["spans"].tolist())
            means = [float(loss.mean()) for loss in whole_losses]
            unscored = [None] * (len(rows) - len(means))
            yield _loss_rows(sums, formatted, name, [*means, *unscored])

    def sums(
        self,
        rows: pd.DataFrame,
        model: PreTrainedModel,
        label: str,
        shots: Sequence[Sequence[Turn]] | None = None,
    ) -> pd.DataFrame:
        """`losses.per_example` of the replies of `rows`, each after its `shots`."""
        texts = [
            self.prompter.example(row.context, row.reply, self.author, row.group, turns)
            for row, turns in zip(rows.itertuples(), shots or [()] * len(rows), strict=True)
        ]
        encoded = [encode(self.pair.tokenizer, text, spans) for text, spans in texts]
        token_losses = losses.token_losses(model, encoded, self.config.batch_tokens, label)
        return losses.per_example(token_losses, encoded, [spans for _, spans in texts])

    def shots(self, rows: pd.DataFrame) -> dict[str, list[list[Turn]]]:
        """The examples before each context of `rows`: the same for all, and the nearest."""
        train, k, max_chars = self.split("train"), self.config.shots, self.config.shot_chars
        same = few_shot.fixed(train, self.author, k, max_chars, self.config.seed)
        return {
            "same_examples": [same] * len(rows),
            "nearest_examples": self._nearest(rows["context"].tolist()),
        }

    def _nearest(self, contexts: Sequence[Sequence[Turn]]) -> list[list[Turn]]:
        """The nearest training examples before each context."""
        train, k, max_chars = self.split("train"), self.config.shots, self.config.shot_chars
        by_answer = self.retrieve_for_prompts
        return few_shot.nearest(train, contexts, self.author, k, max_chars, by_answer)

    def ranks(self) -> pd.DataFrame:
        """Table RANKS: the true reply among others of the author's, in some test contexts."""
        rows, indices = rankable(self.examples, self.config)
        # Whole blocks: every reply in a block is the true one once, so that chance is exact.
        block_of = [min(row) for row in indices.tolist()]
        number = self.config.ranked_contexts
        blocks = None if number is None else math.ceil(number / max(1, indices.shape[1]))
        indices = indices[np.isin(block_of, list(dict.fromkeys(block_of))[:blocks])]
        encoded = [self._candidates(rows, row) for row in indices.tolist()]
        ids, characters = rows["id"].to_numpy(), own_characters(rows).to_numpy()
        contexts = indices[:, :1].ravel()
        parts = []
        for name, model in self.pair.both():
            label = f"ranking {name}"
            nats = losses.of_candidates(model, encoded, self.config.batch_tokens, label)
            columns = {
                "context": ids[contexts].repeat(indices.shape[1]),
                "session": rows["session"].to_numpy()[contexts].repeat(indices.shape[1]),
                "candidate": ids[indices.ravel()],
                "model": name,
                "own_nats": nats.reshape(indices.shape).ravel(),
                "own_chars": characters[indices.ravel()],
            }
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def _candidates(self, rows: pd.DataFrame, indices: Sequence[int]) -> list[Encoded]:
        """The replies at `indices` in the context of the first, labelled in their messages only."""
        example = rows.iloc[indices[0]]
        texts = [
            self.prompter.example(example["context"], reply, self.author, example["group"])
            for reply in rows["reply"].iloc[indices]
        ]
        encoded = [encode(self.pair.tokenizer, text, spans) for text, spans in texts]
        for row in encoded:
            row["labels"] = [
                label if kind == "message" else IGNORED
                for label, kind in zip(row["labels"], row["kinds"], strict=True)
            ]
        return encoded

    def canaries(self, audit: AuditConfig) -> pd.DataFrame:
        """Table CANARIES: the secrets that the params section `audit` planted, and decoys.

        The base model, which never saw them, is the control. No rows where none were planted.
        """
        if not audit.canaries:
            return pd.DataFrame(columns=tables.CANARIES.names)
        planted, decoys = canaries.drawn(audit)
        parts = []
        for role in canaries.ROLES:
            of_role = [canary for canary in planted if canary.role == role]
            texts = [canary.text for canary in of_role] + decoys
            repetitions = [canary.repetitions for canary in of_role] + [0] * len(decoys)
            rows = [self._canary(text, role) for text in texts]
            # Groups of equal size: the last one is filled up with copies, whose losses are dropped.
            filled = rows + rows[-1:] * (-len(rows) % CANARY_BATCH)
            groups = [filled[i : i + CANARY_BATCH] for i in range(0, len(filled), CANARY_BATCH)]
            for name, model in self.pair.both():
                label = f"canaries {name}, {role}"
                nats = losses.of_candidates(model, groups, self.config.batch_tokens, label)
                columns = {
                    "role": role,
                    "repetitions": repetitions,
                    "model": name,
                    "nats": nats.ravel()[: len(rows)],
                }
                parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def _canary(self, text: str, role: str) -> Encoded:
        """The place where canaries are planted, with the tokens of `text` labelled."""
        context, reply = canaries.place(text, role)
        if role == canaries.AUTHOR:
            return encode(self.pair.tokenizer, *self.prompter.example(context, reply, self.author))
        prompt = self.prompter.prompt(context, self.author)
        (span,) = self.prompter.where([0], context, self.author)
        return encode(self.pair.tokenizer, prompt[: span["end"]], [{**span, "kind": "message"}])

    def answered_examples(self) -> pd.DataFrame:
        """The held-out examples whose contexts are answered, spread evenly over time. They are of
        the test split. Some of the validation split are added only if there are too few, since it
        was used to choose the checkpoint that is evaluated here.
        """
        test, number = self.split("test"), self.config.generated_replies
        rest = None if number is None else max(0, number - len(test))
        validation = evenly_spaced(self.split("validation"), rest)
        return pd.concat([validation, evenly_spaced(test, number)], ignore_index=True)

    def replies(self) -> pd.DataFrame:
        """Table REPLIES: to the fixed prompts and in the contexts of `answered_examples`.

        If no training example fits the prompt, there are no replies with examples.
        """
        examples = self.answered_examples()
        texts_of_kind = {PROMPT: self.config.prompts, **self.config.out_of_scope}
        texts_of_kind |= self.probes.groupby("kind")["prompt"].agg(list).to_dict()
        fixed = [
            {"id": f"{kind}-{number}", "kind": kind, "prompt": text}
            for kind, texts in texts_of_kind.items()
            for number, text in enumerate(texts, 1)
        ]
        held_out = [{"id": id_, "kind": HELD_OUT, "prompt": None} for id_ in examples["id"]]
        rows = pd.DataFrame([*fixed, *held_out], columns=["id", "kind", "prompt"])
        questions = [[Turn(author="", messages=[row["prompt"]])] for row in fixed]
        contexts: list[list[Turn]] = [*questions, *examples["context"]]
        groups = [False] * len(fixed) + examples["group"].tolist()

        def prompts(start: int, shots: Sequence[Sequence[Turn]]) -> list[str]:
            return [
                self.prompter.prompt(context, self.author, group, turns)
                for context, group, turns in zip(
                    contexts[start:], groups[start:], shots, strict=True
                )
            ]

        all_prompts = prompts(0, [()] * len(contexts))
        # What people say to a bot has no like in their chats to retrieve; a question has.
        start = 0 if self.retrieve_for_prompts else len(fixed)
        nearest = self._nearest(contexts[start:])
        parts = []
        with self.pair.base() as model:
            parts.append(self._replies(rows, all_prompts, model, "base"))
            if any(nearest):
                answered = rows.iloc[start:]
                parts.append(self._replies(answered, prompts(start, nearest), model, EXAMPLES))
        if self.retrieve_for_prompts and any(nearest):
            answers = [shots[-1]["messages"] for shots in nearest]
            parts.append(rows.assign(model=RETRIEVED, messages=answers, finished=True))
        with self.pair.tuned() as model:
            parts.append(self._replies(rows, all_prompts, model, "tuned"))
        return pd.concat(parts, ignore_index=True)

    def _replies(
        self, rows: pd.DataFrame, prompts: Sequence[str], model: PreTrainedModel, name: str
    ) -> pd.DataFrame:
        """A sampled reply to each of `prompts`, in table REPLIES with the columns of `rows`."""
        replies = reply_all(
            model,
            self.pair.tokenizer,
            prompts,
            generation_config(self.pair.tokenizer, self.prompter.end, self.generate),
            self.prompter.stops,
            self.config.seed,
            batch=self.config.reply_batch,
            label=f"replying {name}",
        )
        return rows.assign(
            model=name,
            messages=[self.prompter.bubbles(reply.text) for reply in replies],
            finished=[reply.finished for reply in replies],
        )


def _loss_rows(
    sums: pd.DataFrame,
    rows: pd.DataFrame,
    name: str,
    text_means: Sequence[float | None] | None = None,
) -> pd.DataFrame:
    """`sums` of the replies of `rows` under the model `name`, as rows of table LOSSES."""
    ids = rows[["id", "session", "split"]].reset_index(drop=True)
    means = pd.Series(text_means or [None] * len(rows), dtype="float64")
    return pd.concat([ids, sums], axis=1).assign(model=name, text_nats_per_token=means)
