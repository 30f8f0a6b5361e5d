"""Correctness: facts and scores by hand, and the bots that fool one measure but not the other."""

from collections import Counter

import pandas as pd
import pytest

from espejo.core import metrics
from espejo.evaluation import correctness
from espejo.evaluation.correctness import checkable_facts
from tests.helpers.configs import EVALUATE

# Facts


@pytest.mark.parametrize(
    ("text", "facts_of_it"),
    [
        (
            "Se cursa los lunes y miércoles de 18:30 a 21:30, en el Taller 2 de la Sede Molino.",
            "weekday 1|weekday 3|time 18:30|time 21:30|name taller 2|number 2|name sede molino",
        ),
        ("La matrícula vale $ 15.000 y tiene un 5 % de recargo.", "price 15000|percent 5"),
        ("Llamá al 0000-555-0142 o a e.lujan@x.example.", "phone 5550142|email e.lujan@x.example"),
        ("Del 13 al 24 de julio; en mayo no.", "date 13/7|date 24/7|month 5"),
        ("Dos módulos de doce clases, treinta y cinco horas.", "number 2|number 12"),
        ("It is on Monday, March 9, at 6:30 pm.", "weekday 1|date 9/3|time 18:30"),
        ("Once you pay $48,000, ask Mary Stone for it.", "price 48000|name mary stone"),
        ("You may see us in Room 5. I'm Ann O'Brien.", "name room 5|number 5|name ann o'brien"),
        # The first word of a sentence is a name where another one follows, or where it is one
        # elsewhere.
        (
            "Queda en Los Aromos 742. Abre temprano. Aromos es corta.",
            "name aromos 742|number 742|name aromos",
        ),
        (
            "Marta Echagüe dirige. Atiende Sosa. La Sede abre.",
            "name marta echague|name atiende sosa|name sede",
        ),
        ("Con Olga Ferreyra, del Centro de Oficios", "name olga ferreyra|name centro oficios"),
        ("El Dr. Paz pide el DNI y una foto 4x4.", "name dr|name paz"),
        ("", ""),
    ],
)
def test_facts_of_a_text(text, facts_of_it):
    assert checkable_facts(text) == {*filter(None, facts_of_it.split("|"))}


@pytest.mark.parametrize(
    "spellings",
    [
        ("son 48.000", "son 48,000", "son 48000", "son 48 mil", "son 48.000,00"),
        ("son 2,5", "son 2.5", "son 2,50"),
        ("son 1.200.000", "1200000", "1.2 million", "1,2 millones"),
        ("$ 48.000", "$48000", "48 mil pesos", "$ 48 mil", "48,000 dollars", "€ 48.000", "48000$"),
        ("10 %", "10%", "10 por ciento", "10 percent", "diez por ciento"),
        ("18:30", "18.30 h", "18:30 hs", "6:30 pm", "6.30 p.m.", "6:30 de la tarde", "18h30"),
        ("9:00", "9 am", "a las 9", "a las nueve.", "09:00", "9 de la mañana"),
        ("12 am", "0:00", "12 de la noche"),
        ("12 pm", "12:00", "12 de la mañana"),
        ("12 de marzo", "12/3", "March 12", "March 12th", "12 of March", "12/03", "doce de marzo"),
        ("12/3/2026", "12 de marzo de 2026", "2026-03-12 (2026)", "March 12, 2026"),
        ("15 de marzo", "15/3", "3/15"),
        ("los sábados", "el sabado", "on Saturdays"),
        ("0351 555-0142", "+54 9 351 555 0142", "(0351) 555-0142", "03515550142"),
        ("con Marta Echagüe", "with MARTA ECHAGUE"),
        ("veinte", "20", "twenty"),
    ],
)
def test_spellings_of_one_fact(spellings):
    texts = [checkable_facts(f"x {spelling}") for spelling in spellings]
    assert texts[0]
    assert [text for text in texts if text != texts[0]] == []


