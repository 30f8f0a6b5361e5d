"""The command `espejo`: what comes before a run of the pipeline, and what one does with a model."""

import os
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from espejo.core import escaping, faults, files, metrics, runtime
from espejo.core.errors import UserError, not_made_yet
from espejo.model import manifest as manifests

commands = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__
)

bot = typer.Typer(no_args_is_help=True, help="Let the model answer in chats of another app.")
commands.add_typer(bot, name="bot")

Folder = Annotated[Path, typer.Option(help="The trained model.")]


class ChatEngine(StrEnum):
    """What writes the replies of `espejo chat`."""

    transformers = "transformers"
    llama_cpp = "llama.cpp"


@commands.callback()
def _espejo() -> None:
    """Talk to the model that the pipeline trained."""


@commands.command()
def init(
    exports: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Exports or tables: a file, .zip or folder. Repeatable."),
    ] = None,
    me: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Who you are in the chats. Repeat for further names."),
    ] = None,
    consent: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=ANSWER", help="What one of the others allows (below). Repeatable."
        ),
    ] = None,
    others: Annotated[
        str | None, typer.Option(metavar="ANSWER", help="What all the remaining others allow.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="chats, dialogues or questions.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="USE=NAME", help="A table's column: question=…, answer=…"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="A model of conf/model, not the proposed.")
    ] = None,
    by_hand: Annotated[
        bool, typer.Option("--by-hand", help="Only make the files, for you to fill in.")
    ] = False,
    language: Annotated[
        str | None,
        typer.Option(metavar="es|en", help="In which it asks. Without it: as the terminal."),
    ] = None,
) -> None:
    """Prepare your own chats, or other data: asks for whatever you do not give as a flag.

    Exports of WhatsApp, Telegram, Discord, Messenger, Instagram and Signal, together, or a
    table of questions and answers, or dialogues. They are copied to data/raw/mine, which git
    ignores. What is there stays.

    ANSWER is train (their words may be learnt from), context (the model reads
    them and never learns them) or withhold (left out, with every reply to them).
    """
    from espejo.commands import init as dialogue
    from espejo.commands.init_wording import language_of

    language = language or language_of(os.environ)
    if by_hand:
        dialogue.by_hand(language, kind)
    else:
        dialogue.main(
            *(exports or [], me or [], consent or [], others, model, language, kind, column or [])
        )


@commands.command()
def chat(
    model: Folder = Path("model"),
    seed: Annotated[int | None, typer.Option(help="Makes replies repeatable.")] = None,
    base: Annotated[
        bool, typer.Option("--base", help="Below each reply, that of the model before training.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Messages with the author's typical pause.")
    ] = False,
    engine: Annotated[
        ChatEngine, typer.Option(help="llama.cpp runs an exported GGUF file, the newest.")
    ] = ChatEngine.transformers,
    gguf: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Another GGUF file, for llama.cpp.")
    ] = None,
    llama_cpp: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder of llama.cpp with its programs.")
    ] = None,
) -> None:
    """Talk to the tuned model in the terminal, in Spanish where the terminal is Spanish."""
    manifests.read(model)  # that there is no model is said before torch is loaded, for seconds
    if gguf is not None or engine == ChatEngine.llama_cpp:
        from espejo.serving import exports

        gguf = gguf or exports.newest_gguf(model)
        exports.check_same(gguf, model)
    from espejo.chat import decline
    from espejo.core.stage import params
    from espejo.model.config import GenerateConfig

    generate, blocklist = params(GenerateConfig), decline.read()
    from espejo.chat import terminal
    from espejo.chat.engine import Engine
    from espejo.chat.llama_server import LlamaServer
    from espejo.chat.local import LocalEngine
    from espejo.commands.init_wording import language_of

    load: Callable[[], Engine] = partial(LocalEngine, model)
    if gguf is not None:
        load = partial(LlamaServer, model, gguf, checkout=llama_cpp)
    language = language_of(os.environ)
    terminal.chat(load, generate, blocklist, seed, language, base, live)


