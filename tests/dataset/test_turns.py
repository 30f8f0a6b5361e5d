"""Turns, sessions, splits and examples: what a model learns from and what it is tested on."""

from collections import Counter
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from espejo.core.errors import UserError
from espejo.dataset.turns import examples, left_out, turns
from tests.helpers.configs import split

HOUR, SECOND, INSTANT = timedelta(hours=1), timedelta(seconds=1), timedelta(microseconds=1)
TURN_GAP, SESSION_GAP = HOUR, 3 * HOUR
GAPS = [
    *(-2 * HOUR, -SECOND, 0 * HOUR, 40 * SECOND),
    *(HOUR - SECOND, HOUR, HOUR + SECOND),
    *(SESSION_GAP, SESSION_GAP + INSTANT, 9 * HOUR, 70 * HOUR),
]
SHARES = [Fraction(1, 10), Fraction(1, 5), Fraction(1, 4)]
generated = settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def table(*rows):
    """Messages from (chat, author, time, text), with the columns of tables.MESSAGES."""
    return pd.DataFrame(
        {
            "chat": [row[0] for row in rows],
            "line": range(1, len(rows) + 1),
            "timestamp": pd.to_datetime([pd.Timestamp(row[2]) for row in rows]).as_unit("us"),
            "author": [row[1] for row in rows],
            "kind": "message",
            "text": [row[3] for row in rows],
            "edited": False,
            "app": "whatsapp",
            "split": None,
        }
    )


def days(*lines, chat="Cami"):
    """A chat from (day of March, author): one message a day, each a session of its own."""
    rows = [(chat, author, f"2024-03-{day:02} 21:00", f"cosas del {day}") for day, author in lines]
    return turns(table(*rows), "1h", "3h")


def sessions_of(*replies, chat="Cami"):
    """One session a day, with so many turns of Juli's, each an answer to Cami."""
    rows = []
    for day, count in enumerate(replies):
        start = datetime(2024, 3, 1, 9) + timedelta(days=day)
        for number in range(count):
            now = start + timedelta(minutes=2 * number)
            rows.append((chat, "Cami", now, f"pregunta {day}.{number}"))
            rows.append((chat, "Juli", now + timedelta(minutes=1), f"respuesta {day}.{number}"))
        if not count:
            rows.append((chat, "Cami", start, f"hola? {day}"))
    return turns(table(*rows), "1h", "3h")


def number(text):
    """The number in the text of a generated message."""
    return int(text.removeprefix("mensaje "))


def numbers(turn_messages):
    return [number(text) for text in turn_messages]


def placed(grouped):
    """For each generated message, the row of `grouped` that holds it."""
    return {n: row for row in grouped.itertuples() for n in numbers(row.messages)}


def parted(messages, validation, test):
    """The turns of generated messages with their split; chats too short for three are rejected."""
    try:
        return split(turns(messages, "1h", "3h"), "Juli", float(validation), float(test), 1)
    except UserError:
        assume(False)


@st.composite
def chats(draw, least=1):
    """Messages of one to three chats that overlap in time; each text is unique."""
    rows = []
    for chat in range(draw(st.integers(1, 3))):
        now = datetime(2024, 3, 1) + draw(st.integers(0, 300)) * HOUR
        lines = st.tuples(st.sampled_from(["Juli", "Cami", "Rocco"]), st.sampled_from(GAPS))
        for author, gap in draw(st.lists(lines, min_size=least, max_size=30)):
            now += gap
            rows.append((f"chat {chat}", author, now, f"mensaje {len(rows)}"))
    return table(*rows)


# Turns and sessions


@given(chats())
@generated
def test_every_message_is_in_one_turn_in_the_order_of_the_export(messages):
    grouped = turns(messages, "1h", "3h")
    assert grouped["messages"].sum() == messages["text"].tolist()
    assert grouped["turn"].tolist() == list(range(len(grouped)))