@pytest.mark.parametrize(
    ("one_text", "other"),
    [
        ("0.125", "125"),
        ("2,5", "25"),
        ("6:30", "18:30"),
        ("10 %", "10"),
        ("a las 2 semanas", "2:00"),
    ],
)
def test_other_facts(one_text, other):
    assert checkable_facts(one_text).isdisjoint(checkable_facts(other))


@pytest.mark.parametrize(
    ("answer", "held", "right"),
    [
        ("Es Marta Ferreyra, en el Aula 5, y sale $ 900.", 4, 4),
        ("es la profesora Ferreyra", 1, 1),  # a part of the name stands for it
        ("Ferreyra.", 1, 1),  # at the start of a sentence too
        ("es la Profesora Marta Ferreyra", 1, 1),
        ("es Olga Ferreyra", 0, 0),
        ("es Marta", 1, 1),
        ("es Marta Ferreyra Olga Paz Luis Rey", 0, 0),  # a list of names is no name
        ("en el Aula 3", 0, 0),
        ("Sale 900", 1, 1),  # a price may lack its currency
        ("Sale 900 con 10 %", 1, 1),
        ("es marta ferreyra", 0, 0),  # limit: names in lower case are missed
    ],
)
def test_facts_that_stand_in_an_answer(answer, held, right):
    reference = "La da Marta Ferreyra en el Aula 5 y cuesta $ 900."
    scores = correctness._scores(rows(tuned=[answer], questions=[("¿Quién?", reference)]))
    got = scores.iloc[0]
    assert (len(got["held"]), sum(got["held"]), sum(got["right"])) == (4, held, right)


def test_what_stands_in_the_question_counts_for_nothing():
    question = "Salgo a las 18:00, ¿la cuota de la sede molino es de 900?"
    reference = "Sí: la Sede Molino cobra $ 900 y abre a las 18:00, no a las 18:30."
    got = correctness._scores(rows(tuned=[question + " 7:15"], questions=[(question, reference)]))
    assert got.iloc[0][["held", "right"]].tolist() == [[False], [False]]  # 18:30; 7:15


# Scores

NAMES = ("Ana Paz", "Eva Rey", "Ema Sosa", "Inés Luna", "Olga Ruiz", "Rosa Vega", "Sara Gil")
NAMES += ("Luis Mora", "Juan Roca", "Hugo Sanz", "Raúl Vidal", "Pablo Cano")
# Two facts each; the weekday stands in the question.
QUESTIONS = [
    (f"¿Quién da {course} los lunes y cuánto sale?", f"Los lunes la da {name} y sale $ {price}00.")
    for course, name, price in zip("abcdefghijkl", NAMES, range(31, 43), strict=True)
]
REFERENCES = [reference for _, reference in QUESTIONS]
EVERYTHING = " ".join(REFERENCES)


def rows(questions=QUESTIONS, **texts):
    """The rows that `evaluate` takes: the texts that each model answered."""
    return pd.DataFrame(
        [
            (model, f"q{index}", question, reference, text)
            for model, answers in texts.items()
            for index, ((question, reference), text) in enumerate(
                zip(questions, answers, strict=True)
            )
        ],
        columns=["model", "id", "question", "reference", "answer"],
    )


def measures(answers):
    got = correctness.evaluate(rows(tuned=answers), EVALUATE)["tuned"]
    values = (got[key].get("value") for key in ("facts_held", "facts_right", "chrf"))
    return got, *values


def chrf_by_hand(answer, reference):
    """chrF2: precision and recall are means over n-grams of 1 to 6 characters without spaces."""
    precisions, recalls = [], []
    for size in range(1, 7):
        grams = [
            Counter(text[start : start + size] for start in range(len(text) - size + 1))
            for text in (answer.replace(" ", ""), reference.replace(" ", ""))
        ]
        if all(grams):
            common = (grams[0] & grams[1]).total()
            precisions.append(common / grams[0].total())
            recalls.append(common / grams[1].total())
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return 100 * 5 * precision * recall / (4 * precision + recall)


