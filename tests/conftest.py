"""Fixtures that several tests share."""

# Import before anything imports torch: espejo sets how torch's threads wait.
import espejo  # noqa: F401

# isort: split
import sys
from pathlib import Path

import pytest
import torch
import yaml
from coverage import Coverage
from hypothesis import HealthCheck, settings
from transformers.utils import is_torch_mps_available

from espejo.model import bundled
from tests.helpers import branches
from tests.helpers.configs import typed

# The same examples every time, however slow the machine: what passed here passes elsewhere. To look
# further: pytest --hypothesis-profile=default
settings.register_profile(
    "same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "conf"))


@pytest.fixture(scope="session", autouse=True)
def _without_model(pytestconfig):
    """With `-m "not model"`, skip a test at the moment that it loads a bundled model. So it needs
    no mark; only a test whose subprocess loads one needs `pytest.mark.model`.
    """
    packages, cache, folder = bundled.PACKAGES, bundled.user_cache_path, bundled.folder

    def none(name):
        real = (bundled.PACKAGES, bundled.user_cache_path) == (packages, cache)
        return pytest.skip("runs a bundled model") if real and name in packages else folder(name)

    with pytest.MonkeyPatch.context() as patch:
        if "not model" in pytestconfig.option.markexpr:
            patch.setattr(bundled, "folder", none)
        yield


@pytest.fixture(scope="module", autouse=True)
def _counted_where_it_matters(request):
    """Stop counting lines where no limit holds: counting doubles the time that a test takes."""
    stopped = []
    if not branches.counts(request.path):
        while coverage := Coverage.current():  # pytest-cov has one upon another in each worker
            coverage.stop()
            stopped.append(coverage)
    yield
    for coverage in reversed(stopped):
        coverage.start()


@pytest.fixture(scope="session")
def composed(tmp_path_factory):
    """composed("model=phi3") is the params that those overrides give."""
    from compose import compose

    def params(*overrides):
        output = tmp_path_factory.mktemp("params") / "params.yaml"
        return yaml.safe_load(compose(output, list(overrides)))

    return params


@pytest.fixture(scope="session")
def configs(composed):
    """configs("model=phi3") is the same with each section as its config: .model, .train …"""
    return lambda *overrides: typed(composed(*overrides))


@pytest.fixture(scope="session")
def smollm2(configs):
    """The params section `model` of a bundled model."""
    return configs("model=smollm2").model


@pytest.fixture
def gpu(monkeypatch):
    """gpu(True) stands for a card with bfloat16, gpu(False) for a T4, which emulates it."""

    def put(native):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda including_emulation=True: native or including_emulation,
        )

    return put


@pytest.fixture
def apple(monkeypatch):
    """Looks like a Mac to libraries that choose a device: MPS is available, CUDA is not."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: True)
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: None)
    is_torch_mps_available.cache_clear()
    yield
    is_torch_mps_available.cache_clear()
