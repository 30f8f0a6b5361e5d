"""`espejo blind`: a page that does not reveal which reply is real, and the score of its answers."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from espejo.commands import blind
from espejo.commands.cli import commands
from espejo.core import tables
from espejo.core.errors import UserError
from espejo.report.page import digest
from tests.helpers.workshop import ROOT

PAIRS = 12


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in which 12 test contexts and others were answered, and params say Spanish."""
    splits = ["train"] * 3 + ["validation"] * 3 + ["test"] * (PAIRS + 1)
    rows = [
        {
            "id": f"id-{number}",
            "chat": "c",
            "session": number,
            "split": split,
            "group": False,
            "context": [{"author": "Cami", "messages": [f"asked {number}?"]}],
            "reply": [f"{split} real {number}", "<b>"],
        }
        for number, split in enumerate(splits)
    ]
    answered = [row["id"] for row in rows[3:-1]]  # the last of the test was not answered
    replies = [
        {
            **{"id": name, "kind": "held_out", "prompt": None, "model": model},
            **{"messages": [f"{model} wrote {name[3:]}"], "finished": True},
        }
        for model in ("base", "tuned")
        for name in answered
    ]
    replies[-1]["messages"] = []
    tables.write(pd.DataFrame(rows), tmp_path / "data" / "examples.parquet", tables.EXAMPLES)
    tables.write(pd.DataFrame(replies), tmp_path / "data" / "replies.parquet", tables.REPLIES)
    data = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))["data"]
    params = {"data": data, "report": {"language": "es", "shown_contexts": 1}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Page(HTMLParser):
    """The options that the page offers, and the label of each."""

    def __init__(self, text):
        super().__init__()
        self.name, self.options, self.bubbles, self.sources = None, [], [], []
        self.texts = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.name = attributes.get("data-page", self.name)
        self.sources += [value for name, value in attrs if name in ("src", "href", "action")]
        if tag == "label" and attributes.get("class"):
            self.texts = []
        if attributes.get("class") == "bubble":
            self.bubbles.append("")
        if tag == "input":
            self.options.append((attributes["name"], attributes["value"], self.texts))

    def handle_data(self, data):
        if self.texts is not None and data.strip():
            self.texts.append(data.strip())


def written(folder, number=PAIRS, seed=7, language="en"):
    blind.write(folder, language, number, seed)
    page = (folder / blind.PAGE).read_text("utf-8")
    return page, json.loads((folder / blind.KEY).read_text("utf-8"))


def answered(folder, page, choose):
    """answers.json as the page's script writes it; `choose` picks an option of each pair."""
    parsed = Page(page)
    answers = {number: side for number, side, texts in parsed.options if choose(side, texts)}
    path = folder / "answers.json"
    path.write_text(json.dumps({"page": parsed.name, "answers": answers}), "utf-8")
    return path


def is_real(_, texts):
    return texts[0].startswith("test real")


def test_every_pair_is_of_the_test_set_and_has_one_real_reply(folder):
    page, key = written(folder)
    options = Page(page).options
    assert len(options) == 2 * PAIRS
    for number, real in key["real"].items():
        both = {side: texts[0] for name, side, texts in options if name == number}
        assert both[real].startswith("test real")
        other = both["b" if real == "a" else "a"]
        assert other.startswith("tuned wrote") or other == "(nothing)"
    assert set(key["real"].values()) == {"a", "b"}
    assert "base wrote" not in page
    assert "validation real" not in page


def test_the_page_holds_no_key_and_loads_nothing(folder):
    page, key = written(folder)
    assert Page(page).sources == []
    assert "http" not in page.replace("http-equiv", "")
    assert "id-" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    # Apart from their words, real and generated replies look the same on either side.
    shape = re.sub(r"(test real|tuned wrote) \d+|asked \d+|name=.\d+|Conversation \d+", "", page)
    fieldsets = re.findall(r"<fieldset.*?</fieldset>", shape, re.DOTALL)
    bare = {
        re.sub(r'<span class="(bubble|empty)">.*?</span>\s*', "", fieldset)
        for fieldset in fieldsets
    }
    assert len(bare) == 1
    assert json.dumps(key["real"])[1:-1] not in page
    policy = re.search(r'Security-Policy" content="([^"]*)"', page)[1]
    for tag in ("script", "style"):
        content = re.search(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[1]
        assert f"{tag}-src '{digest(content)}'" in policy
    assert "&lt;b&gt;" in page


def test_the_same_seed_gives_the_same_page_and_another_another(folder):
    first, again, other = written(folder), written(folder), written(folder, seed=8)
    assert first == again
    assert first[0] != other[0]
    assert first[1]["page"] != other[1]["page"]
    assert len(written(folder, number=5)[1]["real"]) == 5
    assert len(written(folder, number=500)[1]["real"]) == PAIRS


@pytest.mark.parametrize(
    ("choose", "result", "means"),
    [
        (is_real, "in 12 of 12 answered (12 on the page): 1.00 [0.76, 1.00]", "can be told from"),
        (lambda *option: not is_real(*option), "in 0 of 12", "pass for real more often"),
    ],
)
def test_what_the_answers_come_to(folder, choose, result, means):
    page, _ = written(folder)
    sentence = blind.score(answered(folder, page, choose), folder / blind.KEY)
    assert result in sentence
    assert means in sentence


def test_half_of_them_right_is_a_coin(folder):
    _, key = written(folder)
    other = {"a": "b", "b": "a"}
    answers = {
        number: side if int(number) % 2 else other[side] for number, side in key["real"].items()
    }
    path = folder / "answers.json"
    path.write_text(json.dumps({"page": key["page"], "answers": answers}), "utf-8")
    sentence = blind.score(path, folder / blind.KEY)
    # Wilson by hand: 0.5 ± 1.96 / (1 + 1.96² / 12) * sqrt(0.25 / 12 + 1.96² / 576) = 0.5 ± 0.246
    assert "in 6 of 12 answered (12 on the page): 0.50 [0.25, 0.75]" in sentence
    assert "neither that the replies can be told nor that they cannot" in sentence


def test_only_answered_conversations_count(folder):
    page, key = written(folder)
    path = answered(folder, page, is_real)
    answers = json.loads(path.read_text())
    answers["answers"] = {"1": key["real"]["1"]}
    path.write_text(json.dumps(answers))
    assert "in 1 of 1 answered (12 on the page): 1.00 [0.21, 1.00]" in blind.score(
        path, folder / blind.KEY
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a file of the blind test"),
        ('{"page": "other", "answers": {"1": "a"}}', "answers another page"),
        ('{"page": PAGE, "answers": {}}', "holds no answer"),
        ('{"page": PAGE, "answers": {"99": "a"}}', "not as the page wrote it"),
        ('{"page": PAGE, "answers": {"1": "c"}}', "not as the page wrote it"),
        ('{"page": PAGE, "answers": {"1": ["a"]}}', "not as the page wrote it"),
    ],
)
def test_answers_that_cannot_be_counted(folder, content, message):
    _, key = written(folder)
    path = folder / "answers.json"
    path.write_text(content.replace("PAGE", json.dumps(key["page"])))
    with pytest.raises(UserError, match=message):
        blind.score(path, folder / blind.KEY)


def test_files_that_are_not_there(folder):
    with pytest.raises(UserError, match="`espejo blind` writes it"):
        blind.score(folder / "answers.json", folder / blind.KEY)
    written(folder)
    with pytest.raises(UserError, match="answers.json cannot be read"):
        blind.score(folder / "answers.json", folder / blind.KEY)
    (folder / "data" / "replies.parquet").unlink()
    with pytest.raises(UserError, match="run `make repro` first"):
        written(folder)


def test_replies_to_validation_alone_make_no_page(folder):
    path = folder / "data" / "replies.parquet"
    replies = tables.read(path, tables.REPLIES)
    tables.write(replies[replies["id"].isin(["id-3", "id-4"])], path, tables.REPLIES)
    with pytest.raises(UserError, match="No context of the test set was answered"):
        written(folder)


def test_the_command_writes_and_counts(folder):
    run = CliRunner().invoke(commands, ["blind", "--pairs", "4"])
    assert run.exit_code == 0, run.output
    assert "conversations: 4" in run.output
    page = (folder / blind.PAGE).read_text("utf-8")
    assert "¿Cuál es la real?" in page
    path = answered(folder, page, is_real)
    run = CliRunner().invoke(commands, ["blind", "--score", str(path)])
    assert "Real reply found in 4 of 4 answered" in run.output


@pytest.mark.parametrize(
    ("kind", "title", "speaker"),
    [
        ("chats", "¿Cuál es la real?", True),
        ("dialogues", "¿Cuál es la real?", True),
        ("questions", "¿Cuál es la de la tabla?", False),
    ],
)
def test_the_words_fit_the_kind_of_data(folder, kind, title, speaker):
    params = yaml.safe_load((folder / "params.yaml").read_text("utf-8"))
    params["data"]["kind"] = kind
    (folder / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    run = CliRunner().invoke(commands, ["blind"])
    assert run.exit_code == 0, run.output
    page = (folder / blind.PAGE).read_text("utf-8")
    assert f"<h1>{title}</h1>" in page
    assert ('<p class="who">Cami</p>' in page) == speaker
    assert ("aprendió de ella. Elegí la real" in page) == (kind == "chats")


STUB = """
const texts = {};
const part = (id) => ({
  addEventListener: (what, act) => { texts[`${id} ${what}`] = act; },
  set textContent(value) { texts[id] = value; },
  select() {},
});
const main = {
  ...part("main"), dataset: { page: "abc" },
  querySelectorAll: () => [{ name: "1", value: "a" }, { name: "10", value: "b" }],
};
const area = { ...part("#answers"), value: "" };
const known = { main, "#answers": area, "#count": part("#count"), "#download": part("#download"),
  "#copy": part("#copy") };
globalThis.document = {
  querySelector: (name) => known[name],
  createElement: () => ({ click() { texts.clicked = this.download; } }),
  execCommand: () => {},
};
globalThis.Blob = class { constructor(parts) { texts.blob = parts.join(""); } };
globalThis.URL = { createObjectURL: () => "blob:x", revokeObjectURL() {} };
"""


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_the_script_writes_what_the_score_reads(folder):
    page, _ = written(folder)
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    after = 'texts["#download click"](); texts["#copy click"]();console.log(JSON.stringify(texts));'
    ran = subprocess.run(
        ["node", "-e", f"{STUB}\n{{{script}}}\n{after}"], capture_output=True, text=True, check=True
    )
    done = json.loads(ran.stdout)
    assert json.loads(done["blob"]) == {"page": "abc", "answers": {"1": "a", "10": "b"}}
    assert done["#count"] == 2
    assert done["clicked"] == "answers.json"
