"""metrics/statistics.json, its pictures and its page: numbers by hand, and no word in git."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers

from espejo.core import tables
from espejo.core.errors import UserError
from espejo.dataset.duplicates import exact, words
from espejo.privacy.people import People
from espejo.statistics import activity, measures, tokens
from espejo.statistics import page as words_page
from stages import statistics as stage
from tests.helpers.workshop import ROOT

JULI = People("Juli", frozenset({"Juli", "Juli vieja"}))


def messages(*rows):
    """A table MESSAGES from (author, text[, kind]), one a minute from 3 March 2025, a Monday."""
    full = [(*row, "message")[:3] for row in rows]
    return pd.DataFrame(
        {
            "chat": "c",
            "line": range(1, len(rows) + 1),
            "timestamp": pd.Timestamp("2025-03-03 21:00")
            + pd.to_timedelta(range(len(rows)), unit="min").astype("timedelta64[us]"),
            "author": pd.Series([row[0] for row in full], dtype="str"),
            "kind": [row[2] for row in full],
            "text": pd.Series([row[1] for row in full], dtype="str"),
            "edited": False,
            "caption": "",
            "app": "whatsapp",
            "split": pd.Series([None] * len(rows), dtype="str"),
        }
    )


def examples(*rows):
    """A table EXAMPLES from (split, context, reply); a context is a list of Cami's messages."""
    return pd.DataFrame(
        {
            "id": [str(index) for index in range(len(rows))],
            "chat": "c",
            "session": range(len(rows)),
            "split": [row[0] for row in rows],
            "group": False,
            "context": [[{"author": "Cami", "messages": row[1]}] for row in rows],
            "reply": [row[2] for row in rows],
        },
        columns=tables.EXAMPLES.names,
        dtype=None if rows else "object",
    )


def counter():
    """Tokens are characters, so that they can be counted by hand."""
    return measures.TokenCounter(lambda texts: [len(text) for text in texts])


def measured(*parts):
    """The numbers of samples that are added in parts."""
    measure = measures.Measure(counter())
    for samples in parts:
        measure.add(samples)
    return measure.numbers()


def test_the_typical_pause_is_that_of_the_authors_turns_of_several_messages():
    start = pd.Timestamp("2025-03-03 21:00")
    turns = pd.DataFrame(
        [
            ("Juli", 0, ["hola"]),  # of one message: no pause
            ("Juli", 10, ["hola", "che"]),  # 10 s
            ("Juli", 40, ["a", "b", "c"]),  # 20 s each, on average
            ("Juli", 300, ["a", "b"]),  # 300 s; the median of 10, 20 and 300 is 20
            ("Cami", 2, ["a", "b"]),
        ],
        columns=["author", "seconds", "messages"],
    )
    turns["start"] = start
    turns["end"] = start + pd.to_timedelta(turns.pop("seconds"), unit="s")
    turns = activity.counted(turns)
    assert activity.typical_pause(turns, "Juli") == 20.0
    assert activity.typical_pause(turns, "Nadie") is None
    without_times = turns.assign(start=pd.NaT, end=pd.NaT)
    assert activity.typical_pause(without_times, "Juli") is None


def test_a_table_measured_by_hand():
    texts = ["Hola hola", "¡hola, HOLA!", "chau", "😀"]
    assert measures.measured(pd.Series(texts), counter()) == {
        "samples": 4,
        "duplicates": 1,  # the second says the words of the first
        "mean_characters": (9 + 12 + 4 + 1) / 4,
        "words": 5,
        "mean_words": 1.25,
        "p95_words": 2.0,
        "unique_words": 2,
        "vocabulary_richness": 40.0,
        "mean_tokens": 6.5,
        # between the third and the last of 4, 0.85 of the way from 9 to 12
        "p95_tokens": pytest.approx(9 + 0.85 * 3),
    }


def test_a_sample_of_several_messages_is_measured_as_their_sum():
    result = measured([["re linda", "si"], ["re", "linda si"]])
    assert (result["samples"], result["duplicates"]) == (2, 1)
    assert (result["words"], result["mean_words"], result["unique_words"]) == (6, 3.0, 3)
    assert (result["mean_characters"], result["mean_tokens"]) == (10.0, 10.0)


