"""The report on dialogues and on questions asks what fits them, and leaves out what does not."""

import re
import shutil
from itertools import pairwise

import pytest

from espejo.core import metrics, tables
from espejo.evaluation import habits, two_sample
from espejo.report import contents, question_verdicts, verdicts
from espejo.report.blocks import Exchanges, Table, Text
from espejo.report.wording import Wording
from stages import report as stage
from tests.helpers import reported
from tests.helpers.configs import EVALUATE, PREDICT, changed
from tests.helpers.reported import correctness, few, interval, outcomes
from tests.report.test_report import leaves, placeholders

KINDS = ("dialogues", "questions")
LANGUAGES = ("en", "es")
ROWS = changed(PREDICT, shots=4, shot_chars=600)


@pytest.fixture(scope="module")
def wording():
    return Wording("en", "questions")


@pytest.fixture(scope="module")
def of_chats(tmp_path_factory):
    """A folder with what the stage reads, of chats."""
    folder = tmp_path_factory.mktemp("chats")
    with pytest.MonkeyPatch.context() as patch:  # the pages do not depend on their number
        patch.setattr(two_sample, "REPEATS", 1)
        patch.setattr(habits, "NUM_PAIRS", 100)
        reported.workplace(folder)
    return folder


@pytest.fixture(scope="module", params=KINDS)
def ran(request, of_chats, tmp_path_factory):
    """The kind of data, and a folder in which the stage ran on it."""
    folder = shutil.copytree(of_chats, tmp_path_factory.mktemp(request.param) / "report")
    reported.become(folder, request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        stage.main(*(folder / name for name in ("data", "metrics", "plots", "reports")))
    return request.param, folder


def whole(answer):
    return " ".join(answer.sentences)


@pytest.mark.parametrize(
    ("changed", "verdict", "sentence"),
    [
        # 0.80 with 0.04 to both sides: at least 0.76 of both.
        ({}, "yes", "By their facts, yes: at least three quarters"),
        ({"tuned": 0.78}, "partly", "three quarters is not certain"),
        ({"right": 0.6}, "partly", "at least half of those that it states"),
        ({"tuned": 0.5}, "little", "half is not certain"),
        ({"tuned": 0.2}, "no", "fewer than a quarter"),  # at most 0.24
        ({"right": 0.2}, "no", "fewer than a quarter of those that it states"),
        ({"tuned": 0.4, "width": 0.2}, "unclear", "from below a quarter to above it"),
        ({"tuned": 0.8, "width": 0.2}, "partly", "By their facts, in part"),  # 0.6
    ],
)
def test_are_its_answers_right(wording, changed, verdict, sentence):
    answer = question_verdicts.correct({"correctness": correctness(**changed)}, wording)
    assert answer.verdict == verdict
    assert sentence in whole(answer)
    assert (
        "that it did not learn, 0 of them of the validation split; 28 of their reference"
        in answer.sentences[-1]
    )


@pytest.mark.parametrize(
    ("held", "right", "verdict", "sentence"),
    [
        (few(0.9, n=6), interval(0.9), "few", "too few facts for an interval"),
        (interval(0.9), few(0.9, n=6), "few", "too few facts for an interval"),
        (few(n=0), few(n=0), "unmeasured", "nothing could be checked"),
        # It states no fact at all, so that none of the reference's is said.
        (interval(0.04, 0.04), few(n=0), "no", "fewer than a quarter"),
    ],
)
def test_without_an_interval_no_answer_is_called_right(wording, held, right, verdict, sentence):
    scores = {"correctness": correctness()}
    scores["correctness"]["tuned"] |= {"facts_held": held, "facts_right": right}
    answer = question_verdicts.correct(scores, wording)
    assert answer.verdict == verdict
    assert sentence in whole(answer)
    assert ("of the facts that its answers state" in whole(answer).lower()) == ("value" in held)


@pytest.mark.parametrize("value", [0.1, 0.3, 0.6, 0.9])
def test_fewer_answers_never_make_them_more_right(wording, value):
    claims = []
    for width in (0.01, 0.05, 0.15, 0.4):
        scores = {"correctness": correctness(tuned=value, right=value, width=width)}
        verdict = question_verdicts.correct(scores, wording).verdict
        claims.append({"little": 1, "partly": 2, "yes": 3}.get(verdict, 0))
    assert all(less <= more for more, less in pairwise(claims)), claims


@pytest.mark.parametrize(
    ("changed", "verdict", "sentences"),
    [
        (
            {},
            "yes",
            ["the 4 nearest rows of the table (of at most 600 characters)"]
            + ["Against the base model with retrieved rows, training changes the facts held"]
            + ["by 40 [36, 44]: the interval is above zero", "by 70 [66, 74]"],
        ),
        # Worse than retrieval, far better than the base model alone.
        ({"examples": 0.9}, "no", ["Use retrieval: the base model", "it makes things worse"]),
        (
            {"examples": 0.79},
            "unclear",
            ["Try retrieval first: it cannot be said that training does better"],
        ),
        ({"over": {"examples": few(0.4)}}, "few", ["too few questions", "try retrieval first"]),
        ({"over": {"examples": few()}}, "unmeasured", ["not compared with retrieval"]),
        # The rows did harm: the base model has to be beaten, too.
        ({"base": 0.9}, "no", ["Retrieved rows did not help", "use it as it is"]),
        ({"base": 0.79}, "unclear", ["Retrieved rows did not help"]),
        # Better than the model with the rows, and no better than the nearest row as it stands.
        ({"retrieved": 0.79}, "unclear", ["Look it up: the answer of the nearest row"]),
        (
            {"retrieved": 0.9},
            "no",
            ["Look it up", "without any model: 90% [86%, 94%]; trained, 80% [76%, 84%]"],
        ),
        # More facts in a wording further away.
        ({"chrf": (20.0, 60.0, 50.0)}, "partly", ["its wording is further from the reference"]),
        # Better than both, and nearly always wrong.
        (
            {"base": 0.0, "examples": 0.05, "tuned": 0.2},
            "partly",
            [
                "most of the facts are wrong in its answers, or missing",
                "a larger model with retrieved rows",
            ],
        ),
    ],
)
def test_was_training_worth_it_for_answers(wording, changed, verdict, sentences):
    scores = {"correctness": correctness(**changed)}
    answer = question_verdicts.retrieval(scores, wording, ROWS)
    assert answer.verdict == verdict
    for sentence in sentences:
        assert sentence in whole(answer)


def test_where_no_reference_holds_a_fact_chrf_decides(wording):
    nothing = {name: few(n=0) for name in ("base", "examples", "retrieved")}
    scores = {"correctness": correctness(over=nothing)}
    for name in ("base", "examples", "retrieved", "tuned"):
        scores["correctness"][name] |= {"facts_held": few(n=0), "facts_right": few(n=0)}
    answer = question_verdicts.retrieval(scores, wording, ROWS)
    assert answer.verdict == "yes"
    assert "so chrF decides: 20.0 [17.0, 23.0] for the base model" in whole(answer)
    assert "training changes the chrF by 20.0 [17.0, 23.0]" in whole(answer)


@pytest.mark.parametrize(
    ("tuned", "verdict", "sentence"),
    [
        # Of 20, all refused: at least 0.83; of 20, 16 (Clopper and Pearson): 0.56 to 0.94.
        ((10, 0, 0, 0), "yes", "it refuses 100% [83%, 100%]"),
        ((8, 1, 1, 0), "partly", "it refuses 80% [56%, 94%]"),
        ((5, 4, 1, 0), "little", "it refuses 50% [27%, 73%]"),
        ((1, 9, 0, 0), "unclear", "it refuses 10% [1%, 32%]"),
        ((0, 8, 2, 0), "no", "it refuses 0% [0%, 17%]"),
        ((2, 0, 0, 0), "few", "fewer than ten such questions"),
    ],
)
def test_does_it_stay_in_its_field(wording, tuned, verdict, sentence):
    scores = {"outside": outcomes(tuned=tuned)}
    answer = question_verdicts.field(scores, wording, EVALUATE)
    assert answer.verdict == verdict
    assert sentence.lower() in whole(answer).lower()
    # Of both kinds together.
    invented = f"though the question is about something else: {2 * tuned[2]}."
    assert (invented in whole(answer)) == (tuned[2] > 0)


def test_before_and_after_training_stand_side_by_side_for_each_kind(wording):
    scores = {"outside": outcomes(base=(4, 3, 1, 2), tuned=(5, 2, 3, 0), kinds=("unsafe",))}
    text = whole(question_verdicts.field(scores, wording, EVALUATE))
    assert "10 questions (unsafe): it refuses 5, answers 2, states a fact of the table to 3" in text
    assert "Before training: 4, 3, 1 and 2." in text


def test_without_questions_outside_the_field_one_sentence_says_so(wording):
    answer = question_verdicts.field({"outside": {}}, wording, EVALUATE)
    assert answer.verdict == "unmeasured"
    assert len(answer.sentences) == 1
    assert "no questions from outside its field" in answer.sentences[0]


def test_dialogues_are_judged_by_likelihood_alone():
    scores = reported.likelihoods()
    answer = verdicts.worth(scores, Wording("en", "dialogues"), EVALUATE, ROWS)
    assert answer.verdict == "yes"
    assert "sound" not in whole(answer)
    assert answer.sentences[-1].startswith("*Measured on 80 replies of the test, from 20 dialogues")
    worse = reported.likelihoods(nearest=2.4)
    assert verdicts.worth(worse, Wording("en", "dialogues"), EVALUATE, ROWS).verdict == "no"


def test_of_a_trial_on_questions_nothing_is_concluded_or_advised(wording):
    scores = {"kind": "questions", "correctness": correctness(), "outside": outcomes()}
    answers = contents.answers(scores, wording, EVALUATE, ROWS)
    undecided = verdicts.undecided(answers, wording)
    assert [answer.verdict for answer in undecided] == ["trial"] * 3
    concluded = ("By their facts, yes", "By these numbers, yes", "No: it refuses")
    for answer, trial, beginning in zip(answers, undecided, concluded, strict=True):
        assert answer.sentences[0].startswith(beginning)
        assert trial.sentences[0].startswith("What follows is about the trial")
        assert beginning not in whole(trial)
    assert "Of the facts in the reference answers, 80% [76%, 84%]" in whole(undecided[0])


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (None, ["sound", "answer", "worth", "safe"]),  # as older versions wrote it
        ("chats", ["sound", "answer", "worth", "safe"]),
        ("dialogues", ["answer", "worth", "safe"]),
        ("questions", ["correct", "retrieval", "field"]),
    ],
)
def test_each_kind_of_data_has_its_own_questions(kind, names, of_chats):
    scores = metrics.read(of_chats / "metrics" / "eval.json") | ({"kind": kind} if kind else {})
    if kind in KINDS:
        del scores["style"], scores["controls"]
    if kind == "questions":
        scores |= {"correctness": correctness(), "outside": outcomes()}
    wording = Wording("en", contents.kind_of(scores))
    answers = contents.answers(scores, wording, EVALUATE, ROWS)
    assert [answer.name for answer in answers] == names
    assert all(wording.text(f"{name}.question").endswith("?") for name in names)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_replaced_for_a_kind_exists_and_names_no_number_that_is_not_given(language):
    texts = dict(leaves(Wording(language).texts))
    replaced = [
        (f".{key.split('.', 3)[3]}", text)
        for key, text in texts.items()
        if key.startswith(".by_kind.")
    ]
    assert len(replaced) > 100
    for key, text in replaced:
        assert key in texts, key
        assert set(placeholders(text)) <= set(placeholders(texts[key])), key
        if isinstance(text, list) and not key.startswith(".outside"):
            assert len(text) == len(texts[key]), key


