"""The sections below the four answers: tables, pictures and replies side by side."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from espejo.evaluation import controls, questions, two_sample
from espejo.report.blocks import Exchanges, Heading, Picture, Said, Section, Table, Text
from espejo.report.verdicts import habits_off
from espejo.report.wording import Wording

DASH = "–"
MODELS = ("base", "examples", "tuned")
ROLES = ("author", "partner")  # in which a canary is planted
STEPS = ("parse", "clean", "group", "filter", "format")  # stages that write accounts of rows


def glance(say: Wording) -> Section:
    """One picture of everything."""
    title, alt = say.say("glance.title"), say.say("glance.alt")
    return Section("glance", title, [Picture("at_a_glance.png", alt)])


def likelihood(scores: Mapping, say: Wording) -> Section:
    """Base, base with examples, tuned: how well each foresees the test replies."""
    keys = ("own_bits_per_character", "bits_per_character", "own_perplexity", "perplexity")
    written = {"base": scores["base"], **scores["prompted"], "tuned": scores["tuned"]}
    gains = {"base": scores["gain"]} | {
        name: measures["gain_of_training"] for name, measures in scores["prompted"].items()
    }
    rows = [
        (
            say.say(f"models.{name}"),
            *(say.interval(measures[key], 1 if "perplexity" in key else 2) for key in keys),
            say.interval(gains[name][keys[0]]) if name in gains else DASH,
        )
        for name, measures in written.items()
    ]
    title = say.say("likelihood.title")
    legacy = say.say(
        "likelihood.legacy",
        leak=say.percent(scores["legacy_random_split_leak"]),
        **{name: say.number(scores[name]["legacy_perplexity"], 1) for name in ("base", "tuned")},
    )
    blocks = [
        Text(say.say("likelihood.text")),
        Table(title, say.get("likelihood.heads"), rows),
        Picture("base_against_tuned.png", say.say("likelihood.alt")),
        Picture("foreseen.png", say.say("likelihood.where")),
        Text(legacy),
    ]
    return Section("likelihood", title, blocks)


def sound(
    scores: Mapping, say: Wording, real: Sequence[Sequence[str]], said: Sequence[Sequence[str]]
) -> Section:
    """Author score, two-sample test, habits, and what gives `said` away beside `real` replies."""
    style = scores["style"]
    rows = [
        (
            say.say(f"style.who.{name}"),
            say.number(measure.get("bundles", 0)),
            say.interval(measure),
            say.interval(style["told_apart"][name]) if name in style["told_apart"] else DASH,
        )
        for name, measure in style["author_score"].items()
    ]
    title = say.say("style.title")
    found = [
        (
            found["ngram"].replace(" ", "␣"),
            say.say(f"style.giveaways.{found['typical_of']}"),
            say.number(found["weight"]),
        )
        for found in two_sample.giveaways(real, said)
    ]
    told = say.say("style.giveaways.title")
    tells = (
        [
            Text(say.say("style.giveaways.text")),
            Table(told, say.get("style.giveaways.heads"), found),
        ]
        if found
        else [Text(say.say("style.giveaways.none"))]
    )
    blocks = [
        Text(say.say("style.text")),
        Table(title, say.get("style.heads"), rows),
        Heading(say.say("style.habits.title")),
        *_habits(style["habits"], say),
        Picture("reply_lengths.png", say.say("style.alt")),
        Heading(told),
        *tells,
    ]
    return Section("style", title, blocks)


def _habits(tables: Mapping[str, Mapping], say: Wording) -> Iterator[Text | Table]:
    base, tuned = tables["base"], tables["tuned"]
    off = habits_off(tuned)
    if off is None:
        yield Text(say.say("style.habits.unmeasured"))
    elif not off:
        yield Text(say.say("style.habits.none", all=say.number(len(tuned))))
    else:
        expected = say.number(float(sum(row["alarm"] for row in tuned.values())), 1)
        yield Text(say.say("style.habits.text", chance=expected, all=say.number(len(tuned))))
        rows = [
            (
                say.name("style.habits.names", name),
                say.number(base[name]["distance"], 3),
                *(say.number(tuned[name][key], 3) for key in ("distance", "own", "own_high")),
                *(
                    say.number(tuned[name][key], 3) if key in tuned[name] else DASH
                    for key in ("real", "generated")
                ),
            )
            for name in off
        ]
        yield Table(say.say("style.habits.title"), say.get("style.habits.heads"), rows)


def relevance(scores: Mapping, say: Wording) -> Section:
    """Rank of the true reply, base and tuned beside chance."""
    ranks = scores["relevance"]
    chance = ranks["chance"]
    rows = [
        (
            say.say(f"models.{name}"),
            say.interval(ranks[name]["mrr"]),
            say.shares(ranks[name]["hits_at_1"]),
        )
        for name in ("base", "tuned")
    ]
    gain = (
        say.say("relevance.gain"),
        say.interval(ranks["gain"]["mrr"]),
        say.shares(ranks["gain"]["hits_at_1"]),
    )
    by_chance = (
        say.say("relevance.chance"),
        say.number(chance["mrr"]),
        say.percent(chance["hits_at_1"]),
    )
    title = say.say("relevance.title")
    table = Table(title, say.get("relevance.heads"), [*rows, gain, by_chance])
    return Section("relevance", title, [Text(say.say("relevance.text")), table])


def memory(scores: Mapping, say: Wording, limits: Mapping[str, float]) -> Section:
    """What is known by heart, with the limits of the verdict."""
    found = scores["memory"]
    own, tuned = found["overlap"]["author"], found["overlap"]["tuned"]
    personal = found["personal_data"]

    def judged(name: str, limit: str) -> tuple[str, str]:
        doubted = "memory.doubts" if name in found["doubts"] else "yes"
        return limit, say.say("no" if name in found["reasons"] else doubted)

    def beyond(name: str) -> tuple[str, ...]:
        return (name, DASH, say.points(found[name]), *judged(name, say.point(limits[name])))

    rows = [
        ("long", say.number(own["long"]), say.number(tuned["long"]), DASH, DASH),
        ("copied", say.shares(own["copied"]), say.shares(tuned["copied"]), DASH, DASH),
        beyond("copied_beyond_own"),
        ("whole", say.shares(own["whole"]), say.shares(tuned["whole"]), DASH, DASH),
        beyond("whole_beyond_own"),
        (
            "longest",
            say.interval(own["longest_mean"], 1),
            say.interval(tuned["longest_mean"], 1),
            DASH,
            DASH,
        ),
        (
            "longest_max",
            say.number(own["longest_max"]),
            say.number(tuned["longest_max"]),
            DASH,
            DASH,
        ),
        (
            "membership",
            DASH,
            say.interval(found["membership"]),
            *judged("membership", say.number(limits["membership"])),
        ),
        ("written", DASH, say.number(personal["written"]), DASH, DASH),
        (
            "learnt",
            DASH,
            say.number(personal["learnt"]),
            *judged("personal_data", say.number(limits["personal_data"])),
        ),
    ]
    named = [(say.say(f"memory.{row[0]}"), *row[1:]) for row in rows]
    title = say.say("memory.title")
    table = Table(title, say.get("memory.heads"), named)
    planted = _canaries(found["canaries"], say) if "canaries" in found else []
    return Section("memory", title, [Text(say.say("memory.text")), table, *planted])


def _canaries(found: Mapping, say: Wording) -> Iterator[Heading | Text | Table]:
    """Exposure of the canaries that `experiment=audit` planted."""
    rows = [
        (
            say.say(f"memory.canaries.roles.{role}"),
            say.number(int(times)),
            say.number(measured["tuned"]["n"]),
            *(say.number(measured[name]["mean"]) for name in ("base", "tuned")),
            say.number(measured["tuned"]["max"]),
        )
        for role in ROLES
        for times, measured in found[role].items()
    ]
    title, first = say.say("memory.canaries.title"), next(iter(found[ROLES[0]].values()))["tuned"]
    chance, most = say.number(found["chance"]), say.number(first["possible"])
    yield Heading(title)
    yield Text(say.say("memory.canaries.text", chance=chance, most=most))
    yield Table(title, say.get("memory.canaries.heads"), rows)


def outside(scores: Mapping, say: Wording) -> Section:
    """Counts of what was replied to prompts out of place."""
    keys = ("replies", "refused", "personal_data", "tag", "other_script")
    rows = [
        (
            say.name("outside.kinds", kind),
            say.say(f"models.{name}"),
            *(say.number(counts[key]) for key in keys),
        )
        for kind, models in scores["outside"].items()
        for name, counts in models.items()
        if counts["replies"]
    ]
    title = say.say("outside.title")
    table = Table(title, say.get("outside.heads"), rows)
    return Section("outside", title, [Text(say.say("outside.text")), table])


def controlled(
    scores: Mapping, say: Wording, found: Mapping[str, Mapping], wanted: Mapping
) -> Section:
    """What `controls.measured` found of the impostors, and the base model as one more.

    `wanted` is the params section evaluate.
    """
    margin = say.number(wanted["margins"]["author_score"])
    style = scores["style"]
    base = {"score": style["author_score"]["base"], "told": style["told_apart"]["base"]}
    rows = []
    for name, row in {**found, "base": base}.items():
        came = controls.holds(name, row, style["author_score"]["ceiling"], wanted)
        rows.append(
            (
                say.say(f"controls.names.{name}"),
                say.interval(row["score"]),
                say.interval(row["told"]) if "told" in row else DASH,
                *(say.points(row[key]) if key in row else DASH for key in controls.COPIES),
                say.say(f"controls.expected.{name}", margin=margin),
                say.say("controls.unclear" if came is None else "yes" if came else "no"),
            )
        )
    title = say.say("controls.title")
    blocks = [
        Text(say.say("controls.text")),
        Table(title, say.get("controls.heads"), rows),
        Text(say.say("controls.shuffled")),
    ]
    return Section("controls", title, blocks)


def samples(replies: pd.DataFrame, rows: pd.DataFrame, wanted: Mapping, say: Wording) -> Section:
    """Replies to the fixed prompts, to test contexts, and to prompts out of place.

    `rows` are the test examples that were answered, `wanted` the params section evaluate.
    """
    heads = say.get("samples.heads")

    def fixed(kinds: Mapping[str, Sequence[str]]) -> Exchanges:
        prompts = {
            f"{kind}-{number}": text
            for kind, texts in kinds.items()
            for number, text in enumerate(texts, 1)
        }
        both = [questions.answers(replies, name, list(prompts)) for name in ("base", "tuned")]
        said = [
            ([Said("", [text])], _side(heads, ("base", "tuned"), pair))
            for text, *pair in zip(prompts.values(), *both, strict=True)
        ]
        return Exchanges([heads["context"], heads["base"], heads["tuned"]], said)

    shown = rows.head(wanted["shown_contexts"])
    there = [name for name in MODELS if replies["model"].eq(name).any()]
    written = [questions.answers(replies, name, shown["id"]) for name in there]
    contexts = [
        (
            [Said(turn["author"], turn["messages"]) for turn in context],
            _side(heads, ("real", *there), (real, *said)),
        )
        for context, real, *said in zip(shown["context"], shown["reply"], *written, strict=True)
    ]
    blocks = [
        Text(say.say("samples.text")),
        Heading(say.say("samples.prompts")),
        fixed({"prompt": wanted["prompts"]}),
        Heading(say.say("samples.contexts")),
        Exchanges([heads[name] for name in ("context", "real", *there)], contexts),
        Heading(say.say("samples.outside")),
        fixed(wanted["out_of_scope"]),
    ]
    return Section("samples", say.say("samples.title"), blocks)


def _side(
    heads: Mapping[str, str], names: Sequence[str], replies: Sequence[Sequence[str]]
) -> list[Said]:
    return [
        Said(heads[name], said, name == "real") for name, said in zip(names, replies, strict=True)
    ]


def data(accounts: Mapping[str, Mapping], say: Wording) -> Section:
    """Where the rows went, and the pictures of the chats and of training."""
    rows = [
        (
            f"{stage}: {account['unit']}",
            say.number(account["in"]),
            say.number(account["out"]),
            ", ".join(
                say.say("data.dropped", count=say.number(count), reason=reason)
                for reason, count in account["dropped"].items()
                if count
            )
            or DASH,
        )
        for stage in STEPS
        for account in accounts[stage].values()
        if isinstance(account, Mapping) and "dropped" in account
    ]
    title, counts = say.say("data.title"), accounts["statistics"]["whole"]["replies"]
    text = say.say(
        "data.text",
        replies=say.number(counts["train"]),
        validation=say.number(counts["validation"]),
        test=say.number(counts["test"]),
    )
    pictures = [Picture(f"{name}.png", alt) for name, alt in say.get("data.pictures").items()]
    return Section(
        "data", title, [Text(text), Table(title, say.get("data.heads"), rows), *pictures]
    )
