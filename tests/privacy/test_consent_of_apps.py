"""Somebody who withholds is in no table, whatever app the export is of and however they are in it.

Each attack first shows that the words get through without the withholding: only then is their
absence a proof.
"""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from espejo import sources
from espejo.core.errors import UserError
from espejo.sources.export import Options
from tests.helpers.attacked import AUTHOR, PARTNER, between, holding, rows, stages, talk

# Invented, and nobody else's words.
THIRD, OLD_NAME = "Zulema Ibarzabal", "Zuleika Quebrantahuesos"
SECRET = "compré okapis"  # two words: too few to be known by themselves
NAMED = ("zulema", "ibarzabal")
IDS = {AUTHOR: 71, PARTNER: 72, THIRD: 73, OLD_NAME: 73}


@pytest.fixture
def through(tmp_path, composed, capsys):
    """through("train") runs the stages with that answer of THIRD's, through({…}) with several.

    It returns what each file holds that they wrote, and what they printed.
    """
    (tmp_path / "raw").mkdir()

    def run(answer, *overrides, author=AUTHOR):
        answers = {THIRD: answer} if isinstance(answer, str) else answer
        people = "\n".join(f'  "{name}": {answer}' for name, answer in answers.items())
        params = composed("group.min_replies=1", "parse.timezone=UTC", *overrides)
        texts = stages(
            tmp_path, f"author: {author}\npeople:\n  {PARTNER}: train\n{people}\n", params
        )
        return {**texts, "printed": capsys.readouterr().out}

    return run


def attack(through, words, *overrides):
    """Words are there if THIRD allows, and nowhere if THIRD withholds."""
    before = through("train", *overrides)
    for word in words:
        assert "messages.parquet" in holding(before, word), word
    after = through("withhold", *overrides)
    left = {word: files for word in (*words, *NAMED) if (files := holding(after, word))}
    assert not left
    return before, after


def with_more(*more):
    """The talk with more rows (seconds, author, text, fields), in order."""
    talked = [(*row, {}) for row in talk()]
    return sorted([*talked, *more], key=lambda row: row[0])


# Telegram


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")


def telegram(
    folder, messages, title="los tres", type_="private_group", name="result.json", first_id=1
):
    written = [
        {
            "id": number,
            "type": "message",
            "date": "2025-03-01T12:00:00",
            "date_unixtime": str(time),
            "from": author,
            "from_id": f"user{IDS.get(author, author)}",
            "text": text,
            **fields,
        }
        for number, (time, author, text, fields) in enumerate(messages, first_id)
    ]
    chat = {"name": title, "type": type_, "id": sum(map(ord, title or "")), "messages": written}
    write(folder / "raw" / name, chat)


SHE_WROTE = (between(2), THIRD, f"hoy {SECRET}", {})


@pytest.mark.parametrize(
    ("author", "fields"),
    [
        (AUTHOR, {"forwarded_from": THIRD, "forwarded_from_id": "user73"}),
        (PARTNER, {"forwarded_from": f"{THIRD}\u200b"}),
        (PARTNER, {"forwarded_from": THIRD.upper()}),
        (AUTHOR, {"forwarded_from": THIRD, "photo": "p.jpg"}),
        (THIRD, {"forwarded_from": "Otra Persona"}),
        (THIRD, {"photo": "p.jpg"}),
        (THIRD, {"poll": {"question": SECRET}}),
        (PARTNER, {"text": [f"{THIRD}: ", {"type": "bold", "text": SECRET}]}),
        (PARTNER, {"text": [{"type": "mention_name", "text": THIRD, "user_id": 73}, "\n", SECRET]}),
    ],
    ids=str,
)
def test_telegram_words_that_are_hers(author, fields, through, tmp_path):
    more = (between(5), author, SECRET, fields)
    telegram(tmp_path, with_more((between(2), THIRD, "hoy fui al mercado", {}), more))
    before = through("train")
    assert "messages.parquet" in holding(before, SECRET)
    after = through("withhold")
    if "mention_name" in str(fields):  # the mention goes; the line below is the partner's own
        assert not holding(after, "zulema")
    else:
        assert not holding(after, SECRET)
    assert not [name for name in NAMED if holding(after, name)]


