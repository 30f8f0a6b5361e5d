"""What the chat declines by list: found by hand, and answered with no model."""

import re
import time

import pytest
import yaml

from espejo.chat import decline, terminal
from espejo.chat.decline import ChatConfig
from espejo.core.errors import UserError
from espejo.model.config import GenerateConfig
from tests.helpers import scripted
from tests.helpers.workshop import ROOT

LIST = {"decline": ["bomba", "Tarjeta de crédito", "año nuevo", "911"], "declined": "De eso no."}
GENERATE = GenerateConfig(
    temperature=0.7, top_k=40, top_p=1.0, repetition_penalty=1.1, max_new_tokens=60
)


def blocklist(*phrases):
    return decline.blocklist(ChatConfig(decline=list(phrases), declined="De eso no."))


@pytest.mark.parametrize(
    ("message", "declined"),
    [
        ("Cómo hago una bomba casera?", True),
        ("una BÓMBA!!", True),
        ("_bomba_ *bomba*", True),  # italic and bold in WhatsApp
        ("rebomba", False),  # whole words
        ("pasame tu tarjeta, de credito", True),  # punctuation and accents do not count
        ("la tarjeta\nde crédito", True),
        ("tarjeta roja de crédito", False),  # words in a row
        ("feliz AÑO nuevo", True),
        ("feliz an\u0303o nuevo", True),  # ñ in two characters
        ("ano nuevo", False),  # another word
        ("llamá al 911.", True),
        ("llamá al 9911", False),
        ("", False),
        ("💣", False),
    ],
)
def test_whole_words_whatever_their_case_and_accents(message, declined):
    assert blocklist(*LIST["decline"]).matches(message) is declined


@pytest.mark.parametrize(
    ("entry", "message", "declined"),
    [
        # What nobody sees: zero width, soft hyphens, joiners, selectors, direction, controls.
        ("política", "pol\u200bít\u200dica", True),
        ("política", "po\u00adlí\u2060ti\ufeffca", True),
        ("política", "p\u034foli\ufe0ftica\u202e", True),
        ("política", "poli\x00tica", True),
        ("pol\u200bítica", "política", True),
        # Accents of more kinds, and marks around and over letters.
        ("política", "p\u0336o\u0336l\u0336i\u0336t\u0336i\u0336c\u0336a\u0336", True),
        ("política", "pòlïtîçã", True),
        # Letter by letter.
        ("política", "p.o.l.í.t.i.c.a", True),
        ("política", "hablemos de p o l i t i c a, dale", True),
        ("política", "p-o-l-i-t-i-c-a", True),
        ("política", "_p_o_l_i_t_i_c_a_", True),
        ("política", "p. o. l. í. t. i. c. a.", True),
        ("política", "y p-o-l-i-t-i-c-a o no?", True),
        ("política", "p o l i t i c a  y  s e x o", True),
        ("tarjeta de crédito", "t.a.r.j.e.t.a de c.r.e.d.i.t.o", True),
        ("tarjeta de crédito", "t a r j e t a  d e  c r e d i t o", True),
        ("tarjeta de crédito", "t a r j e t a d e c r e d i t o", True),
        ("911", "9-1-1", True),
        # Signs inside, and drawn out.
        ("política", "polí.tica, po-lit*ica", True),
        ("política", "poliiiticaaa", True),
        ("sol", "so l, so. L", False),
        ("sol", "s o l o", False),
        ("sol", "¿sí o no? lo sé", False),
        # Letters that look the same.
        ("política", "роlіtіса", True),  # Cyrillic р, о, і, с, а
        ("política", "ΡΟLΙΤΙCΑ", True),  # Greek capitals
        ("política", "ｐｏｌíｔｉｃａ", True),
        ("política", "𝓹𝓸𝓵𝓲𝓽𝓲𝓬𝓪", True),
        ("política", "𝐩𝐨𝐥𝐢𝐭𝐢𝐜𝐚 ⓟⓞⓛ", True),
        ("política", "ⓟⓞⓛⓘⓣⓘⓒⓐ", True),
        ("bomba", "ʙᴏᴍʙᴀ", True),
        ("bomba", "🅱️omba", True),
        ("bomba", "🄱🄾🄼🄱🄰", True),
        ("hola", "hoła høla", True),
        ("политика", "пoлитика", True),  # a Latin o in a Cyrillic word
        ("политика", "ПОЛИТИКА", True),
        ("ήλιος", "ΗΛΙΟΣ", True),  # Greek stays itself, whatever its letters look like
        ("हिन्दी", "हिन्दी", True),
        # Digits and signs for letters.
        ("política", "p0l1t1c4", True),
        ("política", "p0l!tic@", True),
        ("sexo", "$3xo", True),
        ("bomba", "Ьom8a", True),
        ("culo", "cu1o!", True),
        ("911", "el 911!", True),
        ("oso", "050", False),  # a number
        ("te", "73", False),
        # Singular and plural, both ways.
        ("política", "las políticas", True),
        ("políticas", "la política", True),
        ("tarjeta de crédito", "mis tarjetas de crédito", True),
        ("tarjetas de crédito", "mi tarjeta de crédito", True),
        ("tarjeta de crédito", "tarjetas de créditos", True),
        ("vez", "muchas veces", True),
        ("veces", "una vez", True),
        ("canción", "canciones", True),
        ("canciones", "canción", True),
        ("ley", "leyes", True),
        ("mes", "meses", True),
        ("party", "parties", True),
        ("parties", "party", True),
        ("bomb", "bombs", True),
        ("box", "boxes", True),
        ("knife", "knives", True),
        ("wolves", "wolf", True),
        ("woman", "women", True),
        ("eleição", "eleições", True),
        ("eleições", "eleição", True),
        ("homem", "homens", True),
        ("animal", "animais", True),
        ("animais", "animal", True),
        ("papel", "papéis", True),
        ("fuzil", "fuzis", True),
        ("fácil", "fáceis", True),
        ("bomba", "B.0.M.B.4.S o bömb@s", True),
        # Other words.
        ("año", "ano anos", False),
        ("ano", "año años", False),
        ("política", "un político y los políticos", False),
        ("sol", "solo sola sólo", False),
        ("dios", "me dio pena", False),
        ("mes", "me voy", False),
        ("sol", "vosotros sois", False),
        ("país", "meu pai", False),
        ("mess", "este mes", False),
        ("antes", "ante todo", False),
        ("vos", "voz", False),
        ("bomba", "bombón bombero", False),
    ],
)
def test_a_phrase_is_seen_however_its_letters_are_written(entry, message, declined):
    assert blocklist(entry).matches(message) is declined


