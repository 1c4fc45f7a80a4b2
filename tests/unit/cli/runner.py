"""The command line in this process: in a thread while a fake node serves, or by itself."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from click.testing import CliRunner, Result

from kadnet.cli.main import kadnet
from kadnet.runtime import real_runtime


def typed(
    *words: str, data_dir: Path | None = None, stdin: bytes | IO[bytes] | None = None, encoding: str = "utf-8"
) -> Result:
    """What `kadnet WORDS` does, on a terminal of that encoding."""
    before = () if data_dir is None else ("--data-dir", str(data_dir))
    return CliRunner(charset=encoding).invoke(kadnet, [*before, *words], input=stdin)


async def asked(data_dir: Path, *words: str, stdin: bytes | IO[bytes] | None = None, encoding: str = "utf-8") -> Result:
    """The same beside a running loop."""
    return await real_runtime().offload(lambda: typed(*words, data_dir=data_dir, stdin=stdin, encoding=encoding))
