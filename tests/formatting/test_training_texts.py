"""Training texts: every reply is learnt once, unchanged, after its own context."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from espejo.dataset import leaks
from espejo.dataset.turns import examples
from espejo.formatting.prompts import Tags
from espejo.formatting.training_texts import continued, texts_in_parts, training_texts
from tests.formatting.test_prompts import phi3, turn


def table(session, turns, history=4, group=False):
    """The author Juli's examples of one session, as the stage group makes them."""
    rows = pd.DataFrame(
        [
            {
                "chat": "c",
                "session": session,
                "turn": index,
                "author": author,
                "messages": list(what),
            }
            for index, (author, *what) in enumerate(turns)
        ]
    ).assign(split="train")
    return examples(rows, "Juli", history).assign(group=group)


TALK = [
    ("Flor", "hola"),
    ("Juli", "che", "vos"),
    ("Flor", "bien"),
    ("Juli", "dale"),
    ("Flor", "voy"),
    ("Juli", "voy"),
]


def learnt(rows):
    """The labelled strings of each text."""
    return [[text[s["start"] : s["end"]] for s in spans] for text, spans in zip(*rows, strict=True)]


def together(*args, **kwargs):
    rows = training_texts(*args, **kwargs)
    return rows["text"].tolist(), rows["spans"].tolist()


def test_a_session_is_one_text_and_each_reply_is_marked_where_it_stands():
    rows = training_texts(table(0, TALK, history=2), phi3(), "Juli", set(), limit=8)
    assert rows["id"].tolist() == ["s0t1"]
    assert rows["text"].tolist() == [
        "<|system|>\nSYS<|end|>\n<|user|>\nhola<|end|>\n<|assistant|>\nche<|msg_sep|>vos<|end|>\n"
        "<|user|>\nbien<|end|>\n<|assistant|>\ndale<|end|>\n"
        "<|user|>\nvoy<|end|>\n<|assistant|>\nvoy<|end|>"
    ]
    assert learnt((rows["text"], rows["spans"])) == [
        ["che", "<|msg_sep|>", "vos", "<|end|>", "dale", "<|end|>", "voy", "<|end|>"]
    ]


def test_a_text_holds_so_many_replies_and_the_next_begins_with_its_own_history():
    texts, spans = together(table(0, TALK, history=2), phi3(), "Juli", set(), limit=2)
    assert learnt((texts, spans)) == [
        ["che", "<|msg_sep|>", "vos", "<|end|>", "dale", "<|end|>"],
        ["voy", "<|end|>"],
    ]
    assert texts[1] == (
        "<|system|>\nSYS<|end|>\n<|user|>\n…<|end|>\n<|assistant|>\ndale<|end|>\n"
        "<|user|>\nvoy<|end|>\n<|assistant|>\nvoy<|end|>"
    )


def test_one_reply_a_text_is_each_example_by_itself():
    rows = table(0, TALK)
    texts, spans = together(rows, phi3(), "Juli", set(), limit=1)
    alone = [phi3().example(row.context, row.reply, "Juli") for row in rows.itertuples()]
    assert list(zip(texts, spans, strict=True)) == alone


def test_sessions_stay_apart():
    rows = pd.concat([table(0, TALK[:2]), table(1, TALK[:4])], ignore_index=True)
    assert training_texts(rows, phi3(), "Juli", set(), limit=8)["session"].tolist() == [0, 1]


def test_a_reply_that_a_filter_dropped_is_read_and_not_learnt():
    rows = table(0, TALK).drop(index=1)
    texts, spans = together(rows, phi3(), "Juli", set(), limit=8)
    assert learnt((texts, spans)) == [["che", "<|msg_sep|>", "vos", "<|end|>", "voy", "<|end|>"]]
    assert texts[0].count("dale") == 1


def test_replies_further_apart_than_the_history_stay_apart():
    rows = table(0, TALK, history=1).drop(index=1)
    assert len(training_texts(rows, phi3(), "Juli", set(), limit=8)) == 2


def test_above_the_limit_of_characters_a_new_text_begins():
    # Before the last reply stand hola, che, vos, bien, dale, voy: 21 characters.
    for limit, count in ((21, 1), (20, 2)):
        writer = phi3(max_context_chars=limit)
        assert len(training_texts(table(0, TALK), writer, "Juli", set(), limit=8)) == count


def test_a_form_that_writes_earlier_turns_otherwise_keeps_replies_apart():
    tags = Tags(
        start="", other="[OTRO]", author="[YO]", turn_end="\n", reply="[YO]", end="<|endoftext|>"
    )
    texts, _ = together(table(0, TALK), phi3(tags=tags), "Juli", set(), limit=8)
    assert len(texts) == 3


