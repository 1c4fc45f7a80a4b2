import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kadnet.datadir import create_identity, load_identity, read_public_id
from kadnet.errors import DataDirError, IdentityDamaged, IdentityMissing, StorageFailed
from kadnet.identity import nodeid
from kadnet.identity.keys import Identity

SEED = bytes(range(32))
OTHER = bytes(range(1, 33))
GOOD = {"version": 1, "type": "ed25519", "id": nodeid.encode(Identity.from_seed(SEED).public), "seed": SEED.hex()}


def _put(folder: Path, content: bytes) -> Path:
    path = folder / "identity.json"
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_what_was_created_is_loaded(tmp_path: Path) -> None:
    made = create_identity(tmp_path, SEED)
    assert made.seed == SEED
    assert load_identity(tmp_path).seed == SEED
    assert read_public_id(tmp_path) == made.public
    assert json.loads((tmp_path / "identity.json").read_text()) == GOOD


def test_the_file_is_ours_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        create_identity(tmp_path, SEED)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "identity.json").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["identity.json"], "no temporary file stays"


@pytest.mark.parametrize("there", ["identity", "empty file", "folder", "dangling link"])
def test_creating_never_replaces_what_is_there(tmp_path: Path, there: str) -> None:
    path = tmp_path / "identity.json"
    if there == "identity":
        create_identity(tmp_path, OTHER)
    elif there == "empty file":
        path.touch()
    elif there == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    before = path.lstat()
    with pytest.raises(DataDirError, match="exists already"):
        create_identity(tmp_path, SEED)
    assert (path.lstat().st_ino, path.lstat().st_size) == (before.st_ino, before.st_size)
    assert os.listdir(tmp_path) == ["identity.json"]
    if there == "identity":
        assert load_identity(tmp_path).seed == OTHER


def test_of_many_at_once_one_wins_and_its_identity_is_the_one_on_disk(tmp_path: Path) -> None:
    racer = """
import sys
from pathlib import Path
from kadnet.datadir import create_identity
from kadnet.errors import DataDirError
seed = bytes([int(sys.argv[2])]) * 32
print("ready", flush=True)
sys.stdin.readline()
try:
    print(create_identity(Path(sys.argv[1]), seed).seed.hex())
except DataDirError:
    print("lost")
"""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", racer, str(tmp_path), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for one in racers:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in racers:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    said = [one.communicate()[0].strip() for one in racers]
    assert said.count("lost") == 3
    assert load_identity(tmp_path).seed.hex() in said


def test_a_file_system_without_hard_links_keeps_the_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(source: str, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    create_identity(tmp_path, SEED)
    with pytest.raises(DataDirError, match="exists already"):
        create_identity(tmp_path, OTHER)
    assert load_identity(tmp_path).seed == SEED
    assert os.listdir(tmp_path) == ["identity.json"]


def test_file_and_folder_reach_the_disk_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    real_fsync, real_link = os.fsync, os.link

    def fsync(fd: int) -> None:
        events.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else f"file of {os.fstat(fd).st_size > 100}")
        real_fsync(fd)

    def link(source: str, target: Path) -> None:
        events.append("link")
        real_link(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", link)
    create_identity(tmp_path, SEED)
    assert events == ["file of True", "link", "folder"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFailed, match="No space left"):
        create_identity(tmp_path, SEED)
    assert os.listdir(tmp_path) == []


def test_an_empty_folder_and_a_missing_one_have_no_identity(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(IdentityMissing, match="has no identity"):
            load_identity(folder)
    assert os.listdir(tmp_path) == []


def _but(**changes: object) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def _without(name: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (json.dumps(GOOD).encode()[:-20], "is not JSON, or is cut short"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 4000, "is not JSON"),
        (b"\0" * 200, "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b"null", "is not a JSON object"),
        (_without("version"), "has no 'version'"),
        (_without("type"), "has no 'type'"),
        (_without("id"), "has no 'id'"),
        (_without("seed"), "has no 'seed'"),
        (_but(version=True), "has a wrong 'version'"),
        (_but(version=2), "is of version 2, and this kadnet reads version 1"),
        (_but(type="rsa\x1b"), r"has the type 'rsa\x1b', not 'ed25519'"),
        (_but(seed=None), "has a wrong 'seed'"),
        (_but(seed=SEED.hex()[:-2]), "has a wrong 'seed': 62 characters, and it needs 64"),
        (_but(seed=SEED.hex() + "00"), "has a wrong 'seed': 66 characters"),
        (_but(seed="zz" * 32), "has a wrong 'seed': it is not hexadecimal"),
        (_but(seed=" ".join(["00"] * 32)), "has a wrong 'seed'"),
        (_but(seed=OTHER.hex()), "do not belong together"),
        (_but(id=nodeid.encode(Identity.from_seed(OTHER).public)), "do not belong together"),
        (_but(id="abc"), "has a wrong 'id': node ID has 3 characters"),
        (b"x" * 5000, "has 5000 bytes, far more than"),
    ],
)
def test_a_damaged_file_is_named_with_its_fault_and_left_alone(tmp_path: Path, content: bytes, fault: str) -> None:
    path = _put(tmp_path, content)
    with pytest.raises(IdentityDamaged) as caught:
        load_identity(tmp_path)
    message = str(caught.value)
    assert fault in message
    assert str(path) in message
    assert message.isprintable()
    assert SEED.hex()[:-2] not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert path.read_bytes() == content
    with pytest.raises(DataDirError, match="exists already"):
        create_identity(tmp_path, SEED)
    assert path.read_bytes() == content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o620])
