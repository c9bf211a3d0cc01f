"""What becomes of a run whose attempt raised: another attempt, back undecided, or dead."""

from collections.abc import Callable
from datetime import datetime

from tidegate.authoring import AbstractWebhookProcessor
from tidegate.authoring.transient import error_headers, error_status
from tidegate.core.errors import RetryableError, UnavailableError
from tidegate.core.retry import jittered, retry_delay_seconds
from tidegate.core.runs import Dead, EntityWrite, Released, Retry, RunClaim, Trail
from tidegate.fetch.retry_after import retry_after_seconds

UNAVAILABLE_DELAY_SECONDS = 1.0
"""How long a run waits that met an outage which does not say how long it lasts."""

MAX_ERROR_CHARACTERS = 2000


def describe(error: BaseException) -> str:
    """The error in one line, for records and logs: its type and message, bounded."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {text}"[:MAX_ERROR_CHARACTERS] if text else name


def settle_failure(
    error: Exception,
    processor: AbstractWebhookProcessor,
    claim: RunClaim,
    trail: Trail,
    now: datetime,
    uniform: Callable[[], float],
    writes: tuple[EntityWrite, ...] = (),
) -> Retry | Released | Dead:
    """Decide by the kind of error, the processor's own rules, and the failures behind the run.

    An outage of something Tidegate depends on burns no attempt. The author's `should_retry` and
    `calculate_retry_delay` decide the rest; an error inside those makes the run dead, and says so.
    """
    wait = _asked_wait(error, now)
    if isinstance(error, UnavailableError):
        nominal = UNAVAILABLE_DELAY_SECONDS if wait is None else 0.0
        delay = retry_delay_seconds(nominal, wait, uniform)
        return Released(delay, describe(error), trail, waits_for=error.host)
    processor.retry_count = claim.failures + 1
    try:
        if not processor.should_retry(error):
            return Dead(describe(error), writes=writes, trail=trail)
        if claim.failures >= processor.max_retries:
            tries = claim.failures + 1
            return Dead(f"gave up after {tries} attempts: {describe(error)}", writes=writes, trail=trail)
        delay = retry_delay_seconds(processor.calculate_retry_delay(), wait, uniform)
    except Exception as broken:  # noqa: BLE001 - an author's code may raise anything
        return Dead(
            f"{describe(error)}; and deciding on a retry raised {describe(broken)}",
            writes=writes,
            trail=trail,
        )
    return Retry(delay, describe(error), writes=writes, trail=trail)


def settle_unloaded(
    error: BaseException,
    processor: type[AbstractWebhookProcessor],
    claim: RunClaim,
    trail: Trail,
    uniform: Callable[[], float],
) -> Retry | Dead:
    """For a processor that could not be made, or could not say whether it wants the event: any error may pass."""
    if claim.failures >= processor.max_retries:
        return Dead(f"gave up after {claim.failures + 1} attempts: {describe(error)}", trail=trail)
    nominal = processor.retry_policy().nominal_delay_seconds(claim.failures + 1)
    return Retry(jittered(nominal, uniform), describe(error), trail=trail)


def _asked_wait(error: Exception, now: datetime) -> float | None:
    if isinstance(error, RetryableError):
        return error.retry_after_seconds
    status = error_status(error)
    return None if status is None else retry_after_seconds(status, error_headers(error), now)
