"""Token buckets, one a key, in bounded memory: the keys least recently seen are forgotten first."""

import math
from collections import OrderedDict

from tidegate.ingress.limits import RateLimit

_MOST_KEYS = 50_000


class TokenBuckets:
    """The buckets of one limit. `now` is monotonic seconds, from the caller's clock."""

    def __init__(self, limit: RateLimit, most_keys: int = _MOST_KEYS) -> None:
        self._limit = limit
        self._most_keys = most_keys
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now: float) -> int:
        """Take a token: 0 if there was one, else the whole seconds until there is."""
        tokens, seen = self._buckets.get(key, (self._limit.burst, now))
        tokens = min(tokens + (now - seen) * self._limit.per_second, self._limit.burst)
        wait = 0
        if tokens >= 1:
            tokens -= 1
        else:
            wait = max(math.ceil((1 - tokens) / self._limit.per_second), 1)
        self._buckets[key] = (tokens, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._most_keys:
            self._buckets.popitem(last=False)
        return wait
