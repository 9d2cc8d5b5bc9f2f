"""API keys and webhooks in the App Home of admins, over signed HTTP."""

from __future__ import annotations

import json
import logging
import re
import threading
from typing import Any

import pytest

from bolt_app.credentials.api_keys import ApiKeys
from bolt_app.credentials.create_once import AlreadyCreatedError
from bolt_app.db import Database
from bolt_app.logs import redact
from bolt_app.notifications.subscriptions.service import SubscriptionSpec
from bolt_app.slack import ids
from slack_sandbox import Fault
from slack_sandbox.errors import ConfirmationNeededError
from slack_sandbox.world import View
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, BEA, BEN, BETA, GENERAL
from tests.running import Bellhop, Page
from tests.senders.test_sns import TOPIC
from tests.slack.test_home import choose_from_menu
from tests.web.calling import Caller, request

LEADS = "C0ACME0006"
OWN_SECRET = "the secret that Sentry shows"
_SECRET = re.compile(r"```(.+?)```")


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    return bellhop


def home(bellhop: Bellhop, user_id: str = ANN, team_id: str = ACME) -> View:
    """Open the App Home as a person."""
    bellhop.slack.open_home(user_id, team_id)
    bellhop.slack.deliver_due()
    view = bellhop.slack.home_view(team_id, user_id)
    assert view is not None
    return view


def text_of(view: View | None) -> str:
    assert view is not None
    return json.dumps(view.blocks, ensure_ascii=False)


def open_form(bellhop: Bellhop, action_id: str) -> View:
    bellhop.slack.click(ANN, home(bellhop), action_id)
    modal = bellhop.slack.open_modal(ANN)
    assert modal is not None
    return modal


def key_values(**given: Any) -> dict[str, dict[str, Any]]:
    values = {
        "name": "ci",
        "scopes": ["send"],
        "channels": "",
        "lifetime": "never",
        **given,
    }
    return {block_id: {"value": value} for block_id, value in values.items()}


def hook_values(**given: Any) -> dict[str, dict[str, Any]]:
    values = {"name": "Grafana", "target": GENERAL, "sender": "auto", **given}
    return {block_id: {"value": value} for block_id, value in values.items()}


def create_key(bellhop: Bellhop, **given: Any) -> str:
    """Create a key as Ann; return its secret."""
    modal = open_form(bellhop, ids.NEW_API_KEY)
    result = bellhop.slack.submit_view(ANN, modal.id, key_values(**given))
    assert (result.error, result.errors) == (None, {})
    return shown_secret(bellhop)


def shown_secret(bellhop: Bellhop) -> str:
    found = _SECRET.search(text_of(bellhop.slack.open_modal(ANN)))
    assert found is not None
    return found[1]


def post(url: str) -> Page:
    headers = {"Content-Type": "application/json"}
    return request("POST", url, b'{"text": "Hello"}', headers)


@pytest.mark.sqlite_only
def test_only_admins_see_them(installed: Bellhop) -> None:
    assert "API keys and webhooks" in text_of(home(installed))
    assert "API keys and webhooks" not in text_of(home(installed, BEN))


@pytest.mark.sqlite_only
def test_an_admin_who_is_not_linked_sees_them(installed: Bellhop) -> None:
    installed.slack.users[BEN].is_admin = True

    assert "API keys and webhooks" in text_of(home(installed, BEN))


def test_the_form_does_not_offer_the_scope_for_people(installed: Bellhop) -> None:
    shown = text_of(open_form(installed, ids.NEW_API_KEY))

    assert '"admin"' in shown
    assert '"users"' not in shown


def test_a_key_is_made_and_shown_once(installed: Bellhop) -> None:
    secret = create_key(installed, name="a `CI` <server>", channels="#General, topic:deploys")

    [key] = installed.services.api_keys.of_team(ACME)
    assert key == installed.services.api_keys.find(secret)
    assert (key.name, key.created_by, key.scopes) == ("a `CI` <server>", ANN, frozenset({"send"}))
    assert key.channels == ("#general", "topic:deploys")
    assert key.expires_at is None
    modal = text_of(installed.slack.open_modal(ANN))
    assert f"<@{ANN}> created the API key `a 'CI' &lt;server&gt;`" in modal
    text = text_of(home(installed))
    assert secret not in text
    assert "API key `a 'CI' &lt;server&gt;`: send, only to `#general`, `topic:deploys`" in text
    assert f"created by <@{ANN}>, <!date^" in text