def test_samples_in_parts_are_measured_as_together_and_each_message_is_counted_once():
    counts = []

    def count(texts):
        counts.extend(texts)
        return [len(text) for text in texts]

    samples = [["re linda", "si"], ["si"], ["😀"], ["RE", "linda si"], ["no", "no"], ["😀"]]
    measure = measures.Measure(measures.TokenCounter(count))
    for part in (samples[:1], samples[1:4], [], samples[4:]):
        measure.add(part)
    assert measure.numbers() == measured(samples)
    assert measured(samples)["duplicates"] == 2  # RE, linda si; and the second 😀
    assert sorted(counts) == sorted({text for sample in samples for text in sample})


def test_nothing_is_0_samples_and_emoji_are_no_words():
    assert measured([]) == {"samples": 0}
    result = measured([["😀"], ["😀"], ["🔥🔥"]])
    assert (result["samples"], result["duplicates"], result["words"]) == (3, 1, 0)
    assert result["vocabulary_richness"] == 0.0


def test_duplicates_are_those_that_the_filter_drops():
    texts = ["Dale", "dale!!", "?", "?", "!", "no sé", "NO SÉ", "nose", "", ""]
    result = measures.measured(pd.Series(texts), counter())
    assert result["duplicates"] == exact(texts).sum() == 4


def test_people_are_numbered_by_their_messages_and_the_author_is_one_with_all_names():
    table = messages(
        ("Cami", "a"),
        ("Beto", "b"),
        ("Cami", "c"),
        ("Ana", "d"),
        ("Juli", "e"),
        ("Juli vieja", "f"),
    )
    assert measures.numbered(table, JULI, 2) == {
        "Juli": "author",
        "Juli vieja": "author",
        "Cami": "person_1",
        "Ana": "person_2",  # as many as Beto: by name, so that runs agree
    }
    result = measures.of_messages(table, measures.numbered(table, JULI, 2), counter())
    assert {name: group["samples"] for name, group in result.items()} == {
        "all": 6,
        "author": 2,
        "person_1": 2,
        "person_2": 1,
    }


def test_withheld_rows_count_as_nothing():
    table = messages(("Cami", "", "withheld"), ("Juli", "hola"), ("Cami", "", "withheld"))
    left = measures.with_words(table)
    labels = measures.numbered(left, JULI, 10)
    assert set(labels.values()) == {"author"}  # whoever withholds is not even numbered
    assert measures.of_messages(left, labels, counter())["all"]["samples"] == 1
    shares = activity.over_time(left, left["author"].eq("Juli"))
    assert shares.to_dict("records") == [{"period": "2025-03-03", "author": 1, "others": 0}]


def test_what_was_forwarded_is_not_its_senders():
    table = messages(("Juli", "hola"), ("Juli", "LEER ESTO YA", "forwarded"), ("Cami", "¿qué?"))
    left = measures.with_words(table)
    result = measures.of_messages(left, measures.numbered(left, JULI, 10), counter())
    words_of = {name: group["words"] for name, group in result.items()}
    assert words_of == {"all": 2, "author": 1, "person_1": 1}


def test_each_app_is_measured_by_itself():
    table = messages(("Juli", "hola"), ("Cami", "hola hola"), ("Juli", "chau ya"), ("Juli", "si"))
    table["app"] = ["telegram", "telegram", "whatsapp", "whatsapp"]
    result = measures.of_apps(table, "Juli", counter())
    words_of = {
        app: {name: group["words"] for name, group in of.items()} for app, of in result.items()
    }
    assert words_of == {"telegram": {"all": 3, "author": 1}, "whatsapp": {"all": 3, "author": 3}}
    assert result["telegram"]["all"]["vocabulary_richness"] == pytest.approx(100 / 3)


