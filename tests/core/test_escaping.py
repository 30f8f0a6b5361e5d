"""What people write stays text: in Markdown (read by a parser), in HTML and in a terminal."""

import json
import re
import sys
import unicodedata
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from espejo.chat import terminal
from espejo.commands import cli, compare, replay
from espejo.core import escaping, stage, tables
from espejo.core.errors import UserError
from espejo.export import model_card
from espejo.plots import evaluation as evaluation_plots
from espejo.plots.style import axes_with, save
from espejo.privacy import cleaning
from espejo.report import page, samples
from espejo.report.blocks import Exchanges, Section, Table, Text, Turn
from espejo.report.wording import Wording
from espejo.statistics.page import measures, ranking
from espejo.training.epoch_samples import EpochSamples
from stages import parse
from tests.helpers.workshop import PEOPLE, chat

HOSTILE = [
    "![x](//host/a.png)",
    "[x](https://host/)",
    "[x]: https://host/ 'title'",
    "![x][y]",
    "see https://host/a?b=c and http://host.example",
    "www.host.example",
    "host.example",
    "mailto:ana@host.example",
    "ana@host.example",
    "<https://host/>",
    "<img src=//host/a.png>",
    "<script>alert(1)</script>",
    "a <!-- b --> c",
    "</td></table><h1>x",
    "\" onload='x' &quot;",
    "&lt;b&gt; &#36; &amp;",
    "# heading",
    "heading\n===",
    "heading\n---",
    "- item\n+ item\n* item\n1. item\n2) item",
    "---",
    "> quote",
    "    code",
    "\tcode",
    "```\ncode\n```",
    "~~~\ncode",
    "`code` and ``co`de``",
    "*a* **b** _c_ __d__ ~~e~~ ***f***",
    "a | b | c\n| --- | --- |",
    "\\| \\\\| \\",
    "[^1] and [^1]: note",
    "$x$ and $$\\href{https://host/}{x}$$ and $`x`$",
    ":octocat: at 12:30",
    "@ana #12 !5",
    "- [ ] task",
    "end of line  \\\nnext",
    "{{ config }} {% raw %}",
    "a\x1b[31mred\x9b2J\0\x07\x7f",
    "a\u202eb\u2066c",
]
PIECES = [*HOSTILE, *"\\`*_[]<>|#~&$@:.-+=!()1\n \t\x1b\0\u202e", "www.", "http://", "a", "ñ"]
TEXTS = st.text() | st.lists(st.sampled_from(PIECES)).map("".join)
# The pages are written with all of them in one text, and with those that depend on their position.
IN_PAGES = ["\n".join(HOSTILE), "![x](//host/a.png)", "# a\n===", "- a", "    a", "```\n|", "1. a"]
# Markdown as GitHub has it: CommonMark with tables and strikethrough. Its links from bare addresses
# are left out here, whose package we do not have: `acts` looks for them.
GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
OURS = ("<br>", "<span>", "</span>")
UNSEEN = re.compile("[\0-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffd\\s]")


def tokens(text):
    """All tokens of a Markdown page, one after the other."""
    return [each for token in GITHUB.parse(text) for each in (token.children or [token])]


def structure(text):
    """The tokens of a Markdown page that are not text: their kinds, and the targets of links."""
    return [
        (token.type, token.tag, token.attrs)
        for token in tokens(text)
        if token.type not in ("text", "softbreak") and token.content not in OURS
    ]


def seen(text):
    """What a reader of a Markdown page sees, without blanks."""
    kept = (token.content for token in tokens(text) if token.type in ("text", "code_inline"))
    return UNSEEN.sub("", "".join(kept))


def acts(text):
    """What GitHub acts upon in the Markdown `text`: addresses, formulas, pictures by name.

    It takes the backslashes away before it looks for addresses of mail, formulas and names of
    pictures, and it looks at each run of text without a tag in it.
    """
    runs = re.split("<br>|<span>|</span>", re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text))
    late = [run for run in runs if re.search(r"\$.|.\$|\S@\w|:[\w+-]+:", run)]
    return late + re.findall(r"(?i)\w://|\bwww\.\S|mailto:\w", text)


def checked(text):
    """`text` is shown as it was written, alone, in a list and in a table, and is nothing else."""
    written = escaping.markdown(text)
    assert not acts(written)
    expected = UNSEEN.sub("", text)
    like = "x" if written else ""
    assert seen(written) == expected
    assert structure(written) == structure(like)
    assert seen(f"- {written}") == expected
    assert structure(f"- {written}") == structure(f"- {like}")
    head = "| a |\n| --- |\n"
    assert seen(head + escaping.row([written])) == "a" + expected
    assert structure(head + escaping.row([written])) == structure(head + escaping.row([like]))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_shown_as_they_were_written(text):
    checked(text)


