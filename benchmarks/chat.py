"""What the chat costs beside the model: the engine against a bare `generate`, in pairs.

    python -m benchmarks.chat                    # the model of `make repro`; two minutes
    python -m benchmarks.chat --gguf FILE        # and llama.cpp on an exported file

Each pair answers the same prompt (contexts of test replies in data/filtered.parquet), greedily, up
to the same number of tokens: once by transformers' `generate` with its cache, once through
`espejo.chat.local`, as a conversation that begins. The order alternates. Writes
docs/results/chat.json; docs/talking.md shows it. Times on shared machines are noisy: the ratios of
pairs count, and for the whole reply processor seconds.
"""

# Import before torch: espejo sets how torch's threads wait, as in the chat.
from espejo.chat.conversation import BOT, Conversation
from espejo.chat.decline import Blocklist
from espejo.chat.engine import Waiting
from espejo.chat.local import LocalEngine

# isort: split
import argparse
import json
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from transformers.generation.streamers import BaseStreamer

from espejo.core import tables
from espejo.model import hardware
from espejo.model.config import GenerateConfig
from espejo.model.generation import generation_config

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs" / "results" / "chat.json"
TOKENS = 32
GREEDY = GenerateConfig(
    temperature=0.0, top_k=0, top_p=1.0, repetition_penalty=1.0, max_new_tokens=TOKENS
)
TURNS = ("hola, cómo andás?", "qué hiciste hoy?", "y mañana?", "dale, te aviso", "nos vemos")


class _First(BaseStreamer):
    """Notes when the first token came."""

    def __init__(self) -> None:
        self.prompt, self.seconds = True, 0.0

    def put(self, value: torch.Tensor) -> None:
        if self.prompt:
            self.prompt = False
        elif not self.seconds:
            self.seconds = time.perf_counter()

    def end(self) -> None: ...


def _timed(reply: Callable[[], float]) -> tuple[float, float, float]:
    """Seconds to the first token, seconds in all, and processor seconds, of one reply.

    `reply` returns the time at which the first token came.
    """
    start, processor = time.perf_counter(), time.process_time()
    first = reply()
    return first - start, time.perf_counter() - start, time.process_time() - processor


def bare(engine: LocalEngine, prompt: str) -> tuple[float, float, float]:
    """A reply by transformers alone, in a thread of its own as servers do."""

    def reply() -> float:
        tokenizer, streamer = engine.pair.tokenizer, _First()
        inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        config = generation_config(tokenizer, engine.prompter.end, GREEDY)

        def generate() -> None:
            with engine.pair.tuned() as model:
                model.generate(  # type: ignore[operator]  # each architecture mixes it in
                    **inputs, generation_config=config, streamer=streamer
                )

        thread = threading.Thread(target=generate)
        thread.start()
        thread.join()
        return streamer.seconds

    return _timed(reply)


def in_chat(engine: LocalEngine, prompt: str) -> tuple[float, float, float]:
    """The same reply through the engine, as the first of a conversation."""

    def reply() -> float:
        return _first_text(engine.pieces(prompt, GREEDY, object()))

    return _timed(reply)


def _first_text(pieces: Iterable[str | Waiting]) -> float:
    """The time at which the first text of a reply came, which is read to its end."""
    first = 0.0
    for piece in pieces:
        if isinstance(piece, str):
            first = first or time.perf_counter()
    return first or time.perf_counter()


def pairs(engine: LocalEngine, prompts: Sequence[str]) -> dict[str, float]:
    """Medians of both, and the median of the ratios chat to bare."""
    bare(engine, prompts[0])  # the first generation of a process is slow
    rows = []
    for number, prompt in enumerate(prompts):
        if number % 2:
            plain, chat = bare(engine, prompt), in_chat(engine, prompt)
        else:
            chat, plain = in_chat(engine, prompt), bare(engine, prompt)
        rows.append((plain, chat))
    names = ("first_token", "seconds", "processor_seconds")
    result: dict[str, float] = {"pairs": len(rows)}
    for index, name in enumerate(names):
        result[f"{name}_bare"] = statistics.median(plain[index] for plain, _ in rows)
        result[f"{name}_chat"] = statistics.median(chat[index] for _, chat in rows)
        result[f"{name}_ratio"] = statistics.median(
            chat[index] / plain[index] for plain, chat in rows
        )
    return result


def tokens_read(engine: LocalEngine) -> dict[str, int]:
    """Tokens that went through the model in a conversation of ten turns, and its tokens."""
    sizes: list[int] = []
    with engine.pair.tuned() as model:
        embeddings = model.get_input_embeddings()
    hook = embeddings.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape[1]))
    conversation = Conversation(engine, GREEDY, Blocklist((), ""))
    anew = 0
    for text in TURNS:
        conversation.say(text)
        prompt = engine.prompter.prompt(conversation.turns, BOT)
        anew += len(engine.pair.tokenizer(prompt, add_special_tokens=False)["input_ids"])
        list(conversation.reply())
    hook.remove()
    turns = conversation.turns
    text, _ = engine.prompter.example(turns[:-1], turns[-1]["messages"], BOT)
    whole = len(engine.pair.tokenizer(text, add_special_tokens=False)["input_ids"])
    return {"read": sum(sizes), "conversation": whole, "prompts_read_anew": anew}


def llama_cpp(folder: Path, gguf: Path, prompts: Sequence[str]) -> dict[str, float]:
    """Seconds to the first token and in all, by llama.cpp on `gguf`: medians."""
    from espejo.chat.llama_server import LlamaServer

    engine = LlamaServer(folder, gguf)
    rows = []
    try:
        for prompt in [prompts[0], *prompts]:

            def reply(prompt: str = prompt) -> float:
                return _first_text(engine.pieces(prompt, GREEDY, object()))

            rows.append(_timed(reply))
    finally:
        engine.close()
    first, seconds, _ = (statistics.median(column) for column in zip(*rows[1:], strict=True))
    return {"first_token": first, "seconds": seconds}


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("model"))
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--pairs", type=int, default=20)
    arguments = parser.parse_args()
    engine = LocalEngine(arguments.model)
    examples = tables.read(Path("data/filtered.parquet"), tables.EXAMPLES)
    contexts = examples.loc[examples["split"].eq("test"), "context"].head(arguments.pairs)
    people = tables.read(Path("data/people.parquet"), tables.PEOPLE)
    author = tables.author_of(people)
    prompts = [engine.prompter.prompt(list(context), author) for context in contexts]
    result = {
        "processor": hardware.describe(engine.manifest["hardware"]),
        "cores": os.cpu_count(),
        "model": engine.manifest["model"]["name"],
        "tokens": TOKENS,
        "engine": pairs(engine, prompts),
        "ten_turns": tokens_read(engine),
    }
    if arguments.gguf:
        result["llama_cpp"] = llama_cpp(arguments.model, arguments.gguf, prompts)
    engine.close()
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
