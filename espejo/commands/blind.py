"""`espejo blind`: can a person tell the model's replies from the author's?

The page reports/blind.html shows real and generated replies to the same contexts and nothing of
which is which; that stands in reports/blind-key.json.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup
from scipy.stats import binomtest

from espejo.core import files, tables
from espejo.core.errors import UserError, not_made_yet
from espejo.evaluation import questions
from espejo.report.page import digest, render
from espejo.report.wording import FOLDER, Wording

PAGE, KEY = Path("reports/blind.html"), Path("reports/blind-key.json")
CONFIDENCE = 0.95


def write(folder: Path, language: str, number: int, seed: int) -> int:
    """Write page and key below `folder`, of at most `number` pairs; returns how many there are.

    Raises UserError when there are no replies yet, or none to a test context.
    """
    replies, examples = (folder / "data" / f"{name}.parquet" for name in ("replies", "examples"))
    for path in (replies, examples):
        if not path.is_file():
            raise not_made_yet(f"{path} is missing")
    shown, real = pairs(
        tables.read(replies, tables.REPLIES),
        tables.read(examples, tables.EXAMPLES),
        number,
        seed,
    )
    if not shown:
        raise UserError(
            "No context of the test set was answered: give evaluate.generated_replies a larger "
            "number and run the same experiment again (experiment=smoke answers a few only)."
        )
    name = hashlib.sha256(json.dumps(shown, ensure_ascii=False).encode()).hexdigest()[:16]
    styles, script = (
        path.read_text("utf-8") for path in (FOLDER / "page.css", FOLDER / "blind.js")
    )
    page = render(
        "blind.html",
        True,
        wording=Wording(language),
        pairs=shown,
        name=name,
        styles=Markup(styles),
        script=Markup(script),
        style_digest=digest(styles),
        script_digest=digest(script),
    )
    files.write(page, folder / PAGE)
    key = {"page": name, "real": {str(at): side for at, side in enumerate(real, 1)}}
    files.write(json.dumps(key, indent=2) + "\n", folder / KEY)
    return len(shown)


def pairs(
    replies: pd.DataFrame, examples: pd.DataFrame, number: int, seed: int
) -> tuple[list[dict], Sequence[str]]:
    """Contexts with replies `a` and `b` in drawn order, and which of the two is real.

    Empty replies stay, and replies that are like the real one: to leave them out would make the
    model look better or worse than it is.
    """
    rows = examples[examples["split"].eq("test") & examples["id"].isin(replies["id"])]
    drawn = np.random.default_rng(seed)
    rows = rows.iloc[drawn.permutation(len(rows))[:number]]
    real = drawn.choice(["a", "b"], len(rows)).tolist()
    generated = questions.answers(replies, "tuned", rows["id"])
    shown = [
        {"context": row.context}
        | ({"a": row.reply, "b": said} if side == "a" else {"a": said, "b": row.reply})
        for row, said, side in zip(rows.itertuples(), generated, real, strict=True)
    ]
    return shown, real


def score(answers: Path, key: Path) -> str:
    """What the answers that the page gave come to, in words.

    Raises UserError when either file is missing or is none of these, or they are of two pages.
    """
    if not key.is_file():
        raise UserError(f"{key} is missing: `espejo blind` writes it together with the page.")
    given, known = (_read(path) for path in (answers, key))
    chosen, real = given.get("answers"), known.get("real")
    if not isinstance(chosen, dict) or not isinstance(real, dict):
        wrong = answers if isinstance(real, dict) else key
        raise UserError(f"{wrong} is not a file of the blind test's.")
    if given.get("page") != known.get("page"):
        raise UserError(
            f"{answers} answers another page than the one {key} belongs to: `espejo blind` has "
            "written a new one since. Answer that one."
        )
    if not chosen:
        raise UserError(f"{answers} holds no answer: choose a reply for each conversation first.")
    if any(real.get(at) is None or side not in ("a", "b") for at, side in chosen.items()):
        raise UserError(f"{answers} is not as the page wrote it: download it again.")
    right = sum(side == real[at] for at, side in chosen.items())
    found = binomtest(right, len(chosen)).proportion_ci(CONFIDENCE, method="wilson")
    if found.low > 0.5:
        means = "The model's replies can be told from the real ones."
    elif found.high < 0.5:
        means = "The model's replies pass for real more often than the real ones."
    else:
        means = (
            "The interval includes 0.5, tossing a coin: these answers say neither that the replies "
            "can be told nor that they cannot."
        )
    return (
        f"Real reply found in {right} of {len(chosen)} answered ({len(real)} on the page): "
        f"{right / len(chosen):.2f} [{found.low:.2f}, {found.high:.2f}] (Wilson, "
        f"{CONFIDENCE:.0%}); 0.5 is tossing a coin, 1 always right. {means}"
    )


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON: download it from the page again.") from error
    return content if isinstance(content, dict) else {}
