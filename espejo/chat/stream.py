"""A reply while it is generated: text as soon as it is certain, message by message."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from threading import Event, Thread

from transformers import (
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
    TextIteratorStreamer,
)

from espejo.formatting.prompts import begun


class _Stop(StoppingCriteria):
    def __init__(self, event: Event) -> None:
        self.event = event

    def __call__(self, *_: object, **__: object) -> bool:
        return self.event.is_set()


def pieces(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    config: GenerationConfig,
) -> Generator[str, None, None]:
    """Raw text while it is generated, special tokens included; closing the generator stops it."""
    inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").to(model.device)
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True)
    stop = Event()
    failure: list[BaseException] = []

    def generate() -> None:
        try:
            model.generate(  # type: ignore[operator]  # each architecture mixes it in
                **inputs,
                generation_config=config,
                streamer=streamer,
                stopping_criteria=StoppingCriteriaList([_Stop(stop)]),
            )
        except BaseException as error:
            failure.append(error)
            streamer.end()  # or the loop below would wait forever

    thread = Thread(target=generate, daemon=True)
    thread.start()
    try:
        yield from streamer
    finally:
        stop.set()
        thread.join()
    if failure:
        raise failure[0]


def messages(pieces: Iterable[str], separator: str, stops: Sequence[str]) -> Iterator[str | None]:
    """Text that can be shown at once, and None where one message ends and the next begins.

    Nothing after the first of `stops` is shown, and nothing that may be the beginning of
    `separator` or of a stop, not even when the limit of new tokens leaves it unfinished.
    """
    waiting = ""
    for piece in pieces:
        waiting += piece
        while True:
            matches = [(waiting.find(mark), mark) for mark in (separator, *stops)]
            start, mark = min((match for match in matches if match[0] >= 0), default=(-1, ""))
            if start < 0:
                break
            text = waiting[:start]
            if mark != separator:  # a reply may end inside an unfinished separator
                text = text[: len(text) - begun(text, separator)]
            if text:
                yield text
            if mark != separator:
                return
            yield None
            waiting = waiting[start + len(mark) :]
        certain = len(waiting) - max(begun(waiting, mark) for mark in (separator, *stops))
        if certain < len(waiting):  # what precedes a possible stop may be an unfinished separator
            certain -= begun(waiting[:certain], separator)
        if certain:
            yield waiting[:certain]
            waiting = waiting[certain:]
