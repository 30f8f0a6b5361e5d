"""reports/samples.md: the tables stay intact whatever people and models write."""

import re

import pandas as pd
import pytest

from espejo.report import samples


def contexts(*rows):
    """Rows of the table EXAMPLES from (context, reply)."""
    return pd.DataFrame(
        {
            "id": [f"example-{index}" for index in range(len(rows))],
            "context": [row[0] for row in rows],
            "reply": [row[1] for row in rows],
        }
    )


def rows_of(page, heading):
    """The rows of the table below a heading, without its two head lines."""
    below = page.split(f"## {heading}\n\n")[1].split("\n\n")[0]
    return below.splitlines()[2:]


def written(prompts, base, tuned, examples):
    """The page; the replies are those to the `prompts`, then those to the contexts."""
    questions = [(f"prompt-{number}", "prompt", text) for number, text in enumerate(prompts, 1)]
    questions += [(name, "held_out", None) for name in examples["id"]]
    rows = [
        {"id": name, "kind": kind, "prompt": text, "model": model, "messages": reply}
        for model, replies in (("base", base), ("tuned", tuned))
        for (name, kind, text), reply in zip(questions, replies, strict=True)
    ]
    return samples.page(pd.DataFrame(rows), examples)


def test_pipes_line_breaks_and_empty_replies_stay_inside_their_cells():
    cami = {"author": "Cami", "messages": ["¿Cine | teatro?", "hoy\no mañana"]}
    page = written(
        prompts=["salís | o no?"],
        base=[[], ["a | b", "c\nd"]],
        tuned=[["dale", "ahi voy"], [""]],
        examples=contexts(([cami, {"author": "Juli", "messages": ["mm"]}], ["hoy\n", "si"])),
    )
    # Messages and lines are separated by <br>, messages of a context by a slash.
    assert rows_of(page, "The fixed prompts") == [
        r"| salís \| o no? | *(nothing)* | dale<br>ahi voy |"
    ]
    assert rows_of(page, "Contexts from the test set") == [
        r"| Cami: ¿Cine \| teatro? / hoy<br>o mañana<br>Juli: mm | hoy<br>si "
        r"| a \| b<br>c<br>d | *(nothing)* |"
    ]
    for line in page.splitlines():
        assert len(re.findall(r"(?<!\\)\|", line)) in (0, 4, 5)  # of three and of four columns


@pytest.mark.parametrize("number", [0, 2, 3])
def test_every_prompt_and_every_context_given_is_printed_beside_its_own_replies(number):
    page = written(
        prompts=["hola", "chau"],
        base=[[f"base {n}"] for n in range(2 + number)],
        tuned=[[f"tuned {n}"] for n in range(2 + number)],
        examples=contexts(*(([], [f"real {n}"]) for n in range(number))),
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
        ][:number]
    )


def test_a_context_that_a_model_did_not_answer_is_refused():
    example = contexts(([], ["x"]))
    with pytest.raises(KeyError, match="example-1"):
        samples.page(
            pd.DataFrame(
                {
                    "id": ["example-0"] * 2,
                    "kind": "held_out",
                    "prompt": None,
                    "model": ["base", "tuned"],
                    "messages": [["a"], ["b"]],
                }
            ),
            example.assign(id="example-1"),
        )