def test_telegram_names_in_notices_titles_and_texts(through, tmp_path):
    service = {
        "type": "service",
        "actor": AUTHOR,
        "actor_id": "user71",
        "action": "invite_members",
        "members": [THIRD],
        "information_text": f"{AUTHOR} invitó a {THIRD}",
        "title": f"Los de {THIRD}",
    }
    telegram(
        tmp_path,
        with_more(
            SHE_WROTE,
            (between(3), PARTNER, "", service),
            (between(4), PARTNER, f"@zulema_ibarzabal vení, {THIRD.upper()}", {}),
            (between(5), AUTHOR, "dale @zulema", {}),
        ),
        title=f"Cumple de {THIRD}",
    )
    attack(through, [f"invitó a {THIRD}", f"cumple de {THIRD}", "dale @zulema", SECRET])


def test_telegram_chat_of_two_and_saved_messages(through, tmp_path):
    telegram(tmp_path, with_more())
    telegram(
        tmp_path,
        [(between(2), THIRD, SECRET, {}), (between(2) + 9, AUTHOR, "qué hiciste con eso", {})],
        title=THIRD,
        type_="personal_chat",
        name="zule.json",
    )
    saved = [
        (between(3), AUTHOR, f"{SECRET} ya", {"forwarded_from": THIRD}),
        (between(4), THIRD, f"{SECRET} hoy", {}),
    ]
    telegram(tmp_path, saved, title=None, type_="saved_messages", name="saved.json")
    _, after = attack(through, [SECRET, f"{SECRET} ya", f"{SECRET} hoy"])
    assert "eso" not in after["formatted.parquet"].split()  # the reply that answers her


def test_telegram_a_former_name_of_hers_counts_too(through, tmp_path):
    telegram(tmp_path, with_more((between(2), OLD_NAME, "fui", {})), name="old.json")
    telegram(
        tmp_path,
        with_more(
            (between(2), THIRD, "fui", {}),  # the same message as in the older export
            (between(6), PARTNER, SECRET, {"forwarded_from": OLD_NAME}),
            (between(7), PARTNER, f"y {OLD_NAME}?", {}),
            (between(15), THIRD, "chau", {}),
        ),
    )
    _, after = attack(through, [SECRET, OLD_NAME])
    assert not holding(after, "quebrantahuesos")


def test_telegram_one_of_two_namesakes_withholds(through, tmp_path):
    other = {"from_id": "user99"}
    telegram(
        tmp_path,
        with_more(
            (between(1), THIRD, "a mí me pueden leer", other),
            SHE_WROTE,
            (between(5), AUTHOR, SECRET, {"forwarded_from": THIRD}),
            (between(6), PARTNER, f"{THIRD}: {SECRET}", {}),
        ),
    )
    table = sources.read_all(tmp_path / "raw", "chats", Options(ZoneInfo("UTC"))).messages
    called = dict(zip(table["text"], table["author"], strict=True))
    names = called["a mí me pueden leer"], called[f"hoy {SECRET}"]
    before = through(dict.fromkeys(names, "train"))
    assert "formatted.parquet" in holding(before, SECRET)
    after = through(dict(zip(names, ("train", "withhold"), strict=True)))
    assert not holding(after, SECRET)
    assert "formatted.parquet" in holding(after, "a mí me pueden leer")


def test_nobodys_answer_becomes_that_of_a_namesake_who_wrote_before(through, tmp_path):
    telegram(tmp_path, with_more(SHE_WROTE))
    through("train")
    before = [(between(1), THIRD, "nadie me preguntó", {"from_id": "user99"})]
    telegram(tmp_path, before, title="otro grupo", name="older.json", first_id=900)
    with pytest.raises(UserError, match="does not say what these people allow") as error:
        through("train")
    assert str(error.value).count(f"{THIRD} (") == 2
    assert f"names {THIRD}, who wrote no message" in str(error.value)


# Discord


