"""A service of several processes: any of them is killed, at any moment, and the parent is left alone."""

import signal
import time

from faults.trial import Reckoning, trial

RATE = 50.0
RESOURCES = 40
KILLS = 100
CHILDREN = ("worker-1", "worker-2", "worker-3", "ingress-1", "admin")


def kill_children(seed: int, scale: float) -> Reckoning:
    """Kill -9 of one of five children, chosen by chance."""
    with trial("kill -9 of a child, 3 workers", seed, processes=3, latency_seconds=(0.0, 0.1)) as t:
        began = time.monotonic()
        kills = max(5, round(KILLS * scale))
        t.killed_at_random = True
        driving = t.drive(round(RATE * kills / 2), RATE, RESOURCES)
        while t.tried < kills:
            t.pause(t.rng.uniform(0.05, 0.6))
            victim = t.service.find_child(t.rng.choice(CHILDREN))
            if victim is not None:
                t.service.signal(victim, signal.SIGKILL)
                t.tried += 1
        driving.result()
        return t.reckon(began)
