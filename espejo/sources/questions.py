"""Questions and answers: a table, JSON, JSONL or Parquet with a pair in each row.

A pair is a chat of two records, whose authors are called "question" and "answer". A table of
questions with a column `kind` and no answers holds probes: they are put to the trained model, which
must not have learnt them, so `read` leaves them out.
"""

from collections.abc import Iterator, Mapping, Sequence

from espejo.core.text import fold
from espejo.sources import items
from espejo.sources.account import Account, Unreadable
from espejo.sources.delimited import Table, read_table
from espejo.sources.export import Export, ExportError, Options, Record, SourceFile
from espejo.sources.items import Item, Layout
from espejo.sources.json_text import head_text
from espejo.sources.splits import split_of_path

NAME = "questions"
_ADVICE = f"{items.ADVICE}, or name its columns in data.columns.question and data.columns.answer"

_INSTRUCTION = ("instruction", "instruccion")
NAMES = {
    "question": (
        *("question", "questions", "pregunta", "preguntas", "pergunta", "domanda", "frage"),
        *("prompt", *_INSTRUCTION, "query", "consulta", "input"),
    ),
    "instruction": _INSTRUCTION,
    "input": ("input",),  # in the layout of Alpaca, what an instruction is about
    "answer": (
        *("answer", "answers", "respuesta", "respuestas", "resposta", "risposta", "reponse"),
        *("antwort", "response", "output", "completion", "reply"),
    ),
    "split": ("split",),
    "kind": ("kind",),
}
PAIRS = Layout(NAMES, ("question", "answer"))
PROBES = Layout(NAMES, ("question", "kind"))
PROBE_KINDS = ("out_of_domain", "unsafe")


def recognises(file: SourceFile, columns: Mapping[str, str] | None = None) -> bool:
    """Whether a file holds questions and answers, or probes.

    Under the usual names of columns, or those that `columns` (as in Options) gives them.
    """
    columns = columns or {}
    pairs = PAIRS.renamed(columns)
    try:
        if schema := items.parquet_schema(file):
            return pairs.suits(schema.names)
        text = head_text(file)
        if items.is_json(text):
            value = items.first_item(text, pairs)
            if not isinstance(value, dict) or "messages" in value:
                return False
            names = pairs.columns(tuple(value))
            return all(isinstance(value.get(names.get(use)), str) for use in pairs.required)
        table = _read_table(text, file, columns)
        return pairs.suits(table.header) or _holds_probes(table, columns)
    except ExportError:
        return False


def is_probes(file: SourceFile, columns: Mapping[str, str] | None = None) -> bool:
    """Whether a file is a table of probes; `columns` as in Options.

    Probes may have the usual names although `columns` renames those of the pairs.
    """
    text = head_text(file)
    try:
        return not items.is_json(text) and _holds_probes(
            _read_table(text, file, columns or {}), columns or {}
        )
    except ExportError:
        return False


def probes(files: Sequence[SourceFile], options: Options) -> list[tuple[str, str]]:
    """Return the kind (of PROBE_KINDS) and the question of each probe in these files.

    Files of pairs are left out. Raises ExportError for a row without a question or such a kind.
    """
    kinds_and_questions = []
    for file in files:
        if not is_probes(file, options.columns):
            continue
        table = _read_table(items.read_text(file)[0], file, options.columns)
        renamed = PROBES.renamed(options.columns)
        layout = renamed if renamed.suits(table.header) else PROBES
        for row in items.by_use(items.table_items(table, layout), layout):
            values = row.value if isinstance(row.value, dict) else {}
            kind, question = values.get("kind", "").lower(), values.get("question", "")
            if kind not in PROBE_KINDS or not question:
                raise ExportError(
                    f"{file.name}, {row.where}: expected a question and its kind, "
                    f"{' or '.join(PROBE_KINDS)}; {items.ADVICE}."
                )
            kinds_and_questions.append((kind, question))
    return kinds_and_questions


def read(files: Sequence[SourceFile], options: Options) -> list[Export]:
    """Read the pairs in each file that holds no probes; `chat` counts them through all files.

    `options.columns` may name the columns or fields of NAMES. Raises ExportError.
    """
    exports: list[Export] = []
    num_pairs = 0
    for file in files:
        if not is_probes(file, options.columns):
            export, num_pairs = _read_file(file, options.columns, num_pairs)
            exports.append(export)
    return exports


def _read_table(text: str, file: SourceFile, columns: Mapping[str, str]) -> Table:
    layouts = PAIRS.renamed(columns), PROBES.renamed(columns), PROBES
    return read_table(text, file.name, items.suiting(*layouts))


