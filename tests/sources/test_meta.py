import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espejo.sources import meta
from espejo.sources.export import Export, ExportError, SourceFile
from tests.sources.files import CORDOBA, read_all, rows, source_file
from tests.sources.files_meta import (
    MINUTE,
    NOON,
    encrypted,
    encrypted_thread,
    message,
    thread,
)

PHOTO = [{"uri": "photos/1.jpg", "creation_timestamp": 1}]


def read(*files: SourceFile) -> Export:
    (export,) = read_threads(*files)
    return export


def read_threads(*files: SourceFile) -> list[Export]:
    assert all(meta.recognises(file) for file in files)
    return read_all(meta, *files)


def test_messages_are_oldest_first_and_know_their_line_and_instant():
    export = read(thread(message("Teo", 2, "dale"), message("Lucía Roca", 0, "¿vamos?")))
    assert rows(export) == [("Lucía Roca", "message", "¿vamos?"), ("Teo", "message", "dale")]
    assert [record.line for record in export.records] == [2, 1]
    assert [record.instant for record in export.records] == [
        NOON * 1000,
        (NOON + 2 * MINUTE) * 1000,
    ]
    assert {record.chat for record in export.records} == {"Lucía Roca"}


def test_messages_of_one_millisecond_keep_their_order():
    export = read(thread(*(message("Teo", 0, text) for text in ("tres", "dos", "uno"))))
    assert [record.text for record in export.records] == ["uno", "dos", "tres"]


@pytest.mark.parametrize("garbled", [True, False])
def test_texts_names_and_titles_are_mended_and_right_ones_stay(garbled):
    file = thread(
        message("Lucía Roca", 1, "¡qué año! 🎆 – «ñandú»"),
        title="Asado en lo de Íñigo 🔥",
        people=("Lucía Roca", "Íñigo", "Teo"),
        garbled=garbled,
    )
    export = read(file)
    assert rows(export) == [("Lucía Roca", "message", "¡qué año! 🎆 – «ñandú»")]
    assert export.records[0].chat == "Asado en lo de Íñigo 🔥"


def test_right_and_garbled_texts_in_one_file():
    file = thread(
        message("Teo", 2, "maÃ±ana"),
        message("Teo", 1, "mañana"),
        message("Teo", 0, "mañana dice Ã±"),  # cannot be mended as a whole
    )
    assert [record.text for record in read(file).records] == [
        "mañana dice Ã±",
        "mañana",
        "mañana",
    ]


@given(st.text().filter(lambda text: text.strip() and not text.endswith(")")))
@settings(max_examples=100)
def test_any_text_survives_being_garbled(text):
    records = read(thread(message("Lucía Roca", 0, text), garbled=True)).records
    assert [record.text for record in records] == [text]


def test_half_an_emoji_does_not_cost_the_file():
    file = thread(message("Teo", 1, "corta\\ud83d"), message("Teo", 0, "entera 🎈"))
    data = file.read().replace(rb"\\ud83d", rb"\ud83d")
    assert [record.text for record in read(source_file("message_1.json", data)).records] == [
        "entera 🎈",
        "corta\ufffd",
    ]


def test_files_of_a_thread_in_several_zips_are_one_chat():
    newer = thread(message("Teo", 9, "c"), path="1.zip/inbox/lucia_777/message_2.json")
    older = thread(message("Teo", 3, "b"), path="2.zip/inbox/lucia_777/message_10.json")
    newest = thread(message("Teo", 12, "d"), path="2.zip/inbox/lucia_777/message_1.json")
    export = read(newer, older, newest)
    assert [record.text for record in export.records] == ["b", "c", "d"]
    assert export.name == "2.zip (inbox/lucia_777/message_1.json) and 2 more"
    assert export.decisions == "1 chat from 3 files"