def discord(folder, messages, title="general", name="general.json", first_id=1):
    def written_by(author, fields):
        user = {"id": str(IDS.get(author, 99)), "name": author.lower(), "nickname": author}
        return {**user, "isBot": False, **fields.get("author", {})}

    written = [
        {
            "id": str(number),
            "type": "Default",
            "timestamp": datetime.fromtimestamp(time, UTC).isoformat(),
            "content": text,
            **fields,
            "author": written_by(author, fields),
        }
        for number, (time, author, text, fields) in enumerate(messages, first_id)
    ]
    channel = {"id": name, "type": "GuildTextChat", "name": title}
    content = {"guild": {"id": "7", "name": "Los pibes"}, "channel": channel, "messages": written}
    write(folder / "raw" / name, content)


def test_discord_forwards_notices_titles_and_bridges(through, tmp_path):
    hers, bot = (between(2), THIRD, SECRET, {"id": "4321"}), {"author": {"isBot": True, "id": "5"}}
    discord(
        tmp_path,
        with_more(
            hers,
            (
                between(3),
                AUTHOR,
                "miren",
                forward := {
                    "type": "Reply",
                    "reference": {"type": "Forward", "messageId": "4321"},
                    "forwardedMessage": {"content": SECRET},
                },
            ),
            (between(4), "Puente", f"{THIRD}: {SECRET} ya", bot),
            (between(5), THIRD, f"{SECRET} otra vez", bot),  # a bridge with her name
            (between(6), PARTNER, f"se sumó {THIRD}", {"type": "RecipientAdd"}),
            (between(7), PARTNER, f"@{THIRD} vení", {}),
        ),
        title=f"el de {THIRD}",
    )
    more = [(between(8), PARTNER, "", forward)]
    discord(tmp_path, more, title="otro", name="otro.json", first_id=800)
    words = [SECRET, f"{SECRET} ya", f"{SECRET} otra vez", f"se sumó {THIRD}", f"@{THIRD}"]
    before, _ = attack(through, words)
    assert "Puente" not in (tmp_path / "raw" / "people.yaml").read_text("utf-8")
    assert '"author": "Puente"' not in before["clean.parquet"]


@pytest.mark.parametrize("pseudonyms", ["null", "'PERSON_{n}'"])
def test_nothing_is_left_of_what_a_bot_repeated(pseudonyms, through, tmp_path):
    """Its sender is in no people.yaml, so that the row must not keep the name."""
    bot = {"author": {"isBot": True, "id": "5"}}
    discord(
        tmp_path,
        with_more(
            (between(2), THIRD, "hoy me compré tres okapis", {}),
            (between(3), "Puente", "hoy me compré tres okapis", bot),
            (between(4), "Pepa", "hoy me compré tres okapis", {"reference": {"type": "Forward"}}),
        ),
    )
    _, after = attack(through, ["tres okapis"], f"clean.pseudonyms={pseudonyms}")
    kept = [row for row in rows(tmp_path, "clean") if row["author"] == "withheld"]
    assert len(kept) == 3
    assert not holding(after, "puente")


def test_a_nickname_in_another_server_is_a_name_of_hers(through, tmp_path):
    discord(tmp_path, with_more(SHE_WROTE, (between(5), PARTNER, f"qué dijo @{OLD_NAME}?", {})))
    discord(
        tmp_path, [(between(1), OLD_NAME, "buenas", {})], title="b", name="b.json", first_id=700
    )
    through("train")
    through("withhold")
    attack(through, [OLD_NAME])


# Messenger


def messenger(folder, messages, title="los tres", place="tres_1"):
    written = [
        {"sender_name": author, "timestamp_ms": time * 1000, "content": text, **fields}
        for time, author, text, fields in messages
    ]
    people = sorted({author for _, author, *_ in messages})
    content = {
        "participants": [{"name": name} for name in people],
        "messages": written[::-1],
        "title": title,
        "thread_path": f"inbox/{place}",
    }
    write(folder / "raw" / "facebook" / "inbox" / place / "message_1.json", content)


