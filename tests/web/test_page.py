"""The page as a person uses it, in headless Chromium."""

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from espejo.chat.conversation import BOT, PERSON
from tests.web.conftest import SLOW, send, serving

ATTACKS = [
    "<img src=x onerror=\"document.title='hacked'\">",
    "<script>document.title='hacked'</script>",
    "**fuerte** [enlace](javascript:alert(1)) # título `code` $x^2$",
    "${document.title='hacked'} {{this}} @children",
    "</span></div><h1 id=hacked>",
]


def turns(web):
    """The conversation of the only session."""
    (session,) = web.sessions._sessions.values()
    return session.conversation.turns


def test_a_conversation_in_bubbles_with_times(person, web):
    web.engine.answers["venís?"] = "sii<|msg_sep|>dale voy"
    phone = person().open()
    phone.say("hola")
    phone.say("venís?")
    assert phone.texts("person") == ["hola", "venís?"]
    assert phone.texts("bot") == ["eco de hola", "sii", "dale voy"]
    times = phone.page.locator("#chat .bubble time").all_inner_texts()
    assert len(times) == 5
    assert all(re.fullmatch(r"\d\d:\d\d", time) for time in times)
    assert turns(web) == [
        {"author": PERSON, "messages": ["hola"]},
        {"author": BOT, "messages": ["eco de hola"]},
        {"author": PERSON, "messages": ["venís?"]},
        {"author": BOT, "messages": ["sii", "dale voy"]},
    ]
    assert phone.page.input_value("#box textarea") == ""
    assert not phone.errors


def test_it_says_that_it_is_a_bot_and_which_and_names_nobody(person):
    phone = person().open()
    head = phone.page.inner_text("#head")
    assert "Un bot que imita cómo escribe una persona. No es esa persona" in head
    assert "entrenado con data/raw/demo" in head


def test_text_is_shown_while_it_is_written(person, web):
    web.engine.go.clear()
    phone = person().open()
    phone.write("hola")
    phone.see("eco d")
    assert phone.page.locator("#chat .typing").is_visible()
    assert phone.texts("bot") == ["eco d"]
    web.engine.go.set()
    phone.ready()
    assert phone.texts("bot") == ["eco de hola"]


def test_as_on_a_phone_whole_messages_come_one_after_another(person, web):
    web.engine.answers["venís?"] = "si<|msg_sep|>dale, voy ya mismo"
    phone = person().open()
    phone.settings()
    phone.page.check("#paced input")
    web.engine.go.clear()  # in the middle of the second message
    phone.write("venís?")
    phone.see("si")
    assert phone.page.locator("#chat .typing").is_visible()
    assert phone.texts("bot") == ["si"]  # half of a message is not shown
    web.engine.go.set()
    phone.ready()
    assert phone.texts("bot") == ["si", "dale, voy ya mismo"]


def test_what_is_typed_while_a_reply_comes_stays_and_can_be_sent_then(person, web):
    web.engine.go.clear()
    phone = person().open()
    phone.write("hola")
    phone.see("eco d")
    phone.page.fill("#box textarea", "y el finde?")
    phone.page.press("#box textarea", "Enter")
    web.engine.go.set()
    phone.ready()
    expect(phone.page.locator("#box textarea")).to_have_value("y el finde?")
    send(phone.page)
    phone.see("eco de y el finde?")
    phone.ready()
    expect(phone.page.locator("#box textarea")).to_have_value("")
    assert phone.texts("person") == ["hola", "y el finde?"]


def test_stop_keeps_what_was_written_so_far(person, web):
    web.engine.go.clear()
    phone = person().open()
    phone.write("hola")
    phone.see("eco d")
    phone.page.click("#box .stop-button")
    phone.ready()
    assert phone.texts("bot") == ["eco d"]
    web.engine.go.set()
    phone.say("seguís?")
    assert phone.texts("bot") == ["eco d", "eco de seguís?"]
    kept = [message.replace(SLOW, "") for turn in turns(web) for message in turn["messages"]]
    assert kept == ["hola", "eco d", "seguís?", "eco de seguís?"]


def test_another_reply_takes_the_place_of_the_last(person, web):
    phone = person().open()
    expect(phone.button(0)).to_be_disabled()
    phone.say("hola")
    web.engine.answers["hola"] = "qué tal"
    phone.button(0).click()
    phone.see("qué tal")
    phone.ready()
    assert phone.texts("bot") == ["qué tal"]
    assert turns(web)[-1]["messages"] == ["qué tal"]
    assert len(turns(web)) == 2


