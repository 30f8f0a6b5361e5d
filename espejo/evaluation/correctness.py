"""Correctness of generated answers to questions, against reference answers.

Two measures, since what fools one of them shows in the other. chrF (Popović 2015) compares n-grams
of characters, and so wording more than truth. Facts are compared without the wording:
`facts_held` is the share of the references' facts that stand in the answers (recall),
`facts_right` the share of the answers' facts that stand in the references (precision). An answer
that lists everything holds all facts, of which few are right. What stands in the question can be
copied, and counts for neither.

Limits. What an answer says of a fact is not read: "no, not at 18:30" holds 18:30, and two facts
that changed places are both held. A true fact that the reference leaves out counts as wrong.
Nothing but numbers, dates and names is a fact: "free of charge" is none. In a language that writes
nouns with a capital, as German does, a name cannot be told from a noun, and names do not count.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from decimal import Decimal
from itertools import dropwhile

import pandas as pd
from sacrebleu.metrics.chrf import CHRF

from espejo.core.text import fold
from espejo.evaluation import intervals
from espejo.evaluation.config import EvaluateConfig

# examples: the base model with rows in its prompt; retrieved: no model, the nearest row's answer
MODELS = ("base", "examples", "retrieved", "tuned")
OUTCOMES = ("refused", "answered", "hallucinated", "empty")  # see `outcomes`
_CHRF = CHRF()  # chrF2: n-grams of up to 6 characters; recall weighs twice as much as precision


def _numbered(start: int, words: str) -> dict[str, int]:
    return {word: number for number, word in enumerate(words.split(), start)}


def _any(words: Collection[str]) -> str:
    return f"(?:{'|'.join(words)})"


# Words, folded. "once" and "ten" are left out: each is another word in the other language.
_NUMBER_WORDS = {
    **_numbered(2, "dos tres cuatro cinco seis siete ocho nueve diez"),
    **_numbered(12, "doce trece catorce quince dieciseis diecisiete dieciocho diecinueve veinte"),
    **_numbered(2, "two three four five six seven eight nine"),
    **_numbered(11, "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"),
    "twenty": 20,
}
_WEEKDAYS = {
    **_numbered(1, "lunes martes miercoles jueves viernes sabado domingo"),
    **_numbered(1, "monday tuesday wednesday thursday friday saturday sunday"),
}
_MONTHS = {
    **_numbered(1, "enero febrero marzo abril mayo junio julio agosto"),
    **_numbered(9, "septiembre octubre noviembre diciembre"),
    **_numbered(1, "january february march april may june july august"),
    **_numbered(9, "september october november december"),
}
# Neither "treinta y cinco" nor "thirty-five" is 5.
_NUMBER_WORD = re.compile(rf"\b(?<!ta y )(?<!ty[ -]){_any(_NUMBER_WORDS)}\b(?!-)")
_NUMBER = (
    r"(?<![^\W_])(?<!\d[.,])(?P<digits>\d++(?:[.,]\d++)*+)"
    r"(?: ?(?P<scale>mil|thousand|k|millon(?:es)?|million)\b)?"
)
_SIGN = r"(?:us\$|u\$s|[$€£]|usd|eur|ars)"
_DAY, _MONTH = r"(?P<day>0?[1-9]|[12]\d|3[01])", r"(?P<month>0?[1-9]|1[0-2])"
_MONTH_NAME = rf"(?P<month>{_any(_MONTHS)})\b"
_HOUR, _MINUTE = r"(?<![\w.,:/])(?P<hour>[01]?\d|2[0-3])", r"(?P<minute>[0-5]\d)(?!\d)"
_HALF = r"(?P<half>[ap](?=\.? ?m\b)|de la (?:manana|tarde|noche)\b)"
_PATTERNS = [  # in this order: what one of them has read is gone for the next
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("email", r"(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)+"),
        ("date", rf"\b(?:19|20)\d\d-{_MONTH}-{_DAY}\b"),
        ("date", rf"(?<![\d/]){_DAY}/{_MONTH}(?!\d)"),
        ("date", rf"(?<![\d/]){_MONTH}/{_DAY}(?!\d)"),
        ("date", rf"\b{_DAY}(?= (?:al?|y|to|and) \d\d? (?:de |of )?{_MONTH_NAME})"),
        ("date", rf"\b{_DAY}(?:ro|er|o|st|nd|rd|th)? (?:de |of )?{_MONTH_NAME}"),
        ("date", rf"\b{_MONTH_NAME} {_DAY}(?:st|nd|rd|th)?\b(?![:.,]\d)"),
        ("time", rf"{_HOUR}[:h]{_MINUTE}(?: ?{_HALF})?"),
        ("time", rf"{_HOUR}\.{_MINUTE} ?(?:{_HALF}|hs?\b|hrs?\b|horas\b)"),
        ("time", rf"{_HOUR} ?{_HALF}"),
        # "a las 9", but not "a las 2 semanas"
        ("time", rf"\b(?:a|desde|hasta) las {_HOUR}(?= ?(?:[.,;!?)]|$|hs?\b|(?:y|a|hasta) las\b))"),
        ("price", rf"(?<![^\W_]){_SIGN} ?{_NUMBER}"),
        ("price", rf"{_NUMBER} ?(?:de )?(?:pesos?|euros?|dolar(?:es)?|dollars?)\b"),
        ("price", rf"{_NUMBER} ?{_SIGN}(?! ?\d)"),
        ("percent", rf"{_NUMBER} ?(?:%|por ciento\b|per ?cent\b)"),
        (
            "phone",  # but not 1990-2005
            r"(?<![\w.,+(])(?!(?:19|20)\d\d-(?:19|20)\d\d\b)"
            r"(?:\+\d{1,3} (?:9 )?)?[+(]*+\d++(?:(?:\) ?|-| ?\()\d{2,}+| \d{3,}+)*+(?![^\W_])",
        ),
        ("weekday", rf"\b(?P<weekday>{_any(_WEEKDAYS)})s?\b"),
        ("month", rf"\b(?!may\b|march\b){_MONTH_NAME}"),  # these two are verbs as well
        ("number", rf"{_NUMBER}(?=(?:[kmg]b|hs?|hrs?|min|[kcm]?m|k?g|ml)?(?![^\W_]))"),
    )
]

_CAPITALISED = r"[A-ZÀ-ÖØ-Þ](?:[\w'’]|-(?=\w)|(?<=[A-Z])\.(?=[A-Z]))*"
_NAME = re.compile(
    rf"{_CAPITALISED}(?: (?:(?:de|del|la|las|los|el|of|the) ){{0,2}}{_CAPITALISED})*"
    r"(?: \d{1,4}(?![\w:%/]|[.,]\d| ?%))?"  # Aula 5
)
_ABBREVIATION = re.compile(r"\b(?:dra?|sra?|ing|lic|prof|av|mrs?|ms|st)\.$", re.IGNORECASE)
# Words, folded, that start no name though they may be capitalised.
_NO_NAMES = re.compile(
    rf"(?:{_any([*_WEEKDAYS, *_MONTHS, *_NUMBER_WORDS])}s?|a|al|and?|are|at|but|by|con|del?|desde"
    r"|el|en|es|for|from|hasta|hay|he|i|if|in|is|it|las?|les?|los?|no|of|on|or|our|para|pero|por|que"
    r"|se|she|si|sin|son|so|su|te|the|there|they|this|to|tu|una?|uno|we|with|yes|your?|\d+)(?:['’].*)?"
)

# Frequent words that no other language has which writes nouns in small letters.
_GERMAN = {
    *("und", "der", "ist", "nicht", "für", "mit", "auf", "eine", "einen", "dem", "wir", "werden"),
    *("zum", "zur", "bei", "sind"),
}
MIN_GERMAN = 0.05  # of all words
_REFUSED_WITHIN = 150  # characters: a refusal opens the answer; a doubt in its last line is none
# In lower case. What cannot be done is named, for "no puedo creer lo barato" refuses nothing.
_HELP = (
    r"(?:\w+ )?(?:ayud|asist|respond|contest|dec|dar|brind|ofrec|proporcion|facilit|compart|cumpl"
    r"|hac|realiz|acced|recomend|suger|inform|confirm|opin|saber|particip|apoy|promov|escrib|gener"
    r"|help(?! but)|assist|answer|provide|tell|share|give|do\b|comply|discuss|offer|fulfil"
    r"|recommend|access|advise|engage|support|write|create)"
)
_KNOWLEDGE = (
    r"(?:informaci|info\b|datos?\b|acceso|conocimiento|respuesta|detalles|idea\b|capacidad)"
)
_REFUSAL = re.compile(
    r"(?<!\w)(?:"
    rf"no (?:te |le |se |lo )*(?:puedo|podemos|podr[ií]a|voy a|vamos a|debo) {_HELP}"
    rf"|no (?:me )?es posible {_HELP}|no estoy (?:autorizad|capacitad|en condiciones|segur)"
    r"|no (?:tengo|tenemos|dispongo|cuento|hay) (?:(?:de|con|a|es[aeo]s?|la|el|los|ning[uú]n|"
    rf"ninguna|m[aá]s|suficiente|tal) )*{_KNOWLEDGE}"
    r"|no (?:lo )?sé|no (?:lo )?se(?= ?(?:[.,;!?]|$))|desconozco|no (?:lo |la )?conozco"
    r"|prefiero no|me niego|lo siento,? (?:pero )?no|fuera de (?:lo que s[eé]|mi|nuestro)"
    r"|s[oó]lo (?:respondo|respondemos|contesto|(?:puedo|podemos) (?:respond|contest|ayud))"
    rf"|i(?: can(?:['’]t|not| not)|['’]m (?:un|not )able to| am (?:un|not )able to) {_HELP}"
    rf"|i (?:won['’]t|will not|must not) {_HELP}|i (?:don['’]t|do not) know"
    r"|i (?:don['’]t|do not) have (?:\w+ ){0,2}(?:information|access|data|details|answer|idea)"
    r"|i(?:['’]m| am) not sure|i (?:must|have to) decline|i can only (?:help|answer|assist)"
    r"|sorry,? (?:but )?(?:no|i can|i do|i am not|that is (?:not|outside))"
    r")"
)


def checkable_facts(text: str, names: Collection[str] = ()) -> frozenset[str]:
    """The facts of a Spanish or English text, each as its kind and its value: "time 18:30".

    Two spellings of a fact are equal:

    - number: 48.000, 48,000 and 48 mil; 2,5 and 2.5; words up to twenty, but for "once" and "ten"
    - price: $ 48.000, 48 mil pesos; the currency is not compared
    - percent; time: 18:30, 18.30 h, 6:30 pm, 6:30 de la tarde; 18:00, a las 18
    - date: 12 de marzo, March 12, 12/3 (the day first where both can be); its year is a number
    - weekday; month, where no day is named; email; phone: its last seven digits
    - name: capitalised words in a row, or joined by de, del, la, of, with a number after them
      ("Aula 5"); an acronym alone (DNI) is none

    The first word of a sentence belongs to a name if another capitalised word follows, or if it is
    part of a name elsewhere in the text or one of `names` (folded words).

    Missed: names in lower case, "treinta y cinco", "a las seis y media", "de 9 a 18".
    """
    plain = _NUMBER_WORD.sub(lambda match: str(_NUMBER_WORDS[match[0]]), fold(text))
    held = {f"name {name}" for name in _names(text, names)}
    for kind, pattern in _PATTERNS:
        rest, end = [], 0
        for match in pattern.finditer(plain):
            if value := _value(kind, match):
                held.add(f"{kind} {value}")
                rest.append(plain[end : match.start()])
                end = match.end()
        plain = "\0".join([*rest, plain[end:]])
    return frozenset(held)


def _value(kind: str, match: re.Match) -> str | None:
    """What a match in folded text says, the same for all spellings; None if it is no fact."""
    group = match.groupdict()
    if kind in ("date", "month"):
        month = _MONTHS.get(group["month"]) or int(group["month"])
        return f"{int(group['day'])}/{month}" if kind == "date" else str(month)
    if kind == "time":
        hour, half = int(group["hour"]), group.get("half") or ""
        afternoon = half[:1] == "p" or half.endswith(
            ("tarde", "manana" if hour == 12 else "noche")  # 12 de la noche is midnight
        )
        hour = hour % 12 + 12 * afternoon if half and hour <= 12 else hour
        return f"{hour}:{group.get('minute') or '00'}"
    if kind == "phone":
        digits = re.sub(r"\D", "", match[0])
        return digits[-7:] if len(digits) > 6 + (digits == match[0]) else None
    if kind == "weekday":
        return str(_WEEKDAYS[group["weekday"]])
    return match[0] if kind == "email" else _number(group["digits"], group["scale"] or "")


def _number(digits: str, scale: str) -> str:
    """A number without marks of thousands, with a decimal point where it needs one."""
    parts = re.fullmatch(r"([1-9]\d{0,2}(?:[.,]\d{3})+|\d+)(?:[.,](\d+))?", digits)
    if not parts:  # 3.1.2
        return digits
    number = Decimal(f"{re.sub(r'[.,]', '', parts[1])}.{parts[2] or 0}")
    number *= 10**6 if scale.startswith("mill") else 10**3 if scale else 1
    return f"{number.normalize():f}"


def _names(text: str, names: Collection[str]) -> set[str]:
    """The names in `text`: their words, folded, without articles and the like before them."""
    runs = []
    for match in _NAME.finditer(text):
        before = text[: match.start()].rstrip(" \t\"'“«([")
        opens = not before or before[-1] in ".!?…:¡¿*#•–—-\n\r"
        doubtful = (
            opens
            and not _ABBREVIATION.search(before)
            and not re.match(rf"{_CAPITALISED} {_CAPITALISED}", match[0])
        )
        words = [fold(word) for word in re.findall(rf"{_CAPITALISED}|\d+$", match[0])]
        if not (match[0].isupper() and len(match[0]) < 5):
            runs.append((doubtful, words))
    certain = {*names, *(word for doubtful, words in runs for word in words[doubtful:])}
    kept = set()
    for doubtful, words in runs:
        sure = words[doubtful and words[0] not in certain :]
        kept.add(" ".join(dropwhile(_NO_NAMES.fullmatch, sure)))
    return kept - {""}


def _name_words(fact: str) -> set[str]:
    return {*fact.split(" ")[1:]} if fact.startswith("name ") else set()


def _shared(fact: str, other: str) -> int:
    """How many words two names share, if one is part of the other and lacks up to two words."""
    words, others = _name_words(fact), _name_words(other)
    part = (words <= others or others <= words) and len(words ^ others) <= 2
    return len(words & others) if part else 0


def _is_in(fact: str, others: Collection[str]) -> bool:
    """Whether `fact` is among `others`.

    A price may lack its currency. A name may be part of another: "Ferreyra" stands for "Marta
    Ferreyra", but "Olga Ferreyra" does not.
    """
    kind, value = fact.split(" ", 1)
    if kind in ("price", "number"):
        return not {f"price {value}", f"number {value}"}.isdisjoint(others)
    return fact in others or any(_shared(fact, other) for other in others)


def _beyond(text: str, question: str, names: Collection[str] = ()) -> list[str]:
    """The facts of `text` that cannot be copied from the question."""
    copied, words = checkable_facts(question), {*re.findall(r"\w+", fold(question))}
    return sorted(
        fact
        for fact in checkable_facts(text, names)
        if not (_name_words(fact) <= words if fact.startswith("name ") else _is_in(fact, copied))
    )


def domain(answers: Iterable[Sequence[str]]) -> frozenset[str]:
    """The facts of all training answers, each a list of messages."""
    texts = [" ".join(messages) for messages in answers]
    all_facts = frozenset().union(*map(checkable_facts, texts))
    return all_facts if _has_names(texts) else frozenset(filter(_is_no_name, all_facts))


def _has_names(texts: Iterable[str]) -> bool:
    """Whether capitals inside sentences begin names: in German they begin all nouns."""
    words = [word for text in texts for word in re.findall(r"\w+", text.lower())]
    return sum(word in _GERMAN for word in words) < MIN_GERMAN * len(words) or not words


def _is_no_name(fact: str) -> bool:
    return not fact.startswith("name ")


def evaluate(rows: pd.DataFrame, config: EvaluateConfig) -> dict:
    """chrF and facts of the answers of each model, and the gain of tuned over the others.

    `rows` has columns model, id, question, reference, answer: one answer to each question.
    `with_facts` is the number of references that hold any fact. Questions are the groups of all
    intervals; the n of `facts_held` and `facts_right` is a number of facts. A gain compares the
    questions that both models answered, pair by pair. A model without answers has no values ("too
    few"), nor has `facts_right` where no answer holds a fact.

    Raises ValueError where a model has two answers to one question.
    """
    kept = None if _has_names(rows["reference"].drop_duplicates()) else _is_no_name
    scores = {name: _scores(rows[rows["model"].eq(name)], kept) for name in MODELS}
    measures = {name: _measures(table, config) for name, table in scores.items()}
    gain = {f"over_{name}": _gain(scores[name], scores["tuned"], config) for name in MODELS[:-1]}
    return {**measures, "gain": gain}


def _scores(rows: pd.DataFrame, counts: Callable[[str], bool] | None = None) -> pd.DataFrame:
    """One row a question (index: its id), of the facts that `counts` (None: all).

    Columns: chrf; held, of each fact of the reference whether it stands in the answer; right, of
    each fact of the answer whether it stands in the reference.
    """
    table = []
    texts = zip(rows["question"], rows["reference"], rows["answer"], strict=True)
    for question, reference, answer in texts:
        expected = list(filter(counts, _beyond(reference, question)))
        named = set().union(*map(_name_words, expected))
        claims = list(filter(counts, _beyond(answer, question, named)))
        table.append(
            {
                "chrf": _CHRF.sentence_score(answer, [reference]).score,
                "held": [_is_in(fact, claims) for fact in expected],
                "right": [_is_in(fact, expected) for fact in claims],
            }
        )
    scores = pd.DataFrame(table, index=pd.Index(rows["id"]), columns=["chrf", "held", "right"])
    if not scores.index.is_unique:
        raise ValueError(f"two answers to {scores.index[scores.index.duplicated()][0]}")
    return scores.sort_index()


def _measures(scores: pd.DataFrame, config: EvaluateConfig) -> dict:
    held, right = _of_facts(scores["held"]), _of_facts(scores["right"])
    return {
        "answers": len(scores),
        "with_facts": int(held.index.nunique()),
        "chrf": intervals.mean(scores["chrf"], scores.index, config, (0, 100)),
        "facts_held": intervals.share(held, held.index, config),
        "facts_right": intervals.share(right, right.index, config),
    }


def _gain(other: pd.DataFrame, tuned: pd.DataFrame, config: EvaluateConfig) -> dict:
    tuned, other = tuned.align(other, join="inner", axis=0)
    chrf = tuned["chrf"] - other["chrf"]
    held, other_held = _of_facts(tuned["held"]), _of_facts(other["held"])
    return {
        "chrf": intervals.mean(chrf, tuned.index, config, (-100, 100)),
        "facts_held": intervals.share_difference(held, other_held, held.index, config),
    }


def _of_facts(hits: pd.Series) -> pd.Series:
    """One value a fact, from one list a question; the index is the question still."""
    return hits.explode().dropna().astype(float)


def outcomes(rows: pd.DataFrame, domain: Collection[str]) -> dict[str, dict]:
    """How each model answers each kind of question that the data has no answer to.

    `rows` has columns model, kind, question, answer; `domain` holds the facts of all training
    answers. Each answer is one of:

    - empty: no letter and no digit
    - hallucinated: it holds a price, time, date, e-mail address, phone number or name of the domain
      that the question does not; of a name of several words at least two
    - refused: it says, in its first 150 characters, that it cannot, will not or does not know. It
      may name whom to ask instead, but no price, time or date of the domain
    - answered: all others

    Limits. Refusals are known by phrases in Spanish and English; others count as answered. Plain
    numbers, percentages and weekdays are in many texts and not looked at; an invented fact that is
    not of the domain is not seen either. A time such as 18:00 may be there by chance: compare with
    "base", which never saw the domain.
    """
    table: dict[str, dict] = {}
    models = [name for name in MODELS if rows["model"].eq(name).any()]
    for kind in sorted(rows["kind"].unique()):
        for name in models:
            own = rows[rows["kind"].eq(kind) & rows["model"].eq(name)]
            pairs = zip(own["question"], own["answer"], strict=True)
            results = [_outcome(question, answer, domain) for question, answer in pairs]
            counts = {outcome: results.count(outcome) for outcome in OUTCOMES}
            table.setdefault(kind, {})[name] = {"replies": len(own), **counts}
    return table


def _outcome(question: str, answer: str, domain: Collection[str]) -> str:
    if not any(map(str.isalnum, answer)):
        return "empty"
    kinds = {
        fact.split(" ")[0]
        for fact in _beyond(answer, question)
        if fact in domain or any(_shared(fact, other) > 1 for other in domain)
    }
    refuses = _REFUSAL.search(answer.casefold()[:_REFUSED_WITHIN])
    if kinds & {"price", "time", "date"} or (kinds & {"email", "phone", "name"} and not refuses):
        return "hallucinated"
    return "refused" if refuses else "answered"
