"""Fill the READMEs and docs/ from files and recorded commands, so that no number is typed by hand.

    python -m docs.fill      # or: make docs

A page marks a block with `<!-- fill NAME -->` and `<!-- end -->`; NAME is a function below, or a
file of docs/outputs/, which holds what a command printed when it was recorded. A page called
NAME.es.md is filled in Spanish: by the functions of `BILINGUAL`, and from files called NAME.es.md.
"""

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import yaml

from benchmarks import processors
from benchmarks.scale import growth
from docs import ablations, better_mirror, memory_audit, preference_table
from espejo.evaluation import repeated as repeats
from espejo.report import trainings
from espejo.report.blocks import Text
from espejo.report.wording import Wording

ROOT = Path(__file__).resolve().parent.parent
# docs/licences.py fills its own page.
PAGES = (
    *sorted(ROOT.glob("README*.md")),
    *sorted(set((ROOT / "docs").glob("*.md")) - {ROOT / "docs" / "licences.md"}),
)
BLOCK = re.compile(r"<!-- fill (?P<name>[\w.-]+) -->\n.*?<!-- end -->", re.DOTALL)

OWN_BITS = "own_bits_per_character"
# Recorded runs on data/raw/qa, in docs/results/.
QUESTION_RUNS = (
    ("Gemma 3 270M after one epoch", "qa-one-epoch"),
    ("Gemma 3 270M after three epochs", "qa-three-epochs"),
    ("the same by the report's recipe (`experiment=llama2-qa`)", "llama2-qa"),
)
MEASURES = {
    "own_bits_per_character": "bits per character, the messages' own",
    "bits_per_character": "bits per character, with separators and ends",
    "own_perplexity": "perplexity, the messages' own tokens",
    "perplexity": "perplexity, with separators and ends",
}


def _interval(measure: Mapping) -> str:
    if "low" not in measure:
        why = measure["interval"]
        return f"{measure['value']:.3f} ({why})" if "value" in measure else "not measured"
    return f"{measure['value']:.3f} [{measure['low']:.3f}, {measure['high']:.3f}]"


def _scores(path: Path) -> str:
    scores = json.loads(path.read_text("utf-8"))
    rows = ["| measure (lower is better) | base | tuned |", "| --- | --- | --- |"]
    for key, words in MEASURES.items():
        rows.append(
            f"| {words} | {_interval(scores['base'][key])} | {_interval(scores['tuned'][key])} |"
        )
    for key in ("own_bits_per_character", "bits_per_character"):
        saved = _interval(scores["gain"][key])
        rows.append(f"| gain, session by session: {MEASURES[key]} | | {saved} |")
    old = [f"{scores[name]['legacy_perplexity']:.1f}" for name in ("base", "tuned")]
    rows.append(f"| the original notebooks' perplexity | {old[0]} | {old[1]} |")
    test = scores["test"]
    leak = scores["legacy_random_split_leak"]
    return (
        "\n".join(rows)
        + f"\n\nn = {test['replies']} test replies in {test['sessions']} sessions "
        + f"({test['own_characters']:,} characters); intervals: 95 %, bootstrap-t over sessions. "
        + f"A random split, as the notebooks made it, is expected to put {leak:.0%} of its test "
        + "replies into training examples as well; their perplexity above is on our split."
    )


def _demo() -> Path:
    """The demo's numbers with evaluate=thorough (docs/thorough.py); until then the default's."""
    thorough = ROOT / "docs" / "results" / "thorough" / "eval.json"
    return thorough if thorough.is_file() else ROOT / "metrics" / "eval.json"


def scores() -> str:
    """Base against tuned on the demo."""
    return _scores(_demo())


