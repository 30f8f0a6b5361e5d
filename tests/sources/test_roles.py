import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espejo.sources import roles
from espejo.sources.export import Export, ExportError, SourceFile
from tests.sources.files import CORDOBA, read_one, source_file


def conversation(*messages: tuple[str, object], **fields: object) -> dict:
    return {"messages": [{"role": role, "content": text} for role, text in messages], **fields}


def lines(*conversations: object, path: str = "chats.jsonl") -> SourceFile:
    return source_file(path, "".join(f"{json.dumps(item)}\n" for item in conversations).encode())


def read(file: SourceFile) -> Export:
    return read_one(roles, file)


def rows(export: Export) -> list[tuple]:
    return [(record.chat, record.author, record.kind, record.text) for record in export.records]


FIRST = conversation(("system", "Sé breve."), ("user", "¿abren hoy?"), ("assistant", "Sí."))
SECOND = conversation(("assistant", "¡Buenas!"), ("user", "hola"), ("user", "¿hay pan?"))
ROWS = [
    ("1", None, "system", "Sé breve."),
    ("1", "user", "message", "¿abren hoy?"),
    ("1", "assistant", "message", "Sí."),
    ("2", "assistant", "message", "¡Buenas!"),
    ("2", "user", "message", "hola"),
    ("2", "user", "message", "¿hay pan?"),
]


@pytest.mark.parametrize(
    "file",
    [
        lines(FIRST, SECOND),
        source_file("chats.json", json.dumps([FIRST, SECOND]).encode()),
        source_file("chats.json", json.dumps([FIRST, SECOND], indent=2).encode()),
        source_file(
            "a.jsonl", b"\xef\xbb\xbf" + lines(FIRST, SECOND).read().replace(b"\n", b"\r\n")
        ),
        source_file("a.jsonl", lines(FIRST).read() + b"\n\n" + lines(SECOND).read().strip()),
    ],
)
def test_each_conversation_is_a_chat_and_each_role_an_author(file):
    export = read(file)
    assert rows(export) == ROWS
    assert [record.line for record in export.records] == [1, 2, 3, 1, 2, 3]
    assert {record.instant for record in export.records} == {None}
    assert [record.author_id for record in export.records] == [row[1] for row in ROWS]
    assert export.decisions == "2 conversations, no times"


def test_one_conversation_over_several_lines():
    export = read(source_file("one.json", json.dumps(FIRST, indent=1).encode()))
    assert rows(export) == ROWS[:3]


def test_the_layout_of_sharegpt():
    turns = [
        {"from": "system", "value": "Sé breve."},
        {"from": "human", "value": "¿abren hoy?"},
        {"from": "gpt", "value": "Sí."},
    ]
    assert rows(read(lines({"id": "a", "conversations": turns}))) == ROWS[:3]


def test_roles_with_capitals():
    export = read(lines(conversation(("User", "¿abren hoy?"), ("Assistant", "Sí."))))
    assert [record.author for record in export.records] == ["user", "assistant"]


def test_a_conversation_is_the_same_in_every_file_by_its_words():
    other = {"messages": [*FIRST["messages"], {"role": "user", "content": "otra cosa"}]}
    files = [lines(FIRST, other, path="a.jsonl"), lines(other, FIRST, path="b.jsonl")]
    first, second = (
        list(dict.fromkeys(record.chat_id for record in export.records))
        for export in roles.read(files, CORDOBA)
    )
    assert first == second[::-1]
    assert len(set(first)) == 2


def test_parts_of_a_content_are_one_text_and_images_are_media():
    text, image = (
        {"type": "text", "text": "mirá "},
        {"type": "image_url", "image_url": {"url": "x"}},
    )
    export = read(
        lines(
            conversation(
                ("user", [text, {"type": "text", "text": "esto"}]),
                ("user", [text, image]),
                ("user", [image]),
                ("assistant", [{"type": "refusal", "refusal": "No puedo."}]),
            )
        )
    )
    assert [(record.kind, record.text, record.caption) for record in export.records] == [
        ("message", "mirá esto", ""),
        ("media", "mirá ", "mirá "),
        ("media", "<photo>", ""),
        ("message", "No puedo.", ""),
    ]


