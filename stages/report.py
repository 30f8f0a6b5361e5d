"""One page that says what the numbers mean: answers in plain words, then the details.

    python -m stages.report data metrics plots reports

It measures nothing; it draws all pictures. It quotes messages, so git ignores it.
"""

from pathlib import Path

from espejo.core import escaping, files, metrics, tables
from espejo.core.stage import params, run
from espejo.evaluation import questions
from espejo.evaluation import repeated as repeats
from espejo.evaluation.config import EvaluateConfig
from espejo.model.config import ModelConfig
from espejo.plots import activity, evaluation, training
from espejo.plots.style import read_csv, save
from espejo.plots.wordcloud import wordcloud
from espejo.prediction.config import PredictConfig
from espejo.report import contents, page, samples, sections, trainings, verdicts
from espejo.report.config import ReportConfig
from espejo.report.wording import Wording


def main(data: Path, metrics_dir: Path, plots_dir: Path, reports_dir: Path) -> None:
    """Metrics and tables -> the pictures of PLOTS_DIR, and the pages of REPORTS_DIR."""
    config, evaluate, predict = params(ReportConfig), params(EvaluateConfig), params(PredictConfig)
    model = params(ModelConfig).name
    accounts = {
        name: metrics.read(metrics_dir / f"{name}.json")
        for name in (*sections.STAGES, "statistics")
    }
    scores = metrics.read(metrics_dir / "eval.json")
    kind = contents.kind_of(scores)
    wording = Wording(config.language, kind)
    trained = metrics.read(metrics_dir / "train.json")
    replies = tables.read(data / "replies.parquet", tables.REPLIES)
    examples = tables.read(data / "examples.parquet", tables.EXAMPLES)
    giveaways = tables.read(data / "giveaways.parquet", tables.GIVEAWAYS)
    second_names = tables.read(data / "second_names.parquet", tables.SECOND_NAMES)
    words = tables.read(data / "words.parquet", tables.WORDS)
    answered = questions.answered_examples(replies, examples)
    # With a small test some questions of validation are answered too, and may be quoted.
    quoted = answered["split"].eq("test") | (kind == "questions")
    tested = answered[quoted].head(config.shown_contexts)

    funnel = sections.funnel(accounts)
    tables.write_csv(funnel, plots_dir / "funnel.csv")
    figures = {
        "at_a_glance": evaluation.at_a_glance(scores, wording),
        "base_against_tuned": evaluation.base_against_tuned(scores, wording),
        "funnel": evaluation.funnel(funnel, wording),
    } | {
        draw.__name__: draw(read_csv(plots_dir / f"{draw.__name__}.csv"), wording)
        for draw in (
            training.loss,
            evaluation.likelihood,
            evaluation.reply_lengths,
            activity.messages_over_time,
            activity.hour_weekday,
            activity.turn_lengths,
        )
    }
    for name, figure in figures.items():
        save(figure, plots_dir / f"{name}.png")
    wordcloud(words, reports_dir / "wordcloud.png")

    lead = wording.text(
        "page.lead",
        model=escaping.markdown(model),
        confidence=wording.percent(evaluate.confidence),
        often=wording.number(100 * evaluate.confidence, 0),
    )
    suspects = second_names["name"].tolist()
    answers = contents.answers(scores, wording, evaluate, predict, suspects)
    if trial := verdicts.trial(trained, wording):
        lead, answers = f"**{trial}** {lead}", verdicts.undecided(answers, wording)
    parts = contents.parts(scores, accounts, replies, tested, giveaways, wording, evaluate)
    parts += trainings.section(scores, trained, metrics_dir / repeats.FILE, wording)
    pictures = {f"{name}.png": (plots_dir / f"{name}.png").read_bytes() for name in figures}
    files.write(page.html(wording, lead, answers, parts, pictures), reports_dir / "report.html")
    files.write(page.markdown(wording, lead, answers, parts), reports_dir / "report.md")
    files.write(samples.page(replies, tested, kind), reports_dir / "samples.md")
    print(f"report: {reports_dir / 'report.html'}")
    for answer in answers:
        question = wording.text(f"{answer.name}.question")
        print(f"  {question} {wording.name('verdicts', answer.verdict)}")
    if trial:
        print(f"  {trial}")


if __name__ == "__main__":
    run(main)
