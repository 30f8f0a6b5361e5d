"""The dialogue of `espejo init` in a pseudo-terminal, and an export to give it."""

import sys
from datetime import datetime, timedelta

import pexpect

COMMAND = [sys.executable, "-m", "espejo.commands.cli", "init"]
GROUP = "WhatsApp Chat with Los de siempre.txt"
# Messages by name: the numbers of the table are 1 Bruno, 2 Ana, 3 Carla, 4 Ana (vieja), 5 Dario.
WRITERS = {"Bruno": 9, "Ana": 8, "Carla": 7, "Ana (vieja)": 4, "Dario": 2}


def export(messages_by_name, start=datetime(2025, 3, 1, 20)):
    """An Android export with so many different messages of each person, a minute apart."""
    phrases = [
        (name, number) for name, count in messages_by_name.items() for number in range(count)
    ]
    return "".join(
        f"{start + timedelta(minutes=minute):%d/%m/%Y, %H:%M} - {name}: frase {number} de {name}\n"
        for minute, (name, number) in enumerate(phrases)
    )


def answer(child, question, line):
    child.expect_exact(question)
    child.expect_exact("›")
    child.sendline(line)


def ended(child):
    """What is left to read, once it has ended; and its exit status."""
    child.expect(pexpect.EOF)
    child.close()
    return child.before, child.exitstatus


def tree(folder):
    """Every file below a folder, and its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
