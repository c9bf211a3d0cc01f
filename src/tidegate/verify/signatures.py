"""The engine of signature verifiers: every scheme is a header layout, a signed string, a time and keys."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from tidegate.core.errors import ConfigurationError
from tidegate.core.verification import Challenge, Refused, SignedRequest, Verification, Verified
from tidegate.verify.delivery import DeliveryId
from tidegate.verify.drafts import with_content
from tidegate.verify.layout import SignatureFields, SignatureHeader
from tidegate.verify.signature_keys import SignatureKeys, header_bytes
from tidegate.verify.templates import SignedText
from tidegate.verify.times import SignedTime, write_time

UNCONFIGURED = "the secret is not configured"
NOT_A_DELIVERY = "not a POST request"

ChallengeAnswer: TypeAlias = Callable[[SignedRequest], Challenge | None]
"""Asked about a request that is known to come from the sender: the answer, if it is a challenge."""

BODY_ONLY = SignedText.parse("{body}")


@dataclass(frozen=True, slots=True)
class SignatureScheme:
    """How one sender signs.

    `time` is None where the sender signs no timestamp: then an old request can be sent again. `id_header`
    (in lower case) holds the `{id}` of the signed string. `challenge` is asked after the signature held.
    """

    name: str
    header: SignatureHeader
    text: SignedText = BODY_ONLY
    time: SignedTime | None = None
    id_header: str = ""
    delivery_id: DeliveryId = field(default_factory=DeliveryId)
    challenge: ChallengeAnswer | None = None

    def __post_init__(self) -> None:
        """Raises ConfigurationError if the signed string names what the scheme does not say where to find."""
        if self.text.names("timestamp") and self.time is None:
            raise ConfigurationError(
                f"{self.name}: the signed string names {{timestamp}}, but no header holds one"
            )
        if self.text.names("id") and not self.id_header:
            raise ConfigurationError(f"{self.name}: the signed string names {{id}}, but no header holds one")


@dataclass(frozen=True, slots=True)
class SignatureVerifier:
    """Verifies (and, with shared secrets, makes) requests signed by one scheme."""

    scheme: SignatureScheme
    keys: SignatureKeys

    @property
    def name(self) -> str:
        return self.scheme.name

    @property
    def masked_headers(self) -> frozenset[str]:
        return frozenset({self.scheme.header.name})

    def check(self) -> None:
        """Raises ConfigurationError if the keys cannot be had now."""
        self.keys.check()

    def verify(self, request: SignedRequest) -> Verification:
        """Check the signature first, and only then look at what it vouches for."""
        if request.method != "POST":
            return Refused(NOT_A_DELIVERY)
        refusal = self._refusal(request)
        if refusal:
            return Refused(refusal)
        answer = self.scheme.challenge(request) if self.scheme.challenge else None
        return answer or Verified(self.scheme.delivery_id.find(request.headers, request.body))

    def _refusal(self, request: SignedRequest) -> str:
        value = request.headers.get(self.scheme.header.name)
        if not value:
            return "the signature header is missing"
        fields = self.scheme.header.parse(value)
        if not fields.signatures:
            return "the signature header holds no signature of the expected form"
        timestamp = self._timestamp(request, fields)
        if self.scheme.time and not timestamp:
            return "the timestamp is missing"
        delivery_id = request.headers.get(self.scheme.id_header, "")
        if self.scheme.id_header and not delivery_id:
            return "the signed id is missing"
        message = self._message(request, timestamp, delivery_id)
        try:
            if not self.keys.matches(message, fields.signatures):
                return "no signature matches"
        except ConfigurationError:
            return UNCONFIGURED
        if self.scheme.time and not self.scheme.time.is_fresh(timestamp, request.now):
            return "the timestamp cannot be read or lies outside the tolerance"
        return ""

    def _timestamp(self, request: SignedRequest, fields: SignatureFields) -> str:
        time = self.scheme.time
        if time is None:
            return ""
        if time.header:
            return request.headers.get(time.header, "")
        if time.field:
            found = time.field.read(request.body)
            return "" if found is None else str(found)
        return fields.timestamp or ""

    def _message(self, request: SignedRequest, timestamp: str, delivery_id: str) -> bytes:
        return self.scheme.text.render(
            {
                "body": request.body,
                "timestamp": header_bytes(timestamp),
                "id": header_bytes(delivery_id),
                "method": request.method.encode("ascii", "backslashreplace"),
                "url": request.url.encode("utf-8", "surrogatepass"),
            }
        )

    def sign(self, request: SignedRequest, delivery_id: str) -> SignedRequest:
        """The request as the sender would make it at `request.now`.

        Raises ConfigurationError if the keys cannot sign, or if the sender puts the time or the id into the
        body and the body is no JSON object.
        """
        scheme = self.scheme
        headers = dict(request.headers)
        body = scheme.delivery_id.placed(headers, request.body, delivery_id)
        timestamp = ""
        if scheme.time:
            timestamp = write_time(request.now, scheme.time.format)
            if scheme.time.header:
                headers[scheme.time.header] = timestamp
            if scheme.time.field:
                body = scheme.time.field.written(body, int(timestamp))
        if scheme.id_header:
            headers[scheme.id_header] = delivery_id
        draft = with_content(request, headers, body)
        signature = self.keys.sign(self._message(draft, timestamp, delivery_id))
        headers[scheme.header.name] = scheme.header.compose(signature, timestamp)
        return with_content(request, headers, body)
