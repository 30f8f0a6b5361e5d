"""A folder with exports of several apps becomes one table, or is refused with a sentence."""

import json
import re
import shutil
import zipfile
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espejo import sources
from espejo.core.config import checked
from espejo.core.errors import UserError
from espejo.sources import ParseConfig, files, merging
from espejo.sources.export import Export, Options, Record
from espejo.sources.folder import read_all
from tests.sources import files_of_apps
from tests.sources.files_of_apps import CAMI, JULI, WRITERS, talk, write

CORDOBA = "America/Argentina/Cordoba"
UTC_MINUS_3 = {"timezone": CORDOBA}
EXCHANGES = list(talk(3))


def record(**fields):
    """A Record of Ana's in Telegram's chat 1, but for `fields`."""
    values = {
        "chat_id": "user1",
        "chat": "Ana",
        "line": 1,
        "instant": 1_740_000_000_000_000,
        "author_id": "1",
        "author": "Ana",
        "kind": "message",
        "text": "hola",
    }
    return Record(**{**values, **fields})


def export(*records, app="telegram", name="result.json"):
    return Export(name, app, records, len(records), {}, "")


def merged(*exports, timezone=CORDOBA):
    return merging.merge(exports, ZoneInfo(timezone))


@pytest.mark.parametrize("app", WRITERS)
def test_each_app_alone_gives_the_same_chat(app, tmp_path):
    WRITERS[app](tmp_path, EXCHANGES)
    table = sources.read(tmp_path, **UTC_MINUS_3)
    names = {"user": CAMI, "assistant": JULI}
    assert table["author"].replace(names).tolist() == [CAMI, JULI] * 3
    assert table["text"].tolist() == [text for _, _, text in EXCHANGES]
    assert set(table["app"]) == {app}
    if app == "roles":
        assert table["timestamp"].isna().all()
        assert table["chat"].nunique() == 3
    else:
        # 15:00 UTC is noon in Córdoba; the second exchange is a day later.
        expected = [datetime(2025, 3, day, 12, minute) for day in (1, 2, 3) for minute in (0, 1)]
        assert table["timestamp"].tolist() == expected
        assert table["chat"].nunique() == 1


def test_exports_of_all_apps_in_one_folder_and_a_person_of_one_name_is_one(tmp_path):
    for writer in WRITERS.values():
        writer(tmp_path, EXCHANGES)
    table = sources.read(tmp_path, **UTC_MINUS_3)
    assert table["app"].value_counts().to_dict() == dict.fromkeys(WRITERS, 6)
    assert set(table["author"]) == {CAMI, JULI, "user", "assistant"}
    # Five chats called Cami in five apps, and three conversations.
    assert table["chat"].nunique() == 8
    assert (table.groupby("chat")["app"].nunique() == 1).all()


@pytest.mark.parametrize("app", [name for name in WRITERS if name != "whatsapp"])
def test_a_zip_is_read_as_its_contents(app, tmp_path):
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.mkdir()
    packed.mkdir()
    WRITERS[app](plain, EXCHANGES)
    with zipfile.ZipFile(packed / "download.zip", "w") as archive:
        for path in sorted(plain.rglob("*.json*")):
            archive.write(path, path.relative_to(plain))
    columns = ["timestamp", "author", "text"]
    expected = sources.read(plain, **UTC_MINUS_3)[columns]
    pd.testing.assert_frame_equal(sources.read(packed, **UTC_MINUS_3)[columns], expected)
    pd.testing.assert_frame_equal(
        sources.read(packed / "download.zip", **UTC_MINUS_3)[columns], expected
    )


def test_content_decides_and_not_the_name_of_a_file(tmp_path):
    files_of_apps.telegram(tmp_path, EXCHANGES)
    (tmp_path / "ChatExport_2025-06-01" / "result.json").rename(tmp_path / "ana.txt")
    shutil.rmtree(tmp_path / "ChatExport_2025-06-01")
    assert set(sources.read(tmp_path, **UTC_MINUS_3)["app"]) == {"telegram"}


