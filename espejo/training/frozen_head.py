"""Log-probabilities of the learnt tokens, and their gradient at once, where the head is frozen.

Adapters leave the output head as it is, so that all a training step needs of it is the gradient of
what goes in. That can be had while the logits are at hand (as Liger Kernel does on GPUs: Hsu et
al., 2024), in two products with the head. TRL's function, made for GPUs, computes the logits again
in the backward pass, a third product, and there in float32; on a processor its tiles also pass
through memory some ten times. With a vocabulary of 262,144 that was most of a step.
"""

import torch
import trl.trainer.utils

_ROWS = 256  # tokens at once: fewer would read the head once more, more would hold more logits
_trl_function = trl.trainer.utils._ChunkedLogProbFunction


class FrozenHead(torch.autograd.Function):
    """log softmax(states · weightᵀ) at the target of each row, and whether it is the highest."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        states: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`states` [n, width], `weight` [vocabulary, width], `targets` [n] -> float32, bool [n]."""
        weight = weight.to(states.dtype)
        found = torch.empty(len(states), dtype=torch.float32, device=states.device)
        is_highest = torch.empty(len(states), dtype=torch.bool, device=states.device)
        gradient = torch.empty_like(states) if ctx.needs_input_grad[0] else None
        for start in range(0, len(states), _ROWS):
            here = slice(start, start + _ROWS)
            # In place, since logits are the largest thing here: exp(logits - their highest).
            scores = (states[here] @ weight.T).float()
            of_target = scores.gather(1, targets[here, None])
            highest = scores.amax(1, keepdim=True)
            is_highest[here] = (of_target == highest).squeeze(1)
            total = scores.sub_(highest).exp_().sum(1, keepdim=True)
            found[here] = (of_target - highest - total.log()).squeeze(1)
            if gradient is not None:
                # d log p(target) / d state is the target's row of the head less the expected one.
                expected = (scores.to(states.dtype) @ weight) / total
                gradient[here] = weight[targets[here]] - expected
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(is_highest)
        return found, is_highest

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, above: torch.Tensor, _: torch.Tensor | None
    ) -> tuple[torch.Tensor, None, None]:
        """The gradient of the states, by that of their log-probabilities."""
        (gradient,) = ctx.saved_tensors
        return gradient * above[:, None].to(gradient.dtype), None, None


class _LogProbs:
    """What stands in TRL's place: the above where it holds, and TRL's own elsewhere."""

    @staticmethod
    def apply(
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        temperature: float,
        chunk_size: int,
        softcap: float | None,
        scale: float,
        outputs: tuple[str, ...],
    ) -> tuple[torch.Tensor | None, ...]:
        plain = bias is None and softcap is None and temperature == scale == 1
        if states.is_cuda or weight.requires_grad or not plain:
            return _trl_function.apply(
                states, weight, bias, targets, temperature, chunk_size, softcap, scale, outputs
            )
        found, is_highest = FrozenHead.apply(states, weight, targets)
        # Entropy would take another pass; processes.SteadyTrainer keeps it out of the log.
        return found, torch.full_like(found, torch.nan), None, None, is_highest


def install() -> None:
    """Let TRL's trainer take the log-probabilities from here."""
    trl.trainer.utils._ChunkedLogProbFunction = _LogProbs