@given(chats())
@generated
def test_no_turn_mixes_authors_chats_or_sessions(messages):
    grouped = turns(messages, "1h", "3h")
    for row in grouped.itertuples():
        inside = messages.iloc[numbers(row.messages)]
        assert set(inside["author"]) == {row.author}
        assert set(inside["chat"]) == {row.chat}
        assert (row.start, row.end) == (inside["timestamp"].min(), inside["timestamp"].max())
    assert (grouped.groupby("session")["chat"].nunique() == 1).all()


@given(chats())
@generated
def test_a_session_ends_with_the_chat_or_with_a_long_silence_and_only_there(messages):
    places = placed(turns(messages, "1h", "3h"))
    rows = list(messages.itertuples())
    for n, (before, after) in enumerate(pairwise(rows)):
        silent = after.timestamp - before.timestamp > SESSION_GAP
        ended = places[n].session != places[n + 1].session
        assert ended == (silent or before.chat != after.chat)


@given(chats())
@generated
def test_a_turn_ends_with_its_session_its_author_or_a_silence_and_only_there(messages):
    places = placed(turns(messages, "1h", "3h"))
    rows = list(messages.itertuples())
    for n, (before, after) in enumerate(pairwise(rows)):
        silent = after.timestamp - before.timestamp >= TURN_GAP
        other = before.author != after.author or places[n].session != places[n + 1].session
        assert (places[n].turn != places[n + 1].turn) == (silent or other)


@pytest.mark.parametrize(
    ("second", "turned", "session"),
    [
        ("21:59:59", [["che", "estás?"]], [0]),
        ("22:00:00", [["che"], ["estás?"]], [0, 0]),  # an hour: another turn
        ("23:59:59", [["che"], ["estás?"]], [0, 0]),
        ("2024-03-02 00:00:00", [["che"], ["estás?"]], [0, 0]),  # three hours: the same session
        ("2024-03-02 00:00:01", [["che"], ["estás?"]], [0, 1]),
    ],
)
def test_a_silence_of_turn_gap_ends_a_turn_and_one_above_session_gap_a_session(
    second, turned, session
):
    later = second if " " in second else f"2024-03-01 {second}"
    messages = table(("Cami", "Juli", "2024-03-01 21:00", "che"), ("Cami", "Juli", later, "estás?"))
    grouped = turns(messages, "1h", "3h")
    assert grouped["messages"].tolist() == turned
    assert grouped["session"].tolist() == session


def test_a_clock_set_back_by_hours_is_no_silence():
    messages = table(
        ("Cami", "Juli", "2024-03-01 23:50", "aterrice"),
        ("Cami", "Juli", "2024-03-01 18:52", "aca son las siete"),
        ("Cami", "Cami", "2024-03-01 18:55", "¡Qué envidia!"),
    )
    grouped = turns(messages, "1h", "3h")
    assert grouped["messages"].tolist() == [["aterrice", "aca son las siete"], ["¡Qué envidia!"]]
    assert grouped["session"].tolist() == [0, 0]
    assert grouped["start"].iloc[0] == pd.Timestamp("2024-03-01 18:52")
    assert grouped["end"].iloc[0] == pd.Timestamp("2024-03-01 23:50")


def test_the_same_person_in_the_next_chat_begins_a_turn_and_a_session():
    messages = table(
        ("Cami", "Juli", "2024-03-01 21:00", "hola cami"),
        ("Mamá", "Juli", "2024-03-01 21:00", "hola ma"),
    )
    grouped = turns(messages, "1h", "3h")
    assert grouped["messages"].tolist() == [["hola cami"], ["hola ma"]]
    assert grouped["session"].tolist() == [0, 1]


# Splits


