"""Sign in with Slack: the id token, its keys, and what ``userInfo`` tells.

See https://docs.slack.dev/authentication/sign-in-with-slack.
"""

from __future__ import annotations

import base64
import json
import threading
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from slack_sandbox.core import Code, Core
from slack_sandbox.tokens import Token
from slack_sandbox.world import JsonDict

_KEY_ID = "sandbox-1"
_ID_TOKEN_LIFETIME = 300


class SigningKey:
    """The RSA key id tokens are signed with, made when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: rsa.RSAPrivateKey | None = None

    def get(self) -> rsa.RSAPrivateKey:
        """The key."""
        with self._lock:
            if self._key is None:
                self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            return self._key


_signing_key = SigningKey()


def jwks() -> JsonDict:
    """The public key, as ``/openid/connect/keys`` shows it."""
    numbers = _signing_key.get().public_key().public_numbers()
    return {
        "keys": [
            {
                "kty": "RSA",
                "use": "sig",
                "alg": "RS256",
                "kid": _KEY_ID,
                "e": _encoded(numbers.e.to_bytes(3, "big")),
                "n": _encoded(numbers.n.to_bytes(256, "big")),
            }
        ]
    }


def configuration(core: Core) -> JsonDict:
    """The discovery document (``/.well-known/openid-configuration``)."""
    base = core.base_url
    return {
        "issuer": base,
        "authorization_endpoint": f"{base}/openid/connect/authorize",
        "token_endpoint": f"{base}/api/openid.connect.token",
        "userinfo_endpoint": f"{base}/api/openid.connect.userInfo",
        "jwks_uri": f"{base}/openid/connect/keys",
        "scopes_supported": ["openid", "profile", "email"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["form_post"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": ["sub", "auth_time", "iss"],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": True,
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
    }


def id_token(core: Core, code: Code, token: Token) -> str:
    """A signed id token for the person who allowed a code."""
    now = int(core.clock())
    claims = {
        "iss": core.base_url,
        "sub": code.user_id,
        "aud": core.config.client_id,
        "exp": now + _ID_TOKEN_LIFETIME,
        "iat": now,
        "auth_time": now,
        "at_hash": _at_hash(token.value),
        **_claims(core, token),
    }
    if code.nonce is not None:
        claims["nonce"] = code.nonce
    head = _json_part({"typ": "JWT", "alg": "RS256", "kid": _KEY_ID})
    signed = f"{head}.{_json_part(claims)}"
    signature = _signing_key.get().sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{_encoded(signature)}"


def user_info(core: Core, token: Token) -> JsonDict:
    """The answer of ``openid.connect.userInfo``."""
    return {"ok": True, "sub": token.user_id, **_claims(core, token)}


def _claims(core: Core, token: Token) -> JsonDict:
    user = core.get_user(token.user_id)
    team = core.get_workspace(token.key.team_id or user.team_id)
    claims: JsonDict = {
        "https://slack.com/user_id": user.id,
        "https://slack.com/team_id": team.id,
    }
    if "email" in token.scopes:
        claims |= {
            "email": user.email,
            "email_verified": user.email is not None,
            "date_email_verified": user.updated,
        }
    if "profile" in token.scopes:
        first, _, last = user.real_name.partition(" ")
        images = user.images(core.base_url)
        claims |= {
            "name": user.real_name,
            "picture": images["image_512"],
            "given_name": first,
            "family_name": last,
            "locale": user.locale,
            "https://slack.com/team_name": team.name,
            "https://slack.com/team_domain": team.domain,
            **{
                f"https://slack.com/user_{name}": url
                for name, url in images.items()
                if name.startswith("image_")
            },
        }
    return claims


def _at_hash(token: str) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(token.encode())
    return _encoded(digest.finalize()[:16])


def _json_part(value: Any) -> str:
    return _encoded(json.dumps(value, separators=(",", ":")).encode())


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