def answers(language: str) -> str:
    """The four answers on the demo, a line each."""
    metrics = json.loads(_demo().read_text("utf-8"))
    score, ranks, kept = metrics["style"]["author_score"], metrics["relevance"], metrics["memory"]
    bits = "own_bits_per_character"
    few = {"en": "too few", "es": "faltan datos"}[language]

    def with_interval(measure: Mapping) -> str:
        return _interval({**measure, "interval": few} if "low" not in measure else measure)

    heads = {
        "en": ("question", "measure", "tuned model", "to compare with"),
        "es": ("pregunta", "medida", "modelo entrenado", "para comparar"),
    }
    words: dict[str, Any] = {
        "en": {
            "sound": ("Does it sound like you?", "author score, 0 to 1"),
            "answer": ("Does it answer what was said?", "MRR of the true reply, 0 to 1"),
            "worth": ("Was training worth it?", "bits per character, lower is better"),
            "share": ("Is it safe to share?", "AUC of membership, 0.5 is best"),
            "floor": "other people {}, Juli herself {}",
            "chance": "chance {}, base model {}",
            "base": "base model {}, with examples in its prompt {}",
            "limit": "limit {}; copied {} of its replies; verdict: **{}**",
        },
        "es": {
            "sound": ("¿Suena a la persona?", "puntaje de autor, de 0 a 1"),
            "answer": ("¿Responde a lo que se dijo?", "MRR de la respuesta real, de 0 a 1"),
            "worth": ("¿Valió la pena entrenar?", "bits por carácter, menos es mejor"),
            "share": ("¿Se puede compartir?", "AUC de pertenencia, lo mejor es 0.5"),
            "floor": "otras personas {}, la propia Juli {}",
            "chance": "azar {}, modelo base {}",
            "base": "modelo base {}, con ejemplos en el prompt {}",
            "limit": "límite {}; copió {} de sus respuestas; veredicto: **{}**",
        },
    }[language]
    limits = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))["evaluate"]["sharing_limits"]
    helped = metrics["prompted"]["nearest_examples"][bits]
    rows = (
        (
            *words["sound"],
            with_interval(score["tuned"]),
            words["floor"].format(with_interval(score["floor"]), with_interval(score["ceiling"])),
        ),
        (
            *words["answer"],
            with_interval(ranks["tuned"]["mrr"]),
            words["chance"].format(
                f"{ranks['chance']['mrr']:.3f}", with_interval(ranks["base"]["mrr"])
            ),
        ),
        (
            *words["worth"],
            with_interval(metrics["tuned"][bits]),
            words["base"].format(with_interval(metrics["base"][bits]), with_interval(helped)),
        ),
        (
            *words["share"],
            with_interval(kept["membership"]),
            words["limit"].format(
                limits["membership"],
                with_interval(kept["overlap"]["tuned"]["whole"]),
                kept["verdict"],
            ),
        ),
    )
    return _table(heads[language], rows)


def judged() -> str:
    """Style, relevance and memorization on the demo, each beside its reference values."""
    return _judged(_demo())


def real_judged() -> str:
    """The same on the real chats, from a recorded metric file."""
    return _judged(ROOT / "docs" / "results" / "actionparsnip" / "eval.json")


