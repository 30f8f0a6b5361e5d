"""The chat template of an exported model: it writes a conversation byte for byte as training did.

A program that runs the model (transformers, llama.cpp, vLLM) turns OpenAI-style messages into text
with a Jinja template. The base model's own knows nothing of the system text, the tags and the
separator that the model was trained with. `exported` writes one that does, from a `Prompter`.

How a client sends a conversation:

- A message is a turn. The bubbles of a turn are the text parts of its content:
  `[{"type": "text", "text": "dale"}, {"type": "text", "text": "voy"}]`. A content that is a string
  is one bubble. An assistant's string is what the model generated, so it is split at the separator
  as `Prompter.bubbles` does. In all other texts a separator was typed, and is written as words.
- Two messages of one role are two turns: joined by the separator where the template has roles, each
  with its tag where there are tags (`format.tags`).
- A last assistant message without `add_generation_prompt` is a complete reply, as in training. With
  it, the author writes again. A server that continues a last assistant message instead (llama.cpp)
  writes again after a user message with the text of `format.empty_turn`.
- System messages, tools and settings of thinking change nothing: those of training are in here.

What stays with the client:

- Leaving out old turns (`format.max_context_chars`), which a template cannot do sensibly.
- No token at the start: the template writes the `<bos>` of training, or none where it had none. So
  the text is tokenized with `add_special_tokens=False`, as `apply_chat_template` does, and in a
  GGUF file `tokenizer.ggml.add_bos_token` and `add_eos_token` are false. If true, a chat still has
  one `<bos>` (llama.cpp takes away the template's), but also where training had none, and a prompt
  that is sent as text (`/completion`) has two.
- llama.cpp knows strings as bytes: where a template strips a text, it strips blanks of ASCII only.
"""

import importlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import groupby, product
from string import Template
from typing import Any

from espejo.core.errors import UserError
from espejo.formatting.prompts import Prompter

_NUMBERED = re.compile("([^0-9]+)(0|[1-9][0-9]*)([^0-9]*)")

# Prompter.plain: a space after the first character of each tag, until no tag is left. Most texts
# have no such character, and llama.cpp renders a template some fifty times a request, to learn its
# structure.
_PLAIN = """\
{%- macro plain(text) -%}
{%- set opened = namespace(text=text) -%}
{%- if $suspicious -%}
{%- for tag, spaced in $tags -%}
{%- if tag in text -%}
{%- set opened.text = opened.text | replace(tag, spaced) -%}
{%- endif -%}
{%- endfor -%}
{%- for first, rest, lowest, highest, end in $numbered -%}
{%- if first ~ rest in text -%}
{%- for number in range(lowest, highest + 1) -%}
{%- set tag = rest ~ number ~ end -%}
{%- if first ~ tag in text -%}
{%- set opened.text = opened.text | replace(first ~ tag, first ~ ' ' ~ tag) -%}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- opened.text if opened.text == text else plain(opened.text) -}}
{%- endmacro -%}
"""

# The turns, each as one text, and the reply, if the last turn is a complete one.
# With `content[0]`, llama.cpp sees that a content may have parts, which it would join otherwise.
_TURNS = """\
{%- set talk = namespace(turns=[], reply=none, roles=[], text='') -%}
{%- for message in messages -%}
{%- set own = message.role == 'assistant' -%}
{%- set content = message.content or '' -%}
{%- set bubbles = namespace(texts=[], written=content) -%}
{%- if content and content[0] is mapping -%}
{%- for part in content if part.type == 'text' -%}
{%- set bubbles.texts = bubbles.texts + [plain(part.text)] -%}
{%- endfor -%}
{%- elif own -%}
{%- for begun in $begun -%}
{%- if bubbles.written == content and content.endswith(begun) -%}
{%- set bubbles.written = content[:(content | length) - (begun | length)] -%}
{%- endif -%}
{%- endfor -%}
{%- for bubble in bubbles.written.split($separator) if bubble.strip() -%}
{%- set bubbles.texts = bubbles.texts + [plain(bubble.strip())] -%}
{%- endfor -%}
{%- else -%}
{%- set bubbles.texts = [plain(content)] -%}
{%- endif -%}
{%- if own or message.role == 'user' -%}
{%- set talk.turns = talk.turns + [{'own': own, 'text': bubbles.texts | join($separator)}] -%}
{%- endif -%}
{%- endfor -%}
{%- if talk.turns and talk.turns[-1].own and not add_generation_prompt -%}
{%- set talk.reply = talk.turns[-1].text -%}
{%- set talk.turns = talk.turns[:-1] -%}
{%- endif -%}
{%- set add_generation_prompt = add_generation_prompt or talk.reply is not none -%}
"""

