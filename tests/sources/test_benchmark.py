"""What the benchmark generates is what it says, and is read whole."""

from benchmarks import sources as benchmark
from espejo import sources


def test_the_invented_account_is_read_whole(tmp_path):
    path = tmp_path / "result.json"
    benchmark.write_account(path, 1000)
    table = sources.read(path, timezone="UTC")
    assert len(table) == 1000
    assert table["chat"].nunique() == benchmark.CHATS
    assert table["author"].nunique() == benchmark.CHATS + 1
    assert set(table["kind"]) == {"message", "media"}
    assert table["timestamp"].is_monotonic_increasing  # chat after chat, as they were written


def test_each_measurement_runs(tmp_path):
    account, dialogues = tmp_path / "result.json", tmp_path / "dialogues.jsonl"
    benchmark.write_account(account, 500)
    benchmark.write_dialogues(dialogues, 60)
    assert benchmark.measure("load", account)["rows"] == benchmark.CHATS
    assert benchmark.measure("read", account)["rows"] == 500
    assert benchmark.measure("group", dialogues)["rows"] > 60  # replies of B