def test_two_downloads_overlap_and_a_message_sent_twice_stays_two():
    twice = [message("Teo", 1, "dale"), message("Teo", 1, "dale")]
    older = thread(*twice, message("Teo", 0, "hola"), path="2023/lucia_777/message_1.json")
    newer = thread(
        message("Teo", 5, "chau"),
        *twice,
        path="2024/lucia_777/message_1.json",
        thread_path="archived_threads/lucia_777",
        garbled=True,
    )
    export = read(older, newer)
    assert [record.text for record in export.records] == ["hola", "dale", "dale", "chau"]
    assert export.dropped == {"in_two_files": 2}
    assert len({record.message_id for record in export.records}) == 4


def test_what_was_unsent_after_the_first_download_is_gone():
    older = thread(message("Teo", 1, "no debí"), path="2023/lucia_777/message_1.json")
    newer = thread(message("Teo", 1, is_unsent=True), path="2024/lucia_777/message_1.json")
    export = read(older, newer)
    assert rows(export) == [("Teo", "deleted", "")]
    assert export.dropped == {"unsent_later": 1}


def test_without_thread_path_the_folder_and_title_tell_chats_apart():
    exports = read_threads(
        thread(message("Teo", 1, "a"), path="ana/message_1.json", thread_path=None),
        thread(message("Teo", 0, "b"), path="ana/message_2.json", thread_path=None),
        thread(message("Teo", 1, "c"), path="bea/message_1.json", thread_path=None),
    )
    assert [[record.text for record in export.records] for export in exports] == [["b", "a"], ["c"]]
    assert len({export.records[0].chat_id for export in exports}) == 2


@pytest.mark.parametrize(
    ("path", "app"),
    [
        ("your_instagram_activity/messages/inbox/lucia_777/message_1.json", "instagram"),
        ("instagram-teo-2024.zip/messages/inbox/lucia_777/message_1.json", "instagram"),
        ("your_facebook_activity/messages/inbox/lucia_777/message_1.json", "messenger"),
        ("facebook-teo/messages/inbox/instagramera_7/message_1.json", "messenger"),
        ("message_1.json", "messenger"),
    ],
)
def test_the_app_is_known_by_the_folder(path, app):
    assert read(thread(message("Teo", 0, "hola"), path=path)).app == app


def test_the_app_is_known_by_the_paths_of_media():
    photo = [{"uri": "your_instagram_activity/messages/inbox/lucia_777/photos/1.jpg"}]
    file = thread(message("Teo", 0, photos=photo), path="message_1.json")
    assert read(file).app == "instagram"


@pytest.mark.parametrize(
    ("key", "value", "placeholder"),
    [
        ("photos", PHOTO, "<photo>"),
        ("videos", PHOTO, "<video>"),
        ("audio_files", PHOTO, "<audio>"),
        ("gifs", PHOTO, "<gif>"),
        ("files", PHOTO, "<file>"),
        ("sticker", {"uri": "s.png"}, "<sticker>"),
        ("share", {"link": "https://example.org", "share_text": "of nobody"}, "<link>"),
    ],
)
def test_media_without_words_have_a_placeholder(key, value, placeholder):
    (record,) = read(thread(message("Teo", 0, **{key: value}))).records
    assert (record.kind, record.text, record.caption) == ("media", placeholder, "")


def test_words_beside_a_photo_are_its_caption_and_the_notice_is_none():
    captioned, noticed = (
        read(thread(message("Teo", 0, text, photos=PHOTO))).records[0]
        for text in ("mirá el río", "Teo sent a photo.")
    )
    assert (captioned.kind, captioned.text, captioned.caption) == ("media", *["mirá el río"] * 2)
    assert (noticed.kind, noticed.text, noticed.caption) == ("media", "<photo>", "")


def test_words_beside_a_share_are_the_persons_and_the_notice_is_a_medium():
    share = {"link": "https://example.org/1", "share_text": "Read this now!"}
    export = read(
        thread(
            message("Lucía Roca", 3, "Lucía Roca 傳送了附件。", share=share),
            message("Lucía Roca", 2, "Enviaste un archivo adjunto.", share=share),
            message("Teo", 2, "You sent an attachment.", share=share),
            message("Teo", 1, "leé esto https://example.org/1", share=share),
        )
    )
    assert rows(export) == [
        ("Teo", "message", "leé esto https://example.org/1"),
        ("Teo", "media", "<link>"),
        ("Lucía Roca", "media", "<link>"),
        ("Lucía Roca", "media", "<link>"),
    ]


