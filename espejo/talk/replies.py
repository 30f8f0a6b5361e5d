"""Asking a model for replies, many at once."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from tqdm import tqdm
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    set_seed,
)


class Reply(NamedTuple):
    """What a model wrote, without its end, and whether it came to one by itself."""

    text: str
    finished: bool


def settings(
    tokenizer: PreTrainedTokenizerBase, end: str, generate: Mapping[str, float]
) -> GenerationConfig:
    """How to sample: the params section `model.generate`, stopping at the token(s) `end`."""
    stops = tokenizer(end, add_special_tokens=False)["input_ids"]
    return GenerationConfig(
        do_sample=generate["temperature"] > 0,
        temperature=generate["temperature"] or None,
        top_k=generate["top_k"],
        top_p=generate["top_p"],
        repetition_penalty=generate["repetition_penalty"],
        max_new_tokens=generate["max_new_tokens"],
        # A reply ends with the last token of `end`; the model's own end of text stops it as well.
        eos_token_id=sorted({stops[-1], tokenizer.eos_token_id} - {None}),
        pad_token_id=tokenizer.pad_token_id,
    )


class Draw(LogitsProcessor):
    """Makes the highest score a draw from softmax(scores), by the Gumbel-max trick.

    Random numbers are drawn for the tokens that are left only: torch.multinomial draws one for
    every token there is, which takes a quarter of the time of a small model.
    """

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores` [n, tokens] with noise on those that are not minus infinity."""
        left = (scores > -torch.inf).nonzero(as_tuple=True)
        noise = -torch.empty_like(scores[left]).exponential_().log()
        return scores.index_put(left, noise, accumulate=True)


def _sampling(how: GenerationConfig) -> tuple[GenerationConfig, LogitsProcessorList]:
    """`how`, as the search for the highest score after `Draw`."""
    greedy = copy.deepcopy(how)
    greedy.update(do_sample=False, temperature=None, top_k=None, top_p=None)
    if not how.do_sample:
        return greedy, LogitsProcessorList()
    steps: list[LogitsProcessor] = [TemperatureLogitsWarper(how.temperature)]
    if how.top_k:
        steps.append(TopKLogitsWarper(how.top_k))
    if how.top_p < 1:
        steps.append(TopPLogitsWarper(how.top_p))
    return greedy, LogitsProcessorList([*steps, Draw()])


@contextmanager
def _last_states_in_one_piece(model: PreTrainedModel) -> Iterator[None]:
    """Of a slice of all states torch would multiply each row by a copy of its own of the head."""
    hook = model.get_output_embeddings().register_forward_pre_hook(
        lambda module, states: (states[0].contiguous(),)
    )
    try:
        yield
    finally:
        hook.remove()


@torch.inference_mode()
def reply_all(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    how: GenerationConfig,
    stops: Sequence[str],
    seed: int,
    batch: int = 64,  # a step reads all weights, for one reply or for many
    label: str = "replying",
) -> list[Reply]:
    """One sampled reply a prompt, up to the first of `stops`, in the order of `prompts`."""
    set_seed(seed)
    greedy, draw = _sampling(how)
    replies = [Reply("", False)] * len(prompts)
    # Prompts of like length together: what is padded is computed for nothing.
    order = sorted(range(len(prompts)), key=lambda at: len(prompts[at]))
    for start in tqdm(range(0, len(order), batch), desc=label, unit="batch", leave=False):
        chosen = order[start : start + batch]
        asked = tokenizer(
            [prompts[at] for at in chosen],
            add_special_tokens=False,
            padding=True,
            padding_side="left",
            return_tensors="pt",
        ).to(model.device)
        with _last_states_in_one_piece(model):
            written = model.generate(**asked, generation_config=greedy, logits_processor=draw)
        texts = tokenizer.batch_decode(written[:, asked["input_ids"].shape[1] :])
        for at, text in zip(chosen, texts, strict=True):
            replies[at] = ended(text, stops)
    return replies


def ended(text: str, stops: Sequence[str]) -> Reply:
    """`text` up to the first of `stops`."""
    said = text
    for stop in stops:
        said = said.split(stop, 1)[0]
    return Reply(said, finished=said != text)