def test_a_key_made_at_home_opens_the_api(installed: Bellhop) -> None:
    secret = create_key(installed, scopes=["send", "read"], lifetime="30")

    caller = Caller(installed.url, secret)
    assert caller.send({"to": GENERAL, "text": "x"}).status == 202
    assert ", to anywhere\\ncreated by" in text_of(home(installed))
    assert "active until <!date^" in text_of(home(installed))
    installed.clock.advance(31 * 24 * 3600)
    assert caller.send({"to": GENERAL, "text": "x"}).status == 401


@pytest.mark.sqlite_only
def test_a_secret_is_in_no_log(installed: Bellhop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    secret = create_key(installed)

    assert secret not in redact(caplog.text)


def test_a_modal_submitted_many_times_makes_one_key(installed: Bellhop) -> None:
    modal = open_form(installed, ids.NEW_API_KEY)
    results: list[Any] = []

    def submit() -> None:
        results.append(installed.slack.submit_view(ANN, modal.id, key_values()))

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert len(installed.services.api_keys.of_team(ACME)) == 1
    bodies = [json.dumps(one.body) for one in results]
    assert sum("```bh_" in one for one in bodies) == 1
    assert sum("already created" in one for one in bodies) == 3, bodies


def test_two_processes_make_one_key_of_one_request(
    bellhop: Bellhop, database_url: str, encryption_key: str
) -> None:
    databases = [Database(database_url, [encryption_key]) for _ in range(2)]
    barrier, made, refused = threading.Barrier(2), [], []

    def make(database: Database) -> None:
        keys = ApiKeys(database)
        barrier.wait()
        try:
            made.append(keys.create(ACME, "ci", receipt="view:V1"))
        except AlreadyCreatedError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=make, args=(one,)) for one in databases]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for database in databases:
        database.close()

    assert len(made) == len(refused) == 1
    assert len(bellhop.services.api_keys.of_team(ACME)) == 1


@pytest.mark.sqlite_only
def test_a_blank_name_is_rejected(installed: Bellhop) -> None:
    modal = open_form(installed, ids.NEW_API_KEY)

    result = installed.slack.submit_view(ANN, modal.id, key_values(name="  "))

    assert "Enter a name" in result.errors["name"]
    assert installed.services.api_keys.of_team(ACME) == []


@pytest.mark.sqlite_only
def test_an_invalid_address_is_reported_beside_its_input(installed: Bellhop) -> None:
    modal = open_form(installed, ids.NEW_API_KEY)

    result = installed.slack.submit_view(ANN, modal.id, key_values(channels="ops"))

    assert "is not a recipient" in result.errors["channels"]
    assert installed.services.api_keys.of_team(ACME) == []
    again = installed.slack.submit_view(ANN, modal.id, key_values(channels="#ops"))
    assert again.errors == {}
    assert len(installed.services.api_keys.of_team(ACME)) == 1


def test_a_webhook_is_created_and_accepts_messages(installed: Bellhop) -> None:
    modal = open_form(installed, ids.NEW_WEBHOOK)

    installed.slack.submit_view(ANN, modal.id, hook_values())

    url = shown_secret(installed)
    assert post(url).status == 200
    text = text_of(home(installed))
    assert f"Webhook `Grafana`: to <#{GENERAL}>" in text
    assert url not in text


def test_a_webhook_reads_the_key_from_a_field(installed: Bellhop) -> None:
    modal = open_form(installed, ids.NEW_WEBHOOK)
    given = hook_values(key_field=" alertname ")

    assert installed.slack.submit_view(ANN, modal.id, given).errors == {}

    [hook] = installed.services.webhooks.of_team(ACME)
    assert hook.key_field == "alertname"
    assert "key from `alertname`" in text_of(home(installed))


@pytest.mark.sqlite_only
def test_a_key_field_is_checked_alike_everywhere(installed: Bellhop) -> None:
    modal, long = open_form(installed, ids.NEW_WEBHOOK), "x" * 256

    result = installed.slack.submit_view(ANN, modal.id, hook_values(key_field=long))

    assert "at most 255 characters" in result.errors["key_field"]
    with pytest.raises(ValueError, match="at most 255 characters"):
        installed.services.webhooks.create(ACME, "", [GENERAL], key_field=long)
    assert installed.services.webhooks.of_team(ACME) == []


@pytest.mark.sqlite_only
def test_a_hook_for_a_tool_that_signs_shows_its_secret(installed: Bellhop) -> None:
    modal = open_form(installed, ids.NEW_WEBHOOK)

    installed.slack.submit_view(ANN, modal.id, hook_values(sender="github"))

    url, secret = _SECRET.findall(text_of(installed.slack.open_modal(ANN)))
    hook = installed.services.webhooks.find(url.rpartition("/")[2])
    assert hook is not None
    assert (hook.sender, hook.signing_secret) == ("github", secret)
    text = text_of(home(installed))
    assert "from GitHub, signed" in text
    assert secret not in text