def test_examples_are_measured_with_and_without_their_context():
    table = examples(("train", ["vas?"], ["voy", "ya"]), ("test", [], ["voy ya"]))
    result = measures.of_examples([table], counter())
    assert (result["all"]["samples"], result["all"]["words"]) == (2, 5)
    assert (result["author"]["words"], result["author"]["duplicates"]) == (4, 1)
    nothing = measures.of_examples([examples()], counter())
    assert nothing == {"all": {"samples": 0}, "author": {"samples": 0}}


@pytest.mark.parametrize(
    ("replies", "code"),
    [
        (0, "too_few"),
        (99, "too_few"),
        (100, "few"),
        (499, "few"),
        (500, "fair"),
        (999, "fair"),
        (1000, "enough"),
        (34_000, "enough"),
    ],
)
def test_the_verdict_at_both_sides_of_its_limits(replies, code):
    assert measures.verdict(replies) == code
    assert words_page.EXPECTED[code]
    assert words_page.ADVICE[code]


def test_what_tells_is_left_when_stop_words_fillers_laughter_and_numbers_go():
    texts = ["Q querés? jajaja si no xq ya", "AJAJAJ jsjsjs the asado, 2 asados y el asado"]
    counts = measures.counted(texts)
    assert list(counts)[:1] == ["asado"]
    assert counts["jajaja"] == 1
    left = measures.telling(counts, measures.stop_words(["es", "en"]))
    assert left == {"asado": 2, "asados": 1}


def test_words_that_the_pipeline_put_in_are_not_counted():
    messages = ["le pasé <URL> a PERSON_12", "PERSON a <3 y <CODE>, personas"]
    replaced = measures.counted(measures.written(messages, "PERSON_{n}"))
    assert replaced == {"a": 2, "3": 1, "le": 1, "pasé": 1, "person": 1, "personas": 1, "y": 1}
    kept = measures.counted(measures.written(["PERSON_1 vino"], None))
    assert kept == {"1": 1, "person": 1, "vino": 1}


@pytest.mark.parametrize("word", ["hija", "jujuy", "caja", "ojo", "hoja", "hijo", "viaje", "jefe"])
def test_no_word_is_taken_for_laughter(word):
    assert measures.telling({word: 1}, frozenset()) == {word: 1}


def test_stop_words_of_a_language_without_a_list_are_an_error_with_a_way_out():
    assert "the" not in measures.stop_words(["es"])
    with pytest.raises(UserError, match=r"'xx'.*statistics\.languages takes .*\bes\b"):
        measures.stop_words(["es", "xx"])


def test_weeks_until_a_year_then_months_and_the_empty_ones_as_well():
    table = messages(*[("Juli", "a"), ("Cami", "b"), ("Juli", "c")])
    table["timestamp"] = pd.to_datetime(["2025-03-03", "2025-03-09", "2025-03-17"])
    mine = table["author"].eq("Juli")
    assert measures.days(table) == 15
    assert activity.over_time(table, mine).values.tolist() == [
        ["2025-03-03", 1, 1],
        ["2025-03-10", 0, 0],
        ["2025-03-17", 1, 0],
    ]
    table["timestamp"] = pd.to_datetime(["2025-03-03", "2025-05-01", "2026-04-30"])
    months = activity.over_time(table, mine)
    assert len(months) == 14
    assert months.iloc[[0, 1, 2, 13]].values.tolist() == [
        ["2025-03-01", 1, 0],
        ["2025-04-01", 0, 0],
        ["2025-05-01", 0, 1],
        ["2026-04-01", 1, 0],
    ]


def test_hours_and_weekdays():
    times = pd.Series(pd.to_datetime(["2025-03-03 00:59", "2025-03-09 23:00", "2025-03-09 23:30"]))
    table = activity.hour_weekday(times)
    assert table.columns.tolist() == ["weekday", "hour", "messages"]
    assert table[["weekday", "hour"]].values.tolist() == [
        [day, hour] for day in range(7) for hour in range(24)
    ]
    counts = table["messages"].to_numpy().reshape(7, 24)
    assert (counts[0, 0], counts[6, 23], counts.sum()) == (1, 2, 3)
    assert not activity.hour_weekday(times[:0])["messages"].any()