def test_the_words_of_who_may_only_be_read_are_marked_in_all_of_the_text():
    turns = [*TALK[:4], ("Tincho", "bien"), ("Juli", "dale")]
    rows = training_texts(table(0, turns, group=True), phi3(), "Juli", {"Tincho"}, limit=8)
    (text,), (masked,) = rows["text"], rows["masked"]
    assert [text[span["start"] : span["end"]] for span in masked] == ["Tincho: bien"]
    assert masked[0]["start"] > text.index("dale")


def test_parts_give_the_texts_of_the_whole_with_canaries_before_the_test():
    """Parts of one session each; what is held out masks turns in all of them."""
    long = "reenviá esta cadena a doce personas o vas"  # eight words
    sessions = [table(number, TALK, history=2) for number in range(5)]
    sessions[0] = table(0, [("Flor", long), *TALK[1:]], history=2)
    sessions[1] = table(1, [("Flor", long), *TALK[1:]], history=2).drop(index=1)
    sessions[2] = sessions[2].assign(split="test")
    sessions[3] = table(3, [("Flor", f"uh {long}"), *TALK[1:]]).assign(split="validation")
    planted = table(-1, TALK[:2])
    rows = pd.concat(sessions, ignore_index=True)
    tested = rows["split"].eq("test")
    held_out = leaks.hashed(rows[rows["split"].ne("train")])

    arguments = phi3(), "Juli", {"Tincho"}
    masked = leaks.unlearnt(rows, "Juli", held_out)
    assert masked == {(0, "Flor", (long,)), (1, "Flor", (long,)), (1, "Juli", ("dale",))}
    learnt_rows = pd.concat([rows[~tested], planted])
    expected = [
        training_texts(learnt_rows, *arguments, 8, masked),
        training_texts(rows[tested], *arguments, 1),
    ]
    for parts in ([rows], sessions, [sessions[0], pd.concat(sessions[1:])]):
        texts = texts_in_parts(parts, planted, *arguments, 8, held_out)
        pd.testing.assert_frame_equal(
            pd.concat(texts, ignore_index=True),
            pd.concat(expected, ignore_index=True),
            check_dtype=False,
        )
    none_masked = pd.concat(texts_in_parts(sessions, planted, *arguments, 8, None))
    assert not any(none_masked["masked"])


def test_what_goes_on_is_found_where_turns_repeat():
    a, b = turn("Flor", "si"), turn("Juli", "si")
    assert continued([a, b, a, b], [b, a, b, a]) == [a, b, a, b, a]
    assert continued([], [a]) == [a]
    assert continued([a, b], [turn("Flor", "no")]) == [turn("Flor", "no")]


@given(
    turns=st.lists(
        st.tuples(st.sampled_from(["Juli", "Flor", "Tincho"]), st.sampled_from(["si", "no", "q"])),
        min_size=1,
        max_size=30,
    ),
    history=st.integers(1, 5),
    most=st.integers(1, 6),
)
def test_every_reply_is_learnt_exactly_once_and_after_its_own_context(turns, history, most):
    # Neighbours of one author are one turn.
    turns = [
        turn for turn, before in zip(turns, [("",), *turns], strict=False) if turn[0] != before[0]
    ]
    rows = table(0, turns, history)
    if rows.empty:
        return
    texts, spans = together(rows, phi3(), "Juli", set(), most)
    marked = [what for text in learnt((texts, spans)) for what in text]
    assert marked == [what for reply in rows["reply"] for what in (*reply, "<|end|>")]
    # The text before each reply is its own prompt.
    alone = [phi3().example(row.context, row.reply, "Juli") for row in rows.itertuples()]
    starts = [(t, s["start"]) for t, ss in zip(texts, spans, strict=True) for s in ss]
    starts = [place for place, what in zip(starts, marked, strict=True) if what != "<|end|>"]
    for (text, start), (example, own), context in zip(starts, alone, rows["context"], strict=True):
        said_before = example[: own[0]["start"]].partition("SYS<|end|>\n")[2]
        # Where the text has turns that the context leaves out, they replace the "…", and another
        # partner's words may come before those that open the context.
        opening = (
            "<|user|>\n…<|end|>\n" if context and context[0]["author"] == "Juli" else "<|user|>\n"
        )
        said_before = said_before.removeprefix(opening)
        assert text[:start].endswith(said_before)