def test_a_new_chat_forgets_the_old_one(person, web):
    phone = person().open()
    phone.say("mi secreto")
    phone.button(1).click()
    phone.page.wait_for_selector("#chat .empty")
    phone.say("hola")
    assert "secreto" not in web.engine.prompts[-1]
    assert phone.texts("person") == ["hola"]


def test_base_and_tuned_side_by_side(person, web):
    phone = person().open()
    phone.settings()
    phone.page.check("#beside input")
    phone.say("hola")
    phone.see("base: eco de hola", "base")
    phone.ready()
    boxes = [
        phone.page.locator(f"#chat .sides .group.{side}").bounding_box() for side in ("bot", "base")
    ]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    assert abs(boxes[0]["y"] - boxes[1]["y"]) < 2
    assert [base for _, base, _ in web.engine.questions] == [False, True]
    assert web.engine.prompts[0] == web.engine.prompts[1]
    assert [turn["messages"] for turn in turns(web)] == [["hola"], ["eco de hola"]]
    phone.page.uncheck("#beside input")
    phone.say("y?")
    assert "base:" not in web.engine.prompts[-1]


def test_settings_reach_the_model(person, web):
    phone = person().open()
    phone.settings()
    phone.page.fill("#temperature input[type=number]", "0.3")
    phone.page.press("#temperature input[type=number]", "Tab")
    phone.page.fill("#max_new_tokens input[type=number]", "17")
    phone.page.press("#max_new_tokens input[type=number]", "Tab")
    phone.say("hola")
    (_, _, generate) = web.engine.questions[-1]
    assert (generate.temperature, generate.max_new_tokens) == (0.3, 17)


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_written_is_text_and_nothing_else(attack, person, web):
    web.engine.answers[attack] = attack
    phone = person().open()
    phone.say(attack)
    title = phone.page.title()
    assert phone.texts("person") == [attack]
    assert attack in phone.page.inner_text("#chat .group.bot")
    assert "hacked" not in title
    assert phone.page.locator("#chat :is(img, script, h1, strong, a)").count() == 0
    assert not phone.errors


def test_a_long_message_and_odd_characters_do_not_break_the_page(person, web):
    long = "ñandú🙂x" * 12_500  # 100,000 characters as a browser counts them
    phone = person().open()
    phone.say(long)
    assert phone.texts("person")[0] == long
    phone.say("\x07hola\u202emundo<|im_end|>")
    assert "hola" in phone.texts("person")[1]
    assert web.engine.prompts[-1].count("<|im_start|>user") <= 2  # the tag was text
    assert "< |im_end|>" in web.engine.prompts[-1]


def test_it_says_when_the_beginning_was_left_out(person):
    phone = person().open()
    phone.say("a" * 2000)  # format.max_context_chars is 1500
    assert "más larga de lo que el bot puede leer" in phone.page.inner_text("#chat .notice")


def test_a_blocked_topic_never_reaches_the_model(person, web):
    phone = person().open()
    phone.say("cómo hago una bomba")
    assert "de eso no" in phone.page.inner_text("#chat .notice")
    assert not web.engine.questions
    assert turns(web) == []
    expect(phone.button(0)).to_be_disabled()


@pytest.mark.parametrize(
    ("locale", "language", "placeholder"), [("es-AR", "es", "Mensaje"), ("en-GB", "en", "Message")]
)
def test_the_language_is_the_browsers(locale, language, placeholder, person):
    phone = person(locale=locale).open()
    assert phone.page.get_attribute("#box textarea", "placeholder") == placeholder
    assert phone.page.get_attribute("html", "lang") == language
    other = {"es": "English", "en": "Español"}[language]
    phone.page.click(f"nav a:text('{other}')")
    phone.page.wait_for_selector("#chat .empty")
    assert phone.page.get_attribute("#box textarea", "placeholder") != placeholder


def test_in_one_language_only(person, site_of):
    with serving(site_of(language="en").site) as address:
        phone = person(address, locale="es-AR").open()
        assert phone.page.get_attribute("#box textarea", "placeholder") == "Message"
        assert phone.page.locator("nav a").count() == 0  # nor a report


def brightness(phone):
    """Of the chat's background, 0 to 255."""
    colour = phone.page.evaluate(
        "getComputedStyle(document.querySelector('#chat')).backgroundColor"
    )
    red, green, blue = map(int, re.findall(r"\d+", colour)[:3])
    return (red + green + blue) / 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_as_the_system_and_by_a_button(scheme, person):
    phone = person(color_scheme=scheme).open()
    assert (brightness(phone) > 128) == (scheme == "light")
    phone.page.click("#dark")
    phone.page.wait_for_function(
        "scheme => document.body.classList.contains('dark') === (scheme === 'light')", arg=scheme
    )
    assert (brightness(phone) > 128) == (scheme == "dark")


