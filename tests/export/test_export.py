"""`espejo export` with a tiny model: what it writes, and what it says about what is wrong."""

import json

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from typer.testing import CliRunner

from espejo.chat.local import LocalEngine
from espejo.commands.cli import commands
from espejo.core.errors import UserError
from espejo.export import llama_cpp, merged, ollama, targets
from espejo.model import manifest as manifests
from espejo.model.pair import ModelPair
from tests.export.conftest import say, train
from tests.helpers.configs import changed, typed
from tests.helpers.workshop import AUTHOR, PARTNER

PROMPT = torch.tensor([[7, 30, 41, 52, 9]])


def logits(model):
    with torch.no_grad():
        return model(PROMPT).logits


def written(folder, params, out, dtype="float32"):
    """The merged model, as anybody loads it from the folder `out`."""
    trained = merged.read(folder, typed(params).generate)
    out.mkdir()
    merged.write(trained, merged.load(trained), out, dtype)
    return AutoModelForCausalLM.from_pretrained(out)


def test_merged_weights_compute_what_base_and_adapter_do(trained, params, tmp_path):
    pair = ModelPair(trained)
    with pair.base() as base:
        before = logits(base)
    with pair.tuned() as tuned:
        after = logits(tuned)
    assert (after - before).abs().max() > 0.1  # the adapter does change it
    model = written(trained, params, tmp_path / "out")
    torch.testing.assert_close(logits(model), after, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_of_half_the_size(trained, params, tmp_path, dtype):
    model = written(trained, params, tmp_path / "half", dtype)
    assert model.dtype == getattr(torch, dtype)
    written(trained, params, tmp_path / "whole")
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.6 * sizes[1]


def test_a_model_trained_with_all_weights(composed, bundled_tiny, tmp_path):
    params = composed("model=smollm2", "model.precision=float32", "train=full", "format=chat")
    folder = train(params, tmp_path / "trained")
    with ModelPair(folder).tuned() as tuned:
        expected = logits(tuned)
    torch.testing.assert_close(logits(written(folder, params, tmp_path / "out")), expected)


def test_tokens_that_were_added_come_along(composed, bundled_tiny, tmp_path):
    params = composed("model=smollm2", "model.precision=float32", "format=turns")
    params["model"]["added_tokens"] = ["<|msg_sep|>"]
    folder = train(params, tmp_path / "trained")
    model = written(folder, params, tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    (separator,) = tokenizer("<|msg_sep|>", add_special_tokens=False)["input_ids"]
    assert model.get_input_embeddings().num_embeddings == separator + 1
    with ModelPair(folder).tuned() as tuned:
        torch.testing.assert_close(
            model(torch.tensor([[separator]])).logits, tuned(torch.tensor([[separator]])).logits
        )
    config = GenerationConfig.from_pretrained(tmp_path / "out")
    assert separator not in config.eos_token_id  # it separates bubbles, and ends nothing


def test_code_that_a_model_names_is_not_named_in_its_export(trained, params, tmp_path):
    """llama.cpp's converter would run it."""
    path = trained / "tokenizer_config.json"
    named = {"auto_map": {"AutoTokenizer": ["elsewhere--code.Tokenizer"] * 2}}
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | named), "utf-8")
    model = merged.read(trained, typed(params).generate)
    weights = merged.load(model)
    weights.config.auto_map = {"AutoConfig": "elsewhere--code.Config"}  # as from a config.json
    merged.write(model, weights, tmp_path)
    for name in ("tokenizer_config.json", "config.json"):
        assert "elsewhere" not in (tmp_path / name).read_text("utf-8")


def test_a_models_name_is_no_way_to_another_folder(trained, params):
    path = trained / "espejo.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["model"]["name"] = "../../elsewhere/x"
    path.write_text(json.dumps(manifest), "utf-8")
    assert merged.read(trained, typed(params).generate).name == "..-..-elsewhere-x"


