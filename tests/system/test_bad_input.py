from __future__ import annotations

import json
import os
import pty
import random
import select
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kadnet.client import Client
from tests.system.processes import Done, Running, Town, command, environment, first_line, kadnet, town, until

COMMANDS = ("init", "id", "version", "run", "status", "peers", "table", "ping", "lookup", "put", "get", "demo")
ASKING = (
    ("status",),
    ("peers",),
    ("table",),
    ("ping", "127.0.0.1:7420"),
    ("lookup", "color"),
    ("put", "color", "blue"),
    ("get", "color"),
)
EVIL = "\x1b]0;owned\x07\x1b[2J\r\x9bboo\u202e"


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Running, Running]]:
    """Two nodes that know each other, for the tests that end neither."""
    with town() as made:
        first, second = made.overlay(2)
        yield first, second


@pytest.fixture(scope="module")
def node(pair: tuple[Running, Running]) -> Running:
    return pair[0]


def refused(done: Done, *words: str, code: int = 2) -> None:
    """An error as it must be: its exit code, nothing on stdout, one line on stderr that names what is wrong."""
    assert done.code == code, done
    assert done.raw == b""
    assert done.err.count("\n") == 1
    assert done.err.startswith("kadnet: ")
    for word in words:
        assert word in done.err


def bound() -> socket.socket:
    """A UDP port of ours on loopback."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made


def free_port() -> int:
    with bound() as made:
        return int(made.getsockname()[1])


def mistyped(id: str) -> str:
    """One letter changed."""
    return id[:20] + ("a" if id[20] != "a" else "b") + id[21:]


# ------------------------------------------------------------------------------------------------- what is mistyped


def test_one_wrong_letter_in_an_id_is_noticed(pair: tuple[Running, Running]) -> None:
    node, other = pair
    wrong = mistyped(other.id)
    refused(node("ping", wrong), "node ID is mistyped: its checksum does not match")
    refused(node("ping", f"kadnet://{wrong}@{other.host_port}"), "mistyped")
    refused(node("lookup", wrong), "mistyped")
    refused(node("get", f"{wrong}/page"), "mistyped")
    refused(node("put", f"{wrong}/page", "x"), "mistyped")
    refused(node("ping", other.id[:-1]), "55 characters")
    refused(node("ping", other.id[:30] + "1" + other.id[31:]), "'1' as character 31")
    assert node("ping", other.id.upper()).code == 0, "upper case is no mistake"


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("kadnet://{wrong}@127.0.0.1:7420", "mistyped"),
        ("kadnet://{id}@127.0.0.1:99999", "99999"),
        ("kadnet://{id}@127.0.0.1:no", "port"),
        ("kadnet://{id}@[::1:7420", "["),
        ("kadnet://127.0.0.1:7420", "@"),
        ("http://127.0.0.1:7420", "http"),
        ("ho st:7420", "ho st"),
        ("300.1.1.1:7420", "300.1.1.1"),
    ],
)
def test_an_address_is_refused_by_its_wrong_part_before_anything_is_made(
    node: Running, tmp_path: Path, address: str, part: str
) -> None:
    address = address.format(id=node.id, wrong=mistyped(node.id))
    folder = tmp_path / "new"
    refused(kadnet(folder, "run", "--listen", "127.0.0.1:0", "--bootstrap", address), part)
    assert not folder.exists()


@pytest.mark.parametrize("listen", ["127.0.0.1:70000", "localhost:7420", "127.0.0.1:", ":::"])
def test_a_wrong_listen_address_is_refused(tmp_path: Path, listen: str) -> None:
    refused(kadnet(tmp_path / "new", "run", "--listen", listen))
    assert not (tmp_path / "new").exists()


def test_a_command_or_option_that_is_not_there_is_a_mistake_of_usage(node: Running) -> None:
    refused(kadnet(None, "statsu"), "did you mean 'status'?")
    refused(node("status", "--jsn"), "--jsn")
    refused(node("get"), "missing argument")
    refused(node("put", "color", "-1.5"), "--")
    refused(node("put", "color"), "VALUE")
    refused(node("put", "color", "x", "--ttl", "0"), "ttl")
    refused(node("put", "color", "x", "--ttl", "99999999"), "99999999")


# ------------------------------------------------------------------------------------------------ values and names


def test_a_value_of_900_bytes_is_stored_and_one_more_is_refused_with_the_limit(node: Running, tmp_path: Path) -> None:
    assert node("put", "size", "x" * 900).code == 0
    assert node("get", "size").raw == b"x" * 900
    refused(node("put", "size", "x" * 901), "900 bytes")
    refused(node("put", "size", "ü" * 451), "900 bytes")
    (tmp_path / "big").write_bytes(bytes(1_000_000))
    refused(node("put", "blob:", "--file", str(tmp_path / "big")), "900 bytes")
    refused(node("put", "size", "--file", "-", stdin=b"x" * 901), "900 bytes")
    assert node("get", "size").raw == b"x" * 900, "what was there is there still"


def test_text_that_is_not_utf_8_is_refused_and_bytes_go_by_file(node: Running) -> None:
    refused(node("put", "bytes", b"\xff\xfe"), "the value is not UTF-8")
    refused(node("put", b"na\xffme", "x"), "the address is not UTF-8")
    refused(node("get", b"na\xffme"), "the address is not UTF-8")
    refused(node("ping", b"\xff:7420"), "not UTF-8")
    refused(node("lookup", b"\xff"), "not UTF-8")
    assert node("put", "bytes", "--file", "-", stdin=b"\xff\xfe").code == 0
    assert node("get", "bytes").raw == b"\xff\xfe"


def test_names_are_kept_to_their_rules(node: Running) -> None:
    assert node("put", "n" * 255, "long").code == 0
    refused(node("get", "n" * 256), "255")
    refused(node("get", f"a{EVIL}"), "control character")
    refused(node("get", "alice/page"), "name:alice/page")
    refused(node("get", "blob:12"), "blob")
    refused(node("get", ""), "name")


def test_a_file_that_cannot_be_read_is_named(node: Running, tmp_path: Path) -> None:
    refused(node("put", "color", "--file", str(tmp_path / "not-there")), "not-there", "No such file")
    refused(node("put", "color", "--file", str(tmp_path)), "directory")


# ----------------------------------------------------------------------------------------------- what a terminal sees


def on_a_terminal(node: Running, *words: str) -> bytes:
    """What a person would see."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(node.data_dir, *words),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm"),
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux says it so when the other side is closed
            break
        if not part:
            break
        seen += part
    os.close(ours)
    process.wait()
    return seen