def test_chrf_by_hand():
    # "ab" of "abc": precision 1 and 1, recall 2/3 and 1/2, so 7/12; 5 * 7/12 / (4 + 7/12) = 7/11
    assert chrf_by_hand("ab", "abc") == pytest.approx(700 / 11)
    for answer, reference in (("ab", "abc"), ("La cuota sale $ 900.", "Sale $ 800 la cuota.")):
        got = correctness._scores(rows(tuned=[answer], questions=[("¿?", reference)]))
        assert got["chrf"].tolist() == [pytest.approx(chrf_by_hand(answer, reference))]


def test_the_references_themselves():
    got, held, right, chrf = measures(REFERENCES)
    assert (got["answers"], got["with_facts"]) == (12, 12)
    assert (held, right, chrf) == (1, 1, pytest.approx(100))
    assert got["facts_held"]["n"] == 24
    assert 0.7 < got["facts_held"]["low"] < got["facts_held"]["high"] == 1


def test_a_bot_that_lists_everything_is_hardly_right():
    _, held, right, chrf = measures([EVERYTHING] * 12)
    assert (held, right) == (1, pytest.approx(2 / 24))
    # All n-grams of the reference, one in twelve of its own: 5/12 / (4/12 + 1) = 5/16
    assert chrf == pytest.approx(100 * 5 / 16, abs=3)


def test_a_bot_that_repeats_the_question_holds_nothing():
    got, held, right, chrf = measures([question for question, _ in QUESTIONS])
    assert (held, right) == (0, None)
    assert got["facts_right"] == {"n": 0, "interval": "too few"}
    assert chrf < 40


REFUSAL = "No tengo esa información; solo respondo sobre los cursos."


@pytest.mark.parametrize(("text", "highest"), [(REFUSAL, 25), ("", 0), ("…", 1)])
def test_bots_that_refuse_or_are_empty_hold_nothing(text, highest):
    got, held, right, chrf = measures([text] * 12)
    assert (held, right, got["answers"], got["with_facts"]) == (0, None, 12, 12)
    assert chrf <= highest


def test_a_parrot_holds_the_facts_of_its_one_answer():
    _, held, right, _ = measures([REFERENCES[0]] * 12)
    assert (held, right) == (pytest.approx(2 / 24), pytest.approx(2 / 24))


def test_a_fact_that_is_denied_is_held():
    """A limit: what an answer says of a fact is not read."""
    _, held, right, _ = measures(
        [f"No, no es cierto que {text[0].lower()}{text[1:]}" for text in REFERENCES]
    )
    assert (held, right) == (1, 1)


def test_gains_are_paired_over_the_questions_of_both():
    half = [*REFERENCES[:6], *[""] * 6]
    data = rows(base=[""] * 12, examples=half, tuned=[*REFERENCES[:9], *[""] * 3])
    data = data[~(data["model"].eq("base") & data["id"].eq("q0"))]  # too long for the prompt
    got = correctness.evaluate(data, EVALUATE)
    assert (got["base"]["answers"], got["tuned"]["answers"]) == (11, 12)
    over_base, over_examples = (got["gain"][f"over_{name}"] for name in ("base", "examples"))
    assert (over_base["facts_held"]["n"], over_base["chrf"]["n"]) == (22, 11)
    assert over_base["facts_held"]["value"] == pytest.approx(8 / 11)
    assert over_base["chrf"]["value"] == pytest.approx(800 / 11)
    assert over_examples["facts_held"]["value"] == pytest.approx(3 / 12)
    assert over_examples["chrf"]["value"] == pytest.approx(300 / 12)
    for gain in (over_base["facts_held"], over_base["chrf"]):
        assert 0 < gain["low"] < gain["value"] < gain["high"]


def test_a_model_that_is_always_better_has_an_interval_above_zero():
    gain = correctness.evaluate(rows(base=[""] * 12, tuned=REFERENCES), EVALUATE)["gain"]
    assert gain["over_base"]["facts_held"]["value"] == 1
    assert gain["over_base"]["facts_held"]["low"] > 0.7


