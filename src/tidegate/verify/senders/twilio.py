"""Twilio: HMAC over the URL and the sorted form parameters, or over the URL that holds the JSON body's hash."""

import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from tidegate.core.errors import ConfigurationError
from tidegate.core.verification import Refused, SignedRequest, Verification, Verified
from tidegate.verify.delivery import DeliveryId
from tidegate.verify.drafts import with_content, with_parameter
from tidegate.verify.shared_secrets import Secret, Secrets
from tidegate.verify.signature_keys import Digest, HmacKeys
from tidegate.verify.signatures import NOT_A_DELIVERY, UNCONFIGURED

SIGNATURE_HEADER = "x-twilio-signature"
SETTINGS_HEADER = "x-twilio-webhooks-signature-settings"
FORM = "application/x-www-form-urlencoded"
MAX_PARAMETERS = 1_000

_DIGESTS: dict[str, Digest] = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_DEFAULT_PORTS = {"https": 443, "http": 80}
_DELIVERY_ID = DeliveryId.at("I-Twilio-Idempotency-Token")


def twilio(secret: Secret, *, public_url: str | None = None) -> "TwilioVerifier":
    """Twilio webhooks, signed with the account's auth token, or a shared key where the request says HMAC_SHA256.

    Twilio signs the URL that it was given. Behind a proxy that rewrites it, say so: `public_url` replaces
    all but the query ("https://hooks.example.com/integration/sms").
    """
    secrets = Secrets("twilio(secret=…)", secret)
    keys: dict[Digest, HmacKeys] = {
        digest: HmacKeys(secrets, digest, "base64") for digest in _DIGESTS.values()
    }
    return TwilioVerifier(secrets, keys, public_url)


@dataclass(frozen=True, slots=True)
class TwilioVerifier:
    """Refuses a body that the signature does not cover. Where one parameter's name ends and its value begins
    is not signed: that is the scheme's own weakness.
    """

    secrets: Secrets
    keys: dict[Digest, HmacKeys]
    public_url: str | None = None

    @property
    def name(self) -> str:
        return "twilio"

    @property
    def masked_headers(self) -> frozenset[str]:
        return frozenset({SIGNATURE_HEADER})

    def check(self) -> None:
        """Raises ConfigurationError if the secret cannot be had now."""
        self.secrets.resolve()

    def verify(self, request: SignedRequest) -> Verification:
        if request.method != "POST":
            return Refused(NOT_A_DELIVERY)
        signature = request.headers.get(SIGNATURE_HEADER)
        if not signature:
            return Refused("the signature header is missing")
        digest = _digest(request.headers.get(SETTINGS_HEADER, ""))
        if digest is None:
            return Refused("the signature's algorithm is not known")
        parameters = _signed_parameters(request)
        if parameters is None:
            return Refused("the body is not covered by the signature")
        try:
            for url in _spellings(self._url(request)):
                if self.keys[digest].matches(_message(url, parameters), [signature]):
                    return Verified(_DELIVERY_ID.find(request.headers, request.body))
        except ConfigurationError:
            return Refused(UNCONFIGURED)
        return Refused("no signature matches")

    def sign(self, request: SignedRequest, delivery_id: str) -> SignedRequest:
        """The request as Twilio would make it: a body that is no form gets its hash into the URL."""
        headers = dict(request.headers)
        body = _DELIVERY_ID.placed(headers, request.body, delivery_id)
        if not _is_form(request):
            request = with_parameter(request, "bodySHA256", hashlib.sha256(body).hexdigest())
        parameters = _signed_parameters(request) or ""
        headers[SIGNATURE_HEADER] = self.keys["sha1"].sign(_message(self._url(request), parameters))
        return with_content(request, headers, body)

    def _url(self, request: SignedRequest) -> str:
        if self.public_url is None:
            return request.url
        return f"{self.public_url}?{request.query}" if request.query else self.public_url


def _digest(settings: str) -> Digest | None:
    """The digest that the settings header names ("key=…,algorithm=HMAC_SHA256"); SHA-1 if it names none."""
    for setting in settings.split(","):
        name, _, value = setting.strip().partition("=")
        if name == "algorithm":
            return _DIGESTS.get(value)
    return "sha1"


def _is_form(request: SignedRequest) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM


def _signed_parameters(request: SignedRequest) -> str | None:
    """The parameters as they are signed; None if nothing in the signature vouches for the body."""
    hashes = [value for name, value in parse_qsl(request.query) if name == "bodySHA256"]
    if hashes:
        actual = hashlib.sha256(request.body).hexdigest().encode()
        expected = [value.encode("utf-8", "backslashreplace") for value in hashes]
        if not all(hmac.compare_digest(actual, value) for value in expected):
            return None
    if not _is_form(request):
        return "" if hashes or not request.body else None
    try:
        pairs = parse_qsl(
            request.body.decode(),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError:
        return None
    return "".join(name + value for name, value in sorted(set(pairs)))


def _message(url: str, parameters: str) -> bytes:
    return (url + parameters).encode("utf-8", "surrogatepass")


def _spellings(url: str) -> list[str]:
    """The URL with and without its default port: Twilio is known to sign either."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return [url]
    default = _DEFAULT_PORTS.get(parts.scheme)
    if default is None or port not in {None, default}:
        return [url]
    bare = parts.netloc.removesuffix(f":{default}")
    with_port = urlunsplit(parts._replace(netloc=f"{bare}:{default}"))
    without_port = urlunsplit(parts._replace(netloc=bare))
    return list(dict.fromkeys([url, with_port, without_port]))
