"""The words of a person who withholds them are gone: from tables, cache and training texts."""

import functools
import gzip
import io
import re
import unicodedata
import zipfile
import zlib
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.helpers import workshop
from tests.helpers.workshop import AUTHOR, PARTNER, SECRET, run

pytestmark = pytest.mark.model

# Names and words that occur nowhere else, not even in this file: they are written backwards.
THIRD = "zeugíñI rasatlaB"[::-1]
NAMESAKE = f"{THIRD.split()[0]} Paz"
FOURTH = "🌵 aisarfuE"[::-1]  # a first name only
FIFTH = "4673-855 153 9 45+"[::-1]
LATER = "1492-766 153"[::-1]  # another number of the same person
NICKNAME = "irfuE"[::-1]
WITHHOLDING = (THIRD, FOURTH, FIFTH)
THEIRS = "ipako nu érpmoc em"[::-1]
LONGER = "setoloxa sod sim noc oír la iuf yoh"[::-1]
# A text for each kind of row, in the table before anybody withholds: otherwise the test is empty.
ROWS = {
    "mention": f"hoy viene {THIRD}",
    "mention in small letters": f"che {THIRD.split()[1].lower()}, venís?",
    "mention without accents": THIRD.replace("í", "i").replace("ñ", "n"),
    "mention of a first name": f"con {FOURTH.split()[0].upper()} en casa",
    "mention of a contact": f"@{FOURTH} mirá",
    "mention of a number": "@" + re.sub(r"\D", "", FIFTH),
    "number": "llamala al " + FIFTH.removeprefix("+54 9 ").replace("-", ""),
    "nickname": f"dice {NICKNAME.lower()} que sí",
    "card": f"{THIRD}.vcf (file attached)",
    "file": f"{THIRD.replace(' ', '_')}-2.jpg (file attached)",
    "paste": f"miren\n[12/3/23, 10:00] {THIRD}: {THEIRS} ya\n[12/3/23, 10:01] {PARTNER}: {SECRET}",
    "quote": f"> {FOURTH.split()[0]}: {THEIRS}\nqué cosa",
    "quotation": f'{THIRD} dijo "{THEIRS}"\nni idea',
    "forward": LONGER.upper(),
    "rename": f"{FIFTH} changed to +54 9 {LATER}",
    "renamed number": f"anoten {LATER}",
    "add": f"{AUTHOR} added {THIRD}",
    "group": f'{AUTHOR} changed the group name to "Los de {FOURTH}"',
    "namesake": f"y {NAMESAKE} trae el mate",
}
NOTICES = ("rename", "add", "group")


def group_chat():
    """The chat of `workshop`, with `ROWS` and messages of others on every other evening."""
    lines, waiting = [], list(ROWS.items())
    for line in workshop.chat(60).splitlines(keepends=True):
        lines.append(line)
        stamp = line.split(" - ")[0]
        if "?" in line and "la compramos" in line and int(line.split("/")[0]) % 2:
            lines.append(f"{stamp} - {WITHHOLDING[len(lines) % 3]}: {THEIRS} {len(lines)}\n")
            lines.append(f"{stamp} - {WITHHOLDING[len(lines) % 3]}: {LONGER}\n")
        elif "ni loca" in line and waiting:
            kind, text = waiting.pop(0)
            author = "" if kind in NOTICES else f"{NAMESAKE}: "
            lines.append(f"{stamp} - {author}{text}\n")
    assert not waiting
    return "".join(lines)


def folded(text):
    """`text` without case and accents; deliberately not the program's own function."""
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()


def searched():
    """Names and words that may be left nowhere: folded, without spaces and punctuation."""
    names = [THIRD.split()[1], "".join(THIRD.split()), FOURTH.split()[0], NICKNAME]
    names += ["".join(THEIRS.split()), LONGER.split()[-1], FIFTH[-8:], LATER[-8:]]
    return [re.sub(r"[\W_]", "", folded(name)) for name in names]


def unpacked(content):
    """The bytes of a file; of tables, archives and git objects, their contents."""
    if content.startswith(b"PAR1"):
        return str(pq.read_table(io.BytesIO(content)).to_pylist()).encode()
    if content.startswith(b"\x1f\x8b"):
        return gzip.decompress(content)
    if content.startswith((b"x\x01", b"x\x9c")):
        return zlib.decompress(content)
    if content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return b"\n".join(
                name.encode() + b"\n" + unpacked(archive.read(name)) for name in archive.namelist()
            )
    return content