@given(TEXTS)
def test_any_text_is_shown_as_it_was_written(text):
    checked(text)


def test_these_checks_find_what_is_not_escaped():
    for text in ("![x](//host/a.png)", "[x](//host/)", "<b>", "# a", "```", "~~e~~", "1. a"):
        assert structure(text) != structure("x")
    for text in ("http://a", r"a\@b", r"\$x\$", r"\:octocat\:", "www.a"):
        assert acts(text)


def test_what_is_written_is_still_read_easily():
    assert escaping.markdown("a las 12:30, por 3.50. ¿Sí? jaja... (bien)") == (
        "a las 12:30, por 3.50. ¿Sí? jaja... (bien)"
    )
    assert escaping.markdown("mirá *esto*: https://a.example\n\n- 50$") == (
        r"mirá \*esto\*: https\://a\.example<br>\- 50<span>$</span>"
    )


def replies_to(text, ids):
    """Table REPLIES of the base and the tuned model, to fixed prompts and contexts."""
    rows = [
        (id_, kind, text if kind == "prompt" else None, model, [text], True)
        for id_, kind in zip(ids, ("prompt", "held_out"), strict=False)
        for model in ("base", "tuned")
    ]
    return pd.DataFrame(rows, columns=tables.REPLIES.names)


def markdown_pages(text, folder):
    """Every Markdown page, with `text` wherever it quotes people or names."""
    tested = pd.DataFrame(
        {"id": ["a"], "context": [[{"author": text, "messages": [text]}]], "reply": [[text]]}
    )
    yield samples.page(replies_to(text, ["prompt-1", "a"]), tested)
    spans = pd.DataFrame({"message": [0], "type": ["EMAIL"], "masked": [text]})
    yield cleaning.page(spans, "replace")
    yield measures((text,), [{"samples": 3}])
    yield ranking({text: {text: 2}}, 1)
    epochs = EpochSamples(folder, [text], None, 7)
    (folder / "replies-1.json").write_text(f"[[{json.dumps(text)}]]", "utf-8")
    yield epochs.page()
    yield page.markdown(Wording("es"), *report(text))
    params = {"model": {"name": text}, "data": {"raw": "x"}, "evaluate": {"prompts": [text]}}
    experiment = compare.Experiment(text, None, params, {"base": {}, "tuned": {}}, None)
    yield compare.page([experiment])
    manifest = {
        "model": {"id": text, "quantization": None},
        "resolved_revision": "abc",
        "format": {"name": text},
        "history": 4,
        "learnt_replies": 1,
        "train": {
            **{"method": "lora", "loss": "reply", "rank": 1, "alpha": 2, "epochs": 1},
            **{"learning_rate": 0.1, "scheduler": text},
        },
        "hardware": {"precision": "a", "attention": "b", "threads": 1, "device": text},
        "data_sha256": "0f",
        "libraries": {"torch": "1"},
    }
    counts = {"learnt_tokens_per_epoch": 1, "best_step": 1, "loss_validation": 1.0}
    yield model_card.card(manifest, counts, "pass").split("\n---\n", 1)[1]


def report(text):
    """Lead, answers and sections of the report, as `page` takes them."""
    lead = Wording("es").text(
        "page.lead", model=escaping.markdown(text), confidence="95 %", often="95"
    )
    exchanges = Exchanges([text], [([Turn(text, [text])], [Turn("x", [text, text])])])
    blocks = [Text("`a` and *b*"), Table("t", ["a"], [[text], [text]]), exchanges]
    return lead, [], [Section("s", "s", [*blocks[:2], Exchanges(["a", "b"], exchanges.rows)])]


@pytest.mark.parametrize("text", IN_PAGES)
def test_every_markdown_page_has_the_structure_it_has_with_plain_words(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compare.Experiment, "replies", lambda _: replies_to(text, ["prompt-1"]))
    for hostile, plain in zip(
        markdown_pages(text, tmp_path), markdown_pages("x", tmp_path), strict=True
    ):
        assert structure(hostile) == structure(plain)
        assert UNSEEN.sub("", text) in seen(hostile)


