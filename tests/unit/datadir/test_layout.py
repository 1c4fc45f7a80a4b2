import os
import stat
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from kadnet.datadir import control_path, default_data_dir, layout, open_datadir
from kadnet.errors import DataDirError, DataDirInUse


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_a_new_data_directory_is_ours_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with open_datadir(tmp_path / "deep" / "er", 0.0) as data:
            assert _mode(data.path) == 0o700
            assert data.notes == ()
    finally:
        os.umask(before)


def test_it_is_held_for_the_length_of_the_block(tmp_path: Path) -> None:
    with open_datadir(tmp_path / "d", 1.0) as data:
        with pytest.raises(DataDirInUse) as caught, open_datadir(tmp_path / "d", 2.0):
            pass
        assert caught.value.pid == os.getpid()
        assert data.lock.exists()
    with open_datadir(tmp_path / "d", 3.0):
        pass


def test_an_error_in_the_block_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(KeyError), open_datadir(tmp_path / "d", 1.0):
        raise KeyError
    with open_datadir(tmp_path / "d", 2.0):
        pass


def test_the_paths_are_absolute_and_named_by_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_datadir(Path("d"), 0.0) as data:
        assert data.path == (tmp_path / "d").resolve()
        names = [path.name for path in (data.lock, data.identity, data.config, data.records, data.peers, data.chat)]
        assert names == ["node.lock", "identity.json", "config.toml", "records.db", "peers.db", "chat.db"]
        assert all(path.parent == data.path for path in (data.lock, data.identity, data.config, data.chat))
        assert data.control == control_path(data.path)


@pytest.mark.parametrize(
    "content", [[], ["config.toml"], ["lost+found"], ["identity.json", "notes.txt"], ["node.lock", "x"]]
)
def test_a_folder_of_ours_that_is_open_is_closed_and_a_note_says_so(tmp_path: Path, content: list[str]) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    for name in content:
        (folder / name).touch()
    folder.chmod(0o755)
    with open_datadir(folder, 0.0) as data:
        assert _mode(folder) == 0o700
        (note,) = data.notes
        assert "mode 0755" in note
        assert str(folder) in note
    with open_datadir(folder, 0.0) as data:
        assert data.notes == ()


def test_an_open_folder_that_holds_other_things_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "letters.txt").touch()
    folder.chmod(0o755)
    with pytest.raises(DataDirError, match="holds other things than a node's"), open_datadir(folder, 0.0):
        pass
    assert _mode(folder) == 0o755
    assert os.listdir(folder) == ["letters.txt"]
    folder.chmod(0o700)
    with open_datadir(folder, 0.0):
        pass


def test_a_shared_folder_is_left_alone_even_when_it_is_empty(tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    with pytest.raises(DataDirError, match="open to other users"), open_datadir(folder, 0.0):
        pass
    assert _mode(folder) == 0o1777


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(DataDirError, match="belongs to another user"), open_datadir(tmp_path, 0.0):
        pass
    assert os.listdir(tmp_path) == []


def test_a_file_system_that_keeps_no_modes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d").chmod(0o755)
    monkeypatch.setattr(Path, "chmod", lambda self, mode: None)
    with pytest.raises(DataDirError, match="keeps no modes"), open_datadir(tmp_path / "d", 0.0):
        pass


def test_what_is_not_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, fault in (
        (tmp_path / "file", "is not a folder"),
        (tmp_path / "file" / "below", "Not a directory"),
        (tmp_path / "loop", "loop"),
    ):
        with pytest.raises(DataDirError, match=fault), open_datadir(path, 0.0):
            pass


def test_the_environment_names_the_data_directory(tmp_path: Path) -> None:
    assert default_data_dir({"KADNET_DATA_DIR": str(tmp_path)}) == tmp_path
    assert default_data_dir({"KADNET_DATA_DIR": "~/k"}) == Path.home() / "k"
    with pytest.raises(DataDirError, match="KADNET_DATA_DIR"):
        default_data_dir({"KADNET_DATA_DIR": "~no-such-user-here/k"})


def test_without_a_word_it_is_the_platforms_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = platformdirs.user_data_path("kadnet", appauthor=False)
    assert default_data_dir({}) == default_data_dir({"KADNET_DATA_DIR": ""}) == expected
    monkeypatch.setattr(platformdirs, "user_data_path", lambda name, appauthor: Path("~/.local/share/kadnet"))
    with pytest.raises(DataDirError, match="no home folder"):
        default_data_dir({})


def test_looking_for_a_data_directory_loads_nothing_heavy() -> None:
    heavy = "{'trio', 'sqlite3', 'platformdirs', 'click', 'structlog', 'msgpack', 'asyncio'}"
    code = f"import sys, kadnet.datadir; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