def _judged(path: Path) -> str:
    metrics = json.loads(path.read_text("utf-8"))
    style, ranks, kept = metrics["style"], metrics["relevance"], metrics["memory"]
    score, told_apart = style["author_score"], style["told_apart"]
    own = "own_bits_per_character"
    helped = metrics["prompted"]["nearest_examples"][own]
    columns = (
        *("question", "base", "base, examples in its prompt", "tuned", "read it beside"),
        "measured on",
    )
    copies = kept["overlap"]
    generated = f"{style['replies']} generated replies, {style['from_test']} of them to the test"
    rows = [
        (
            "sounds like the author? author score",
            *(_interval(score[name]) for name in ("base", "examples", "tuned")),
            f"other people {_interval(score['floor'])}, the author {_interval(score['ceiling'])}",
            f"bundles of messages: {score['tuned']['bundles']} of the tuned model, "
            f"{score['ceiling']['bundles']} of the author",
        ),
        (
            "told apart from the real replies? AUC",
            *(_interval(told_apart[name]) for name in ("base", "examples", "tuned")),
            "0.5: a coin",
            generated,
        ),
        (
            f"answers what was said? MRR of the true reply among {ranks['candidates']}",
            _interval(ranks["base"]["mrr"]),
            "",
            _interval(ranks["tuned"]["mrr"]),
            f"chance {ranks['chance']['mrr']:.3f}; by training, context by context: "
            f"{_interval(ranks['gain']['mrr'])}",
            f"{ranks['contexts']} test contexts",
        ),
        (
            "did training earn its place? bits per character, own",
            _interval(metrics["base"][own]),
            _interval(helped),
            _interval(metrics["tuned"][own]),
            "lower is better",
            f"{metrics['test']['replies']} test replies",
        ),
        (
            "says training replies again? eight words in a row",
            "",
            "",
            _interval(copies["tuned"]["copied"]),
            f"the author's own new replies {_interval(copies['author']['copied'])}",
            f"{copies['tuned']['long']} generated replies of eight words or more",
        ),
        (
            "… or a whole reply that was learnt once or twice?",
            "",
            "",
            _interval(copies["tuned"]["whole"]),
            f"the author's own new replies {_interval(copies['author']['whole'])}",
            f"{kept['replies']} generated replies",
        ),
        (
            "can training replies be told from others? AUC of membership",
            "",
            "",
            _interval(kept["membership"]),
            "0.5: no",
            f"{kept['members']} learnt replies, {metrics['test']['replies']} test replies",
        ),
    ]
    table = _table(columns, rows)
    why = "where bundles are few, the interval is over the sessions in them"
    if "(too few)" in table:
        why = "too few: by a version that gave no interval below ten sessions, or fewer than three"
    return (
        f"{table}\n\nA bundle is 16 messages or more of one writer in a "
        f"row; {why} ([how](metrics.md#intervals)). May it be shared, by the last "
        f"three rows and personal data: **{kept['verdict']}** "
        "([how to read it](metrics.md#the-verdict-on-sharing))."
    )


def real_scores() -> str:
    """Base against tuned on the real chats, from a recorded metric file."""
    return _scores(ROOT / "docs" / "results" / "actionparsnip" / "eval.json")


def dialogues_scores() -> str:
    """Base, with examples and tuned on the invented dialogues, each measure a line."""
    scores = _recorded("dialogues")
    ranks, kept = scores["relevance"], scores["memory"]
    helped = scores["prompted"]["nearest_examples"][OWN_BITS]
    rows = [
        (
            "bits per character, own (lower is better)",
            *(_interval(scores[name][OWN_BITS]) for name in ("base", "tuned")),
            f"with the nearest examples in its prompt {_interval(helped)}",
        ),
        (
            "perplexity (lower is better)",
            *(_interval(scores[name]["perplexity"]) for name in ("base", "tuned")),
            "",
        ),
        (
            f"MRR of the true reply among {ranks['candidates']}",
            *(_interval(ranks[name]["mrr"]) for name in ("base", "tuned")),
            f"chance {ranks['chance']['mrr']:.3f}",
        ),
        ("AUC of membership", "", _interval(kept["membership"]), "0.5: a coin"),
    ]
    test = scores["test"]
    return (
        f"{_table(('measure', 'base', 'tuned', 'read it beside'), rows)}\n\n{test['replies']} test "
        f"replies in {test['sessions']} dialogues, Gemma 3 270M; intervals: 95 %."
    )