@bot.command()
def telegram(
    model: Folder = Path("model"),
    allow: Annotated[
        list[int] | None,
        typer.Option(metavar="CHAT_ID", help="A chat that is answered. Repeatable."),
    ] = None,
    owner: Annotated[
        int | None,
        typer.Option(
            metavar="CHAT_ID",
            help="Your chat: /stop there ends the bot. Without it, the first person's allowed.",
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(metavar="es|en", help="Of its own sentences. Without it: as who writes."),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write transcripts there; outside of git."),
    ] = None,
) -> None:
    """Answer in the allowed chats of Telegram as a bot, until /stop or Ctrl-C.

    The bot's token comes from the environment only: ESPEJO_TELEGRAM_TOKEN.
    Allowed chats may stand there too: ESPEJO_TELEGRAM_CHATS.
    All other chats are ignored; their ids are shown here.
    """
    manifests.read(model)
    from espejo.bot import access

    token, base_url = access.take_token(os.environ), access.base_url(os.environ)
    permitted = access.access(allow or [], owner, os.environ)
    folder = save and access.private_folder(save)
    from espejo.chat import decline
    from espejo.commands.init_wording import InitWording, language_of
    from espejo.core.stage import params
    from espejo.model.config import GenerateConfig

    InitWording(language or "en")  # refuses a language that there is not
    generate, blocklist = params(GenerateConfig), decline.read()
    access.check_client()
    from espejo.bot import bridge

    wording = bridge.BotWording(language_of(os.environ))
    bridge.check(token, base_url)
    print(wording.text("owner.loading"), flush=True)
    from espejo.chat.conversation import Conversation
    from espejo.chat.local import LocalEngine
    from espejo.chat.pauses import typical_pause

    engine = LocalEngine(model)
    try:
        bridge.Bridge(
            permitted,
            lambda: Conversation(engine, generate, blocklist),
            typical_pause(engine.manifest),
            wording,
            language,
            folder,
        ).run(token, base_url)
    finally:
        engine.close()


@commands.command()
def serve(
    model: Folder = Path("model"),
    engine: Annotated[
        str | None,
        typer.Option(help="llama.cpp, ollama, vllm or transformers. Without it: what is there."),
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Where to listen.")] = None,
    llama_cpp: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder of llama.cpp with its programs.")
    ] = None,
) -> None:
    """Serve the exported model with OpenAI's API, for programs on this computer only.

    Starts a program that is installed: llama.cpp, Ollama, vLLM or transformers.
    """
    manifests.read(model)
    from espejo.core.stage import params
    from espejo.model.config import GenerateConfig
    from espejo.serving import engines

    engines.start(engine, engines.Job(model, params(GenerateConfig), port, llama_cpp))


@commands.command()
def web(
    model: Folder = Path("model"),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the page's address.")] = 7860,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="For other machines: 0.0.0.0, or one address of this one. Asks for a password, "
            "or takes it from ESPEJO_PASSWORD.",
        ),
    ] = "127.0.0.1",
    language: Annotated[
        str | None, typer.Option(metavar="es|en", help="Without it: as the browser asks.")
    ] = None,
    pause: Annotated[
        bool, typer.Option(help="Whole messages, with the author's pauses; also on the page.")
    ] = True,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    seed: Annotated[int | None, typer.Option(help="Makes replies repeatable.")] = None,
) -> None:
    """Talk to the tuned model in the browser, as on a phone: a page on this machine only.

    It compares the base model with the tuned one, has the settings of generation, and leads to the
    report. Ctrl-C ends it.
    """
    from espejo.web import start

    manifests.read(model)  # what is wrong is said before torch and Gradio are loaded, for seconds
    start.check_language(language)
    settings = start.settings()
    listening = start.listen(host, port)
    password = start.password(host, os.environ)
    start.web(model, settings, listening, host, language, pause, password, open_, seed)


@commands.command()
def card(model: Folder = Path("model")) -> None:
    """Write the model card, which names nobody, to reports/model_card.md."""
    manifest, train_metrics = manifests.read(model), metrics.read(Path("metrics/train.json"))
    verdict = metrics.read(Path("metrics/eval.json"))["memory"]["verdict"]
    from espejo.export import model_card

    files.write(model_card.card(manifest, train_metrics, verdict), model_card.CARD)
    print(
        f"{model_card.CARD}: read it before you give the model to anybody. Safe to share? "
        f"{model_card.sharing(train_metrics, verdict, manifests.kind_of(manifest))}."
    )


