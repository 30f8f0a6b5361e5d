"""Ollama's Modelfile: the GGUF file, every setting of generation, the stops, the system text.

No TEMPLATE: the GGUF file holds the model's own.
"""

from espejo.core.errors import UserError
from espejo.export.merged import Trained

NAME = "espejo"  # of the model in Ollama


def modelfile(trained: Trained, gguf: str, context: int) -> str:
    """The Modelfile for the file `gguf`, which lies beside it; `context` is in tokens."""
    generate, prompter = trained.generate, trained.prompter
    settings = {
        "temperature": generate.temperature,
        "top_k": generate.top_k,
        "top_p": generate.top_p,
        "min_p": 0,
        "repeat_penalty": generate.repetition_penalty,
        "repeat_last_n": -1,  # the penalty is for all tokens of the context, as in training
        "num_predict": generate.max_new_tokens,
        "num_ctx": context,
    }
    lines = [f"FROM ./{gguf}"]
    lines += [f"PARAMETER {name} {value:g}" for name, value in settings.items()]
    lines += [f"PARAMETER stop {quoted(stop)}" for stop in dict.fromkeys(prompter.stops)]
    if trained.reads_system:
        lines.append(f"SYSTEM {quoted(prompter.system)}")
    else:
        lines.append("# No SYSTEM: this model was trained without one.")
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    '''`text` as a Modelfile quotes it: between """, with nothing escaped.'''
    if '"""' in text:
        raise UserError(
            f'A Modelfile cannot hold a text with """ in it ({text[:40]!r}): train with another, '
            "or take `--to gguf`."
        )
    return f'"""{text}"""'
