"""The author score: bundles by hand, and controls that must not fool it."""

import numpy as np
import pandas as pd
import pytest

from espejo.core import tables
from espejo.evaluation import controls, questions, second_name, style
from espejo.evaluation.style import Bundle, Replies
from tests.helpers.configs import EVALUATE
from tests.helpers.synthetic import FILLER, SYLLABLES, chats


@pytest.fixture(scope="module")
def turns():
    return chats()


@pytest.fixture(scope="module")
def own(turns):
    """The author's held-out replies."""
    return held_out(turns, "Juli")


def held_out(turns, author):
    return style.replies_of(turns[turns["author"].eq(author) & turns["split"].ne("train")])


def again(replies, messages):
    return Replies(messages, replies.sessions)


@pytest.fixture(scope="module")
def scores(turns, own):
    """The score of every control at once: the classifier is trained once."""
    drawn = np.random.default_rng(5)
    train = turns[turns["author"].eq("Juli") & turns["split"].eq("train")]
    order = drawn.permutation(len(own.messages))
    friend = held_out(turns, "Cami")
    aunt = held_out(turns, "Mamá")
    soup = [["".join(drawn.choice(SYLLABLES, 3)) for _ in range(6)] for _ in own.messages]
    sources = {
        "friend": friend,
        "aunt": aunt,
        # A friend's words in messages of the author's length, and of others.
        "friend_in_halves": again(friend, [halves(reply) for reply in friend.messages]),
        "aunt_in_short": again(aunt, [[text[:25] for text in reply] for reply in aunt.messages]),
        "friend_joined": again(friend, [[" ".join(reply)] for reply in friend.messages]),
        "shuffled": again(own, [own.messages[index] for index in order]),
        "author_in_halves": again(own, [halves(reply) for reply in own.messages]),
        "author_joined": again(own, [[" ".join(reply)] for reply in own.messages]),
        "copy_bot": style.replies_of(train[: len(own.messages)]),
        "laughing": again(own, [["jaja"] * 2 for _ in own.messages]),
        "one_sentence": again(own, [own.messages[3] for _ in own.messages]),
        "over_random": again(own, [[" ".join(words)] for words in soup]),
        "random_letters": again(own, [[noise(drawn)] for _ in own.messages]),
        "empty": again(own, [[] for _ in own.messages]),
        "blank": again(own, [["", " "] for _ in own.messages]),
    }
    return style.author_score(turns, "Juli", sources, EVALUATE)


