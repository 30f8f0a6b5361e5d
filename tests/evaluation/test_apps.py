"""Whether an author writes differently in two apps, for authors of whom the answer is known."""

import numpy as np
import pandas as pd
import pytest

from espejo.evaluation import apps
from tests.helpers.configs import EVALUATE
from tests.helpers.synthetic import FILLER, topics

APP_OF = {"Cami": "whatsapp", "Mamá": "whatsapp", "Tincho": "telegram", "Beto": "telegram"}


def properly(words, _):
    return " ".join(words).capitalize() + "."


def hastily(words, _):
    return " ".join(words)


def by_chat(words, chat):
    """Another way of greeting for each person."""
    return f"{ {'Cami': 'hola', 'Mamá': 'buenas', 'Tincho': 'ey', 'Beto': 'che'}[chat] } " + (
        " ".join(words)
    )


def turns(says, chats=tuple(APP_OF), sessions=30, seed=5):
    """Table TURNS: `says` maps an app to how Juli writes there; four turns a session."""
    drawn = np.random.default_rng(seed)
    themes = topics(drawn)
    rows = []
    for chat in chats:
        for _ in range(sessions):
            session = rows[-1]["session"] + 1 if rows else 0
            theme = themes[drawn.integers(len(themes))]
            for author in (chat, "Juli") * 4:
                words = [*drawn.choice(theme, 1), *drawn.choice(FILLER, 5)]
                text = says[APP_OF[chat]](words, chat) if author == "Juli" else "¡Dale!"
                row = {"chat": chat, "session": session, "turn": len(rows), "author": author}
                rows.append({**row, "messages": [text], "split": "train"})
    return pd.DataFrame(rows)


def compared(whatsapp, telegram, **more):
    table = turns({"whatsapp": whatsapp, "telegram": telegram}, **more)
    result = apps.compare(table, APP_OF, "Juli", EVALUATE)
    assert [*result] == ["telegram"]
    assert [*result["telegram"]] == ["whatsapp"]
    return result["telegram"]["whatsapp"]


def test_who_writes_alike_in_both_apps_is_not_told_apart():
    result = compared(properly, properly)
    assert result["turns"] == 120  # of the smallest chat: 30 sessions of four
    assert result["told_apart"]["value"] == pytest.approx(0.5, abs=0.08)
    assert result["told_apart"]["n"] <= 60
    assert result["verdict"] == "none"
    assert apps.differing(result["habits"]) == []
    for name in ("capital", "full_stop"):
        assert result["habits"][name]["first"]["value"] == 1.0
    assert result["habits"]["messages"]["second"]["value"] == 1.0
    assert result["habits"]["emoji"]["difference"]["value"] == 0.0


def test_small_letters_and_no_full_stops_in_one_app_are_told():
    result = compared(properly, hastily)
    assert result["told_apart"]["low"] > 0.95
    for control in result["same_app"].values():
        assert control["value"] == pytest.approx(0.5, abs=0.15)
    assert {*result["same_app"]} == {"telegram", "whatsapp"}
    assert result["verdict"] == "apps"
    assert {*apps.differing(result["habits"])[:2]} == {"capital", "full_stop"}
    for name in ("capital", "full_stop"):  # telegram minus whatsapp
        row = result["habits"][name]
        assert (row["first"]["value"], row["second"]["value"]) == (0.0, 1.0)
        assert row["difference"]["value"] == -1.0
        assert row["difference"]["high"] < 0
    # The full stop alone makes a message one character longer: of some 27.
    assert result["habits"]["characters"]["difference"]["value"] == pytest.approx(-1, abs=1)


def test_a_difference_by_person_is_not_taken_for_one_by_app():
    result = compared(by_chat, by_chat)
    assert result["told_apart"]["low"] > 0.9
    assert result["verdict"] == "chats"


def test_with_one_chat_an_app_nothing_says_whether_it_is_the_app():
    result = compared(properly, hastily, chats=("Cami", "Tincho"))
    assert result["same_app"] == {}
    assert result["verdict"] == "alone"


def test_from_too_little_nothing_is_said():
    sessions = 24  # with 96 turns
    result = compared(properly, hastily, chats=("Cami", "Tincho"), sessions=sessions)
    assert result == {
        "turns": 4 * sessions,
        "told_apart": {"n": sessions, "interval": "too few"},
        "same_app": {},
        "habits": {},
        "verdict": "few",
    }


def test_one_app_is_compared_with_nothing():
    table = turns({"whatsapp": properly}, chats=("Cami", "Mamá"), sessions=2)
    assert apps.compare(table, APP_OF, "Juli", EVALUATE) == {}


def test_names_and_placeholders_tell_nothing():
    """Each app has a word of its own, and it is one that nobody wrote or a person's name."""

    def to(word):
        return lambda words, _: f"{word} {' '.join(words)}"

    result = compared(to("<URL>"), to("Tincho"))
    assert result["told_apart"]["value"] == pytest.approx(0.5, abs=0.08)


def test_habits_are_counted_by_message():
    first = [["Hola.", "todo bien..."], ["¿Venís?", "jajaja dale!", "😀"]]
    counts = {
        name: tuple(np.sum([count(messages) for messages in first], axis=0))
        for name, (count, _) in apps.HABITS.items()
    }
    assert counts == {
        "characters": (5 + 12 + 7 + 12 + 1, 5),
        "messages": (5, 2),
        "capital": (2, 4),  # the emoji has no letter
        "full_stop": (1, 5),
        "exclamation": (1, 5),
        "opening_mark": (1, 5),
        "emoji": (1, 5),
        "laughter": (1, 5),
    }