def test_messenger_notices_reactions_shares_and_unsent_messages(through, tmp_path):
    reacted = {"reactions": [{"reaction": "x", "actor": THIRD}]}
    messenger(
        tmp_path,
        with_more(
            SHE_WROTE,
            (between(3), AUTHOR, "qué bueno che", reacted),
            (between(4), PARTNER, f"{PARTNER} added {THIRD} to the group.", {}),
            (between(5), THIRD, f"{THIRD} named the group {SECRET}.", {}),
            (between(6), THIRD, "Reacted ❤ to your message", {}),
            (between(7), PARTNER, f"{PARTNER} set the nickname for {THIRD} to Zule.", {}),
            (between(8), PARTNER, "mirá", {"share": {"share_text": f"{THIRD}: {SECRET}"}}),
            (between(9), THIRD, f"borrado: {SECRET}", {"is_unsent": True}),
        ),
        title=f"{THIRD} y los otros",
    )
    before, _ = attack(through, [SECRET, f"added {THIRD}", f"{THIRD} y los otros"])
    assert not holding(before, "borrado")
    assert not holding({"clean": before["clean.parquet"]}, "reacted")


# Signal


def signal(folder, items):
    frames = [
        {"version": "1", "backupTimeMs": "1751328000000"},
        {"account": {"givenName": AUTHOR, "familyName": "", "username": "juli.01"}},
        {"recipient": {"id": "1", "self": {}}},
        *(
            {"recipient": {"id": id_, "contact": {"aci": aci, "systemGivenName": name}}}
            for id_, aci, name in (("2", "AAAA", PARTNER), ("3", "BBBB", THIRD))
        ),
        {"recipient": {"id": "4", "group": {"snapshot": {"title": {"title": f"Con {THIRD}"}}}}},
        {"chat": {"id": "5", "recipientId": "4"}},
    ]
    ids = {AUTHOR: "1", PARTNER: "2", THIRD: "3"}
    for time, author, text, fields in items:
        body = {"body": text, **fields.get("text", {})}
        standard = {"text": body, **fields.get("standard", {})}
        frames.append(
            {
                "chatItem": {
                    "chatId": "5",
                    "authorId": ids[author],
                    "dateSent": str(time * 1000),
                    "standardMessage": standard,
                    "revisions": fields.get("revisions"),
                }
            }
        )
    path = folder / "raw" / "signal-export" / "main.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(frame) + "\n" for frame in frames), "utf-8")


def test_signal_quotes_revisions_mentions_and_titles(through, tmp_path):
    quote = {"authorId": "3", "text": {"body": f"citado: {SECRET}"}}
    older = {"chatItem": {"standardMessage": {"text": {"body": f"antes: {SECRET}"}}}}
    mention = {"bodyRanges": [{"start": 5, "length": 1, "mentionAci": "BBBB"}]}
    signal(
        tmp_path,
        with_more(
            SHE_WROTE,
            (between(3), AUTHOR, "totalmente de acuerdo", {"standard": {"quote": quote}}),
            (between(4), PARTNER, "lo cambié", {"revisions": [older]}),
            (between(5), PARTNER, "hola \ufffc vení", {"text": mention}),
        ),
    )
    before, _ = attack(through, [SECRET, f"hola @{THIRD} vení", f"Con {THIRD}"])
    assert not holding(before, "citado")
    assert not holding(before, "antes:")


# What is nobody's, and what is kept of it


def test_what_is_forwarded_is_read_and_never_learnt(through, tmp_path):
    telegram(
        tmp_path,
        with_more(
            (between(3), AUTHOR, "CADENA uno: llamá al 0351 15 555-1234", {"forwarded_from": None}),
            (between(3) + 5, AUTHOR, "CADENA dos", {"via_bot": "@gif"}),
            (between(4), PARTNER, "CADENA tres", {"forwarded_from": "Otra"}),
            (between(5), AUTHOR, "<photo>", {"forwarded_from": "Otra", "photo": "p.jpg"}),
            (between(6), AUTHOR, "", {"forwarded_from": "Otra", "photo": "p.jpg"}),
        ),
    )
    texts = through({}, "format=turns")
    assert not holding(texts, "5551234") or "messages.parquet" in holding(texts, "5551234")
    assert not [name for name in holding(texts, "5551234") if name != "messages.parquet"]
    examples, formatted = rows(tmp_path, "examples"), rows(tmp_path, "formatted")
    assert "CADENA" in str([row["context"] for row in examples])
    assert "CADENA" not in str([row["reply"] for row in examples])
    learnt = "".join(row["text"][s["start"] : s["end"]] for row in formatted for s in row["spans"])
    assert "CADENA" in "".join(row["text"] for row in formatted)
    assert "CADENA" not in learnt
    for row in formatted:  # nor where the loss is over whole texts
        text = row["text"]
        for span in sorted(row["masked"], key=lambda span: -span["start"]):
            text = text[: span["start"]] + text[span["end"] :]
        assert "CADENA" not in text
    assert not [row for row in rows(tmp_path, "clean") if row["text"] in ("<photo>", "")]