@pytest.mark.sqlite_only
def test_a_hook_for_a_tool_that_shows_its_secret_is_not_signed_yet(installed: Bellhop) -> None:
    modal = open_form(installed, ids.NEW_WEBHOOK)

    installed.slack.submit_view(ANN, modal.id, hook_values(sender="pagerduty"))

    assert "the secret that PagerDuty shows" in text_of(installed.slack.open_modal(ANN))
    assert "from PagerDuty, not signed yet" in text_of(home(installed))
    installed.services.webhooks.set_signing_secret(1, "of PagerDuty", ["pagerduty"])
    assert "from PagerDuty, signed" in text_of(home(installed))


@pytest.mark.sqlite_only
def test_a_hook_for_a_tool_that_shows_its_secret_is_signed_with_it(installed: Bellhop) -> None:
    modal = open_form(installed, ids.NEW_WEBHOOK)
    given = hook_values(sender="sentry", signing_secret=f" {OWN_SECRET} ")

    installed.slack.submit_view(ANN, modal.id, given)

    shown = text_of(installed.slack.open_modal(ANN))
    assert OWN_SECRET not in shown
    assert "unsigned" not in shown
    assert post(shown_secret(installed)).text == "invalid_signature"
    assert "from Sentry, signed" in text_of(home(installed))


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("sender", "secret", "error"),
    [
        ("github", OWN_SECRET, "only for tools that show a secret of their own"),
        ("auto", OWN_SECRET, "only for tools that show a secret of their own"),
        ("sentry", "x" * 201, "1 to 200 characters"),
    ],
)
def test_the_secret_of_a_tool_is_checked(
    installed: Bellhop, sender: str, secret: str, error: str
) -> None:
    modal = open_form(installed, ids.NEW_WEBHOOK)
    given = hook_values(sender=sender, signing_secret=secret)

    result = installed.slack.submit_view(ANN, modal.id, given)

    assert error in result.errors["signing_secret"]
    assert installed.services.webhooks.of_team(ACME) == []


@pytest.mark.sqlite_only
def test_a_hook_for_amazon_sns_shows_its_topic(installed: Bellhop) -> None:
    modal = open_form(installed, ids.NEW_WEBHOOK)
    installed.slack.submit_view(ANN, modal.id, hook_values(sender="aws-sns"))

    installed.services.webhooks.set_topic(1, TOPIC)

    assert f"from Amazon SNS, signed  •  topic `{TOPIC}`" in text_of(home(installed))


def test_messages_in_an_unknown_format_are_counted_at_home(installed: Bellhop) -> None:
    url = installed.services.webhooks.create(ACME, "", [GENERAL])

    request("POST", url, b'{"disk": "full"}')

    assert "1 in an unknown format, last <!date^" in text_of(home(installed))


def test_a_webhook_with_a_template_is_shown_with_its_page(installed: Bellhop) -> None:
    modal = open_form(installed, ids.NEW_WEBHOOK)
    result = installed.slack.submit_view(ANN, modal.id, hook_values(sender="custom"))
    assert result.errors == {}
    url = shown_secret(installed)

    before = text_of(home(installed))
    installed.services.webhooks.set_template(1, "{{ 1 / 0 }}")
    request("POST", url, b'{"disk": "full"}')
    after = text_of(home(installed))

    assert "its template is not written yet" in before
    assert f"<{installed.url}/webhooks/1|latest messages and template>" in before
    assert "with its own template" in after
    assert "1 with a failed template, last <!date^" in after


@pytest.mark.sqlite_only
def test_a_webhook_without_a_name_is_shown_by_its_id(installed: Bellhop) -> None:
    installed.services.webhooks.create(ACME, "", [GENERAL])

    assert f"Webhook `1`: to <#{GENERAL}>" in text_of(home(installed))


@pytest.mark.sqlite_only
def test_a_webhook_for_a_private_channel_requires_an_invitation(installed: Bellhop) -> None:
    modal = open_form(installed, ids.NEW_WEBHOOK)

    result = installed.slack.submit_view(ANN, modal.id, hook_values(target=LEADS))

    assert "/invite @Bellhop" in result.errors["target"]
    installed.slack.invite_bot(ANN, LEADS)
    assert installed.slack.submit_view(ANN, modal.id, hook_values(target=LEADS)).errors == {}


