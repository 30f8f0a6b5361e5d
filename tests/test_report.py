"""reports/report.html and .md: sentences that follow the numbers, and a page that loads nothing."""

import copy
import re
import shutil
from html.parser import HTMLParser

import pytest
import yaml

from espejo import metrics, tables
from espejo.errors import UserError
from espejo.report import answers, controls, details, page
from espejo.report.wording import FOLDER, Wording
from stages import report as stage
from tests import reported
from tests.reported import few, interval
from tests.workshop import ROOT

LIMITS = {"copied_beyond_own": 0.05, "membership": 0.7, "personal_data": 0}
LANGUAGES = ("en", "es")


@pytest.fixture(scope="module")
def say():
    return Wording("en")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder in which the stage ran, its arguments, and what it found of the impostors."""
    folder, found = tmp_path_factory.mktemp("report"), {}
    arguments = reported.workplace(folder)
    measure = controls.measured
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(controls, "measured", lambda *given: found.update(measure(*given)) or found)
        stage.main(*arguments)
    return folder, arguments, found


@pytest.fixture
def elsewhere(made, tmp_path, monkeypatch):
    """A copy of that folder to change, with the impostors measured already."""
    folder, arguments, found = made
    copied = shutil.copytree(folder, tmp_path / "report")
    monkeypatch.chdir(copied)
    monkeypatch.setattr(controls, "measured", lambda *_: found)
    return copied, [copied / path.relative_to(folder) for path in arguments]


@pytest.fixture(scope="module")
def measured(made):
    """metrics/eval.json of `made`."""
    return metrics.read(made[0] / "metrics" / "eval.json")


@pytest.fixture
def scores(measured):
    """A copy to change, in which everything went well."""
    return copy.deepcopy(measured) | {
        "style": measured["style"]
        | {
            "author_score": {
                "floor": interval(0.1),
                "nearest": interval(0.2),
                "base": interval(0.3),
                "examples": interval(0.4),
                "tuned": interval(0.8),
                "ceiling": interval(0.85),
            },
            "told_apart": {name: interval(0.5) for name in ("base", "examples", "tuned")},
        },
        "memory": {
            "overlap": {
                who: {"copied": interval(0.02, 0.01), "longest_mean": interval(2.0)}
                for who in ("author", "tuned")
            },
            "membership": interval(0.6),
            "personal_data": {"written": 0, "learnt": 0, "replies": 0},
            "verdict": "pass",
            "reasons": {},
        },
    }


def leaves(node, path=""):
    if isinstance(node, dict):
        for key, inner in node.items():
            yield from leaves(inner, f"{path}.{key}")
    else:
        yield path, node


def placeholders(text):
    return sorted(re.findall(r"\{\w+\}", str(text)))


def test_both_languages_have_the_same_keys_and_the_same_numbers_in_them():
    texts = [dict(leaves(Wording(language).texts)) for language in LANGUAGES]
    assert texts[0].keys() == texts[1].keys()
    for key, english in texts[0].items():
        spanish = texts[1][key]
        assert type(english) is type(spanish), key
        assert isinstance(english, str | list), key
        assert placeholders(english) == placeholders(spanish), key
        if isinstance(english, list):
            assert len(english) == len(spanish), key
            assert {type(head) for head in [*english, *spanish]} == {str}, key


def test_a_language_that_is_not_there_is_named():
    with pytest.raises(UserError, match="'pt'.*en or es"):
        Wording("pt")


@pytest.mark.parametrize(
    ("language", "written"),
    [
        ("en", ["1,234.50", "0.00", "84%", "0.50 [0.45, 0.55]", "0.50 (no interval; sessions: 3)"]),
        (
            "es",
            [
                "1.234,50",
                "0,00",
                "84\u00a0%",
                "0,50 [0,45; 0,55]",
                "0,50 (sin intervalo; sesiones: 3)",
            ],
        ),
    ],
)
def test_numbers_look_as_the_language_writes_them(language, written):
    say = Wording(language)
    assert [
        say.number(1234.5),
        say.number(-0.001),
        say.percent(0.84),
        say.interval(interval(0.5)),
        say.interval(few(0.5)),
    ] == written
    assert say.interval(few()) == say.say("unmeasured")
    assert say.number(1) == "1"


@pytest.mark.parametrize(
    ("measure", "other", "found"),
    [
        (interval(0.8), interval(0.69), "above"),
        (interval(0.8), interval(0.71), "alike"),  # 0.75 to 0.85 and 0.66 to 0.76
        (interval(0.8), interval(0.91), "below"),
        (interval(0.56), 0.5, "above"),
        (interval(0.54), 0.5, "alike"),
        (interval(0.44), 0.5, "below"),
        (few(0.8), interval(0.1), "few"),
        (interval(0.8), few(0.1), "few"),
        (interval(0.8), few(), "missing"),
    ],
)
def test_where_a_measure_is_from_another(measure, other, found):
    assert answers.relation(measure, other) == found


@pytest.mark.parametrize(
    ("changed", "verdict", "sentence"),
    [
        ({}, "yes", "It sounds more like you than the base model."),
        ({"base": interval(0.71)}, "unclear", "cannot be told"),
        ({"base": interval(0.95)}, "no", "It sounds less like you than the base model."),
        ({"ceiling": interval(0.95)}, "partly", "still clearly short of your own"),
        ({"ceiling": interval(0.65)}, "copied", "suspicious"),
        ({"floor": interval(0.72)}, "little", "not clearly above the other people"),
        ({"ceiling": few(0.9)}, "more", "too few sessions to compare it with your own"),
        ({"tuned": few(0.8)}, "few", "a hint and no proof, puts it above the base model"),
        ({"tuned": few(0.2)}, "few", "does not put it above"),
        ({"tuned": few()}, "unmeasured", "not enough messages for an author score"),
    ],
)
def test_does_it_sound_like_you(scores, say, changed, verdict, sentence):
    scores["style"]["author_score"] |= changed
    given = answers.sound(scores, say)
    assert given.verdict == verdict
    assert sentence in " ".join(given.sentences)


@pytest.mark.parametrize(
    ("auc", "sentence"),
    [
        (interval(0.56), "does tell its replies from yours: AUC 0.56 [0.51, 0.61]"),
        (interval(0.54), "cannot tell its replies from yours: AUC 0.54 [0.49, 0.59]"),
        (few(0.9), "cannot be said from so few sessions"),
        (few(), "There were not enough replies"),
    ],
)
def test_whether_replies_are_told_apart(scores, say, auc, sentence):
    scores["style"]["told_apart"]["tuned"] = auc
    assert sentence in " ".join(answers.sound(scores, say).sentences)


@pytest.mark.parametrize(
    ("tuned", "base", "verdict", "sentences"),
    [
        (interval(0.9), interval(0.3), "yes", ["better than chance", "Training improved it"]),
        (interval(0.5), interval(0.3), "partly", [", 29% of the way from chance"]),
        (
            interval(0.36),
            interval(0.3),
            "little",
            ["better than chance", "helped here cannot be told"],
        ),
        (interval(0.34), interval(0.3), "unclear", ["the interval includes chance"]),
        (interval(0.2), interval(0.3), "no", ["worse than chance"]),
        (interval(0.5), interval(0.7), "partly", ["Training made it worse"]),
        (few(0.9), interval(0.3), "few", ["too few sessions"]),
        (few(n=0), few(n=0), "unmeasured", ["not enough contexts"]),
    ],
)
def test_does_it_answer(scores, say, tuned, base, verdict, sentences):
    for name, measure in (("tuned", tuned), ("base", base)):
        scores["relevance"][name] |= {"mrr": measure}
    given = answers.answer(scores, say)
    assert given.verdict == verdict
    for sentence in sentences:
        assert sentence in " ".join(given.sentences)


@pytest.mark.parametrize(
    ("numbers", "verdict", "sentences"),
    [
        # 2.94 base, 2.8 with the nearest examples, 2.5 tuned: 0.14 of 0.44
        ({}, "yes", ["went 32% of the way", "0.30 [0.27, 0.33]", "fine-tuning pays here"]),
        ({"nearest": 2.52}, "unclear", ["includes zero", "try examples in the prompt first"]),
        ({"nearest": 2.4}, "no", ["as far as training", "does not pay", "-0.10 [-0.13, -0.07]"]),
        ({"nearest": 3.1, "same": 3.2}, "yes", ["did not help this model at all"]),
        ({"same": 2.7}, "yes", ["always the same examples", "55% of the way"]),
        ({"tuned": 3.0}, "no", ["Training did not improve on the base model."]),
        ({"gain": few(0.3)}, "few", ["0.30 (no interval; sessions: 3)", "gather more chats"]),
        ({"gain": few()}, "unmeasured", ["could not be measured"]),
    ],
)
def test_did_fine_tuning_earn_its_place(scores, say, numbers, verdict, sentences):
    given = answers.worth(scores | reported.likelihoods(**numbers), say)
    assert given.verdict == verdict
    for sentence in sentences:
        assert sentence in " ".join(given.sentences)


@pytest.mark.parametrize(
    ("examples", "verdict", "sentence"),
    [
        (interval(0.4), "yes", "It also sounds more like you"),
        (interval(0.75), "yes", "it is not told from the base model with examples"),
        (interval(0.95), "partly", "But it sounds less like you"),
        (few(0.4), "yes", "too few sessions to decide"),
    ],
)
def test_style_against_examples_in_the_prompt(scores, say, examples, verdict, sentence):
    scores["style"]["author_score"]["examples"] = examples
    given = answers.worth(scores, say)
    assert given.verdict == verdict
    assert sentence in " ".join(given.sentences)


@pytest.mark.parametrize(
    ("membership", "reasons", "verdict", "sentences"),
    [
        (
            interval(0.64),
            {},
            "pass",
            ["no proof that it is safe", "0.64 [0.59, 0.69]", "know them somewhat"],
        ),
        (interval(0.66), {}, "pass_unclear", ["reaches above its limit"]),
        (few(0.6), {}, "pass_unclear", ["too few sessions to rely on"]),
        (interval(0.9), {"membership": {"value": 0.9, "most": 0.7}}, "fail", ["membership in the"]),
        (
            few(),
            {"membership": {"value": "not measured", "most": 0.7}},
            "fail",
            ["membership in the training set (not measured)"],
        ),
    ],
)
def test_is_it_safe_to_share(scores, say, membership, reasons, verdict, sentences):
    found = "fail" if reasons else "pass"
    scores["memory"] |= {"membership": membership, "reasons": reasons, "verdict": found}
    given = answers.safe(scores, say, LIMITS)
    assert given.verdict == verdict
    for sentence in sentences:
        assert sentence in " ".join(given.sentences)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_verdict_has_words_and_a_tone(language):
    for verdict in Wording(language).get("verdicts"):
        assert answers.Answer("", verdict, []).tone in ("good", "bad", "mixed", "unknown")


def test_habits_that_are_off_come_furthest_first():
    table = {
        "far": {"distance": 0.9, "own_high": 0.1},
        "near": {"distance": 0.1, "own_high": 0.1},
        "off": {"distance": 0.2, "own_high": 0.1},
        "never_varies": {"distance": 0.01, "own_high": 0.0},
        "never": {"distance": 0.0, "own_high": 0.0},
    }
    assert answers.habits_off(table) == ["never_varies", "far", "off"]
    assert answers.habits_off({"far": {"distance": 0.9}}) is None


def test_the_measures_see_through_the_impostors(made, measured):
    found, ceiling = made[2], measured["style"]["author_score"]["ceiling"]
    assert {name: controls.holds(name, row, ceiling, 0.05) for name, row in found.items()} == {
        "friend": True,
        "shuffled": True,
        "copy": True,
    }
    assert found["friend"]["told"]["low"] > 0.9
    assert found["shuffled"]["beyond"] == 0


@pytest.mark.parametrize(
    ("name", "score", "beyond", "held"),
    [
        ("friend", interval(0.7), 0.0, False),  # fooled: as high as the author
        ("friend", interval(0.2), 0.0, True),
        ("shuffled", interval(0.2), 0.0, False),
        ("copy", interval(0.8), 0.5, True),
        ("copy", interval(0.8), 0.05, False),  # at the limit, not above it
        ("copy", interval(0.8), None, False),
        ("copy", interval(0.2), 0.5, False),
        ("base", few(0.2), None, None),
    ],
)
def test_a_measure_that_its_impostor_fools_is_said_to_be(name, score, beyond, held):
    row = {"score": score, "beyond": beyond}
    assert controls.holds(name, row, interval(0.75), 0.05) is held


class Reader(HTMLParser):
    """Tags that are open, those that closed wrongly, and all attributes."""

    EMPTY = ("meta", "img", "br", "link", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.attributes, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def loads(text):
    """What a page would load: sources, links to other files, imports."""
    reader = Reader(text)
    found = [
        value
        for _, name, value in reader.attributes
        if name in ("src", "href", "srcset", "action", "data", "poster") and value
    ]
    found += re.findall(r"url\(([^)]*)\)|@import\s+(\S+)", text)
    return [one for one in found if not str(one).startswith(("data:image/png;base64,", "#"))]


def test_the_page_is_whole_and_loads_nothing(made):
    text = (made[0] / "reports" / "report.html").read_text("utf-8")
    reader = Reader(text)
    assert (reader.open, reader.wrong) == ([], [])
    assert loads(text) == []
    assert "http" not in text.replace('http-equiv="Content-Security-Policy"', "")
    assert "script" not in reader.tags
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src 'none'" in policy
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    assert f"'{page.digest(style)}'" in policy
    assert not [pair for pair in reader.attributes if pair[1] == "style"]  # the policy forbids them
    assert text.count("data:image/png;base64,") == len(reported.PICTURES)
    ids = [value for _, name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for _, name, value in reader.attributes if name == "href"} <= set(ids)
    assert all(value for tag, name, value in reader.attributes if (tag, name) == ("img", "alt"))


def test_it_opens_with_the_four_answers(made):
    for name in ("report.html", "report.md"):
        text = (made[0] / "reports" / name).read_text("utf-8")
        say = Wording("es")
        places = [
            text.index(say.say(f"{question}.question"))
            for question in ("sound", "answer", "worth", "safe")
        ]
        assert places == sorted(places)
        assert places[-1] < text.index(say.say("glance.title"))


def test_two_runs_give_the_same_bytes(made, monkeypatch):
    folder, arguments, _ = made
    monkeypatch.chdir(folder)
    again = folder / "again"
    stage.main(*arguments[:-1], again)
    for name in ("report.html", "report.md"):
        assert (again / name).read_bytes() == (folder / "reports" / name).read_bytes()


def test_english_by_setting_and_marks_in_messages_stay_text(elsewhere):
    folder, arguments = elsewhere
    settings = (folder / "params.yaml").read_text("utf-8")
    (folder / "params.yaml").write_text(settings.replace("language: es", "language: en"), "utf-8")
    path = folder / "data" / "replies.parquet"
    replies = tables.read(path, tables.REPLIES)
    nasty = ["<script>alert(1)</script>", "a | b\n# no *title*", "{{ 7 * 7 }}"]
    said = {("prompt-1", "tuned"): nasty, ("prompt-2", "tuned"): [], ("prompt-2", "base"): []}
    replies["messages"] = [
        said.get((row.id, row.model), row.messages) for row in replies.itertuples()
    ]
    tables.write(replies, path, tables.REPLIES)
    stage.main(*arguments)
    text = (folder / "reports" / "report.html").read_text("utf-8")
    assert "Does it sound like you?" in text
    assert '<html lang="en">' in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "{{ 7 * 7 }}" in text
    assert "(nothing)" in text
    assert Reader(text).wrong == []
    markdown = (folder / "reports" / "report.md").read_text("utf-8")
    assert r"\<script\>alert(1)\</script\><br>a \| b<br>\# no \*title\*<br>{{ 7 \* 7 }}" in markdown
    tables_ = [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)]
    for lines in tables_:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1, lines[0]


def test_almost_nothing_measured_still_makes_a_page(elsewhere):
    """As after `experiment=smoke` on short chats: no intervals, no private prompts."""
    folder, arguments = elsewhere
    scores = metrics.read(folder / "metrics" / "eval.json")
    for name in scores["style"]["author_score"]:
        scores["style"]["author_score"][name] = few(n=0)
    for name in scores["style"]["told_apart"]:
        scores["style"]["told_apart"][name] = few(n=1)
    scores["memory"] |= {"membership": few(n=0), "verdict": "fail"}
    scores["memory"]["reasons"] = {"membership": {"value": "not measured", "most": 0.7}}
    scores["outside"] = {}
    for table in scores["style"]["habits"].values():
        for row in table.values():
            row.pop("own_high")
    metrics.write(scores, folder / "metrics" / "eval.json")
    stage.main(*arguments)
    text = (folder / "reports" / "report.html").read_text("utf-8")
    assert Reader(text).wrong == []
    assert "no se midió" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_planted_secrets_are_in_the_section_on_memory_where_there_are_any(measured, language):
    say = Wording(language)
    plain = details.memory(measured, say, LIMITS)
    bits = {"mean": 1.5, "max": 3.25, "possible": 10.0, "n": 4}
    both = {"base": bits, "tuned": bits | {"mean": 9.75, "max": 10.0}}
    found = {role: {"1": both, "16": both} for role in ("author", "partner")}
    planted = measured | {"memory": measured["memory"] | {"canaries": {"chance": 1.4379, **found}}}
    section = details.memory(planted, say, LIMITS)
    assert section.blocks[: len(plain.blocks)] == plain.blocks
    heading, text, table = section.blocks[len(plain.blocks) :]
    assert heading.text == table.title == say.say("memory.canaries.title")
    assert say.number(1.44) in text.text
    assert say.number(10.0) in text.text
    assert len(table.heads) == 6
    role, roles = say.say("memory.canaries.roles.author"), {row[0] for row in table.rows}
    assert table.rows[1] == (role, "16", "4", *map(say.number, (1.5, 9.75, 10.0)))
    assert (len(table.rows), len(roles)) == (4, 2)


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_colour_of_text_can_be_read_on_what_it_stands_on(scheme):
    styles = (FOLDER / "page.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", styles, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", blocks[scheme]))
    on = {
        "paper": ("ink", "soft", "accent"),
        "card": ("ink", "soft", "good", "bad", "mixed", "unknown"),
        "mine": ("ink",),
        "theirs": ("ink",),
    }
    for ground, texts in on.items():
        for text in texts:
            assert contrast(colours[ground], colours[text]) >= 4.5, (ground, text)


def test_the_stage_depends_on_its_texts_its_templates_and_every_picture():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    deps = set(stages["report"]["deps"])
    ours = {path.relative_to(ROOT).as_posix() for path in FOLDER.iterdir() if path.is_file()}
    assert {path for path in ours if not path.endswith("__init__.py")} <= deps
    assert {f"plots/{name}.png" for name in reported.PICTURES} <= deps
    assert deps >= {f"metrics/{name}.json" for name in ("eval", "statistics", "parse", "format")}
