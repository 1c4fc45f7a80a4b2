from __future__ import annotations

import json
from pathlib import Path

import pytest

from kadnet.identity import nodeid
from tests.unit.cli.runner import asked, typed
from tests.unit.daemon.fake import served
from tests.unit.daemon.fake_chat import BOB

BOB_ID = nodeid.encode(BOB.public)
AT = f"kadnet://{BOB_ID}@192.0.2.7:7420"
ENTRY = {"name": "bob", "id": BOB_ID, "address": AT, "added_at": 1_700_000_000}


async def test_a_contact_is_added_listed_used_and_removed(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        assert (await asked(tmp_path, "contact", "list")).stdout.startswith("no contacts; add one with: ")
        added = await asked(tmp_path, "contact", "add", "bob", AT)
        assert (added.exit_code, added.stdout) == (0, f"bob is {BOB_ID}\n")
        lines = (await asked(tmp_path, "contact", "list")).stdout.splitlines()
        assert lines[0].split() == ["name", "id", "address", "added"]
        assert lines[1].split()[:3] == ["bob", BOB_ID, "192.0.2.7:7420"]
        assert (await asked(tmp_path, "send", "bob", "hi")).exit_code == 0
        assert node.posted == [(BOB.public, "hi")]
        removed = await asked(tmp_path, "contact", "remove", "bob")
        assert (removed.exit_code, removed.stdout) == (0, f"removed bob, who is {BOB_ID}\n")
        assert node.book == {}


async def test_the_json_of_contacts_is_the_contract(tmp_path: Path) -> None:
    async with served(tmp_path):
        assert json.loads((await asked(tmp_path, "contact", "list", "--json")).stdout) == []
        assert json.loads((await asked(tmp_path, "contact", "add", "bob", AT, "--json")).stdout) == ENTRY
        assert json.loads((await asked(tmp_path, "contact", "list", "--json")).stdout) == [ENTRY]
        assert json.loads((await asked(tmp_path, "contact", "remove", "bob", "--json")).stdout) == ENTRY


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "Bob!", BOB_ID], "a contact's name has 1 to 32 of"),
        (["add", "", BOB_ID], "a contact's name has 1 to 32 of"),
        (["add", "\udcff", BOB_ID], "the name is not UTF-8 text"),
        (["add", "bob", "\udcff"], "the node is not UTF-8 text"),
        (["add", "bob", BOB_ID + "a"], "node ID has 57 characters"),
        (["add", "bob"], "missing argument 'WHO'; see: kadnet contact add --help"),
        (["remove", "bob"], "there is no contact 'bob'"),
        (["remove", "\udcff"], "the name is not UTF-8 text"),
        (["lst"], "no such command 'lst'"),
    ],
)
async def test_bad_input_is_exit_2_in_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    async with served(tmp_path) as node:
        done = await asked(tmp_path, "contact", *words)
        assert done.exit_code == 2
        assert done.stderr.startswith(f"kadnet: {said}")
        assert done.stderr.count("\n") == 1
        assert node.book == {}


@pytest.mark.parametrize("words", [("contact",), ("contact", "--help"), ("contact", "-h")])
def test_contact_alone_is_its_help(words: tuple[str, ...]) -> None:
    done = typed(*words)
    assert done.exit_code == 0
    assert all(f"  {name} " in done.stdout for name in ("add", "list", "remove"))


@pytest.mark.parametrize("name", ["add", "list", "remove"])
def test_each_of_its_commands_has_an_example_and_json(name: str) -> None:
    done = typed("contact", name, "--help")
    assert f"kadnet contact {name}" in done.stdout.partition("Example:")[2]
    assert "--json" in done.stdout


def test_the_data_dir_may_be_named_in_any_place(tmp_path: Path) -> None:
    before = typed("contact", "list", data_dir=tmp_path)
    after = typed("contact", "list", "--data-dir", str(tmp_path))
    assert before.exit_code == after.exit_code == 3
    assert str(tmp_path) in before.stderr
    assert before.stderr == after.stderr