def artefacts(folder):
    """Every file of a clone except the exports, git objects included: name and contents."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith("data/raw/mine/"):
            yield name, unpacked(path.read_bytes())


@functools.cache  # most files stay as they are between two looks
def bare(content):
    """The letters and digits of a content, folded."""
    text = content.decode("utf-8", "ignore")
    return re.sub(r"[\W_]", "", folded(text).replace("\\n", " "))


def holding(folder, words=None):
    """The artefacts that hold a name or word of theirs, in any spelling; or exactly `words`."""

    def holds(content):
        if words is None:
            return any(word in bare(content) for word in searched())
        return words.encode() in content

    return [name for name, content in artefacts(folder) if holds(name.encode()) or holds(content)]


def exports(folder):
    """The group, a chat of their own of each who withholds, and people.yaml without answers."""
    raw = workshop.mine(folder)
    (raw / f"Chat de WhatsApp con {PARTNER}.txt").unlink()
    (raw / "Chat de WhatsApp con los seis.txt").write_text(group_chat(), "utf-8")
    for month, name in enumerate(WITHHOLDING, 5):  # apart in time, or they would be one chat
        chat = (
            workshop.chat(3, datetime(2025, month, 1, 20))
            .replace(PARTNER, name)
            .replace(f"¿Viste la {SECRET}", THEIRS)
        )
        chat = chat.replace("¿Y la compramos", "y lo vendemos")  # words that nobody else says
        (raw / f"WhatsApp Chat with {name}.txt").write_text(chat, "utf-8")
    return raw


def people(raw, answer):
    """Write people.yaml with everybody's answer."""
    lines = [f"  {PARTNER}: train", f"  {NAMESAKE}: train"]
    lines += [f"  {name}: {answer}" for name in WITHHOLDING]
    content = f"author: {AUTHOR}\npeople:\n" + "\n".join(lines)
    (raw / "people.yaml").write_text(f"{content}\naliases:\n  {FOURTH}: [{NICKNAME}]\n", "utf-8")


def rows(folder, table="messages"):
    return pq.read_table(folder / "data" / f"{table}.parquet").to_pylist()


# What commands leave behind that no stage writes: docs/privacy.md removes it with one line.
LEFT = ("exports/merged/weights", "checkpoints/1/weights", "reports/transcripts/chat.txt")
LEFT += ("dvc_plots/index.html", ".dvc/tmp/exps/printed.txt")


def withdrawal():
    """The commands of docs/privacy.md: remove, repeat the run, collect what the cache still has,
    drop the experiments, whose tables are gone.
    """
    page = (workshop.ROOT / "docs" / "privacy.md").read_text("utf-8")
    line = next(line for line in page.splitlines() if line.startswith("rm -rf"))
    remove, repeat, collect, drop = (command.split() for command in line.split(" && "))
    return remove, repeat, [*collect, "-f"], drop  # -f: without a question


