"""`espejo blind`: can a person tell the model's replies from the author's?

The page reports/blind.html shows real and generated replies to the same contexts, without saying
which is which; that is in reports/blind-key.json.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup
from scipy.stats import binomtest

from espejo.commands import answered
from espejo.core import files, tables
from espejo.core.errors import UserError
from espejo.evaluation import questions
from espejo.report.page import digest, render
from espejo.report.wording import FOLDER, Wording

PAGE, KEY = Path("reports/blind.html"), Path("reports/blind-key.json")
CONFIDENCE = 0.95


def write(folder: Path, language: str, number: int, seed: int, kind: str = "chats") -> int:
    """Write page and key into reports/ of the project in `folder`, with at most `number` pairs.

    `kind` is that of the data (params data.kind): of questions, a person judges whether the table
    or the model wrote an answer. Returns the number of pairs. Raises UserError when there are no
    replies yet, or none to a test context.
    """
    replies = answered.table(folder / "data" / "replies.parquet", tables.REPLIES)
    examples = answered.table(folder / "data" / "examples.parquet", tables.EXAMPLES)
    drawn, real = pairs(replies, examples, number, seed)
    name = hashlib.sha256(json.dumps(drawn, ensure_ascii=False).encode()).hexdigest()[:16]
    styles, script = (
        path.read_text("utf-8") for path in (FOLDER / "page.css", FOLDER / "blind.js")
    )
    page = render(
        "blind.html",
        True,
        wording=Wording(language, kind),
        named=kind != "questions",  # a question needs no speaker
        pairs=drawn,
        name=name,
        styles=Markup(styles),
        script=Markup(script),
        style_digest=digest(styles),
        script_digest=digest(script),
    )
    files.write(page, folder / PAGE)
    sides = {str(conversation): side for conversation, side in enumerate(real, 1)}
    key = {"page": name, "real": sides}
    files.write(json.dumps(key, indent=2) + "\n", folder / KEY)
    return len(drawn)


def pairs(
    replies: pd.DataFrame, examples: pd.DataFrame, number: int, seed: int
) -> tuple[list[dict], Sequence[str]]:
    """Test contexts of table EXAMPLES with replies `a` and `b`, and which of the two is real.

    Contexts and sides are drawn at random. Empty replies stay, and so do replies that equal the
    real one: without them the model would look better or worse than it is. Raises UserError when
    there are none.
    """
    generator = np.random.default_rng(seed)
    rows = answered.draw(replies, examples, number, generator)
    real = generator.choice(["a", "b"], len(rows)).tolist()
    generated = questions.messages_of(replies, "tuned", rows["id"])
    drawn = [
        {"context": row.context}
        | ({"a": row.reply, "b": reply} if side == "a" else {"a": reply, "b": row.reply})
        for row, reply, side in zip(rows.itertuples(), generated, real, strict=True)
    ]
    return drawn, real


def score(answers_json: Path, key_json: Path) -> str:
    """The share of right answers with its interval, and what it means, in words.

    `answers_json` is what the page gives to download. Raises UserError when either file is missing
    or is not of the blind test, or when they belong to different pages.
    """
    if not key_json.is_file():
        raise UserError(f"{key_json} is missing: `espejo blind` writes it together with the page.")
    answers, key = (_read(path) for path in (answers_json, key_json))
    chosen, real = answers.get("answers"), key.get("real")
    if not isinstance(chosen, dict) or not isinstance(real, dict):
        wrong = answers_json if isinstance(real, dict) else key_json
        raise UserError(f"{wrong} is not a file of the blind test.")
    if answers.get("page") != key.get("page"):
        raise UserError(
            f"{answers_json} answers another page than the one {key_json} belongs to: `espejo "
            "blind` has written a new one since. Answer that one."
        )
    if not chosen:
        raise UserError(
            f"{answers_json} holds no answer: choose a reply for each conversation first."
        )
    if any(real.get(name) is None or side not in ("a", "b") for name, side in chosen.items()):
        raise UserError(f"{answers_json} is not as the page wrote it: download it again.")
    right = sum(side == real[name] for name, side in chosen.items())
    interval = binomtest(right, len(chosen)).proportion_ci(CONFIDENCE, method="wilson")
    if interval.low > 0.5:
        meaning = "The model's replies can be told from the real ones."
    elif interval.high < 0.5:
        meaning = "The model's replies pass for real more often than the real ones."
    else:
        meaning = (
            "The interval includes 0.5, tossing a coin: these answers say neither that the replies "
            "can be told nor that they cannot."
        )
    return (
        f"Real reply found in {right} of {len(chosen)} answered ({len(real)} on the page): "
        f"{right / len(chosen):.2f} [{interval.low:.2f}, {interval.high:.2f}] (Wilson, "
        f"{CONFIDENCE:.0%}); 0.5 is tossing a coin, 1 always right. {meaning}"
    )


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON: download it from the page again.") from error
    return content if isinstance(content, dict) else {}