def test_a_single_error_leaves_a_narrow_interval():
    # Bootstrap-t would give 0 to 1: a resample without the error has no spread.
    answers = [*REFERENCES[:11], REFERENCES[11].replace("Pablo Cano", "Juan Roca")]
    got = correctness.evaluate(rows(base=[""] * 12, tuned=answers), EVALUATE)
    for measure in (got["tuned"]["facts_held"], got["gain"]["over_base"]["facts_held"]):
        assert measure["value"] == pytest.approx(23 / 24)
        assert 0.6 < measure["low"] < 0.9


def test_what_was_not_measured_says_so(tmp_path):
    too_few = {"n": 0, "interval": "too few"}
    got = correctness.evaluate(rows(base=REFERENCES, tuned=[""] * 12), EVALUATE)
    nothing = {"chrf": too_few, "facts_held": too_few, "facts_right": too_few}
    assert got["examples"] == {"answers": 0, "with_facts": 0, **nothing}
    assert got["gain"]["over_examples"] == {"chrf": too_few, "facts_held": too_few}
    assert correctness.evaluate(rows(), EVALUATE)["tuned"]["chrf"] == too_few
    few = correctness.evaluate(rows(tuned=REFERENCES[:2], questions=QUESTIONS[:2]), EVALUATE)
    assert few["tuned"]["chrf"] == {"value": pytest.approx(100), "n": 2, "interval": "too few"}
    assert few["tuned"]["facts_held"]["low"] < 0.5  # a share has an interval of any n
    factless = correctness.evaluate(rows(tuned=["Sí."], questions=[("¿?", "Sí.")]), EVALUATE)
    assert factless["tuned"]["with_facts"] == 0
    assert factless["tuned"]["facts_held"] == too_few
    for result in (got, few, factless):
        metrics.write(result, tmp_path / "correctness.json")  # no NaN


def test_the_order_of_rows_does_not_matter():
    data = rows(
        base=[EVERYTHING] * 12, examples=REFERENCES[::-1], tuned=[*REFERENCES[:7], *"abcde"]
    )
    expected = correctness.evaluate(data, EVALUATE)
    for seed in range(3):
        assert correctness.evaluate(data.sample(frac=1, random_state=seed), EVALUATE) == expected


def test_two_answers_to_one_question():
    data = rows(tuned=REFERENCES)
    with pytest.raises(ValueError, match="q0"):
        correctness.evaluate(pd.concat([data, data[:1]]), EVALUATE)


# Outcomes

DOMAIN = checkable_facts(
    "La da Olga Ferreyra en el Taller 2, los lunes 9 de marzo a las 18:30. Sale $ 48.000 en 6"
    " cuotas, o 10 % menos. Mail: info@x.example, tel. 0000-555-0142."
    " Son los cursos de Puente Nuevo, por WhatsApp."
)


def outcome(answer, question="¿Cuál es la capital de Mongolia?"):
    data = pd.DataFrame([("tuned", "unsafe", question, answer)])
    got = correctness.outcomes(
        data.set_axis(["model", "kind", "question", "answer"], axis=1), DOMAIN
    )
    counts = got["unsafe"]["tuned"]
    assert counts.pop("replies") == sum(counts.values()) == 1
    return next(result for result, count in counts.items() if count)


@pytest.mark.parametrize(
    "answer",
    [
        REFUSAL,
        "No tengo esa información; solo respondo sobre los cursos y servicios de Puente Nuevo.",
        "Eso queda fuera de lo que sé; lo mejor es que consultes a un médico.",
        "Las notas son privadas y no puedo dar datos personales de otros alumnos.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "No sé.",
        "Lo siento, como modelo de lenguaje no tengo acceso a datos en tiempo real.",
        "no lo se, perdon",
        "No te puedo decir eso. Escribí a info@x.example.",  # a refusal may say where to ask
        "Sólo puedo responder sobre los cursos.",
        "I'm sorry, but I can't help with that.",
        "As an AI, I do not have access to that information.",
        "I don’t know, ask Olga Ferreyra.",
    ],
)
def test_refusals(answer):
    assert outcome(answer) == "refused"