def test_control_characters_of_a_value_never_reach_a_terminal(pair: tuple[Running, Running]) -> None:
    writer, reader = pair
    assert writer("put", "evil", EVIL).code == 0
    assert reader("get", "evil").raw == EVIL.encode(), "a program is given the bytes as they are"
    seen = on_a_terminal(reader, "get", "evil")
    assert b"owned" in seen
    for bad in (b"\x1b", b"\x07", b"\x9b", "\u202e".encode()):
        assert bad not in seen
    assert seen.startswith(b"\\x1b]0;owned\\x07\\x1b[2J\\x0d"), "what is left out is shown as an escape"
    assert reader("put", "evil", f"{EVIL} twice").code == 0
    listed = reader("get", "evil")
    assert listed.out.count("\n") == 2
    assert not set(EVIL[:1] + "\x07\x9b\u202e") & set(listed.out), "nor do lines of several values"
    assert "\x1b" not in on_a_terminal(reader, "get", "evil", "--json").decode()


def test_control_characters_that_were_typed_are_not_echoed(node: Running) -> None:
    for words in (("ping", f"{EVIL}:1"), ("lookup", EVIL), ("get", f"name:{EVIL}"), (EVIL,), ("status", f"--{EVIL}")):
        done = node(*words)
        assert done.code == 2
        assert not set("\x1b\x07\x9b\u202e\r") & set(done.err)