@given(chats(least=15), st.sampled_from(SHARES), st.sampled_from(SHARES))
@generated
def test_a_split_is_made_of_whole_sessions_in_order_of_time(messages, validation, test):
    grouped = parted(messages, validation, test)
    assert (grouped.groupby("session")["split"].nunique() == 1).all()
    starts = grouped.groupby("session").agg(start=("start", "min"), split=("split", "first"))
    of = {name: starts.loc[starts["split"] == name, "start"] for name in set(starts["split"])}
    assert of["train"].max() <= of["validation"].min()
    assert of["validation"].max() <= of["test"].min()


@pytest.mark.parametrize("name", ["test", "validation"])
@given(
    replies=st.lists(st.integers(0, 4), min_size=4, max_size=12),
    validation=st.sampled_from(SHARES),
    test=st.sampled_from(SHARES),
)
@generated
def test_a_split_holds_its_share_of_the_replies_and_no_session_more(
    name, replies, validation, test
):
    try:
        grouped = split(sessions_of(*replies), "Juli", float(validation), float(test), 1)
    except UserError:
        assume(False)
    of = grouped.groupby("session")["split"].first()
    inside = [count for count, where in zip(replies, of, strict=True) if where == name]
    share = {"test": test, "validation": validation}[name] * sum(replies)
    assert sum(inside) >= share
    assert sum(inside[1:]) < share


def test_the_last_days_of_all_chats_are_tested_whichever_file_they_stand_in():
    # Ten replies on ten days, odd days with Cami, even days with Tincho: two tenths of test are
    # days 9 and 10, a tenth of validation is day 8.
    odd = [("Cami", "Juli", f"2024-03-{day:02} 21:00", f"dia {day}") for day in (1, 3, 5, 7, 9)]
    even = [("Tincho", "Juli", f"2024-03-{day:02} 21:00", f"dia {day}") for day in (2, 4, 6, 8, 10)]
    grouped = split(turns(table(*odd, *even), "1h", "3h"), "Juli", 0.1, 0.2, at_least=10)
    named = {
        texts[0]: name for texts, name in zip(grouped["messages"], grouped["split"], strict=True)
    }
    assert {day: named[day] for day in ("dia 8", "dia 9", "dia 10")} == {
        "dia 8": "validation",
        "dia 9": "test",
        "dia 10": "test",
    }
    assert list(named.values()).count("train") == 7


def test_a_session_without_a_reply_of_the_author_does_not_fill_the_test_set():
    # Ten replies, a tenth is one: day 12 holds none, so day 11 is test too and day 10 validation.
    grouped = days(*((day, "Juli") for day in range(2, 12)), (12, "Cami"))
    grouped = split(grouped, "Juli", 0.1, 0.1, at_least=10)
    assert grouped["split"].tolist() == ["train"] * 8 + ["validation", "test", "test"]


def test_a_long_last_session_leaves_validation_its_own_share():
    # 100 replies in 11 sessions: ten of 7, then one of 30. Test is the last one; validation takes
    # two sessions of 7 (7 is less than a tenth of 100, 14 is not); 56 replies are left to train.
    grouped = split(sessions_of(*[7] * 10, 30), "Juli", 0.1, 0.1, at_least=50)
    mine = grouped[grouped["author"] == "Juli"]
    assert mine["split"].value_counts().to_dict() == {"train": 56, "test": 30, "validation": 14}


def test_too_few_replies_say_how_many_there_are_and_how_many_are_needed():
    with pytest.raises(UserError, match=r"has 3 replies and at least 50 are needed"):
        split(sessions_of(1, 1, 1), "Juli", 0.1, 0.1, at_least=50)


def test_exactly_as_many_replies_as_needed_are_enough():
    grouped = split(sessions_of(*[1] * 10), "Juli", 0.1, 0.1, at_least=10)
    # One reply of ten is test, one validation; each stands in a session with its question.
    assert grouped["split"].tolist() == ["train"] * 16 + ["validation"] * 2 + ["test"] * 2


def test_one_single_long_session_cannot_be_split_and_the_error_says_so():
    with pytest.raises(UserError, match=r"60 replies lie in 1 session.*nothing is left for train"):
        split(sessions_of(60), "Juli", 0.1, 0.1, at_least=50)