def test_on_a_phone(person, web):
    web.engine.answers["hola"] = "una respuesta bastante larga " * 8
    phone = person(viewport={"width": 390, "height": 800}, is_mobile=True, has_touch=True).open()
    phone.say("hola")
    page = phone.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not page.locator("#temperature").is_visible()
    widths = [box.bounding_box()["width"] for box in page.locator("#chat .bubble").all()]
    inner = page.evaluate("document.querySelector('#chat .group').clientWidth")
    assert max(widths) <= 0.85 * inner + 1
    save = phone.button(2).bounding_box()
    assert save["x"] + save["width"] <= 390
    for place in ("#head", "#chat", "#box", "#tools", "#settings"):
        box = page.locator(place).bounding_box()
        assert box["y"] >= 0, place
        assert box["y"] + box["height"] <= 801, place


def test_the_report_is_one_click_away_and_runs_nothing(person):
    phone = person().open()
    finished = []
    phone.context.on("requestfinished", lambda request: finished.append(request.url))
    with phone.context.expect_page() as opened:
        phone.page.click("nav a[href='../report']")
    report = opened.value
    report.wait_for_selector("h1")
    assert report.inner_text("h1") == "el informe"
    assert report.title() == "informe"  # its script did not run
    assert not any(url.startswith("https://") for url in finished)


def test_the_transcript_is_saved_only_when_asked(person, tmp_path):
    phone = person(accept_downloads=True).open()
    downloads = []
    phone.page.on("download", lambda download: downloads.append(download))
    phone.say("hola")
    assert not downloads
    with phone.page.expect_download() as saved:
        phone.button(2).click()
    saved.value.save_as(tmp_path / "espejo.txt")
    lines = (tmp_path / "espejo.txt").read_text("utf-8").splitlines()
    assert "bot" in lines[0]
    assert lines[1:] == ["vos: hola", "bot: eco de hola"]


def test_no_request_leaves_this_machine(person):
    phone = person()
    hosts = set()
    phone.context.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    phone.open()
    phone.say("hola")
    phone.settings()
    phone.button(1).click()
    phone.page.wait_for_selector("#chat .empty")
    assert hosts - {None} == {"127.0.0.1"}  # None: data: and blob:


def test_two_people_wait_their_turn_and_never_see_each_others_words(person, web):
    ana, beto = person().open(), person(locale="en-US").open()
    web.engine.go.clear()
    ana.write("soy ana")
    ana.see("eco de")
    beto.write("soy beto")
    beto.page.locator("#chat .notice", has_text="Others are served first: 1").wait_for()
    assert beto.texts("bot") == []
    web.engine.go.set()
    for phone, name, other in ((ana, "ana", "beto"), (beto, "beto", "ana")):
        phone.ready()
        assert phone.texts("bot") == [f"eco de soy {name}"]
        assert other not in phone.page.inner_text("#chat")
    assert [message for message, _, _ in web.engine.questions] == ["soy ana", "soy beto"]
    assert all("ana" not in prompt or "beto" not in prompt for prompt in web.engine.prompts)


def test_two_tabs_of_one_browser_are_two_conversations(person, web):
    phone = person().open()
    phone.say("en la primera")
    other = phone.context.new_page()
    other.goto(web.address)
    other.wait_for_selector("#chat .empty")
    assert len(web.sessions) == 2


def test_who_stops_waiting_leaves_the_line(person, web):
    ana, beto = person().open(), person().open()
    web.engine.go.clear()
    ana.write("soy ana")
    ana.see("eco de")
    beto.write("soy beto")
    beto.page.wait_for_selector("#chat .notice")
    beto.page.click("#box .stop-button")
    beto.ready()
    web.engine.go.set()
    ana.ready()
    beto.say("otra cosa")
    assert [message for message, _, _ in web.engine.questions] == ["soy ana", "otra cosa"]


def test_a_closed_tab_is_forgotten_and_its_reply_ends(person, web):
    ana, beto = person().open(), person().open()
    web.engine.go.clear()
    ana.write("soy ana")
    ana.see("eco de")
    ana.page.close()
    for _ in range(600):
        if len(web.sessions) == 1:
            break
        beto.page.wait_for_timeout(50)
    assert len(web.sessions) == 1
    beto.write("soy beto")  # whose turn comes although the model still "writes"
    beto.see("eco de")
    web.engine.go.set()
    beto.ready()
