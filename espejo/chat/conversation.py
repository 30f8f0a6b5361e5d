"""A conversation with a trained model: its turns and the next reply, for any front end."""

import time
import unicodedata
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import regex
import yaml
from pydantic import ValidationError

from espejo.chat.decline import Blocklist
from espejo.chat.engine import Engine, Reply
from espejo.chat.stream import messages
from espejo.core.errors import UserError
from espejo.core.tables import Turn
from espejo.formatting.prompts import trim
from espejo.model import manifest as manifests
from espejo.model.config import GenerateConfig

BOT, PERSON = "bot", "person"

# No writing: control characters, but for line breaks and tabs.
_CONTROL = regex.compile(r"(?![\n\t])\p{Cc}")


@dataclass(frozen=True)
class _Text:
    """The text that the model reads on, as in training: it begins with the turn `start`.

    `written` is what stands in it so far, up to the end of its last reply.
    """

    start: int = 0
    replies: int = 0
    written: str = ""


class Conversation:
    """The turns of one person's conversation with the model of `engine`.

    The model reads what it read in training: up to `group.history` turns before the first reply of
    a text, and then up to `format.replies_per_text` replies in that text, as long as it is no
    longer than `format.max_context_chars`. A pause longer than `group.session_gap` begins a new
    session, and with it a new text.
    """

    def __init__(
        self,
        engine: Engine,
        generate: GenerateConfig,
        blocklist: Blocklist,
        clock: Callable[[], float] = time.time,
    ) -> None:
        manifest = engine.manifest
        self.engine, self.generate, self.blocklist = engine, generate, blocklist
        self._clock = clock
        self._history: int = manifest["history"]
        # Each question is answered by itself, as in its table.
        alone = manifests.kind_of(manifest) == "questions"
        self._replies_per_text: int = 1 if alone else manifest["format"]["replies_per_text"]
        self._turn_gap = pd.Timedelta(manifest.get("turn_gap", "1h")).total_seconds()
        self._session_gap = pd.Timedelta(manifest.get("session_gap", "3h")).total_seconds()
        self.reset()

    def reset(self) -> None:
        """Forget the conversation, and begin another."""
        self._id = uuid.uuid4()  # under which the engine remembers what it has read
        self.turns: list[Turn] = []
        self.left_out = 0
        self._session, self._last_time = 0, self._clock()
        self._text = self._text_before = _Text()

    def say(self, text: str) -> str | None:
        """Add a message of the person; what comes soon after another of theirs joins its turn.

        A message with a blocked topic is not added, so that no later prompt quotes it: the sentence
        that answers it is returned instead.
        """
        text = typed(text)
        if self.blocklist.matches(text):
            return self.blocklist.answer
        now = self._clock()
        pause, self._last_time = now - self._last_time, now
        if self.turns and pause > self._session_gap:
            self._session = len(self.turns)
            self._text = _Text(start=self._session)
        elif self.turns and self.turns[-1]["author"] == PERSON and pause <= self._turn_gap:
            self.turns[-1]["messages"].append(text)
            return None
        self.turns.append({"author": PERSON, "messages": [text]})
        return None

    def reply(self, base: bool = False) -> Reply:
        """The reply to the person's last turn: text while it is generated, None between messages.

        `Waiting` comes first while other people are served. The tuned model's reply becomes part of
        the conversation, also when it is cut short: as far as it was read. With `base` the base
        model replies instead, and its reply is not kept. Raises UserError before the first turn.
        """
        if not self.turns:
            raise UserError("There is nothing to reply to yet: say something first.")
        text, context = self._next_text()
        prompter = self.engine.prompter
        prompt = prompter.prompt(context, BOT)
        raw = self.engine.pieces(prompt, self.generate, self._id, base)
        texts = [""]
        try:
            for piece in messages(raw, prompter.separator, prompter.stops):
                if piece is None:
                    texts.append("")
                elif isinstance(piece, str):
                    texts[-1] += piece
                yield piece
        finally:
            raw.close()
            reply = [written.strip() for written in texts if written.strip()]
            if reply and not base:
                self._keep(text, context, reply)

    def regenerate(self) -> Reply:
        """Another reply in place of the last one."""
        if self.turns and self.turns[-1]["author"] == BOT:
            self.turns.pop()
            self._text = self._text_before
        return self.reply()

    def set(self, name: str, value: str) -> None:
        """Change a setting of generation, such as temperature, for this conversation.

        Raises UserError when there is no such setting, or the value does not fit.
        """
        if name not in _SETTINGS:
            raise UserError(f"{name} is no setting of replies: there are {', '.join(_SETTINGS)}.")
        try:
            number = yaml.safe_load(value)
            if GenerateConfig.model_fields[name].annotation is float and isinstance(number, int):
                number = float(number)
            settings = self.generate.model_dump() | {name: number}
            self.generate = GenerateConfig.model_validate(settings)
        except (yaml.YAMLError, ValidationError) as error:
            details = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "a number"
            expected = details.replace("Input should be ", "")
            raise UserError(f"{name} cannot be {value!r}: it has to be {expected}.") from error

    def _keep(self, text: _Text, context: Sequence[Turn], reply: list[str]) -> None:
        """Add a reply, unless the conversation went on or was begun anew in the meantime."""
        if not self.turns or self.turns[-1]["author"] != PERSON:
            return
        self.turns.append({"author": BOT, "messages": reply})
        self._last_time = self._clock()
        written, _ = self.engine.prompter.example(context, reply, BOT)
        self._text_before = self._text
        self._text = replace(text, replies=text.replies + 1, written=written)

    def _next_text(self) -> tuple[_Text, list[Turn]]:
        """The text that the next reply goes into, and the turns that it holds before that reply.

        The text of the reply before, if it may be continued by the rule of
        `formatting.training_texts`; else a new one.
        """
        prompter, text = self.engine.prompter, self._text
        # Up to the person's last turn: the base model replies to what the bot has replied to too.
        end = max(n for n, turn in enumerate(self.turns, 1) if turn["author"] == PERSON)
        context = self.turns[text.start : end]
        continues = (
            text.replies < self._replies_per_text
            and trim(context, prompter.max_context_chars) == context
            and prompter.prompt(context, BOT).startswith(text.written)
        )
        if not continues:
            text = _Text(start=max(self._session, end - self._history))
            context = self.turns[text.start : end]
        kept = self._fitting(context)
        self.left_out = _characters(context) - _characters(kept)
        return replace(text, start=text.start + len(context) - len(kept)), kept

    def _fitting(self, context: list[Turn]) -> list[Turn]:
        """The newest of `context`, so that prompt and reply fit in what the model can read."""
        prompter = self.engine.prompter
        limit = max(1, self.engine.max_tokens - self.generate.max_new_tokens)
        chars = prompter.max_context_chars
        kept = trim(context, chars)
        while chars > 1 and _tokens(prompter.prompt(kept, BOT), prompter.tokenizer) > limit:
            chars = min(chars, _characters(kept)) * 3 // 4
            kept = trim(context, chars)
        return kept


_SETTINGS = tuple(GenerateConfig.model_fields)


def typed(text: str) -> str:
    """What a person typed or sent, as text only: NFC, without control characters.

    Halves of characters (lone surrogates, from bytes that are not UTF-8) become U+FFFD.
    """
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    lines = whole.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", _CONTROL.sub("", lines)).strip()


def _characters(turns: Sequence[Turn]) -> int:
    return sum(len(message) for turn in turns for message in turn["messages"])


def _tokens(prompt: str, tokenizer: Callable) -> int:
    return len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
