"""Authors with too little data, through every stage except training, up to the report. Each lacks
something that a measure needs, or has too little of it. What cannot be measured is reported as
such, and nothing ends in a traceback after an hour of scoring.
"""

import importlib
import json
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from threadpoolctl import threadpool_limits

from espejo.core import metrics, tables
from espejo.core.errors import UserError
from espejo.evaluation import two_sample
from espejo.model import loading, tokenizers
from espejo.report.wording import Wording
from espejo.training import sft
from tests.core.test_faults import RAW, arguments
from tests.helpers.configs import typed
from tests.helpers.faulty import STAGES
from tests.helpers.reported import of_pictures
from tests.helpers.synthetic import SYLLABLES
from tests.helpers.workshop import AUTHOR, PARTNER
from tests.model.test_every_model import tiny_base

FRIEND = "Obdulia Trench"
SECOND = "Xio Quintrell"  # another name of the author
WORDS = (
    *("sí", "no", "dale", "bueno", "ya", "mañana", "obvio", "listo", "ojalá", "nunca"),
    *("siempre", "claro", "igual", "quizás", "tarde"),
)
EMOJI = ("😭", "🎉", "🙂", "🐸", "🌧", "🍞", "🎸", "🚲", "🌵", "⚽", "🐢", "🍋", "📚", "🎈")
MARKS = ("?", "!!", "...", "?!", ":)", "¿?", "!!!", "..", ":(", "…", "??")


# What people write in message `number`


def asks(number):
    return f"¿Y {invented(number, 4)}? Contame bien."


def wonders(number):
    return f"Mirá, {invented(number, 3)}... Pensalo, {invented(number + 1, 2)}!!"


def answers(number):
    return f"yo {invented(number, 3)} q {invented(-number, 2)} jaja"


def replies_at_length(number):
    return invented(number, 40)


def invented(number, words):
    """So many made-up words, different for each number: nobody shares eight words with another."""
    drawn = np.random.default_rng([words, number % 2**32])
    return " ".join("".join(drawn.choice(SYLLABLES, 2)) for _ in range(words))


def one_of(some):
    """A writer that says one of `some` things, in an order unrelated to the sessions."""
    return lambda number: some[number * 3 % len(some)]


def private(number):
    """Only personal data, which clean replaces by placeholders."""
    return (f"ana{number}@correo.example", f"+54 9 11 4321 {number:04}")[number % 2]


def sessions(reply, number=40, turns=2, bubbles=3, author=AUTHOR, partner=PARTNER, says=asks):
    """In each session `turns` times a question and a reply, of so many messages: [[(who, text)]].

    A partner who is None asks nothing.
    """
    both = ((partner, says), (author, reply))
    return [
        [
            (writer, text((day * turns + turn) * bubbles + bubble))
            for turn, (writer, text) in product(range(turns), both)
            for bubble in range(bubbles)
            if writer
        ]
        for day in range(number)
    ]


def export(chat, hour):
    """An Android export: a day for each session, a minute for each message."""
    start = datetime(2025, 3, 1, hour, 0)
    return "".join(
        f"{start + timedelta(days=day, minutes=minute):%d/%m/%Y, %H:%M} - {author}: {text}\n"
        for day, evening in enumerate(chat)
        for minute, (author, text) in enumerate(evening)
    )


# Where they are put


@pytest.fixture(scope="module")
def params(composed):
    """Params for the smallest model, with settings that take seconds."""
    sections = composed("model=smollm2", "experiment=smoke")
    sections["model"] |= {"threads": 1, "precision": "float32"}
    sections["generate"]["max_new_tokens"] = 12
    sections["evaluate"]["bootstrap"] = 60
    sections["predict"] |= {
        "generated_replies": 24,
        "shot_chars": 230,  # ordinary examples fit, long replies do not
        "ranked_contexts": 6,
        "membership_replies": 8,
    }
    return sections


@pytest.fixture(scope="module")
def trained(params, tmp_path_factory):
    """A tiny base model, and an adapter that changes its output."""
    folder = tmp_path_factory.mktemp("tiny")
    base = folder / "base"
    tiny_base(params, base)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizers, "locate", lambda model: (str(base), "main"))
        sections = typed(params)
        tuned = sft.add_lora(loading.load_base(sections.model), sections.train)
        torch.manual_seed(1)
        for name, weights in tuned.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights, std=0.05)
        manifest = {"data": RAW, "history": params["group"]["history"]}
        manifest |= {name: params[name] for name in ("model", "format", "train")}
        tokenizer = tokenizers.load_tokenizer(sections.model)
        loading.save(tuned, tokenizer, folder / "model", manifest)
    return folder