@commands.command()
def export(
    to: Annotated[
        Literal["merged", "gguf", "adapter-gguf", "ollama", "hub", "space"],
        typer.Option("--to", help="The form (below)."),
    ],
    model: Folder = Path("model"),
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder; without it exports/FORM.")
    ] = None,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"],
        typer.Option(help="merged, hub: the precision of the weights; float32 changes no reply."),
    ] = "float32",
    kind: Annotated[
        Literal["f16", "q8_0", "q4_k_m"],
        typer.Option("--type", help="gguf, ollama: the precision of the weights."),
    ] = "f16",
    adapter: Annotated[
        bool, typer.Option("--adapter", help="hub: the adapter without the base model's weights.")
    ] = False,
    llama_cpp: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A checkout of llama.cpp, not the installed.")
    ] = None,
    despite: Annotated[
        str | None, typer.Option(metavar="VERDICT", help="Export although the verdict is this one.")
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(metavar="USER/NAME", help="hub, space: upload the folder, private."),
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="hub, with --push: for everybody to download.")
    ] = False,
) -> None:
    """Write the trained model in another form, if the verdict on sharing allows it.

    merged: whole weights, for transformers. gguf: one file, for llama.cpp. adapter-gguf: the
    adapter and the base model, a file each. ollama: a GGUF file and its Modelfile. hub: a folder
    for the Hugging Face hub. space: one for a Space there, with the page of `espejo web` behind a
    password. Only --push uploads.
    """
    manifest = manifests.read(model)
    if ((public or adapter) and to != "hub") or (push and to not in ("hub", "space")):
        raise UserError(
            "--public and --adapter are of `--to hub`, and --push of it and of `--to space`: leave "
            "out what does not belong here."
        )
    from espejo.core.stage import params
    from espejo.export import folders, gate
    from espejo.model.config import GenerateConfig

    folder, generate = out or Path("exports") / to, params(GenerateConfig)
    folders.check(folder)
    verdict = gate.check(model, manifest, despite)
    print(f"Safe to share? {verdict.answer}.", flush=True)
    from espejo.export import merged, targets

    options = targets.Options(dtype, kind, llama_cpp, adapter, push, public)
    lines = targets.export(to, merged.read(model, generate), verdict, folder, options)
    print("\n".join(escaping.terminal(line) for line in lines))


@commands.command()
def novelty() -> None:
    """How much of the author's text repeats itself: turns, and word 4-grams of test in train."""
    from espejo.core import tables
    from espejo.dataset import novelty

    turns = Path("data/turns.parquet")
    if not turns.is_file():
        raise not_made_yet(f"{turns} is missing")
    people = tables.read(Path("data/people.parquet"), tables.PEOPLE)
    shares = novelty.of_author(tables.read(turns, tables.TURNS), tables.author_of(people))
    print(
        f"{shares['repeated_turns']:.1%} of the author's turns longer than four words repeat "
        "another; above some 5 %, much was forwarded or copied.\n"
        f"{shares['fourgrams_in_train']:.1%} of the word 4-grams of the test replies stand in "
        "train; some 5 % is usual, and far more means that the test rewards memorization."
    )


@commands.command()
def blind(
    pairs: Annotated[int, typer.Option(min=1, help="Conversations on the page, at most.")] = 20,
    seed: Annotated[int, typer.Option(help="Which conversations, and in what order.")] = 7,
    score: Annotated[
        Path | None, typer.Option(help="Count the answers that the page gave instead.")
    ] = None,
) -> None:
    """Let a person tell real replies from the model's: writes reports/blind.html and its key."""
    from espejo.commands import blind as blind_test
    from espejo.core.config import DataConfig
    from espejo.core.stage import params
    from espejo.report.config import ReportConfig

    if score is not None:
        print(blind_test.score(score, blind_test.KEY))
        return
    language, kind = params(ReportConfig).language, params(DataConfig).kind
    number = blind_test.write(Path(), language, pairs, seed, kind)
    print(
        f"{blind_test.PAGE}, conversations: {number}. Whoever answers it gives you answers.json; "
        f"then run `espejo blind --score answers.json` here. Keep {blind_test.KEY} to yourself."
    )


