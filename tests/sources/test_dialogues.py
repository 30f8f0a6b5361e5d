import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espejo.sources import dialogues
from espejo.sources.export import ExportError
from tests.sources.files import as_parquet, columns, read_all, read_content, source_file, words

TALKS = [["Any bread left?", "Two rolls.", "Both, please."], ["Morning .", " Is it ? "]]
ROWS = [
    ("1", "A", "Any bread left?"),
    ("1", "B", "Two rolls."),
    ("1", "A", "Both, please."),
    ("2", "A", "Morning ."),
    ("2", "B", "Is it ?"),
]
OBJECTS = [{"dialog": talk, "act": [1], "topic": 3} for talk in TALKS]
FORMS = {
    "jsonl": "\n".join(map(json.dumps, OBJECTS)),
    "json": json.dumps(OBJECTS, indent=2),
    "lists": json.dumps(TALKS),
    "wrapper": json.dumps({"version": 1, "tags": ["a b"], "data": OBJECTS}),
    "utterances": json.dumps([{"id": "x", "utterances": talk} for talk in TALKS]),
    "texts": json.dumps([{"turns": [{"text": text} for text in talk]} for talk in TALKS]),
    "lines": "Any bread left? __eou__ Two rolls. __eou__ Both, please. __eou__\n"
    "Morning . __eou__ Is it ? __eou__\n",
    "no last mark": "Any bread left? __eou__ Two rolls. __eou__ Both, please.\r\n\r\n"
    "Morning . __eou__ Is it ?",
    "numpy": "dialog,act\n\"['Any bread left?' 'Two rolls.'\n 'Both, please.']\",[1 2 1]\n"
    "\"['Morning .' ' Is it ? ']\",[1 1]\n",
    "python": "id;dialog\n1;['Any bread left?', \"Two rolls.\", 'Both, please.']\n"
    "2;['Morning .', ' Is it ? ']\n",
    "json cells": 'dialog\n"[""Any bread left?"", ""Two rolls."", ""Both, please.""]"\n'
    '"[""Morning ."", "" Is it ? ""]"\n',
    "marked cells": "dialog\tn\nAny bread left? __eou__ Two rolls. __eou__ Both, please.\t1\n"
    "Morning . __eou__ Is it ? __eou__\t2\n",
    "long": "dialogue_id,utterance\n7,Any bread left?\n7,Two rolls.\n9,Morning .\n"
    '7,"Both, please."\n9, Is it ? \n',
    "parquet": as_parquet(dialog=TALKS, act=[[1], [2]]),
    "parquet of objects": as_parquet(
        turns=[[{"utterance": text} for text in talk] for talk in TALKS]
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_dialogue_is_a_chat_of_two_who_alternate(form):
    file = source_file("talks.txt", FORMS[form])
    assert dialogues.recognises(file)
    export = read_content(dialogues, FORMS[form])
    assert words(export) == ROWS
    assert {record.kind for record in export.records} == {"message"}
    assert {record.instant for record in export.records} == {None}
    assert {record.split for record in export.records} == {None}
    assert [record.author_id for record in export.records] == [author for _, author, _ in ROWS]
    assert "2 dialogues" in export.decisions


def test_the_line_is_that_of_the_dialogue():
    text = "dialog\n\"['a b'\n 'c']\"\n\n\"['d']\"\n"
    assert [record.line for record in read_content(dialogues, text).records] == [2, 2, 5]
    records = read_content(dialogues, "a __eou__\n\nb __eou__").records
    assert [record.line for record in records] == [1, 3]


def test_numpy_writes_no_commas_and_python_escapes():
    text = r"""dialog
"['It\'s \\o/' ""I don't"" 'a\nb' 'caf\xe9 \u2026' 'x\ud83d']"
"""
    assert [record.text for record in read_content(dialogues, text).records] == [
        *("It's \\o/", "I don't", "a\nb", "café …", "x\ufffd"),
    ]


def test_a_list_that_numpy_shortened_is_not_read():
    text = "dialog\n['Hi there' 'Yes' ... 'Bye' 'Bye bye']\n"
    with pytest.raises(ExportError, match="line 2: expected a list of utterances, and 1 of 1"):
        read_content(dialogues, text)


def test_an_empty_utterance_does_not_shift_the_speakers():
    export = read_content(dialogues, json.dumps([{"dialog": ["One?", " ", None, "Four."]}]))
    assert words(export) == [("1", "A", "One?"), ("1", "B", "Four.")]
    assert export.dropped == {"empty": 2}
    export = read_content(dialogues, "One? __eou__ __eou__ Three. __eou__\n")
    assert words(export) == [("1", "A", "One?"), ("1", "A", "Three.")]


def test_speakers_that_are_named():
    turns = [("Zoe", "Hey all"), ("Max", "Hey"), ("Max", "Well"), ("Ivo", "Yo"), ("Zoe", "So")]
    objects = [{"speaker": name, "text": text} for name, text in turns]
    export = read_content(dialogues, json.dumps({"dialog": objects}))
    assert [record.author for record in export.records] == ["A", "B", "B", "C", "A"]
    text = "conversation_id;speaker;text\n" + "\n".join(f"1;{n};{t}" for n, t in turns)
    export = read_content(dialogues, text)
    assert [record.author for record in export.records] == ["A", "B", "B", "C", "A"]
    objects[1]["speaker"] = None  # then all alternate
    export = read_content(dialogues, json.dumps({"dialog": objects}))
    assert [record.author for record in export.records] == ["A", "B", "A", "B", "A"]


def test_many_speakers():
    objects = [{"speaker": number, "text": "Here I am"} for number in range(54)]
    records = read_content(dialogues, json.dumps([{"turns": objects}])).records
    authors = [record.author for record in records]
    assert authors[25:28] == ["Z", "A2", "B2"]
    assert len(set(authors)) == 54


def test_chats_are_numbered_through_all_files():
    files = [source_file(f"{name}.txt", "a b __eou__\nc __eou__\n") for name in ("x", "y")]
    exports = dialogues.read(files, columns())
    records = [record for export in exports for record in export.records]
    assert [record.chat for record in records] == ["1", "2", "3", "4"]
    assert len({record.chat_id for record in records}) == 4


def test_dialogues_of_the_whole_that_are_in_a_split_are_dropped():
    talks = ["a b __eou__ c __eou__", "d e __eou__", "f g __eou__ __eou__", "d __eou__ e __eou__"]
    files = [
        source_file(path, "\n".join(talks[index] for index in indices))
        for path, indices in [
            ("x/all.txt", [0, 1, 2, 3]),
            ("x/train/dialogues_train.txt", [0]),
            ("x/test/dialogues_test.txt", [1]),
            ("y/all.txt", [0]),
        ]
    ]
    whole, train, test, other = read_all(dialogues, *files)
    assert [record.text for record in whole.records] == ["f g", "d", "e"]
    assert whole.dropped == {"in_a_split": 3, "empty": 1}
    assert "3 utterances left out that are in a split too" in whole.decisions
    assert [len(export.records) for export in (train, test, other)] == [2, 1, 2]


def test_many_files_are_not_compared_in_pairs(monkeypatch):
    calls = []
    monkeypatch.setattr(dialogues, "split_of_path", calls.append)
    read_all(dialogues, *(source_file(f"x/y/{number}.txt", "a __eou__") for number in range(50)))
    assert len(calls) <= 2 * 50


@pytest.mark.parametrize(
    ("path", "content", "splits"),
    [
        ("dialogues_test.txt", "a __eou__\n", ["test"]),
        (
            "dev/x.jsonl",
            '{"dialog": ["a b"]}\n{"dialog": ["c"], "split": "train"}',
            ["validation", "train"],
        ),
        (
            "x.json",
            '{"train": [{"dialog": ["a b"]}], "valid": [["c d", "e"]]}',
            ["train", "validation", "validation"],
        ),
        ("x.csv", "split,dialog\ntest,['a b']\nfold 3,['c']\n", ["test", None]),
        ("x.csv", "split,dialog_id,text\ntrain,1,a\ndev,2,c\n", ["train", "validation"]),
        ("train-00000-of-00002.parquet", as_parquet(dialog=[["a b"]]), ["train"]),
        ("x.parquet", as_parquet(dialog=[["a b"]], split=["test"]), ["test"]),
    ],
)
def test_splits(path, content, splits):
    assert dialogues.recognises(source_file(path, content))
    export = read_content(dialogues, content, path)
    assert [record.split for record in export.records] == splits


def test_numbers_of_dialogues_may_begin_again_in_each_split():
    rows = "dialogue_id,utterance,split\n1,a,train\n1,b,train\n1,c,test\n1,d,test\n"
    records = read_content(dialogues, rows).records
    assert [(record.chat, record.split, record.text) for record in records] == [
        *(("1", "train", "a"), ("1", "train", "b"), ("2", "test", "c"), ("2", "test", "d"))
    ]


def test_columns_by_setting():
    export = read_content(
        dialogues, "Gespräch\n['Na du' 'Na']\n", options=columns(dialog="gespräch")
    )
    assert [record.text for record in export.records] == ["Na du", "Na"]
    export = read_content(dialogues, '[{"talk": ["Na du"]}]', options=columns(dialog="talk"))
    assert [record.text for record in export.records] == ["Na du"]
    long = "nr,satz\n1,Na du\n"
    export = read_content(dialogues, long, options=columns(dialogue_id="nr", utterance="satz"))
    assert [record.text for record in export.records] == ["Na du"]


@pytest.mark.parametrize(
    "content",
    [
        '[12/03/20, 10:00:01] Ana: do you know what __eou__ means?\n[12/03/20, 10:00:09] Leo: no\n',
        '{"name": "Ana", "type": "personal_chat", "messages": [{"id": 1, "text": "Hi"}]}',
        '{"guild": {"id": "0"}, "messages": [], "dialog": ["a", "b"]}',
        '{"messages": [{"role": "user", "content": "Hi you"}]}\n',
        '{"conversations": [{"from": "human", "value": "Hi you"}]}\n',
        '{"turns": [{"role": "user", "content": "Hi you"}]}\n',
        '{"turns": 7}', '{"dialog": [1, 2]}', '[["name", "age"], ["ana", "7"]]', '["a b", "c d"]',
        "[[1, 2], [3]]", "{}", "[]", "", "{", '{"train": 3}', "[" * 5000, '{"train":[' * 9000,
        "question,answer\na,b\n", "dialog,act\nyes,no\n", "1 2 1\n3 4\n", "\0\1\2", "PAR1",
        b"\xff\xfe",
        "PAR1 is no magic, PAR1", as_parquet(dialog=[1, 2]), as_parquet(x=["a b"]),
    ],
)  # fmt: skip
def test_other_files_are_not_recognised(content):
    assert not dialogues.recognises(source_file("dialogues.json", content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "talks.txt: the file is empty"),
        ("\n \n", "talks.txt: the file is empty"),
        ('[{"dialog": ["a", "b"]}, {"dia', "talks.txt: the JSON is cut off, expected its end"),
        ('{"dialog": ["a", "b"]}\n{"dia', "talks.txt, line 2: the JSON is cut off"),
        ("{nonsense}", r"talks.txt: expected JSON \("),
        ("[" * 5000, "the JSON is nested too deeply"),
        ('[{"dialog": []}]', "expected dialogues: .*, found none"),
        ('[{"a": 1}]', "element 1: expected 'dialog', there are 'a', and 1 of 1 items"),
        ('{"dialog": ["a b"]}\nx\n7', r"line 2: expected JSON \(.*, and 2 of 3 items"),
        ('{"train": [["a b", 7, 7]]}', 'element 1 of "train", utterance 2: expected a text'),
        ("id,words\n1,2\n", "expected dialogues: .*, there are 'id', 'words'; correct"),
        ("dialog,act\n['a b'],['c'],1\n", "line 2: 3 cells, expected 2"),
        ("conv_id,text\n,a\n", "line 2: expected the number of a dialogue, and 1 of 1"),
        (b"PK\x03\x04zip", "this is a zip or an Excel workbook"),
        ("a\0b", "this is a binary file"),
        (b"PAR1 and no more", "the Parquet file is damaged"),
        (as_parquet(x=["a"]), "there are 'x'; correct"),
        (f'[["{"x" * 2_000_001}"]]', "element 1, utterance 1: a text of 2,000,001 bytes"),
    ],
)
def test_errors_say_where_and_what_to_do(content, message):
    with pytest.raises(ExportError, match=message):
        read_content(dialogues, content)


def test_one_odd_item_of_many_is_dropped():
    lines = [json.dumps({"dialog": ["a b", "c"]})] * 60
    lines[30] = '{"dialog": "none"}'
    lines[40] = '{"dialog": ["a", 7]}'
    export = read_content(dialogues, "\n".join(lines))
    assert (export.items, export.dropped) == (119, {"unreadable": 2})
    assert export.records[-1].chat == "59"


def test_json_against_the_standard_is_read():
    lines = [r'{"dialog": ["cut \ud83d", "b"], "score": NaN}', '{"dialog": ["tab\there", "d"]}']
    texts = [record.text for record in read_content(dialogues, "\n".join(lines)).records]
    assert texts == ["cut \ufffd", "b", "tab\there", "d"]
    texts = [record.text for record in read_content(dialogues, f"[{', '.join(lines)}]").records]
    assert texts == ["cut \ufffd", "b", "tab\there", "d"]


def test_encodings_of_lines():
    text = "¿Mañana? __eou__ Sí, mañana. __eou__\n"
    for encoding in ("cp1252", "utf-16", "utf-8-sig"):
        file = source_file("x.txt", text.encode(encoding))
        assert dialogues.recognises(file)
        export = read_content(dialogues, text.encode(encoding))
        assert [record.text for record in export.records] == ["¿Mañana?", "Sí, mañana."]
    assert "read as Windows-1252" in read_content(dialogues, text.encode("cp1252")).decisions


def test_spaces_of_a_tokenizer_are_kept_and_told():
    export = read_content(dialogues, "Hi . __eou__ You ok ? __eou__ No :) __eou__\n")
    assert [record.text for record in export.records] == ["Hi .", "You ok ?", "No :)"]
    assert "spaces before punctuation kept" in export.decisions


@settings(max_examples=100)
@given(st.lists(st.lists(st.text(), min_size=1), min_size=1))
def test_any_text_survives(talks):
    texts = [text.strip() for talk in talks for text in talk if text.strip()]
    for content in (
        "\n".join(json.dumps({"dialog": talk}) for talk in talks),
        json.dumps(talks, ensure_ascii=False),
        as_parquet(dialog=talks),
    ):
        if texts:
            assert [record.text for record in read_content(dialogues, content).records] == texts
        else:
            with pytest.raises(ExportError, match="found none"):
                read_content(dialogues, content)


@settings(max_examples=100)
@given(st.lists(st.text().filter(lambda text: "__eou__" not in text), min_size=1))
def test_any_text_in_a_cell_that_python_wrote_survives(talk):
    cell = repr(["x", *talk]).replace('"', '""')
    records = read_content(dialogues, f'dialog\n"{cell}"\n').records
    assert [record.text for record in records[1:]] == [
        text.strip() for text in talk if text.strip()
    ]