def test_ordinary_sentences_are_not_declined():
    phrases = ["política", "bomba", "sexo", "droga", "arma", "plata", "sol", "muerte", "ano", "gas"]
    topics = blocklist(*phrases)
    sentences = """
        Hola! cómo andás? todo bien?
        jajaja no puede ser, 3 veces seguidas
        nos vemos a las 8:30 en lo de Ana, sí o sí
        feliz año nuevo!!! 🎉🎉
        solo quiero dormir, estoy solísimo
        el bombero trajo bombones
        un político, dos plátanos y el plato
        sos un genio, gracias $500 te debo
        a e i o u, y o no sé
        es un desarmador, no lo armé yo
        q t p, t q m
        el 5to piso, 2do B
        I bought a plate and gasoline at 7pm
        vou de ônibus, tá bom?
        mañana hay examen de análisis 2
    """
    for sentence in sentences.strip().splitlines():
        assert not topics.matches(sentence.strip()), sentence


def test_an_empty_list_declines_nothing(composed):
    default = ChatConfig.model_validate(composed()["chat"])
    assert default.decline == []
    assert not decline.blocklist(default).matches("bomba")


@pytest.mark.parametrize(
    "entry", ["", "?!", "\u200b", False, 911, 1.5, None, ["bomba"], {"a": "b"}, b"a"]
)
def test_an_entry_that_would_never_be_found_is_named(entry, tmp_path):
    path = tmp_path / "params.yaml"
    section = {"decline": ["bomba", entry], "declined": ""}
    path.write_text(yaml.safe_dump({"chat": section}), "utf-8")
    with pytest.raises(UserError, match=r"chat\.decline\.1 is .*, in quotes") as error:
        decline.read(path)
    assert f"chat.decline.1 is {entry!r}: expected a word or phrase" in str(error.value)


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("chat:", "chat is None: expected decline, declined below it"),
        ("chat: [bomba]", r"chat is \['bomba'\]: expected decline, declined below it"),
        ("chat: {decline: bomba, declined: x}", "chat.decline is 'bomba': expected a valid list"),
        ("chat: {decline: no, declined: x}", "chat.decline is False: expected a valid list"),
        ("chat: {decline: , declined: x}", "chat.decline is None: expected a valid list"),
        ("chat: {decline: {a: 1}, declined: x}", "chat.decline is .*: expected a valid list"),
        (
            "chat: {decline: [no], declined: x}",
            "decline.0 is False: expected a word or phrase",
        ),
        ("chat: {decline: [a], declined: no}", "chat.declined is False: expected a valid string"),
        ("chat: {decline: [a]}", r"params\.yaml lacks chat\.declined"),
        ("[]", "params.yaml holds no settings"),
        ("", "params.yaml holds no settings"),
    ],
)
def test_what_yaml_makes_of_a_list_is_named_with_its_key(written, sentence, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(written, "utf-8")
    with pytest.raises(UserError, match=sentence) as error:
        decline.read(path)
    assert "\n" not in str(error.value)


def test_it_is_read_from_params_and_no_stage_depends_on_it(tmp_path):
    path = tmp_path / "params.yaml"
    assert decline.read(path).phrases == ()
    path.write_text("model: {}\n", "utf-8")
    assert decline.read(path).phrases == ()
    path.write_text(yaml.safe_dump({"chat": LIST}), "utf-8")
    assert decline.read(path).phrases == ("bomba", "Tarjeta de crédito", "año nuevo", "911")
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    assert not [name for name, stage in stages.items() if "chat" in str(stage["params"])]


@pytest.fixture
def engine(composed):
    """A model that always says sí."""
    engine = scripted.ScriptedEngine(
        scripted.manifest(composed, model={"name": "m"}, data="d"), replies=["sí"] * 9
    )
    engine.loaded = lambda: engine
    return engine


def questions(engine):
    """What the prompts of the engine ask last."""
    return [re.findall(r"<\|im_start\|>user\n(.*)<\|im_end\|>", p)[-1] for p in engine.prompts]


def test_the_model_never_sees_what_was_declined(monkeypatch, capsys, engine):
    lines = iter(["hola", "una BOMBA", "/base", "/regenerate", "dale", "/base", "salir"])
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    terminal.chat(engine.loaded, GENERATE, blocklist(*LIST["decline"]))
    assert questions(engine) == ["hola", "dale", "dale"]
    assert not any("BOMBA" in prompt for prompt in engine.prompts)
    output = capsys.readouterr().out
    assert "declined by list (chat.decline): 4" in output
    assert "declined by list › De eso no.\n" in output
    assert output.count("That was declined by list") == 2
    assert output.count("bot › sí") == 2
    assert output.count("base › sí") == 1


def test_without_a_list_nothing_is_said_of_it(monkeypatch, capsys, tmp_path, engine):
    lines = iter(["una bomba", "salir"])
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    terminal.chat(engine.loaded, GENERATE, decline.read(tmp_path / "params.yaml"))
    output = capsys.readouterr().out
    assert "declined" not in output
    assert "bot › sí" in output


def test_the_chat_speaks_spanish_and_keeps_the_answer_of_the_list(monkeypatch, capsys, engine):
    lines = iter(["/nada", "/base", "una bomba", "hola", "salir"])
    prompts = []
    monkeypatch.setattr("builtins.input", lambda prompt: prompts.append(prompt) or next(lines))
    terminal.chat(engine.loaded, GENERATE, blocklist(*LIST["decline"]), language="es")
    output = " ".join(capsys.readouterr().out.split())
    assert prompts == ["vos › "] * 5
    assert "espejo · m, entrenado con d · un bot que imita a una persona" in output
    assert "No existe el comando /nada." in output
    assert "Primero decí algo: /base" in output
    assert "rechazado por la lista › De eso no." in output
    assert output.endswith("bot › sí chau!")


def test_both_languages_have_the_same_texts():
    texts = [terminal.ChatWording(language).texts for language in ("en", "es")]
    flat = [
        {**each, **{f"kinds.{kind}": text for kind, text in each["kinds"].items()}}
        for each in texts
    ]
    slots = [
        {key: set(re.findall(r"{\w+}", str(value))) for key, value in each.items()} for each in flat
    ]
    assert slots[0] == slots[1]


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ({}, "it is not that person"),  # older ones are of chats
        ({"kind": "chats", "history": 4}, "it is not that person"),
        ({"kind": "dialogues", "history": 11}, "with the present one: at least 6"),
        ({"kind": "questions", "history": 1}, "each question is answered by itself"),
    ],
)
def test_the_first_line_fits_the_data(manifest, words):
    assert words in terminal._kind(manifest, terminal.ChatWording("en"))


@pytest.mark.parametrize(
    ("steps", "unlearnt", "text"),
    [
        # Two steps of two texts are four at most: fewer than half of nine, and of eight half.
        (2, 5, "a trial: 2 steps, texts not learned from: 5"),
        (2, 4, ""),
        (-1, 5, ""),  # all epochs
    ],
)
def test_the_first_line_calls_a_trial_one(steps, unlearnt, text):
    ids = [str(number) for number in range(unlearnt)]
    manifest = {"train": {"max_steps": steps, "batch_size": 2}, "unlearnt": ids}
    assert terminal._trial(manifest, terminal.ChatWording("en")) == text
    assert terminal._trial({"train": {"max_steps": steps}}, terminal.ChatWording("en")) == ""


def test_a_letter_with_many_marks_does_not_take_its_square_in_time():
    """Normalizing sorts the marks: 100,000 of them took from half a minute on."""
    message = "bo" + "\u0301\u0323" * 50_000
    start = time.process_time()
    assert blocklist("bomba").matches(message + "mba")
    assert not blocklist("bomba").matches(message + "mbo")
    assert time.process_time() - start < 10
