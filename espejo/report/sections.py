"""The sections below the four answers: tables, pictures and replies side by side."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from espejo.evaluation import apps as by_app
from espejo.evaluation import controls, questions
from espejo.evaluation.config import EvaluateConfig, SharingLimits
from espejo.evaluation.correctness import MODELS as ANSWERING
from espejo.evaluation.correctness import OUTCOMES
from espejo.report.blocks import Block, Exchanges, Heading, Picture, Section, Table, Text, Turn
from espejo.report.verdicts import expected_off, habits_off
from espejo.report.wording import Wording

DASH = "–"
MODELS = ("base", "examples", "tuned")
_TRAINED = ("base", "tuned")  # before and after training
_TIMED = ("messages_over_time", "hour_weekday")  # pictures of data with times
ROLES = ("author", "partner")  # the roles of canaries
STAGES = ("parse", "clean", "group", "filter", "format")  # the stages that write accounts of rows


def glance(wording: Wording) -> Section:
    """One picture of everything."""
    title, alt = wording.text("glance.title"), wording.text("glance.alt")
    return Section("glance", title, [Picture("at_a_glance.png", alt)])


def likelihood(scores: Mapping, wording: Wording) -> Section:
    """Bits per character and perplexity of the test replies: base, base with examples, tuned."""
    keys = ("own_bits_per_character", "bits_per_character", "own_perplexity", "perplexity")
    models = {"base": scores["base"], **scores["prompted"], "tuned": scores["tuned"]}
    gains = {"base": scores["gain"]} | {
        name: measures["gain_of_training"] for name, measures in scores["prompted"].items()
    }
    rows = [
        (
            wording.text(f"models.{name}"),
            *(wording.interval(measures[key], 1 if "perplexity" in key else 2) for key in keys),
            wording.interval(gains[name][keys[0]]) if name in gains else DASH,
        )
        for name, measures in models.items()
    ]
    title = wording.text("likelihood.title")
    legacy = {name: wording.number(scores[name]["legacy_perplexity"], 1) for name in _TRAINED}
    leak = wording.percent(scores["legacy_random_split_leak"])
    blocks: list[Block] = [
        Text(wording.text("likelihood.text")),
        Table(title, wording.texts_in("likelihood.heads"), rows),
        Picture("base_against_tuned.png", wording.text("likelihood.alt")),
        Picture("likelihood.png", wording.text("likelihood.where")),
        Text(wording.text("likelihood.legacy", leak=leak, **legacy)),
    ]
    return Section("likelihood", title, blocks)


def sound(scores: Mapping, wording: Wording, giveaways: pd.DataFrame) -> Section:
    """Author score, two-sample test, habits, and what gives the model away (table GIVEAWAYS)."""
    style = scores["style"]
    auc = style["told_apart"]
    rows = [
        (
            wording.text(f"style.who.{name}"),
            wording.number(measure.get("bundles", 0)),
            wording.interval(measure),
            wording.interval(auc[name]) if name in auc else DASH,
        )
        for name, measure in style["author_score"].items()
    ]
    title = wording.text("style.title")
    blocks: list[Block] = [
        Text(wording.text("style.text")),
        Table(title, wording.texts_in("style.heads"), rows),
        Heading(wording.text("style.habits.title")),
        *_habits(style["habits"], wording),
        Picture("reply_lengths.png", wording.text("style.alt")),
        Heading(wording.text("style.giveaways.title")),
        *_giveaways(giveaways, wording),
    ]
    return Section("style", title, blocks)


def _habits(tables: Mapping[str, Mapping], wording: Wording) -> Iterator[Block]:
    base, tuned = tables["base"], tables["tuned"]
    off = habits_off(tuned)
    if off is None:
        yield Text(wording.text("style.habits.unmeasured"))
    elif not off:
        yield Text(wording.text("style.habits.none", all=wording.number(len(tuned))))
    else:
        expected = wording.number(expected_off(tuned), 1)
        yield Text(
            wording.text("style.habits.text", chance=expected, all=wording.number(len(tuned)))
        )
        rows = [
            (
                wording.name("style.habits.names", name),
                wording.number(base[name]["distance"], 3),
                *(wording.number(tuned[name][key], 3) for key in ("distance", "own", "own_high")),
                *(
                    wording.number(tuned[name][key], 3) if key in tuned[name] else DASH
                    for key in ("real", "generated")
                ),
            )
            for name in off
        ]
        heads = wording.texts_in("style.habits.heads")
        yield Table(wording.text("style.habits.title"), heads, rows)


def _giveaways(giveaways: pd.DataFrame, wording: Wording) -> Iterator[Block]:
    if giveaways.empty:
        yield Text(wording.text("style.giveaways.none"))
        return
    rows = [
        (
            row.ngram.replace(" ", "␣"),
            wording.text(f"style.giveaways.{row.typical_of}"),
            wording.number(row.weight),
        )
        for row in giveaways.itertuples()
    ]
    yield Text(wording.text("style.giveaways.text"))
    heads = wording.texts_in("style.giveaways.heads")
    yield Table(wording.text("style.giveaways.title"), heads, rows)


def relevance(scores: Mapping, wording: Wording) -> Section:
    """Rank of the real reply among others, base and tuned beside chance."""
    ranks = scores["relevance"]
    chance = ranks["chance"]
    rows = [
        (
            wording.text(f"models.{name}"),
            wording.interval(ranks[name]["mrr"]),
            wording.shares(ranks[name]["hits_at_1"]),
        )
        for name in _TRAINED
    ]
    gain = (
        wording.text("relevance.gain"),
        wording.interval(ranks["gain"]["mrr"]),
        wording.shares(ranks["gain"]["hits_at_1"]),
    )
    by_chance = (
        wording.text("relevance.chance"),
        wording.number(chance["mrr"]),
        wording.percent(chance["hits_at_1"]),
    )
    title = wording.text("relevance.title")
    table = Table(title, wording.texts_in("relevance.heads"), [*rows, gain, by_chance])
    return Section("relevance", title, [Text(wording.text("relevance.text")), table])


def memorization(scores: Mapping, wording: Wording, limits: SharingLimits) -> Section:
    """Memorization: what the model repeats from training, with the limits of the verdict on
    sharing."""
    measures = scores["memory"]
    own, tuned = measures["overlap"]["author"], measures["overlap"]["tuned"]
    personal = measures["personal_data"]

    def judged(name: str, limit: str) -> tuple[str, str]:
        below = "memory.doubts" if name in measures["doubts"] else "yes"
        return limit, wording.text("no" if name in measures["reasons"] else below)

    def beyond(name: str, limit: float) -> tuple[str, ...]:
        return (name, DASH, wording.points(measures[name]), *judged(name, wording.point(limit)))

    rows = [
        ("long", wording.number(own["long"]), wording.number(tuned["long"]), DASH, DASH),
        ("copied", wording.shares(own["copied"]), wording.shares(tuned["copied"]), DASH, DASH),
        beyond("copied_beyond_own", limits.copied_beyond_own),
        ("whole", wording.shares(own["whole"]), wording.shares(tuned["whole"]), DASH, DASH),
        beyond("whole_beyond_own", limits.whole_beyond_own),
        (
            "longest",
            wording.interval(own["longest_mean"], 1),
            wording.interval(tuned["longest_mean"], 1),
            DASH,
            DASH,
        ),
        (
            "longest_max",
            wording.number(own["longest_max"]),
            wording.number(tuned["longest_max"]),
            DASH,
            DASH,
        ),
        (
            "membership",
            DASH,
            wording.interval(measures["membership"]),
            *judged("membership", wording.number(limits.membership)),
        ),
        *_membership_controls(measures.get("membership_against", {}), wording),
        ("written", DASH, wording.number(personal["written"]), DASH, DASH),
        (
            "learnt",
            DASH,
            wording.number(personal["learnt"]),
            *judged("personal_data", wording.number(limits.personal_data)),
        ),
    ]
    named = [(wording.text(f"memory.{row[0]}"), *row[1:]) for row in rows]
    title = wording.text("memory.title")
    table = Table(title, wording.texts_in("memory.heads"), named)
    canaries = _canaries(measures["canaries"], wording) if "canaries" in measures else []
    return Section("memory", title, [Text(wording.text("memory.text")), table, *canaries])


def _membership_controls(against: Mapping, wording: Wording) -> Iterator[tuple[str, ...]]:
    """What stands beside the AUC of membership: replies recognized at a few false alarms, what the
    base model alone can tell, and after an audit both against the replies that it withheld."""
    for split, measures in against.items():
        if split != "test":
            yield split, DASH, wording.interval(measures["auc"]), DASH, DASH
        recognized = wording.shares(measures["recognized"]["0.05"])
        yield f"{split}_recognized", DASH, recognized, DASH, DASH
        yield f"{split}_base", DASH, wording.interval(measures["base_auc"]), DASH, DASH


def _canaries(exposures: Mapping, wording: Wording) -> Iterator[Block]:
    """Exposure of the canaries that `experiment=audit` planted."""
    rows = [
        (
            wording.text(f"memory.canaries.roles.{role}"),
            wording.number(int(times)),
            wording.number(measures["tuned"]["n"]),
            *(wording.number(measures[name]["mean"]) for name in ("base", "tuned")),
            wording.number(measures["tuned"]["max"]),
        )
        for role in ROLES
        for times, measures in exposures[role].items()
    ]
    title = wording.text("memory.canaries.title")
    highest = next(iter(exposures[ROLES[0]].values()))["tuned"]["possible"]
    yield Heading(title)
    yield Text(
        wording.text(
            "memory.canaries.text",
            chance=wording.number(exposures["chance"]),
            highest=wording.number(highest),
        )
    )
    yield Table(title, wording.texts_in("memory.canaries.heads"), rows)


def sharing(scores: Mapping, wording: Wording) -> Section:
    """Who may have a model that is meant to repeat what it learnt, and personal data in that."""
    memory = scores["memory"]
    counts = {name: wording.number(memory["personal_data"][name]) for name in ("written", "learnt")}
    text = wording.text("memory.shared", **counts)
    canaries = _canaries(memory["canaries"], wording) if "canaries" in memory else []
    return Section("memory", wording.text("memory.title"), [Text(text), *canaries])


def lengths(wording: Wording) -> Section:
    """The picture of lengths, where there is no section on style."""
    picture = Picture("reply_lengths.png", wording.text("style.alt"))
    return Section("lengths", wording.text("style.lengths"), [picture])


def correctness(scores: Mapping, wording: Wording) -> Section:
    """Facts and chrF of each model's answers, and what training adds to the others."""
    measures = scores["correctness"]
    rows = [
        (
            wording.text(f"models.{name}"),
            wording.number(measures[name]["answers"]),
            *(wording.shares(measures[name][key]) for key in ("facts_held", "facts_right")),
            wording.interval(measures[name]["chrf"], 1),
        )
        for name in ANSWERING
        if measures.get(name, {}).get("answers")
    ]
    gains = [
        (
            wording.text(f"models.{name}"),
            wording.points(measures["gain"][f"over_{name}"]["facts_held"]),
            wording.interval(measures["gain"][f"over_{name}"]["chrf"], 1),
        )
        for name in ANSWERING[:-1]
        if measures.get(name, {}).get("answers")
    ]
    title, gain_title = wording.text("correct.title"), wording.text("correct.gain")
    blocks: list[Block] = [
        Text(wording.text("correct.text")),
        Table(title, wording.texts_in("correct.heads"), rows),
        Heading(gain_title),
        Table(gain_title, wording.texts_in("correct.gain_heads"), gains),
    ]
    return Section("correctness", title, blocks)