def test_without_times_there_are_no_periods_and_no_hours():
    table = messages(("Juli", "a"), ("Cami", "b")).assign(timestamp=pd.NaT)
    assert measures.days(table) == 0
    for frame, columns in (
        (activity.over_time(table, table["author"].eq("Juli")), ["period", "author", "others"]),
        (activity.hour_weekday(table["timestamp"]), ["weekday", "hour", "messages"]),
    ):
        assert frame.columns.tolist() == columns
        assert frame.empty


def test_messages_and_words_of_turns_are_counted():
    turns = pd.DataFrame({"author": ["Juli", "Cami"], "messages": [["hola", "che, vos"], ["😀"]]})
    result = activity.counted(turns)
    assert result.to_dict("list") == {
        "author": ["Juli", "Cami"],
        "num_messages": [2, 1],
        "num_words": [3, 0],
    }


def test_lengths_of_the_author_alone_leave_the_others_at_0():
    table = messages(("Juli", "😀"), ("Juli", "uno"), ("Juli", "a b c d"), ("Juli", "x " * 40))
    turns = pd.DataFrame({"author": ["Juli"], "messages": [list(table["text"])]})
    result = activity.lengths(table, activity.counted(turns), "Juli").set_index("words_from")
    assert result["author_messages"].to_dict() == {
        0: 25.0, 1: 25.0, 2: 0.0, 3: 25.0, 5: 0.0, 9: 0.0, 17: 0.0, 33: 25.0
    }  # fmt: skip
    assert result.loc[33, "author_turns"] == 100.0
    assert not result[["others_messages", "others_turns"]].to_numpy().any()


def test_a_table_stays_one_whatever_people_are_called_and_however_little_they_wrote():
    page = words_page.measures(("a | b",), [{"samples": 0}])
    assert page.splitlines()[:3] == ["|  | a \\| b |", "| --- | --- |", "| samples | 0 |"]
    assert set(page.splitlines()[3:]) == {
        f"| {name} | – |" for name in list(words_page._ROWS.values())[1:]
    }
    ranked = words_page.ranking({"x": {"a": 2, "b": 1, "c": 1}, "y": {}}, 2)
    assert ranked.splitlines()[2:] == ["| 1 | a (2) |  |", "| 2 | b (1) |  |"]


NAMES = ("Xiomara", "Evaristo", "Nicanor")
CHAT_ROWS = (
    (NAMES[0], "siii la zanfonía de cuerdas"),
    (NAMES[1], "¿Y la compramos por cien mangos?"),
    (NAMES[2], "", "withheld"),
    (NAMES[0], "😀"),
    (NAMES[1], "<Multimedia omitido>", "media"),
    (None, "Nicanor cambió el asunto", "system"),
)