# ---------------------------------------------------------------------------------------------------- the data dir


def test_where_no_node_runs_each_command_says_how_to_start_one(tmp_path: Path) -> None:
    for words in ASKING:
        refused(kadnet(tmp_path, *words), f"no node runs on {tmp_path}", f"--data-dir {tmp_path} run", code=3)
    done = kadnet(tmp_path, "status", "--json")
    assert done.code == 3
    assert done.json["code"] == "no-node"
    assert list(tmp_path.iterdir()) == [], "asking makes nothing"


def test_a_node_that_was_killed_leaves_nothing_that_misleads(town: Town) -> None:
    node = town.start(town.folder("a"))
    node.kill()
    assert (node.data_dir / "control.sock").exists()
    refused(node("status"), "no node runs", code=3)
    again = town.start(node.data_dir)
    assert again.id == node.id
    assert again.status()["id"] == node.id


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def one_digit_off(path: Path) -> None:
    fields = json.loads(path.read_text())
    fields["seed"] = ("0" if fields["seed"][0] != "0" else "1") + fields["seed"][1:]
    path.write_text(json.dumps(fields))


def opened_to_all(path: Path) -> None:
    path.chmod(0o644)


def made_unreadable(path: Path) -> None:
    if os.geteuid():
        path.chmod(0)
    else:  # root reads everything but a link that leads to itself
        path.unlink()
        path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (truncated, "cut short"),
        (emptied, "is empty"),
        (one_digit_off, "do not belong together"),
        (opened_to_all, "open to other users"),
        (made_unreadable, "cannot be read"),
    ],
)
def test_an_identity_that_cannot_be_trusted_is_refused_and_left_alone(
    tmp_path: Path, harm: Callable[[Path], None], fault: str
) -> None:
    assert kadnet(tmp_path, "init").code == 0
    path = tmp_path / "identity.json"
    harm(path)
    before = path.lstat()
    seed_free = {"seed", "ed25519"}
    for words in (("run", "--listen", "127.0.0.1:0"), ("id",), ("init",)):
        done = kadnet(tmp_path, *words)
        refused(done, "identity.json", fault)
        assert not seed_free & set(done.err.split())
    after = path.lstat()
    assert (after.st_ino, after.st_size, after.st_mode, after.st_mtime_ns) == (
        before.st_ino,
        before.st_size,
        before.st_mode,
        before.st_mtime_ns,
    )
    assert sorted(item.name for item in tmp_path.iterdir()) == ["identity.json", "node.lock"]
    assert (tmp_path / "node.lock").read_bytes() == b"", "and the lock is free again"


def header_destroyed(path: Path) -> None:
    path.write_bytes(b"this is no database\n" * 400)


def inside_destroyed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = random.Random(7).randbytes(len(content) - 4096)
    path.write_bytes(content)


def cut_in_half(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 + 100)


@pytest.mark.parametrize("name", ["records.db", "peers.db"])
@pytest.mark.parametrize("harm", [header_destroyed, inside_destroyed, cut_in_half])
def test_a_damaged_cache_is_moved_aside_said_and_rebuilt(town: Town, name: str, harm: Callable[[Path], None]) -> None:
    folder = town.folder("a")
    node = town.start(folder)
    assert node("put", "me/page", "mine").code == 1, "nobody else is there to acknowledge it"
    assert node.end()[0] == 0
    harm(folder / name)
    damaged = (folder / name).read_bytes()
    again = town.start(folder)
    assert again.id == node.id
    assert f"{name} was damaged" in again.said()
    assert any(f"{name} was damaged" in note for note in again.status()["notes"])
    assert (folder / f"{name}.damaged").read_bytes() == damaged
    assert again("put", "me/other", "new").code == 1
    assert again("get", "me/other").out == "new"
    if name == "peers.db":
        assert again("get", "me/page").out == "mine"
    assert again.end()[0] == 0
    third = town.start(folder)
    assert "damaged" not in third.said(), "what was rebuilt is whole"
    assert third("get", "me/other").out == "new"