def outcomes(scores: Mapping, wording: Wording) -> Iterator[Section]:
    """What became of questions outside the field, by kind; no section where none were asked."""
    yield from _counted(scores["outside"], ("replies", *OUTCOMES), wording)


def out_of_scope(scores: Mapping, wording: Wording) -> Iterator[Section]:
    """Counts of the replies to out-of-scope prompts, by kind; no section where there are none."""
    keys = ("replies", "refused", "personal_data", "tag", "other_script")
    if scores["outside"].keys() - {"held_out"}:
        yield from _counted(scores["outside"], keys, wording)


def _counted(
    outside: Mapping[str, Mapping], keys: Sequence[str], wording: Wording
) -> Iterator[Section]:
    rows = [
        (
            wording.name("outside.kinds", kind),
            wording.text(f"models.{name}"),
            *(wording.number(counts[key]) for key in keys),
        )
        for kind, by_model in outside.items()
        for name, counts in by_model.items()
        if counts["replies"]
    ]
    if rows:
        title = wording.text("outside.title")
        table = Table(title, wording.texts_in("outside.heads"), rows)
        yield Section("outside", title, [Text(wording.text("outside.text")), table])


def impostors(scores: Mapping, wording: Wording, config: EvaluateConfig) -> Section:
    """Measures of the impostors (`evaluation.controls`), and of the base model as another one."""
    margin = wording.number(config.margins.author_score)
    style = scores["style"]
    base = {"score": style["author_score"]["base"], "told": style["told_apart"]["base"]}
    rows = []
    for name, row in {**scores["controls"], "base": base}.items():
        holds = controls.holds(name, row, style["author_score"]["ceiling"], config)
        rows.append(
            (
                wording.text(f"controls.names.{name}"),
                wording.interval(row["score"]),
                wording.interval(row["told"]) if "told" in row else DASH,
                *(wording.points(row[key]) if key in row else DASH for key in controls.COPIES),
                wording.text(f"controls.expected.{name}", margin=margin),
                wording.text("controls.unclear" if holds is None else "yes" if holds else "no"),
            )
        )
    title = wording.text("controls.title")
    blocks: list[Block] = [
        Text(wording.text("controls.text")),
        Table(title, wording.texts_in("controls.heads"), rows),
        Text(wording.text("controls.shuffled")),
    ]
    return Section("controls", title, blocks)


