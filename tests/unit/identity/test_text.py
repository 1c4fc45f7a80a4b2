import pytest

from kadnet.identity.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain text", "plain text"),
        ("Grüße, 世界, שלום", "Grüße, 世界, שלום"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\r\tc\x00\x7f\x9b", r"a\x0ab\x0d\x09c\x00\x7f\x9b"),
        ("safe\u202eexe.txt", r"safe\u202eexe.txt"),  # shown as txt.exe
        ("\u2066\u2069\u200f\ufeff\u200b", r"\u2066\u2069\u200f\ufeff\u200b"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\ud800", r"\ud800"),
        ("\U000e0041\U0010ffff", r"\U000e0041\U0010ffff"),
        ("\u0378", r"\u0378"),  # unassigned
        ("\ue000", r"\ue000"),  # private use
        ("می\u200cخواهم", "می\u200cخواهم"),  # Persian is not spelled without its non-joiner
        ("全角\u3000空白", "全角\u3000空白"),
    ],
)
def test_what_would_move_a_terminal_is_escaped_and_the_rest_stays(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_text_ends_in_an_ellipsis_at_the_limit() -> None:
    assert printable("a" * 200) == "a" * 200
    assert printable("a" * 201) == "a" * 199 + "…"
    assert printable("abcdef", 3) == "ab…"
    assert printable("abc", 1) == "…"


def test_no_escape_is_cut_in_half() -> None:
    assert printable("ab\x1b", 6) == r"ab\x1b"
    assert printable("ab\x1bc", 6) == "ab…"
    assert printable("a\x1bcd", 6) == r"a\x1b…"


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        printable("a", 0)
