import inspect
import re
from pathlib import Path

import pytest

from kadnet import errors
from kadnet.errors import (
    BY_CODE,
    TABLE,
    Conflict,
    DataDirInUse,
    InputError,
    KadnetError,
    Malformed,
    ProtocolError,
    hint_of,
    meaning,
)

CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, KadnetError)]


def test_every_class_has_a_row() -> None:
    assert len(CLASSES) > 10
    assert set(TABLE) == set(CLASSES)


def test_every_code_means_one_class() -> None:
    codes = [row.code for row in TABLE.values()]
    assert len(set(codes)) == len(codes)
    assert {BY_CODE[row.code] for row in TABLE.values()} == set(TABLE)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_row_says_in_one_line_what_to_do(cls: type[KadnetError]) -> None:
    row = TABLE[cls]
    assert row.exit in (1, 2, 3, 4)
    assert 400 <= row.status < 600
    assert row.hint.isprintable()
    assert 10 < len(row.hint) < 100
    assert not row.hint.endswith(".")
    assert inspect.getdoc(cls)


def test_the_exit_codes_are_those_of_the_contract() -> None:
    exits = {row.code: row.exit for row in TABLE.values()}
    assert exits["input"] == 2
    assert exits["no-node"] == 3
    assert exits["data-dir-in-use"] == 4
    one = ("not-connected", "not-found", "not-stored", "peer-unreachable", "peer-refused", "conflict", "error")
    assert {exits[code] for code in one} == {1}


def test_a_class_of_somebody_else_means_what_its_base_means() -> None:
    class Special(errors.PeerRefused):
        pass

    assert meaning(Special) is meaning(Special("no")) is TABLE[errors.PeerRefused]
    assert meaning(KadnetError("x")).code == "error"


def test_an_error_has_its_own_hint_or_that_of_its_class() -> None:
    assert hint_of(InputError("wrong", hint="do this")) == "do this"
    assert hint_of(InputError("wrong")) == TABLE[InputError].hint
    assert hint_of(InputError("wrong", hint="")) == ""


def test_errors_carry_what_a_program_needs() -> None:
    assert isinstance(InputError("x"), ValueError)
    in_use = DataDirInUse(Path("/data"), 42)
    assert (in_use.pid, str(in_use)) == (42, "data directory /data is in use by process 42")
    assert str(DataDirInUse("/data", None)) == "data directory /data is in use by another process"
    assert isinstance(in_use, errors.DataDirError)
    assert Conflict("newer", seq=7).seq == 7


def test_a_fault_of_a_peer_is_no_error_of_ours() -> None:
    assert not issubclass(ProtocolError, KadnetError)
    assert issubclass(Malformed, ProtocolError)
    assert (Malformed("box").reason, str(Malformed("box"))) == ("box", "box")