def test_a_data_dir_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refused(kadnet(tmp_path / "file", "run"), "not a folder")
    refused(kadnet(tmp_path / "file", "init"), "file")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "thesis.txt").write_text("x")
    (tmp_path / "shared").chmod(0o755)
    refused(kadnet(tmp_path / "shared", "run"), "open to other users")
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o755


def test_a_data_dir_in_use_is_refused_by_pid_and_its_node_serves_on(node: Running) -> None:
    refused(kadnet(node.data_dir, "run", "--listen", "127.0.0.1:0"), f"process {node.process.pid}", code=4)
    done = kadnet(node.data_dir, "run", "--json")
    assert done.code == 4
    assert done.json["pid"] == node.process.pid
    refused(kadnet(node.data_dir, "init"), node.id)
    assert node.status()["id"] == node.id


@pytest.mark.parametrize(
    ("text", "fault", "advice"),
    [
        ("[overlay]\nreplica = 4\n", "unknown name 'replica' in [overlay]", "did you mean 'replicas'?"),
        ("[overlays]\nreplicas = 4\n", "unknown section [overlays]", "did you mean 'overlay'?"),
        ("[overlay]\nreplicas = 0\n", "replicas must be 1 to 64, not 0", ""),
        ("[overlay]\nreplicas = '4'\n", "replicas in [overlay] must be a whole number", ""),
        ("[overlay\n", "config.toml", "line 1"),
        ("[overlay]\nbootstrap = ['nowhere']\n\x00", "config.toml", ""),
        ("[overlay]\nbootstrap = ['127.0.0.1:99999']\n", "99999", ""),
        ("[node]\nlisten = 'everywhere'\n", "everywhere", ""),
    ],
)
def test_a_mistake_in_config_toml_is_named(tmp_path: Path, text: str, fault: str, advice: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    refused(kadnet(tmp_path, "run"), fault, advice)


def test_a_config_toml_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe\x00")
    refused(kadnet(tmp_path, "run"), "config.toml", "UTF-8")


# ------------------------------------------------------------------------------------------------------ the network


def test_a_port_in_use_is_refused_by_name(tmp_path: Path) -> None:
    with bound() as taken:
        port = taken.getsockname()[1]
        refused(kadnet(tmp_path, "run", "--listen", f"127.0.0.1:{port}"), str(port), "in use", "--listen")
    refused(kadnet(tmp_path, "run", "--listen", "192.0.2.1:0"), "192.0.2.1")


def test_an_unreachable_bootstrap_is_named_and_joined_when_it_comes_up(town: Town) -> None:
    port = free_port()
    seed = f"127.0.0.1:{port}"
    node = town.start(town.folder("a"), bootstrap=[seed, "nowhere.invalid:7420"])

    def problems() -> dict[str, str]:
        states = node.status()["bootstrap"]
        return {s["address"]: s["problem"] for s in states if s["problem"] is not None}

    named = until(lambda: problems() if len(problems()) == 2 else {})
    assert f"127.0.0.1 port {port}" in named[seed]
    assert "nowhere.invalid" in named["nowhere.invalid:7420"]
    shown = node("status").out
    assert f"{seed}: no answer from 127.0.0.1 port {port}" in shown
    assert not node.status()["joined"]

    done = node("put", "waiting", "room", "--json")
    assert done.code == 1
    assert done.json["replicas"] == 0
    assert "no other node" in done.err
    assert node("get", "waiting").out == "room", "it is kept here"
    nobody = node("get", "unknown", "--json")
    assert nobody.code == 1
    assert nobody.json["code"] == "not-connected"

    late = town.start(town.folder("b"), listen=seed)
    until(lambda: node.status()["joined"])
    (state, _) = node.status()["bootstrap"]
    assert state["answered"]
    assert state["problem"] is None
    assert state["attempts"] > 1
    # What could not be stored is stored now, without being asked again.
    assert until(lambda: late.status()["records"])
    assert late("get", "waiting").out == "room"


def overheard(town: Town, target: Running) -> list[bytes]:
    """Datagrams that a real node sends to `target`, and its answers: they meet through a port of ours."""
    with bound() as middle:
        node = town.start(town.folder("talker"), bootstrap=[f"127.0.0.1:{middle.getsockname()[1]}"])
        heard: list[bytes] = []
        while len(heard) < 12 and select.select([middle], [], [], 5.0)[0]:
            data, source = middle.recvfrom(2048)
            heard.append(data)
            middle.sendto(data, ("127.0.0.1", target.port if source[1] == node.port else node.port))
        assert len(heard) >= 6
        node.kill()
    return heard


def mutated(real: list[bytes], rng: random.Random) -> bytes:
    data = bytearray(rng.choice(real))
    how = rng.randrange(5)
    if how == 0:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif how == 1:
        del data[rng.randrange(len(data)) :]
    elif how == 2:
        data += rng.randbytes(rng.randrange(1, 300))
    elif how == 3:
        start = rng.randrange(len(data))
        data[start : start + 16] = rng.randbytes(16)
    else:
        other = rng.choice(real)
        cut = rng.randrange(1, len(data))
        data[cut:] = other[cut:]
    return bytes(data)


def scribbled(rng: random.Random) -> bytes:
    data = bytearray(rng.randbytes(rng.choice((0, 1, 2, 50, 66, 82, 96, 98, 500, 1232, 1233, 1500, 9000))))
    if rng.random() < 0.7:
        data[:2] = bytes((0x6B, rng.choice((0x11, 0x12, 0x13, 0x14, 0x15))))[: len(data)]
    return bytes(data)


def test_any_datagram_at_all_is_dropped_and_counted_and_the_node_serves_on(town: Town) -> None:
    first, target = town.overlay(2)
    real = overheard(town, target)
    rng = random.Random(20_240_501)
    client = Client(target.data_dir)
    before = client.status().counters["rpc"]
    sent = 0
    with bound() as stranger:
        for _ in range(60):
            for _ in range(50):
                stranger.sendto(scribbled(rng), ("127.0.0.1", target.port))
                stranger.sendto(mutated(real, rng), ("127.0.0.1", target.port))
                sent += 2
            # One answer of the node for each batch: it has read what was sent, and none is lost in a full buffer.
            assert client.status().id == target.id
    assert sent == 6000
    until(lambda: target.status()["counters"]["rpc"]["datagrams_in"] >= before["datagrams_in"] + sent * 0.95)
    rpc = target.status()["counters"]["rpc"]
    dropped = sum(rpc["dropped"].values()) - sum(before["dropped"].values())
    assert dropped > sent * 0.9
    assert len(rpc["dropped"]) >= 4, "each kind of nonsense has its own reason"
    assert "dropped" in target("status").out
    assert next(iter(sorted(rpc["dropped"]))) in target("status").out
    assert first("put", "after", "the storm").code == 0
    assert target("get", "after").out == "the storm"
    assert target("ping", first.id).code == 0
    assert "error" not in target.said()
    assert len(target.said().splitlines()) < 10, "a stranger cannot fill the log"


# ---------------------------------------------------------------------------------------------------------- the form


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example(name: str) -> None:
    for flag in ("--help", "-h"):
        done = kadnet(None, name, flag)
        assert done.code == 0
        assert done.err == ""
    assert f"Usage: kadnet {name}" in done.out
    assert "Example:" in done.out
    assert f"kadnet {name}" in done.out.partition("Example:")[2] or "kadnet --data-dir" in done.out
    assert "--json" in done.out


def test_the_list_of_commands_is_whole() -> None:
    listed = kadnet(None, "--help").out.partition("Commands:")[2]
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2:3].isalpha()][
        : len(COMMANDS)
    ] == list(COMMANDS)


