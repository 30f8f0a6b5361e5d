"""The page as an attacker would try it: foreign sites, other people's sessions, files, floods."""

import asyncio
import json
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from espejo.web import gate
from tests.web.conftest import serving

SETTINGS = [0.7, 40, 1, 1.1, 60]


def tab(address):
    """A client as a browser's: with the cookie that the page gave it."""
    client = httpx.Client(base_url=address, timeout=60, follow_redirects=True)
    client.get("/en/")
    return client


def send_index(client):
    """The number of the function that takes a message."""
    config = client.get("/en/config").json()
    (box,) = [part["id"] for part in config["components"] if part["props"].get("elem_id") == "box"]
    (index,) = [
        call["id"]
        for call in config["dependencies"]
        if [box, "submit"] in map(list, call["targets"])
    ]
    return index


def body(index, session, message="hola"):
    data = [message, False, False, *SETTINGS]
    return {"data": data, "fn_index": index, "session_hash": session}


JOIN, DATA = "/en/gradio_api/queue/join", "/en/gradio_api/queue/data"


@pytest.fixture(scope="module")
def client(served):
    with closing(tab(served.address)) as page:
        yield page


@pytest.fixture(scope="module")
def index(client):
    return send_index(client)


def unharmed(web):
    """Whether nothing of the model was run, and no conversation begun."""
    return not web.engine.questions and not len(web.sessions)


FOREIGN = [
    {"host": "evil.example"},
    {"host": "evil.example:7860"},
    {"host": "127.0.0.1.evil.example"},
    {"origin": "http://evil.example"},
    {"origin": "http://127.0.0.1:1"},
    {"origin": "https://127.0.0.1"},
    {"origin": "null"},
    {"origin": "http://["},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/en/"), ("GET", DATA + "?session_hash=s"), ("POST", JOIN)]
)
def test_other_sites_are_refused(headers, method, path, web, client, index):
    # The session is the visitor's own already: nothing but the headers is wrong.
    assert client.post(JOIN, json=body(index, "s", "")).status_code == 200
    sessions = len(web.sessions)
    answer = client.request(
        method, path, headers=headers, json=body(index, "s") if method == "POST" else None
    )
    assert 400 <= answer.status_code < 500, answer.text
    assert not web.engine.questions
    assert len(web.sessions) <= sessions + 1  # that of the empty message


def test_a_link_from_another_site_may_be_followed(client):
    headers = {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
    }
    assert client.get("/en/", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/en/gradio_api/file=/etc/passwd", "/en/gradio_api/file=params.yaml"),
        *("/en/gradio_api/file/etc/passwd", "/en/file=/etc/passwd"),
        *("/en/static/../../../../etc/passwd", "/en/static/..%2f..%2f..%2fetc%2fpasswd"),
        *("/en/assets/%2e%2e/%2e%2e/index.html", "/en/assets/..%5c..%5cindex.html"),
        *("/en/svelte/%2e%2e%2f%2e%2e%2fx", "/report/../params.yaml", "/report%2f..%2fparams.yaml"),
        *("/en/gradio_api/info", "/en/gradio_api/openapi.json", "/openapi.json", "/docs"),
        *("/en/gradio_api/proxy=http://127.0.0.1:1/", "/en/gradio_api/token", "/en/monitoring"),
        *("/en/gradio_api/run/send", "/en/gradio_api/call/send", "/en/gradio_api/vibe-code"),
        *("/en/gradio_api/deep_link", "/en/gradio_api/runs", "/en/gradio_api/upload", "/fr/"),
        *("/en/gradio_api/stream/s/1/2/playlist.m3u8", "/en//gradio_api/file=/etc/passwd"),
        *("/en/gradio_api/component_server", "/en/manifest.json", "/en/logout"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_files_uploads_and_other_routes_are_not_there(method, path, web, client):
    # Written by hand: a client would take the dots out of the path.
    request = client.build_request(method, "/")
    request.url = request.url.copy_with(raw_path=path.encode())
    answer = client.send(request)
    assert answer.status_code in (403, 404, 405), answer.text
    assert "root:" not in answer.text
    assert unharmed(web)


def test_nothing_can_be_uploaded(web, client, tmp_path):
    answer = client.post("/en/gradio_api/upload", files={"files": ("x.html", b"<script>")})
    assert answer.status_code == 404


def test_a_request_of_more_than_a_megabyte_is_refused(web, client, index):
    answer = client.post(JOIN, json=body(index, "s", "a" * 1_000_000))
    assert answer.status_code == 413
    assert unharmed(web)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'"s"', b"{}", b'{"session_hash": 3}', b"\xff\xfe", b"[" * 100_000],
)
def test_a_damaged_request_is_refused(content, web, client):
    assert client.post(JOIN, content=content).status_code == 403
    assert unharmed(web)