_TAGGED = """\
{%- for turn in talk.turns -%}
{%- set body = $author ~ turn.text ~ $closing if turn.own else $other ~ turn.text -%}
{%- set talk.text = talk.text ~ body ~ $turn_end -%}
{%- endfor -%}
"""
_PLAIN_TEXT = """\
{{- $start ~ talk.text -}}
{{- $opening if add_generation_prompt else '' -}}
"""

_IN_ONE_TURN = """\
{%- set talk.roles = [{'role': 'user', 'content': talk.text.strip() or $empty_turn}] -%}
"""
# Prompter._roles: strict alternation, from a user turn to a user turn.
_ALTERNATING = """\
{%- for turn in talk.turns -%}
{%- set role = 'assistant' if turn.own else 'user' -%}
{%- if talk.roles and talk.roles[-1].role == role -%}
{%- set joined = talk.roles[-1].content ~ $separator ~ turn.text -%}
{%- set talk.roles = talk.roles[:-1] + [{'role': role, 'content': joined}] -%}
{%- else -%}
{%- set talk.roles = talk.roles + [{'role': role, 'content': turn.text}] -%}
{%- endif -%}
{%- endfor -%}
{%- set silence = [{'role': 'user', 'content': $empty_turn}] -%}
{%- if not talk.roles or talk.roles[0].role == 'assistant' -%}
{%- set talk.roles = silence + talk.roles -%}
{%- endif -%}
{%- if talk.roles[-1].role == 'assistant' -%}
{%- set talk.roles = talk.roles + silence -%}
{%- endif -%}
"""
# The model's own template follows: what precedes it ends in a line break, which Jinja leaves out.
_SYSTEM_ROLE = """\
{%- set messages = [{'role': 'system', 'content': $system}] + talk.roles %}
"""
_SYSTEM_IN_USER = """\
{%- set first = $system ~ '\\n\\n' ~ talk.roles[0].content -%}
{%- set messages = [{'role': 'user', 'content': first}] + talk.roles[1:] %}
"""
_PREFILL = "{{ $prefill if add_generation_prompt else '' }}"
_REPLY = "{{ $lead ~ talk.reply ~ $end if talk.reply is not none else '' }}"


def exported(prompter: Prompter) -> str:
    """The chat template that writes messages as `prompter` does, without names and trimming.

    Raises UserError where tags overlap in a way that a template cannot express.
    """
    tags, numbered = _numbered(_ordered(_tags(prompter)))
    separator = prompter.separator
    _, spans = prompter.example((), ["x"], "")
    values: dict[str, Any] = {
        "tags": [(tag, f"{tag[0]} {tag[1:]}") for tag in tags],
        "numbered": numbered,
        "separator": separator,
        "begun": [separator[:size] for size in range(len(separator) - 1, 0, -1)],
        "system": prompter.system,
        "empty_turn": prompter.empty_turn,
        "prefill": prompter.prefill,
        "lead": " " * (spans[0]["end"] - spans[0]["start"]) if spans[0]["kind"] == "lead" else "",
        "end": prompter.end,
    }
    form = prompter.tags
    if form:
        values |= form.model_dump(include={"author", "other", "turn_end"})
        values["closing"] = prompter.end if form.closed else ""
    if form and form.reply is not None:
        values |= {"start": prompter.prompt((), "").removesuffix(form.reply), "opening": form.reply}
        pieces = [_PLAIN, _TURNS, _TAGGED, _PLAIN_TEXT, _REPLY]
        return _filled(pieces, values)
    pieces = [_PLAIN, _TURNS, *((_TAGGED, _IN_ONE_TURN) if form else (_ALTERNATING,))]
    pieces.append(_SYSTEM_ROLE if prompter.system_role else _SYSTEM_IN_USER)
    own = prompter._template
    return (
        _filled(pieces, values)
        + _settings(prompter, own)
        # As a template's last line break is never written, it must not be here either.
        + own.removesuffix("\n")
        + _filled([_PREFILL, _REPLY], values)
    )


