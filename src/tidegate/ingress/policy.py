"""What holds for one registered path: who may send to it, how it is verified, what makes a delivery unique."""

from dataclasses import dataclass, field

from tidegate.core.networks import Network
from tidegate.core.verification import Verifier
from tidegate.ingress.delivery_ids import DeliveryIdRule
from tidegate.ingress.limits import RateLimit


@dataclass(frozen=True, slots=True)
class PathPolicy:
    """The policy of `/integration<path>`; `path` begins with a slash ("/webhook").

    Where several processors share the path, `verifiers` holds each distinct verifier once, and a request is
    accepted only if all of them accept it: an event is stored once and goes to every processor, so it must be
    good enough for the strictest. Empty `allowed_networks` lets everybody in. `rate` overrides
    IngressLimits.path_rate, `max_body_bytes` its namesake. `masked_headers`: those that the verifiers name.
    """

    path: str
    verifiers: tuple[Verifier, ...] = ()
    delivery_ids: DeliveryIdRule = field(default_factory=DeliveryIdRule)
    allowed_networks: tuple[Network, ...] = ()
    rate: RateLimit | None = None
    max_body_bytes: int | None = None
    masked_headers: frozenset[str] = field(init=False, repr=False, compare=False, default=frozenset())

    def __post_init__(self) -> None:
        named = (verifier.masked_headers for verifier in self.verifiers)
        object.__setattr__(self, "masked_headers", frozenset[str]().union(*named))
