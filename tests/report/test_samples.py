"""reports/samples.md: tables that stay tables whatever people and models write."""

import re

import pandas as pd
import pytest

from espejo.report import samples


def contexts(*rows):
    """Rows of the table EXAMPLES from (context, reply)."""
    return pd.DataFrame({"context": [row[0] for row in rows], "reply": [row[1] for row in rows]})


def rows_of(page, heading):
    """The rows of the table below a heading, without its two head lines."""
    below = page.split(f"## {heading}\n\n")[1].split("\n\n")[0]
    return below.splitlines()[2:]


def written(folder, prompts, base, tuned, examples, shown):
    path = folder / "reports" / "samples.md"
    samples.write(path, prompts, {"base": base, "tuned": tuned}, examples, shown)
    return path.read_text("utf-8")


def test_pipes_line_breaks_and_empty_replies_stay_inside_their_cells(tmp_path):
    cami = {"author": "Cami", "messages": ["¿Cine | teatro?", "hoy\no mañana"]}
    page = written(
        tmp_path,
        prompts=["salís | o no?"],
        base=[[], ["a | b", "c\nd"]],
        tuned=[["dale", "ahi voy"], [""]],
        examples=contexts(([cami, {"author": "Juli", "messages": ["mm"]}], ["hoy\n", "si"])),
        shown=10,
    )
    # Messages and lines are parted by <br>, messages of a context by a slash.
    assert rows_of(page, "The fixed prompts") == [
        r"| salís \| o no? | *(nothing)* | dale<br>ahi voy |"
    ]
    assert rows_of(page, "Contexts from the test set") == [
        r"| Cami: ¿Cine \| teatro? / hoy<br>o mañana<br>Juli: mm | hoy<br>si "
        r"| a \| b<br>c<br>d | *(nothing)* |"
    ]
    for line in page.splitlines():
        assert len(re.findall(r"(?<!\\)\|", line)) in (0, 4, 5)  # of three and of four columns


@pytest.mark.parametrize(("shown", "rows"), [(0, 0), (2, 2), (3, 3), (10, 3)])
def test_every_prompt_and_the_first_shown_contexts_are_printed(shown, rows, tmp_path):
    page = written(
        tmp_path,
        prompts=["hola", "chau"],
        base=[[f"base {n}"] for n in range(5)],
        tuned=[[f"tuned {n}"] for n in range(5)],
        examples=contexts(*(([], [f"real {n}"]) for n in range(3))),
        shown=shown,
    )
    assert rows_of(page, "The fixed prompts") == [
        "| hola | base 0 | tuned 0 |",
        "| chau | base 1 | tuned 1 |",
    ]
    # The replies to the contexts follow those to the two prompts; here no context has a turn.
    assert (
        rows_of(page, "Contexts from the test set")
        == [
            "| *(nothing)* | real 0 | base 2 | tuned 2 |",
            "| *(nothing)* | real 1 | base 3 | tuned 3 |",
            "| *(nothing)* | real 2 | base 4 | tuned 4 |",
        ][:rows]
    )


def test_replies_that_are_not_as_many_as_what_they_answer_are_refused(tmp_path):
    two, three = [["a"], ["b"]], [["a"], ["b"], ["c"]]
    with pytest.raises(ValueError, match="shorter|longer"):
        written(tmp_path, ["hola"], two, three, contexts(([], ["x"])), shown=1)
    with pytest.raises(ValueError, match="shorter|longer"):
        written(tmp_path, ["hola"], three, three, contexts(([], ["x"])), shown=1)