@pytest.fixture
def tree(tmp_path, monkeypatch, composed):
    """tree(rows, replies) writes tables of them and runs the stage; returns the folder."""

    def ran(
        rows=CHAT_ROWS,
        replies=(("train", ["vamos?"], ["siii la zanfonía de cuerdas", "😀"]),),
        pseudonyms=None,
        kind="chats",
        change=lambda table: table,
    ):
        table = change(messages(*rows))
        clean = table[table["kind"].isin(["message", "withheld"])]
        if pseudonyms:
            called = {name: pseudonyms.format(n=number) for number, name in enumerate(NAMES)}
            clean = clean.assign(author=clean["author"].replace(called))
        spoken = clean[clean["kind"] == "message"]
        turns = pd.DataFrame(
            {
                "chat": spoken["chat"].tolist(),
                "session": spoken["chat"].factorize()[0],
                "turn": range(len(spoken)),
                "author": spoken["author"].tolist(),
                "start": spoken["timestamp"].tolist(),
                "end": spoken["timestamp"].tolist(),
                "messages": [[text] for text in spoken["text"]],
                "split": "train",
            }
        )
        pairs = examples(*replies)
        formatted = pairs[["id", "session", "split"]].assign(
            text=pairs["reply"].map(" ".join).astype("str"), spans=None, masked=None
        )
        for column in ("spans", "masked"):
            formatted[column] = formatted[column].astype("object").map(lambda _: [])
        data = tmp_path / "data"
        for name, frame, schema in (
            ("messages", table, tables.MESSAGES),
            ("clean", clean.drop(columns="caption"), tables.CLEAN),
            ("turns", turns, tables.TURNS),
            ("examples", pairs, tables.EXAMPLES),
            ("filtered", pairs, tables.EXAMPLES),
            ("formatted", formatted, tables.FORMATTED),
        ):
            tables.write(frame, data / f"{name}.parquet", schema)
        if kind == "chats":
            (tmp_path / "people.yaml").write_text(
                f"author: {NAMES[0]}\npeople: {{{NAMES[1]}: train, {NAMES[2]}: withhold}}\n",
                "utf-8",
            )
        params = composed()
        params["clean"] |= {"pseudonyms": pseudonyms}
        params["data"] |= {"kind": kind}
        params["statistics"] = {"top_words": 5, "languages": ["es", "en"], "people": 10}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
        stage.main(
            data,
            tmp_path,
            tmp_path / "metrics" / "statistics.json",
            tmp_path / "plots",
            tmp_path / "reports" / "statistics.md",
        )
        return tmp_path

    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    monkeypatch.setattr(
        stage, "load_tokenizer", lambda model: SimpleNamespace(backend_tokenizer=tokenizer)
    )
    monkeypatch.chdir(tmp_path)
    return ran


def outs(folder):
    """The stage's outputs by name."""
    paths = [
        path for place in ("metrics", "plots", "reports") for path in (folder / place).iterdir()
    ]
    paths.append(folder / "data" / "words.parquet")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_the_stage_writes_what_dvc_expects_twice_the_same(tree):
    folder = tree()
    first = outs(folder)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    expected = [
        out if isinstance(out, str) else next(iter(out)) for out in stages["statistics"]["outs"]
    ]
    assert sorted(first) == sorted(expected)
    assert outs(tree()) == first
    result = json.loads(first["metrics/statistics.json"])
    assert result["verdict"] == "too_few"
    assert result["whole"] == {
        "replies": {"train": 1, "validation": 0, "test": 0},
        "training_tokens": 6,
        "days": 1,
        "author_share": pytest.approx(100 * 2 / 3),
    }
    assert {name: group["samples"] for name, group in result["raw"].items()} == {
        "all": 5,
        "author": 2,
        "person_1": 2,
    }
    assert result["clean"]["person_1"]["samples"] == 1


def without_times(table):
    """Each pair of messages is a chat of its own, without times."""
    return table.assign(timestamp=pd.NaT, chat=[f"c{index // 2}" for index in range(len(table))])


@pytest.mark.parametrize(
    ("kind", "speakers", "sentences"),
    [
        (
            "dialogues",
            ("A", "B"),
            ("# What the dialogues hold", "% of them speaker B's", "| B (author) | A (person"),
        ),
        (
            "questions",
            ("question", "answer"),
            ("# What the questions and answers", "% of them answers", "| the answers, clean |"),
        ),
    ],
)
def test_data_of_nobody_and_without_times(tree, kind, speakers, sentences):
    other, learnt = speakers
    rows = ((other, "hola, ¿hay pan?"), (learnt, "queda poco"), (other, "¿y sal?"), (learnt, "no"))
    folder = tree(rows, kind=kind, change=without_times)
    result = json.loads((folder / "metrics" / "statistics.json").read_text("utf-8"))
    assert result["verdict"] == "not_applicable"
    assert (result["whole"]["days"], result["whole"]["author_share"]) == (0, 50.0)
    words_of = {name: group["words"] for name, group in result["clean"].items()}
    assert words_of == {"all": 8, "author": 3, "person_1": 5}
    assert "between_apps" not in result
    lines = {
        path.name: path.read_text("utf-8").splitlines() for path in (folder / "plots").iterdir()
    }
    assert lines["hour_weekday.csv"] == ["weekday,hour,messages"]
    assert lines["messages_over_time.csv"] == ["period,author,others"]
    assert lines["turn_lengths.csv"][2] == "1,50.0,0.0,50.0,0.0"  # "no" has one word
    page = (folder / "reports" / "statistics.md").read_text("utf-8")
    for sentence in ("the data have no times", "No verdict is given", *sentences):
        assert sentence in page
    for phrase in ("author's", "erson by person", "people.yaml", "LIMA", "0 days"):
        assert phrase not in page