def halves(reply):
    words = [text.split() for text in reply]
    return [" ".join(part) for w in words for part in (w[: len(w) // 2], w[len(w) // 2 :]) if part]


def noise(drawn):
    return "".join(drawn.choice(list("abcdefghijklmnopqrstuvwxyz "), 30))


def test_the_author_is_far_above_the_others(scores):
    assert scores["ceiling"]["value"] > 0.9
    assert scores["floor"]["value"] < 0.1
    assert scores["floor"]["high"] < scores["ceiling"]["low"]
    assert scores["floor"]["value"] <= scores["nearest"]["value"] < 0.2


@pytest.mark.parametrize(
    "bot", ["friend", "aunt", "friend_in_halves", "aunt_in_short", "friend_joined"]
)
def test_others_are_at_the_floor_however_long_their_messages(scores, bot):
    assert scores[bot]["value"] < scores["nearest"]["value"] + 0.05


@pytest.mark.parametrize("bot", ["shuffled", "author_in_halves", "author_joined", "copy_bot"])
def test_the_authors_words_are_at_the_ceiling_in_any_order_and_length(scores, bot):
    assert scores[bot]["value"] > scores["ceiling"]["value"] - 0.05


@pytest.mark.parametrize("bot", ["laughing", "one_sentence", "over_random", "random_letters"])
def test_what_nobody_would_write_does_not_win(scores, bot):
    assert scores[bot]["value"] < 0.5


@pytest.mark.parametrize("bot", ["empty", "blank"])
def test_nothing_written_has_no_score(scores, bot):
    assert scores[bot] == {"n": 0, "interval": "too few", "bundles": 0}


def test_the_bundles_are_counted_and_so_are_the_sessions_they_begin_in(turns):
    # 16 such messages make a bundle, since they are longer than the author's: 56 make three, which
    # begin with the messages 0, 16 and 32, in the sessions 0, 0 and 1. Eight remain.
    long = [["dale, voy para allá " * 10] for _ in range(56)]
    replies = Replies(long, [0] * 20 + [1] * 36)
    score = style.author_score(turns, "Juli", {"long": replies}, EVALUATE)["long"]
    assert (score["bundles"], score["n"], score["interval"]) == (3, 2, "too few")


def test_few_bundles_have_an_interval_over_their_sessions(turns, own):
    """Forty replies of the author in ten sessions, whose bundles begin in fewer."""
    rows = range(40)
    replies = Replies([own.messages[row] for row in rows], [row // 4 for row in rows])
    score = style.author_score(turns, "Juli", {"few": replies}, EVALUATE)["few"]
    bundles = style.AuthorClassifier(turns[turns["split"].eq("train")], "Juli", 7).scores(replies)
    assert 0 < score["bundles"] == len(bundles[0]) < 10
    assert score["value"] == pytest.approx(bundles[0].mean())
    assert 0 < score["low"] < score["value"] < score["high"] < 1
    assert score["n"] == 10
    assert score["high"] - score["low"] > 0.01


def test_a_word_counted_once_scores_as_the_whole_text_does(turns, own):
    judge = style.AuthorClassifier(turns[turns["split"].eq("train")], "Juli", seed=7)
    texts = [bundle.text for bundle in style.bundles(own, judge.characters, judge.hidden)]
    whole = judge.pipeline.predict_proba(texts)[:, 1]
    assert judge.scores(own)[0] == pytest.approx(whole, abs=1e-12)


def test_two_runs_give_the_same_numbers(turns, own, scores):
    again_ = style.author_score(turns, "Juli", {"friend": held_out(turns, "Cami")}, EVALUATE)
    assert again_ == {name: scores[name] for name in ("floor", "nearest", "friend", "ceiling")}


def test_names_links_and_placeholders_do_not_decide(turns, own):
    judge = style.AuthorClassifier(turns[turns["split"].eq("train")], "Juli", seed=7)
    plain, sessions = judge.scores(own)
    dressed = [
        [f"{text} <URL> https://x.org/a?b=1 Cami, [PERSONA] mama" for text in reply]
        for reply in own.messages
    ]
    marked, _ = judge.scores(again(own, dressed))
    assert marked.mean() == pytest.approx(plain.mean(), abs=0.05)  # a comma stays


def test_people_who_differ_in_length_alone_cannot_be_told(turns):
    # The same words: one person writes them in short messages, the other in many long ones a turn.
    drawn = np.random.default_rng(8)

    def says(author):
        least, most = (2, 5) if author == "Juli" else (8, 15)
        return [
            " ".join(drawn.choice(SYLLABLES + FILLER, drawn.integers(least, most)))
            for _ in range(2 if author == "Juli" else 4)
        ]

    alike = turns.assign(messages=turns["author"].map(says))
    scores = style.author_score(alike, "Juli", {}, EVALUATE)
    assert scores["ceiling"]["value"] == pytest.approx(scores["floor"]["value"], abs=0.15)


def test_a_bundle_is_sixteen_messages_and_enough_characters():
    # Messages of 4 characters, 5 with the blank after each: 16 make 80, 20 make 100.
    replies = Replies([["aa a"] * 2] * 25, [index // 2 for index in range(25)])
    bundles = style.bundles(replies, characters=100)
    # 50 messages: 20, 20, and the 10 left are too few.
    assert [bundle.session for bundle in bundles] == [0, 5]  # messages 0 and 20: replies 0 and 10
    assert [bundle.sessions for bundle in bundles] == [{*range(5)}, {*range(5, 10)}]
    assert bundles[0].text == " ".join(["aa a"] * 20)


def test_the_rest_is_a_bundle_from_sixteen_messages_on():
    assert style.bundles(Replies([["a"]] * 15, [4] * 15), characters=100) == []
    assert style.bundles(Replies([["a"]] * 16, [4] * 16), characters=100) == [
        Bundle(" ".join("a" * 16), 4, frozenset({4}))
    ]


def test_words_are_thinned_out_evenly():
    # 16 messages like "b10 c10", 128 characters with blanks: 64 are half of the words, spread from
    # the first to the last.
    replies = Replies([[f"b{index} c{index}"] for index in range(10, 26)], [0] * 16)
    (bundle,) = style.bundles(replies, characters=64)
    words = bundle.text.split()
    assert (words[0], words[-1], len(words)) == ("b10", "c25", 16)
    assert {word[0] for word in words} == {"b", "c"}


def test_names_are_folded():
    assert style.name_words(["Mamá", "Ana de Paz", "Zé"]) == {"mama", "ana", "paz"}


def test_a_name_in_italics_is_left_out_too():
    marked = Replies([["_Mamá_ dale"]] * 16, [0] * 16)
    (bundle,) = style.bundles(marked, 1000, style.name_words(["Mamá"]))
    assert set(bundle.text.split()) == {"__", "dale"}


def test_who_has_too_little_to_learn_from_is_told(turns):
    train = turns[turns["split"].eq("train")]
    mine = train[train["author"].eq("Juli")]
    with pytest.raises(ValueError, match="the author has fewer"):
        style.AuthorClassifier(train[train["author"].eq("Cami")], "Juli", 7)
    with pytest.raises(ValueError, match="the others have too few"):
        style.AuthorClassifier(mine, "Juli", 7)


def test_people_who_wrote_little_are_judged_together(turns):
    train = turns[turns["split"].eq("train")]
    many = train["author"].where(
        train["author"].eq("Juli"), "P" + (train["turn"] // 5).astype(str).str.zfill(3)
    )
    probabilities, _ = style.AuthorClassifier(train.assign(author=many), "Juli", 7).scores(
        held_out(turns, "Cami")
    )
    assert probabilities.mean() < 0.2


def test_chats_too_small_to_learn_from_are_too_few_and_no_error():
    turns = pd.DataFrame(
        {
            "author": ["Juli", "Cami"],
            "messages": [["hola"], ["che"]],
            "session": [0, 0],
            "turn": [0, 1],
            "split": ["train", "train"],
        }
    )
    scores = style.author_score(turns, "Juli", {"tuned": style.Replies([["hola"]], [0])}, EVALUATE)
    assert set(scores) == {"floor", "nearest", "tuned", "ceiling"}
    nothing = {"n": 0, "interval": "too few", "bundles": 0}
    assert all(score == nothing for score in scores.values())


def test_what_is_forwarded_is_no_other_person(turns):
    """With most turns of all, and in the author's own style, it would change every comparison."""
    own = turns[turns["author"].eq("Juli")]
    forwarded = pd.concat([own] * 3).assign(author=tables.FORWARDED)
    more = pd.concat([turns, forwarded], ignore_index=True)
    examples = own.assign(reply=own["messages"])
    held_out, train = (examples[examples["split"].eq("train") == part] for part in (False, True))

    def compared(turns):
        friend = controls.impostors(turns, held_out, train, "Juli", 7)["friend"]
        others = questions.turns_of_others(turns, "Juli")
        suspects = second_name.suspects(turns, "Juli", EVALUATE)["name"].tolist()
        return style.author_score(turns, "Juli", {}, EVALUATE), friend, others, suspects

    assert compared(more) == compared(turns)