# Examples


@given(chats(least=15), st.sampled_from(SHARES), st.sampled_from(SHARES), st.integers(0, 5))
@generated
def test_a_context_is_what_stands_right_before_the_reply_in_its_session(
    messages, validation, test, history
):
    grouped = parted(messages, validation, test)
    places = placed(grouped)
    firsts = set(grouped.groupby("session")["turn"].min())
    for example in examples(grouped, "Juli", history).itertuples():
        before = [n for turn in example.context for n in numbers(turn["messages"])]
        reply = numbers(example.reply)
        # One run of messages without a hole, the reply last: nothing later, nothing from elsewhere.
        assert before + reply == list(range((before + reply)[0], reply[-1] + 1))
        assert {places[n].session for n in before + reply} == {example.session}
        assert {places[n].chat for n in before + reply} == {example.chat}
        assert {places[n].split for n in before + reply} == {example.split}
        for turn in example.context:
            assert {places[n].author for n in numbers(turn["messages"])} == {turn["author"]}
        assert len(example.context) <= history
        # Cut at `history` turns, or else it goes back to the beginning of the session.
        assert len(example.context) == history or places[(before + reply)[0]].turn in firsts


@given(chats(least=15), st.integers(0, 5))
@generated
def test_each_turn_of_the_author_is_one_example(messages, history):
    grouped = parted(messages, Fraction(1, 10), Fraction(1, 10))
    mine = grouped[grouped["author"] == "Juli"]
    result = examples(grouped, "Juli", history)
    assert result["reply"].tolist() == mine["messages"].tolist()
    assert result["id"].is_unique


@given(chats(least=15), st.sampled_from(SHARES), st.sampled_from(SHARES))
@generated
def test_no_reply_that_is_scored_stands_in_a_training_example(messages, validation, test):
    result = examples(parted(messages, validation, test), "Juli", history=4)
    train = result[result["split"] == "train"]
    scored = result[result["split"] != "train"]
    learnt = {text for reply in train["reply"] for text in reply} | {
        text for context in train["context"] for turn in context for text in turn["messages"]
    }
    assert len(scored) >= 2
    assert learnt.isdisjoint(text for reply in scored["reply"] for text in reply)


@given(chats(least=15), st.sampled_from(SHARES), st.sampled_from(SHARES), st.integers(0, 5))
@generated
def test_a_turn_stands_in_the_window_of_each_reply_that_follows_within_history(
    messages, validation, test, history
):
    grouped = parted(messages, validation, test)
    windows = [
        [n for turn in row.context for n in numbers(turn["messages"])] + numbers(row.reply)
        for row in examples(grouped, "Juli", history).itertuples()
    ]
    held = Counter(n for window in windows for n in window)
    for _, run in grouped.groupby("session"):
        by_author = (run["author"] == "Juli").tolist()
        for position, lines in enumerate(run["messages"]):
            # The turn itself and those after it in its session: each of Juli's has a window.
            times = sum(by_author[position : position + history + 1])
            assert {held[n] for n in numbers(lines)} == {times}
            assert times <= history + 1


@given(chats(least=15), st.sampled_from(SHARES), st.sampled_from(SHARES))
@generated
def test_no_text_of_validation_or_test_stands_in_a_training_window(messages, validation, test):
    result = examples(parted(messages, validation, test), "Juli", history=4)

    def texts(rows):
        replies = [text for reply in rows["reply"] for text in reply]
        return {
            *replies,
            *(t for turns in rows["context"] for turn in turns for t in turn["messages"]),
        }

    assert texts(result[result["split"] == "train"]).isdisjoint(
        texts(result[result["split"] != "train"])
    )