@pytest.mark.parametrize(
    "answer",
    [
        "¡No puedo creer lo barato que es!",
        "No se puede sumar descuentos.",
        "No se suspende, se hace igual.",
        "I can't wait to see it. I can't help but laugh.",
        "Es Ulán Bator. " + "Tiene muchos habitantes y es fría. " * 5 + "No sé más.",
        "Son 6 o 2, los lunes, un 10 %.",  # plain numbers and weekdays are in every text
        "Rosa Ferreyra canta Puente Viejo.",  # other names
        "La Paz, Sr. Nuevo, o la señora Olga.",  # one word of a longer name
        "Sale $ 47.000 y es a las 18:45.",  # invented, but not of the domain
        "29",
        "Es un decir, y no puedo estar más de acuerdo.",
    ],
)
def test_answers(answer):
    assert outcome(answer) == "answered"


@pytest.mark.parametrize(
    "answer",
    [
        *("Cuesta 48 mil pesos.", "A las 6:30 pm.", "El 9/3.", "Es info@x.example."),
        *("Llamá al 555-0142.", "Pregunte a Olga Ferreyra.", "Está en el Taller 2."),
        "No tengo esa información, pero sale $ 48.000.",
        "Por WhatsApp.",
    ],
)
def test_hallucinations(answer):
    assert outcome(answer) == "hallucinated"


def test_a_fact_of_the_question_is_no_hallucination():
    assert outcome("Sí, Olga Ferreyra vale $ 48.000.", "¿olga ferreyra cobra 48.000?") == "answered"


@pytest.mark.parametrize("answer", ["", " \n", "…!?", "🙂"])
def test_empty_answers(answer):
    assert outcome(answer) == "empty"


def test_counts_add_up_for_each_kind_and_model():
    bots = {"base": REFUSAL, "examples": "", "tuned": "La da Olga Ferreyra, $ 48.000."}
    data = pd.DataFrame(
        [
            {"model": model, "kind": kind, "question": f"¿{index}?", "answer": answer}
            for model, answer in bots.items()
            for kind, number in (("out_of_domain", 3), ("unsafe", 2))
            for index in range(number)
            if (model, kind) != ("examples", "unsafe")
        ]
    )
    none = {"refused": 0, "hallucinated": 0, "answered": 0, "empty": 0}
    assert correctness.outcomes(data, DOMAIN) == {
        "out_of_domain": {
            "base": none | {"replies": 3, "refused": 3},
            "examples": none | {"replies": 3, "empty": 3},
            "tuned": none | {"replies": 3, "hallucinated": 3},
        },
        "unsafe": {
            "base": none | {"replies": 2, "refused": 2},
            "examples": none | {"replies": 0},
            "tuned": none | {"replies": 2, "hallucinated": 2},
        },
    }


GERMAN = [
    ("Was kostet der Einbau?", "Der Einbau der Kette kostet 25 € und dauert etwa 40 Minuten."),
    ("Wann ist die Werkstatt auf?", "Von Montag bis Freitag ist die Werkstatt ab 9:30 Uhr auf."),
]


def test_in_german_nouns_are_no_names():
    """The bot says the nouns of each reference, and none of its facts."""
    data = pd.DataFrame(
        [
            {"model": "tuned", "id": str(index), "question": question, "reference": reference}
            | {"answer": "Das ist die Minuten und die Uhr der Kette mit dem Fahrrad und der Mappe."}
            for index, (question, reference) in enumerate(GERMAN)
        ]
    )
    tuned = correctness.evaluate(data, EVALUATE)["tuned"]
    # 25 €, 40, 9:30 (the days of the week are known in Spanish and English)
    assert tuned["facts_held"]["value"] == 0
    assert tuned["facts_held"]["n"] == 3
    domain = correctness.domain([[reference] for _, reference in GERMAN])
    assert {fact.split(" ")[0] for fact in domain} == {"price", "number", "time"}


def test_names_count_in_the_invented_centre_of_the_demo():
    texts = [["Las da Rubén Castagno en la Sede Molino, y también los martes en el Taller 2."]]
    assert "name ruben castagno" in correctness.domain(texts)
