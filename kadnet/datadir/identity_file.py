"""`identity.json`: the seed of a node's key, on disk once and for good.

    {"version": 1, "type": "ed25519", "id": "<56 characters>", "seed": "<64 hex digits>"}

Losing it loses the name, so it is written whole or not at all, never over another one, and a file that is there but
cannot be trusted is an error to be looked at, never a reason to make a new one. No error shows its content.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import NoReturn

from kadnet.errors import DataDirError, IdentityDamaged, IdentityMissing, InputError, StorageFailed
from kadnet.identity import nodeid
from kadnet.identity.keys import SEED_BYTES, Identity
from kadnet.identity.text import printable

IDENTITY_NAME = "identity.json"
VERSION = 1
TYPE = "ed25519"
_SIZE_LIMIT = 4096  # twenty times what we write: room for an editor's indentation, not for a mistake
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def load_identity(data_dir: Path) -> Identity:
    """The identity of a data directory, with or without its lock. Reads only.

    Raises IdentityMissing when there is none, IdentityDamaged (one line, naming the file and the fault) when there is
    one that cannot be read, is open to other users, or is not what `create_identity` wrote.
    """
    path = data_dir / IDENTITY_NAME
    return _parse(path, _read(path))


def read_public_id(data_dir: Path) -> bytes:
    """The node ID (32 bytes) of a data directory; errors as of `load_identity`. For commands that only show it."""
    return load_identity(data_dir).public


def create_identity(data_dir: Path, seed: bytes) -> Identity:
    """Write the identity of `seed` (32 bytes of entropy) into an existing data directory, mode 0600, and return it.

    Of two at once one wins. Raises DataDirError when something of that name is there, however damaged, and
    StorageFailed when the disk does not take it; nothing is left behind then.
    """
    identity = Identity.from_seed(seed)
    path = data_dir / IDENTITY_NAME
    fields = {"version": VERSION, "type": TYPE, "id": nodeid.encode(identity.public), "seed": seed.hex()}
    try:
        _write_new(path, (json.dumps(fields, indent=2) + "\n").encode())
    except FileExistsError:
        raise DataDirError(
            f"{_shown(path)} exists already, and an identity is never overwritten", hint="name another --data-dir"
        ) from None
    except OSError as error:
        raise StorageFailed(f"cannot write {_shown(path)}: {error.strerror}") from error
    return identity


def _write_new(path: Path, content: bytes) -> None:
    """Make `path` with `content`, whole and on the disk, or raise OSError (FileExistsError when it exists)."""
    fd, temporary = tempfile.mkstemp(prefix=".identity.", suffix=".tmp", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # unlike rename it fails when the name is taken
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            # A file system without hard links: whoever makes the name may rename over it.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _shown(path: Path) -> str:
    return printable(str(path), 300)


def _damaged(path: Path, fault: str, *, hint: str | None = None) -> NoReturn:
    raise IdentityDamaged(f"{_shown(path)} {fault}", hint=hint) from None  # a cause might carry the seed into a log


def _read(path: Path) -> bytes:
    """The bytes of the file, once it is a plain file that belongs to us alone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)  # a pipe of that name must not hang us
    except FileNotFoundError:
        if os.path.lexists(path):
            _damaged(path, "is a link to nowhere")
        raise IdentityMissing(f"data directory {_shown(path.parent)} has no identity") from None
    except NotADirectoryError:
        raise DataDirError(f"{_shown(path.parent)} is not a folder", hint="name another --data-dir") from None
    except OSError as error:
        _damaged(path, f"cannot be read: {error.strerror}")
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            _damaged(path, "is not a plain file")
        if found.st_uid not in (os.geteuid(), 0):
            _damaged(path, f"belongs to another user (uid {found.st_uid})", hint="its owner alone can use it")
        if found.st_mode & 0o077:
            _damaged(
                path,
                f"is open to other users (mode {stat.S_IMODE(found.st_mode):04o})",
                hint=f"if nobody has read it: chmod 600 {_shown(path)}",
            )
        if found.st_size > _SIZE_LIMIT:
            _damaged(path, f"has {found.st_size} bytes, far more than an identity needs")
        return os.read(fd, _SIZE_LIMIT)
    except OSError as error:
        _damaged(path, f"cannot be read: {error.strerror}")
    finally:
        os.close(fd)


def _parse(path: Path, content: bytes) -> Identity:
    if not content.strip():
        _damaged(path, "is empty")
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        _damaged(path, "is not JSON, or is cut short")
    if not isinstance(fields, dict):
        _damaged(path, "is not a JSON object")
    for name, kind in (("version", int), ("type", str), ("id", str), ("seed", str)):
        if name not in fields:
            _damaged(path, f"has no {name!r}")
        if type(fields[name]) is not kind:
            _damaged(path, f"has a wrong {name!r}: it is to be {'a number' if kind is int else 'a string'}")
    if fields["version"] != VERSION:
        _damaged(path, f"is of version {fields['version']}, and this kadnet reads version {VERSION}")
    if fields["type"] != TYPE:
        _damaged(path, f"has the type '{printable(fields['type'], 40)}', not '{TYPE}'")
    return _match(path, fields["id"], fields["seed"])


def _match(path: Path, id_text: str, seed_text: str) -> Identity:
    try:
        seed = bytes.fromhex(seed_text)
    except ValueError:
        _damaged(path, "has a wrong 'seed': it is not hexadecimal")
    if len(seed_text) != 2 * SEED_BYTES or len(seed) != SEED_BYTES:
        _damaged(path, f"has a wrong 'seed': {len(seed_text)} characters, and it needs {2 * SEED_BYTES}")
    try:
        public = nodeid.decode(id_text)
    except InputError as error:
        _damaged(path, f"has a wrong 'id': {error}")
    identity = Identity.from_seed(seed)
    if identity.public != public:
        _damaged(path, "has an 'id' and a 'seed' that do not belong together")
    return identity