def test_tools_are_nobody_and_empty_messages_are_dropped():
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    answer = {"role": "tool", "content": "21 °C", "name": "weather"}
    empty = {"role": "assistant", "content": ""}
    developer = {"role": "developer", "content": "Español."}
    export = read(lines({"messages": [developer, call, answer, empty]}))
    assert rows(export) == [
        ("1", None, "system", "Español."),
        ("1", None, "system", ""),
        ("1", None, "system", "21 °C"),
    ]
    assert export.dropped == {"empty": 1}


@pytest.mark.parametrize(
    ("path", "field", "split"),
    [
        ("train.jsonl", None, "train"),
        ("my_valid.jsonl", None, "validation"),
        ("dev/part-1.jsonl", None, "validation"),
        ("test-00000-of-00001.jsonl", None, "test"),
        ("train.jsonl", "test", "test"),
        ("latest.jsonl", None, None),
        ("train.jsonl", 7, "train"),
    ],
)
def test_the_split_is_named_by_the_line_or_the_file(path, field, split):
    export = read(lines({**FIRST, "split": field}, path=path))
    assert {record.split for record in export.records} == {split}


@given(st.text().filter(str.strip))
def test_any_text_survives(text):
    assert read(lines(conversation(("user", text)))).records[0].text == text


def test_half_an_emoji_does_not_cost_the_line():
    file = source_file("a.jsonl", rb'{"messages": [{"role": "user", "content": "hola \ud83d"}]}')
    assert read(file).records[0].text == "hola \ufffd"


@pytest.mark.parametrize(
    "odd", [{"prompt": "hola"}, {"messages": 5}, conversation(("user", 5)), {"messages": ["hola"]}]
)
def test_one_odd_line_is_counted_and_many_are_an_error(odd):
    export = read(lines(FIRST, odd, SECOND))
    assert [row[1:] for row in rows(export)] == [row[1:] for row in ROWS]
    assert export.dropped == {"unreadable": 1}
    with pytest.raises(ExportError, match=r"chats\.jsonl, line 2.*: expected .*2 of 5 items"):
        roles.read([lines(FIRST, odd, odd)], CORDOBA)


def test_json_that_is_none_is_an_error_with_its_line():
    whole = lines(FIRST, SECOND).read()
    with pytest.raises(ExportError, match=r"^chats\.jsonl, line 2: the JSON is cut off"):
        roles.read([source_file("chats.jsonl", whole[:-9])], CORDOBA)
    with pytest.raises(ExportError, match=r"^chats\.jsonl, line 2: expected JSON "):
        roles.read([source_file("chats.jsonl", lines(FIRST).read() + b"hola\nhola\n")], CORDOBA)
    with pytest.raises(ExportError, match=r"^chats\.json: the JSON is cut off"):
        roles.read([source_file("chats.json", b"[" + whole[:40])], CORDOBA)


def test_a_huge_text_is_an_error():
    file = lines(conversation(("user", "a" * 2_000_001)))
    with pytest.raises(ExportError, match="line 1, message 1: a text of 2,000,001 bytes"):
        roles.read([file], CORDOBA)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"messages": [{"sender_name": "Teo", "content": "hola", "timestamp_ms": 1}]}',
        b'{"messages": [{"id": "1", "type": "Default", "content": "role", "roles": []}]}',
        b'{"dialog": ["hola", "buenas"]}',
        b'{"name": "x", "messages": [{"text": "\\"role\\": \\"user\\" \\"content\\":"}]}',
        b"question,answer\nhola,buenas\n",
    ],
)
def test_other_files_are_not_recognised(data):
    assert not roles.recognises(source_file("chats.jsonl", data))
