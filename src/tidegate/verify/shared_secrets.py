"""Shared secrets: given as text, bytes or a callable, read once, never shown. Without one, nothing verifies."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from tidegate.core.errors import ConfigurationError, TidegateError

SecretSource: TypeAlias = str | bytes | Callable[[], str | bytes | None]
"""A secret, or a callable that reads it when the first request comes (from `integration.config`, say)."""

Secret: TypeAlias = SecretSource | Sequence[SecretSource] | None
"""One secret, or several that are all accepted, which is how a secret is rotated. None and "" are refused."""


def text_bytes(secret: str | bytes) -> bytes:
    """The secret itself: text as UTF-8, with undecodable bytes of the environment restored."""
    return secret if isinstance(secret, bytes) else secret.encode("utf-8", "surrogateescape")


class Secrets:
    """The active secrets of one verifier, as the keys that are made of them.

    `argument` names them in errors ("github(secret=…)"). `derive` makes the key of a secret and raises
    ValueError if it cannot; its message must not quote the secret. Secrets that are at hand are checked at
    once; those behind callables when they are first needed.
    """

    __slots__ = ("_argument", "_derive", "_keys", "_sources")

    def __init__(
        self, argument: str, secret: Secret, derive: Callable[[str | bytes], bytes] = text_bytes
    ) -> None:
        """Raises ConfigurationError for a secret that is None, empty or cannot be used."""
        self._argument = argument
        self._derive = derive
        self._sources = _listed(secret)
        self._keys: tuple[bytes, ...] | None = None
        if not self._sources or not all(self._sources):
            raise ConfigurationError(
                f"{argument} is empty. Without a secret nobody could be told from the real sender: "
                "pass the sender's secret, or a callable that reads it from the configuration"
            )
        if not any(callable(source) for source in self._sources):
            self.resolve()

    def __repr__(self) -> str:
        return f"Secrets({self._argument}, ***)"

    def resolve(self) -> tuple[bytes, ...]:
        """The keys, at least one. Raises ConfigurationError if none can be had now; asked again next time."""
        if self._keys is None:
            given = [secret for secret in map(self._read, self._sources) if secret]
            if not given:
                raise ConfigurationError(
                    f"{self._argument} is a callable that gave nothing: set the value that it reads. "
                    "Until then every request is refused"
                )
            self._keys = tuple(map(self._derived, given))
        return self._keys

    def _read(self, source: SecretSource) -> str | bytes | None:
        if not callable(source):
            return source
        try:
            return source()
        except (LookupError, TidegateError) as error:
            # These name the setting that is missing; the text of any other error might quote a secret.
            raise ConfigurationError(f"{self._argument} cannot be read: {error}") from error
        except Exception as error:
            raise ConfigurationError(
                f"{self._argument} cannot be read: its callable raised {type(error).__name__}"
            ) from error

    def _derived(self, secret: str | bytes) -> bytes:
        if isinstance(secret, str) and secret.endswith(("\n", "\r")):
            raise ConfigurationError(
                f"{self._argument} ends with a line break, which a sender's secret never does: "
                "was it read from a file? Strip it"
            )
        try:
            return self._derive(secret)
        except ValueError as error:
            raise ConfigurationError(f"{self._argument} cannot be used: {error}") from None


def _listed(secret: Secret) -> tuple[SecretSource, ...]:
    if secret is None:
        return ()
    if isinstance(secret, (str, bytes)) or callable(secret):
        return (secret,)
    return tuple(secret)