def test_a_base_in_4_bits_is_merged_as_it_is_published(params, bundled_tiny, tmp_path):
    params["model"]["quantization"] = "nf4"
    model = written(train(params, tmp_path / "trained"), params, tmp_path / "out")
    params["model"]["quantization"] = None
    same = train(params, tmp_path / "unquantized")
    with ModelPair(same).tuned() as tuned:
        torch.testing.assert_close(logits(model), logits(tuned), atol=1e-4, rtol=1e-4)


def test_a_manifest_of_an_older_version(trained, params, tmp_path):
    path = trained / "espejo.json"
    manifest = json.loads(path.read_text("utf-8"))
    for key in ("kind", "resolved_revision"):
        del manifest[key]
    manifest["model"] |= {"source": "embedded", "generate": {"temperature": 1}}
    manifest["format"]["silence"] = manifest["format"].pop("empty_turn")
    path.write_text(json.dumps(manifest), "utf-8")
    with ModelPair(trained).tuned() as tuned:
        expected = logits(tuned)
    model = written(trained, params, tmp_path / "out")
    torch.testing.assert_close(logits(model), expected, atol=1e-4, rtol=1e-4)


def test_generation_has_the_settings_and_every_stop(composed, bundled_tiny, tmp_path):
    params = composed("model=smollm2", "model.precision=float32", "format=turns")
    trained = merged.read(train(params, tmp_path / "trained"), typed(params).generate)
    config = trained.generation_config()
    generate = params["generate"]
    assert config.do_sample
    assert config.temperature == generate["temperature"]
    assert config.top_k == generate["top_k"]
    assert config.repetition_penalty == generate["repetition_penalty"]
    assert config.max_new_tokens == generate["max_new_tokens"]
    tokens = trained.prompter.tokenizer.convert_ids_to_tokens(config.eos_token_id)
    assert {*tokens} == {"<unk>", "<|im_start|>", "<|im_end|>"}
    assert config.stop_strings == ["[OTRO]", "[YO]"]
    greedy = merged.read(tmp_path / "trained", changed(typed(params).generate, temperature=0.0))
    assert not greedy.generation_config().do_sample


def test_espejo_talks_to_an_exported_model_with_stop_strings(composed, bundled_tiny, tmp_path):
    params = composed("model=smollm2", "model.precision=float32", "format=turns")
    generate = changed(typed(params).generate, max_new_tokens=4)
    trained = merged.read(train(params, tmp_path / "trained"), generate)
    out = tmp_path / "out"
    out.mkdir()
    merged.write(trained, merged.load(trained), out)
    manifests.write(merged.given_away(trained.manifest, whole=True), out)
    assert GenerationConfig.from_pretrained(out).stop_strings  # for other programs
    engine = LocalEngine(out)
    assert list(engine.pieces("[OTRO]\nhola\n[YO]\n", generate, "a conversation"))
    engine.close()


def invoke(*arguments):
    return CliRunner().invoke(commands, ["export", *map(str, arguments)])


def test_the_command_writes_a_folder_that_names_nobody(project):
    ran = invoke("--to", "merged")
    assert ran.exit_code == 0, ran.output
    assert "Safe to share? pass: nothing speaks against it." in ran.output
    assert "merged: exports/merged, " in ran.output
    assert "espejo serve --engine transformers" in ran.output
    folder = project / "exports" / "merged"
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "transformers"
    names = {word.casefold() for name in (AUTHOR, PARTNER) for word in name.split()}
    for path in folder.iterdir():
        if path.suffix not in (".safetensors",):
            text = path.read_text("utf-8").casefold()
            assert not any(name in text for name in names), path
    manifest = json.loads((folder / "espejo.json").read_text("utf-8"))
    assert manifest["train"]["sample_prompts"] == []
    pair = ModelPair(folder)  # espejo itself can talk to what it exported
    with ModelPair(project / "model").tuned() as tuned, pair.tuned() as exported:
        torch.testing.assert_close(logits(exported), logits(tuned), atol=1e-4, rtol=1e-4)
    again = invoke("--to", "merged", "--dtype", "bfloat16")
    assert again.exit_code == 0, again.output