def test_calls_unsent_messages_and_old_types():
    export = read(
        thread(
            message("Teo", 6, is_unsent=True),
            message("Teo", 5, "me arrepentí", is_unsent=True),
            message("Teo", 4, "Lucía missed your call.", missed=True),
            message("Teo", 3, "The video chat ended.", call_duration=0),
            message("Teo", 2, "Teo added Bea to the group.", type="Subscribe"),
            message("Teo", 1, "hola", type="Generic", is_unsent=False),
        )
    )
    assert rows(export) == [
        ("Teo", "message", "hola"),
        (None, "system", "Teo added Bea to the group."),
        ("Teo", "call", "The video chat ended."),
        ("Teo", "call", "Lucía missed your call."),
        ("Teo", "deleted", ""),
        ("Teo", "deleted", ""),
    ]


def test_notices_are_the_apps_and_sentences_like_them_a_persons():
    export = read(
        thread(
            message("Lucía Roca", 5, "You sent an attachment."),  # Teo downloaded the chat
            message("Lucía Roca", 4, "Reacted 😂 to your message "),
            message("Lucía Roca", 3, "Teo sent an attachment."),
            message("Lucía Roca", 2, "Lucía Roca unsent a message."),
            message("Teo", 1, "You named the group Los del fondo."),
            message("Teo", 0, "Teo sent an attachment. ¿lo abro?"),
        )
    )
    assert rows(export) == [
        ("Teo", "message", "Teo sent an attachment. ¿lo abro?"),
        (None, "system", "You named the group Los del fondo."),
        ("Lucía Roca", "deleted", ""),
        ("Lucía Roca", "message", "Teo sent an attachment."),
        (None, "system", "Reacted 😂 to your message "),
        ("Lucía Roca", "message", "You sent an attachment."),
    ]


def test_the_owner_of_a_group_is_known_by_the_chats_of_two():
    said_by_bea = message("Bea", 0, "You left the group.")
    group = {
        "title": "El club",
        "people": ("Bea", "Lucía Roca", "Teo"),
        "path": "inbox/club_8/message_1.json",
        "thread_path": "inbox/club_8",
    }
    alone = read(thread(said_by_bea, **group))
    _, with_another = read_threads(thread(message("Teo", 0, "hola")), thread(said_by_bea, **group))
    assert [alone.records[0].kind, with_another.records[0].kind] == ["system", "message"]


def test_an_edit_is_one_record_at_its_first_time():
    export = read(
        thread(
            message("Teo", 4, "nos vemos a las seis 🕕 (edited)"),
            message("Lucía Roca", 3, "dale"),
            message("Teo", 2, "nos vemos a las sies (editado)"),
            message("Teo", 1, "nos vemos a las cinco"),
            message("Teo", 0, "ya salgo"),
        )
    )
    assert rows(export) == [
        ("Teo", "message", "ya salgo"),
        ("Teo", "message", "nos vemos a las seis 🕕"),
        ("Lucía Roca", "message", "dale"),
    ]
    assert [record.edited for record in export.records] == [False, True, False]
    assert export.dropped == {"edited_before": 2}


def test_somebody_may_write_edited_in_brackets():
    export = read(
        thread(
            message("Teo", 60, "te mando la versión (edited)"),
            message("Lucía Roca", 59, "¿y el libro?"),
            message("Teo", 0, "buen día"),
        )
    )
    assert export.records[-1].text == "te mando la versión (edited)"
    assert not export.records[-1].edited


def test_deleted_accounts_have_a_name_and_two_chats_do_not_share_them():
    first, second = read_threads(
        thread(message("", 0, "sin nombre"), message("Facebook user", 1, "yo no")),
        thread(message("", 0, "otra"), path="inbox/x_9/message_1.json", thread_path="inbox/x_9"),
    )
    assert [record.author for record in first.records] == ["Facebook user"] * 2
    ids = [record.author_id for record in (*first.records, *second.records)]
    assert ids[0] == ids[1] != ids[2]