@pytest.mark.parametrize("name", ["s" * 101, "s" * 20_000])
def test_a_long_name_of_a_session_is_remembered_nowhere(name, client):
    assert client.get(DATA, params={"session_hash": name}).status_code == 403
    assert client.get(f"/en/gradio_api/heartbeat/{name}").status_code in (403, 404)


def test_the_address_of_a_file_may_not_be_too_long_for_the_disk(client):
    assert client.get(f"/en/assets/{'a' * 300}.js").status_code == 404


@pytest.mark.parametrize("wrap", [lambda file: file, lambda file: [file], lambda file: {"a": file}])
def test_no_message_has_a_file_of_this_machine_copied(wrap, web, client, index, tmp_path):
    secret = tmp_path / "secreto.txt"
    secret.write_text("un secreto", "utf-8")
    request = body(index, "s")
    request["data"][0] = wrap({"path": str(secret), "meta": {"_type": "gradio.FileData"}})
    assert client.post(JOIN, json=request).status_code == 403
    assert unharmed(web)
    assert not [*(Path(tempfile.gettempdir()) / "gradio").rglob("secreto.txt")]


def test_nobody_joins_or_reads_the_session_of_another(web, client, index):
    assert client.post(JOIN, json=body(index, "mine", "un secreto")).status_code == 200
    with closing(tab(web.address)) as other:
        assert other.post(JOIN, json=body(index, "mine")).status_code == 403
        assert other.get(DATA, params={"session_hash": "mine"}).status_code == 403
        assert other.get("/en/gradio_api/heartbeat/mine").status_code == 403
        cancel = {"session_hash": "mine", "fn_index": index, "event_id": "x"}
        assert other.post("/en/gradio_api/cancel", json=cancel).status_code == 403
    with httpx.Client(base_url=web.address, timeout=60) as nobody:
        assert nobody.post(JOIN, json=body(index, "new")).status_code == 403
        nobody.cookies.set(gate.COOKIE, "short")
        assert nobody.post(JOIN, json=body(index, "new")).status_code == 403
    assert "eco de un secreto" in "".join(said_to(client, "mine"))


def test_the_cookie_cannot_be_guessed_or_read_by_scripts(web):
    cookies = set()
    for _ in range(3):
        answer = httpx.get(f"{web.address}/en/", timeout=60)
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        cookies.add(answer.cookies[gate.COOKIE])
    assert len(cookies) == 3
    assert all(len(cookie) == 43 for cookie in cookies)  # 32 bytes in base64


def test_every_answer_says_what_the_page_may_do(web, client):
    policy = client.get("/en/").headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy  # no other host
    report = client.get("/report").headers["content-security-policy"]
    assert "default-src 'none'" in report
    assert "sandbox" in report


def said_to(client, session):
    """The chat's HTML in each event, until the stream of a session ends."""
    with client.stream("GET", DATA, params={"session_hash": session}) as stream:
        for line in stream.iter_lines():
            event = json.loads(line.removeprefix("data: ")) if line.startswith("data:") else {}
            if event.get("msg") in ("process_generating", "process_completed"):
                yield json.dumps(event["output"]["data"], ensure_ascii=False)


