"""What the model reads: a context and a reply as one text, with the spans that are the author's.

Training, scoring and chat all use `Prompter`, so that a model always reads the form that it was
trained on. Three forms: the model's own chat template with roles; the whole context between tags
inside one user turn of that template; or plain text between tags, for models without a template.
"""

import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from espejo.core.config import checked
from espejo.core.errors import UserError
from espejo.core.tables import Span, Turn
from espejo.formatting.config import FormatConfig, Tags
from espejo.model.config import ModelConfig
from espejo.model.manifest import FILE, model_config

# The control tokens of every model family in conf/model, whichever is in use: all models are scored
# on the same characters. `Prompter` adds the ones of the model in use.
_CONTROL = (
    r"[<\[](?=[|｜]|<SYS>>|/?(?:s|bos|eos|pad|unk|think|start_of_turn|end_of_turn)>"
    r"|/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])"
)
# Structure in a template or its output: <tag>, [TAG] and headings.
_MARK = re.compile(r"<[^<>\s]+>|\[/?[A-Z_]+\]|^#+ .*\S", re.MULTILINE)
# How templates ask for today's date.
_CLOCK = re.compile(r"""strftime_now\(\s*(?P<quote>["'])(?P<form>.*?)(?P=quote)\s*\)""")
# An empty thought: a template or prefill writes it for models that must not think aloud.
_NO_THOUGHT = re.compile(r"<think>\s*</think>\s*")


