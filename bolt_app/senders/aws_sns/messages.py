"""Messages of Amazon SNS: URLs that belong to SNS, and the text that SNS signs.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import load_pem_x509_certificate

from bolt_app.senders.values import text

SUBSCRIPTION = "SubscriptionConfirmation"
_CONFIRMATIONS = (SUBSCRIPTION, "UnsubscribeConfirmation")
_SIGNED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_SIGNED_CONFIRMATION = (
    *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
)
# Hosts in the partitions aws and aws-cn, without port and user.
_ADDRESS = re.compile(
    r"https://sns\.[a-z0-9-]{2,30}\.amazonaws\.com(?:\.cn)?/[A-Za-z0-9._~:/?&=%+-]*"
)
# The only path of certificates on these hosts.
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[A-Za-z0-9]+\.pem")
_LONGEST = 1500
_HASHES = {"1": SHA1, "2": SHA256}


def is_sns_address(address: str) -> bool:
    """Whether a URL is one of SNS itself."""
    return len(address) <= _LONGEST and _ADDRESS.fullmatch(address) is not None


def is_certificate_address(address: str) -> bool:
    """Whether a URL is one of SNS's signing certificates."""
    return is_sns_address(address) and _CERTIFICATE.fullmatch(urlsplit(address).path) is not None


def signed_text(body: Any) -> bytes:
    """Return the text of a message that SNS signs."""
    names = _SIGNED_CONFIRMATION if text(body, "Type") in _CONFIRMATIONS else _SIGNED
    given = ((name, body.get(name)) for name in names)
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
