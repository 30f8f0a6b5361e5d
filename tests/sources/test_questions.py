import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espejo.sources import questions
from espejo.sources.export import ExportError
from tests.sources.files import CORDOBA, as_parquet, columns, read_content, source_file, words

ROWS = [
    ("1", "question", "¿Tienen wifi?"),
    ("1", "answer", "Sí; la clave, «mate», está en la barra."),
    ("2", "question", 'Is "late" ok?'),
    ("2", "answer", "Until 2;\nthen, no."),
]
PAIRS = [(ROWS[0][2], ROWS[1][2]), (ROWS[2][2], ROWS[3][2])]
OBJECTS = [{"id": 1, "question": question, "answer": answer} for question, answer in PAIRS]


def written(separator=",", header=("question", "answer"), end="\n", **options) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=end, **options).writerows([header, *PAIRS])
    return text.getvalue()


def texts(content, options=CORDOBA):
    return [record.text for record in read_content(questions, content, options=options).records]


FORMS = {
    "comma": written(),
    "semicolon": written(";", end="\r\n"),
    "tab": written("\t"),
    "pipe": written("|", quoting=csv.QUOTE_ALL),
    "excel": "sep=;\n" + written(";"),
    "spanish": written(";", header=(" PREGUNTA", "Respuesta ")),
    "accents": written(header=("Instrucción", "Réponse")),
    "prompts": written(header=("prompt", "completion")),
    "bom": written().encode("utf-8-sig"),
    "utf-16": written("\t", end="\r\n").encode("utf-16"),
    "utf-16 without bom": written("\t").encode("utf-16-le"),
    "excel cp1252": written(";", end="\r\n").encode("cp1252"),
    "json": json.dumps(OBJECTS, indent=1),
    "jsonl": "\n".join(map(json.dumps, OBJECTS)),
    "json of splits": json.dumps({"train": OBJECTS}),
    "wrapper": json.dumps({"version": "2", "questions": OBJECTS}),
    "parquet": as_parquet(
        answer=[answer for _, answer in PAIRS], question=[question for question, _ in PAIRS]
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_row_is_a_chat_of_question_and_answer(form):
    file = source_file("faq.csv", FORMS[form])
    assert questions.recognises(file)
    assert not questions.is_probes(file)
    export = read_content(questions, FORMS[form])
    assert words(export) == ROWS
    assert (export.items, export.kept) == (2, 2)
    assert {(record.kind, record.instant) for record in export.records} == {("message", None)}
    assert len({record.chat_id for record in export.records}) == 2
    assert [record.author_id for record in export.records] == ["question", "answer"] * 2


def test_lines_and_decisions():
    export = read_content(
        questions, 'id;question;note;answer\n1;a;"x\ny";b\n\n2;c;;d\n'.encode("utf-16")
    )
    assert [record.line for record in export.records] == [2, 2, 5, 5]
    assert export.decisions == (
        "2 pairs (separator ';', columns question, answer, ignored: id, note, read as UTF-16), "
        "split: none"
    )


def test_columns_by_setting():
    content = "Consulta del cliente;Qué decir;answer\na;b;c\n"
    options = columns(question="consulta del cliente", answer="Que decir")
    assert texts(content, options) == ["a", "b"]
    assert texts(content, columns(question="Consulta del cliente")) == ["a", "c"]
    content = '[{"q": "a", "a": "b"}]'
    assert texts(content, columns(question="q", answer="a")) == ["a", "b"]


def test_the_best_names_are_chosen():
    assert texts("input,output,prompt\nx,b,a\n") == ["a", "b"]
    assert texts("response,answer,question\nx,b,a\n") == ["a", "b"]


@pytest.mark.parametrize(
    "content",
    [
        "instruction,input,output\nAdd., 1 2 ,3\nGreet.,,Hi\n",
        '[{"instruction": "Add.", "input": "1 2", "output": "3"},'
        ' {"instruction": "Greet.", "input": "", "output": "Hi"}]',
        as_parquet(instruction=["Add.", "Greet."], input=["1 2", None], output=["3", "Hi"]),
    ],
)
def test_the_input_of_an_instruction_follows_it(content):
    assert texts(content) == ["Add.\n1 2", "3", "Greet.", "Hi"]


def test_an_input_beside_another_question_is_no_part_of_it():
    assert texts("instruction,input,output,question\na,b,c,d\n") == ["d", "c"]
    assert (
        "columns instruction, input, output"
        in read_content(questions, "instruction,input,output\na,b,c\n").decisions
    )


def test_a_quoted_header_and_a_comma_in_a_name():
    options = columns(question="What, again", answer="so")
    assert texts('"What, again","so"\na,b\n', options) == ["a", "b"]


def test_empty_cells_are_dropped_and_counted():
    export = read_content(questions, 'question,answer\n a ,b\n,c\nd,\n,\ne," "\n')
    assert [record.text for record in export.records] == ["a", "b"]
    assert (export.items, export.dropped) == (4, {"empty_question": 1, "empty_answer": 2})
    export = read_content(
        questions, '[{"question": "a", "answer": null}, {"question": "a", "answer": "b"}]'
    )
    assert (export.items, export.dropped) == (2, {"empty_answer": 1})


def test_the_same_question_twice_is_kept():
    assert texts("question,answer\na,b\na,c\na,b\n") == ["a", "b", "a", "c", "a", "b"]


def test_shorter_rows():
    assert texts("question,answer,note\na,b\nc,d,e\n") == ["a", "b", "c", "d"]
    lines = ["question,answer", *["a,b"] * 60]
    lines[30] = "a"
    export = read_content(questions, "\n".join(lines))
    assert (export.items, export.dropped) == (60, {"unreadable": 1})


@pytest.mark.parametrize(
    ("path", "content", "splits"),
    [
        ("faq_train.csv", "question,answer\na,b\n", ["train"]),
        ("valid/faq.csv", "question,answer,split\na,b,Test\nc,d,\n", ["test", "validation"]),
        ("faq.json", '{"train": [{"question": "a", "answer": "b"}]}', ["train"]),
        ("faq.jsonl", '{"question": "a", "answer": "b", "split": "dev"}', ["validation"]),
        ("faq.parquet", as_parquet(prompt=["a"], response=["b"], split=["test"]), ["test"]),
    ],
)
def test_splits(path, content, splits):
    export = read_content(questions, content, path)
    assert [record.split for record in export.records[::2]] == splits
    assert [record.split for record in export.records[1::2]] == splits


@pytest.mark.parametrize(
    "content",
    [
        "[12/03/20, 10:00:01] Ana: question, answer\n[12/03/20, 10:00:09] Leo: hm\n",
        '{"messages": [{"role": "user", "content": "Hi"}], "prompt": "a", "response": "b"}\n',
        '{"id": 1, "messages": [{"text": "question"}]}',
        '{"question": ["a"], "answer": "b"}', '{"question": "a"}', '["question", "answer"]', "[]",
        "id,question\n1,a\n", "question,kind\na,open\n", "question;answer,b\n1,2\n", "", "\0\1",
        '{"dialog": ["a b", "c"]}', "a __eou__ b __eou__\n", "PAR1", as_parquet(question=["a"]),
    ],
)  # fmt: skip
def test_other_files_are_not_recognised(content):
    assert not questions.recognises(source_file("faq.csv", content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "faq.csv: the file is empty"),
        ("question,answer\n", "faq.csv: expected questions and answers, found none"),
        ("question,answer\n,b\n", "expected questions and answers, found none"),
        ("Duda;Texto\na;b\n", r"there are 'Duda', 'Texto'; .*data\.columns\.question and "),
        ("question,text\na,b\n", r"there are 'question', 'text'; .* data\.columns\.answer"),
        ("question,Answer,answer\na,b,c\n", "expected one column 'Answer', there are 'quest"),
        ("question,answer\na,b\nc,d, e\n", "faq.csv, line 3: 3 cells, expected 2"),
        ('question,answer\n"a\nb",c\nd,"e\n', "line 4: the quote that opens .* never closed"),
        ("question,answer\na\n", "line 2: expected 'answer', there are 'question', and 1 of 1"),
        ('[{"prompt": "a", "text": "b"}]', "element 1: expected 'answer', there are 'prompt'"),
        ('[{"question": 1, "answer": "b"}]', "element 1: expected texts as question and answer"),
        ('[{"question": "a", "ans', "the JSON is cut off"),
        ("[1, 2]", "element 1: expected .*, and 2 of 2 items"),
        (as_parquet(q=["a"], answer=["b"]), "there are 'q', 'answer'"),
        (as_parquet(question=[1], answer=["b"]), "row 1: expected texts"),
        (b"PK\x03\x04", "a zip or an Excel workbook"),
        ("question,answer\na," + "x" * 2_000_001, "line 2: a text of 2,000,001 bytes"),
    ],
)  # fmt: skip
def test_errors_say_where_and_what_to_do(content, message):
    with pytest.raises(ExportError, match=message):
        read_content(questions, content, "faq.csv")


def test_a_missing_column_named_by_setting():
    with pytest.raises(ExportError, match=r"expected 'Duda' and 'answer', there are 'x', 'y'"):
        read_content(questions, "x,y\na,b\n", options=columns(question="Duda"))


def test_probes_are_never_learnt():
    pairs = source_file("faq.csv", "question,answer\na,b\n")
    probes = source_file("probes.csv", 'kind;question\nunsafe;"How; now?"\nOut_of_domain;Who?\n')
    assert questions.recognises(probes)
    assert questions.is_probes(probes)
    assert not questions.is_probes(pairs)
    (export,) = questions.read([probes, pairs], CORDOBA)
    assert [record.text for record in export.records] == ["a", "b"]
    assert questions.probes([pairs, probes], CORDOBA) == [
        ("unsafe", "How; now?"),
        ("out_of_domain", "Who?"),
    ]


def test_probes_with_a_column_by_setting():
    probes = source_file("probes.csv", "kind,Duda\nunsafe,How?\n")
    options = columns(question="duda", answer="texto")
    assert questions.read([probes], options) == []
    assert questions.probes([probes], options) == [("unsafe", "How?")]


@pytest.mark.parametrize("row", ["dangerous,a", "unsafe,", "unsafe"])
def test_a_probe_of_another_kind_is_an_error(row):
    probes = source_file("probes.csv", f"kind,question\nunsafe,a\n{row}\n")
    with pytest.raises(ExportError, match="line 3: .* its kind, out_of_domain or unsafe"):
        questions.probes([probes], CORDOBA)


def test_questions_with_kinds_and_answers_are_pairs():
    pairs = source_file("faq.csv", "kind,question,answer\nunsafe,a,b\n")
    assert not questions.is_probes(pairs)
    assert questions.probes([pairs], CORDOBA) == []


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.text(), st.text()), min_size=1),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_any_text_survives(pairs, separator, encoding):
    text = io.StringIO()
    csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL).writerows(
        [("question", "answer"), ("first", "pair"), *pairs]
    )
    # All kinds of line ends inside a cell are one; a NUL makes the file binary.
    content = text.getvalue().replace("\0", "")
    read = texts(content.encode(encoding))
    plain = [
        tuple(
            cell.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n").strip()
            for cell in pair
        )
        for pair in pairs
    ]
    assert read == ["first", "pair", *[cell for pair in plain if all(pair) for cell in pair]]
