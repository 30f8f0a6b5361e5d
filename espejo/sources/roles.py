"""Conversations as tools for fine-tuning write them: messages with a role.

{"messages": [{"role": "user", "content": "…"}, …]} a line, or a JSON list of such objects; also the
layout of ShareGPT, {"conversations": [{"from": "human", "value": "…"}, …]}. A conversation is a
chat of its own; there are no times and no names, only roles.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from hashlib import blake2b

from espejo.sources import items
from espejo.sources.account import Account, Unreadable
from espejo.sources.export import Export, Options, Record, SourceFile
from espejo.sources.items import Layout
from espejo.sources.json_text import head_text, text_in
from espejo.sources.splits import split_of_path

NAME = "roles"
LAYOUT = Layout({"messages": ("messages", "conversations"), "split": ("split",)}, ("messages",))

# Who a role is. All others (system, developer, tool, function) are nobody's writing.
_AUTHORS = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
}
_OTHER_ROLES = (
    "system",
    "developer",
    "tool",
    "function",
    "function_call",
    "observation",
    "ipython",
)
_MEDIA = {
    "image": "<photo>",
    "audio": "<audio>",
    "video": "<video>",
    "file": "<file>",
    "document": "<file>",
}
_ROLES = "|".join((*_AUTHORS, *_OTHER_ROLES))
_LIST = re.compile(r'"(?:messages|conversations)"\s*:\s*\[\s*[{\]]')
_ROLE = re.compile(rf'"(?:role|from)"\s*:\s*"(?i:{_ROLES})"')
_WORDS = re.compile(r'"(?:content|value|tool_calls|function_call)"\s*:')


def recognises(file: SourceFile) -> bool:
    """Whether a file holds conversations of roles, by its content."""
    head = head_text(file).lstrip()
    if not re.match(r"(?:\[\s*)?\{", head):
        return False
    conversation = _LIST.search(head)
    if not conversation:
        return False
    message = head[conversation.start() :]
    return bool(_ROLE.search(message) and _WORDS.search(message))


def read(files: Sequence[SourceFile], options: Options) -> list[Export]:
    """Read files of conversations; each file gives one Export, each conversation is a chat.

    Raises ExportError for a file that cannot be read.
    """
    return [_read_file(file) for file in files]


def _read_file(file: SourceFile) -> Export:
    account = Account(file, items.ADVICE)
    records: list[Record] = []
    file_split = split_of_path(file.path)
    number = 0
    copies: Counter[str] = Counter()
    values = items.json_items(file, items.read_text(file)[0], LAYOUT)
    for number, (_, where, split, value) in enumerate(items.by_use(values, LAYOUT), 1):
        try:
            messages = _messages(value)
        except Unreadable as problem:
            account.add_items(1)
            account.add_unreadable(where, problem)
            continue
        # By its words: the same file may lie there unpacked and in a .zip.
        digest = blake2b(json.dumps(messages).encode(), digest_size=16).hexdigest()
        copies[digest] += 1
        id_ = f"{split or file_split} {digest} {copies[digest]}"
        chat = partial(_record, id_, str(number), split or file_split)
        records += account.records(f"{where}, message", enumerate(messages, 1), chat)
    account.check()
    decisions = f"{number} {'conversation' if number == 1 else 'conversations'}, no times"
    return Export(file.name, NAME, records, account.items, account.dropped, decisions)


def _messages(value: dict[str, object] | Unreadable) -> list[object]:
    """Return the messages of a conversation. Raises Unreadable."""
    if isinstance(value, Unreadable):
        raise value
    if not isinstance(messages := value["messages"], list):
        raise Unreadable("expected a list of messages")
    return messages


def _record(chat_id: str, chat: str, split: str | None, line: int, message: object) -> Record | str:
    """Return the record of a message, or why there is none. Raises Unreadable."""
    if not isinstance(message, dict):
        raise Unreadable('expected {"role": "user", "content": "…"}')
    role = text_in(message.get("role") or message.get("from"))
    if not role:
        raise Unreadable("expected a role")
    content = message.get("content")
    text, medium = _join_parts(message.get("value") if content is None else content)
    author = _AUTHORS.get(role.lower())
    if not text.strip() and not medium:
        if not message.get("tool_calls") and not message.get("function_call"):
            return "empty"
        author = None  # what a program asks another for
    kind = "system" if author is None else "media" if medium else "message"
    return Record(
        chat_id=chat_id,
        chat=chat,
        line=line,
        instant=None,
        author_id=author,
        author=author,
        kind=kind,
        text=text or medium,
        caption=text if kind == "media" else "",
        message_id=str(line),
        split=split,
    )


def _join_parts(content: object) -> tuple[str, str]:
    """Return the text of a content and what stands for its medium. Raises Unreadable."""
    if content is None:
        return "", ""
    if isinstance(content, str):
        return content, ""
    if not isinstance(content, list):
        raise Unreadable("expected a text or a list of parts")
    texts, medium = [], ""
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif not isinstance(part, dict):
            raise Unreadable("expected parts that are texts or objects")
        elif words := [part[key] for key in ("text", "refusal") if isinstance(part.get(key), str)]:
            texts += words
        else:  # a medium, or what a model thinks or asks of a tool
            name = str(part.get("type"))
            medium = medium or next((word for key, word in _MEDIA.items() if key in name), "")
    return "".join(texts), medium