def test_the_card_says_what_was_overridden(project):
    say(project, "fail")
    assert isinstance(invoke("--to", "hub").exception, UserError)
    assert not (project / "exports").exists()
    ran = invoke("--to", "hub", "--despite", "fail")
    assert ran.exit_code == 0, ran.output
    text = (project / "exports" / "hub" / "README.md").read_text("utf-8")
    assert "Exported despite the verdict `fail`" in text
    assert "| safe to share? | `fail`: better not" in text
    assert "Nothing has left this machine" in ran.output


def test_what_was_never_measured_is_said_in_the_card(project):
    for name in ("eval", "train"):
        (project / "metrics" / f"{name}.json").unlink()
    ran = invoke("--to", "merged", "--despite", "none")
    assert ran.exit_code == 0, ran.output
    text = (project / "exports" / "merged" / "README.md").read_text("utf-8")
    assert "| safe to share? | `none`: nobody knows" in text


def test_an_adapter_for_the_hub(project):
    ran = invoke("--to", "hub", "--adapter")
    assert ran.exit_code == 0, ran.output
    folder = project / "exports" / "hub"
    assert not (folder / "model.safetensors").exists()
    assert ModelCard.load(folder / "README.md").data.library_name == "peft"
    with ModelPair(folder).tuned() as exported, ModelPair(project / "model").tuned() as tuned:
        torch.testing.assert_close(logits(exported), logits(tuned))


def damaged(folder):
    path = folder / "model" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def other_base(folder):
    path = folder / "model" / "espejo.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["model"]["revision"] = manifest["resolved_revision"] = "0" * 64
    path.write_text(json.dumps(manifest), "utf-8")


def all_weights(folder):
    path = folder / "model" / "espejo.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["train"]["method"] = "full"
    path.write_text(json.dumps(manifest), "utf-8")


def wide(folder):
    path = folder / "model" / "espejo.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["model"]["precision"] = "wide"
    path.write_text(json.dumps(manifest), "utf-8")


def occupied(folder):
    (folder / "exports" / "merged").mkdir(parents=True)
    (folder / "exports" / "merged" / "thesis.tex").write_text("", "utf-8")


def nothing(_):
    pass


@pytest.mark.parametrize(
    ("change", "arguments", "sentence"),
    [
        (nothing, ["--to", "merged", "--model", "nowhere"], "no trained model in nowhere/"),
        (damaged, ["--to", "merged"], "model is damaged"),
        (other_base, ["--to", "merged"], "trained on smollm2 at revision 0000000000000000"),
        (all_weights, ["--to", "adapter-gguf"], "trained with all weights, so it has no adapter"),
        (all_weights, ["--to", "hub", "--adapter"], "trained with all weights"),
        (wide, ["--to", "merged", "--dtype", "float16"], "float16 cannot hold"),
        (nothing, ["--to", "gguf", "--llama-cpp", "conf"], "conf is no checkout of llama.cpp"),
        (nothing, ["--to", "gguf", "--type", "q4_k_m"], "rows have 32 numbers, no multiple of 256"),
        (occupied, ["--to", "merged"], "is no earlier export"),
        (nothing, ["--to", "merged", "--push", "ana/me"], "--adapter are of `--to hub`"),
    ],
)
def test_a_mistake_gets_one_sentence_and_leaves_nothing(project, change, arguments, sentence):
    change(project)
    ran = invoke(*arguments, "--despite", "none") if change in LOCKED else invoke(*arguments)
    assert isinstance(ran.exception, UserError), ran.exception
    assert sentence in str(ran.exception)
    assert "\n" not in str(ran.exception)
    left = [path.name for path in (project / "exports").rglob("*")]
    assert left in ([], ["merged", "thesis.tex"])