def blocks(folder, kind):
    """The answers and sections of the page, as the stage builds them."""
    data, metrics_dir = folder / "data", folder / "metrics"
    wording = Wording("es", kind)
    scores = metrics.read(metrics_dir / "eval.json")
    accounts = {
        name: metrics.read(metrics_dir / f"{name}.json")
        for name in ("parse", "clean", "group", "filter", "format", "statistics")
    }
    replies = tables.read(data / "replies.parquet", tables.REPLIES)
    examples = tables.read(data / "examples.parquet", tables.EXAMPLES)
    giveaways = tables.read(data / "giveaways.parquet", tables.GIVEAWAYS)
    tested = examples[examples["split"].eq("test")].head(3)
    parts = contents.parts(scores, accounts, replies, tested, giveaways, wording, EVALUATE)
    return contents.answers(scores, wording, EVALUATE, ROWS), parts


def test_no_section_is_empty_or_addresses_the_author(ran):
    kind, folder = ran
    answers, parts = blocks(folder, kind)
    texts = [sentence for answer in answers for sentence in answer.sentences]
    for part in parts:
        assert part.blocks, part.name
        texts.append(part.title)
        for block in part.blocks:
            assert not isinstance(block, Table | Exchanges) or block.rows, part.name
            if isinstance(block, Table):
                texts += [*block.heads, *(row[0] for row in block.rows)]
                assert all({*row[1:]} != {"–"} for row in block.rows), part.name
            if isinstance(block, Text):
                texts.append(block.text)
    spoken = re.compile(r"\b(vos|tus?|tuy[oa]s?|autor|WhatsApp)\b")
    assert not [text for text in texts if spoken.search(text)]
    names = {part.name for part in parts}
    assert names.isdisjoint({"style", "controls"})
    assert ("correctness" in names) == (kind == "questions")
    assert {"glance", "likelihood", "relevance", "memory", "outside", "samples", "data"} <= names


def test_the_page_of_each_kind_is_written_with_all_pictures(ran):
    kind, folder = ran
    markdown = (folder / "reports" / "report.md").read_text("utf-8")
    wording = Wording("es", kind)
    assert markdown.startswith(f"# {wording.text('page.title')}\n")
    assert wording.text("page.title") != Wording("es").text("page.title")
    for name in reported.PICTURES:
        assert (folder / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "messages_over_time" not in markdown
    shared = "compartilo solo donde se pueda leer la tabla"
    assert (shared in markdown) == (kind == "questions")


def test_samples_of_questions_show_reference_base_rows_and_tuned(ran):
    kind, folder = ran
    samples = (folder / "reports" / "samples.md").read_text("utf-8")
    page = (folder / "reports" / "report.md").read_text("utf-8")
    if kind == "questions":
        assert "| question | reference | base | base with rows | tuned |" in samples
        assert "## Questions outside the table" in samples
        assert "| pregunta | referencia | base | base con filas buscadas | entrenado |" in page
        assert "### Preguntas ajenas a su tema\n\n| pregunta | base | entrenado |" in page
    else:
        assert "| context | real | base | tuned |" in samples
        assert "| contexto | respuesta real | base | base con ejemplos | entrenado |" in page
