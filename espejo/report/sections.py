"""The sections below the four answers: tables, pictures and replies side by side."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from espejo.evaluation import controls, questions
from espejo.report.blocks import Exchanges, Heading, Picture, Said, Section, Table, Text
from espejo.report.verdicts import habits_off
from espejo.report.wording import Wording

DASH = "–"
MODELS = ("base", "examples", "tuned")
ROLES = ("author", "partner")  # in which a canary is planted
STEPS = ("parse", "clean", "group", "filter", "format")  # stages that write accounts of rows


def glance(wording: Wording) -> Section:
    """One picture of everything."""
    title, alt = wording.text("glance.title"), wording.text("glance.alt")
    return Section("glance", title, [Picture("at_a_glance.png", alt)])


def likelihood(scores: Mapping, wording: Wording) -> Section:
    """Base, base with examples, tuned: how well each foresees the test replies."""
    keys = ("own_bits_per_character", "bits_per_character", "own_perplexity", "perplexity")
    written = {"base": scores["base"], **scores["prompted"], "tuned": scores["tuned"]}
    gains = {"base": scores["gain"]} | {
        name: measures["gain_of_training"] for name, measures in scores["prompted"].items()
    }
    rows = [
        (
            wording.text(f"models.{name}"),
            *(wording.interval(measures[key], 1 if "perplexity" in key else 2) for key in keys),
            wording.interval(gains[name][keys[0]]) if name in gains else DASH,
        )
        for name, measures in written.items()
    ]
    title = wording.text("likelihood.title")
    legacy = wording.text(
        "likelihood.legacy",
        leak=wording.percent(scores["legacy_random_split_leak"]),
        **{
            name: wording.number(scores[name]["legacy_perplexity"], 1) for name in ("base", "tuned")
        },
    )
    blocks = [
        Text(wording.text("likelihood.text")),
        Table(title, wording.get("likelihood.heads"), rows),
        Picture("base_against_tuned.png", wording.text("likelihood.alt")),
        Picture("likelihood.png", wording.text("likelihood.where")),
        Text(legacy),
    ]
    return Section("likelihood", title, blocks)


def sound(scores: Mapping, wording: Wording, giveaways: pd.DataFrame) -> Section:
    """Author score, two-sample test, habits, and what gives the model away (table GIVEAWAYS)."""
    style = scores["style"]
    rows = [
        (
            wording.text(f"style.who.{name}"),
            wording.number(measure.get("bundles", 0)),
            wording.interval(measure),
            wording.interval(style["told_apart"][name]) if name in style["told_apart"] else DASH,
        )
        for name, measure in style["author_score"].items()
    ]
    title = wording.text("style.title")
    found = [
        (
            row.ngram.replace(" ", "␣"),
            wording.text(f"style.giveaways.{row.typical_of}"),
            wording.number(row.weight),
        )
        for row in giveaways.itertuples()
    ]
    told = wording.text("style.giveaways.title")
    tells = (
        [
            Text(wording.text("style.giveaways.text")),
            Table(told, wording.get("style.giveaways.heads"), found),
        ]
        if found
        else [Text(wording.text("style.giveaways.none"))]
    )
    blocks = [
        Text(wording.text("style.text")),
        Table(title, wording.get("style.heads"), rows),
        Heading(wording.text("style.habits.title")),
        *_habits(style["habits"], wording),
        Picture("reply_lengths.png", wording.text("style.alt")),
        Heading(told),
        *tells,
    ]
    return Section("style", title, blocks)


def _habits(tables: Mapping[str, Mapping], wording: Wording) -> Iterator[Text | Table]:
    base, tuned = tables["base"], tables["tuned"]
    off = habits_off(tuned)
    if off is None:
        yield Text(wording.text("style.habits.unmeasured"))
    elif not off:
        yield Text(wording.text("style.habits.none", all=wording.number(len(tuned))))
    else:
        expected = wording.number(float(sum(row["alarm"] for row in tuned.values())), 1)
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
        yield Table(wording.text("style.habits.title"), wording.get("style.habits.heads"), rows)


def relevance(scores: Mapping, wording: Wording) -> Section:
    """Rank of the true reply, base and tuned beside chance."""
    ranks = scores["relevance"]
    chance = ranks["chance"]
    rows = [
        (
            wording.text(f"models.{name}"),
            wording.interval(ranks[name]["mrr"]),
            wording.shares(ranks[name]["hits_at_1"]),
        )
        for name in ("base", "tuned")
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
    table = Table(title, wording.get("relevance.heads"), [*rows, gain, by_chance])
    return Section("relevance", title, [Text(wording.text("relevance.text")), table])


def memory(scores: Mapping, wording: Wording, limits: Mapping[str, float]) -> Section:
    """What is known by heart, with the limits of the verdict."""
    found = scores["memory"]
    own, tuned = found["overlap"]["author"], found["overlap"]["tuned"]
    personal = found["personal_data"]

    def judged(name: str, limit: str) -> tuple[str, str]:
        doubted = "memory.doubts" if name in found["doubts"] else "yes"
        return limit, wording.text("no" if name in found["reasons"] else doubted)

    def beyond(name: str) -> tuple[str, ...]:
        return (name, DASH, wording.points(found[name]), *judged(name, wording.point(limits[name])))

    rows = [
        ("long", wording.number(own["long"]), wording.number(tuned["long"]), DASH, DASH),
        ("copied", wording.shares(own["copied"]), wording.shares(tuned["copied"]), DASH, DASH),
        beyond("copied_beyond_own"),
        ("whole", wording.shares(own["whole"]), wording.shares(tuned["whole"]), DASH, DASH),
        beyond("whole_beyond_own"),
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
            wording.interval(found["membership"]),
            *judged("membership", wording.number(limits["membership"])),
        ),
        ("written", DASH, wording.number(personal["written"]), DASH, DASH),
        (
            "learnt",
            DASH,
            wording.number(personal["learnt"]),
            *judged("personal_data", wording.number(limits["personal_data"])),
        ),
    ]
    named = [(wording.text(f"memory.{row[0]}"), *row[1:]) for row in rows]
    title = wording.text("memory.title")
    table = Table(title, wording.get("memory.heads"), named)
    planted = _canaries(found["canaries"], wording) if "canaries" in found else []
    return Section("memory", title, [Text(wording.text("memory.text")), table, *planted])


def _canaries(found: Mapping, wording: Wording) -> Iterator[Heading | Text | Table]:
    """Exposure of the canaries that `experiment=audit` planted."""
    rows = [
        (
            wording.text(f"memory.canaries.roles.{role}"),
            wording.number(int(times)),
            wording.number(measured["tuned"]["n"]),
            *(wording.number(measured[name]["mean"]) for name in ("base", "tuned")),
            wording.number(measured["tuned"]["max"]),
        )
        for role in ROLES
        for times, measured in found[role].items()
    ]
    title, first = (
        wording.text("memory.canaries.title"),
        next(iter(found[ROLES[0]].values()))["tuned"],
    )
    chance, most = wording.number(found["chance"]), wording.number(first["possible"])
    yield Heading(title)
    yield Text(wording.text("memory.canaries.text", chance=chance, most=most))
    yield Table(title, wording.get("memory.canaries.heads"), rows)


def outside(scores: Mapping, wording: Wording) -> Section:
    """Counts of what was replied to prompts out of place."""
    keys = ("replies", "refused", "personal_data", "tag", "other_script")
    rows = [
        (
            wording.name("outside.kinds", kind),
            wording.text(f"models.{name}"),
            *(wording.number(counts[key]) for key in keys),
        )
        for kind, models in scores["outside"].items()
        for name, counts in models.items()
        if counts["replies"]
    ]
    title = wording.text("outside.title")
    table = Table(title, wording.get("outside.heads"), rows)
    return Section("outside", title, [Text(wording.text("outside.text")), table])


def controlled(scores: Mapping, wording: Wording, wanted: Mapping) -> Section:
    """What became of the impostors (`evaluation.controls`), and the base model as one more.

    `wanted` is the params section evaluate.
    """
    margin = wording.number(wanted["margins"]["author_score"])
    style = scores["style"]
    base = {"score": style["author_score"]["base"], "told": style["told_apart"]["base"]}
    rows = []
    for name, row in {**scores["controls"], "base": base}.items():
        came = controls.holds(name, row, style["author_score"]["ceiling"], wanted)
        rows.append(
            (
                wording.text(f"controls.names.{name}"),
                wording.interval(row["score"]),
                wording.interval(row["told"]) if "told" in row else DASH,
                *(wording.points(row[key]) if key in row else DASH for key in controls.COPIES),
                wording.text(f"controls.expected.{name}", margin=margin),
                wording.text("controls.unclear" if came is None else "yes" if came else "no"),
            )
        )
    title = wording.text("controls.title")
    blocks = [
        Text(wording.text("controls.text")),
        Table(title, wording.get("controls.heads"), rows),
        Text(wording.text("controls.shuffled")),
    ]
    return Section("controls", title, blocks)


def samples(replies: pd.DataFrame, tested: pd.DataFrame, wording: Wording) -> Section:
    """Table REPLIES to the fixed prompts, to the rows `tested` of EXAMPLES, and out of scope."""
    heads = wording.get("samples.heads")
    asked = questions.prompts(replies)

    def fixed(rows: pd.DataFrame) -> Exchanges:
        both = [questions.answers(replies, name, rows["id"]) for name in ("base", "tuned")]
        said = [
            ([Said("", [text])], _side(heads, ("base", "tuned"), pair))
            for text, *pair in zip(rows["prompt"], *both, strict=True)
        ]
        return Exchanges([heads["context"], heads["base"], heads["tuned"]], said)

    there = [name for name in MODELS if replies["model"].eq(name).any()]
    written = [questions.answers(replies, name, tested["id"]) for name in there]
    contexts = [
        (
            [Said(turn["author"], turn["messages"]) for turn in context],
            _side(heads, ("real", *there), (real, *said)),
        )
        for context, real, *said in zip(tested["context"], tested["reply"], *written, strict=True)
    ]
    usual = asked["kind"].eq("prompt")
    blocks = [
        Text(wording.text("samples.text")),
        Heading(wording.text("samples.prompts")),
        fixed(asked[usual]),
        Heading(wording.text("samples.contexts")),
        Exchanges([heads[name] for name in ("context", "real", *there)], contexts),
        Heading(wording.text("samples.outside")),
        fixed(asked[~usual]),
    ]
    return Section("samples", wording.text("samples.title"), blocks)


def _side(
    heads: Mapping[str, str], names: Sequence[str], replies: Sequence[Sequence[str]]
) -> list[Said]:
    return [
        Said(heads[name], said, name == "real") for name, said in zip(names, replies, strict=True)
    ]


def funnel(accounts: Mapping[str, Mapping]) -> pd.DataFrame:
    """Where the rows went, from the metric files of the stages: columns step, rows."""
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


def data(accounts: Mapping[str, Mapping], wording: Wording) -> Section:
    """Where the rows went, and the pictures of the chats and of training."""
    rows = [
        (
            f"{stage}: {account['unit']}",
            wording.number(account["in"]),
            wording.number(account["out"]),
            ", ".join(
                wording.text("data.dropped", count=wording.number(count), reason=reason)
                for reason, count in account["dropped"].items()
                if count
            )
            or DASH,
        )
        for stage in STEPS
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
    pictures = [Picture(f"{name}.png", alt) for name, alt in wording.get("data.pictures").items()]
    return Section(
        "data", title, [Text(text), Table(title, wording.get("data.heads"), rows), *pictures]
    )
