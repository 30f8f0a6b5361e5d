"""Params sections as the code takes them, for tests."""

from types import SimpleNamespace

from espejo.commands.inputs import CONFIGS


def typed(params):
    """The sections of `params` (dictionaries) as configs: typed(params).model, .train …"""
    return SimpleNamespace(
        **{kind.section: kind.model_validate(params[kind.section]) for kind in CONFIGS}
    )


def changed(config, **values):
    """`config` with other values, checked as any."""
    return type(config).model_validate(config.model_dump() | values)
