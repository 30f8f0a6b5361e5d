"""Made-up people with habits of their own, as positive and negative controls of the scores."""

import numpy as np
import pandas as pd

_SYLLABLES = "ba co du fe gi lo mu na pe ri sa to vu xi yo za che lla ño que"
_FILLER = "que de la el en no se lo un por con para como pero más todo está bien muy ya"
SYLLABLES, FILLER = _SYLLABLES.split(), _FILLER.split()


def topics(drawn, number=40, words=14):
    """`number` topics of made-up content words, none in two topics."""
    words_made = set()
    while len(words_made) < number * words:
        words_made.add("".join(drawn.choice(SYLLABLES, 3)))
    return np.array(sorted(words_made)).reshape(number, words)


def author_says(words, drawn):
    """Lower case, no accents, q for que, no full stop, laughter and stretched vowels."""
    text = " ".join(words).replace("que", "q").replace("á", "a").replace("para", "pa")
    if drawn.random() < 0.35:
        text += " " + "ja" * int(drawn.integers(2, 4))
    if drawn.random() < 0.3:
        text += "o" * int(drawn.integers(2, 4))
    return text + (" 😭" if drawn.random() < 0.2 else "")


def friend_says(words, drawn):
    """A capital, accents, a full stop or several exclamation marks."""
    text = " ".join(words).capitalize()
    return text + ("!!!" if drawn.random() < 0.4 else ".")


def aunt_says(words, drawn):
    """Long messages with commas and dots."""
    return ", ".join(" ".join(words).split()[:4]) + "... besos " + " ".join(words) + "..."


SAYS = {"Juli": author_says, "Cami": friend_says, "Mamá": aunt_says}


def chats(sessions=120, seed=3):
    """Table TURNS: Juli answers Cami or Mamá, each session on a topic; the last sixth is test.

    The words of an answer are of its session's topic, and two of them stand in the turn before.
    """
    drawn = np.random.default_rng(seed)
    themes = topics(drawn)
    rows = []
    for session in range(sessions):
        theme = themes[drawn.integers(len(themes))]
        friend = ("Cami", "Mamá")[session % 2]
        split = "train" if session < sessions * 4 // 6 else "validation"
        split = "test" if session >= sessions * 5 // 6 else split
        for _ in range(4):
            content_asked = drawn.choice(theme, 3, replace=False)
            again = np.concatenate([content_asked[:2], drawn.choice(theme, 1)])
            for author, content in ((friend, content_asked), ("Juli", again)):
                messages = []
                for place in range(int(drawn.integers(1, 4))):
                    words = list(drawn.choice(FILLER, int(drawn.integers(3, 7))))
                    words[1:1] = content[place : place + 1] if place else content[:2]
                    messages.append(SAYS[author](words, drawn))
                rows.append(
                    {
                        "chat": friend,
                        "session": session,
                        "turn": len(rows),
                        "author": author,
                        "messages": messages,
                        "split": split,
                    }
                )
    return pd.DataFrame(rows)


def people(author="Juli", **consents):
    """Table PEOPLE of the author and of others by their consent: `people(Cami="train")`."""
    return pd.DataFrame(
        {
            "name": [author, *consents],
            "is_author": [True, *[False] * len(consents)],
            "consent": ["", *consents.values()],
            "mark": [author, *consents],
        }
    )


def pairs(turns, split):
    """The author's replies of a split with the turn before each: context, reply, session."""
    before = turns.shift()
    mine = turns["author"].eq("Juli") & turns["split"].eq(split)
    return pd.DataFrame(
        {
            "context": before.loc[mine, "messages"].map(" ".join),
            "reply": turns.loc[mine, "messages"],
            "session": turns.loc[mine, "session"],
        }
    ).reset_index(drop=True)
