import pytest

from espejo.sources import account
from espejo.sources.account import Account, Unreadable
from espejo.sources.export import ExportError, Record
from tests.sources.files import source_file


def read(number, text):
    if text == "odd":
        raise Unreadable("expected a word")
    if text == "":
        return "empty"
    return Record("c", "c", number, None, "a", "a", "message", text)


def account_of(*texts):
    counted = Account(source_file("a.json", "x"), "mend it")
    records = list(counted.records("word", enumerate(texts, 1), read))
    assert counted.items == len(records) + counted.dropped.total()
    return counted


def test_items_go_into_records_or_out_by_reason():
    counted = account_of("a", "", "odd", "b")
    assert (counted.items, counted.dropped) == (4, {"empty": 1, "unreadable": 1})


@pytest.mark.parametrize(
    ("texts", "is_refused"),
    [
        (["odd", "a"], False),
        (["odd", ""], False),
        (["odd"], True),
        (["odd", "odd"], True),
        (["odd"] * 2 + ["a"] * 98, False),
        (["odd"] * 2 + ["a"] * 97, True),
        ([], False),
    ],
)
def test_a_file_may_have_one_odd_item_or_two_percent(texts, is_refused):
    counted = account_of(*texts)
    if not is_refused:
        counted.check()
        return
    number = len(texts)
    with pytest.raises(ExportError) as error:
        counted.check()
    assert str(error.value) == (
        f"a.json, word 1: expected a word, and {texts.count('odd')} of {number} items cannot be "
        "read; mend it."
    )


def test_what_the_file_should_hold():
    account_of("", "a").check("words")
    for texts in ([], [""], ["odd", ""]):
        with pytest.raises(ExportError, match=r"^a\.json: expected words, found none; add some"):
            account_of(*texts).check("words")


def test_limits(monkeypatch):
    account_of("ñ" * 1_000_000)
    with pytest.raises(ExportError, match=r"^a\.json, word 2: a text of 2,000,002 bytes"):
        account_of("a", "ñ" * 1_000_001)
    monkeypatch.setattr(account, "MAX_ITEMS", 2)
    with pytest.raises(ExportError, match=r"^a\.json: more than 2 items; split it"):
        account_of("a", "a", "a")
