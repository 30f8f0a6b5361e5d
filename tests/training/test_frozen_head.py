"""A frozen head: the same log-probabilities as torch's cross-entropy and TRL's function."""

import pytest
import torch
import trl.trainer.utils
from torch.nn.functional import cross_entropy

from espejo.training import frozen_head, sft  # noqa: F401 - installs it in TRL


def random_head(rows, dtype=torch.float32, width=16, vocabulary=40):
    torch.manual_seed(1)
    states = torch.randn(rows, width, dtype=dtype, requires_grad=True)
    weight = torch.randn(vocabulary, width, dtype=dtype)
    return states, weight, torch.randint(vocabulary, (rows,))


@pytest.mark.parametrize("rows", [0, 1, 7, frozen_head._ROWS, frozen_head._ROWS + 3])
def test_values_and_gradients_are_those_of_cross_entropy(rows):
    states, weight, targets = random_head(rows)
    importance = torch.linspace(0.5, 2, rows)
    log_probs, _ = frozen_head.FrozenHead.apply(states, weight, targets)
    (log_probs * importance).sum().backward()
    gradient, states.grad = states.grad, None
    expected = -cross_entropy(states @ weight.T, targets, reduction="none")
    (expected * importance).sum().backward()
    torch.testing.assert_close(log_probs, expected)
    torch.testing.assert_close(gradient, states.grad)


def test_without_a_gradient_the_values_are_the_same():
    states, weight, targets = random_head(9)
    with torch.no_grad():
        log_probs, highest = frozen_head.FrozenHead.apply(states, weight, targets)
    assert torch.equal(log_probs, frozen_head.FrozenHead.apply(states, weight, targets)[0].detach())
    assert highest.tolist() == ((states @ weight.T).argmax(1) == targets).tolist()
    assert frozen_head.FrozenHead.apply(states, weight, (states @ weight.T).argmax(1))[1].all()


def through_trl(states, weight, targets, **other):
    """The loss function, called as TRL's trainer calls it."""
    options = {"bias": None, "temperature": 1.0, "softcap": None, "scale": 1.0} | other
    function = options.pop("function", trl.trainer.utils._ChunkedLogProbFunction)
    return function.apply(
        states,
        weight,
        options["bias"],
        targets,
        options["temperature"],
        8,
        options["softcap"],
        options["scale"],
        ("log_probs", "entropy", "is_top1"),
    )[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_trainer_learns_what_it_would_with_trls_function(dtype):
    states, weight, targets = random_head(11, dtype)
    own = through_trl(states, weight, targets)
    own.sum().backward()
    gradient, states.grad = states.grad, None
    trls = through_trl(states, weight, targets, function=frozen_head._trl_function)
    trls.sum().backward()
    near = {"rtol": 2e-2, "atol": 2e-2} if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(own, trls, **near)
    torch.testing.assert_close(gradient, states.grad, **near)


def test_a_trained_head_or_one_that_caps_its_logits_takes_trls_function():
    for other in ({"softcap": 2.0}, {"scale": 0.5}, {"temperature": 2.0}):
        states, weight, targets = random_head(5)
        trls = through_trl(states, weight, targets, function=frozen_head._trl_function, **other)
        assert torch.equal(through_trl(states, weight, targets, **other), trls)
    states, weight, targets = random_head(5)
    weight.requires_grad_()
    through_trl(states, weight, targets).sum().backward()
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0
