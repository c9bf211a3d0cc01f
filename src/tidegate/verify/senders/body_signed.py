"""Senders that sign the body and nothing else. What was sent once can be sent again: see each delivery id."""

from tidegate.verify.delivery import DeliveryId
from tidegate.verify.layout import SignatureHeader
from tidegate.verify.shared_secrets import Secret, Secrets
from tidegate.verify.signature_keys import Digest, Encoding, HmacKeys
from tidegate.verify.signatures import SignatureScheme, SignatureVerifier


def github(secret: Secret) -> SignatureVerifier:
    """GitHub webhooks: `X-Hub-Signature-256`. The SHA-1 header is not looked at."""
    header = SignatureHeader("x-hub-signature-256", prefix="sha256=")
    return _body_signed("github", secret, header, DeliveryId.at("X-GitHub-Delivery"))


def jira(secret: Secret) -> SignatureVerifier:
    """Jira Cloud webhooks with a secret: `X-Hub-Signature` (WebSub)."""
    return _hub_signature("jira", secret, "X-Atlassian-Webhook-Identifier")


def bitbucket_cloud(secret: Secret) -> SignatureVerifier:
    """Bitbucket Cloud webhooks with a secret: `X-Hub-Signature`."""
    return _hub_signature("bitbucket_cloud", secret, "X-Request-UUID")


def bitbucket_data_center(secret: Secret) -> SignatureVerifier:
    """Bitbucket Data Center webhooks with a secret: `X-Hub-Signature`."""
    return _hub_signature("bitbucket_data_center", secret, "X-Request-Id")


def snyk(secret: Secret) -> SignatureVerifier:
    """Snyk webhooks: `X-Hub-Signature`. `X-Snyk-Timestamp` is not signed, so it is not looked at."""
    return _hub_signature("snyk", secret, "X-Snyk-Transport-ID")


def pagerduty(secret: Secret) -> SignatureVerifier:
    """PagerDuty v3 webhooks: `X-PagerDuty-Signature`, a list with one `v1=` for each of its secrets."""
    header = SignatureHeader("x-pagerduty-signature", prefix="v1=", separator=",")
    return _body_signed("pagerduty", secret, header, DeliveryId.at(path="event.id"))


def shopify(secret: Secret) -> SignatureVerifier:
    """Shopify webhooks, signed with the app's client secret: `X-Shopify-Hmac-Sha256`.

    The id is X-Shopify-Webhook-Id. X-Shopify-Event-Id would not do: deliveries of several topics share it.
    """
    header = SignatureHeader("x-shopify-hmac-sha256")
    delivery_id = DeliveryId.at("X-Shopify-Webhook-Id")
    return _body_signed("shopify", secret, header, delivery_id, encoding="base64")


def sentry(secret: Secret) -> SignatureVerifier:
    """Sentry integration webhooks, signed with the client secret: `Sentry-Hook-Signature`.

    `Sentry-Hook-Timestamp` is not signed, so it is not looked at.
    """
    return _bare_hex("sentry", secret, "Sentry-Hook-Signature", DeliveryId.at("Request-ID"))


def launchdarkly(secret: Secret) -> SignatureVerifier:
    """LaunchDarkly signed webhooks: `X-LD-Signature`."""
    return _bare_hex("launchdarkly", secret, "X-LD-Signature", DeliveryId.at(path="_id"))


def sonarqube(secret: Secret) -> SignatureVerifier:
    """SonarQube Server and Cloud webhooks with a secret: `X-Sonar-Webhook-HMAC-SHA256`."""
    return _bare_hex("sonarqube", secret, "X-Sonar-Webhook-HMAC-SHA256", DeliveryId.at(path="taskId"))


def hcp_terraform(secret: Secret) -> SignatureVerifier:
    """HCP Terraform (and Terraform Enterprise) notifications with a token: `X-TFE-Notification-Signature`.

    They carry no delivery id.
    """
    header = SignatureHeader("x-tfe-notification-signature")
    return _body_signed("hcp_terraform", secret, header, DeliveryId(), digest="sha512")


def _hub_signature(name: str, secret: Secret, id_header: str) -> SignatureVerifier:
    header = SignatureHeader("x-hub-signature", prefix="sha256=")
    return _body_signed(name, secret, header, DeliveryId.at(id_header))


def _bare_hex(name: str, secret: Secret, header: str, delivery_id: DeliveryId) -> SignatureVerifier:
    return _body_signed(name, secret, SignatureHeader(header.lower()), delivery_id)


def _body_signed(
    name: str,
    secret: Secret,
    header: SignatureHeader,
    delivery_id: DeliveryId,
    digest: Digest = "sha256",
    encoding: Encoding = "hex",
) -> SignatureVerifier:
    keys = HmacKeys(Secrets(f"{name}(secret=…)", secret), digest, encoding)
    return SignatureVerifier(SignatureScheme(name, header, delivery_id=delivery_id), keys)
