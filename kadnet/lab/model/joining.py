"""What every strategy does while it joins: knock at the doors it was given, and walk to many places at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kadnet.kademlia.contact import Contact
from kadnet.lab.model.world import Finding

Answered = Callable[..., object]
Failed = Callable[[], object]


def knock(
    doors: list[Contact],
    ask: Callable[[Contact, Answered, Failed], object],
    begin: Callable[[], object],
    again: Callable[[], object],
) -> None:
    """Ask all doors: `begin()` at the first answer, `again()` when none of them has answered."""
    begun = False
    left = len(doors)

    def met(*_answer: object) -> None:
        nonlocal begun
        if not begun:
            begun = True
            begin()

    def missed() -> None:
        nonlocal left
        left -= 1
        if not left and not begun:
            again()

    for contact in doors:
        ask(contact, met, missed)


def walk_to_all(
    targets: Iterable[int],
    walk: Callable[[int, Callable[[Finding], object]], object],
    done: Callable[[], object] | None,
) -> None:
    """Walk to all targets at once: `done()` when the last walk has ended."""
    places = list(targets)
    left = len(places)

    def ended(_found: Finding) -> None:
        nonlocal left
        left -= 1
        if not left and done is not None:
            done()

    for target in places:
        walk(target, ended)
    if not places and done is not None:
        done()
