import os
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from kadnet.datadir import control_path
from kadnet.errors import DataDirError


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path: pytest's own may be too long for a socket."""
    with TemporaryDirectory(prefix="kn", dir="/tmp") as name:
        yield Path(name).resolve()


def _deep(base: Path, letter: str = "d") -> Path:
    folder = base / (letter * 60) / (letter * 60)
    folder.mkdir(parents=True)
    return folder


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_lies_in_the_data_directory_up_to_100_bytes(short: Path) -> None:
    room = 100 - len(os.fsencode(short / "x" / "control.sock")) + 1
    fits, too_long = short / ("x" * room), short / ("x" * (room + 1))
    assert control_path(fits, {}, short) == fits / "control.sock"
    assert len(os.fsencode(control_path(fits, {}, short))) == 100
    assert control_path(too_long, {}, short).parent == short / f"kadnet-{os.geteuid()}"


def test_bytes_count_and_not_characters(short: Path) -> None:
    folder = short / ("ü" * 45)
    assert len(str(folder / "control.sock")) <= 100
    assert control_path(folder, {}, short).parent != folder


def test_a_long_path_goes_to_the_runtime_folder(short: Path) -> None:
    runtime = short / "run"
    runtime.mkdir(mode=0o700)
    path = control_path(_deep(short), {"XDG_RUNTIME_DIR": str(runtime)}, short)
    assert path.parent == runtime / "kadnet"
    assert path.suffix == ".sock"
    assert len(os.fsencode(path)) <= 100
    assert _mode(path.parent) == 0o700
    assert list(path.parent.iterdir()) == []


def test_every_spelling_of_a_data_directory_has_one_socket_and_two_have_two(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep, other = _deep(short), _deep(short, "e")
    (short / "link").symlink_to(deep)
    expected = control_path(deep, {}, short)
    monkeypatch.chdir(deep.parent)
    assert control_path(Path(deep.name), {}, short) == expected
    assert control_path(deep / ".." / deep.name, {}, short) == expected
    assert control_path(short / "link", {}, short) == expected
    assert control_path(other, {}, short) != expected


@pytest.mark.parametrize("runtime", ["", "relative", "/does/not/exist"])
def test_without_a_usable_runtime_folder_it_goes_to_the_temporary_one(short: Path, runtime: str) -> None:
    path = control_path(_deep(short), {"XDG_RUNTIME_DIR": runtime}, short)
    assert path.parent == short / f"kadnet-{os.geteuid()}"
    assert _mode(path.parent) == 0o700


def test_a_runtime_folder_others_may_write_to_is_passed_over(short: Path) -> None:
    runtime = short / "run"
    runtime.mkdir()
    runtime.chmod(0o777)
    assert control_path(_deep(short), {"XDG_RUNTIME_DIR": str(runtime)}, short).parent.parent == short
    assert list(runtime.iterdir()) == []


def test_the_real_environment_is_the_default(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = short / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    assert control_path(_deep(short)).parent == runtime / "kadnet"


def test_a_folder_that_somebody_else_put_there_is_refused(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = _deep(short)
    stranger = os.geteuid() + 1
    (short / f"kadnet-{stranger}").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    with pytest.raises(DataDirError, match=rf"kadnet-{stranger}.* belongs to another user"):
        control_path(deep, {}, short)


def test_a_link_a_file_or_an_open_folder_in_its_place_is_refused(short: Path) -> None:
    deep = _deep(short)
    folder = short / f"kadnet-{os.geteuid()}"
    (short / "real").mkdir(mode=0o700)
    folder.symlink_to(short / "real")
    with pytest.raises(DataDirError, match="is not a folder"):
        control_path(deep, {}, short)
    folder.unlink()
    folder.touch()
    with pytest.raises(DataDirError, match="is not a folder"):
        control_path(deep, {}, short)
    folder.unlink()
    folder.mkdir()
    for mode in (0o750, 0o701, 0o722):
        folder.chmod(mode)
        with pytest.raises(DataDirError, match=f"is open to other users .mode {mode:04o}"):
            control_path(deep, {}, short)
        assert _mode(folder) == mode
    folder.chmod(0o700)
    assert control_path(deep, {}, short).parent == folder


def test_when_every_path_is_too_long_the_error_says_what_to_do(short: Path) -> None:
    deep = _deep(short)
    with pytest.raises(DataDirError, match="100 bytes or fewer") as caught:
        control_path(deep, {"XDG_RUNTIME_DIR": str(deep)}, deep)
    assert caught.value.hint == "name a --data-dir with a shorter path"


def test_a_temporary_folder_that_takes_no_folder_is_an_error(short: Path) -> None:
    (short / "file").touch()
    with pytest.raises(DataDirError, match="cannot make"):
        control_path(_deep(short), {}, short / "file")