def test_an_author_who_is_called_like_a_word_for_nobody(through, tmp_path):
    named = [
        (time, "forwarded" if author == AUTHOR else author, text, fields)
        for time, author, text, fields in with_more(
            (between(3), AUTHOR, "CADENA uno", {"forwarded_from": None})
        )
    ]
    telegram(tmp_path, named)
    for overrides in ((), ("clean.pseudonyms='PERSON_{n}'",)):
        through({}, *overrides, author="forwarded (1)")
        examples = rows(tmp_path, "examples")
        assert len(examples) == 24
        assert "CADENA" not in str([row["reply"] for row in examples])


def test_several_names_of_the_author_in_several_apps(through, tmp_path):
    half = [(*row, {}) for row in talk()]
    telegram(tmp_path, half[:24])
    messenger(
        tmp_path, [(t, {AUTHOR: "juli", PARTNER: PARTNER}[a], x, f) for t, a, x, f in half[24:]]
    )
    through({}, author=f"[{AUTHOR}, juli]")
    assert {row["author"] for row in rows(tmp_path, "clean")} == {AUTHOR, PARTNER}
    assert len(rows(tmp_path, "examples")) == 24


def test_no_name_title_or_file_name_is_in_what_dvc_keeps(through, tmp_path):
    """Printed lines, numbers and reports: DVC or git may keep them."""
    telegram(tmp_path, with_more(SHE_WROTE), title=f"Telegram {THIRD}", name=f"{THIRD}.json")
    discord(tmp_path, [(between(1), THIRD, "ey", {})], title=f"Discord {THIRD}")
    messenger(tmp_path, [(between(1), THIRD, "ey", {})], title=f"Meta {THIRD}", place="zulema_1")
    signal(tmp_path, [(between(1), THIRD, "ey", {})])
    texts = through("train")
    assert "messages.parquet" in holding(texts, f"Discord {THIRD}")
    for word in (*NAMED, *AUTHOR.split(), PARTNER, SECRET):
        assert not [name for name in holding(texts, word) if not name.endswith(".parquet")], word


@pytest.mark.parametrize("write_export", [telegram, discord, messenger, signal])
def test_each_item_is_in_a_row_or_under_a_reason(write_export, through, tmp_path):
    write_export(tmp_path, with_more(SHE_WROTE, (between(4), PARTNER, "", {})))
    for answer in ("train", "withhold"):
        texts = through(answer)
        counts = json.loads(texts["parse.json"])
        items, kept = counts["items"], len(rows(tmp_path, "messages"))
        assert items["in"] == 50
        assert items["in"] == items["out"] + sum(items["dropped"].values())
        assert counts["messages"]["out"] == kept
        for name, file in (("clean", "clean.json"), ("turns", "group.json")):
            part = json.loads(texts[file])["messages"]
            assert part["in"] == part["out"] + sum(part["dropped"].values()), name


def test_the_time_zone_changes_nothing_but_times(through, tmp_path):
    telegram(tmp_path, with_more(SHE_WROTE))
    tables = []
    for zone in ("UTC", "Asia/Kathmandu"):
        through("train", f"parse.timezone={zone}")
        tables.append(rows(tmp_path, "messages"))
    utc, kathmandu = tables
    shifts = {b.pop("timestamp") - a.pop("timestamp") for a, b in zip(utc, kathmandu, strict=True)}
    assert shifts == {timedelta(hours=5, minutes=45)}
    assert utc == kathmandu