def apps(between: Mapping[str, Mapping], wording: Wording) -> Section:
    """Whether the author writes differently by app (`evaluation.apps.compare`), and in what."""
    title = wording.text("apps.title")
    rows: list[Sequence[str]] = []
    blocks: list[Block] = [Text(wording.text("apps.text"))]
    habits: list[Block] = []
    for first, others in between.items():
        for second, row in others.items():
            names = {
                "first": wording.name("apps.names", first),
                "second": wording.name("apps.names", second),
            }
            pair = wording.text("apps.pair", **names)
            controls_of_pair = [
                wording.text(
                    "apps.control", app=wording.name("apps.names", app), auc=wording.interval(auc)
                )
                for app, auc in row["same_app"].items()
            ]
            rows.append(
                (
                    pair,
                    wording.interval(row["told_apart"]),
                    "; ".join(controls_of_pair) or DASH,
                    wording.text(f"apps.verdicts.{row['verdict']}"),
                )
            )
            if row["habits"]:
                heads = [head.format(**names) for head in wording.texts_in("apps.habits.heads")]
                habits += [Heading(pair), _habits_by_app(row["habits"], pair, heads, wording)]
    table = Table(title, wording.texts_in("apps.heads"), rows)
    explained = [Text(wording.text("apps.habits.text"))] if habits else []
    return Section("apps", title, [*blocks, table, *explained, *habits])