def _filled(pieces: Iterable[str], values: dict[str, Any]) -> str:
    literals = {name: _literal(value) for name, value in values.items()}
    firsts = sorted({entry[0][0] for entry in [*values["tags"], *values["numbered"]]})
    literals["suspicious"] = " or ".join(f"{_literal(first)} in text" for first in firsts)
    return Template("".join(pieces)).substitute(literals)


def _literal(value: object) -> str:
    """`value` in Jinja; JSON's escapes are those that llama.cpp knows too."""
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _settings(prompter: Prompter, template: str) -> str:
    """Lines that set what the model's own `template` reads besides messages, whatever a client or
    engine passes: llama.cpp passes a thought and the date, and of the tokens only bos and eos.
    """
    settings = {"tools": "none", "documents": "none"}
    settings |= dict.fromkeys(("enable_thinking", "date_string", "datetime"), "never_defined")
    fixed = prompter.tokenizer.special_tokens_map | prompter.template_args
    settings |= {name: _literal(value) for name, value in fixed.items()}
    return "".join(
        f"{{%- set {name} = {value} %}}\n" for name, value in settings.items() if name in template
    )


def _tags(prompter: Prompter) -> set[str]:
    """The tags in which `Prompter.plain` puts a space; none is the beginning of another.

    At a place where a longer tag begins, the shorter one begins too, and one space is put.
    """
    parser = importlib.import_module("re._parser")
    every = sorted(set(_strings(parser.parse(prompter._tag.pattern))))
    minimal: list[str] = []
    for tag in every:  # sorted: a beginning of `tag` precedes it, and what is in between has it too
        if not minimal or not tag.startswith(minimal[-1]):
            minimal.append(tag)
    return set(minimal)


def _strings(pattern: Sequence[tuple[Any, Any]]) -> Iterator[str]:
    """All strings that a parsed regular expression without repetition matches or looks ahead to."""
    return map("".join, product(*(list(_choices(str(kind), value)) for kind, value in pattern)))


def _choices(kind: str, value: Any) -> Iterator[str]:  # noqa: ANN401
    match kind:
        case "LITERAL":
            yield chr(value)
        case "IN":
            for inner, code in value:
                yield from _choices(str(inner), code)
        case "BRANCH":
            for pattern in value[1]:
                yield from _strings(pattern)
        case "SUBPATTERN" | "ASSERT":
            yield from _strings(value[-1])
        case "MAX_REPEAT" if value[:2] == (0, 1):
            yield ""
            yield from _strings(value[2])
        case _:
            raise NotImplementedError(f"{kind} in the pattern of tags")


def _ordered(tags: set[str]) -> list[str]:
    """`tags` in an order in which replacing one after another equals replacing all at once.

    A tag that begins within another one must come after it: its space would hide the other.
    """
    by_beginning: dict[str, list[str]] = defaultdict(list)
    for tag in tags:
        by_beginning[tag[:2]].append(tag)
    before: dict[str, set[str]] = {tag: set() for tag in sorted(tags)}
    for outer in tags:
        for start in range(1, len(outer) - 1):
            for inner in by_beginning.get(outer[start : start + 2], ()):
                if outer[start : start + len(inner)] == inner[: len(outer) - start]:
                    before[inner].add(outer)
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError as error:
        raise UserError(
            f"The tags {' and '.join(sorted(set(error.args[1])))} overlap each other, so that no "
            "chat template can write them as training did: train with other tags (conf/format/)."
        ) from error


def _numbered(tags: Sequence[str]) -> tuple[list[str], list[tuple[str, str, int, int, str]]]:
    """`tags` without those that differ by a number only, and those: first character, rest of what
    precedes the number, lowest and highest number, and what follows it. Gemma has 6,000.
    """
    series: dict[tuple[str, str], list[int]] = defaultdict(list)
    for tag in tags:
        if match := _NUMBERED.fullmatch(tag):
            series[match[1], match[3]].append(int(match[2]))
    runs = []
    for (start, end), numbers in series.items():
        for _, run in groupby(enumerate(sorted(numbers)), lambda place: place[1] - place[0]):
            members = [number for _, number in run]
            if len(members) > 2:
                runs.append((start[0], start[1:], members[0], members[-1], end))
    within = {
        f"{first}{rest}{number}{end}"
        for first, rest, lowest, highest, end in runs
        for number in range(lowest, highest + 1)
    }
    return [tag for tag in tags if tag not in within], runs