def test_what_comes_with_a_download_and_is_no_chat_is_left_alone_and_counted(tmp_path):
    files_of_apps.messenger(tmp_path, EXCHANGES)
    write(tmp_path / "facebook-juli" / "profile_information.json", {"profile_v2": {"name": "J"}})
    write(tmp_path / "facebook-juli" / "ads" / "advertisers.json", [{"advertiser_name": "x"}])
    folder = read_all(tmp_path, "chats", Options(ZoneInfo(CORDOBA)))
    assert len(folder.messages) == 6
    assert folder.others == 2
    assert folder.accounts["items"] == {"unit": "items", "in": 6, "out": 6, "dropped": {}}


def test_a_row_of_a_table_is_one_item_and_two_messages(tmp_path):
    (tmp_path / "faq.csv").write_text("question,answer\na,b\nc,\n,d\ne,f\n", "utf-8")
    folder = sources.read_all(tmp_path, "questions", sources.export.Options(ZoneInfo(CORDOBA)))
    dropped = {"empty_answer": 1, "empty_question": 1}
    assert folder.accounts["items"] == {"unit": "items", "in": 4, "out": 2, "dropped": dropped}
    assert folder.accounts["messages"]["in"] == len(folder.messages) == 4


def test_a_table_is_recognised_by_columns_of_other_names(tmp_path):
    for name, row in (("train.csv", "a;b"), ("test.json", '[{"DUDA": "c", "texto": "d"}]')):
        content = row if name.endswith("json") else f"Duda;Texto;answer\n{row};x\n"
        (tmp_path / name).write_text(content, "utf-8")
    columns = {"question": "duda", "answer": "texto"}
    table = sources.read(tmp_path, columns=columns)
    assert table[["text", "split"]].values.tolist() == [
        *(["c", "test"], ["d", "test"], ["a", "train"], ["b", "train"])
    ]
    assert len(sources.read(tmp_path / "train.csv", columns=columns)) == 2


