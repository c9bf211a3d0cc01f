"""The application that faces the internet: webhooks on /integration/<path>, /healthz and /readyz."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tidegate.core.ports import Clock
from tidegate.core.signals import EventRefused, Telemetry
from tidegate.core.traces import NO_TRACING, Tracing
from tidegate.ingress.answers import Answer, Refusal, json_answer, plain_answer
from tidegate.ingress.bodies import BodyMemory, IncomingBody, SenderGoneError
from tidegate.ingress.exchanges import Connection, RequestHead
from tidegate.ingress.limits import IngressLimits, RateLimit
from tidegate.ingress.policy import PathPolicy
from tidegate.ingress.rates import TokenBuckets
from tidegate.ingress.receiving import EventStore, Reception, challenge_answer
from tidegate.ingress.requests import Request, read_request
from tidegate.ingress.senders import address_key, is_within, parse_address
from tidegate.ingress.verifying import challenge_in
from tidegate.ingress.webhooks import WebhookExchange

PREFIX = "/integration"
WEBHOOK_METHODS = "POST, HEAD, OPTIONS"
HEALTH_METHODS = "GET, HEAD"

_log = logging.getLogger(__name__)


def always_ready() -> Sequence[str]:
    """No reason against being ready."""
    return ()


@dataclass(frozen=True, slots=True)
class _Registered:
    """A registered path: its policy, and the bucket of its rate if it has one."""

    policy: PathPolicy
    buckets: TokenBuckets | None


class IngressApp:
    """Answers webhooks by their path's policy.

    `paths` maps registered paths ("/webhook") to their policies. `reasons` says why the service is not
    ready, for /readyz: none if it is. `public_url` is what senders have configured (`https://hooks.example.org`,
    with any prefix that a proxy takes off), for schemes that sign the URL; empty: taken from the request.
    """

    def __init__(
        self,
        paths: Mapping[str, PathPolicy],
        engine: EventStore,
        clock: Clock,
        telemetry: Telemetry,
        new_id: Callable[[], str],
        *,
        limits: IngressLimits | None = None,
        reasons: Callable[[], Sequence[str]] = always_ready,
        public_url: str = "",
        tracing: Tracing = NO_TRACING,
    ) -> None:
        limits = limits or IngressLimits()
        self._clock = clock
        self._telemetry = telemetry
        self._limits = limits
        self._reasons = reasons
        self._draining = False
        self._reception = Reception(
            engine,
            clock,
            telemetry,
            limits,
            BodyMemory(limits.max_buffered_bytes),
            new_id,
            public_url,
            tracing,
        )
        self._sender_buckets = _buckets(limits.sender_rate)
        self._registered = {
            _normal(path): _Registered(policy, _buckets(policy.rate or limits.path_rate))
            for path, policy in paths.items()
        }

    def drain(self) -> None:
        """Refuse new deliveries with 503 from now on; those that have begun are finished."""
        self._draining = True

    def __call__(self, head: RequestHead, connection: Connection) -> WebhookExchange:
        """Open the exchange of one request."""
        return WebhookExchange(self.answer, head, connection)

    async def answer(self, head: RequestHead, peer: str, body: IncomingBody) -> Answer:
        """Answer one request. Raises SenderGoneError."""
        if head.path == "/healthz":
            return self._health(head.method, json_answer(200, {"status": "ok"}))
        if head.path == "/readyz":
            return self._health(head.method, self._readiness())
        registered = self._find(head.path)
        try:
            outcome = await self._webhook(head, peer, registered, body)
        except SenderGoneError:
            raise
        except Exception:  # noqa: BLE001 - whatever broke, the sender learns that nothing was accepted
            _log.exception("a webhook could not be taken in")
            outcome = Refusal(500, "internal", "the request could not be processed: send it again later")
        if isinstance(outcome, Answer):
            return outcome
        self.count_refusal(outcome, registered.policy.path if registered else "")
        return outcome.answer()

    def count_refusal(self, refusal: Refusal, path: str = "") -> None:
        """Tell telemetry. All paths that nobody registered count as one, "": senders choose them freely."""
        self._telemetry.emit(EventRefused(path, refusal.status, refusal.signal or refusal.reason))

    def _find(self, path: str) -> _Registered | None:
        return self._registered.get(_normal(path[len(PREFIX) :])) if path.startswith(f"{PREFIX}/") else None

    async def _webhook(
        self, head: RequestHead, peer: str, registered: _Registered | None, body: IncomingBody
    ) -> Answer | Refusal:
        if self._draining:
            detail = "the service is shutting down: send it again"
            wait = self._limits.retry_after_seconds
            return Refusal(503, "draining", detail, retry_after_seconds=wait, close=True)
        if registered is None:
            return Refusal(404, "unknown-path", "no processor is registered here: check the webhook's URL")
        request = read_request(head, peer, self._limits.proxies)
        if (refusal := self._unwelcome(request, registered)) is not None:
            return refusal
        if request.method == "POST":
            return await self._reception.take(request, registered.policy, body)
        return self._no_delivery(request, registered.policy)

    def _unwelcome(self, request: Request, registered: _Registered) -> Refusal | None:
        """Refuse by where a request comes from and how often."""
        address = request.sender.address
        allowed = registered.policy.allowed_networks
        if allowed and not is_within(parse_address(address), allowed):
            return Refusal(403, "forbidden-network", "this address may not send to this path")
        wait = 0
        if self._sender_buckets is not None:
            wait = self._sender_buckets.take(address_key(address), self._clock.monotonic())
        if wait == 0 and registered.buckets is not None:
            wait = registered.buckets.take("", self._clock.monotonic())
        if wait:
            return Refusal(429, "rate-limited", "too many requests: slow down", retry_after_seconds=wait)
        return None

    def _no_delivery(self, request: Request, policy: PathPolicy) -> Answer | Refusal:
        """Other methods: challenges of senders that prove an endpoint so, else what HTTP says of it.

        HEAD is answered with 200, because senders (Trello, Mandrill) probe a new endpoint with it.
        """
        if request.method in ("GET", "OPTIONS"):
            challenge = challenge_in(
                policy.verifiers, lambda: self._reception.signed_request(request, policy, b"")
            )
            if challenge is not None:
                return challenge_answer(challenge)
        if request.method == "HEAD":
            return plain_answer(200)
        if request.method == "OPTIONS":
            return plain_answer(200, extra=[(b"allow", WEBHOOK_METHODS.encode())])
        return Refusal(405, "method-not-allowed", "webhooks are sent with POST", allow=WEBHOOK_METHODS)

    def _health(self, method: str, answer: Answer) -> Answer:
        if method in ("GET", "HEAD"):
            return answer
        return Refusal(405, "method-not-allowed", "health is read with GET", allow=HEALTH_METHODS).answer()

    def _readiness(self) -> Answer:
        reasons = list(self._reasons())
        if self._draining and not reasons:
            reasons = ["draining"]
        return json_answer(
            503 if reasons else 200, {"status": "not ready" if reasons else "ready", "reasons": reasons}
        )


def _normal(path: str) -> str:
    """A trailing slash makes no difference: senders do not follow redirects."""
    return "/" + path.strip("/")


def _buckets(rate: RateLimit | None) -> TokenBuckets | None:
    return None if rate is None else TokenBuckets(rate)
