"""A stand-in for Telegram's server on loopback: as much of the Bot API as the bridge uses.

It keeps every call, refuses what Telegram refuses (a wrong token, a message without text or too
long), and hands out each update until it is confirmed, as Telegram does.
"""

import json
import time
from collections import defaultdict
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from urllib.parse import parse_qs

TOKEN = "123456789:AAtestTESTtestTESTtestTESTtestTEST_-x"
ME = {"id": 123456789, "is_bot": True, "first_name": "Espejo", "username": "espejo_test_bot"}
MAX_CHARACTERS = 4096


class FakeTelegram:
    """The server, and what people do: `write` as one, read what a chat was `sent`."""

    def __init__(self):
        self.calls = []  # (method, parameters, time)
        self.failures = []  # (method, status, further fields): the next calls fail so
        self.revoked = False
        self._updates, self._changed = [], Condition()
        self._last_update = self._last_message = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                token, method = self.path.removeprefix("/bot").split("/", 1)
                values = {name: value[0] for name, value in parse_qs(body).items()}
                status, answer = outer.answer(token, method, values)
                payload = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                with suppress(BrokenPipeError):  # a bot that was stopped in the meantime
                    self.wfile.write(payload)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    # What the bot asks for.

    def answer(self, token, method, values):
        """Status and JSON of one call."""
        with self._changed:
            self.calls.append((method, values, time.monotonic()))
            self._changed.notify_all()
            failure = next((f for f in self.failures if f[0] == method), None)
            if failure:
                self.failures.remove(failure)
                return failure[1], {"ok": False, "error_code": failure[1], **failure[2]}
        if token != TOKEN or self.revoked:
            return 401, {"ok": False, "error_code": 401, "description": "Unauthorized"}
        result = getattr(self, f"_{method}", None)
        if result is None:
            return 404, {"ok": False, "error_code": 404, "description": "Not Found"}
        return result(values)

    def _getMe(self, _):
        return 200, {"ok": True, "result": ME}

    def _deleteWebhook(self, values):
        if values.get("drop_pending_updates") == "true":
            self._updates.clear()
        return 200, {"ok": True, "result": True}

    def _getUpdates(self, values):
        offset, end = int(values.get("offset", 0)), time.monotonic() + int(values["timeout"])
        with self._changed:
            self._updates[:] = [u for u in self._updates if u["update_id"] >= offset]
            while not self._updates and not self.revoked and time.monotonic() < end:
                self._changed.wait(end - time.monotonic())
            return 200, {"ok": True, "result": self._updates[:100]}

    def _sendChatAction(self, _):
        return 200, {"ok": True, "result": True}

    def _sendMessage(self, values):
        text = values.get("text", "")
        if not text.strip() or len(text.encode("utf-16-le")) > 2 * MAX_CHARACTERS:
            return 400, {"ok": False, "error_code": 400, "description": "Bad Request: text"}
        return 200, {"ok": True, "result": self._message(int(values["chat_id"]), ME, text=text)}

    # What people do.

    def _message(self, chat, user, **content):
        self._last_message += 1
        kind = "private" if chat > 0 else "supergroup"
        head = {"message_id": self._last_message, "date": int(time.time())}
        return head | {"chat": {"id": chat, "type": kind}, "from": user} | content

    def write(self, chat, text=None, language="es", user=None, kind="message", **content):
        """A person writes in a chat: a text, or other content such as a `sticker`."""
        user = {"id": user or abs(chat), "is_bot": False, "first_name": "Zoila Secreta"} | (
            {"language_code": language} if language else {}
        )
        if text is not None:
            content["text"] = text
            if text.startswith("/"):
                length = len(text.split()[0])
                content["entities"] = [{"type": "bot_command", "offset": 0, "length": length}]
        with self._changed:
            self._last_update += 1
            message = self._message(chat, user, **content)
            self._updates.append({"update_id": self._last_update, kind: message})
            self._changed.notify_all()

    def revoke(self):
        """Withdraw the token, while the bot is waiting for messages."""
        with self._changed:
            self.revoked = True
            self._changed.notify_all()

    # What came of it.

    def sent(self, chat):
        """The texts sent to a chat, in order."""
        with self._changed:
            calls = [values for method, values, _ in self.calls if method == "sendMessage"]
        return [values["text"] for values in calls if int(values["chat_id"]) == chat]

    def wait(self, condition, seconds=60):
        """Wait until `condition()`; returns its value."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, self.summary()
            time.sleep(0.02)
        return value

    def wait_for(self, chat, number):
        """Wait until a chat was sent `number` messages; returns them."""
        return self.wait(lambda: (texts := self.sent(chat))[number - 1 :] and texts)

    def wait_for_typing(self, chat):
        """Wait until a chat was shown that the bot is typing."""
        self.wait(
            lambda: any(
                method == "sendChatAction" and values["chat_id"] == str(chat)
                for method, values, _ in self.calls
            )
        )

    def quiet(self, chat, seconds=1.5):
        """Wait so long; returns what the chat was sent by then."""
        time.sleep(seconds)
        return self.sent(chat)

    def summary(self):
        counts = defaultdict(int)
        for method, _, _ in self.calls:
            counts[method] += 1
        return f"calls: {dict(counts)}"
