"""Verifiers of senders that sign nothing but show a secret: a header, a bearer token, basic, a URL parameter."""

import base64
import hmac
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl

from tidegate.core.errors import ConfigurationError
from tidegate.core.verification import Refused, SignedRequest, Verification, Verified
from tidegate.verify.delivery import DeliveryId
from tidegate.verify.drafts import with_content, with_parameter
from tidegate.verify.shared_secrets import Secret, Secrets, text_bytes
from tidegate.verify.signature_keys import header_bytes
from tidegate.verify.signatures import NOT_A_DELIVERY, UNCONFIGURED, ChallengeAnswer


@dataclass(frozen=True, slots=True)
class CredentialVerifier:
    """Compares what a request shows with the secrets, in constant time. It vouches for the sender alone:
    the body and the time are not covered.

    `place` says whether `key` (a header, in lower case) or a query parameter holds the credential.
    `auth_scheme` is the word before it in the header ("Bearer"), found in any case (RFC 9110 §11.1).
    """

    name: str
    place: Literal["header", "query"]
    key: str
    secrets: Secrets
    auth_scheme: str = ""
    delivery_id: DeliveryId = field(default_factory=DeliveryId)
    challenge: ChallengeAnswer | None = None

    @property
    def masked_headers(self) -> frozenset[str]:
        return frozenset({self.key} if self.place == "header" else ())

    def check(self) -> None:
        """Raises ConfigurationError if the secrets cannot be had now."""
        self.secrets.resolve()

    def verify(self, request: SignedRequest) -> Verification:
        presented = self._presented(request)
        if not presented:
            return Refused("the credential is missing")
        try:
            keys = self.secrets.resolve()
        except ConfigurationError:
            return Refused(UNCONFIGURED)
        if not any(hmac.compare_digest(key, presented) for key in keys):
            return Refused("the credential is wrong")
        answer = self.challenge(request) if self.challenge else None
        if answer:
            return answer
        if request.method != "POST":
            return Refused(NOT_A_DELIVERY)
        return Verified(self.delivery_id.find(request.headers, request.body))

    def _presented(self, request: SignedRequest) -> bytes:
        if self.place == "query":
            pairs = parse_qsl(request.query, keep_blank_values=True)
            values = [value for name, value in pairs if name == self.key]
            return values[0].encode("utf-8", "surrogatepass") if len(values) == 1 else b""
        value = request.headers.get(self.key, "")
        if not self.auth_scheme:
            return header_bytes(value)
        scheme, _, credential = value.partition(" ")
        return header_bytes(credential) if scheme.lower() == self.auth_scheme.lower() else b""

    def sign(self, request: SignedRequest, delivery_id: str) -> SignedRequest:
        """The request with the newest credential. Raises ConfigurationError if there is none."""
        headers = dict(request.headers)
        body = self.delivery_id.placed(headers, request.body, delivery_id)
        credential = self.secrets.resolve()[0]
        if self.place == "header":
            text = credential.decode("iso-8859-1")
            headers[self.key] = f"{self.auth_scheme} {text}" if self.auth_scheme else text
            return with_content(request, headers, body)
        return with_parameter(with_content(request, headers, body), self.key, credential)


def basic_credentials(name: str, username: Secret, password: Secret) -> Secrets:
    """The credentials of basic authentication (RFC 7617, UTF-8) for one user and one or more passwords."""
    users = Secrets(f"{name}(username=…)", username)

    def credential(secret: str | bytes) -> bytes:
        user = users.resolve()[0]
        if b":" in user:
            raise ValueError("the user name holds a colon, which basic authentication cannot carry")
        return base64.b64encode(user + b":" + text_bytes(secret))

    return Secrets(f"{name}(password=…)", password, credential)
