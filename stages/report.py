"""One page that says what the numbers mean: four answers in plain words, then the details.

    python -m stages.report metrics data data/raw/demo/people.yaml plots reports

A side branch: nothing depends on it. It quotes messages, so it is never in git.
"""

from pathlib import Path

from espejo.core import escaping, files, metrics, tables
from espejo.core.stage import params, run
from espejo.evaluation import controls, questions, second_name
from espejo.privacy import people
from espejo.report import page, sections, verdicts
from espejo.report.blocks import Picture
from espejo.report.wording import Wording


def main(numbers: Path, data: Path, names: Path, pictures: Path, quotes: Path) -> None:
    """Metric files NUMBERS, tables in DATA and PICTURES -> report.html and report.md in QUOTES."""
    say, wanted = Wording(params("report")["language"]), params("evaluate")
    author = people.read(names.parent).under(params("clean")["pseudonyms"]).author
    scores = metrics.read(numbers / "eval.json")
    accounts = {
        name: metrics.read(numbers / f"{name}.json") for name in (*sections.STEPS, "statistics")
    }
    replies = tables.read(data / "replies.parquet", tables.REPLIES)
    examples = tables.read(data / "examples.parquet", tables.EXAMPLES)
    turns = tables.read(data / "turns.parquet", tables.TURNS)
    train = examples[examples["split"].eq("train")].reset_index(drop=True)
    held_out = examples[examples["split"].ne("train")].reset_index(drop=True)
    asked = held_out[held_out["id"].isin(replies["id"])]

    found = controls.measured(turns, held_out, train, author, wanted)
    said = questions.answers(replies, "tuned", asked["id"])
    parts = [
        sections.glance(say),
        sections.likelihood(scores, say),
        sections.sound(scores, say, asked["reply"].tolist(), said),
        sections.relevance(scores, say),
        sections.memory(scores, say, wanted["sharing_limits"]),
        sections.outside(scores, say),
        sections.controlled(scores, say, found, wanted),
        sections.samples(replies, asked[asked["split"].eq("test")], wanted, say),
        sections.data(accounts, say),
    ]
    lead = say.say(
        "page.lead",
        model=escaping.markdown(params("model")["name"]),
        confidence=say.percent(wanted["confidence"]),
        often=say.number(100 * wanted["confidence"], 0),
    )
    others = second_name.likely(turns, author, wanted)
    four = verdicts.four(scores, say, wanted, others)
    shown = {
        block.file: (pictures / block.file).read_bytes()
        for section in parts
        for block in section.blocks
        if isinstance(block, Picture)
    }
    written = {
        "report.html": page.html(say, lead, four, parts, shown),
        "report.md": page.markdown(say, lead, four, parts),
    }
    for name, text in written.items():
        files.write(text, quotes / name)
    print(f"report: {quotes / 'report.html'}")
    for one in four:
        print(f"  {say.say(f'{one.name}.question')} {say.name('verdicts', one.verdict)}")


if __name__ == "__main__":
    run(main)
