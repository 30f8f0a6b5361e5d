"""No setting without a reader: each field of each section is read by code, or by dvc.yaml.

Not by its name alone, which several sections may have (`seed`): an expression counts where the code
itself says that it is of that section, by an annotation or by `params(CleanConfig)`.
"""

import ast
import re
from typing import get_args

import pytest

from espejo.commands.inputs import CONFIGS
from espejo.core.config import Section
from tests.pipeline.test_rooms import ROOT

CODE = [
    ast.parse(file.read_text("utf-8"))
    for place in ("espejo", "stages")
    for file in sorted((ROOT / place).rglob("*.py"))
]


def groups(of):
    """A section and the groups of settings inside it."""
    return [of, *(one for field in of.model_fields.values() for one in sections_in(field))]


def sections_in(field):
    kinds = (field.annotation, *get_args(field.annotation))
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)]


class Reads:
    """The (class, field) pairs that a module reads, of these sections and groups."""

    def __init__(self, module, classes):
        self.classes = {one.__name__: one for one in classes}
        self.found = set()
        for node in module.body:
            held = {}  # what the fields of a class hold: self.tags
            if isinstance(node, ast.ClassDef):
                for field in node.body:
                    if isinstance(field, ast.AnnAssign):
                        held[f"self.{field.target.id}"] = self.annotated(field.annotation)
            for part in node.body if isinstance(node, ast.ClassDef) else [node]:
                self.walk(part, dict(held))

    def annotated(self, annotation):
        """The section that an annotation names, alone or beside None."""
        names = [one.id for one in ast.walk(annotation) if isinstance(one, ast.Name)]
        return next((self.classes[name] for name in names if name in self.classes), None)

    def walk(self, node, known):
        """Read a function, with those inside it; `known` are names to sections."""
        for one in ast.walk(node):
            if isinstance(one, ast.arg) and one.annotation:
                known[one.arg] = self.annotated(one.annotation)
        for one in sorted(ast.walk(node), key=lambda one: getattr(one, "lineno", 0)):
            if isinstance(one, ast.Assign | ast.NamedExpr):
                targets = one.targets if isinstance(one, ast.Assign) else [one.target]
                for target in targets:
                    pairs = [(target, one.value)]
                    if isinstance(target, ast.Tuple) and isinstance(one.value, ast.Tuple):
                        pairs = zip(target.elts, one.value.elts, strict=True)
                    known |= {
                        name.id: self.section(value, known)
                        for name, value in pairs
                        if isinstance(name, ast.Name)
                    }
        for one in ast.walk(node):
            self.section(one, known)

    def section(self, node, known):
        """The section that an expression is, or None; remembers what it reads."""
        if isinstance(node, ast.Name):
            return known.get(node.id)
        if isinstance(node, ast.Call):
            called = [node.func, *node.args[:1]]  # CleanConfig(...), params(CleanConfig)
            names = [one.id for one in called if isinstance(one, ast.Name)]
            return next((self.classes[name] for name in names if name in self.classes), None)
        if not isinstance(node, ast.Attribute):
            return None
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return known.get(f"self.{node.attr}")
        of = self.section(node.value, known)
        if of is None or node.attr not in of.model_fields:
            return None
        self.found.add((of, node.attr))
        return next(iter(sections_in(of.model_fields[node.attr])), None)


def keys_in(modules, section):
    """What stands in quotes in brackets behind ["section"]."""
    return {
        node.slice.value
        for module in modules
        for node in ast.walk(module)
        if isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and re.search(rf"\['{section}'\]$", ast.unparse(node.value))
    }


def unread(config, modules, written=""):
    """The fields of a section that none of the modules reads, nor what is `written` in YAML.

    There ${launch.${train.launcher}} reads train.launcher and any of launch.
    """
    classes = groups(config)
    found = {pair for module in modules for pair in Reads(module, classes).found}
    if re.search(rf"\$\{{{config.section}\.\$", written):
        return []
    names = set(re.findall(rf"\$\{{{config.section}\.(\w+)\}}", written))
    # What stands beside a trained model (espejo.json) is a dictionary of sections.
    names |= keys_in(modules, config.section)
    return [
        f"{one.__name__}.{field}"
        for one in classes
        for field in one.model_fields
        if (one, field) not in found and field not in names
    ]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda one: one.section)
def test_every_setting_is_read(config):
    written = "".join((ROOT / name).read_text("utf-8") for name in ("dvc.yaml", "conf/config.yaml"))
    assert unread(config, CODE, written) == []


class Inner(Section):
    least: float
    most: float


class Outer(Section):
    section = "outer"
    seed: int
    size: int
    inner: Inner | None


@pytest.mark.parametrize(
    ("code", "read"),
    [
        ("", set()),
        # Of another section, or of nothing that is known, `seed` says nothing.
        ("def f(config: Other): return config.seed", set()),
        ("def f(config): return config.seed + Outer.seed", set()),
        ("def f(config: Outer): return config.seed", {"Outer.seed"}),
        ("def f(config: Outer | None): return lambda x: x * config.seed", {"Outer.seed"}),
        ("def f(): return params(Outer).size", {"Outer.size"}),
        ("def f():\n a, b = params(Outer), 3\n return a.size", {"Outer.size"}),
        (
            "def f():\n a = checked(Outer, {}, p)\n if b := a.inner: return b.most",
            {"Outer.inner", "Inner.most"},
        ),
        ("class A:\n b: Inner\n def f(self): return self.b.least", {"Inner.least"}),
        ("def f(c: Outer): return c.inner.least", {"Outer.inner", "Inner.least"}),
    ],
)
def test_what_is_read_is_found_and_nothing_else(code, read):
    every = {"Outer.seed", "Outer.size", "Outer.inner", "Inner.least", "Inner.most"}
    assert set(unread(Outer, [ast.parse(code)])) == every - read


def test_what_yaml_and_dictionaries_read():
    module = ast.parse('def f(rows): return rows["size"]')
    assert "Outer.size" in unread(Outer, [module])
    for section, count in (("outer", 4), ("other", 5)):
        module = ast.parse(f'def f(manifest): return manifest["{section}"]["size"]')
        assert len(unread(Outer, [module])) == count
    assert "Outer.size" not in unread(Outer, [], written="cmd: ${outer.size}")
    assert unread(Outer, [], written="${outer.${other.seed}}") == []
