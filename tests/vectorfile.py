"""Vector files: `tests/vectors/<name>.txt`, bytes that must not change, with what they were made from.

    ## Prose for the reader.

    # seed: 9d61b19d...
    # what: public key
    d75a9801...
    f707511a

A vector is a block between blank lines: its inputs as `# name: value`, above its bytes in hex, in as many lines as
they need. Lines with two `#` are prose; the file opens with some, and rewriting keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "vectors"
_WIDTH = 64
Vector = Mapping[str, str]


def load(name: str, folder: Path = FOLDER) -> list[dict[str, str]]:
    """The vectors of a file: each its inputs as they stand there, and its bytes under "hex". ValueError if bad."""
    path = folder / f"{name}.txt"
    vectors = parse(path.read_text(encoding="utf-8"))
    if not vectors:
        raise ValueError(f"{path.name} holds no vectors")
    return vectors


def parse(text: str) -> list[dict[str, str]]:
    """The vectors in the text of a file."""
    vectors: list[dict[str, str]] = []
    for block in text.split("\n\n"):
        lines = [line.strip() for line in block.splitlines() if line.strip() and not line.startswith("##")]
        if not lines:
            continue
        vector: dict[str, str] = {}
        for line in (line for line in lines if line.startswith("#")):
            name, colon, value = line[1:].partition(":")
            if not colon or name.strip() in vector or name.strip() == "hex":
                raise ValueError(f"not '# name: value', or a name twice: {line!r}")
            vector[name.strip()] = value.strip()
        vector["hex"] = "".join(line for line in lines if not line.startswith("#"))
        bytes.fromhex(vector["hex"])
        vectors.append(vector)
    return vectors


def dump(name: str, vectors: Iterable[Vector], folder: Path = FOLDER) -> None:
    """Write a file of these vectors. The prose it had at its head stays."""
    path = folder / f"{name}.txt"
    prose: list[str] = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith("##"):
                break
            prose.append(line)
    blocks = ["\n".join(prose)] if prose else []
    for vector in vectors:
        lines = [f"# {key}: {value}".rstrip() for key, value in vector.items() if key != "hex"]
        digits = vector["hex"]
        lines += [digits[at : at + _WIDTH] for at in range(0, len(digits), _WIDTH)]
        blocks.append("\n".join(lines))
    path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
