"""No stage fails on any character in a text or a name, and texts stay with their authors."""

import unicodedata
from datetime import datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espejo import whatsapp
from espejo.core import tables
from espejo.dataset import turns
from espejo.dataset.filters import FilterConfig, reasons
from espejo.formatting import prompts
from espejo.formatting.labels import IGNORED, encode
from espejo.formatting.training_texts import training_texts
from espejo.model import tokenizers
from espejo.privacy.cleaning import CleanConfig, clean
from tests.helpers.configs import split, typed

# Nearly all of Unicode is letters of East Asia, so special characters are drawn as often.
STRANGE = [
    *map(chr, [*range(0x20), *range(0x7F, 0xA1), 0xAD, 0x34F, 0x61C, *range(0x2000, 0x2070)]),
    *map(chr, [0xFEFF, 0xE000, 0xF8FF, *range(0xFDD0, 0xFDF0), *range(0xFFF9, 0x10000), 0x378]),
    *map(chr, [0x1FFFE, 0xE0001, 0xE0041, 0xF0000, 0x10FFFD, 0x10FFFE, 0x10FFFF]),
    *("a\u0301", "👩\u200d🚀", "🇦🇷", "<|im_end|>", "[YO]\n", "<EMAIL>", "\r\n", "{", "%s", "$"),
]
LETTER = st.characters(codec="utf-8")  # without the halves of a surrogate pair
TEXT = st.text(LETTER) | st.lists(st.sampled_from(STRANGE) | LETTER, max_size=8).map("".join)
START = datetime(2025, 3, 1, 20, 0)
SESSIONS = 6


def words(text):
    """`text` without blanks."""
    return "".join(text.split())


def without_unknown(prompter, text):
    """`text` without blanks and what the vocabulary lacks: SmolLM2 has no token for U+0013."""
    ids = prompter.tokenizer([*text], add_special_tokens=False)["input_ids"]
    known_characters = (
        character
        for character, token_ids in zip(text, ids, strict=True)
        if prompter.tokenizer.decode(token_ids) == character
    )
    return words("".join(known_characters)).replace("\ufffd", "")


@settings(max_examples=20)
@given(st.lists(TEXT, min_size=30, max_size=30))
def test_what_is_written_is_read_but_for_marks_of_direction(tmp_path_factory, texts):
    # A letter at each end: the edges of a message are not tested here.
    lines = [
        f"{START + timedelta(minutes=n):%d/%m/%Y, %H:%M} - {('Ana', 'Juli')[n % 2]}: x{text}y\n"
        for n, text in enumerate(texts)
    ]
    path = tmp_path_factory.mktemp("chat") / "Chat de WhatsApp con Ana.txt"
    path.write_bytes("".join(lines).encode())
    texts_read = whatsapp.read(path)["text"].tolist()
    marks = dict.fromkeys([0x200E, 0x200F, 0x61C, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
    assert texts_read == [f"x{text}y".replace("\r\n", "\n").translate(marks) for text in texts]


@pytest.fixture(scope="module", params=["smollm2", "gemma3"])
def params_and_prompter(request, composed):
    """The params of a bundled model and its prompter."""
    params = composed(f"model={request.param}")
    configs = typed(params)
    tokenizer = tokenizers.load_tokenizer(configs.model)
    return params, prompts.prompter(tokenizer, configs.model, configs.format)


def messages(texts, people, chat):
    """Table MESSAGES of sessions in which two people ask, and the third answers with `texts`."""
    rows = []
    for index, text in enumerate(texts):
        author = people[index % 3]
        time = START + timedelta(days=index // 3, minutes=index % 3)
        # Turns have two messages, so that none is empty if `text` is blank.
        rows += [
            (chat, index, time, author, "message", message, False, "", "whatsapp", None)
            for message in (text, f"bien {index}")
        ]
    return pd.DataFrame(rows, columns=tables.MESSAGES.names)


@settings(max_examples=25)
@given(
    st.lists(TEXT, min_size=3 * SESSIONS, max_size=3 * SESSIONS),
    st.lists(TEXT.filter(str.strip), min_size=3, max_size=3, unique=True),
    TEXT,
)
def test_any_text_and_name_goes_through_all_stages(
    params_and_prompter, tmp_path_factory, texts, people, chat
):
    params, prompter = params_and_prompter
    path = tmp_path_factory.mktemp("unicode") / "table.parquet"

    def write_and_read(table, schema):
        tables.write(table, path, schema)
        return tables.read(path, schema)

    raw = write_and_read(messages(texts, people, chat), tables.MESSAGES)
    kept = CleanConfig(**params["clean"] | {"pii": "keep"})
    cleaned = write_and_read(clean(raw, kept, {})[0], tables.CLEAN)
    written = [unicodedata.normalize("NFC", text).strip() for text in raw["text"]]
    assert cleaned["text"].tolist() == [text for text in written if text]
    cleaned = clean(raw, CleanConfig(**params["clean"]), {})[0]  # with personal data replaced

    author = people[2]
    grouped = split(turns.turns(cleaned, "1h", "3h"), author, 0.2, 0.2, at_least=1)
    pairs = write_and_read(turns.examples(grouped, author, 4), tables.EXAMPLES)
    train, test = (pairs[pairs["split"].eq(name)] for name in ("train", "test"))
    dropped = reasons(train, test, FilterConfig(**params["filter"]))
    # A text that is drawn twice may be in train and in test.
    assert set(dropped.dropna()) <= {"link", "duplicate", "stands_in_held_out"}

    texts_by_author = {
        name: ["".join(parts) for parts in turn]
        for name, turn in grouped.groupby("author")["messages"]
    }
    formatted = write_and_read(
        training_texts(pairs, prompter, author, {people[0]}, params["format"]["replies_per_text"]),
        tables.FORMATTED,
    )
    own_texts, masked_texts = [], set()
    for row in formatted.itertuples():
        own_texts += [row.text[s["start"] : s["end"]] for s in row.spans if s["kind"] == "message"]
        masked_texts |= {words(row.text[span["start"] : span["end"]]) for span in row.masked}
        coded = encode(prompter.tokenizer, row.text, row.spans, "reply", row.masked)
        learnt = [token for token in coded["labels"] if token != IGNORED]
        reply = "".join(row.text[span["start"] : span["end"]] for span in row.spans)
        assert words(prompter.tokenizer.decode(learnt)).replace("\ufffd", "") == without_unknown(
            prompter, reply
        )
    assert words("".join(own_texts)) == words("".join(texts_by_author[author]))
    asking = grouped.loc[grouped["author"].eq(people[0]), "messages"]
    assert masked_texts == {
        words(f"{people[0]}: {prompter.separator.join(turn)}") for turn in asking
    }
