"""The questions that are put to a model before and after training, and what it answers.

Whatever needs the model runs here, once; `espejo.evaluation` turns the answers into numbers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from espejo.core.tables import Turn
from espejo.dataset import canaries
from espejo.dataset.canaries import AuditConfig
from espejo.evaluation import likelihood, memorization, relevance
from espejo.formatting.labels import IGNORED, Encoded, encode
from espejo.formatting.prompts import Prompter, prompter
from espejo.model.generation import Reply, reply_all, settings
from espejo.model.loading import Mirror
from espejo.prediction import few_shot

TOGETHER = 32  # canaries behind one prompt at a time: the state of the prompt is copied for each
EXAMPLES = "examples"  # the base model with the nearest training examples in its prompt


def spread(rows: pd.DataFrame, number: int) -> pd.DataFrame:
    """`number` of the `rows`, evenly from the first to the last; all where there are fewer."""
    places = np.linspace(0, len(rows) - 1, min(number, len(rows)))
    return rows.iloc[places.round().astype(int)]


def learnt(examples: pd.DataFrame, texts: Sequence[str], facts: Mapping) -> pd.DataFrame:
    """`examples` (filtered) without the training replies that the model never came to.

    `texts` are the ids of all texts, each that of the first of its replies; `facts` of the model
    name those from which it did not learn, because training ended or was best before.
    """
    text_of = examples["id"].where(examples["id"].isin(texts)).ffill()
    return examples[~text_of.isin(facts.get("unlearnt", ()))].reset_index(drop=True)


def own_characters(rows: pd.DataFrame) -> pd.Series:
    """Characters of the messages themselves in each reply of `rows` (of EXAMPLES)."""
    return rows["reply"].map(lambda said: sum(map(len, said))).astype(int)


@dataclass(frozen=True)
class Exam:
    """A model, the table EXAMPLES it was trained and is tested on, and the params `evaluate`.

    Of the split train `table` holds what was `learnt`, and not what the filter dropped.
    """

    mirror: Mirror
    table: pd.DataFrame
    author: str
    wanted: Mapping

    @cached_property
    def write(self) -> Prompter:
        """The prompter with which the model was trained."""
        facts = self.mirror.facts
        return prompter(self.mirror.tokenizer, facts["model"], facts["format"])

    def split(self, *names: str) -> pd.DataFrame:
        """The examples of some splits."""
        return self.table[self.table["split"].isin(names)].reset_index(drop=True)

    def asked(self) -> pd.DataFrame:
        """The examples whose contexts are answered, spread evenly over time.

        They are of the test split. Only where it holds too few are some of the validation split
        before them, by which the state of the model was chosen that is examined here.
        """
        test, most = self.split("test"), self.wanted["generated_replies"]
        others = spread(self.split("validation"), max(0, most - len(test)))
        return pd.concat([others, spread(test, most)], ignore_index=True)

    def sums(
        self,
        rows: pd.DataFrame,
        model: PreTrainedModel,
        label: str,
        before: Sequence[Sequence[Turn]] | None = None,
    ) -> pd.DataFrame:
        """`likelihood.per_example` of the replies of `rows`, each after its shots in `before`."""
        before = before or [()] * len(rows)
        written = [
            self.write.example(row.context, row.reply, self.author, row.group, turns)
            for row, turns in zip(rows.itertuples(), before, strict=True)
        ]
        encoded = [encode(self.mirror.tokenizer, text, spans) for text, spans in written]
        losses = likelihood.token_losses(model, encoded, self.wanted["batch_tokens"], label)
        return likelihood.per_example(losses, encoded, [spans for _, spans in written])

    def shots(self, rows: pd.DataFrame) -> dict[str, list[list[Turn]]]:
        """The examples before each context of `rows`: the same for all, and the nearest."""
        train, k, most = self.split("train"), self.wanted["shots"], self.wanted["shot_chars"]
        same = few_shot.fixed(train, self.author, k, most, self.wanted["seed"])
        return {
            "same_examples": [same] * len(rows),
            "nearest_examples": few_shot.nearest(train, rows["context"], self.author, k, most),
        }

    def prompted(self, rows: pd.DataFrame, tuned: pd.DataFrame) -> dict[str, dict]:
        """The base model with examples in its prompt, and what training gains beyond that.

        `tuned` holds the sums of the trained model for the same `rows`. Where no example fits
        nothing is measured: the base model as it is would pass for one with examples.
        """
        result = {}
        with self.mirror.base() as model:
            for name, before in self.shots(rows).items():
                some = rows if any(before) else rows[:0]
                shown = self.sums(some, model, f"scoring base, {name}", before[: len(some)])
                result[name] = likelihood.measured(shown, some["session"], self.wanted)
                result[name]["gain_of_training"] = likelihood.gain(
                    shown, tuned[: len(some)], some["session"], self.wanted
                )
        return result

    def membership(self, rows: pd.DataFrame, sums: Mapping[str, pd.DataFrame]) -> tuple[int, dict]:
        """How well training replies are told from test `rows` by what training did to their loss.

        `sums` holds those of base and tuned for `rows`, which all count. Of the training replies
        some, spread evenly over time; how many stands before the measure.
        """
        train = self.split("train")
        train, rows = (each[own_characters(each) > 0] for each in (train, rows))
        train = spread(train, self.wanted["membership_replies"])
        seen = {
            name: self.sums(train, model, f"scoring {name}, train")
            for name, model in self.mirror.both()
        }
        learnt, new = (
            ((each["tuned"]["own_nats"] - each["base"]["own_nats"]) / each["base"]["own_chars"])
            for each in (seen, {name: each.loc[rows.index] for name, each in sums.items()})
        )
        return len(train), memorization.membership(
            learnt.tolist(), new.tolist(), train["session"], rows["session"], self.wanted
        )

    def ranks(self, rows: pd.DataFrame) -> dict[str, dict | float]:
        """`relevance.ranked` of base and tuned: the true reply among others of the author's."""
        wanted = self.wanted
        rows = rows[own_characters(rows) > 0]
        places = relevance.candidates(
            rows["reply"].tolist(), rows["session"].tolist(), wanted["candidates"], wanted["seed"]
        )
        # Whole blocks: every reply of one is the true one once, which makes chance exact.
        block_of = [min(row) for row in places.tolist()]
        blocks = math.ceil(wanted["ranked_contexts"] / max(1, places.shape[1]))
        places = places[np.isin(block_of, list(dict.fromkeys(block_of))[:blocks])]
        asked = [self._candidates(rows, row) for row in places]
        characters = own_characters(rows).to_numpy()[places]
        scores = {}
        for name, model in self.mirror.both():
            losses = likelihood.of_candidates(
                model, asked, wanted["batch_tokens"], f"ranking {name}"
            )
            scores[name] = relevance.per_character(-losses.reshape(places.shape), characters)
        sessions = rows["session"].to_numpy()[places[:, :1].ravel()]
        return relevance.ranked(scores, [0] * len(places), sessions, wanted)

    def _candidates(self, rows: pd.DataFrame, places: Sequence[int]) -> list[Encoded]:
        """The replies at `places` behind the context of the first, labelled in their messages."""
        asked = rows.iloc[places[0]]
        written = [
            self.write.example(
                asked["context"], rows["reply"].iloc[at], self.author, asked["group"]
            )
            for at in places
        ]
        encoded = [encode(self.mirror.tokenizer, text, spans) for text, spans in written]
        for row in encoded:
            row["labels"] = [
                label if kind == "message" else IGNORED
                for label, kind in zip(row["labels"], row["kinds"], strict=True)
            ]
        return encoded

    def exposed(self, audit: AuditConfig) -> dict[str, dict | float]:
        """`memory.exposures` of the canaries that the params section `audit` planted.

        By role, repetitions and model; the base model, which never saw them, is the control, and
        `chance` what it should come to.
        """
        planted, others = canaries.drawn(audit)
        found: dict[str, dict | float] = {"chance": memorization.chance(len(others))}
        for role in canaries.ROLES:
            mine = [one for one in planted if one.role == role]
            rows = [self._canary(text, role) for text in [one.text for one in mine] + others]
            # Groups of one size: the last is filled with what is counted once.
            filled = rows + rows[-1:] * (-len(rows) % TOGETHER)
            asked = [filled[at : at + TOGETHER] for at in range(0, len(filled), TOGETHER)]
            found[role] = {str(times): {} for times in audit.repetitions}
            for name, model in self.mirror.both():
                losses = likelihood.of_candidates(
                    model, asked, self.wanted["batch_tokens"], f"canaries {name}, {role}"
                ).ravel()[: len(rows)]
                for times in audit.repetitions:
                    own = [
                        loss
                        for loss, one in zip(losses, mine, strict=False)
                        if one.repetitions == times
                    ]
                    found[role][str(times)][name] = memorization.exposures(
                        own, [losses[len(mine) :]] * len(own)
                    )
        return found

    def _canary(self, text: str, role: str) -> Encoded:
        """The place in which a canary is planted, with the tokens of `text` labelled."""
        context, reply = canaries.place(text, role)
        if role == canaries.AUTHOR:
            written, spans = self.write.example(context, reply, self.author)
        else:
            prompt = self.write.prompt(context, self.author)
            (said,) = self.write.where([0], context, self.author)
            written, spans = prompt[: said["end"]], [{**said, "kind": "message"}]
        return encode(self.mirror.tokenizer, written, spans)

    def replies(
        self, prompts: Sequence[str], model: PreTrainedModel, label: str
    ) -> list[tuple[list[str], bool]]:
        """A sampled reply to each prompt: its messages, and whether it came to an end."""
        how = settings(
            self.mirror.tokenizer, self.write.end, self.mirror.facts["model"]["generate"]
        )
        said: list[Reply] = reply_all(
            model,
            self.mirror.tokenizer,
            prompts,
            how,
            self.write.stops,
            self.wanted["seed"],
            batch=self.wanted["reply_batch"],
            label=f"replying {label}",
        )
        return [(self.write.bubbles(reply.text), reply.finished) for reply in said]

    def fixed_prompts(self) -> dict[str, str]:
        """The prompts that are the same for everybody: id (prompt-1, world-1 …) -> text."""
        kinds = {"prompt": self.wanted["prompts"], **self.wanted["out_of_scope"]}
        return {
            f"{kind}-{number}": text
            for kind, texts in kinds.items()
            for number, text in enumerate(texts, 1)
        }

    def all_replies(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Replies to the fixed prompts and to the contexts of `rows`, as table REPLIES.

        Where no example fits the prompt, no model replies with examples.
        """
        fixed = self.fixed_prompts()
        ids = [*fixed, *rows["id"]]
        alone = [
            self.write.prompt([{"author": "", "messages": [t]}], self.author)
            for t in fixed.values()
        ]

        def after(before: Sequence[Sequence[Turn]]) -> list[str]:
            return alone + [
                self.write.prompt(row.context, self.author, row.group, turns)
                for row, turns in zip(rows.itertuples(), before, strict=True)
            ]

        nearest = self.shots(rows)["nearest_examples"]
        plain, helped = after([()] * len(rows)), after(nearest)
        tables = []
        with self.mirror.base() as model:
            answers = {"base": self.replies(plain, model, "base")}
            if any(nearest):
                # The fixed prompts have no context of the author's to help with.
                some = self.replies(helped[len(fixed) :], model, "with examples")
                answers[EXAMPLES] = some
        with self.mirror.tuned() as model:
            answers["tuned"] = self.replies(plain, model, "tuned")
        for name, said in answers.items():
            chosen = ids[len(ids) - len(said) :]
            tables.append(
                pd.DataFrame(
                    {
                        "id": chosen,
                        "model": name,
                        "messages": [messages for messages, _ in said],
                        "finished": [finished for _, finished in said],
                    }
                )
            )
        return pd.concat(tables, ignore_index=True)
