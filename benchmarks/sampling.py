"""Which sampling settings make replies that are hardest to tell from the author's own?

    python -m benchmarks.sampling                                    # the demo, after `make repro`
    python -m benchmarks.sampling --chats NAME --folder FOLDER       # a clone that ran on them

Replies to all contexts of the *validation* split are sampled with each of some settings, from the
model in `model/`; the test takes no part. Some settings put the author's nearest examples into the
prompt of the tuned model as well. Each adds a line to docs/results/sampling.jsonl, so that the run
can be stopped and gone on with. A line quotes nobody. `make docs` writes docs/better-mirror.md,
where the rule stands by which the settings are chosen (benchmarks/choice.py).
"""

# Import before torch: espejo sets how torch's threads wait, as in the pipeline.
from espejo.core import runtime, tables
from espejo.model import hardware

# isort: split
import argparse
import json
import resource
from collections.abc import Sequence, Set
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmarks.choice import session_areas
from espejo.core.stage import params
from espejo.core.text import ngrams, words
from espejo.evaluation import habits, intervals, memorization, questions, style, two_sample
from espejo.evaluation.config import EvaluateConfig
from espejo.formatting.prompts import Prompter
from espejo.model.config import GenerateConfig
from espejo.model.generation import generation_config, reply_all
from espejo.model.pair import ModelPair
from espejo.prediction import few_shot
from espejo.prediction.config import PredictConfig
from espejo.prediction.predictor import Predictor, learnt_examples, learnt_texts

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs" / "results" / "sampling.jsonl"
DRAWS = 2  # replies to each context
BATCH = 64
HABITS = ("distinct_2", "empty", "endless", "messages_per_turn", "words_per_message")


class Setting(NamedTuple):
    """How replies are sampled, and how many nearest examples stand in the prompt."""

    temperature: float
    top_k: int  # 0: no limit
    top_p: float
    repetition_penalty: float
    examples: int = 0


# The first is what both bundled models had until the others were tried.
SETTINGS = (
    Setting(0.7, 40, 1.0, 1.1),
    Setting(0.7, 0, 0.95, 1.0),
    Setting(0.8, 0, 0.95, 1.0),
    Setting(0.9, 0, 0.95, 1.0),
    Setting(1.0, 0, 0.95, 1.0),
    Setting(0.7, 40, 1.0, 1.0),
    Setting(0.9, 40, 1.0, 1.0),
    Setting(1.0, 40, 1.0, 1.0),
    Setting(0.7, 40, 1.0, 1.1, examples=3),
    Setting(0.8, 0, 0.95, 1.0, examples=3),
)


