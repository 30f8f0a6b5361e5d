from pathlib import PurePosixPath

import pytest

from espejo.sources.splits import split_in, split_of_path


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train.jsonl", "train"),
        ("Training Set.csv", "train"),
        ("dialogues_train.txt", "train"),
        ("train-00000-of-00001.parquet", "train"),
        ("data/validation/x.csv", "validation"),
        ("valid.json", "validation"),
        ("faq.val.csv", "validation"),
        ("DEV.csv", "validation"),
        ("evalSet.csv", "validation"),
        ("set.zip/test/part.csv", "test"),
        ("testing2.csv", "test"),
        ("train/x_test.csv", "test"),  # the nearest name decides
        ("train_test.csv", None),
        ("contest.csv", None),
        ("evaluate/latest/trainer.csv", None),
        ("faq.csv", None),
        ("x.test", None),  # an extension is no name
    ],
)
def test_the_split_of_a_path(path, split):
    assert split_of_path(PurePosixPath(path)) == split


def test_the_split_in_a_cell():
    assert [split_in(cell) for cell in ("Train", "dev ", "fold 3", "")] == [
        *("train", "validation"),
        *(None, None),
    ]
