from pathlib import Path

import pytest

from tests import vectorfile


def test_what_is_written_reads_back_and_the_prose_stays(tmp_path: Path) -> None:
    made = [{"seed": "00ff", "message": "", "hex": "ab" * 70}, {"what": "a: b", "hex": ""}]
    (tmp_path / "some.txt").write_text("## Prose.\n## More.\n\n# old: 1\n00\n", encoding="utf-8")
    vectorfile.dump("some", made, tmp_path)
    assert vectorfile.load("some", tmp_path) == made
    assert (tmp_path / "some.txt").read_text(encoding="utf-8").startswith("## Prose.\n## More.\n\n# seed: 00ff\n")


@pytest.mark.parametrize(
    "text", ["# a: 1\n# a: 2\n00\n", "# no colon\n00\n", "# a: 1\n0\n", "# a: 1\nxy\n", "# hex: 1\n00\n"]
)
def test_a_malformed_vector_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        vectorfile.parse(text)


def test_a_file_without_vectors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.txt").write_text("## Prose alone.\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no vectors"):
        vectorfile.load("none", tmp_path)
