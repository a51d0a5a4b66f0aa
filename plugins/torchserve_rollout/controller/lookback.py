"""What `/metrics` counted in the last minutes, whether or not a rollout ran: how stable did before the start."""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime, timedelta
from functools import reduce
from operator import add
from typing import Final

from torchserve_rollout.clock import Clock
from torchserve_rollout.signals.scrape import Increments, Scraper

SPAN: Final = timedelta(minutes=5)
PAUSE_S: Final = 5.0


class Lookback:
    """Looks at leisure and forgets after ``SPAN``. Thread-safe. Only our own series: no spec has named others yet."""

    def __init__(self, scraper: Scraper, clock: Clock) -> None:
        self._scraper = scraper
        self._clock = clock
        self._looks: deque[tuple[datetime, Increments]] = deque()
        self._lock = threading.Lock()

    def look(self) -> None:
        """One look at every node; those that do not answer are left out."""
        grown = self._scraper.scrape().increments
        now = self._clock.now()
        with self._lock:
            # With what stood still, as histograms need all their buckets; gauges tell of now only.
            self._looks.append((now, Increments(grown.values)))
            while self._looks[0][0] < now - SPAN:
                self._looks.popleft()

    def seen(self) -> Increments:
        """All that grew in the last minutes."""
        with self._lock:
            looks = [increments for _, increments in self._looks]
        return reduce(add, looks, Increments())

    def close(self) -> None:
        """Let go of threads."""
        self._scraper.close()