@pytest.fixture
def through(params, trained, tmp_path, monkeypatch):
    """through(*chats) runs every stage: the numbers of metrics/eval.json, the text of the report.

    Runs the commands of dvc.yaml, so that a stage is called as in the pipeline.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(two_sample, "REPEATS", 1)  # five give the same kind of result
    monkeypatch.setattr(tokenizers, "locate", lambda model: (str(trained / "base"), "main"))

    def run(*chats):
        raw = tmp_path / RAW
        raw.mkdir(parents=True)
        for number, chat in enumerate(chats):
            (raw / f"chat {number}.txt").write_text(export(chat, 9 + 6 * number), "utf-8")
        people = sorted(
            {author for chat in chats for evening in chat for author, _ in evening} - {AUTHOR}
        )
        (raw / "people.yaml").write_text(
            yaml.safe_dump({"author": AUTHOR, "people": dict.fromkeys(people, "train")}), "utf-8"
        )
        Path("params.yaml").write_text(yaml.safe_dump(params), "utf-8")
        Path("model").symlink_to(trained / "model")
        # What the report reads of training, which is left out here.
        tables.write_csv(of_pictures()["loss"], Path("plots/loss.csv"))
        metrics.write({"texts": 8, "learnt_texts": 8}, Path("metrics/train.json"))
        metrics.write({}, Path("metrics/repeat.json"))  # nothing was repeated
        with threadpool_limits(1):  # with two, such small products spend more time waiting than
            # computing
            for stage in STAGES:
                if stage != "train":
                    main = importlib.import_module(f"stages.{stage}").main
                    main(*map(Path, arguments(stage)))
        numbers = {path.stem: measured(path) for path in Path("metrics").glob("*.json")}
        return numbers["eval"], Path("reports/report.md").read_text("utf-8")

    return run


def measured(path):
    """The numbers of a metric file; fails on NaN and infinity, which JSON does not have."""

    def refuse(name):
        raise AssertionError(f"{path} holds {name}")

    return json.loads(path.read_text("utf-8"), parse_constant=refuse)


def says(report, key, **values):
    return Wording("es").text(key, **values) in report


def unmeasured(*measures):
    return all("value" not in measure for measure in measures)


def not_prompted(scores):
    return all(unmeasured(*prompted.values()) for prompted in scores["prompted"].values())


def bundles(scores):
    """The number of bundles behind each author score."""
    return {name: score["bundles"] for name, score in scores["style"]["author_score"].items()}


# The control: with enough of everything, nothing is missing.


def test_of_an_ordinary_author_all_is_measured(through):
    scores, report = through(
        sessions(answers), sessions(answers, partner=FRIEND, says=wonders, number=20)
    )
    assert min(bundles(scores).values()) > 0
    assert scores["relevance"]["contexts"] > 0
    assert not unmeasured(scores["relevance"]["gain"]["mrr"], scores["memory"]["membership"])
    assert not says(report, "answer.chance.missing")
    assert not says(report, "sound.missing")
    assert not says(report, "sound.second", name=FRIEND)
    assert AUTHOR not in json.dumps(scores)


# Few words


def test_who_writes_no_words_is_judged_by_marks(through):
    scores, report = through(sessions(one_of(MARKS)))
    own = scores["memory"]["overlap"]["author"]
    assert own["long"] == own["longest_max"] == 0
    assert unmeasured(own["copied"])
    assert not unmeasured(own["whole"], scores["tuned"]["own_bits_per_character"])
    assert scores["relevance"]["contexts"] > 0  # messages without words are compared as they are
    assert bundles(scores)["ceiling"] > 0
    for table in scores["style"]["habits"].values():
        assert table["distinct_1"]["real"] == table["word_entropy"]["real"] == 0


def test_who_writes_emoji_alone_is_judged_by_them(through):
    scores, report = through(sessions(one_of(EMOJI)))
    assert unmeasured(scores["memory"]["overlap"]["author"]["copied"])
    assert scores["relevance"]["contexts"] > 0
    assert bundles(scores)["ceiling"] > 0
    habit = scores["style"]["habits"]["tuned"]["emoji"]
    assert 0 < habit["own"] <= habit["own_high"] < 1


def test_who_writes_one_word_cannot_be_copied_eight_words_in_a_row(through):
    scores, report = through(sessions(one_of(WORDS), bubbles=1))
    memory = scores["memory"]
    assert memory["overlap"]["author"]["long"] == 0
    assert unmeasured(memory["overlap"]["author"]["copied"], memory["copied_beyond_own"])
    # The measure for short replies exists, so this is a doubt and not a failure.
    assert memory["doubts"]["copied_beyond_own"]["high"] == "not measured"
    assert "copied_beyond_own" not in memory["reasons"]
    assert not unmeasured(memory["whole_beyond_own"])
    assert says(report, "safe.short", long=memory["overlap"]["tuned"]["long"])
    assert says(report, "safe.open", name=Wording("es").name("safe.names", "copied_beyond_own"))


def test_equal_replies_cannot_be_ranked(through):
    scores, report = through(sessions(lambda number: "dale nos vemos", bubbles=1))
    ranks = scores["relevance"]
    assert ranks["contexts"] == 0
    assert unmeasured(*(ranks[name]["mrr"] for name in ("base", "tuned", "gain")))
    assert says(report, "answer.chance.missing")
    # The two halves of the author are alike: a distance of zero, and no alarm.
    assert all(row["alarm"] == 0 for row in scores["style"]["habits"]["tuned"].values())


def test_placeholders_are_nobodys_way_of_writing(through):
    scores, report = through(sessions(private))
    assert set(bundles(scores).values()) == {0}
    assert unmeasured(*scores["style"]["author_score"].values())
    assert says(report, "sound.missing")
    assert not unmeasured(scores["tuned"]["own_bits_per_character"])


def test_links_alone_are_no_examples(through):
    with pytest.raises(UserError, match=r"No training example is left of 64: \{'link': 64\}"):
        through(sessions(lambda number: f"https://paginas.example/{number}"))


def test_replies_too_long_for_the_prompt_leave_no_examples_to_show(through):
    scores, report = through(sessions(replies_at_length, bubbles=1))
    # Otherwise the plain base model would count as the base model with examples.
    assert not_prompted(scores)
    assert says(report, "worth.advice.unmeasured")
    assert scores["memory"]["overlap"]["author"]["long"] == scores["memory"]["replies"]


# Few people


def test_one_partner_is_all_the_other_people(through):
    scores, report = through(sessions(answers))
    author = scores["style"]["author_score"]
    assert author["floor"] == author["nearest"]
    assert author["floor"]["bundles"] > 0


def test_a_partner_who_falls_silent_leaves_no_floor(through):
    chat = sessions(answers, number=70)
    late = [
        [(author, text) for author, text in evening if author == AUTHOR] for evening in chat[44:]
    ]
    scores, report = through(chat[:44] + late)
    counts = bundles(scores)
    assert (counts["floor"], counts["nearest"]) == (0, 0)
    assert min(counts["tuned"], counts["ceiling"]) > 0
    assert f"| {Wording('es').text('style.who.floor')} | 0 |" in report


def test_who_writes_alone_cannot_be_told_from_anybody(through):
    scores, report = through(sessions(answers, number=80, partner=None))
    assert set(bundles(scores).values()) == {0}
    assert says(report, "sound.missing")
    assert not_prompted(scores)  # nobody was answered: there are no examples
    assert says(report, "worth.advice.unmeasured")


def test_a_second_name_of_the_author_is_said_to_be_likely(through):
    before = {"author": SECOND, "partner": FRIEND, "says": wonders}
    scores, report = through(sessions(answers, number=60), sessions(answers, number=60, **before))
    assert says(report, "sound.second", name=SECOND)
    assert not says(report, "sound.second", name=PARTNER)
    assert not says(report, "sound.second", name=FRIEND)
    assert SECOND not in json.dumps(scores)  # metrics go into git


# Few sessions


def test_two_sessions_are_too_few_for_three_splits(through):
    refused = r"60 replies lie in 2 sessions, too few .* nothing is left for \w+\. Add more chats\."
    with pytest.raises(UserError, match=refused):
        through(sessions(answers, number=2, turns=30, bubbles=1))


def test_few_replies_are_too_few(through):
    with pytest.raises(UserError, match="has 48 replies and at least 50 are needed"):
        through(sessions(answers, number=24))


def test_a_test_of_one_session_has_no_intervals_and_no_ranks(through):
    chat = sessions(answers, number=30) + sessions(answers, number=1, turns=12)
    scores, report = through(chat)
    assert scores["test"] == {**scores["test"], "replies": 12, "sessions": 1}
    bits = scores["tuned"]["own_bits_per_character"]
    assert (bits["n"], bits["interval"]) == (1, "too few")
    assert scores["relevance"]["contexts"] == 0
    assert says(report, "answer.chance.missing")