def test_dailydialog_as_it_comes(tmp_path):
    folder = tmp_path / "ijcnlp_dailydialog"
    for name, text in (
        ("readme.txt", "1) dialogues_text.txt: the dialogues.\n"),
        ("dialogues_topic.txt", "2\n"),
        ("train/dialogues_train.txt", "a __eou__ b __eou__\n"),
        ("train/dialogues_act_train.txt", "3 4 \n"),
        ("train/dialogues_emotion_train.txt", "0 0 \n"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    for part in folder, Path(shutil.make_archive(str(tmp_path / "zipped"), "zip", folder)):
        options = sources.export.Options(ZoneInfo(CORDOBA))
        read = sources.read_all(part, "dialogues", options)
        assert read.messages["text"].tolist() == ["a", "b"]
        assert (read.files, set(read.messages["split"])) == (1, {"train"})


# One message in several exports


def test_a_message_that_two_exports_hold_counts_once(tmp_path):
    files_of_apps.telegram(tmp_path / "march", EXCHANGES[:4])
    files_of_apps.telegram(tmp_path / "april", EXCHANGES)
    folder = read_all(tmp_path, "chats", Options(ZoneInfo(CORDOBA)))
    assert folder.messages["text"].tolist() == [text for _, _, text in EXCHANGES]
    assert folder.accounts["messages"]["dropped"] == {"exported_twice": 4}
    assert folder.accounts["messages"]["in"] == 10


@pytest.mark.parametrize("app", WRITERS)
def test_an_export_beside_its_zip_counts_once(app, tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    WRITERS[app](inside, EXCHANGES)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in filter(Path.is_file, inside.rglob("*")):
            archive.write(path, path.relative_to(inside).as_posix())
    texts = sources.read(tmp_path, **UTC_MINUS_3)["text"].tolist()
    assert texts == [text for _, _, text in EXCHANGES]


def test_conversations_of_the_same_words_in_one_file_are_several(tmp_path):
    conversation = {"messages": [{"role": "user", "content": "hola"}]}
    write(tmp_path / "chats.json", [conversation] * 3)
    assert len(sources.read(tmp_path, **UTC_MINUS_3)) == 3


def test_the_newest_export_has_the_last_word():
    older = export(record(message_id="7", text="holaa"))
    newer = export(
        record(message_id="7", text="hola"), record(message_id="8", instant=1_750_000_000_000_000)
    )
    for order in ((older, newer), (newer, older)):
        table, repeated, _ = merged(*order)
        assert table["text"].tolist() == ["hola", "hola"]
        assert repeated == 1


def test_messages_without_an_id_are_never_taken_for_one():
    table, repeated, _ = merged(export(record(), record()), export(record()))
    assert (len(table), repeated) == (3, 0)


@given(
    st.lists(st.integers(0, 9), max_size=12),
    st.lists(st.lists(st.integers(0, 9), max_size=12), min_size=1, max_size=4),
)
@settings(max_examples=60)
def test_overlapping_exports_give_the_union(first, others):
    ids = [sorted(set(part)) for part in (first, *others)]
    parts = [
        export(*(record(message_id=str(n), instant=n * 10**6, text=f"m{n}") for n in part))
        for part in ids
        if part
    ]
    if parts:
        table, repeated, _ = merged(*parts)
        union = sorted({n for part in ids for n in part})
        assert table["text"].tolist() == [f"m{n}" for n in union]
        assert repeated == sum(map(len, ids)) - len(union)


# Who and where


def names_of(*records):
    """Text -> author."""
    table, _, _ = merged(export(*records))
    return dict(zip(table["text"], table["author"], strict=True))


def test_two_people_of_one_name_stay_two_and_who_is_who_never_changes():
    """Otherwise more exports could make one answer of people.yaml that of another person."""
    first, other, third = (
        record(chat_id="c", author_id=id_, instant=instant, text=f"soy {id_}", message_id=id_)
        for id_, instant in (("1", 20), ("2", 10), ("3", 5))
    )
    assert names_of(first) == {"soy 1": "Ana"}
    two = names_of(first, other)
    assert len({*two.values(), "Ana"}) == 3  # so that who was Ana is asked again
    assert all(re.fullmatch(r"Ana \(\d{4}\)", name) for name in two.values())
    assert two.items() < names_of(third, other, first).items()
    assert names_of(other, third)["soy 2"] == two["soy 2"]


def test_namesakes_are_told_apart_by_more_digits_where_it_takes_them(monkeypatch):
    ids = {"1": b"\x01" * 32, "2": b"\x01" * 31 + b"\x02"}
    digest = lambda id_: SimpleNamespace(hexdigest=ids[id_.decode()].hex)  # noqa: E731
    monkeypatch.setattr(merging, "blake2b", digest)
    called = names_of(*(record(author_id=id_, text=id_, message_id=id_) for id_ in ids))
    assert called["1"] != called["2"]
    assert len(called["1"]) == len(called["2"])


def test_nobody_is_called_like_a_word_for_nobody(tmp_path):
    lines = [
        f"1/2/2025, 10:0{minute} - {name}: hola\n"
        for minute, name in enumerate(("forwarded", "Withheld", "withheld\u200b", "Juli"))
    ]
    (tmp_path / "WhatsApp Chat with x.txt").write_text("".join(lines), "utf-8")
    authors = sources.read(tmp_path, **UTC_MINUS_3)["author"].tolist()
    assert authors == ["forwarded (1)", "Withheld", "withheld\u200b (1)", "Juli"]


def test_a_person_who_changed_the_name_has_the_newest_in_all_messages():
    table, _, _ = merged(
        export(
            record(instant=1, author="Anita", text="a"),
            record(instant=2, author="Ana Q.", text="b"),
        )
    )
    assert table["author"].tolist() == ["Ana Q.", "Ana Q."]


def test_two_chats_of_one_title_stay_two_in_one_app_and_in_two():
    table, _, _ = merged(
        export(record(chat_id="user1", text="a"), record(chat_id="user2", text="b")),
        export(record(chat_id="5", text="c"), app="discord"),
    )
    assert table["chat"].tolist()[:2] == ["Ana", "Ana (2)"]
    assert (table["app"] + table["chat"]).nunique() == 3


def test_a_chat_that_is_called_like_a_copy_keeps_its_title():
    titles = ["Ana", "Ana", "Ana (2)", "Ana", "Ana (2)"]
    assert list(merging.distinct_titles(titles)) == [
        *("Ana", "Ana (2)", "Ana (2) (2)", "Ana (3)", "Ana (2) (3)"),
    ]


def test_who_only_sends_as_a_program_is_a_bot():
    table, _, bots = merged(
        export(
            record(author_id="b", author="ClimaBot", kind="forwarded", bot=True),
            record(author_id="1", author="Ana"),
        )
    )
    assert bots == {"ClimaBot"}
    assert set(table["author"]) == {"ClimaBot", "Ana"}


# Times


@pytest.mark.parametrize(
    ("timezone", "local"),
    [
        ("UTC", ["00:30", "01:30"]),
        ("America/Argentina/Cordoba", ["21:30", "22:30"]),
        # Summer time ended at 1:00 UTC that night: both instants are half past two in the morning.
        ("Europe/Madrid", ["02:30", "02:30"]),
    ],
)
def test_instants_become_local_times(timezone, local):
    first = int(datetime(2024, 10, 27, 0, 30, tzinfo=ZoneInfo("UTC")).timestamp()) * 10**6
    table, _, _ = merged(
        export(record(instant=first), record(instant=first + 3600 * 10**6)), timezone=timezone
    )
    assert table["timestamp"].dt.strftime("%H:%M").tolist() == local


def test_instants_decide_the_order_and_not_the_local_clock():
    # 00:50 UTC is 2:50 in Madrid, and 01:10 UTC is 2:10 again.
    before = int(datetime(2024, 10, 27, 0, 50, tzinfo=ZoneInfo("UTC")).timestamp()) * 10**6
    later = export(record(instant=before + 1200 * 10**6, text="después"))
    earlier = export(record(instant=before, text="antes"), name="other.json")
    table, _, _ = merged(later, earlier, timezone="Europe/Madrid")
    assert table["text"].tolist() == ["antes", "después"]
    assert table["timestamp"].dt.strftime("%H:%M").tolist() == ["02:50", "02:10"]


def test_a_record_without_a_time_keeps_its_place_among_others():
    table, _, _ = merged(
        export(
            record(instant=10, text="uno"),
            record(instant=None, text="sin hora"),
            record(instant=20, text="dos"),
        )
    )
    assert table["text"].tolist() == ["uno", "sin hora", "dos"]
    assert table["timestamp"].isna().tolist() == [False, True, False]


# Refusals


def refused(folder, **options):
    with pytest.raises(UserError) as error:
        sources.read(folder, **{**UTC_MINUS_3, **options})
    return str(error.value)


def test_json_of_something_else_that_was_put_there_is_named(tmp_path):
    files_of_apps.telegram(tmp_path, EXCHANGES)
    write(tmp_path / "package.json", {"name": "x", "version": "1.0"})
    assert "package.json: no export that espejo knows" in refused(tmp_path)


def test_a_folder_that_is_a_part_of_metas_download_may_hold_other_files(tmp_path):
    message = {"sender_name": "Cami", "timestamp_ms": 1740841200000, "content": "hola"}
    chat = {"participants": [{"name": "Cami"}], "messages": [message], "title": "Cami"}
    write(tmp_path / "inbox" / "cami_1" / "message_1.json", chat)
    write(tmp_path / "secret_groups.json", {"groups": []})
    assert list(sources.read(tmp_path, **UTC_MINUS_3)["text"]) == ["hola"]


@pytest.mark.parametrize(
    "name",
    [
        "messages.html",
        "messages2.html",
        "message_1.html",
        "Guild - general [123456789012345678].html",
    ],
)
def test_a_web_page_of_an_app_is_refused_with_what_to_do(name, tmp_path):
    (tmp_path / name).write_text("<!DOCTYPE html><html></html>", "utf-8")
    assert "web page" in refused(tmp_path)
    assert "JSON" in refused(tmp_path)


def test_pages_beside_the_json_of_the_same_export_do_not_matter(tmp_path):
    files_of_apps.telegram(tmp_path, EXCHANGES)
    (tmp_path / "ChatExport_2025-06-01" / "messages.html").write_text("<html></html>", "utf-8")
    assert len(sources.read(tmp_path, **UTC_MINUS_3)) == 6


def test_a_page_of_a_channel_beside_the_json_of_another_one_is_not_overlooked(tmp_path):
    files_of_apps.discord(tmp_path, EXCHANGES)
    (json_file,) = tmp_path.rglob("*.json")
    page = json_file.rename(json_file.with_name("Taller - general [1].json")).with_suffix(".html")
    page.write_text("<html></html>", "utf-8")  # exported as both
    assert len(sources.read(tmp_path, **UTC_MINUS_3)) == 6
    page.rename(page.with_name("Taller - avisos [2].html"))
    assert "Taller - avisos [2].html: this is a web page" in refused(tmp_path)


def test_a_readme_is_no_data_in_a_zip_either(tmp_path):
    for folder in (tmp_path / "loose", tmp_path / "zipped"):
        folder.mkdir()
    contents = {"talks.txt": "hola __eou__ buenas __eou__\n", "readme.txt": "Talks.\n"}
    for name, text in contents.items():
        (tmp_path / "loose" / name).write_text(text, "utf-8")
    with zipfile.ZipFile(tmp_path / "zipped" / "talks.zip", "w") as archive:
        for name, text in contents.items():
            archive.writestr(name, text)
    for folder in ("loose", "zipped"):
        read = read_all(tmp_path / folder, "dialogues", Options(ZoneInfo(CORDOBA)))
        assert read.messages["text"].tolist() == ["hola", "buenas"]


def test_a_damaged_zip(tmp_path):
    (tmp_path / "download.zip").write_bytes(b"PK\x03\x04 and no more")
    assert "download.zip: the zip is damaged" in refused(tmp_path)


def test_a_zip_cut_in_the_middle_of_a_file(tmp_path):
    inside = tmp_path / "inside"
    files_of_apps.telegram(inside, list(talk(400)))
    path = tmp_path / "download.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(inside / "ChatExport_2025-06-01" / "result.json", "result.json")
    shutil.rmtree(inside)
    data = bytearray(path.read_bytes())
    data[2000:2100] = bytes(100)
    path.write_bytes(data)
    assert refused(tmp_path).startswith("download.zip")


def test_a_file_beyond_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    files_of_apps.telegram(tmp_path, EXCHANGES)
    assert "result.json: holds more than 1,000 bytes" in refused(tmp_path)


def test_a_zip_that_unpacks_beyond_the_limit_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 100_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        chat = {"name": "Ana", "type": "personal_chat", "id": 1, "messages": []}
        archive.writestr("result.json", json.dumps(chat)[:-2] + " " * 10_000_000 + "]}")
    assert "bomb.zip: holds more than 100,000 bytes" in refused(tmp_path)


def test_a_workbook_is_refused_and_never_overlooked(tmp_path):
    for name in ("faq.xlsx", "~$faq.xlsx", "faq.csv"):
        (tmp_path / name).write_text("question,answer\na,b\n", "utf-8")
    refusal = "^faq.xlsx: this is a workbook of a spreadsheet, .* save the table as CSV"
    with pytest.raises(UserError, match=refusal):
        sources.read_all(tmp_path, "questions", sources.export.Options(ZoneInfo(CORDOBA)))
    with pytest.raises(UserError, match=refusal):
        sources.read(tmp_path / "faq.xlsx")
    assert len(sources.read(tmp_path)) == 2  # among chats it may be what somebody sent
    (tmp_path / "faq.xlsx").unlink()
    options = sources.export.Options(ZoneInfo(CORDOBA))
    assert len(sources.read_all(tmp_path, "questions", options).messages) == 2


def test_nothing_to_read(tmp_path):
    assert "expected exports of chats" in refused(tmp_path)
    assert "no such file or folder" in refused(tmp_path / "nowhere")


def test_an_export_without_a_message(tmp_path):
    files_of_apps.telegram(tmp_path, [])
    assert "there is no message inside" in refused(tmp_path)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc", "America"])
def test_an_unknown_time_zone(name, tmp_path):
    files_of_apps.telegram(tmp_path, EXCHANGES)
    sentence = refused(tmp_path, timezone=name)
    assert sentence.startswith(f"timezone is {name!r}: expected an IANA name of a time zone")


def test_a_machine_whose_time_zone_has_no_name(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "ART3")
    monkeypatch.setattr("tzlocal.unix._cache_tz", None)  # of a test before this one
    assert refused(tmp_path, timezone=None).startswith("The variable TZ is 'ART3': expected an")


def test_an_unknown_time_zone_is_a_wrong_setting():
    with pytest.raises(UserError, match=r"parse\.timezone is 'Cordoba'.*IANA name"):
        checked(ParseConfig, {"min_understood": 0.9, "timezone": "Cordoba"}, files.Path("p.yaml"))