def test_a_message_with_nothing_in_it_is_dropped():
    export = read(thread(message("Teo", 1), message("Teo", 0, "hola", reactions=[{"a": 1}])))
    assert rows(export) == [("Teo", "message", "hola")]
    assert export.dropped == {"empty": 1}


def test_seconds_of_old_downloads():
    old = {"sender_name": "Teo", "timestamp": 1_500_000_000, "content": "hola"}
    assert read(thread(old)).records[0].instant == 1_500_000_000 * 10**6


def test_end_to_end_encrypted_chats():
    export = read(
        encrypted_thread(
            encrypted("Teo", 6, type="placeholder"),
            encrypted("Teo", 5, "https://example.org", type="link"),
            encrypted("Teo", 4, isUnsent=True),
            encrypted("Lucía Roca", 3, "la foto", type="media", media=[{"uri": "./media/1.jpeg"}]),
            encrypted("Lucía Roca", 2, type="media"),
            encrypted("Teo", 1, "así se ve: Ã±"),
        )
    )
    assert rows(export) == [
        ("Teo", "message", "así se ve: Ã±"),
        ("Lucía Roca", "media", "<file>"),
        ("Lucía Roca", "media", "la foto"),
        ("Teo", "deleted", ""),
        ("Teo", "message", "https://example.org"),
        (None, "system", ""),
    ]
    assert (export.app, export.records[0].chat) == ("messenger", "Lucía Roca")


@pytest.mark.parametrize(
    "odd",
    [
        {"sender_name": "Teo", "timestamp_ms": NOON, "content": 5},
        {"sender_name": ["Teo"], "timestamp_ms": NOON, "content": "hola"},
        {"sender_name": "Teo", "timestamp_ms": 10**30, "content": "hola"},
        {"sender_name": "Teo", "timestamp_ms": "ayer", "content": "hola"},
        {"sender_name": "Teo", "content": "hola"},
        "hola",
        None,
    ],
)
def test_one_odd_message_is_counted_and_many_are_an_error(odd):
    good = message("Teo", 0, "hola")
    export = read(thread(good, odd))
    assert rows(export) == [("Teo", "message", "hola")]
    assert export.dropped == {"unreadable": 1}
    with pytest.raises(ExportError, match=r"message_1\.json, message 2: expected .*2 of 3"):
        meta.read([thread(good, odd, odd)], CORDOBA)


def test_errors_name_the_file_and_what_to_do():
    data = thread(message("Teo", 0, "hola")).read()
    for damaged, words in (
        (data[:-20], "the JSON is cut off"),
        (data.replace(b'"hola"', b"hola"), r"expected JSON \("),
        (b'{"participants": [], "thread_path": "a", "messages": 5}', "expected `array`"),
    ):
        with pytest.raises(ExportError, match=words) as error:
            meta.read([source_file("x/message_1.json", damaged)], CORDOBA)
        assert "message_1.json: " in str(error.value)
        assert "download your information from Meta again" in str(error.value)


def test_a_huge_text_is_an_error():
    file = thread(message("Teo", 0, "a" * 2_000_001))
    with pytest.raises(ExportError, match="message 1: a text of 2,000,001 bytes"):
        meta.read([file], CORDOBA)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"messages": [{"role": "user", "content": "sender_name timestamp_ms"}]}',
        b'{"name": "Teo", "type": "personal_chat", "messages": [{"id": 1, "text": '
        b'"\\"sender_name\\": \\"timestamp_ms\\":"}]}',
        b'{"guild": {}, "messages": [{"id": "1", "content": "hola", "author": {"name": "a"}}]}',
        b'{"messages": []}',
        b'{"reactions_v2": [{"timestamp": 1, "title": "Teo liked a post", "sender_name": "a"}]}',
        b'{"profile_user": [{"title": "", "string_map_data": {"Name": {"value": "Teo"}}}]}',
    ],
)
def test_other_files_are_not_recognised(data):
    assert not meta.recognises(source_file("message_1.json", data))


def test_a_thread_without_messages_is_recognised():
    export = read(thread())
    assert (export.items, list(export.records)) == (0, [])