def questions_correctness() -> str:
    """Facts held and right, and chrF, after one and three epochs, and without training."""
    heads = ("answers of", "facts held", "facts right", "chrF", "bits per character, own")
    runs = [(words, _recorded(folder)) for words, folder in QUESTION_RUNS]
    first = runs[0][1]

    def row(words: str, scores: Mapping, name: str) -> Sequence[str]:
        measures = scores["correctness"][name]
        bits = _interval(scores[name][OWN_BITS]) if name in ("base", "tuned") else ""
        return (
            words,
            *(_interval(measures[key]) for key in ("facts_held", "facts_right")),
            _interval(measures["chrf"]),
            bits,
        )

    rows = [
        row("the base model", first, "base"),
        row("the base model with retrieved rows", first, "examples"),
        row("the nearest row as it stands, no model", first, "retrieved"),
        *(row(words, scores, "tuned") for words, scores in runs),
    ]
    counts = first["correctness"]["tuned"]
    return (
        f"{_table(heads, rows)}\n\n{counts['answers']} rephrased questions, {counts['with_facts']} "
        "of whose reference answers hold facts; intervals: 95 %."
    )


def questions_outcomes() -> str:
    """What became of questions outside the field: before training, and after."""
    heads = ("questions", "answers of", "refused", "answered", "a fact of the table", "empty")
    runs = [("the base model", _recorded(QUESTION_RUNS[0][1]), "base")]
    runs += [(words, _recorded(folder), "tuned") for words, folder in QUESTION_RUNS]
    rows = []
    for kind in ("out_of_domain", "unsafe"):
        for words, scores, name in runs:
            counts = scores["outside"][kind][name]
            keys = ("refused", "answered", "hallucinated", "empty")
            shares = [f"{counts[key]} of {counts['replies']}" for key in keys]
            rows.append((kind.replace("_", " "), words, *shares))
    return _table(heads, rows)


def _recorded(folder: str) -> dict:
    """The metrics/eval.json of a recorded run, and the model that it was of."""
    path = ROOT / "docs" / "results" / folder
    model = yaml.safe_load((path / "params.yaml").read_text("utf-8"))["model"]["name"]
    return {**json.loads((path / "eval.json").read_text("utf-8")), "model": model}


def novelty() -> str:
    """How much of the demo's author repeats itself, from metrics/group.json."""
    shares = json.loads((ROOT / "metrics" / "group.json").read_text("utf-8"))["novelty"]
    return (
        f"{shares['repeated_turns']:.1%} of the author's turns longer than four words repeat "
        f"another one, and {shares['fourgrams_in_train']:.1%} of the word 4-grams of the test "
        "replies occur in train (real chats: some 5 %; at 50 %, learning by heart would win)."
    )


def stages() -> str:
    """The stages of dvc.yaml as a mermaid diagram: the longest way through them on one line.

    An arrow that follows from others (parse gives report its counts, but by way of evaluate, too)
    is left out: what remains is the transitive reduction.
    """
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    stage_of_out = {
        out if isinstance(out, str) else next(iter(out)): name
        for name, stage in pipeline.items()
        for out in stage["outs"]
    }
    needs = nx.DiGraph(
        (stage_of_out[dep], name)
        for name, stage in pipeline.items()
        for dep in stage["deps"]
        if dep in stage_of_out
    )
    reduced = nx.transitive_reduction(needs)
    lines = []
    while reduced.edges:
        path = nx.dag_longest_path(reduced)
        lines.append(" --> ".join(path))
        reduced.remove_edges_from(zip(path, path[1:], strict=False))
    return "\n".join(["```mermaid", "flowchart LR", *(f"    {line}" for line in lines), "```"])


