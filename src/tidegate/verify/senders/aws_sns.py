"""Amazon SNS over HTTPS: an RSA signature in the body, by a certificate that the message names.

Rules from the SNS developer guide, "Verifying the signatures of Amazon SNS messages".
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from tidegate.core.errors import ConfigurationError
from tidegate.core.verification import KeysNeeded, Refused, SignedRequest, Verification, Verified
from tidegate.verify.asymmetric import SigningCertificate, canonical_base64, load_certificate, require
from tidegate.verify.download import Download, download
from tidegate.verify.public_keys import KeyCache
from tidegate.verify.signatures import NOT_A_DELIVERY
from tidegate.verify.times import SignedTime

_SNS_HOST = r"https://sns\.[a-z]{2,5}(?:-[a-z]+){1,2}-\d{1,2}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE_URL = re.compile(_SNS_HOST + r"/SimpleNotificationService-[0-9a-zA-Z]{1,64}\.pem")
_SUBSCRIBE_URL = re.compile(_SNS_HOST + r"/\?[!-~]+")
_CERTIFICATE_MAX_AGE = timedelta(days=1)

SignatureVersion = Literal["1", "2"]
_DIGESTS: dict[str, Literal["sha1", "sha256"]] = {"1": "sha1", "2": "sha256"}
_CONFIRMATIONS = frozenset({"SubscriptionConfirmation", "UnsubscribeConfirmation"})


class SnsMessage(msgspec.Struct, frozen=True, rename="pascal"):
    """The part of a message that is signed, and what the signature is checked with."""

    type: str
    message_id: str
    topic_arn: str
    message: str
    timestamp: str
    signature: str
    signature_version: str
    signing_cert_url: str = msgspec.field(name="SigningCertURL")
    subject: str | None = None
    subscribe_url: str | None = msgspec.field(name="SubscribeURL", default=None)
    token: str | None = None

    def signed_text(self) -> bytes | None:
        """The string to sign: names and values in byte order, each on a line. None if the type is not known."""
        signed = {"Message": self.message, "MessageId": self.message_id}
        if self.type == "Notification":
            if self.subject is not None:
                signed["Subject"] = self.subject
        elif self.type in _CONFIRMATIONS and self.subscribe_url is not None and self.token is not None:
            signed |= {"SubscribeURL": self.subscribe_url, "Token": self.token}
        else:
            return None
        signed |= {"Timestamp": self.timestamp, "TopicArn": self.topic_arn, "Type": self.type}
        lines = [f"{name}\n{signed[name]}\n" for name in sorted(signed)]
        return "".join(lines).encode("utf-8", "surrogatepass")


def aws_sns(
    topic_arn: str | Collection[str],
    *,
    tolerance: timedelta = timedelta(hours=2),
    signature_versions: Collection[SignatureVersion] = ("1", "2"),
    download: Download = download,
) -> "SnsVerifier":
    """Amazon SNS subscriptions over HTTPS, without raw message delivery (which is not signed).

    `topic_arn` names the topics to accept: anybody with an AWS account can have SNS sign messages of a
    topic of their own. `tolerance` is wide because SNS goes on delivering a message for an hour and signs
    it once. A topic signs with SHA-1 (version 1) unless its SignatureVersion attribute is 2; then accept
    only `("2",)`. `download` fetches the certificates; its addresses are on sns.REGION.amazonaws.com.

    Needs `tidegate[verify]`. Raises ConfigurationError without it, and without a topic.
    """
    require("aws_sns", "cryptography.x509")
    topics = frozenset({topic_arn} if isinstance(topic_arn, str) else topic_arn)
    if not topics or not all(topic.startswith("arn:") for topic in topics):
        raise ConfigurationError(
            "aws_sns(topic_arn=…) needs the ARNs of the topics to accept (arn:aws:sns:REGION:ACCOUNT:NAME)"
        )

    async def load(url: str) -> SigningCertificate:
        return load_certificate(await download(url))

    return SnsVerifier(
        topics, SignedTime(tolerance, "iso8601"), frozenset(signature_versions), KeyCache(load)
    )


@dataclass(frozen=True, slots=True)
class SnsVerifier:
    """Verifies notifications and confirmations. UnsubscribeURL and MessageAttributes are not signed."""

    topics: frozenset[str]
    time: SignedTime
    signature_versions: frozenset[str]
    certificates: KeyCache[SigningCertificate]

    @property
    def name(self) -> str:
        return "aws_sns"

    @property
    def masked_headers(self) -> frozenset[str]:
        return frozenset()

    def verify(self, request: SignedRequest) -> Verification:
        if request.method != "POST":
            return Refused(NOT_A_DELIVERY)
        try:
            message = msgspec.json.decode(request.body, type=SnsMessage)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return Refused("the body is not a signed SNS message")
        text = message.signed_text()
        refusal = self._refusal(message, request.now)
        if refusal or text is None:
            return Refused(refusal or "the message's type is not known")
        certificate = self.certificates.find(message.signing_cert_url, request.now, _CERTIFICATE_MAX_AGE)
        if isinstance(certificate, KeysNeeded):
            return certificate
        if not certificate.valid_from <= request.now <= certificate.valid_until:
            return Refused("the certificate is not valid now")
        signature = canonical_base64(message.signature)
        digest = _DIGESTS[message.signature_version]
        if signature is None or not certificate.verify(signature, text, digest):
            return Refused("no signature matches")
        return Verified(message.message_id)

    def _refusal(self, message: SnsMessage, now: datetime) -> str:
        """What can be said without the certificate, so that nothing is fetched for a request that fails anyway."""
        if message.topic_arn not in self.topics:
            return "the topic is not one of those configured"
        if message.signature_version not in self.signature_versions & _DIGESTS.keys():
            return "the signature version is not accepted"
        if not _CERTIFICATE_URL.fullmatch(message.signing_cert_url):
            return "the certificate's address is not one of Amazon SNS"
        if not self.time.is_fresh(message.timestamp, now):
            return "the timestamp cannot be read or lies outside the tolerance"
        return ""


def sns_subscribe_url(payload: Mapping[str, Any]) -> str | None:
    """The address whose GET confirms a subscription, if the payload of a verified event asks for that.

    A confirmation is stored as an event like any other. The processor decides whether to confirm it.
    None for other messages, and for an address that is not one of Amazon SNS.
    """
    url = payload.get("SubscribeURL")
    if payload.get("Type") != "SubscriptionConfirmation" or not isinstance(url, str):
        return None
    return url if _SUBSCRIBE_URL.fullmatch(url) else None
