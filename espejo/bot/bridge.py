"""A bot in Telegram that writes with the trained model: python-telegram-bot around conversations.

The client asks Telegram for new messages (long polling), so nothing on this machine listens. Each
chat has a conversation of its own, in memory. Replies are written in one thread, those of all chats
in the order in which they were asked for; the loop of the client is always free for /stop.

Logs of the client and of its HTTP library hold web addresses, and with them the token: they are
switched off, and errors are told in sentences of ours.
"""

import asyncio
import logging
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

from telegram import LinkPreviewOptions, Message, Update
from telegram.constants import ChatAction, MessageLimit
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
)
from telegram.ext import (
    Application,
    CallbackContext,
    CommandHandler,
    ExtBot,
    MessageHandler,
    filters,
)
from telegram.request import HTTPXRequest

from espejo.bot.access import TOKEN, Access
from espejo.chat import transcripts
from espejo.chat.conversation import Conversation, typed
from espejo.core import escaping
from espejo.core.errors import UserError
from espejo.report.wording import Wording

# People write several messages in a row: those of so many seconds are read together.
LISTEN_SECONDS = 1.0
# What one chat may write in a minute. Telegram itself delivers some 20 replies a minute to a group.
MAX_PER_MINUTE = 60
# Ids of chats that are not allowed are shown up to this number: anybody may write to a bot.
MAX_SHOWN = 50
RETRY_SECONDS = (1, 3, 10, 30)
TYPING_SECONDS = 4  # the sign "typing" disappears after five
OUTAGE_SECONDS = 600  # between two lines about a network that fails


class BotWording(Wording):
    """What the bot says in one language, `en` or `es`."""

    folder = Path(__file__).parent