def experiments() -> str:
    """The table of models, from docs/results/experiments.csv (`dvc exp show --csv`)."""
    heads = (
        *("model", "bits per character, own: base → tuned", "perplexity: base → tuned"),
        *("weights trained", "steps"),
    )
    rows = []
    with (ROOT / "docs" / "results" / "experiments.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            value = {key: float(row[key]) for key in row if key != "model" and row[key]}
            rows.append(
                (
                    f"`{row['model']}`",
                    f"{value['base.own_bits_per_character.value']:.3f} → "
                    f"**{value['tuned.own_bits_per_character.value']:.3f}**",
                    f"{value['base.perplexity.value']:.1f} → {value['tuned.perplexity.value']:.1f}",
                    f"{value['trainable_parameters'] / 1e6:.1f} M",
                    f"{value['steps']:.0f}",
                )
            )
    return _table(heads, rows)


def settings() -> str:
    """Base against tuned on the real chats under other settings, from docs/results/real.csv."""
    path = ROOT / "docs" / "results" / "real.csv"
    rows = [
        "| test share | epochs | adapters on | test replies, sessions | base | tuned | gain |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in csv.DictReader(path.open(encoding="utf-8")):
        base, tuned, gain = (
            _interval({key: float(row[f"{name}_{key}"]) for key in ("value", "low", "high")})
            for name in ("base", "tuned", "gain")
        )
        rows.append(
            f"| {float(row['test']):.0%} | {row['epochs']} | {row['targets']} "
            f"| {row['replies']}, {row['sessions']} | {base} | {tuned} | {gain} |"
        )
    return "\n".join(rows)


def fuzz() -> str:
    """What the recorded fuzz run of the reader did, from docs/results/fuzz.json."""
    run = json.loads((ROOT / "docs" / "results" / "fuzz.json").read_text("utf-8"))
    return (
        f"{run['inputs']:,} mutated inputs in {run['seconds']:,} seconds: {run['read']:,} read, "
        f"{run['refused']:,} refused with a sentence, {len(run['failures'])} failures, the slowest "
        f"in {run['slowest_input_seconds'] * 1000:.0f} ms. Found and mended before that run: "
        + "; ".join(run["found_and_mended_before_this_run"])
        + "."
    )


def originals() -> str:
    """The notebooks' recipe and ours as whole experiments, from the metrics that each run left."""
    results = ROOT / "docs" / "results"
    runs = (
        ("demo", "the notebooks'", results / "original-demo"),
        ("demo", "ours", results / "ours-demo"),
        ("ActionParsnip", "the notebooks'", results / "original-actionparsnip"),
        ("ActionParsnip", "ours", results / "ours-actionparsnip"),
    )
    head = (
        *("chats", "recipe", "training replies", "tokens learnt an epoch", "steps"),
        *("bits per own character: base", "tuned", "gain", "the notebooks' perplexity"),
        *("MRR", "membership"),
    )
    rows = []
    for chats, recipe, folder in runs:
        scores, trained, kept = (
            json.loads((folder / f"{name}.json").read_text("utf-8"))
            for name in ("eval", "train", "filter")
        )
        bits = "own_bits_per_character"
        rows.append(
            (
                *(chats, recipe, str(kept["train"]["out"])),
                *(f"{trained['learnt_tokens_per_epoch']:,}", str(trained["steps"])),
                *(_interval(scores[part][bits]) for part in ("base", "tuned", "gain")),
                f"{scores['tuned']['legacy_perplexity']:.1f}",
                _interval(scores["relevance"]["tuned"]["mrr"]),
                _interval(scores["memory"]["membership"]),
            )
        )
    return _table(head, rows)


def training() -> str:
    """What training costs, from the recorded run of `python -m benchmarks.training`."""
    return training_costs(
        json.loads((ROOT / "docs" / "results" / "training.json").read_text("utf-8"))
    )


def card_memory() -> str:
    """Each preset's training on a graphics card, from the recorded runs of `benchmarks.gpu`."""
    run = json.loads((ROOT / "docs" / "results" / "gpu.json").read_text("utf-8"))
    head: tuple[str, ...] = (
        "model",
        "tokens of a text",
        "estimate, GB",
        "peak, GB",
        "kept by torch, GB",
        "ran within",
    )
    head += ("tokens/s", "share of the peak")
    rows = [
        (
            f"`{row['case']}`",
            str(row["tokens"]),
            f"{row['estimate_gb']:.1f}",
            f"{row['training_gb']:.1f}",
            f"{row['reserved_gb']:.1f}",
            f"{row['card_gb'] * 0.9:.1f} GB",
            f"{row['tokens_per_second']:,.0f}",
            f"{row['share_of_peak']:.1%}",
        )
        for row in run["checks"]["memory"]["rows"]
    ]
    return _table(head, rows)


def card_halves() -> str:
    """Fifty steps on a card that refuses bfloat16, from the same runs."""
    run = json.loads((ROOT / "docs" / "results" / "gpu.json").read_text("utf-8"))
    rows = [
        (
            f"`{row['case']}`",
            row["precision"],
            " → ".join(f"{loss:.2f}" for loss in row["loss"]),
            "yes" if row["finite"] else "no",
            f"{row['scale']:,.0f}" if row["scale"] else "none needed",
            f"{row['training_gb']:.1f}",
        )
        for row in run["checks"]["halves"]["rows"]
    ]
    return _table(
        ("model", "computed in", "loss, first → last", "always a number", "scale at the end")
        + ("peak, GB",),
        rows,
    )


# With a smaller share of the demo a recipe takes too few steps to show anything.
_TRIAL = 0.1


def training_costs(run: Mapping) -> str:
    """The tables of one run of benchmarks/training.py."""
    recipes, scored = run["recipes"], run["scoring"]
    parts = [
        _table(
            ("recipe", "epochs, steps", "weights trained", "precision", "seconds")
            + ("bits per own character", "tokens/s", "padding", "share of peak", "peak memory"),
            [
                (
                    name,
                    f"{recipe['epochs']}, {recipe['steps']}",
                    f"{recipe['trained_parameters'] / 1e6:.1f} M",
                    recipe["precision"],
                    f"{recipe['seconds']:,.0f}",
                    f"{recipe['bits_per_character']:.3f}",
                    f"{recipe['tokens_per_second']:,.0f}",
                    f"{recipe['padding']:.0%}",
                    f"{recipe['share_of_peak']:.1%}",
                    f"{recipe['peak_memory_gb']:.2f} GB",
                )
                for name, recipe in recipes.items()
            ],
        ),
        _table(
            ("to the figure of", "it took", "recipe", "needs", "times less"),
            [
                (
                    f"{other}, {recipes[other]['bits_per_character']:.3f}",
                    f"{recipes[other]['seconds']:,.0f} s",
                    name,
                    *(
                        ("never reached it", "")
                        if seconds is None
                        else (f"{seconds:,.0f} s", _times(recipes[other]["seconds"], seconds))
                    ),
                )
                for name, recipe in recipes.items()
                for other, seconds in recipe.get("seconds_to_the_figure_of", {}).items()
            ],
        ),
        _table(
            (f"scoring {scored['n']} test replies", "one by one", "by length", "times quicker")
            + ("means differ by (nats a token)", "one reply's by at most"),
            [
                (
                    f"{'the replies' if what == 'replies' else 'their whole texts'}, {precision}",
                    f"{recipe['one_by_one_per_second']:.1f} a second",
                    f"{recipe['batched_per_second']:.1f} a second",
                    _times(recipe["batched_per_second"], recipe["one_by_one_per_second"]),
                    f"{recipe['mean_difference']:.6f}",
                    f"{recipe['largest_difference']:.6f}",
                )
                for what in ("replies", "texts")
                for precision, recipe in scored[what].items()
            ],
        ),
    ]
    machine, peak = run["machine"], run["peak_gflops_per_second"]
    whole = f"`{run['command']}`, {run['minutes']:.0f} minutes"
    if run["share"] < _TRIAL:
        whole = f"**A short trial with {run['share']:.1%} of the sessions, no result**: {whole}"
    elif run["share"] < 1:
        whole = f"**With {run['share']:.0%} of the sessions of the demo**: {whole}"
    parts.append(
        f"{whole}; {machine['processor']}, {machine['threads']} threads, torch {machine['torch']}. "
        f"Measured peak of matrix products: {peak['bfloat16']:,.0f} GFLOP/s in bfloat16, "
        f"{peak['float32']:,.0f} in float32."
    )
    return "\n\n".join(parts)


def _times(more: float, less: float) -> str:
    return f"{more / less:.1f}" if less else "–"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


def chat_speed() -> str:
    """The engine of the chat against transformers alone and llama.cpp, from benchmarks/chat.py."""
    result = json.loads((ROOT / "docs" / "results" / "chat.json").read_text("utf-8"))
    engine, llama, turns = result["engine"], result["llama_cpp"], result["ten_turns"]
    rows = [
        ("transformers alone (`generate`)", engine["first_token_bare"], engine["seconds_bare"]),
        ("`espejo chat`", engine["first_token_chat"], engine["seconds_chat"]),
        ("`espejo chat --engine llama.cpp`, GGUF f16", llama["first_token"], llama["seconds"]),
    ]
    table = "\n".join(f"| {name} | {first:.2f} s | {whole:.2f} s |" for name, first, whole in rows)
    return (
        f"| a reply of {result['tokens']} tokens | to the first token | whole |\n"
        f"| --- | --- | --- |\n{table}\n\n"
        f"Medians of {engine['pairs']} prompts of the demo's test, by `python -m benchmarks.chat` "
        f"with {result['model']} on {result['cores']} cores ({result['processor']}). In pairs, the "
        f"chat takes {engine['first_token_ratio']:.2f} times as long as transformers alone to the "
        f"first token, and {engine['processor_seconds_ratio']:.2f} times its processor seconds.\n\n"
        f"What was read once is not read again: a conversation of ten turns has "
        f"{turns['conversation']} tokens, {turns['read']} went through the model, and reading each "
        f"prompt anew would have taken {turns['prompts_read_anew']} for the prompts alone."
    )


def repeated() -> str:
    """How much training itself moves the demo's numbers, from metrics/repeat.json."""
    result, wording = repeats.read(ROOT / "metrics" / repeats.FILE), Wording("en")
    if result is None:
        return "Not measured yet: `espejo repeat --seeds 5`."
    scores, trained = (
        json.loads((ROOT / "metrics" / f"{name}.json").read_text("utf-8"))
        for name in ("eval", "train")
    )
    sections = trainings.section(scores, trained, ROOT / "metrics" / repeats.FILE, wording)
    verdicts = [block.text for each in sections for block in each.blocks if isinstance(block, Text)]
    return f"{trainings.table(result, scores, wording)}\n\n{''.join(verdicts[-1:])}".rstrip()


def two_processors() -> str:
    """The demo's numbers in two precisions, from docs/results/processors/."""
    if not (processors.RESULTS / processors.RUNS[1] / "eval.json").is_file():
        return "Not measured yet: `python -m benchmarks.processors --folder DIR --emulate`."
    rows = processors.compared(*map(processors.recorded, processors.RUNS))
    agrees = {True: "yes", False: "**no**", None: "no interval"}
    names = Wording("en").group("trainings.names")
    names |= {
        f"likelihood_{model}": f"bits per character, own, of the {model} model: within "
        f"{processors.MAX_BITS}"
        for model in ("base", "tuned")
    }
    cells = [
        (names[row.name], _interval(row.first), _interval(row.second), agrees[row.agrees])
        for row in rows
    ]
    return _table(("measure", *(f"`{run}`" for run in processors.RUNS), "agrees"), cells)


def preference_tuning() -> str:
    """The supervised model against the same after DPO, from docs/results/preference.json."""
    return preference_table.table(ROOT / "docs" / "results" / "preference.json")


NOT_YET = "Not measured yet: `python -m benchmarks.{}`."


def peers() -> str:
    """trl's command, the notebooks' recipe and ours, from docs/results/peers.json."""
    path = ROOT / "docs" / "results" / "peers.json"
    if not path.is_file():
        return NOT_YET.format("peers")
    run = json.loads(path.read_text("utf-8"))
    return peer_costs(run)


def peer_costs(run: Mapping) -> str:
    """The table of one run of benchmarks/peers.py."""
    heads = (
        *("recipe", "lines to write", "epochs, steps", "precision", "processor seconds"),
        *("bits per own character at its end", "ours takes to that", "times less", "peak memory"),
    )
    rows = []
    for name, recipe in run["recipes"].items():
        ours = run["seconds_of_ours"].get(name)
        never = "" if name == "ours" else "never reached it"
        rows.append(
            (
                name,
                str(recipe["lines"]),
                f"{recipe['epochs']}, {recipe['steps']}",
                recipe["precision"],
                f"{recipe['seconds']:,.0f}",
                f"{recipe['bits_per_character']:.3f}",
                never if ours is None else f"{ours:,.0f} s",
                "" if ours is None else _times(recipe["seconds"], ours),
                f"{recipe['peak_memory_gb']:.2f} GB",
            )
        )
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    return (
        f"{_table(heads, rows)}\n\nOne thread of {run['processor']}; {run['share']:.0%} of the "
        f"demo's training sessions, {run['test_share']:.0%} of its test sessions; {versions}."
    )


def scale() -> str:
    """The data stages on copies of the demo, from docs/results/scale.json."""
    path = ROOT / "docs" / "results" / "scale.json"
    if not path.is_file():
        return NOT_YET.format("scale")
    return scale_costs(json.loads(path.read_text("utf-8")))


def scale_costs(run: Mapping) -> str:
    """The tables of benchmarks/scale.py: processor seconds and memory by size, and the growth."""
    sizes = {int(number): size for number, size in run["sizes"].items()}
    columns = [sizes[number] for number in sorted(sizes)]
    heads = ("stage", *(f"{size['messages']:,} messages" for size in columns))
    # Of smaller ones a few tenths of a second more or less in the start would say more than growth.
    small, large = sorted(sizes)[-2:]
    rows = [
        (
            stage,
            *(
                f"{size['stages'][stage]['processor_seconds']:,.1f} s, "
                f"{size['stages'][stage]['memory_gb']:.2f} GB"
                for size in columns
            ),
            f"{growth(sizes, stage, small, large):.2f}",
        )
        for stage in columns[0]["stages"]
    ]
    heads += (f"a message at {large} times, over one at {small}",)
    return f"{_table(heads, rows)}\n\n{run['processor']}."


FILLS: dict[str, Callable[[], str]] = {
    fill.__name__: fill
    for fill in (
        *ablations.FILLS,
        *(scores, judged, real_scores, real_judged, settings),
        *(experiments, novelty, stages, fuzz, originals, training, card_memory, card_halves),
        *(dialogues_scores, questions_correctness, questions_outcomes, chat_speed),
        *(repeated, two_processors),
        preference_tuning,
        *(better_mirror.sampling, better_mirror.first_looks, better_mirror.prompted_sampling),
        *(better_mirror.encoders, better_mirror.encoder_thresholds),
        better_mirror.retrieved_examples,
        *(peers, scale),
    )
} | memory_audit.FILLS
BILINGUAL: dict[str, Callable[[str], str]] = {"answers": answers}


def content(name: str, language: str) -> str:
    """What belongs into the block of that name, in "en" or "es"."""
    if name in FILLS:
        return FILLS[name]()
    if name in BILINGUAL:
        return BILINGUAL[name](language)
    recorded = ROOT / "docs" / "outputs" / name
    translated = recorded.with_suffix(f".{language}{recorded.suffix}")
    printed = (translated if translated.is_file() else recorded).read_text("utf-8").rstrip()
    return printed if name.endswith(".md") else f"```\n{printed}\n```"


def filled(page: Path) -> str:
    """The text of a page with every block written anew."""
    language = "es" if page.name.endswith(".es.md") else "en"
    return BLOCK.sub(
        lambda block: (
            f"<!-- fill {block['name']} -->\n{content(block['name'], language)}\n<!-- end -->"
        ),
        page.read_text("utf-8"),
    )


def main() -> None:
    """Fill every page."""
    for page in PAGES:
        page.write_text(filled(page), "utf-8")
        print(f"docs: {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
