"""Keeps the last used of many items open, such as files or decoded images."""

import collections
import os
import threading
import weakref


class RecentItems:
    """Opens items on demand, and keeps the last used ones within a total size.

    Several threads may use it; no two of them open the same item. A forked process opens items of
    its own, because it would share the positions of open files with its parent.

    Args:
        load: function from a key to an item.
        size: function from an item to its size.
        limit: number, the total size of all items; a single larger item is kept, too.
    """

    def __init__(self, load, size, limit):
        self._load, self._size, self._limit = load, size, limit
        self.clear()
        _ALL.add(self)

    def clear(self):
        """Forgets all items."""
        self._lock = threading.Lock()
        self._slots = collections.OrderedDict()  # by key, the last used one last

    def keys(self):
        """The keys of all items, the last used one last."""
        with self._lock:
            return list(self._slots)

    def __call__(self, key):
        """Returns the item of a key; raises the error of `load` if it cannot be opened."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
        with slot.lock:
            if slot.item is None:
                slot.item = self._load(key)
        with self._lock:
            taken = sum(self._size(s.item) for s in self._slots.values() if s.item is not None)
            for other in [*self._slots][:-1]:
                item = self._slots[other].item
                if taken > self._limit and other != key and item is not None:
                    del self._slots[other]
                    taken -= self._size(item)
        return slot.item


class _Slot:
    """An open item, and the lock under which it is opened."""

    def __init__(self):
        self.lock = threading.Lock()
        self.item = None


_INHERITED: list = []
_ALL: weakref.WeakSet[RecentItems] = weakref.WeakSet()


def _clear_all():
    for items in [*_ALL]:
        # The parent's items stay referenced: to close a video waits for threads that a fork lacks.
        _INHERITED.append(items._slots)
        items.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_clear_all)