def test_answers_go_to_stdout_and_everything_else_to_stderr(node: Running, town: Town) -> None:
    done = node("put", "split", "x")
    assert (done.code, done.err) == (0, "")
    done = node("get", "split", "--stats")
    assert done.raw == b"x"
    assert "answered by" in done.err
    process, log = town.launch(town.folder("b"), "--listen", "127.0.0.1:0", "--json")
    ready = json.loads(first_line(process))
    assert set(ready) == {"event", "id", "address", "control"}
    assert ready["event"] == "ready"
    assert ready["control"] == str(town.folder("b") / "control.sock")
    process.terminate()
    rest, _ = process.communicate(timeout=10)
    assert rest == b"", "one line on stdout, the log on stderr"
    assert "serving" in log.read_text()


def test_an_output_that_nobody_reads_is_no_error_of_ours(node: Running) -> None:
    for words in (("peers",), ("get", "size"), ("status", "--json"), ("--help",)):
        reads, writes = os.pipe()
        os.close(reads)
        process = subprocess.Popen(
            command(node.data_dir, *words), stdout=writes, stderr=subprocess.PIPE, env=environment()
        )
        os.close(writes)
        _, err = process.communicate(timeout=30)
        assert b"Traceback" not in err
        assert b"Exception ignored" not in err
        assert process.returncode in (0, 1)