def test_a_file_open_to_others_is_refused_and_the_error_says_chmod(tmp_path: Path, mode: int) -> None:
    create_identity(tmp_path, SEED)
    (tmp_path / "identity.json").chmod(mode)
    with pytest.raises(IdentityDamaged, match=f"open to other users .mode {mode:04o}") as caught:
        load_identity(tmp_path)
    assert f"chmod 600 {tmp_path / 'identity.json'}" in str(caught.value.hint)
    assert stat.S_IMODE((tmp_path / "identity.json").stat().st_mode) == mode
    (tmp_path / "identity.json").chmod(0o400)
    assert load_identity(tmp_path).seed == SEED


def test_a_file_of_another_user_is_refused_and_one_of_root_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_identity(tmp_path, SEED)
    owner = (tmp_path / "identity.json").stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner != 0:
        with pytest.raises(IdentityDamaged, match=f"belongs to another user .uid {owner}"):
            load_identity(tmp_path)
    else:
        assert load_identity(tmp_path).seed == SEED
        os.chown(tmp_path / "identity.json", 12345, -1)
        with pytest.raises(IdentityDamaged, match=r"belongs to another user .uid 12345"):
            load_identity(tmp_path)


def test_what_is_not_a_plain_file_is_damage_and_nothing_hangs(tmp_path: Path) -> None:
    for name in ("folder", "pipe", "link", "loop"):
        (tmp_path / name).mkdir()
    (tmp_path / "folder" / "identity.json").mkdir()
    os.mkfifo(tmp_path / "pipe" / "identity.json", 0o600)
    (tmp_path / "link" / "identity.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop" / "identity.json").symlink_to(tmp_path / "loop" / "identity.json")
    for name, fault in (
        ("folder", "is not a plain file"),
        ("pipe", "is not a plain file"),
        ("link", "is a link to nowhere"),
        ("loop", "cannot be read"),
    ):
        with pytest.raises(IdentityDamaged, match=fault):
            load_identity(tmp_path / name)


def test_a_file_that_cannot_be_opened_is_damage_and_not_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_identity(tmp_path, SEED)

    def denied(*args: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(IdentityDamaged, match="cannot be read: Permission denied"):
        load_identity(tmp_path)


def test_a_file_that_cannot_be_read_to_the_end_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_identity(tmp_path, SEED)

    def broken(fd: int, count: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "read", broken)
    with pytest.raises(IdentityDamaged, match="cannot be read: Input/output error"):
        load_identity(tmp_path)


def test_a_link_to_a_good_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "mounted").mkdir()
    create_identity(tmp_path / "mounted", SEED)
    (tmp_path / "identity.json").symlink_to(tmp_path / "mounted" / "identity.json")
    assert load_identity(tmp_path).seed == SEED


def test_a_path_with_control_characters_shows_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "a\nb\x1b[2J"
    folder.mkdir()
    _put(folder, b"")
    with pytest.raises(IdentityDamaged) as caught:
        load_identity(folder)
    assert str(caught.value).isprintable()
