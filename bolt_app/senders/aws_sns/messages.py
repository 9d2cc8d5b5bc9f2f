"""Messages of Amazon SNS: URLs that belong to SNS, and the text that SNS signs.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import load_pem_x509_certificate

from bolt_app.senders.values import text

NOTIFICATION, SUBSCRIPTION = "Notification", "SubscriptionConfirmation"
_CONFIRMATIONS = (SUBSCRIPTION, "UnsubscribeConfirmation")
_SIGNED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_SIGNED_CONFIRMATION = (
    *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
)
# The part of a URL of SNS that may follow its host.
_PATH = re.compile(r"[A-Za-z0-9._~:/?&=%+-]*")
# The only path of certificates on these hosts. A query would give one certificate many addresses.
_CERTIFICATE = re.compile(r"https://[a-z0-9.-]+/SimpleNotificationService-[A-Za-z0-9]{1,64}\.pem")
_LONGEST = 1500
# With a region (https://docs.aws.amazon.com/general/latest/gr/sns.html), because `sns.` and another
# word can be anyone's: `sns.s3.amazonaws.com` is the bucket "sns" of Amazon S3.
# https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
_TOPIC = re.compile(
    r"arn:aws[a-z-]{0,20}:sns:([a-z]{2}(?:-[a-z]{1,12}){1,3}-[0-9]{1,2}):[0-9]{12}:"
    r"[A-Za-z0-9_-]{1,256}(?:\.fifo)?"
)
# Of the largest RSA keys in use, in base64.
_LONGEST_SIGNATURE = 2048
_HASHES = {"1": SHA1, "2": SHA256}


def is_sns_address(address: str, topic: str) -> bool:
    """Whether a URL is one of SNS itself, in the region of a topic (without port and user).

    Args:
        topic: the ARN; any other text has no such URL.
    """
    found = _TOPIC.fullmatch(topic)
    if found is None or len(address) > _LONGEST:
        return False
    region = found[1]
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    host = f"https://sns.{region}.{domain}/"
    return address.startswith(host) and _PATH.fullmatch(address, len(host)) is not None


def is_certificate_address(address: str, topic: str) -> bool:
    """Whether a URL is one of SNS's signing certificates, in the region of a topic."""
    return is_sns_address(address, topic) and _CERTIFICATE.fullmatch(address) is not None


def is_topic(arn: str) -> bool:
    """Whether a text is the ARN of a topic."""
    return _TOPIC.fullmatch(arn) is not None


def claimed_topic(body: Any) -> str | None:
    """Return the topic that a message names, before its signature is verified.

    The signed text is a list of lines, so that members with line breaks would have it read in two
    ways: the text of a message of another topic could contain the name of this one.

    Returns: the ARN; None if the message is not one of SNS: without a topic or signature, of an
        unknown type, or with a line break in a signed member other than the message itself.
    """
    if not isinstance(body, dict) or body.get("Type") not in (NOTIFICATION, *_CONFIRMATIONS):
        return None
    topic, signature = body.get("TopicArn"), body.get("Signature")
    if not isinstance(topic, str) or not is_topic(topic):
        return None
    if not isinstance(signature, str) or not 0 < len(signature) <= _LONGEST_SIGNATURE:
        return None
    lines = (body.get(name) for name in _names(body) if name != "Message")
    return None if any(isinstance(line, str) and "\n" in line for line in lines) else topic


def signed_text(body: Any) -> bytes:
    """Return the text of a message that SNS signs."""
    given = ((name, body.get(name)) for name in _names(body))
    return "".join(f"{name}\n{value}\n" for name, value in given if isinstance(value, str)).encode()


def is_signed(body: Any, certificate: bytes) -> bool:
    """Whether the key of a certificate signed a message."""
    algorithm = _HASHES.get(text(body, "SignatureVersion"))
    try:
        signature = base64.b64decode(text(body, "Signature"), validate=True)
        key = load_pem_x509_certificate(certificate).public_key()
        if algorithm is None or not isinstance(key, RSAPublicKey):
            return False
        # SNS uses SHA-1 unless the topic is configured otherwise.
        key.verify(signature, signed_text(body), PKCS1v15(), algorithm())
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True


def _names(body: Any) -> tuple[str, ...]:
    """Return the names of the signed members."""
    return _SIGNED_CONFIRMATION if body.get("Type") in _CONFIRMATIONS else _SIGNED