def _habits_by_app(
    habits: Mapping[str, Mapping], title: str, heads: Sequence[str], wording: Wording
) -> Block:
    off = by_app.differing(habits)
    if not off:
        return Text(wording.text("apps.habits.none", all=wording.number(len(habits))))
    rows = []
    for name in off:
        is_count = name in by_app.COUNTS
        row, write = habits[name], wording.interval if is_count else wording.shares
        difference = (wording.interval if is_count else wording.points)(row["difference"])
        rows.append(
            (
                wording.text(f"apps.habits.names.{name}"),
                write(row["first"]),
                write(row["second"]),
                difference,
            )
        )
    return Table(title, heads, rows)


def samples(
    replies: pd.DataFrame, tested: pd.DataFrame, wording: Wording, named: bool = True
) -> Section:
    """Table REPLIES: to the fixed prompts, to the rows `tested` of EXAMPLES, and out of scope.

    With `named`, each turn of a context stands below its speaker.
    """
    heads = wording.group("samples.heads")
    prompts = questions.prompts(replies)

    def to_prompts(rows: pd.DataFrame) -> Exchanges:
        written = [questions.messages_of(replies, name, rows["id"]) for name in _TRAINED]
        exchanges = [
            ([Turn("", [prompt])], _side_by_side(heads, _TRAINED, generated))
            for prompt, *generated in zip(rows["prompt"], *written, strict=True)
        ]
        return Exchanges([heads[name] for name in ("context", *_TRAINED)], exchanges)

    models = [name for name in MODELS if replies["model"].eq(name).any()]
    written = [questions.messages_of(replies, name, tested["id"]) for name in models]
    to_contexts = [
        (
            [Turn(turn["author"] if named else "", turn["messages"]) for turn in context],
            _side_by_side(heads, ("real", *models), (real, *generated)),
        )
        for context, real, *generated in zip(
            tested["context"], tested["reply"], *written, strict=True
        )
    ]
    in_scope = prompts["kind"].eq("prompt")
    exchanges = {
        "prompts": to_prompts(prompts[in_scope]),
        "contexts": Exchanges([heads[name] for name in ("context", "real", *models)], to_contexts),
        "outside": to_prompts(prompts[~in_scope]),
    }
    blocks: list[Block] = [Text(wording.text("samples.text"))]
    for name, listed in exchanges.items():
        if listed.rows:
            blocks += [Heading(wording.text(f"samples.{name}")), listed]
    return Section("samples", wording.text("samples.title"), blocks)