@dataclass(frozen=True)
class Prompter:
    """Writes prompts for one tokenizer. `tags` is None where the chat template has the roles.

    `date` (ISO) is today's date for the template; `prefill` is added to its generation prompt.
    """

    tokenizer: PreTrainedTokenizerBase
    system: str
    empty_turn: str
    separator: str
    max_context_chars: int
    tags: Tags | None = None
    system_role: bool = True
    template_args: dict = field(default_factory=dict)
    date: str | None = None
    prefill: str = ""

    def prompt(
        self,
        context: Sequence[Turn],
        author: str,
        group: bool = False,
        shots: Sequence[Turn] = (),
    ) -> str:
        """The text before the reply; the model goes on from here.

        `shots` are turns of other conversations, as examples, before the context; the limit of
        characters is the context's alone.
        """
        return self._prompt(context, author, group, shots=shots)

    def where(
        self, turns: Collection[int], context: Sequence[Turn], author: str, group: bool = False
    ) -> list[Span]:
        """Where in the prompt the words of some turns stand, as spans of kind context.

        `turns` are indices in `context`, from 0; turns beyond the limit of characters have no span.
        A template may move and trim text, so the words are found by marks put around them.
        """
        prompt = self.prompt(context, author, group)
        # Noncharacters from the end of Unicode; still, a person may have written them.
        unused = (mark for mark in map(chr, range(sys.maxunicode, 0, -1)) if mark not in prompt)
        marks = next(unused) + next(unused)
        marked = self._prompt(context, author, group, turns, marks)
        pieces = re.split(f"[{marks}]", marked)
        ends = list(accumulate(map(len, pieces)))
        return [
            {"start": start, "end": end, "kind": "context"}
            for start, end in zip(ends[0:-1:2], ends[1:-1:2], strict=True)
        ]

    def _prompt(
        self,
        context: Sequence[Turn],
        author: str,
        group: bool,
        marked: Collection[int] = (),
        marks: str = "",
        shots: Sequence[Turn] = (),
    ) -> str:
        kept = trim(context, self.max_context_chars)
        if shots and (not kept or kept[0]["author"] == author):
            # The author opens: without a turn in between, the last example and the context would
            # merge.
            kept = [{"author": "", "messages": [self.empty_turn]}, *kept]
        turns = []
        before = [*shots, *kept]
        first = len(context) - len(before)  # so that indices count in the whole context
        for index, turn in enumerate(before, first):
            own = turn["author"] == author
            text = self._joined(turn, group and not own)
            if index in marked:
                # Around the blanks, marks would prevent the template's trimming.
                words = text.strip()
                text = text.replace(words, marks[0] + words + marks[1]) if words else text
            turns.append((own, text))
        if self.tags:
            closing = self.end if self.tags.closed else ""
            body = "".join(
                (self.tags.author + text + closing if own else self.tags.other + text)
                + self.tags.turn_end
                for own, text in turns
            )
            if self.tags.reply is not None:
                return self._start + body + self.tags.reply
            return self._open([{"role": "user", "content": body.strip() or self.empty_turn}])
        return self._open(self._roles(turns))

    def example(
        self,
        context: Sequence[Turn],
        reply: Sequence[str],
        author: str,
        group: bool = False,
        shots: Sequence[Turn] = (),
    ) -> tuple[str, list[Span]]:
        """Prompt and reply as one text, and the spans of the reply's parts.

        Raises UserError if the template's prompt is not a prefix of the text with the reply.
        """
        prompt = self.prompt(context, author, group, shots)
        pieces: list[tuple[str, str]] = [("lead", self._closing[0])] if self._closing[0] else []
        for index, message in enumerate(reply):
            if index:
                pieces.append(("separator", self.separator))
            pieces.append(("message", self.plain(message)))
        pieces.append(("end", self.end))
        spans: list[Span] = []
        text = prompt
        for kind, piece in pieces:
            spans.append({"start": len(text), "end": len(text) + len(piece), "kind": kind})
            text += piece
        return text, spans

    @property
    def end(self) -> str:
        """The text of the token that ends a reply: the tag, or what the template writes there."""
        return self._closing[1]

    @cached_property
    def stops(self) -> tuple[str, ...]:
        """Stop strings: a generated reply ends at the first of them.

        They include the tags of a next turn, which an untrained model writes instead of ending.
        """
        stops = [self.end, *self.tokenizer.all_special_tokens]
        stops = [stop for stop in stops if stop != self.separator]  # an added token of GPT-2's
        if self.tags and self.tags.reply is not None:
            stops += [self.tags.other.strip(), self.tags.author.strip()]
        return tuple(stops)

    @cached_property
    def _closing(self) -> tuple[str, str]:
        """What stands before a reply (spaces, which belong to its first token) and what ends it."""
        if self.tags and self.tags.reply is not None:
            return "", self.tags.end or self.tokenizer.eos_token
        probe = "espejo"
        user = {"role": "user", "content": probe}
        prompt = _NO_THOUGHT.sub("", self._open([user]))
        whole = _NO_THOUGHT.sub("", self._render([user, {"role": "assistant", "content": probe}]))
        lead, _, ending = whole.removeprefix(prompt).partition(probe)
        stops = [token for token in self.tokenizer.all_special_tokens if token in ending]
        if not whole.startswith(prompt) or lead.strip(" ") or not stops:
            raise UserError(
                "The chat template does not continue from its own generation prompt, or closes a "
                f"reply with no special token (it wrote {ending!r}): set model.prefill, or choose "
                "a format that needs no template, such as `-S format=turns`."
            )
        # Text after the end token (usually a line break) is never generated, so it is not learnt.
        first = min(stops, key=ending.index)
        return lead, ending[: ending.index(first) + len(first)]

    @cached_property
    def _start(self) -> str:
        if self.tags and self.tags.start is not None:
            return self.tags.start
        first = self.tokenizer("")["input_ids"][:1]
        return self.tokenizer.bos_token if first == [self.tokenizer.bos_token_id] else ""

    def bubbles(self, reply: str) -> list[str]:
        """The messages of a generated reply, without empty ones. If the limit of new tokens cut a
        separator in two, its first part is left out.
        """
        reply = reply[: len(reply) - begun(reply, self.separator)]
        return [part.strip() for part in reply.split(self.separator) if part.strip()]

    def _joined(self, turn: Turn, named: bool) -> str:
        messages = list(turn["messages"])
        if named:  # "### Answer" is a name, and with its colon a tag
            messages[:1] = [f"{turn['author']}: {''.join(messages[:1])}"]
        return self.separator.join(map(self.plain, messages))

    def plain(self, text: str) -> str:
        """`text` with a space inside every tag that it quotes, so that the tokenizer reads plain
        text.

        The space comes after the first character: the tag stays readable, and unlike a zero-width
        character a space is nothing new to a model. Nothing is removed, so that the text around a
        tag cannot join to a new one; a tag that the space itself makes gets a space too.
        """
        # A function: for a replacement with \g<0>, re hashes the pattern of thousands of tags anew
        # at each call, which took five sixths of the time of `format`.
        while (opened := self._tag.sub(lambda sign: f"{sign[0]} ", text)) != text:
            text = opened
        return text

    @cached_property
    def _tag(self) -> re.Pattern:
        """A pattern for the first character of every tag that acts on the model or its template.

        These are the tokenizer's added and special tokens, and the tags of the form and the
        template. Blanks do not count, although some tokenizers add line breaks as tokens, nor do
        single characters, which a space cannot split.
        """
        form = [self.separator]
        if self.tags:
            form += [tag for tag in vars(self.tags).values() if isinstance(tag, str)]
        around = [*form, self.prefill]
        if not self.tags or self.tags.reply is None:
            question, answer = (
                {"role": role, "content": "espejo"} for role in ("user", "assistant")
            )
            around += [self._template, self._render([question, answer, question])]
        written = [mark for text in around for mark in _MARK.findall(text)]
        tokens = [token.content for token in self.tokenizer.added_tokens_decoder.values()]
        tags = {
            tag.strip() for tag in (*form, *written, *tokens, *self.tokenizer.all_special_tokens)
        }
        rests: dict[str, list[str]] = {}  # by first two characters: there may be thousands of tags
        for tag in sorted(tags):
            if len(tag) > 1:
                rests.setdefault(tag[:2], []).append(re.escape(tag[2:]))
        patterns = (
            f"{re.escape(two[0])}(?={re.escape(two[1])}(?:{'|'.join(rest)}))"
            for two, rest in rests.items()
        )
        return re.compile("|".join((_CONTROL, *patterns)))

    def _roles(self, turns: Sequence[tuple[bool, str]]) -> list[dict[str, str]]:
        """Turns as user and assistant in strict alternation, from a user turn to a user turn.

        Many templates refuse anything else. Adjacent turns of one role become one message; where a
        user turn is missing (the author opens, or writes again after a pause), it is `empty_turn`.
        """
        roles: list[dict[str, str]] = []
        for own, text in turns:
            role = "assistant" if own else "user"
            if roles and roles[-1]["role"] == role:
                roles[-1]["content"] += self.separator + text
            else:
                roles.append({"role": role, "content": text})
        if not roles or roles[0]["role"] == "assistant":
            roles.insert(0, {"role": "user", "content": self.empty_turn})
        if roles[-1]["role"] == "assistant":
            roles.append({"role": "user", "content": self.empty_turn})
        return roles

    def _open(self, roles: list[dict[str, str]]) -> str:
        return self._render(roles, add_generation_prompt=True) + self.prefill

    def _render(self, roles: list[dict[str, str]], add_generation_prompt: bool = False) -> str:
        if self.system_role:
            messages = [{"role": "system", "content": self.system}, *roles]
        else:
            first = {"role": "user", "content": f"{self.system}\n\n{roles[0]['content']}"}
            messages = [first, *roles[1:]]
        text = self.tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            chat_template=self._template,
            **self.template_args,
        )
        assert isinstance(text, str)  # not tokens, since tokenize=False
        return text

    @cached_property
    def _template(self) -> str:
        """The chat template, with `date` instead of the clock that transformers passes to it."""
        if not self.tokenizer.chat_template:
            raise UserError(
                "This model has no chat template, so roles cannot be written: choose a format "
                "between tags, such as `-S format=turns`."
            )
        template = self.tokenizer.get_chat_template()
        if self.date is None and "strftime_now(" in template:
            raise UserError(
                "The chat template prints today's date, so the same chats would give other data "
                "tomorrow: set model.date to a fixed one (YYYY-MM-DD)."
            )
        if self.date is None:
            return template
        today = date.fromisoformat(self.date)
        return _CLOCK.sub(lambda call: repr(today.strftime(call["form"])), template)


