"""What `tidegate doctor` asks of a verifier before the first request does."""

from typing import Protocol, runtime_checkable

from tidegate.core.verification import Verifier


@runtime_checkable
class Checkable(Protocol):
    """A verifier that can tell whether it has what it needs."""

    def check(self) -> None:
        """Raises ConfigurationError if it has not."""
        ...


def check_verifier(verifier: Verifier) -> None:
    """Resolve the verifier's secrets as the first request would.

    Raises ConfigurationError that says which secret is missing or unusable. Verifiers of authors, which
    know no such check, pass.
    """
    if isinstance(verifier, Checkable):
        verifier.check()
