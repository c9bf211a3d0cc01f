"""Random bits for names: not for secrets."""

import os
from random import Random

# Not the generator that the module `random` shares: an author who seeds that one would have ids come again.
_generator = Random()  # noqa: S311 - names are no secrets
os.register_at_fork(after_in_child=_generator.seed)


def random_bits(count: int) -> int:
    """So many random bits, seeded by the system in every process, without a call of the system for each."""
    return _generator.getrandbits(count)
