"""Verifiers of senders' signatures, for `add_webhook_processor(path, Processor, verify=github(secret=…))`."""

from tidegate.verify.checks import check_verifier
from tidegate.verify.senders.aws_sns import aws_sns, sns_subscribe_url
from tidegate.verify.senders.body_signed import (
    bitbucket_cloud,
    bitbucket_data_center,
    github,
    hcp_terraform,
    jira,
    launchdarkly,
    pagerduty,
    sentry,
    shopify,
    snyk,
    sonarqube,
)
from tidegate.verify.senders.gcp_pubsub import gcp_pubsub
from tidegate.verify.senders.generic import hmac_signature
from tidegate.verify.senders.shown import basic, bearer, gitlab_token, header_token, okta, query_token
from tidegate.verify.senders.standard import gitlab, standard_webhooks, svix
from tidegate.verify.senders.time_signed import linear, mlflow, slack, stripe, zendesk
from tidegate.verify.senders.twilio import twilio
from tidegate.verify.shared_secrets import Secret, SecretSource

__all__ = [
    "Secret",
    "SecretSource",
    "aws_sns",
    "basic",
    "bearer",
    "bitbucket_cloud",
    "bitbucket_data_center",
    "check_verifier",
    "gcp_pubsub",
    "github",
    "gitlab",
    "gitlab_token",
    "hcp_terraform",
    "header_token",
    "hmac_signature",
    "jira",
    "launchdarkly",
    "linear",
    "mlflow",
    "okta",
    "pagerduty",
    "query_token",
    "sentry",
    "shopify",
    "slack",
    "sns_subscribe_url",
    "snyk",
    "sonarqube",
    "standard_webhooks",
    "stripe",
    "svix",
    "twilio",
    "zendesk",
]
