from dataclasses import dataclass, field
from typing import Literal

import pytest

from kadnet import config
from kadnet.errors import InputError


@dataclass(frozen=True)
class Section:
    replicas: int = 16
    lease: float = 60.0
    name: str = "x"
    serve: bool = True
    bootstrap: tuple[str, ...] = ()
    limit: int | None = None
    reach: Literal["auto", "yes", "no"] = "auto"
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.replicas < 1:
            raise ValueError("replicas must be at least 1")
        if self.name == "forbidden":
            raise InputError("that name is taken", hint="choose another")


@dataclass(frozen=True)
class Needy:
    path: str


def read(text: str, **options: str) -> Section:
    return config.section(config.parse(text), "overlay", Section, **options)


def test_what_is_not_set_keeps_its_default() -> None:
    assert read("") == read("[overlay]") == Section()
    assert read("[other]\nreplicas = 3") == Section()


def test_what_is_set_is_taken_with_its_type() -> None:
    text = """
    [overlay]
    replicas = 3
    lease = 30
    name = "alice"
    serve = false
    bootstrap = ["a:1", "b:2"]
    limit = 5
    reach = "no"
    """
    section = read(text)
    assert section == Section(3, 30.0, "alice", False, ("a:1", "b:2"), 5, "no")
    assert type(section.lease) is float


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("replicas = '3'", "config.toml: replicas in [overlay] must be a whole number, not '3'"),
        ("replicas = 3.0", "config.toml: replicas in [overlay] must be a whole number, not 3.0"),
        ("replicas = true", "config.toml: replicas in [overlay] must be a whole number, not True"),
        ("lease = true", "config.toml: lease in [overlay] must be a number, not True"),
        ("lease = '1'", "config.toml: lease in [overlay] must be a number, not '1'"),
        ("name = 1", "config.toml: name in [overlay] must be a text, not 1"),
        ("serve = 1", "config.toml: serve in [overlay] must be true or false, not 1"),
        ("serve = 'yes'", "config.toml: serve in [overlay] must be true or false, not 'yes'"),
        ("bootstrap = 'a:1'", "config.toml: bootstrap in [overlay] must be a list"),
        ("bootstrap = ['a:1', 2]", "config.toml: bootstrap in [overlay] must be a text, not 2"),
        ("limit = 'none'", "config.toml: limit in [overlay] must be a whole number, not 'none'"),
        ("reach = 'maybe'", "config.toml: reach in [overlay] must be one of 'auto', 'yes', 'no', not 'maybe'"),
        ("replicas = 0", "config.toml: [overlay] replicas must be at least 1"),
        ("name = 'forbidden'", "that name is taken"),
        ("replicas = 1979-05-27", "config.toml: replicas in [overlay] must be a whole number, not datetime.date("),
    ],
)
def test_a_wrong_value_is_named_with_its_place(line: str, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        read(f"[overlay]\n{line}")
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("replcas = 3", "did you mean 'replicas'?"),
        ("Replicas = 3", "did you mean 'replicas'?"),
        ("boot_strap = []", "did you mean 'bootstrap'?"),
        ("xyzzy = 1", "known here: bootstrap, lease, limit, made, name, reach, replicas, serve"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(line: str, hint: str) -> None:
    with pytest.raises(InputError, match="unknown name") as caught:
        read(f"[overlay]\n{line}")
    assert caught.value.hint == hint


def test_an_unknown_section_is_answered_with_the_nearest() -> None:
    known = ["overlay", "links", "reach"]
    config.check_sections(config.parse("[overlay]\n[reach]"), known)
    for text, hint in (("[overly]", "did you mean 'overlay'?"), ("[zzz]", "known here: links, overlay, reach")):
        with pytest.raises(InputError, match="unknown section") as caught:
            config.check_sections(config.parse(text), known)
        assert caught.value.hint == hint


@pytest.mark.parametrize("text", ["listen = '0.0.0.0:7420'", "ovrlay = 1", "x = []"])
def test_a_name_outside_of_any_section_is_told_which_sections_there_are(text: str) -> None:
    with pytest.raises(InputError, match="stands in no section") as caught:
        config.check_sections(config.parse(text), ["overlay", "links"])
    assert caught.value.hint == "put it below [links] or [overlay]"


@pytest.mark.parametrize("text", ["overlay = 1", "overlay = []", "[[overlay]]"])
def test_a_section_is_a_section(text: str) -> None:
    with pytest.raises(InputError, match=r"\[overlay\] must be a section"):
        config.check_sections(config.parse(text), ["overlay"])
    with pytest.raises(InputError, match=r"\[overlay\] must be a section"):
        read(text)


def test_what_has_no_default_is_asked_for() -> None:
    with pytest.raises(InputError, match=r"\[files\] needs path"):
        config.section({}, "files", Needy)
    assert config.section({"files": {"path": "x"}}, "files", Needy) == Needy("x")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[overlay]\nx y", "line 2"),
        ("a = 1\na = 2", "config.toml: Cannot overwrite a value"),
        ("a = ", "Invalid value"),
        ("a = " + "9" * 5000, "4300 digits"),
        ("a = " + "[" * 5000, "too deeply nested"),
    ],
)
def test_what_is_no_toml_is_said_in_one_line(text: str, part: str) -> None:
    with pytest.raises(InputError, match=part) as caught:
        config.parse(text)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300
    assert "[section]" in (caught.value.hint or "")


def test_names_of_the_file_cannot_move_a_terminal() -> None:
    with pytest.raises(InputError) as caught:
        config.check_sections(config.parse('["a\\u001b[2J\\nb"]'), ["overlay"])
    assert str(caught.value).isprintable()
    for line in ('"a\\nb" = 1', "replicas = '''\x20\n\r\t'''", "reach = '''\u2028'''"):
        with pytest.raises(InputError) as caught:
            read(f"[overlay]\n{line}")
        assert str(caught.value).isprintable()


def test_a_long_or_deep_value_is_not_repeated_in_full() -> None:
    for value in ("'" + "x" * 5000 + "'", "{a" + ".a" * 5000 + " = 1}"):
        with pytest.raises(InputError) as caught:
            read(f"[overlay]\nreplicas = {value}")
        assert len(str(caught.value)) < 200


def test_the_file_is_named_as_the_caller_calls_it() -> None:
    with pytest.raises(InputError, match=r"^settings: replicas in"):
        read("[overlay]\nreplicas = ''", where="settings")
    with pytest.raises(InputError, match=r"^settings: "):
        config.parse("=", where="settings")
    with pytest.raises(InputError, match=r"^settings: unknown section"):
        config.check_sections({"x": {}}, ["y"], where="settings")
