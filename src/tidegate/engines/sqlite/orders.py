"""Operations on their way through a transaction, and who waits for them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tidegate.core.errors import TidegateError
from tidegate.engines.sqlite.transaction import Transaction

ResultT = TypeVar("ResultT")


class NotBegunError(Exception):
    """The write lock was not to be had: nothing was tried. Stays inside this engine."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(eq=False, slots=True)
class Order(Generic[ResultT]):
    """An operation. `quick`: it may run in the event loop. `durable`: its effects must outlive a power failure."""

    operation: Callable[[Transaction], ResultT]
    future: asyncio.Future[ResultT]
    lost: Callable[[ResultT], None] | None
    quick: bool
    durable: bool
    outcome: tuple[ResultT] | Exception | None = None

    @property
    def done(self) -> bool:
        """True if it took place: it was neither refused nor given up."""
        return isinstance(self.outcome, tuple)

    def attempt(self, transaction: Transaction) -> None:
        """Run it. A refusal (TidegateError) is an outcome; anything else is raised and undoes the batch."""
        try:
            self.outcome = (self.operation(transaction),)
        except TidegateError as refusal:
            self.outcome = refusal

    def tell(self) -> None:
        """Give the outcome to who waits for it, or a result that nobody waits for to `lost`."""
        match self.outcome:
            case (result,):
                if not self.future.done():
                    self.future.set_result(result)
                elif self.lost is not None:
                    self.lost(result)
            case Exception() as error:
                if not self.future.done():
                    self.future.set_exception(error)
            case _:
                pass