def _side_by_side(
    heads: Mapping[str, str], names: Sequence[str], replies: Sequence[Sequence[str]]
) -> list[Turn]:
    return [
        Turn(heads[name], messages, name == "real")
        for name, messages in zip(names, replies, strict=True)
    ]


def funnel(accounts: Mapping[str, Mapping]) -> pd.DataFrame:
    """Rows left after each step, from the metric files of the stages: columns step, rows."""
    messages = accounts["clean"]["messages"]
    turns = accounts["group"]["turns"]
    train = accounts["filter"]["train"]
    steps = [
        ("messages exported", messages["in"]),
        ("messages kept", messages["out"]),
        ("turns", turns["in"]),
        ("the author's replies", turns["out"]),
        ("… for training", train["in"]),
        ("… after the filter", train["out"]),
    ]
    return pd.DataFrame(steps, columns=["step", "rows"])


def data(accounts: Mapping[str, Mapping], wording: Wording, timed: bool = True) -> Section:
    """How many rows each stage kept and dropped, and the pictures of the data and of training.

    Without the pictures over time where the data have none (not `timed`).
    """
    rows = [
        (
            f"{stage}: {wording.name('data.units', account['unit'])}",
            wording.number(account["in"]),
            wording.number(account["out"]),
            ", ".join(
                wording.text(
                    "data.dropped",
                    count=wording.number(count),
                    reason=wording.name("data.reasons", reason),
                )
                for reason, count in account["dropped"].items()
                if count
            )
            or DASH,
        )
        for stage in STAGES
        for account in accounts[stage].values()
        if isinstance(account, Mapping) and "dropped" in account
    ]
    title, counts = wording.text("data.title"), accounts["statistics"]["whole"]["replies"]
    text = wording.text(
        "data.text",
        replies=wording.number(counts["train"]),
        validation=wording.number(counts["validation"]),
        test=wording.number(counts["test"]),
    )
    pictures = [
        Picture(f"{name}.png", alt)
        for name, alt in wording.group("data.pictures").items()
        if timed or name not in _TIMED
    ]
    table = Table(title, wording.texts_in("data.heads"), rows)
    return Section("data", title, [Text(text), table, *pictures])