def test_a_context_keeps_the_latest_turns_up_to_history():
    talk = [("Cami", "hola"), ("Juli", "holis"), ("Cami", "¿venís?"), ("Juli", "voy")]
    rows = [
        ("Cami", author, f"2024-03-01 21:0{minute}", text)
        for minute, (author, text) in enumerate(talk)
    ]
    grouped = turns(table(*rows), "1h", "3h").assign(split="train")
    result = examples(grouped, "Juli", history=2)
    assert result["reply"].tolist() == [["holis"], ["voy"]]
    assert result["context"].tolist() == [
        [{"author": "Cami", "messages": ["hola"]}],
        [
            {"author": "Juli", "messages": ["holis"]},
            {"author": "Cami", "messages": ["¿venís?"]},
        ],
    ]


def test_a_reply_that_opens_a_session_has_an_empty_context():
    grouped = days((1, "Cami"), (2, "Juli")).assign(split="test")
    result = examples(grouped, "Juli", history=4)
    assert result["context"].tolist() == [[]]
    assert result["split"].tolist() == ["test"]


def test_only_a_chat_with_several_partners_is_a_group():
    asado = table(
        ("Asado", "Rocco", "2024-03-01 21:00", "GENTE"),
        ("Asado", "Juli", "2024-03-01 21:01", "que"),
        ("Asado", "Mechi", "2024-03-09 21:00", "Buen día"),  # in another session
        ("Cami", "Juli", "2024-03-01 21:00", "hola"),
        ("Cami", "Cami", "2024-03-01 21:01", "¡Hola!"),
        ("Notas", "Juli", "2024-03-01 21:00", "comprar yerba"),  # a chat with herself
    )
    result = examples(turns(asado, "1h", "3h").assign(split="train"), "Juli", history=4)
    assert dict(zip(result["chat"], result["group"], strict=True)) == {
        "Asado": True,
        "Cami": False,
        "Notas": False,
    }


# What is left out because somebody withholds their words


def reasons(*lines):
    """Why each turn is left out, for (author, withheld, minutes) in one session."""
    rows = [
        ("grupo", author, f"2024-03-01 21:{minute:02}", "x")
        for minute, (author, _) in enumerate(lines)
    ]
    messages = table(*rows)
    messages["kind"] = ["withheld" if held else "message" for _, held in lines]
    grouped = turns(messages, "1h", "3h")
    return left_out(grouped, "Juli").fillna("").tolist()


W, ANSWER = "withheld", "answers_withheld"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # Juli opens: nobody is answered.
        ([("Juli", 0), ("Rocco", 1), ("Juli", 0)], ["", W, ANSWER]),
        # Cami speaks in between, and the reply may be to both.
        ([("Rocco", 1), ("Cami", 0), ("Juli", 0)], [W, "", ANSWER]),
        # The second reply answers Cami alone.
        ([("Rocco", 1), ("Juli", 0), ("Cami", 0), ("Juli", 0)], [W, ANSWER, "", ""]),
        ([("Rocco", 1), ("Juli", 0), ("Rocco", 1), ("Juli", 0)], [W, ANSWER, W, ANSWER]),
        ([("Cami", 0), ("Juli", 0)], ["", ""]),
    ],
)
def test_turns_of_those_who_withhold_and_what_answers_them_are_left_out(lines, expected):
    assert reasons(*lines) == expected


def test_what_is_added_to_such_an_answer_goes_with_it_and_the_next_session_is_free():
    rows = [
        ("Rocco", "Rocco", "2024-03-01 09:00", ""),
        ("Rocco", "Juli", "2024-03-01 09:05", "sí"),
        ("Rocco", "Juli", "2024-03-01 10:30", "y además"),  # over an hour later: a turn of its own
        ("Rocco", "Juli", "2024-03-02 09:00", "hola"),
    ]
    messages = table(*rows)
    messages.loc[0, "kind"] = "withheld"
    why = left_out(turns(messages, "1h", "3h"), "Juli").fillna("").tolist()
    assert why == [W, ANSWER, ANSWER, ""]