class Reader(HTMLParser):
    """Collects the tags of a page with their attributes, and its text."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        if (tag, attrs) not in (("br", []), ("span", [])):  # what escaping.markdown writes
            self.tags.append((tag, attrs))

    def handle_data(self, data):
        self.text += data


def html_pages(text):
    """Every HTML page, with `text` wherever it quotes people or names."""
    wording = Wording("es")
    yield page.html(wording, *report(text), {})
    pairs = [{"context": [{"author": text, "messages": [text]}], "a": [text], "b": [text]}]
    rest = {"name": "0", "style_digest": "", "script_digest": "", "styles": "", "script": ""}
    yield page.render("blind.html", True, wording=wording, pairs=pairs, named=True, **rest)
    turn = replay.Turn(text, [text], mine=False, time="")
    conversation = replay.Replayed([turn], {"real": [text], "tuned": [text]}, "")
    replayed = replay.Replay([conversation], text, "chats")
    rest = {"styles": "", "style_digest": "", "notices": []}
    yield page.render("replay.html", True, wording=wording, replay=replayed, named=True, **rest)


@pytest.mark.parametrize("text", IN_PAGES)
def test_every_html_page_has_the_tags_it_has_with_plain_words(text):
    for hostile, plain in zip(html_pages(text), html_pages("x"), strict=True):
        read = Reader(hostile)
        assert read.tags == Reader(plain).tags
        assert UNSEEN.sub("", text) in UNSEEN.sub("", read.text)
        assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", hostile)


def test_the_texts_of_the_report_keep_their_own_marks():
    read = Reader(page.html(Wording("es"), *report("x"), {}))
    assert ("code", []) in read.tags
    assert ("em", []) in read.tags


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_in_a_terminal_acts_on_it(text):
    for lines in (False, True):
        output = escaping.terminal(text, lines)
        allowed = "\n" if lines else ""
        kinds = {
            unicodedata.category(character) for character in output if character not in allowed
        }
        assert not kinds & {"Cc", "Cs", "Zl", "Zp"}
        assert not set(output) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
        output.encode()  # also what stands for a byte of a file name that is not UTF-8
    assert escaping.terminal("Ana 👩\u200d🚀 ñ") == "Ana 👩\u200d🚀 ñ"


NAME = "a\x1b[2J\x9b31m\u202e\udce9.txt"
SAFE = "a\ufffd[2J\ufffd31m\ufffd.txt"


def test_a_sentence_about_a_file_reaches_the_terminal_without_its_controls(monkeypatch, capsys):
    def fails():
        raise UserError(f"{NAME}: broken,\nmend it")

    monkeypatch.setattr(sys, "argv", ["parse"])
    with pytest.raises(SystemExit, match=re.escape(f"parse: {SAFE}: broken,\nmend it")):
        stage.run(fails)
    monkeypatch.setattr(cli, "commands", fails)
    with pytest.raises(SystemExit, match=re.escape(f"espejo: {SAFE}: broken,\nmend it")):
        cli.app()


def test_the_summary_of_a_stage_names_a_file_without_its_controls(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)  # else no file is named
    (tmp_path / "people.yaml").write_text(PEOPLE, "utf-8")
    (tmp_path / "a\x1b[2J\nparse: b.txt").write_text(chat(3), "utf-8")
    parse.main(tmp_path, *(tmp_path / name for name in ("table.parquet", "probes", "account.json")))
    output = capsys.readouterr().out
    assert "  a\ufffd[2J parse: b.txt: 15 messages" in output
    assert "\x1b" not in output


def test_a_reply_reaches_the_terminal_without_controls_and_is_no_markup(capsys):
    reply = (text for text in ["[red]si\x1b[2J", None, "\x9b31mdale\n\u202eya"])
    terminal._show(Console(), "bot › ", reply, terminal.ChatWording("en"))
    output = capsys.readouterr().out
    assert output == "bot › [red]si\ufffd[2J\nbot › \ufffd31mdale\nya\n"


def test_no_picture_shows_the_source_of_a_formula():
    lengths = {name: [1.0, 9.0, 199.0] for name in ("base", "tuned", "real")}
    table = pd.DataFrame({"percentile": [0, 50, 100], **lengths})
    figure = evaluation_plots.reply_lengths(table, Wording("es"))
    figure.canvas.draw()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["0", "10", "100"]


def test_a_name_in_a_picture_is_no_formula(tmp_path):
    figure, _ = axes_with(r"$\nothing{$ de $x$", "x", "y")
    save(figure, tmp_path / "a.png")
    assert plt.rcParams["text.parse_math"] is False


def test_a_table_of_markdown():
    table = escaping.table(("a", "**b**"), [("1", "2"), ("3", "")])
    assert table == "| a | **b** |\n| --- | --- |\n| 1 | 2 |\n| 3 |  |"
