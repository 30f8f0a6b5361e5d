"""What the benchmarks of peers and of scale count, by hand."""

import ast
import importlib
import json
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from trl.scripts import sft

from benchmarks import peers, scale
from docs import fill
from espejo.core import tables

BASE = {"id": "s0t1", "chat": "Ana", "session": 0, "split": "train", "group": True}


ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted([*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "docs").glob("*.py")])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_a_script_takes_from_our_modules_is_there(script):
    # Some measure for hours before their last function: it must not name what has moved since.
    tree = ast.parse(script.read_text("utf-8"))
    modules = {}
    for node in ast.walk(tree):
        ours = isinstance(node, ast.ImportFrom) and (node.module or "").startswith("espejo")
        for alias in node.names if ours else ():
            package = importlib.import_module(node.module)
            if not hasattr(package, alias.name):
                importlib.import_module(f"{node.module}.{alias.name}")
            if isinstance(module := getattr(package, alias.name), ModuleType):
                modules[alias.asname or alias.name] = module
    missing = [
        f"line {node.lineno}: {node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in modules
        and not hasattr(modules[node.value.id], node.attr)
    ]
    assert missing == []


def test_lines_are_counted_without_blank_ones():
    assert peers.lines("\na = 1\n\ntrl sft \\\n    --use_peft\n") == 3


def test_trl_takes_our_settings():
    params = peers.composed([peers.MODEL])
    arguments = peers.flags(peers.OUR_SETTINGS.strip(), params)
    # As train_with_trl calls it: a flag that this version of trl does not know is an error.
    parsed = sft.make_parser().parse_args_and_config(arguments, fail_with_unknown_args=False)
    trains, adapts = parsed[1:3]
    train = params["train"]
    assert trains.learning_rate == train["learning_rate"]
    assert trains.warmup_steps == train["warmup_ratio"]
    assert trains.lr_scheduler_type == train["scheduler"]
    assert trains.num_train_epochs == train["epochs"]
    assert adapts.lora_target_modules == train["targets"]
    assert (adapts.lora_r, adapts.lora_alpha) == (train["rank"], train["alpha"])


def test_what_trl_learns_from_has_the_form_of_our_texts(tmp_path, monkeypatch):
    context = [
        {"author": "Juli", "messages": ["che"]},
        {"author": "Cami", "messages": ["hola", "qué"]},
        {"author": "Rocco", "messages": ["eu"]},
    ]
    table = pd.DataFrame([{**BASE, "context": context, "reply": ["nada", "jaja"]}])
    tables.write(table, tmp_path / "examples.parquet", tables.EXAMPLES)
    monkeypatch.setattr(peers, "DATA", tmp_path / "examples.parquet")
    peers.convert(tmp_path, share=1)
    row = json.loads((tmp_path / "chats" / "train.jsonl").read_text("utf-8"))
    written = [(message["role"], message["content"]) for message in row["prompt"]]
    assert written == [
        ("system", "Respondé como siempre."),
        ("user", "…"),
        ("assistant", "che"),
        ("user", "Cami: hola<|msg_sep|>qué<|msg_sep|>Rocco: eu"),
    ]
    assert row["completion"] == [{"role": "assistant", "content": "nada<|msg_sep|>jaja"}]


def test_growth_is_one_where_time_is_linear():
    # 2 s of start and 1 s a hundred messages, or twice that at the largest size.
    sizes = {
        number: {
            "messages": 100 * number,
            "stages": {"parse": {"processor_seconds": 2 + number}},
        }
        for number in (1, 10, 100)
    }
    assert scale.growth(sizes, "parse", 10, 100) == pytest.approx(1)
    sizes[100]["stages"]["parse"]["processor_seconds"] = 2 + 1 + 2 * 99
    assert scale.growth(sizes, "parse", 10, 100) == pytest.approx(2)


def test_copies_of_the_demo_share_no_chat_and_no_long_message():
    exports = dict(scale.copies(2))
    assert len(exports) == 8
    first, second = (exports[f"Chat de WhatsApp con {name}.txt"] for name in ("Cami", "Cami 1"))

    def long(text):
        bodies = (line.partition(": ")[2] for line in text.splitlines())
        return {body for body in bodies if len(body) > 60}

    assert long(first)
    assert not long(first) & long(second)


def test_the_table_of_peers_says_when_a_figure_is_never_reached():
    recipe = {"epochs": 1, "steps": 2, "precision": "float32", "seconds": 100.0, "lines": 3}
    recipe |= {"bits_per_character": 2.5, "peak_memory_gb": 1.0}
    run = {"recipes": {"ours": recipe, "trl sft": recipe, "other": recipe}, "versions": {}}
    run |= {"seconds_of_ours": {"trl sft": 25.0, "other": None}, "processor": "CPU"}
    table = fill.peer_costs({**run, "share": 0.5, "test_share": 0.2}).splitlines()
    assert table[3].endswith("| 2.500 | 25 s | 4.0 | 1.00 GB |")
    assert table[4].endswith("| 2.500 | never reached it |  | 1.00 GB |")