def test_a_second_app_has_its_table_and_is_compared(tree):
    def in_two_apps(table):
        return table.assign(
            app=["telegram" if index < 2 else "whatsapp" for index in range(len(table))],
            chat=[f"c{int(index < 2)}" for index in range(len(table))],
        )

    folder = tree(change=in_two_apps)
    result = json.loads((folder / "metrics" / "statistics.json").read_text("utf-8"))
    words_of = {app: of["author"]["words"] for app, of in result["apps"].items()}
    assert words_of == {"telegram": 5, "whatsapp": 0}  # there it is an emoji
    comparison = result["between_apps"]["telegram"]["whatsapp"]
    assert (comparison["verdict"], comparison["turns"]) == ("few", 1)
    page = (folder / "reports" / "statistics.md").read_text("utf-8")
    assert "### telegram\n\n|  | everybody | the author |\n" in page
    one_app = tree()
    assert "App by app" not in (one_app / "reports" / "statistics.md").read_text("utf-8")
    assert "between_apps" not in json.loads((one_app / "metrics" / "statistics.json").read_text())


def test_pseudonyms_change_nothing_that_is_counted(tree):
    """From clean on everybody has a pseudonym, as with own chats."""
    plain = outs(tree())
    assert outs(tree(pseudonyms="PERSON_{n}")) == plain


def strings(value):
    """All keys and strings of nested JSON."""
    if isinstance(value, dict):
        return {text for key, inner in value.items() for text in {key} | strings(inner)}
    return {value} if isinstance(value, str) else set()


def test_no_name_and_no_word_of_the_chats_goes_where_git_does(tree):
    folder = tree()
    written = outs(folder)
    in_git = [strings(json.loads(written["metrics/statistics.json"]))]
    for name, content in written.items():
        assert not name.startswith("plots/") or name.endswith(".csv")
        if name.endswith(".csv"):
            in_git.append(set(content.decode().replace("\n", ",").split(",")))
    words_in_git = {word for text in set().union(*in_git) for word in words(text.replace("_", " "))}
    chats = {word for row in CHAT_ROWS for word in words(f"{row[0]} {row[1]}")}
    assert {"all", "samples", "author", "others", "2025"} <= words_in_git
    assert not words_in_git & chats
    page = written["reports/statistics.md"].decode()
    assert "zanfonía (1)" in page  # it does quote, and is not in git
    words_of = tables.read(folder / "data" / "words.parquet", tables.WORDS)
    assert dict(words_of.values.tolist())["zanfonía"] == 1  # nor is data/
    assert "Xiomara (author)" in page
    assert r"Evaristo (person\_1)" in page
    assert "nicanor" not in page.casefold()  # nor is who withheld named in reports/


def test_one_author_alone_with_emoji_only_and_no_rows_after_the_filter(tree):
    folder = tree(rows=((NAMES[0], "😀"), (NAMES[0], "🔥")), replies=())
    result = json.loads((folder / "metrics" / "statistics.json").read_text("utf-8"))
    assert result["filtered"] == {"all": {"samples": 0}, "author": {"samples": 0}}
    assert result["formatted"] == {"samples": 0}
    assert result["whole"]["author_share"] == 100.0
    assert result["clean"]["author"]["unique_words"] == 0
    assert set(result["clean"]) == {"all", "author"}


def test_of_many_examples_every_nth_is_cut_into_tokens():
    texts = pd.Series(["a"] * 10_001)
    result = tokens.read_by_model(texts, lambda chosen: np.ones(len(chosen)).tolist())
    assert result == {"samples": 3334, "mean_tokens": 1.0, "p95_tokens": 1.0}
