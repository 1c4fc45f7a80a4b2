"""The routing table as a drawing: bucket by bucket, who stands in it and how each contact fares.

Family by family; buckets with nobody in them are told as one range. Lines out, nothing printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

from kadnet.cli.page import Page, fitted
from kadnet.cli.render import SHORT, age, counted, place, rtt
from kadnet.shapes import Bucket, Peer

_PLACES: Final = 16  # in a bucket, for the width of the bars
_LAST: Final = 255  # the deepest bucket there can be
_HEAD: Final = ("  id", "address", "known", "answered", "rtt", "credit")
_RIGHT: Final = "llrrrr"
_ADDRESSES: Final = 1
_INDENT: Final = 6


def table(found: Sequence[Bucket], wall: float, page: Page) -> list[str]:
    """Every bucket with its contacts, and a line that sums up. `wall`: now, Unix seconds."""
    if not found:
        return ["the routing table is empty"]
    found = sorted(found, key=lambda bucket: (bucket.family, bucket.index))
    inner = Page(None if page.width is None else max(1, page.width - _INDENT), page.plain)
    rows = [_HEAD, *(_cells(peer, wall) for bucket in found for peer in bucket.entries)]
    head, *contacts = [" " * _INDENT + line for line in fitted(rows, _RIGHT, inner, _ADDRESSES)]
    lines: list[str] = []
    for family in sorted({bucket.family for bucket in found}):
        lines += [f"IPv{family}", head]
        beyond = 0
        for bucket in found:
            if bucket.family != family:
                continue
            lines += _empty(beyond, bucket.index - 1)
            lines.append(_line(bucket))
            lines += contacts[: len(bucket.entries)]
            del contacts[: len(bucket.entries)]
            beyond = bucket.index + 1
        lines += _empty(beyond, _LAST)
    return [page.cut(line) for line in (*lines, _sum(found))]


def _cells(peer: Peer, wall: float) -> tuple[str, ...]:
    return (
        f"{_mark(peer)} {peer.id[:SHORT]}",
        place(peer.address),
        age(wall - peer.added_at),
        f"{age(wall - peer.answered_at)} ago",
        rtt(peer.rtt_ms),
        str(peer.checks),
    )


def _mark(peer: Peer) -> str:
    return "+" if peer.fast else "="


def _line(bucket: Bucket) -> str:
    bar = "".join(_mark(peer) for peer in bucket.entries)
    waiting = f", {len(bucket.replacements)} waiting" if bucket.replacements else ""
    return f"{bucket.index:>4}  |{bar:.<{_PLACES}}|  {counted(len(bucket.entries), 'node')}{waiting}"


def _empty(first: int, last: int) -> list[str]:
    if first > last:
        return []
    return [f"{first:>4}  empty" if first == last else f"{first:>4} to {last}  empty"]


def _sum(found: Sequence[Bucket]) -> str:
    entries = [peer for bucket in found for peer in bucket.entries]
    waiting = sum(len(bucket.replacements) for bucket in found)
    times = [peer.rtt_ms for peer in entries if peer.rtt_ms is not None]
    return (
        f"{counted(len(entries), 'node')} in {counted(len(found), 'bucket')}, {waiting} waiting; "
        f"median rtt {rtt(median(times) if times else None)}"
    )
