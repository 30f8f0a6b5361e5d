"""Log-probabilities at a frozen head: as torch's own cross-entropy and TRL's function have them."""

import pytest
import torch
import trl.trainer.utils
from torch.nn.functional import cross_entropy

from espejo.training import frozen_head, sft  # noqa: F401 - training puts it in TRL's place


def drawn(rows, dtype=torch.float32, width=16, vocabulary=40):
    torch.manual_seed(1)
    states = torch.randn(rows, width, dtype=dtype, requires_grad=True)
    weight = torch.randn(vocabulary, width, dtype=dtype)
    return states, weight, torch.randint(vocabulary, (rows,))


@pytest.mark.parametrize("rows", [0, 1, 7, frozen_head._ROWS, frozen_head._ROWS + 3])
def test_values_and_gradients_are_those_of_cross_entropy(rows):
    states, weight, targets = drawn(rows)
    importance = torch.linspace(0.5, 2, rows)
    found, _ = frozen_head.FrozenHead.apply(states, weight, targets)
    (found * importance).sum().backward()
    got, states.grad = states.grad, None
    expected = -cross_entropy(states @ weight.T, targets, reduction="none")
    (expected * importance).sum().backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(got, states.grad)


def test_without_a_gradient_the_values_are_the_same():
    states, weight, targets = drawn(9)
    with torch.no_grad():
        alone, highest = frozen_head.FrozenHead.apply(states, weight, targets)
    assert torch.equal(alone, frozen_head.FrozenHead.apply(states, weight, targets)[0].detach())
    assert highest.tolist() == ((states @ weight.T).argmax(1) == targets).tolist()
    assert frozen_head.FrozenHead.apply(states, weight, (states @ weight.T).argmax(1))[1].all()


def through_trl(states, weight, targets, **other):
    """Called as TRL's trainer does."""
    asked = {"bias": None, "temperature": 1.0, "softcap": None, "scale": 1.0} | other
    function = asked.pop("function", trl.trainer.utils._ChunkedLogProbFunction)
    return function.apply(
        states,
        weight,
        asked["bias"],
        targets,
        asked["temperature"],
        8,
        asked["softcap"],
        asked["scale"],
        ("log_probs", "entropy", "is_top1"),
    )[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_trainer_learns_what_trl_would_teach(dtype):
    states, weight, targets = drawn(11, dtype)
    ours = through_trl(states, weight, targets)
    ours.sum().backward()
    got, states.grad = states.grad, None
    theirs = through_trl(states, weight, targets, function=frozen_head._trl_function)
    theirs.sum().backward()
    near = {"rtol": 2e-2, "atol": 2e-2} if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(ours, theirs, **near)
    torch.testing.assert_close(got, states.grad, **near)


def test_a_head_that_is_trained_or_caps_its_logits_goes_trls_way():
    for other in ({"softcap": 2.0}, {"scale": 0.5}, {"temperature": 2.0}):
        states, weight, targets = drawn(5)
        theirs = through_trl(states, weight, targets, function=frozen_head._trl_function, **other)
        assert torch.equal(through_trl(states, weight, targets, **other), theirs)
    states, weight, targets = drawn(5)
    weight.requires_grad_()
    through_trl(states, weight, targets).sum().backward()
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0
