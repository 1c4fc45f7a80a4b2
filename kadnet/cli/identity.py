"""`init`, `id`, `version`: what can be said of a data directory with no node running on it."""

from __future__ import annotations

import os
import platform
import shlex
import time

from kadnet.cli.common import Request, say, say_json, verb
from kadnet.errors import DataDirError, IdentityMissing
from kadnet.identity.text import printable
from kadnet.version import VERSION


@verb("init", example="kadnet --data-dir ./alice init")
def init(request: Request) -> None:
    """Create an identity in the data directory, and print its ID.

    The ID is the node's name for good: keep identity.json safe. One that exists is never overwritten. `kadnet run`
    does this too when there is none yet.
    """
    from kadnet.datadir import create_identity, open_datadir, read_public_id
    from kadnet.identity import nodeid

    path = request.data_dir
    try:
        existing = nodeid.encode(read_public_id(path))
    except IdentityMissing:
        pass
    else:
        raise DataDirError(f"there is an identity already: {existing}", hint="name another --data-dir for a second one")
    with open_datadir(path, time.time()) as held:
        identity = create_identity(held.path, os.urandom(32))
        text = nodeid.encode(identity.public)
        if request.as_json:
            say_json({"id": text, "data_dir": str(held.path)})
        else:
            say(text)


@verb("id", example="kadnet id")
def show_id(request: Request) -> None:
    """Print the ID of the data directory's node; it need not run."""
    from kadnet.datadir import read_public_id
    from kadnet.identity import nodeid

    try:
        text = nodeid.encode(read_public_id(request.data_dir))
    except IdentityMissing as error:
        if request.named is not None:
            shown = printable(shlex.quote(str(request.named)), 300)
            error.hint = f"create one with: kadnet --data-dir {shown} init"
        raise
    if request.as_json:
        say_json({"id": text})
    else:
        say(text)


@verb("version", example="kadnet version")
def version(request: Request) -> None:
    """Print the version."""
    if request.as_json:
        say_json({"version": VERSION, "python": platform.python_version()})
    else:
        say(f"kadnet {VERSION}")
