"""Senders that sign a timestamp along with the body: an old request is refused, however well it is signed."""

from datetime import timedelta

from tidegate.core.verification import Challenge, SignedRequest
from tidegate.verify.body_fields import BodyField
from tidegate.verify.delivery import DeliveryId
from tidegate.verify.layout import SignatureHeader
from tidegate.verify.shared_secrets import Secret, Secrets
from tidegate.verify.signature_keys import HmacKeys
from tidegate.verify.signatures import SignatureScheme, SignatureVerifier
from tidegate.verify.templates import SignedText
from tidegate.verify.times import SignedTime

FIVE_MINUTES = timedelta(minutes=5)

_SLACK_TYPE = BodyField.at("type")
_SLACK_CHALLENGE = BodyField.at("challenge")


def slack(secret: Secret, *, tolerance: timedelta = FIVE_MINUTES) -> SignatureVerifier:
    """Slack's Events API, signed with the app's signing secret: `X-Slack-Signature`.

    The `url_verification` request is answered; Slack signs it like any other.
    """
    scheme = SignatureScheme(
        "slack",
        SignatureHeader("x-slack-signature", prefix="v0="),
        text=SignedText.parse("v0:{timestamp}:{body}"),
        time=SignedTime(tolerance, header="x-slack-request-timestamp"),
        delivery_id=DeliveryId.at(path="event_id"),
        challenge=_slack_challenge,
    )
    return SignatureVerifier(scheme, HmacKeys(Secrets("slack(secret=…)", secret)))


def _slack_challenge(request: SignedRequest) -> Challenge | None:
    if _SLACK_TYPE.read(request.body) != "url_verification":
        return None
    return Challenge(
        200, "text/plain; charset=utf-8", str(_SLACK_CHALLENGE.read(request.body) or "").encode()
    )


def stripe(secret: Secret, *, tolerance: timedelta = FIVE_MINUTES) -> SignatureVerifier:
    """Stripe webhooks, signed with the endpoint's secret (`whsec_…`, used as it is): `Stripe-Signature`."""
    scheme = SignatureScheme(
        "stripe",
        SignatureHeader("stripe-signature", prefix="v1=", separator=",", timestamp_prefix="t="),
        text=SignedText.parse("{timestamp}.{body}"),
        time=SignedTime(tolerance),
        delivery_id=DeliveryId.at(path="id"),
    )
    return SignatureVerifier(scheme, HmacKeys(Secrets("stripe(secret=…)", secret)))


def linear(secret: Secret, *, tolerance: timedelta = timedelta(minutes=1)) -> SignatureVerifier:
    """Linear webhooks: `Linear-Signature` over the body, which holds the time as `webhookTimestamp`."""
    scheme = SignatureScheme(
        "linear",
        SignatureHeader("linear-signature"),
        time=SignedTime(tolerance, "milliseconds", field=BodyField.at("webhookTimestamp")),
        delivery_id=DeliveryId.at("Linear-Delivery"),
    )
    return SignatureVerifier(scheme, HmacKeys(Secrets("linear(secret=…)", secret)))


def zendesk(secret: Secret, *, tolerance: timedelta = FIVE_MINUTES) -> SignatureVerifier:
    """Zendesk webhooks: `X-Zendesk-Webhook-Signature` over the timestamp's text and the body."""
    scheme = SignatureScheme(
        "zendesk",
        SignatureHeader("x-zendesk-webhook-signature"),
        text=SignedText.parse("{timestamp}{body}"),
        time=SignedTime(tolerance, "iso8601", header="x-zendesk-webhook-signature-timestamp"),
        delivery_id=DeliveryId.at("X-Zendesk-Webhook-Invocation-Id"),
    )
    return SignatureVerifier(scheme, HmacKeys(Secrets("zendesk(secret=…)", secret), encoding="base64"))


def mlflow(secret: Secret, *, tolerance: timedelta = FIVE_MINUTES) -> SignatureVerifier:
    """MLflow webhooks: `X-MLflow-Signature`. Like Standard Webhooks, but the secret is used as it is."""
    scheme = SignatureScheme(
        "mlflow",
        SignatureHeader("x-mlflow-signature", prefix="v1,"),
        text=SignedText.parse("{id}.{timestamp}.{body}"),
        time=SignedTime(tolerance, header="x-mlflow-timestamp"),
        id_header="x-mlflow-delivery-id",
        delivery_id=DeliveryId.at("X-MLflow-Delivery-Id"),
    )
    return SignatureVerifier(scheme, HmacKeys(Secrets("mlflow(secret=…)", secret), encoding="base64"))