@commands.command()
def replay(
    number: Annotated[int, typer.Option(min=1, help="Conversations, at most.")] = 5,
    seed: Annotated[
        int, typer.Option(min=0, help="Which conversations, and which invented names.")
    ] = 7,
    base: Annotated[
        bool, typer.Option("--base", help="Also what the model replied before training.")
    ] = False,
    invent: Annotated[
        bool, typer.Option("--invent", help="Replace all names of the people in the chats.")
    ] = False,
    page: Annotated[
        bool, typer.Option("--page", help="Write reports/replay.html, for screenshots, instead.")
    ] = False,
) -> None:
    """Test conversations with the bot's replies beside the real ones; no model is loaded."""
    from rich.console import Console

    from espejo.commands import replay as replaying
    from espejo.commands.init_wording import language_of
    from espejo.core.stage import params
    from espejo.report.config import ReportConfig

    replayed = replaying.read(Path(), number, seed, base, invent)
    if not page:
        replaying.show(replayed, Console(highlight=False), language_of(os.environ))
        return
    language = params(ReportConfig).language
    replaying.write(replayed, Path(), language)
    print(f"{replaying.PAGE}, conversations: {len(replayed.conversations)}.")
    for notice in replaying.told_after(replayed, language):
        print(escaping.terminal(notice))


@commands.command()
def forget(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: for scripts.")] = False,
) -> None:
    """Remove all that was made from chats, after it said what that is; the exports stay."""
    from espejo.commands import forget as forgetting

    forgetting.forget(yes)


@commands.command()
def repeat(
    seeds: Annotated[int, typer.Option(min=2, help="Trainings, with the seeds 1, 2 …")] = 5,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set-param",
            "-S",
            metavar="KEY=VALUE",
            help="As `dvc exp run` takes them: on your own chats `-S data=mine`. Repeatable.",
        ),
    ] = None,
) -> None:
    """Train again with other seeds, to see how much training itself moves the numbers.

    Each training is an experiment, one after another; what ran already is not run again. Writes
    reports/repeat.md and metrics/repeat.json, which `espejo compare` and the report use.
    """
    from espejo.commands import repeat as repeating

    repeating.main(seeds, settings or [])


@commands.command()
def compare() -> None:
    """All experiments at hand in one table; in reports/compare.md all of it, and their replies."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from espejo.commands import compare as comparison

    experiments = comparison.experiments()

    def show(heads: Sequence[str], cells: Sequence[Sequence[str]], names: int) -> None:
        rows = Table(box=SIMPLE, pad_edge=False)
        for column, head in enumerate(heads):  # names may break, numbers not
            rows.add_column(head, overflow="fold", no_wrap=column >= names)
        for row in cells:
            rows.add_row(*(Text(escaping.terminal(cell)) for cell in row))
        Console().print(rows)

    show(comparison.SHORT, comparison.short_table(experiments), 3)
    if correct := comparison.correct_short(experiments):
        show(comparison.CORRECT_SHORT, correct, 1)
    if of_several := comparison.several_chats(experiments):
        Console().print(Text(escaping.terminal(of_several)))  # breaks between words
    for line in comparison.settings_lines(experiments):
        Console().print(Text(escaping.terminal(line)))
    for line in comparison.chance_lines(experiments):
        Console().print(Text(escaping.terminal(line)))
    print(comparison.LEGEND)
    if correct:
        print(comparison.CORRECT_LEGEND)
    comparison.write(experiments)
    print(
        f"With intervals, perplexity, sizes and what each replies: {comparison.PAGE}\n"
        f"As a picture: {comparison.PICTURE}"
    )


@commands.command()
def estimate(
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set-param",
            "-S",
            help="As `dvc exp run` takes them: `-S train=qlora-8gb`, `-S format=turns` …",
        ),
    ] = None,
) -> None:
    """Which models fit which graphics card: parameters and memory, with nothing downloaded."""
    from espejo.commands.estimate import advice, estimate_all, table

    needs, refused = estimate_all(Path("conf").resolve(), settings or [])
    print(table(needs))
    for name, reason in refused.items():
        print(f"{name}: not with these settings. {reason}")
    print(
        "Estimates for texts as long as the settings allow; a card is in the list where nine "
        "tenths of its GB suffice.\n" + advice(settings or [])
    )


def app() -> None:
    """Entry point: what goes wrong ends in one sentence."""
    runtime.restart_if_torch_came_first()
    with faults.told("espejo"):
        commands()


if __name__ == "__main__":
    app()