class Bench:
    """The chats and the model of one folder in which the pipeline ran."""

    def __init__(self, folder: Path) -> None:
        """Read the tables and the model of `folder`; raises UserError where one is missing."""
        data, settings = folder / "data", folder / "params.yaml"
        self.generate = params(GenerateConfig, settings)
        self.evaluate = params(EvaluateConfig, settings)
        self.predict = params(PredictConfig, settings)
        people = tables.read(data / "people.parquet", tables.PEOPLE)
        self.author = tables.author_of(people)
        self.turns = tables.read(data / "turns.parquet", tables.TURNS)
        texts = tables.read(data / "formatted.parquet", tables.FORMATTED)
        examples = tables.read(data / "filtered.parquet", tables.EXAMPLES)
        self.pair = ModelPair(folder / "model")
        examples = learnt_examples(examples, texts["id"], self.pair.manifest)
        predictor = Predictor(self.pair, examples, self.author, self.predict, self.generate)
        self.train, self.contexts = predictor.split("train"), predictor.split("validation")
        self.prompter: Prompter = predictor.prompter
        masked = tables.names_with(people, "context")
        loss = self.pair.manifest["train"]["loss"]
        self.learnt = learnt_texts(self.train, loss, self.author, masked)["messages"].tolist()
        read = self.turns.loc[self.turns["split"].eq("train"), "messages"]
        self.vocabulary = {word for messages in read for word in words(" ".join(messages))}

    def line(self, setting: Setting) -> dict:
        """What replies with `setting` are like: measures with intervals over sessions."""
        rows = pd.concat([self.contexts] * DRAWS, ignore_index=True)
        began = resource.getrusage(resource.RUSAGE_SELF)
        generated, finished = self._sampled(rows, setting)
        ended = resource.getrusage(resource.RUSAGE_SELF)
        config, sessions = self.evaluate, rows["session"].tolist()
        real, real_sessions = self.contexts["reply"].tolist(), self.contexts["session"].tolist()
        own = self.turns[self.turns["author"].eq(self.author) & self.turns["split"].eq("train")]
        own_replies, own_sessions = own["messages"].tolist(), own["session"].tolist()
        scores = style.author_score(
            self.turns, self.author, {"generated": style.Replies(generated, sessions)}, config
        )
        differences = habits.habits(
            *(real, generated, [not ends for ends in finished], own_replies, own_sessions),
            config.seed,
        )
        copies = memorization.copies(
            generated,
            [memorization.context_text(context) for context in rows["context"]],
            self.learnt,
            questions.turns_of_others(self.turns, self.author),
        )
        return {
            "replies": len(rows),
            "told_apart": two_sample.told_apart(
                real, generated, real_sessions, config, generated_sessions=sessions
            ),
            "areas": session_areas(real, generated, real_sessions, sessions, config),
            "author_score": scores["generated"],
            "ceiling": scores["ceiling"],
            "repeated": repeated(generated, sessions, config),
            "own_repeated": repeated(own_replies, own_sessions, config),
            "new_words": new_words(generated, self.vocabulary, sessions, config),
            "own_new_words": new_words(real, self.vocabulary, real_sessions, config),
            "characters": intervals.mean([*map(_characters, generated)], sessions, config),
            "own_characters": intervals.mean([*map(_characters, real)], real_sessions, config),
            "habits": {name: differences[name] for name in HABITS},
            "habits_off": sum(row["distance"] > row["own_high"] for row in differences.values()),
            "habits_measured": len(differences),
            "copied": intervals.share(copies["copied"].to_numpy(), sessions, config),
            "whole": intervals.share(copies["whole"].to_numpy(), sessions, config),
            "processor_seconds": ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime,
            "processor": hardware.processor(),
        }

    def _sampled(self, rows: pd.DataFrame, setting: Setting) -> tuple[list[list[str]], list[bool]]:
        """A reply to each of `rows` as messages, and whether the model ended it by itself."""
        shots: Sequence[few_shot.Shots] = [[]] * len(rows)
        if setting.examples:
            shots = few_shot.nearest(
                *(self.train, rows["context"].tolist(), self.author, setting.examples),
                self.predict.shot_chars,
            )
        prompts = [
            self.prompter.prompt(row.context, self.author, row.group, turns)
            for row, turns in zip(rows.itertuples(), shots, strict=True)
        ]
        changes = setting._asdict()
        del changes["examples"]
        config = GenerateConfig.model_validate(self.generate.model_dump() | changes)
        tokenizer = self.pair.tokenizer
        with self.pair.tuned() as model:
            replies = reply_all(
                *(model, tokenizer, prompts),
                generation_config(tokenizer, self.prompter.end, config),
                *(self.prompter.stops, self.predict.seed),
                batch=BATCH,
            )
        messages = [self.prompter.bubbles(reply.text) for reply in replies]
        return messages, [reply.finished for reply in replies]


def repeated(
    replies: Sequence[Sequence[str]], sessions: intervals.Groups, config: EvaluateConfig
) -> dict:
    """The share of word 3-grams that stood earlier in the same reply, and its interval."""
    trigrams = [list(ngrams(words(" ".join(reply)), 3)) for reply in replies]
    again = [len(grams) - len(set(grams)) for grams in trigrams]
    return intervals.ratio(again, [*map(len, trigrams)], sessions, config, bounds=(0, 1))


def new_words(
    replies: Sequence[Sequence[str]],
    vocabulary: Set[str],
    sessions: intervals.Groups,
    config: EvaluateConfig,
) -> dict:
    """The share of words of letters that are not in `vocabulary`, and its interval.

    With the words of all training messages: a person's replies bring some that are new, and a model
    that draws unlikely tokens invents more. Told-apart AUC does not see whether a word exists.
    """
    own = [[word for word in words(" ".join(reply)) if word.isalpha()] for reply in replies]
    new = [sum(word not in vocabulary for word in reply) for reply in own]
    return intervals.ratio(new, [*map(len, own)], sessions, config, bounds=(0, 1))


def _characters(messages: Sequence[str]) -> int:
    return sum(map(len, messages))


def done(path: Path, chats: str) -> set[Setting]:
    """The settings that the file at `path` holds for those chats."""
    if not path.is_file():
        return set()
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {Setting(**line["setting"]) for line in lines if line["chats"] == chats}


def main() -> None:
    """Every setting that is missing."""
    parser = argparse.ArgumentParser(description="Compare sampling settings on validation.")
    parser.add_argument("--chats", default="demo", help="the name of the chats in the table")
    parser.add_argument("--folder", type=Path, default=ROOT, help="a folder with data/ and model/")
    parser.add_argument("--only", nargs="*", type=int, help="settings by their place in the list")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    tried = SETTINGS if options.only is None else [SETTINGS[place] for place in options.only]
    missing = [setting for setting in tried if setting not in done(options.out, options.chats)]
    if not missing:
        return
    bench = Bench(options.folder)
    for setting in missing:
        measures = bench.line(setting)
        line = {
            "chats": options.chats,
            "model": bench.pair.manifest["model"]["name"],
            "setting": setting._asdict(),
            "draws": DRAWS,
            **measures,
        }
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        told = measures["told_apart"]["value"]
        print(*setting, f"{told:.3f} {measures['processor_seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    runtime.restart_if_torch_came_first()
    main()
