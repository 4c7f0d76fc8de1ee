"""Files of a source that could not be read, and why."""

import threading

from absl import logging


class UnreadableFiles:
    """Names and reasons; the first three are logged at once. Threads may add to it."""

    def __init__(self):
        self._lock = threading.Lock()
        self._found = {}
        self._logged = 0

    def add(self, name, reason):
        """Remembers a file, once."""
        with self._lock:
            if name not in self._found and self._logged < 3:
                self._logged += 1
                more = " (ReportUnreadable counts them all)" if self._logged == 3 else ""
                logging.warning(
                    "%s cannot be read: %s. In training another image stands in, in evaluation it "
                    "is left out%s",
                    name,
                    reason,
                    more,
                )
            self._found[name] = reason

    def taken(self):
        """What was added since this was last asked: list of pairs (name, reason)."""
        with self._lock:
            found, self._found = self._found, {}
        return list(found.items())
