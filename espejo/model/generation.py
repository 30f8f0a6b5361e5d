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
    set_seed,
)

from espejo.model.config import GenerateConfig

_LIKELY = (256, 16384)  # tokens among which top-p mostly ends
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


@dataclass(frozen=True)
class Sampler(LogitsProcessor):
    """Samples a token for each row, after the penalty for repeated tokens, within top-k and top-p.

    The distribution is that of transformers' RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper, TopKLogitsWarper and TopPLogitsWarper, one after the other. Each of
    those writes new scores for the whole vocabulary, and top-p sorts it, which for 262,144 tokens
    takes longer than the model. Here most is computed on the likeliest tokens, and a sample is the
    highest score after Gumbel noise, so that random numbers are drawn only for those.
    """

    temperature: float
    top_k: int  # 0: no limit
    top_p: float  # 1: no limit
    repetition_penalty: float

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores` [n, vocabulary], overwritten: zero at the sampled token, else minus infinity."""
        if self.repetition_penalty != 1:
            penalty, used = self.repetition_penalty, scores.gather(1, input_ids)
            used = torch.where(used < 0, used * penalty, used / penalty)
            scores.scatter_(1, input_ids, used)
        sampled = self._sampled(scores)
        return scores.fill_(-torch.inf).scatter_(1, sampled, 0.0)

    def _sampled(self, scores: torch.Tensor) -> torch.Tensor:
        """The sampled tokens [n, 1]."""
        if self.top_k:
            highest, tokens = _top_k(scores, min(self.top_k, scores.shape[1]))
            highest = highest / self.temperature
            total = highest.logsumexp(1, keepdim=True)
            return tokens.gather(1, _drawn(self._within_top_p(highest, total)))
        scores /= self.temperature
        if self.top_p == 1:
            return _drawn(scores)
        total = scores.logsumexp(1, keepdim=True)
        sampled = torch.empty_like(total, dtype=torch.long)
        rows = torch.arange(len(scores), device=scores.device)
        # The likeliest tokens mostly reach top_p; the rows where they do not need more of them.
        for number in (*_LIKELY, scores.shape[1]):
            some = scores if len(rows) == len(scores) else scores[rows]  # no copy of all
            highest, tokens = _top_k(some, min(number, scores.shape[1]))
            enough = (highest - total[rows]).exp().sum(1) >= self.top_p
            enough |= highest.shape[1] == scores.shape[1]
            drawn = _drawn(self._within_top_p(highest, total[rows]))
            sampled[rows[enough]] = tokens.gather(1, drawn)[enough]
            rows = rows[~enough]
            if not len(rows):
                break
        return sampled

    def _within_top_p(self, highest: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        """`highest` [n, k] in descending order, minus infinity after those that reach `top_p`.

        `total` [n, 1] is the logarithm of the sum that makes them probabilities.
        """
        if self.top_p == 1:
            return highest
        probabilities = (highest - total).exp()
        before = probabilities.cumsum(1) - probabilities
        return highest.masked_fill(before >= self.top_p, -torch.inf)


def _drawn(scores: torch.Tensor) -> torch.Tensor:
    """Where in `scores` [n, k] a sample from their softmax lies, [n, 1]."""
    noise = -torch.empty_like(scores).exponential_().log()
    return (scores + noise).argmax(1, keepdim=True)


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
    greedy.update(repetition_penalty=1.0)
    sampler = Sampler(
        config.temperature, config.top_k or 0, config.top_p or 1.0, config.repetition_penalty or 1.0
    )
    return greedy, LogitsProcessorList([sampler])


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
