"""Generating replies to many prompts in batches."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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

from espejo.model.config import GenerateConfig

_TOKENS_PER_ROUND = 8  # tokens between two checks for replies that have ended


class Reply(NamedTuple):
    """The text of a reply without its end token, and whether the model ended it by itself."""

    text: str
    finished: bool


def generation_config(
    tokenizer: PreTrainedTokenizerBase, end: str, config: GenerateConfig
) -> GenerationConfig:
    """transformers' settings for the params section `generate`; the text `end` ends a reply."""
    end_tokens = tokenizer(end, add_special_tokens=False)["input_ids"]
    samples = config.temperature > 0  # else transformers warns of settings that only samples use
    return GenerationConfig(
        do_sample=samples,
        temperature=config.temperature or None,
        top_k=config.top_k if samples else None,
        top_p=config.top_p if samples else None,
        repetition_penalty=config.repetition_penalty,
        max_new_tokens=config.max_new_tokens,
        # A reply ends with the last token of `end`, or with the model's own end of text.
        eos_token_id=sorted({end_tokens[-1], tokenizer.eos_token_id} - {None}),
        pad_token_id=tokenizer.pad_token_id,
    )


class GumbelSampler(LogitsProcessor):
    """Adds Gumbel noise, so that the highest score is a sample from softmax(scores).

    Random numbers are drawn only for the tokens that are left: torch.multinomial draws one for
    every token of the vocabulary, which takes a quarter of the time of a small model.
    """

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores` [n, vocabulary] with noise added where they are not minus infinity."""
        left = (scores > -torch.inf).nonzero(as_tuple=True)
        noise = -torch.empty_like(scores[left]).exponential_().log()
        return scores.index_put(left, noise, accumulate=True)


@dataclass(frozen=True)
class TopKSampler(LogitsProcessor):
    """Samples among the `top_k` highest scores, after the penalty for repeated tokens.

    The same distribution as transformers' RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper
    and TopKLogitsWarper before `GumbelSampler`. Each of those writes new scores for the whole
    vocabulary, which for 262,144 tokens took longer than the model; here everything but the penalty
    is computed on `top_k` numbers a row.
    """

    temperature: float
    top_k: int
    repetition_penalty: float

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores` [n, vocabulary], overwritten: zero at the sampled token, else minus infinity."""
        used = scores.gather(1, input_ids)
        used = torch.where(used < 0, used * self.repetition_penalty, used / self.repetition_penalty)
        scores.scatter_(1, input_ids, used)
        highest, tokens = _top_k(scores, min(self.top_k, scores.shape[1]))
        noise = -torch.empty_like(highest).exponential_().log()
        sampled = tokens.gather(1, (highest / self.temperature + noise).argmax(1, keepdim=True))
        return scores.fill_(-torch.inf).scatter_(1, sampled, 0.0)


def _top_k(scores: torch.Tensor, k: int, block: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """`scores.topk(k)`, for large vocabularies in a fifth of its time on a CPU.

    The k highest scores lie in the k blocks with the highest maxima.
    """
    n, size = scores.shape
    if size % block or k * block >= size:
        highest, tokens = scores.topk(k)
        return highest, tokens
    blocks = scores.view(n, -1, block)
    chosen = blocks.amax(2).topk(k).indices
    highest, inside = blocks.gather(1, chosen[..., None].expand(-1, -1, block)).flatten(1).topk(k)
    return highest, chosen.gather(1, inside // block) * block + inside % block


def _as_greedy(config: GenerationConfig) -> tuple[GenerationConfig, LogitsProcessorList]:
    """`config` with greedy decoding, and processors that make the highest score a sample."""
    greedy = copy.deepcopy(config)
    greedy.update(do_sample=False, temperature=None, top_k=None, top_p=None)
    if not config.do_sample:
        return greedy, LogitsProcessorList()
    if config.top_k and config.top_p == 1:
        greedy.update(repetition_penalty=1.0)
        penalty = config.repetition_penalty or 1.0
        sampler = TopKSampler(config.temperature, config.top_k, penalty)
        return greedy, LogitsProcessorList([sampler])
    processors: list[LogitsProcessor] = [TemperatureLogitsWarper(config.temperature)]
    if config.top_k:
        processors.append(TopKLogitsWarper(config.top_k))
    if config.top_p < 1:
        processors.append(TopPLogitsWarper(config.top_p))
    return greedy, LogitsProcessorList([*processors, GumbelSampler()])


@contextmanager
def _contiguous_last_states(model: PreTrainedModel) -> Iterator[None]:
    """Context manager: the output head gets contiguous states. For a slice of the states, torch
    would copy the head's weights once for each row.
    """
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
    config: GenerationConfig,
    stops: Sequence[str],
    seed: int,
    batch: int = 64,  # a decoding step reads all weights once, for one reply or for many
    label: str = "replying",
) -> list[Reply]:
    """One reply for each prompt, up to the first of `stops`, in the order of `prompts`."""
    set_seed(seed)
    greedy, sampler = _as_greedy(config)
    replies = [Reply("", False)] * len(prompts)
    # Prompts of similar length together: padding is wasted computation.
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for start in tqdm(range(0, len(order), batch), desc=label, unit="batch", leave=False):
        chosen = order[start : start + batch]
        inputs = tokenizer(
            [prompts[index] for index in chosen],
            add_special_tokens=False,
            padding=True,
            padding_side="left",
            return_tensors="pt",
        ).to(model.device)
        texts = _generate(model, tokenizer, inputs, greedy, sampler, stops)
        for index, text in zip(chosen, texts, strict=True):
            replies[index] = cut_at_stop(text, stops)
    return replies


def _generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    inputs: Mapping[str, torch.Tensor],
    greedy: GenerationConfig,
    sampler: LogitsProcessorList,
    stops: Sequence[str],
) -> list[str]:
    """The text generated after each of the tokenized prompts `inputs`, to its end or beyond.

    Every few tokens the replies that have ended leave the batch: most are short, and an untrained
    model ends them with the tag of a next turn. `model.generate` alone would continue all of them
    until the longest ends.
    """
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    left, cache = greedy.max_new_tokens, None
    end_tokens = torch.tensor(greedy.eos_token_id, device=ids.device)
    rows = torch.arange(len(ids), device=ids.device)
    generated: list[list[int]] = [[] for _ in rows]
    config = copy.deepcopy(greedy)
    config.update(return_dict_in_generate=True)
    while left and len(rows):
        config.update(max_new_tokens=min(left, _TOKENS_PER_ROUND))
        with _contiguous_last_states(model):
            output = model.generate(  # type: ignore[operator]  # `generate` is a mixin
                input_ids=ids,
                attention_mask=mask,
                past_key_values=cache,
                generation_config=config,
                logits_processor=sampler,
            )
        new = output.sequences[:, ids.shape[1] :]
        left -= new.shape[1]
        for row, tokens in zip(rows.tolist(), new.tolist(), strict=True):
            generated[row] += tokens
        texts = tokenizer.batch_decode([generated[row] for row in rows.tolist()])
        ended = torch.tensor(
            [cut_at_stop(text, stops).finished for text in texts], device=ids.device
        )
        remaining = (~(ended | torch.isin(new, end_tokens).any(1))).nonzero().flatten()
        rows, cache = rows[remaining], output.past_key_values
        if left and len(rows):
            cache.reorder_cache(remaining)  # linear attention has no batch_select_indices
            ids = output.sequences[remaining]
            mask = torch.cat([mask[remaining], torch.ones_like(new[remaining])], dim=1)
    return tokenizer.batch_decode(generated)


def cut_at_stop(text: str, stops: Sequence[str]) -> Reply:
    """`text` up to the first of `stops`."""
    kept = text
    for stop in stops:
        kept = kept.split(stop, 1)[0]
    return Reply(kept, finished=kept != text)