class _Bot(ExtBot):
    """A bot that shows its token nowhere, and whose polling reports a token that was withdrawn."""

    def __repr__(self) -> str:
        return "Bot"

    async def get_updates(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """As `Bot.get_updates`; the client's loop would end on InvalidToken, and tell nobody."""
        try:
            return await super().get_updates(*args, **kwargs)
        except InvalidToken:
            raise Forbidden("the token was rejected") from None


def _bot(token: str, base_url: str) -> _Bot:
    for name in ("telegram", "httpx", "httpcore"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [logging.NullHandler()], False
    # Proxies of the environment are for the internet.
    options = {"trust_env": base_url.startswith("https")}
    requests = [HTTPXRequest(httpx_kwargs=options) for _ in range(2)]
    return _Bot(token, base_url, request=requests[0], get_updates_request=requests[1])


def check(token: str, base_url: str) -> str:
    """Ask Telegram for the name of the bot with this `token`.

    Raises UserError when the token is wrong or Telegram cannot be reached.
    """

    async def ask() -> str:
        async with _bot(token, base_url) as bot:
            return bot.username

    try:
        return asyncio.run(ask())
    except TelegramError as error:
        raise _sentence(error) from None


def _sentence(error: TelegramError) -> UserError:
    """One sentence about `error`, whose own words may hold the token."""
    if isinstance(error, InvalidToken | Forbidden):
        return UserError(
            f"Telegram rejects the token in {TOKEN}: @BotFather has the present one (/token); set "
            "it and run the same command again."
        )
    if isinstance(error, Conflict):
        return UserError(
            "Another program answers as this bot, and Telegram admits one: end the other one, or "
            "if it is not yours, withdraw the token (/revoke at @BotFather)."
        )
    if isinstance(error, NetworkError) and not isinstance(error, BadRequest):
        return UserError(
            "Telegram cannot be reached: see whether this machine is online and may reach "
            "api.telegram.org, and run the same command again."
        )
    return UserError(
        f"Telegram refused what the bot asked for ({type(error).__name__}): wait a little and run "
        "the same command again."
    )


def parts(text: str) -> list[str]:
    """`text` in messages that are not too long for Telegram, which counts in UTF-16."""
    limit = MessageLimit.MAX_TEXT_LENGTH // (2 if text and max(text) > "\uffff" else 1)
    return [text[start : start + limit] for start in range(0, len(text), limit)]


@dataclass
class _Chat:
    """One chat: its conversation, what of it waits for a reply, and what it was told already."""

    conversation: Conversation
    wording: BotWording
    transcript: Path | None
    announced: bool = False
    silenced: bool = False
    told_text_only: bool = False
    told_too_many: bool = False
    waiting: list[str] = field(default_factory=list)
    times: deque[float] = field(default_factory=deque)  # when it wrote in the last minute
    tasks: set[asyncio.Task] = field(default_factory=set)
    replying: asyncio.Task | None = None
    stopped: Event = field(default_factory=Event)  # ends the reply that is being written
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)  # keeps the order

    def interrupt(self) -> None:
        """Drop all that is being written or waits, and all that was not sent yet."""
        self.stopped.set()
        self.stopped, self.replying = Event(), None
        self.waiting.clear()
        for task in self.tasks:
            task.cancel()


class Bridge:
    """Connects the allowed chats of one bot to conversations."""

    def __init__(
        self,
        access: Access,
        begin: Callable[[], Conversation],
        pause: float,
        wording: BotWording,
        language: str | None = None,
        save: Path | None = None,
    ) -> None:
        """`begin` makes a new conversation; `pause` in seconds comes before a further message.

        `wording` is the owner's; `language` that of all chats, or None for that of who writes.
        """
        self._access, self._begin, self._pause = access, begin, pause
        self._wording, self._language, self._save = wording, language, save
        self._chats: dict[int, _Chat] = {}
        self._one_by_one = ThreadPoolExecutor(1)
        self._shown: set[int] = set()
        self._counts = dict.fromkeys(("replies", "ignored", "undelivered"), 0)
        self._outage = -float(OUTAGE_SECONDS)  # when the last one was told
        self._failure: BaseException | None = None
        self._ending = False
        self._application: Application

    def run(self, token: str, base_url: str) -> None:
        """Answer until /stop of the owner, Ctrl-C or a signal; returns after a clean end.

        Raises UserError when Telegram refuses, and whatever the model raises.
        """
        application = Application.builder().bot(_bot(token, base_url)).build()
        application.post_init = self._started
        application.post_stop = self._interrupt_all
        allowed = filters.UpdateType.MESSAGE & filters.Chat(self._access.chats)
        commands = {
            "start": self._start,
            "help": self._help,
            "reset": self._reset,
            "stop": self._stop,
        }
        for name, answer in commands.items():
            application.add_handler(CommandHandler(name, answer, allowed))
        unknown = allowed & filters.COMMAND & filters.ChatType.PRIVATE
        application.add_handler(MessageHandler(unknown, self._help))
        application.add_handler(MessageHandler(allowed & filters.COMMAND, self._nothing))
        application.add_handler(MessageHandler(allowed & filters.TEXT, self._text))
        media = allowed & ~filters.StatusUpdate.ALL
        application.add_handler(MessageHandler(media, self._not_text))
        foreign = filters.UpdateType.MESSAGE & ~filters.Chat(self._access.chats)
        application.add_handler(MessageHandler(foreign, self._ignore))
        application.add_error_handler(self._error)
        self._application = application
        try:
            application.run_polling(
                allowed_updates=[Update.MESSAGE],
                drop_pending_updates=True,  # what was written before the start is not answered
            )
            if self._failure is not None:
                raise self._failure
        except TelegramError as error:
            raise _sentence(error) from None
        except Exception as error:
            if token in "".join(traceback.format_exception(error)):
                raise RuntimeError(f"{type(error).__name__}; its words hold the token") from None
            raise
        finally:
            self._one_by_one.shutdown(cancel_futures=True)
        self._tell("ended", **{name: str(count) for name, count in self._counts.items()})

    def _tell(self, key: str, **values: object) -> None:
        """A line for the owner, in the terminal."""
        print(self._wording.text(f"owner.{key}", **values), flush=True)

    async def _started(self, application: Application) -> None:
        owner, text = self._access.owner, self._wording.text
        self._tell(
            "started",
            name=application.bot.username,
            chats=len(self._access.chats),
            owner=text("owner.owner", id=owner) if owner else text("owner.no_owner"),
        )
        self._tell("kept" if self._save else "not_kept", folder=self._save)
        if not self._access.chats:
            self._tell("nobody")

    async def _interrupt_all(self, _: Application | None = None) -> None:
        for chat in self._chats.values():
            chat.interrupt()

    async def _error(self, _: object, context: CallbackContext) -> None:
        """The client asks again after a failure of the network; all else ends the bot."""
        error = context.error
        if not isinstance(error, NetworkError) or isinstance(error, BadRequest):
            self._fail(error or RuntimeError("an error without a name"))
        elif time.monotonic() - self._outage > OUTAGE_SECONDS:
            self._outage = time.monotonic()
            self._tell("unreachable")

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._end()

    def _end(self) -> None:
        """Let `run_polling` return; a second time, while it tidies up, would break its loop."""
        updater = self._application.updater
        if updater and updater.running and not self._ending:
            self._application.stop_running()
        self._ending = True

    async def _ignore(self, update: Update, _: CallbackContext) -> None:
        """Count a message of a chat that is not allowed; neither its text nor a name is kept."""
        message = _message(update)
        self._counts["ignored"] += 1
        if message.chat_id in self._shown or len(self._shown) > MAX_SHOWN:
            return
        self._shown.add(message.chat_id)
        many = len(self._shown) > MAX_SHOWN
        self._tell("many_ignored" if many else "ignored", id=message.chat_id)

    async def _nothing(self, *_: object) -> None:
        """A command in a group, for another bot."""

    async def _text(self, update: Update, _: CallbackContext) -> None:
        message = _message(update)
        if chat := self._admitted(message):
            chat.waiting.append(message.text or "")
            if chat.replying is None or chat.replying.done():
                chat.replying = self._do(chat, self._answer(chat, message))

    async def _not_text(self, update: Update, _: CallbackContext) -> None:
        """Photos, stickers and the like, which are not downloaded: a sentence for the first."""
        message = _message(update)
        if (chat := self._admitted(message)) and not chat.told_text_only:
            chat.told_text_only = True
            self._do(chat, self._announced(chat, message, "chat.text_only"))

    async def _help(self, update: Update, _: CallbackContext) -> None:
        message = _message(update)
        if chat := self._admitted(message):
            self._do(chat, self._announced(chat, message, "chat.help"))

    async def _start(self, update: Update, _: CallbackContext) -> None:
        message = _message(update)
        if chat := self._admitted(message, awake=False):
            chat.silenced = chat.announced = chat.told_text_only = False
            self._do(chat, self._announced(chat, message))

    async def _reset(self, update: Update, _: CallbackContext) -> None:
        message = _message(update)
        if chat := self._admitted(message):
            self._forget(chat)
            chat.announced = False
            self._do(chat, self._announced(chat, message))

    async def _stop(self, update: Update, _: CallbackContext) -> None:
        """From the owner's chat the end of the bot; from another one its silence there."""
        message = _message(update)
        chat = self._chat(message)
        if self._ending:
            return
        if message.chat_id == self._access.owner:
            await self._interrupt_all()
            with suppress(TelegramError):
                await message.reply_text(chat.wording.text("chat.ended"), do_quote=False)
            self._end()
        elif not chat.silenced:
            self._forget(chat)
            chat.silenced = True
            self._do(chat, self._send(chat, message, chat.wording.text("chat.stopped")))

    def _forget(self, chat: _Chat) -> None:
        """Forget the conversation; a copy on the disk stays, and the next one begins a new file."""
        chat.interrupt()
        # After the reply that is just being stopped.
        self._one_by_one.submit(chat.conversation.reset)
        chat.transcript = self._transcript()

    def _chat(self, message: Message) -> _Chat:
        """The chat of a message, which begins with its first one."""
        if message.chat_id not in self._chats:
            code = (message.from_user and message.from_user.language_code) or "en"
            language = self._language or ("es" if code.split("-")[0] == "es" else "en")
            self._chats[message.chat_id] = _Chat(
                self._begin(), BotWording(language), self._transcript()
            )
        return self._chats[message.chat_id]

    def _transcript(self) -> Path | None:
        """A file that names nobody: the time at which a conversation began."""
        return self._save and self._save / f"telegram_{datetime.now():%Y-%m-%d_%H%M%S_%f}.txt"

    def _admitted(self, message: Message, awake: bool = True) -> _Chat | None:
        """The chat of a message that is to be answered; None for one that is not.

        Not answered are other bots, without end otherwise; a chat that is silenced, unless it is
        not to be `awake`; what is beyond the limit of a minute; and nobody once the bot ends.
        """
        user = message.from_user
        if self._ending:
            return None
        if user and user.is_bot and not message.sender_chat:  # a group's admins may be anonymous
            return None
        chat = self._chat(message)
        if awake and chat.silenced:
            return None
        now = time.monotonic()
        while chat.times and chat.times[0] < now - 60:
            chat.times.popleft()
        if len(chat.times) >= MAX_PER_MINUTE:
            if not chat.told_too_many:
                chat.told_too_many = True
                self._do(chat, self._send(chat, message, chat.wording.text("chat.too_many")))
            return None
        chat.times.append(now)
        chat.told_too_many = False
        return chat

    def _do(self, chat: _Chat, work: Coroutine) -> asyncio.Task:
        """Do `work` for a chat, until it is interrupted; an error in it ends the bot."""
        task = asyncio.create_task(work)
        chat.tasks.add(task)

        def ended(task: asyncio.Task) -> None:
            chat.tasks.discard(task)
            if not task.cancelled() and (error := task.exception()):
                self._fail(error)

        task.add_done_callback(ended)
        return task

    async def _announced(self, chat: _Chat, message: Message, key: str | None = None) -> None:
        """Say that this is a bot, where that was not said yet, and then the sentence at `key`."""
        text = chat.wording.text
        if not chat.announced:
            chat.announced = True
            kept = text("chat.kept" if self._save else "chat.not_kept")
            await self._send(chat, message, text("chat.announcement", kept=kept))
        if key:
            await self._send(chat, message, text(key))

    async def _answer(self, chat: _Chat, message: Message) -> None:
        """Reply to all that waits in a chat, and to what comes in the meantime."""
        await self._announced(chat, message)
        await asyncio.sleep(LISTEN_SECONDS)
        while chat.waiting:
            texts, chat.waiting = chat.waiting, []
            loop = asyncio.get_running_loop()
            writing = loop.run_in_executor(
                self._one_by_one, _written, chat.conversation, texts, chat.stopped
            )
            bubbles = await self._while_typing(message, writing)
            if bubbles is None:
                continue
            if chat.transcript:  # now: a /stop or /reset may come between two bubbles
                transcripts.save(chat.conversation.turns, chat.wording, chat.transcript)
            for index, bubble in enumerate(bubbles or [chat.wording.text("chat.nothing")]):
                if index:
                    await self._while_typing(message, asyncio.sleep(self._pause))
                await self._send(chat, message, bubble)
            self._counts["replies"] += 1
            if number := chat.conversation.left_out:
                left_out = chat.wording.text("chat.left_out", number=chat.wording.number(number))
                await self._send(chat, message, left_out)

    async def _while_typing(self, message: Message, work: Awaitable) -> Any:  # noqa: ANN401
        """The result of `work`; until it is there the chat shows that the bot is typing."""
        future = asyncio.ensure_future(work)
        while not future.done():
            with suppress(TelegramError):
                await message.reply_chat_action(ChatAction.TYPING)
            await asyncio.wait([future], timeout=TYPING_SECONDS)
        return future.result()

    async def _send(self, chat: _Chat, message: Message, text: str) -> None:
        """Send `text` as plain text to the chat of `message`, after all that was sent there."""
        plain = escaping.terminal(text, lines=True)
        async with chat.sending:
            for part in parts(plain):
                await self._deliver(message, part)

    async def _deliver(self, message: Message, text: str) -> None:
        """Send one message; where the network fails, several times before it is given up."""
        for pause in RETRY_SECONDS:
            seconds = float(pause)
            try:
                await message.reply_text(
                    text,
                    do_quote=False,
                    link_preview_options=LinkPreviewOptions(is_disabled=True),
                )
                return
            except RetryAfter as error:
                seconds = error._retry_after.total_seconds()
            except (BadRequest, ChatMigrated, Forbidden):  # the person has blocked the bot, say
                break
            except NetworkError:
                pass
            await asyncio.sleep(seconds)
        self._counts["undelivered"] += 1


def _message(update: Update) -> Message:
    assert update.message is not None  # as the filters of all handlers ask
    return update.message


def _written(conversation: Conversation, texts: Iterable[str], stopped: Event) -> list[str] | None:
    """Say `texts` and read the reply: its messages. None where there was nothing to reply to.

    The sentence of the decline list comes first. `stopped` ends the reply early.
    """
    texts = [text for text in texts if typed(text)]
    if not texts or stopped.is_set():
        return None
    declined = [answer for answer in map(conversation.say, texts) if answer is not None]
    if len(declined) == len(texts):
        return declined[:1]
    bubbles = [""]
    with closing(conversation.reply()) as reply:
        for piece in reply:
            if stopped.is_set():
                break
            if piece is None:
                bubbles.append("")
            elif isinstance(piece, str):
                bubbles[-1] += piece
    return declined[:1] + [bubble.strip() for bubble in bubbles if bubble.strip()]