def _holds_probes(table: Table, columns: Mapping[str, str]) -> bool:
    """Whether a table has questions, no answers, and a kind that only probes have."""
    for layout in (PROBES.renamed(columns), PROBES):
        names = layout.columns(table.header)
        if "answer" not in names and {"question", "kind"} <= names.keys():
            kind = table.header.index(names["kind"])
            return any((row.cell(kind) or "").lower() in PROBE_KINDS for row in table.body)
    return False


def _items(file: SourceFile, columns: Mapping[str, str]) -> tuple[str, Iterator[Item]]:
    """Return how a file is written, and its pairs: values with a "question" and an "answer"."""
    layout = PAIRS.renamed(columns)
    if schema := items.parquet_schema(file):
        form = f"Parquet, {_described(file, schema.names, layout)}"
        names = list(dict.fromkeys(layout.columns(schema.names).values()))
        return form, items.by_use(items.parquet_items(file, names), layout)
    text, encoding = items.read_text(file)
    read_as = f", read as {encoding}" if encoding else ""
    if items.is_json(text):
        return "JSON" + read_as, items.by_use(items.json_items(file, text, layout), layout)
    table = _read_table(text, file, columns)
    form = f"separator {table.separator!r}, {_described(file, table.header, layout)}{read_as}"
    return form, items.by_use(items.table_items(table, layout), layout)


def _described(file: SourceFile, header: Sequence[str], layout: Layout) -> str:
    """Say which columns are used.

    Raises ExportError unless there is one column of questions, and one of answers.
    """
    names = layout.columns(header)
    folded = [fold(name) for name in header]
    problem = ""
    if not layout.suits(header):
        problem = " and ".join(repr(layout.names[use][0]) for use in layout.required)
    elif twice := [names[use] for use in layout.required if folded.count(fold(names[use])) > 1]:
        problem = f"one column {twice[0]!r}"
    if problem:
        raise ExportError(
            f"{file.name}: expected {problem}, there are {items.listed(header)}; {_ADVICE}."
        )
    has_input = names["question"] == names.get("instruction")
    uses = ("question", *(["input"] if has_input else []), "answer", "split")
    used = [names[use] for use in uses if use in names]
    ignored = [name for name in header if name and name not in used]
    return f"columns {', '.join(used)}" + (f", ignored: {', '.join(ignored)}" if ignored else "")


def _read_file(file: SourceFile, columns: Mapping[str, str], num_before: int) -> tuple[Export, int]:
    """Return the records of a file, and the number of pairs up to its end."""
    form, pairs = _items(file, columns)
    account = Account(file, _ADVICE)
    records: list[Record] = []
    file_split = split_of_path(file.path)
    splits = set()
    number = num_before
    for position, where, own_split, value in pairs:
        account.add_items(1)
        try:
            texts = _texts(value)
        except Unreadable as problem:
            account.add_unreadable(where, problem)
            continue
        empty = next((use for use, text in texts.items() if not text), None)
        if empty is not None:
            account.dropped[f"empty_{empty}"] += 1
            continue
        number += 1
        split = own_split or file_split
        splits.add(split or "none")
        for author, text in texts.items():
            account.check_text(text, where)
            records.append(
                Record(
                    chat_id=f"{file.path}:{position}",
                    chat=str(number),
                    line=position,
                    instant=None,
                    author_id=author,
                    author=author,
                    kind="message",
                    text=text,
                    split=split,
                )
            )
    account.check("questions and answers")
    left_out = sum(account.dropped.values())
    without = f", {left_out:,} of {account.items:,} rows left out" if left_out else ""
    decisions = (
        f"{number - num_before:,} pairs{without} ({form}), split: {', '.join(sorted(splits))}"
    )
    export = Export(
        *(file.name, NAME, records, account.items, account.dropped, decisions), records_per_item=2
    )
    return export, number


def _texts(value: object) -> dict[str, str]:
    """Return the question and the answer of an item; a null is empty. Raises Unreadable."""
    if isinstance(value, Unreadable):
        raise value
    assert isinstance(value, dict)
    parts = [value["question"]]
    if value["question"] == value.get("instruction"):
        parts.append(value.get("input"))
    for text in (*parts, value["answer"]):
        if not isinstance(text, str | None):
            raise Unreadable("expected texts as question and answer")
    question = "\n".join(text.strip() for text in parts if text and text.strip())
    return {"question": question, "answer": (value["answer"] or "").strip()}
