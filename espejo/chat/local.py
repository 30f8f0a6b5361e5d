"""The models in this process, with transformers: what `espejo chat` uses by default."""

from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable, Mapping
from pathlib import Path
from threading import Event
from typing import Any

import torch
from tokenizers.decoders import DecodeStream
from transformers import (
    DynamicCache,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.generation.streamers import BaseStreamer

from espejo.chat.engine import Waiting
from espejo.chat.line import Line
from espejo.formatting.prompts import trained_prompter
from espejo.model.config import GenerateConfig
from espejo.model.generation import generation_config
from espejo.model.pair import ModelPair

# Conversations whose keys and values are kept: some 30 MB each for the bundled models.
MAX_CACHES = 8


class _Stop(StoppingCriteria):
    def __init__(self, event: Event) -> None:
        self.event = event

    def __call__(self, *_: object, **__: object) -> bool:
        return self.event.is_set()


class _Streamer(BaseStreamer):
    """Puts the text of each new token as soon as its characters are complete."""

    def __init__(self, put: Callable[[str], None], tokenizer: Any) -> None:  # noqa: ANN401
        self._put, self._tokenizer = put, tokenizer
        self._decoder = DecodeStream(skip_special_tokens=False)
        self.tokens: list[int] | None = None  # generated so far; None before the prompt

    def put(self, value: torch.Tensor) -> None:
        """Take the prompt, then each new token."""
        if self.tokens is None:
            self.tokens = []
            return
        for token in value.flatten().tolist():
            self.tokens.append(token)
            if text := self._decoder.step(self._tokenizer, token):
                self._put(text)

    def end(self) -> None:
        """Nothing is held back but an incomplete character."""


class LocalEngine:
    """The base and the tuned model of the folder `folder` (the output of the stage train).

    Raises UserError when there is no trained model, or when it is damaged.
    """

    has_base = True

    def __init__(self, folder: Path) -> None:
        self.pair = ModelPair(folder)
        self.manifest: Mapping[str, Any] = self.pair.manifest
        self.prompter = trained_prompter(self.pair.tokenizer, self.pair.manifest)
        self._line = Line()
        # What was read of each conversation by each model: its tokens, and their keys and values.
        self._caches: OrderedDict[tuple[Hashable, bool], tuple[list[int], DynamicCache]]
        self._caches = OrderedDict()
        with self.pair.tuned() as model:
            config = model.config.get_text_config()
            # An exported model names them; here the conversation ends a reply at its stops.
            model.generation_config.stop_strings = None
        self.max_tokens: int = getattr(config, "max_position_embeddings", 2**31)

    def pieces(
        self,
        prompt: str,
        generate: GenerateConfig,
        conversation: Hashable,
        base: bool = False,
    ) -> Generator[str | Waiting, None, None]:
        """The raw text of a reply while it is generated: see `Engine.pieces`."""

        def write(put: Callable[[str], None], stopped: Event) -> None:
            with self.pair.base() if base else self.pair.tuned() as model:
                self._generate(model, prompt, generate, (conversation, base), put, stopped)

        return self._line.pieces(write)

    def close(self) -> None:
        """End the thread that generates."""
        self._line.close()

    def _generate(
        self,
        model: PreTrainedModel,
        prompt: str,
        generate: GenerateConfig,
        key: tuple[Hashable, bool],
        put: Callable[[str], None],
        stopped: Event,
    ) -> None:
        tokenizer = self.pair.tokenizer
        inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").to(model.device)
        tokens = inputs["input_ids"][0].tolist()
        cache = self._cache(key, tokens, model)
        streamer = _Streamer(put, tokenizer.backend_tokenizer)
        model.generate(  # type: ignore[operator]  # each architecture mixes it in
            **inputs,
            past_key_values=cache,
            generation_config=generation_config(tokenizer, self.prompter.end, generate),
            streamer=streamer,
            stopping_criteria=StoppingCriteriaList([_Stop(stopped)]),
        )
        # Only after a generation that went well: a cache that an error cut short is not kept.
        tokens += streamer.tokens or []
        self._caches[key] = tokens[: cache.get_seq_length()], cache
        while len(self._caches) > MAX_CACHES:
            self._caches.popitem(last=False)

    def _cache(
        self, key: tuple[Hashable, bool], tokens: list[int], model: PreTrainedModel
    ) -> DynamicCache:
        """The keys and values of the longest beginning of `tokens` that was read already."""
        if key in self._caches:
            read, cache = self._caches.pop(key)
            # At least the last token is read: the model's scores for the next one are not kept.
            equal = next(
                (n for n, (a, b) in enumerate(zip(read, tokens[:-1], strict=False)) if a != b),
                min(len(read), len(tokens) - 1),
            )
            try:
                cache.crop(equal - len(read))
            except (RuntimeError, ValueError, NotImplementedError):
                pass  # a kind of layer that cannot forget: read everything again
            else:
                return cache
        cache = DynamicCache(config=model.config)
        cache.activate_past_recording()  # layers with a sliding window forget nothing until `crop`
        return cache