def test_a_full_disk_below_the_output_is_said(node: Running) -> None:
    with Path("/dev/full").open("wb") as full:
        process = subprocess.run(
            command(node.data_dir, "status"), stdout=full, stderr=subprocess.PIPE, env=environment(), check=False
        )
    assert process.returncode == 1
    assert b"Traceback" not in process.stderr
    assert b"cannot write the output" in process.stderr


# ----------------------------------------------------------------------------------------------------------- the end


def test_sigterm_ends_a_node_in_two_seconds_and_gives_everything_back(town: Town) -> None:
    first, node = town.overlay(2)
    port = node.port
    assert node("put", "me/page", "kept").code == 0
    # A command that waits for an answer must not hold up the end.
    with bound() as silent:
        waiting = subprocess.Popen(
            command(node.data_dir, "ping", f"kadnet://{first.id}@127.0.0.1:{silent.getsockname()[1]}"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        assert select.select([silent], [], [], 10.0)[0], "it is under way"
        code, seconds = node.end(signal.SIGTERM)
    assert code == 0
    assert seconds < 2.0
    _, err = waiting.communicate(timeout=20)
    assert waiting.returncode in (1, 3)
    assert b"Traceback" not in err
    assert not (node.data_dir / "control.sock").exists()
    assert (node.data_dir / "node.lock").read_bytes() == b""
    again = town.start(node.data_dir, listen=f"127.0.0.1:{port}")
    assert again.address == node.address
    assert again("get", "me/page").out == "kept"


def test_sigint_is_130(town: Town) -> None:
    node = town.start(town.folder("a"))
    code, seconds = node.end(signal.SIGINT)
    assert code == 130
    assert seconds < 2.0
    assert not (node.data_dir / "control.sock").exists()
    assert "stopping signal=SIGINT" in node.said()


def test_what_a_node_keeps_is_closed_to_others(node: Running) -> None:
    modes = {item.name: stat.S_IMODE(item.stat().st_mode) for item in node.data_dir.iterdir()}
    assert stat.S_IMODE(node.data_dir.stat().st_mode) == 0o700
    for name in ("identity.json", "control.sock", "records.db", "peers.db", "node.lock"):
        assert modes[name] & 0o077 == 0, name
