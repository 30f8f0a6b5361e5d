"""Log-probabilities of the target tokens and their gradient in one pass, for a frozen output head.

With adapters the output head is frozen: a training step only needs the gradient of its input. It
can be computed while the logits are in memory, with two matrix products (as Liger Kernel does on
GPUs: Hsu et al., 2024). TRL's function, written for GPUs, computes the logits again in the backward
pass, a third product, in float32; on a CPU its tiles also pass through memory some ten times. With
a vocabulary of 262,144 that was most of a step.
"""

from typing import Any

import torch
import trl.trainer.utils

_ROWS = 256  # tokens at once: fewer read the head more often, more hold more logits in memory
_trl_function = trl.trainer.utils._ChunkedLogProbFunction


class FrozenHead(torch.autograd.Function):
    """log softmax(states · weightᵀ) at each row's target, and whether the target is the argmax."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's FunctionCtx does not declare its attributes
        states: torch.Tensor,
        weight: torch.Tensor,
        targets: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`states` [n, width], `weight` [vocabulary, width], `targets` [n] -> float32, bool [n]."""
        weight = weight.to(states.dtype)
        log_probs = torch.empty(len(states), dtype=torch.float32, device=states.device)
        is_highest = torch.empty(len(states), dtype=torch.bool, device=states.device)
        gradient = torch.empty_like(states) if ctx.needs_input_grad[0] else None
        for start in range(0, len(states), _ROWS):
            rows = slice(start, start + _ROWS)
            # exp(logits - maximum), in place: logits are by far the largest tensor here.
            scores = (states[rows] @ weight.T).float()
            of_target = scores.gather(1, targets[rows, None])
            highest = scores.amax(1, keepdim=True)
            is_highest[rows] = (of_target == highest).squeeze(1)
            total = scores.sub_(highest).exp_().sum(1, keepdim=True)
            log_probs[rows] = (of_target - highest - total.log()).squeeze(1)
            if gradient is not None:
                # d log p(target) / d state: the target's row of the head minus the expected row.
                expected = (scores.to(states.dtype) @ weight) / total
                gradient[rows] = weight[targets[rows]] - expected
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(is_highest)
        return log_probs, is_highest

    @staticmethod
    def backward(
        ctx: Any,  # noqa: ANN401
        output_gradient: torch.Tensor,
        _: torch.Tensor | None,
    ) -> tuple[torch.Tensor, None, None]:
        """The gradient of the states, from that of the log-probabilities."""
        (gradient,) = ctx.saved_tensors
        return gradient * output_gradient[:, None].to(gradient.dtype), None, None


class _LogProbs:
    """Replaces TRL's function: `FrozenHead` where it applies, otherwise TRL's own."""

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
        log_probs, is_highest = FrozenHead.apply(states, weight, targets)
        # These would need another pass over the logits; Resumable keeps them out of the log.
        unmeasured = torch.full_like(log_probs, torch.nan)
        entropy, mean_logits = (
            unmeasured if name in outputs else None for name in ("entropy", "mean_logits")
        )
        return log_probs, entropy, None, mean_logits, is_highest


def install() -> None:
    """Make TRL's trainer use the function above."""
    setattr(trl.trainer.utils, "_ChunkedLogProbFunction", _LogProbs)  # noqa: B010