def test_revoking_asks_first_and_names_the_person(installed: Bellhop) -> None:
    secret = create_key(installed)
    view = home(installed)
    with pytest.raises(ConfirmationNeededError):
        installed.slack.click(ANN, view, ids.REVOKE_API_KEY)

    installed.slack.click(ANN, view, ids.REVOKE_API_KEY, confirmed=True)

    key = installed.services.api_keys.find(secret)
    assert key is not None
    assert key.revoked_by == ANN
    text = text_of(installed.slack.home_view(ACME, ANN))
    assert f"<@{ANN}> revoked the API key `ci`" in text
    assert f"revoked by <@{ANN}>" in text
    installed.slack.click(ANN, view, ids.REVOKE_API_KEY, confirmed=True)
    assert "was already revoked" in text_of(installed.slack.home_view(ACME, ANN))


def test_a_webhook_is_revoked(installed: Bellhop) -> None:
    url = installed.services.webhooks.create(ACME, "", [GENERAL])

    installed.slack.click(ANN, home(installed), ids.REVOKE_WEBHOOK, confirmed=True)

    assert post(url).status == 404
    assert "revoked the webhook" in text_of(installed.slack.home_view(ACME, ANN))


class TestWhoIsNoAdminAnyMore:
    """The buttons are still shown, but Slack reports the current role."""

    def demote(self, bellhop: Bellhop) -> None:
        user = bellhop.slack.users[ANN]
        user.is_admin = user.is_owner = user.is_primary_owner = False

    @pytest.mark.sqlite_only
    @pytest.mark.parametrize("action_id", [ids.NEW_API_KEY, ids.NEW_WEBHOOK])
    def test_the_reason_is_shown_in_a_modal(self, installed: Bellhop, action_id: str) -> None:
        view = home(installed)
        self.demote(installed)

        installed.slack.click(ANN, view, action_id)

        modal = installed.slack.open_modal(ANN)
        assert modal is not None
        assert "Only admins of this workspace can create" in text_of(modal)
        assert modal.submit is None

    @pytest.mark.sqlite_only
    def test_makes_nothing(self, installed: Bellhop) -> None:
        key = open_form(installed, ids.NEW_API_KEY)
        self.demote(installed)
        result = installed.slack.submit_view(ANN, key.id, key_values())

        assert "Only admins of this workspace can create" in result.errors["name"]
        assert installed.services.api_keys.of_team(ACME) == []

    @pytest.mark.sqlite_only
    def test_revokes_nothing(self, installed: Bellhop) -> None:
        secret = create_key(installed)
        view = home(installed)
        self.demote(installed)

        installed.slack.click(ANN, view, ids.REVOKE_API_KEY, confirmed=True)

        key = installed.services.api_keys.find(secret)
        assert key is not None
        assert key.revoked_at is None
        assert "Only admins of this workspace can create" in text_of(
            installed.slack.home_view(ACME, ANN)
        )


def test_the_keys_of_another_workspace_are_out_of_reach(installed: Bellhop) -> None:
    installed.install(BEA)
    installed.services.api_keys.create(BETA, "beta's own")

    assert "beta's own" not in text_of(home(installed))
    assert installed.services.api_keys.revoke(1, team_id=ACME) is None
    assert installed.services.api_keys.revoke(1, team_id=BETA) == "beta's own"


@pytest.mark.sqlite_only
def test_the_fullest_home_is_one_that_slack_takes(installed: Bellhop) -> None:
    services = installed.services
    for number in range(60):
        services.subscriptions.subscribe(
            ACME, ANN, SubscriptionSpec(f"topic-{number}", created_by=ANN)
        )
    for number in range(20):
        services.api_keys.create(ACME, f"key {number} " + "x" * 80, channels=["#ops"] * 30)
        services.webhooks.create(ACME, f"hook {number} " + "x" * 80, [GENERAL])
    installed.slack.faults.add(Fault("chat.postMessage", "api_error", error="restricted_action"))
    for _ in range(6):
        accept(installed, GENERAL, title="Disk full")
        installed.clock.advance(2)
        Hand(installed).deliver()
    view = home(installed)

    choose_from_menu(installed, view, "unsubscribe", "topic-0")
    installed.wait_for_home(ACME, ANN, "unsubscribed themselves")
    installed.slack.click(ANN, home(installed), ids.REVOKE_API_KEY, confirmed=True)
    installed.wait_for_home(ACME, ANN, "revoked the API key")

    shown = installed.slack.home_view(ACME, ANN)
    assert shown is not None
    assert "… and 24 more" in text_of(shown)
    assert text_of(shown).count("notification.retry") == 5
    assert len(shown.blocks) <= 100
