"""A reply as it is being written: text as soon as it is certain, message by message."""

from collections.abc import Iterable, Iterator, Sequence
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
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str, how: GenerationConfig
) -> Iterator[str]:
    """Raw text as the model writes it, control tokens included. Closing the iterator stops it."""
    asked = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").to(model.device)
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True)
    stop = Event()
    failure: list[BaseException] = []

    def write() -> None:
        try:
            model.generate(
                **asked,
                generation_config=how,
                streamer=streamer,
                stopping_criteria=StoppingCriteriaList([_Stop(stop)]),
            )
        except BaseException as error:
            failure.append(error)
            streamer.end()  # the reader would wait for ever

    writer = Thread(target=write, daemon=True)
    writer.start()
    try:
        yield from streamer
    finally:
        stop.set()
        writer.join()
    if failure:
        raise failure[0]


def messages(written: Iterable[str], separator: str, stops: Sequence[str]) -> Iterator[str | None]:
    """Text to show at once, and None where one message ends and the next begins.

    Nothing after the first of `stops` is shown, and nothing that may be the beginning of
    `separator` or of a stop, not even when the limit of new tokens leaves it unfinished.
    """
    waiting = ""
    for piece in written:
        waiting += piece
        while True:
            found = [(waiting.find(mark), mark) for mark in (separator, *stops)]
            at, mark = min(((at, m) for at, m in found if at >= 0), default=(-1, ""))
            if at < 0:
                break
            said = waiting[:at]
            if mark != separator:  # a reply may end inside a separator that was begun
                said = said[: len(said) - begun(said, separator)]
            if said:
                yield said
            if mark != separator:
                return
            yield None
            waiting = waiting[at + len(mark) :]
        certain = len(waiting) - max(begun(waiting, mark) for mark in (separator, *stops))
        if certain < len(waiting):  # before what may be a stop, a begun separator may be its end
            certain -= begun(waiting[:certain], separator)
        if certain:
            yield waiting[:certain]
            waiting = waiting[certain:]
