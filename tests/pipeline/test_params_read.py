"""No setting without a reader: each field of each section is read by code, or by dvc.yaml.

The field's name alone is not enough, since several sections may share it (`seed`): an expression
counts if an annotation or `params(CleanConfig)` gives it that section as its type.
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
    return [of, *(group for field in of.model_fields.values() for group in sections_in(field))]


def sections_in(field):
    kinds = (field.annotation, *get_args(field.annotation))
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)]


class Reads:
    """The (class, field) pairs that a module reads, of these sections and groups."""

    def __init__(self, module, classes):
        self.classes = {group.__name__: group for group in classes}
        self.fields = set()
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
        names = [part.id for part in ast.walk(annotation) if isinstance(part, ast.Name)]
        return next((self.classes[name] for name in names if name in self.classes), None)

    def walk(self, node, sections):
        """Read a function and those inside it; adds to `sections` the names of sections."""
        for child in ast.walk(node):
            if isinstance(child, ast.arg) and child.annotation:
                sections[child.arg] = self.annotated(child.annotation)
        for child in sorted(ast.walk(node), key=lambda child: getattr(child, "lineno", 0)):
            if isinstance(child, ast.Assign | ast.NamedExpr):
                targets = child.targets if isinstance(child, ast.Assign) else [child.target]
                for target in targets:
                    pairs = [(target, child.value)]
                    if isinstance(target, ast.Tuple) and isinstance(child.value, ast.Tuple):
                        pairs = zip(target.elts, child.value.elts, strict=True)
                    sections |= {
                        name.id: self.section(value, sections)
                        for name, value in pairs
                        if isinstance(name, ast.Name)
                    }
        for child in ast.walk(node):
            self.section(child, sections)

    def section(self, node, sections):
        """The section that an expression gives, or None; records the fields that it reads."""
        if isinstance(node, ast.Name):
            return sections.get(node.id)
        if isinstance(node, ast.Call):
            called = [node.func, *node.args[:1]]  # CleanConfig(...), params(CleanConfig)
            names = [part.id for part in called if isinstance(part, ast.Name)]
            return next((self.classes[name] for name in names if name in self.classes), None)
        if not isinstance(node, ast.Attribute):
            return None
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return sections.get(f"self.{node.attr}")
        of = self.section(node.value, sections)
        if of is None or node.attr not in of.model_fields:
            return None
        self.fields.add((of, node.attr))
        return next(iter(sections_in(of.model_fields[node.attr])), None)


def keys_in(modules, section):
    """The keys read from a dictionary of sections, as in x["section"]["key"]."""
    return {
        node.slice.value
        for module in modules
        for node in ast.walk(module)
        if isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and re.search(rf"\['{section}'\]$", ast.unparse(node.value))
    }


def unread(config, modules, written=""):
    """The fields of a section that neither the modules nor the YAML text `written` reads.

    There ${launch.${train.launcher}} reads train.launcher and any of launch.
    """
    classes = groups(config)
    read = {pair for module in modules for pair in Reads(module, classes).fields}
    if re.search(rf"\$\{{{config.section}\.\$", written):
        return []
    names = set(re.findall(rf"\$\{{{config.section}\.(\w+)\}}", written))
    # What stands beside a trained model (espejo.json) is a dictionary of sections.
    names |= keys_in(modules, config.section)
    return [
        f"{group.__name__}.{field}"
        for group in classes
        for field in group.model_fields
        if (group, field) not in read and field not in names
    ]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda section: section.section)
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
        # `seed` of another section, or of an unknown object, does not count.
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
