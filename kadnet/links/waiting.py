"""What waits to be sent to one peer, in its order. How much may wait is bounded by whoever puts it here."""

from __future__ import annotations

from collections import OrderedDict

from kadnet.links.facts import Item


class Waiting:
    """Items with their sizes in bytes. Every operation costs the same however many there are."""

    __slots__ = ("_items", "size")

    def __init__(self) -> None:
        self._items: OrderedDict[Item, int] = OrderedDict()
        self.size = 0
        """Bytes of all of them."""

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item, size: int) -> None:
        """ValueError when it waits already."""
        if item in self._items:
            raise ValueError("this item is queued already")
        self._items[item] = size
        self.size += size

    def remove(self, item: Item) -> bool:
        """False when it does not wait."""
        size = self._items.pop(item, None)
        if size is None:
            return False
        self.size -= size
        return True

    def take(self, items: int, size: int) -> list[Item]:
        """The next batch: up to `items` of up to `size` bytes together, but one however large it is."""
        batch: list[Item] = []
        waiting = self._items
        while waiting and len(batch) < items:
            item = next(iter(waiting))
            size -= waiting[item]
            if size < 0 and batch:
                break
            self.size -= waiting.pop(item)
            batch.append(item)
        return batch

    def take_all(self) -> list[Item]:
        batch = list(self._items)
        self._items.clear()
        self.size = 0
        return batch