async def one_of_many(address, number, index):
    """Sends a message as a browser of its own; returns the last event about the reply."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=address, timeout=300, limits=limits) as client:
        await client.get("/en/")
        session = uuid.uuid4().hex
        joined = await client.post(JOIN, json=body(index, session, f"mensaje {number}"))
        assert joined.status_code == 200, joined.text
        seen = []
        async with client.stream("GET", DATA, params={"session_hash": session}) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    seen.append(json.loads(line.removeprefix("data: ")))
        return "".join(json.dumps(event, ensure_ascii=False) for event in seen)


@pytest.mark.parametrize("many", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_many_people_at_once_are_all_answered(many, web, index):
    web.engine.go.clear()

    async def flood():
        tasks = [
            asyncio.create_task(one_of_many(web.address, number, index)) for number in range(many)
        ]
        # All of them stand in the line before the first is answered.
        while len(web.engine._line._jobs) < many:
            assert not any(task.done() for task in tasks)
            await asyncio.sleep(0.05)
        web.engine.go.set()
        return await asyncio.wait_for(asyncio.gather(*tasks), 500)

    events = in_own_thread(flood)
    for number, text in enumerate(events):
        assert f"eco de mensaje {number}" in text.replace("·", "")
        others = [n for n in range(many) if n != number and f"mensaje {n}<" in text]
        assert not others
    assert len(web.engine.questions) == many
    assert sorted(message for message, _, _ in web.engine.questions) == sorted(
        f"mensaje {n}" for n in range(many)
    )


def test_first_come_first_served(web, index):
    """Each comes when the one before stands in the line."""
    web.engine.go.clear()
    many = 20

    async def queue():
        tasks = []
        for number in range(many):
            tasks.append(asyncio.create_task(one_of_many(web.address, number, index)))
            while len(web.engine._line._jobs) <= number:
                await asyncio.sleep(0.02)
        web.engine.go.set()
        return await asyncio.wait_for(asyncio.gather(*tasks), 500)

    events = in_own_thread(queue)
    messages = [message for message, _, _ in web.engine.questions]
    assert messages == [f"mensaje {n}" for n in range(many)]
    assert "Others are served first: 20" in events[19]  # in tens, above ten
    assert "Others are served first: 3." in events[3]


def in_own_thread(work):
    """What an async function returns, run where no other loop is."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()


def test_with_a_password_nothing_is_shown_before(site_of, tmp_path):
    report = tmp_path / "report.html"
    report.write_text("chats", "utf-8")
    protected = site_of(password="una clave larga", report=report)
    with serving(protected.site) as address, closing(tab(address)) as client:
        page = client.get("/en/").text
        assert "auth_required" in page
        assert "data/raw/demo" not in page
        assert client.get("/en/config").status_code == 401
        assert client.post(JOIN, json=body(2, "s")).status_code == 401
        assert client.get(DATA, params={"session_hash": "s"}).status_code == 401
        wrong = client.post("/en/login", data={"username": "x", "password": "nope"})
        assert wrong.status_code == 400
        right = client.post("/en/login", data={"username": "x", "password": "una clave larga"})
        assert right.status_code == 200
        assert client.post(JOIN, json=body(send_index(client), "s")).status_code == 200
        assert "eco de hola" in "".join(said_to(client, "s"))
        assert client.get("/report").status_code == 404


def test_guesses_of_the_password_wait_for_each_other_in_all_languages(site_of):
    protected = site_of(password="una clave larga")
    with serving(protected.site) as address, ThreadPoolExecutor(4) as pool:
        begun = time.monotonic()
        answers = pool.map(
            lambda n: (
                httpx.post(
                    f"{address}/{('en', 'es')[n % 2]}/login",
                    data={"username": "x", "password": f"guess {n}"},
                    timeout=30,
                ).status_code
            ),
            range(4),
        )
        assert [*answers] == [400] * 4
        assert time.monotonic() - begun >= 4


def test_in_a_frame_of_the_hub_only_as_a_space(site_of):
    framed = site_of(hosts=["*"], framed=True)
    frame = {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "iframe",
    }
    with serving(framed.site) as address:
        answer = httpx.get(f"{address}/en/", headers=frame, timeout=60)
        assert answer.status_code == 200
        assert "frame-ancestors https://huggingface.co" in answer.headers["content-security-policy"]
        assert "SameSite=None; Secure" in answer.headers["set-cookie"]
        foreign = httpx.post(
            f"{address}{JOIN}", headers={"origin": "http://evil.example"}, timeout=60
        )
        assert foreign.status_code == 403


def test_no_message_is_written_to_disk(web, client, index, tmp_path, monkeypatch):
    """Gradio keeps files of what passes through some components: not of this page."""
    cache = Path(tempfile.gettempdir()) / "gradio"
    before = {path for path in cache.rglob("*") if path.is_file()} if cache.exists() else set()
    client.post(JOIN, json=body(index, "s", "zanfonía"))
    assert "zanfonía" in "".join(said_to(client, "s"))
    after = {path for path in cache.rglob("*") if path.is_file()} if cache.exists() else set()
    assert after == before