def begun(text: str, mark: str) -> int:
    """Length of the longest suffix of `text` that is a prefix of `mark`; 0 for none."""
    longest = min(len(text), len(mark) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(mark[:size])), 0)


def trim(context: Sequence[Turn], max_chars: int) -> list[Turn]:
    """The context without its oldest turns above `max_chars`; a last turn longer than that keeps
    its end. Characters, not tokens: every model sees the same context."""
    kept: list[Turn] = []
    left = max_chars
    for turn in reversed(context):
        size = sum(map(len, turn["messages"]))
        if size > left:
            if not kept:
                kept.append({"author": turn["author"], "messages": _tail(turn["messages"], left)})
            break
        kept.append(turn)
        left -= size
    return kept[::-1]


def _tail(messages: Sequence[str], chars: int) -> list[str]:
    kept: list[str] = []
    for message in reversed(messages):
        if chars <= 0:
            break
        kept.append(message[-chars:])
        chars -= len(message)
    return kept[::-1]


def prompter(
    tokenizer: PreTrainedTokenizerBase, model: ModelConfig, config: FormatConfig
) -> Prompter:
    """The prompter that the params sections `model` and `format` describe."""
    return Prompter(
        tokenizer=tokenizer,
        system=config.system + model.system_suffix,
        empty_turn=config.empty_turn,
        separator=model.separator,
        max_context_chars=config.max_context_chars,
        tags=config.tags,
        system_role=model.system_role,
        template_args=model.template_args or {},
        date=model.date,
        prefill=model.prefill,
    )


def trained_prompter(tokenizer: PreTrainedTokenizerBase, manifest: Mapping) -> Prompter:
    """The prompter with which the model of a `manifest` (espejo.json) was trained.

    Raises UserError where the manifest is of a version that lacks a setting.
    """
    config = checked(FormatConfig, manifest["format"], Path(FILE))
    return prompter(tokenizer, model_config(manifest), config)
