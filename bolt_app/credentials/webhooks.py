"""Incoming webhooks: URLs that accept what tools post, in their own format or in Slack's.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, insert, select, update

from bolt_app.client_address import client_address
from bolt_app.clock import Clock, utc_now
from bolt_app.credentials.create_once import check_created_once
from bolt_app.credentials.limits import Charge, Limits, SenderLimits
from bolt_app.credentials.records import (
    RememberedCredentials,
    SenderUse,
    creator_of,
    revoke_row,
    sender_columns,
    sender_row,
    use_of,
)
from bolt_app.credentials.secrets import hash_of, new_webhook_secret
from bolt_app.credentials.sources import Credential, SourceKind
from bolt_app.db import Database, PreparedSelect
from bolt_app.db.audit import AuditAction, write_audit
from bolt_app.db.models import Webhook
from bolt_app.db.receipts import record_effect
from bolt_app.recipients import normal_address
from bolt_app.signals import Signals
from bolt_app.text_forms import visible

WEBHOOKS_PATH = "/hooks/"
# The pages for admins, by the webhook's id.
WEBHOOK_PAGES_PATH = "/webhooks"
# The sender is recognized by each body; such a webhook has no signing secret.
AUTO = "auto"
# The webhook's own template maps its bodies.
CUSTOM = "custom"
# Signs with its own key instead of a webhook's secret, the same for all of its customers: its
# signature is always checked, and so is the topic.
AWS_SNS = "aws-sns"
KEY_FIELD_LENGTH = 255
REMEMBERED_FOR = timedelta(seconds=10)

_COLUMNS = (
    Webhook.id,
    Webhook.team_id,
    Webhook.name,
    Webhook.target,
    Webhook.key_field,
    Webhook.sender,
    Webhook.template.is_not(None).label("has_template"),
    Webhook.signing_secret.is_not(None).label("has_secret"),
    Webhook.topic_arn,
    Webhook.unrecognized,
    Webhook.unrecognized_at,
    Webhook.created_at,
    Webhook.created_by,
    Webhook.revoked_at,
    Webhook.revoked_by,
    *sender_columns(Webhook),
)
_WITH_TEMPLATE = select(*_COLUMNS, Webhook.template)
# Prepared once, because it runs for every request.
_FIND = _WITH_TEMPLATE.add_columns(Webhook.signing_secret).where(
    Webhook.secret_hash == bindparam("secret_hash")
)
_FIND_BY_ID = _WITH_TEMPLATE.where(Webhook.id == bindparam("webhook_id"))
# Prepared once, because it runs for every App Home of an admin.
_OF_TEAM = PreparedSelect(
    select(*_COLUMNS).where(Webhook.team_id == bindparam("team_id")).order_by(Webhook.id)
)


@dataclass(frozen=True)
class WebhookRecord:
    """A webhook without its secret.

    Attributes:
        to: the addresses that its notifications go to.
        key_field: the payload field whose value is the notification's key; empty: none; None: the
            key of the sender's own format.
        sender: a folder of `bolt_app/senders`, `AUTO` or `CUSTOM`.
        has_template: whether a webhook with the sender `CUSTOM` has its template already.
        template: only in a record that `find` or `find_by_id` returned.
        is_signed: whether the sender's signature is checked.
        signing_secret: the secret of the signature; only in a record that `find` returned.
        topic_arn: of a webhook with the sender `AWS_SNS`: the only topic whose messages are
            accepted; None until the first one.
        unrecognized: the number of bodies that no mapping understood.
        created_by: the id of the person, like `revoked_by`; None for the command line.
        own_source: its explicit source; None for the default, which is named after it.
        allow_broadcast: whether it may mention everyone in a channel, or a user group.
    """

    id: int
    team_id: str
    name: str
    to: tuple[str, ...] = field(repr=False)
    key_field: str | None
    sender: str
    has_template: bool
    template: str | None = field(repr=False, compare=False)
    is_signed: bool
    signing_secret: str | None = field(repr=False, compare=False)
    topic_arn: str | None
    unrecognized: int = field(compare=False)
    unrecognized_at: datetime | None = field(compare=False)
    created_at: datetime
    created_by: str | None
    revoked_at: datetime | None
    revoked_by: str | None
    own_source: str | None
    allow_broadcast: bool
    use: SenderUse = field(compare=False)

    @property
    def credential(self) -> Credential:
        """The credential stored with its notifications and charged for them."""
        return Credential(SourceKind.WEBHOOK, self.id)

    @property
    def source(self) -> str:
        """The source of its notifications, which other API keys and webhooks may share."""
        return self.own_source or self.credential.name


class Webhooks:
    """The webhooks of all workspaces."""

    def __init__(
        self,
        database: Database,
        public_url: str,
        signals: Signals | None = None,
        limits: SenderLimits | None = None,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._public_url = public_url
        self._signals = signals or Signals()
        self._limits = limits or SenderLimits(database, Limits(), clock=clock)
        self._clock = clock
        # By the hash of the secret: webhooks without a signing secret, which could be replaced.
        # Such a webhook changes only if it is revoked, if it gets a template, or if the id of a
        # channel changes: deliveries to the previous id still arrive.
        self._remembered = RememberedCredentials[WebhookRecord](clock, lifetime=REMEMBERED_FOR)
        # All webhooks that were active when this process last read them.
        self._known = RememberedCredentials[Credential](clock)

    def create(
        self,
        team_id: str,
        name: str,
        to: Sequence[str],
        *,
        key_field: str | None = None,
        sender: str = AUTO,
        signing_secret: str | None = None,
        topic_arn: str | None = None,
        template: str | None = None,
        source: str | None = None,
        allow_broadcast: bool = False,
        created_by: str | None = None,
        created_with: Credential | None = None,
        receipt: str | None = None,
    ) -> str:
        """Create a webhook and return its URL, which is not stored and cannot be shown again.

        Args:
            key_field: the payload field whose value is the notification's key; None: the key of the
                sender's own format.
            sender: the name of a known sender, which the caller has checked.
            signing_secret: the secret that the sender signs with.
            topic_arn: the topic of Amazon SNS, which the caller has checked; None for the first
                whose message arrives.
            template: of a webhook with the sender `CUSTOM`.
            source: shared with other API keys and webhooks; None for the default.
            allow_broadcast: whether it may mention everyone in a channel, or a user group.
            created_by: the id of the person; None for the command line, or with `created_with`.
            created_with: the API key that creates it, which is charged for the request; the
                webhook's creator is the key's.
            receipt: identifies the request; only the first one with a receipt creates a webhook.

        Raises:
            ValueError: one of `to` is not an address, `key_field` is too long, or `source` is not
                a source.
            AlreadyCreatedError: an earlier request with this receipt created its webhook.
            RevokedError, LimitError, NotInstalledError: see `SenderLimits.charge`.
        """
        secret, now = new_webhook_secret(), self._clock()
        row = {
            "team_id": team_id,
            "name": visible(name),
            "secret_hash": hash_of(secret),
            "target": " ".join(dict.fromkeys(map(normal_address, to))),
            "key_field": normal_key_field(key_field),
            "sender": sender,
            "signing_secret": signing_secret,
            "topic_arn": topic_arn,
            "template": template,
            "created_at": now,
            **sender_row(source, allow_broadcast=allow_broadcast),
        }
        with (
            self._limits.counting_rejections(created_with),
            self._database.writing() as session,
        ):
            if created_with is not None:
                # The webhook would outlive a key that was revoked meanwhile.
                charge = Charge(created_with, requests=1)
                self._limits.charge(session.connection(), [charge], now)
                created_by = creator_of(session, created_with.id)
            check_created_once(session, team_id, receipt, now)
            new = insert(Webhook).values({**row, "created_by": created_by})
            webhook_id = session.scalars(new.returning(Webhook.id)).one()
            write_audit(
                session,
                AuditAction.WEBHOOK_CREATED,
                at=now,
                address=client_address(),
                team_id=team_id,
                user_id=created_by,
                credential=f"webhook:{webhook_id}",
            )
        self._signals.admin_data_changed(team_id)
        return f"{self._public_url}{WEBHOOKS_PATH}{secret}"

    def find(self, secret: str) -> WebhookRecord | None:
        """Return the webhook with that secret, revoked or not."""
        with self._database.reading_connection() as connection:
            row = connection.execute(_FIND, {"secret_hash": hash_of(secret)}).first()
        return None if row is None else _record(row)

    def is_known(self, secret: str) -> bool:
        """Whether the webhook with that secret was active when this process last read it."""
        return self._known.find(secret) is not None

    def remember(self, secret: str) -> WebhookRecord | None:
        """Return the webhook with that secret, from memory if possible.

        It may be revoked by now: the transaction that accepts its notification checks that.
        """
        remembered = self._remembered.find(secret)
        if remembered is not None and not self._remembered.is_outdated(secret):
            return remembered
        known, found = self._known.find(secret), self.find(secret)
        if found is None or found.revoked_at is not None:
            if known is not None:
                self.forget(known.id)
            return found
        if known is None:
            self._known.add(secret, found.credential)
        if found.sender == AUTO:
            self._remembered.add(secret, found)
        elif remembered is not None:
            self._remembered.forget(found.id)
        return found

    def forget(self, webhook_id: int) -> None:
        """Drop a revoked webhook from memory, so that its next request is a guess."""
        self._known.forget(webhook_id)
        self._remembered.forget(webhook_id)

    def set_signing_secret(
        self, webhook_id: int, signing_secret: str, senders: Sequence[str]
    ) -> bool:
        """Replace the secret that the sender signs with, from the next request on.

        Args:
            senders: the names of the senders that sign with a secret.

        Returns: whether the webhook exists, is not revoked, and is for one of these senders.
        """
        return self._change(
            AuditAction.WEBHOOK_SIGNING_CHANGED,
            webhook_id,
            Webhook.sender.in_(senders),
            signing_secret=signing_secret,
        )

    def set_topic(self, webhook_id: int, topic_arn: str) -> bool:
        """Accept messages of one topic of Amazon SNS from now on, unless there is one already.

        Args:
            topic_arn: the topic of a message that SNS signed.

        Returns: whether the webhook's topic is this one, in any process.

        Raises:
            RevokedError, NotInstalledError: see `SenderLimits.charge`.
        """
        of_webhook = Webhook.id == webhook_id
        statement = (
            update(Webhook)
            .where(of_webhook, Webhook.topic_arn.is_(None))
            .values(topic_arn=topic_arn)
            .returning(Webhook.team_id)
        )
        charge, now = Charge(Credential(SourceKind.WEBHOOK, webhook_id)), self._clock()
        with self._database.writing() as session:
            self._limits.charge(session.connection(), [charge], now)
            team_id = session.scalars(statement).first()
            if team_id is None:
                known = session.scalars(select(Webhook.topic_arn).where(of_webhook)).first()
                return known == topic_arn
            write_audit(
                session,
                AuditAction.WEBHOOK_TOPIC_SET,
                at=now,
                address=client_address(),
                team_id=team_id,
                credential=f"webhook:{webhook_id}",
            )
        self._signals.admin_data_changed(team_id)
        return True

    def set_template(
        self,
        webhook_id: int,
        template: str | None,
        *,
        team_id: str | None = None,
        changed_by: str | None = None,
    ) -> bool:
        """Map the bodies of a webhook by a template, from the next request on.

        Without one, their sender is recognized again.

        Other processes may map by the earlier one for up to `REMEMBERED_FOR`.

        Args:
            template: in its normal form.
            team_id: if given, the webhook must belong to this workspace.
            changed_by: the id of the person; None for the command line.

        Returns: whether the webhook exists, is not revoked, and its sender does not sign.
        """
        may_change: ColumnElement[bool] = Webhook.signing_secret.is_(None) & (
            Webhook.sender != AWS_SNS
        )
        if team_id is not None:
            may_change &= Webhook.team_id == team_id
        is_changed = self._change(
            AuditAction.WEBHOOK_TEMPLATE_CHANGED,
            webhook_id,
            may_change,
            changed_by,
            sender=AUTO if template is None else CUSTOM,
            template=template,
        )
        if is_changed:
            self._remembered.forget(webhook_id)
        return is_changed

    def _change(
        self,
        action: AuditAction,
        webhook_id: int,
        may_change: ColumnElement[bool],
        changed_by: str | None = None,
        **values: Any,
    ) -> bool:
        """Change a webhook that is not revoked, and write that to the audit log.

        Returns: whether there is such a webhook that may change.
        """
        statement = (
            update(Webhook)
            .where(Webhook.id == webhook_id, Webhook.revoked_at.is_(None), may_change)
            .values(values)
            .returning(Webhook.team_id)
        )
        now = self._clock()
        with self._database.writing() as session:
            record_effect(session, now, None)
            team_id = session.scalars(statement).first()
            if team_id is None:
                return False
            write_audit(
                session,
                action,
                at=now,
                address=client_address(),
                team_id=team_id,
                user_id=changed_by,
                credential=f"webhook:{webhook_id}",
            )
        self._signals.admin_data_changed(team_id)
        return True

    def find_by_id(self, webhook_id: int) -> WebhookRecord | None:
        """Return the webhook with that id, revoked or not."""
        with self._database.reading_connection() as connection:
            row = connection.execute(_FIND_BY_ID, {"webhook_id": webhook_id}).first()
        return None if row is None else _record(row)

    def of_team(self, team_id: str) -> list[WebhookRecord]:
        """Return the webhooks of a workspace, oldest first."""
        return [_record(row) for row in self._database.fetch(_OF_TEAM, {"team_id": team_id})]

    def count(self, team_id: str) -> int:
        """Return the number of webhooks of a workspace, revoked or not."""
        with self._database.reading_connection() as connection:
            of_team = select(func.count()).where(Webhook.team_id == team_id)
            return connection.execute(of_team).scalar_one()

    def revoke(
        self, webhook_id: int, *, team_id: str | None = None, revoked_by: str | None = None
    ) -> str | None:
        """Revoke a webhook.

        Args:
            team_id: if given, the webhook must belong to this workspace.
            revoked_by: the id of the person; None for the command line.

        Returns: its name; None if it does not exist or was already revoked.
        """
        with self._database.writing() as session:
            revoked = revoke_row(
                session,
                Webhook,
                webhook_id,
                team_id=team_id,
                revoked_by=revoked_by,
                now=self._clock(),
            )
        if revoked is None:
            return None
        self._signals.admin_data_changed(revoked.team_id)
        name: str = revoked.name
        return name


def normal_key_field(text: str | None) -> str | None:
    """Return the normal form of a field name; empty means that no field has the key.

    Raises:
        ValueError: it is too long.
    """
    name = None if text is None else visible(text).strip()
    if name is not None and len(name) > KEY_FIELD_LENGTH:
        raise ValueError(f"A field name has at most {KEY_FIELD_LENGTH} characters.")
    return name


def _record(row: Any) -> WebhookRecord:
    return WebhookRecord(
        id=row.id,
        team_id=row.team_id,
        name=row.name,
        to=tuple(row.target.split()),
        key_field=row.key_field,
        sender=row.sender,
        has_template=row.has_template,
        template=getattr(row, "template", None),
        is_signed=row.has_secret or row.sender == AWS_SNS,
        signing_secret=getattr(row, "signing_secret", None),
        topic_arn=row.topic_arn,
        unrecognized=row.unrecognized,
        unrecognized_at=row.unrecognized_at,
        created_at=row.created_at,
        created_by=row.created_by,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
        own_source=row.source,
        allow_broadcast=row.allow_broadcast,
        use=use_of(row),
    )
