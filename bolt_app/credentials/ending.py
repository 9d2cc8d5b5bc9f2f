"""Revocation of API keys and webhooks whose installation was replaced.

A workspace that uninstalls and installs again keeps its credentials. If its organization's
installation serves it instead, the bot is a different one: other people approved it, and it reaches
other channels. Earlier credentials must not control it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session

from bolt_app.credentials.webhook_bodies import delete_bodies
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.models import (
    ApiKey,
    CallbackEndpoint,
    InstallationRevision,
    Team,
    Webhook,
)
from bolt_app.installations.rows import InstallationRows


def end_earlier_credentials(
    session: Session, rows: InstallationRows, team_id: str, enterprise_id: str, now: datetime
) -> None:
    """Revoke the credentials of a workspace that its organization's installation now serves.

    Credentials are kept if the workspace never had a separate installation, if it still has one, or
    if the organization's installation already served it.
    """
    serves_already = exists().where(Team.team_id == team_id, Team.enterprise_id == enterprise_id)
    has_own = rows.separate_bot(team_id).exists()
    # The revision outlives the installation, also that of an earlier Slack app.
    had_own = exists().where(InstallationRevision.team_id == team_id)
    if not session.scalar(select(had_own & ~has_own & ~serves_already)):
        return
    keys = _revoke(session, ApiKey, team_id, now)
    webhooks = _revoke(session, Webhook, team_id, now)
    delete_bodies(session, Webhook.id.in_(webhooks))
    session.execute(delete(CallbackEndpoint).where(CallbackEndpoint.api_key_id.in_(keys)))
    for action, name, ids in (
        (AuditAction.API_KEY_REVOKED, "api_key", keys),
        (AuditAction.WEBHOOK_REVOKED, "webhook", webhooks),
    ):
        for id_ in ids:
            write_audit(
                session,
                action,
                at=now,
                address=None,  # the person who signs in first revoked nothing
                team_id=team_id,
                credential=f"{name}:{id_}",
            )


def _revoke(
    session: Session, model: type[ApiKey | Webhook], team_id: str, now: datetime
) -> list[int]:
    is_active = (model.team_id == team_id, model.revoked_at.is_(None))
    revoked = update(model).where(*is_active).values(revoked_at=now).returning(model.id)
    return list(session.scalars(revoked))