@pytest.mark.parametrize(
    "stages", [["statistics"], pytest.param([], marks=pytest.mark.slow)], ids=["tables", "all"]
)
def test_one_edit_repro_and_gc_leave_nothing_of_a_person(stages, tmp_path):
    folder = workshop.clone(tmp_path)
    raw = exports(folder)
    people(raw, "train")
    chosen = ("-S", "data=mine", "-S", "model=smollm2", "-S", "experiment=smoke")
    run("dvc", "exp", "run", *chosen, *stages, cwd=folder)
    if not stages:  # remains of a queue: copies, outputs
        queue = ("--queue", "-n", "queued", "-C", "data/raw/mine", "-S", "group.history=3")
        run("dvc", "exp", "run", *queue, *chosen, "group", cwd=folder)
        run("dvc", "queue", "start", cwd=folder)
        run("dvc", "queue", "logs", "--follow", "queued", cwd=folder)

    # Before: they are in every kind of row, in chats of their own, in the cache.
    read = rows(folder)
    for kind, text in ROWS.items():
        assert any(row["text"] == text for row in read), kind
    assert {row["chat"] for row in read} == {"los seis", *WITHHOLDING}
    assert {row["author"] for row in read} == {None, AUTHOR, PARTNER, NAMESAKE, *WITHHOLDING}
    before = holding(folder)
    assert "data/messages.parquet" in before
    assert sum(name.startswith(".dvc/cache/") for name in before) >= 5
    for name in LEFT:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(THEIRS, "utf-8")
    assert {*LEFT} <= {*holding(folder)}

    people(raw, "withhold")
    remove, repeat, collect, drop = withdrawal()
    run(*remove, cwd=folder)
    ran = run(*repeat, *stages, cwd=folder)
    run(*collect, cwd=folder)
    run(*drop, cwd=folder)

    assert holding(folder) == []
    assert run("dvc", "exp", "list", "--all-commits", cwd=folder).stdout == ""
    assert not [word for word in searched() if word in folded(ran.stdout + ran.stderr)]
    # Every row is still there, the chats in the same order, and the words of others unchanged.
    after = rows(folder)
    assert [row["line"] for row in after] == [row["line"] for row in read]
    chats = {row["chat"]: None for row in read}
    assert [row["chat"] for row in after] == [
        {
            name: f"withheld {number}"
            for number, name in enumerate((n for n in chats if n in WITHHOLDING), 1)
        }.get(row["chat"], row["chat"])
        for row in read
    ]
    left = {
        kind: after[number]
        for number, row in enumerate(read)
        for kind in ROWS
        if row["text"] == ROWS[kind]
    }
    assert {kind: row["text"] for kind, row in left.items()} == {
        "mention": "hoy viene <PERSON>",
        "mention in small letters": "che <PERSON>, venís?",
        "mention without accents": "<PERSON>",
        "mention of a first name": "con <PERSON> en casa",
        "mention of a contact": "@<PERSON> mirá",
        "mention of a number": "@<PERSON>",
        "number": "llamala al <PERSON>",
        "nickname": "dice <PERSON> que sí",
        "card": "<PERSON>.vcf (file attached)",
        "file": "<PERSON>-2.jpg (file attached)",
        "paste": f"miren\n[12/3/23, 10:01] {PARTNER}: {SECRET}",
        "quote": "",
        "quotation": "ni idea",
        "forward": "",
        "rename": "",
        "renamed number": "anoten <PERSON>",
        "add": "",
        "group": "",
        "namesake": ROWS["namesake"],
    }
    # 60 evenings from the first of March: 16 odd days in March, 15 of the 29 in April
    lasts = [row["reply"][-1] for row in rows(folder, "examples")]
    assert sum(SECRET in text or text == "re linda" for text in lasts) == 60
    assert sum(text.startswith("ni loca") for text in lasts) == 60 - 31

    # Where too little is left to train on, everything made from the chats can be deleted at once.
    assert [name for name in holding(folder, SECRET) if name.startswith(".dvc/cache")]
    listed = re.search("site_cache_dir: (.+)", run("dvc", "doctor", cwd=folder).stdout)[1]
    assert any(THIRD.encode() in file.read_bytes() for file in Path(listed).rglob("*.db"))
    run("make", "forget", "YES=1", cwd=folder)
    assert not Path(listed).exists()
    told = ("tests/", "data/raw/", ".git/")  # where the test itself has the word
    assert not [name for name in holding(folder, SECRET) if not name.startswith(told)]
    assert run("git", "for-each-ref", "refs/exps", cwd=folder).stdout == ""
    assert run("git", "status", "--porcelain", cwd=folder).stdout == ""  # numbers are the demo's
    assert not any((folder / name).exists() for name in ("model", "reports", "checkpoints"))


def test_their_words_are_read_as_context_and_never_learnt_even_from_whole_texts(tmp_path):
    folder = workshop.clone(tmp_path)
    raw = workshop.mine(folder)
    (raw / "people.yaml").write_text(f"author: {AUTHOR}\npeople: {{{PARTNER}: context}}\n", "utf-8")
    run("dvc", "exp", "run", "-S", "data=mine", "-S", "model=smollm2-clm", "format", cwd=folder)
    for row in rows(folder, "formatted"):
        masked = [row["text"][span["start"] : span["end"]] for span in row["masked"]]
        questions = [text for text in masked if text.startswith("¿")]
        assert questions == masked  # the partner asks, always; the author never does
        learnt = row["text"]
        for text in masked:
            learnt = learnt.replace(text, "")
        assert "¿" not in learnt
    # one turn before the first, two after
    assert sum(len(row["masked"]) for row in rows(folder, "formatted")) == 30 * 3
