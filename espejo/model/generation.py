"""Asking a model for replies, many at once."""

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

_TOKENS_AT_ONCE = 8  # between two looks at which replies have ended


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


@dataclass(frozen=True)
class DrawAmongTop(LogitsProcessor):
    """A draw among the `top_k` highest scores, after transformers' penalty on what was said.

    The same distribution as transformers' RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper
    and TopKLogitsWarper before `Draw`. Each of those writes the scores of the whole vocabulary
    anew, which for 262,144 tokens took longer than the model; here all but the penalty is computed
    on `top_k` numbers a row.
    """

    temperature: float
    top_k: int
    repetition_penalty: float

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores` [n, tokens], overwritten: zero at the token drawn, else minus infinity."""
        said = scores.gather(1, input_ids)
        said = torch.where(said < 0, said * self.repetition_penalty, said / self.repetition_penalty)
        scores.scatter_(1, input_ids, said)
        highest, tokens = _highest(scores, min(self.top_k, scores.shape[1]))
        noise = -torch.empty_like(highest).exponential_().log()
        drawn = tokens.gather(1, (highest / self.temperature + noise).argmax(1, keepdim=True))
        return scores.fill_(-torch.inf).scatter_(1, drawn, 0.0)


def _highest(scores: torch.Tensor, k: int, block: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """`scores.topk(k)`, for large vocabularies in a fifth of its time on a processor.

    The k highest lie in the k blocks whose own highest are highest.
    """
    n, size = scores.shape
    if size % block or k * block >= size:
        return scores.topk(k)
    blocks = scores.view(n, -1, block)
    chosen = blocks.amax(2).topk(k).indices
    highest, inside = blocks.gather(1, chosen[..., None].expand(-1, -1, block)).flatten(1).topk(k)
    return highest, chosen.gather(1, inside // block) * block + inside % block


def _sampling(how: GenerationConfig) -> tuple[GenerationConfig, LogitsProcessorList]:
    """`how`, as the search for the highest score after a draw."""
    greedy = copy.deepcopy(how)
    greedy.update(do_sample=False, temperature=None, top_k=None, top_p=None)
    if not how.do_sample:
        return greedy, LogitsProcessorList()
    if how.top_k and how.top_p == 1:
        greedy.update(repetition_penalty=1.0)
        penalty = how.repetition_penalty or 1.0
        draw = DrawAmongTop(how.temperature, how.top_k, penalty)
        return greedy, LogitsProcessorList([draw])
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
        texts = _written(model, tokenizer, asked, greedy, draw, stops)
        for at, text in zip(chosen, texts, strict=True):
            replies[at] = ended(text, stops)
    return replies


def _written(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    asked: Mapping[str, torch.Tensor],
    greedy: GenerationConfig,
    draw: LogitsProcessorList,
    stops: Sequence[str],
) -> list[str]:
    """The text written after each of the prompts `asked`, to the end of the reply or beyond.

    Now and then the replies that have ended are taken out: most are short, and an untrained model
    ends them with the tag of a next turn. `generate` alone would go on with all of them until the
    longest is done.
    """
    ids, mask = asked["input_ids"], asked["attention_mask"]
    left, cache = greedy.max_new_tokens, None
    ends = torch.tensor(greedy.eos_token_id, device=ids.device)
    rows = torch.arange(len(ids), device=ids.device)
    written: list[list[int]] = [[] for _ in rows]
    how = copy.deepcopy(greedy)
    how.update(return_dict_in_generate=True)
    while left and len(rows):
        how.update(max_new_tokens=min(left, _TOKENS_AT_ONCE))
        with _last_states_in_one_piece(model):
            out = model.generate(
                input_ids=ids,
                attention_mask=mask,
                past_key_values=cache,
                generation_config=how,
                logits_processor=draw,
            )
        new = out.sequences[:, ids.shape[1] :]
        left -= new.shape[1]
        for row, tokens in zip(rows.tolist(), new.tolist(), strict=True):
            written[row] += tokens
        texts = tokenizer.batch_decode([written[row] for row in rows.tolist()])
        over = torch.tensor([ended(text, stops).finished for text in texts], device=ids.device)
        going_on = (~(over | torch.isin(new, ends).any(1))).nonzero().flatten()
        rows, cache = rows[going_on], out.past_key_values
        if left and len(rows):
            cache.reorder_cache(going_on)  # linear attention knows no batch_select_indices
            ids = out.sequences[going_on]
            mask = torch.cat([mask[going_on], torch.ones_like(new[going_on])], dim=1)
    return tokenizer.batch_decode(written)


def ended(text: str, stops: Sequence[str]) -> Reply:
    """`text` up to the first of `stops`."""
    said = text
    for stop in stops:
        said = said.split(stop, 1)[0]
    return Reply(said, finished=said != text)