LOCKED = (damaged, other_base, all_weights, wide)  # so that it is not the model measured


def test_a_model_that_llama_cpp_does_not_know(project):
    # The vocabulary of the tiny model is one that nobody has seen.
    if not llama_cpp.INSTALLED.joinpath("llama_cpp").is_dir():
        pytest.skip("llama.cpp is not installed")
    ran = invoke("--to", "gguf")
    assert isinstance(ran.exception, UserError)
    assert "convert_hf_to_gguf.py of llama.cpp cannot convert this model (" in str(ran.exception)
    assert [*(project / "exports").iterdir()] == []


def test_without_the_converter_one_sentence_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(llama_cpp, "_PACKAGED", tmp_path)
    with pytest.raises(UserError, match="converter is not installed: run `make setup`"):
        llama_cpp.converter()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="llama-quantize, a program that is not installed"):
        llama_cpp.quantizer()
    program = tmp_path / "build" / "bin" / "llama-quantize"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n", "utf-8")
    program.chmod(0o755)
    assert llama_cpp.quantizer(tmp_path) == program


def stanzas(text):
    """A Modelfile as Ollama reads it: (command, value) pairs; a value in \""" may have lines."""
    pairs, lines = [], iter(text.splitlines())
    for line in lines:
        if not line or line.startswith("#"):
            continue
        command, value = line.split(" ", 1)
        if command == "PARAMETER":
            command, value = value.split(" ", 1)
        while value.startswith('"""') and not (len(value) >= 6 and value.endswith('"""')):
            value += "\n" + next(lines)
        pairs.append((command, value[3:-3] if value.startswith('"""') else value))
    return pairs


def test_the_modelfile_has_every_setting_the_stops_and_no_template(params, trained):
    params["format"]["system"] = 'Respondé "como siempre" \\ {{ .Prompt }}\ncon # y "comillas"'
    path = trained / "espejo.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["format"]["system"] = params["format"]["system"]
    path.write_text(json.dumps(manifest), "utf-8")
    generate = changed(
        typed(params).generate, temperature=0.55, top_k=0, top_p=0.9, repetition_penalty=1.25
    )
    text = ollama.modelfile(merged.read(trained, generate), "smollm2-f16.gguf", 2048)
    pairs = stanzas(text)
    stops = [value for name, value in pairs if name == "stop"]
    assert sorted(stops) == ["<unk>", "<|im_end|>", "<|im_start|>"]
    rest = {name: value for name, value in pairs if name != "stop"}
    assert rest == {
        "FROM": "./smollm2-f16.gguf",
        "temperature": "0.55",
        "top_k": "0",
        "top_p": "0.9",
        "min_p": "0",
        "repeat_penalty": "1.25",
        "repeat_last_n": "-1",
        "num_predict": str(params["generate"]["max_new_tokens"]),
        "num_ctx": "2048",
        "SYSTEM": params["format"]["system"],
    }
    with pytest.raises(UserError, match="cannot hold a text with"):
        ollama.quoted('a """ b')


def test_a_model_trained_without_a_system_text_gets_none(composed, bundled_tiny, tmp_path):
    params = composed("model=smollm2", "model.precision=float32", "format=turns")
    trained = merged.read(train(params, tmp_path / "trained"), typed(params).generate)
    pairs = stanzas(ollama.modelfile(trained, "a.gguf", 64))
    assert "SYSTEM" not in dict(pairs)
    assert {"[OTRO]", "[YO]"} <= {value for name, value in pairs if name == "stop"}
    command = targets.llama_server(trained, "a.gguf")
    assert "-r '[OTRO]' -r '[YO]'" in command
    assert "--min-p 0 " in command  # llama-server's own default is not
    assert targets.context(trained) == 512  # what the tiny model holds; the form asks for more


def test_what_is_exported_is_forgotten_too():
    from espejo.commands.forget import ARTEFACTS

    assert "exports" in ARTEFACTS
