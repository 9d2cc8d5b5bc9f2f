"""`/profile` over signed HTTP."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import pytest
from sqlalchemy import func, select

from bolt_app.db.models import Membership, TokenRevocation, User, UserInstallation
from bolt_app.delays import Delays
from bolt_app.installations.tokens.revocations import Revocations
from bolt_app.slack import ids
from bolt_app.slack_api import SlackApi
from slack_sandbox import CommandResult, Fault
from slack_sandbox.deliveries import ANSWER_WITHIN
from slack_sandbox.world import Message
from tests.conftest import FakeClock
from tests.people import ACME, ANN, BEN, GENERAL, NORTH, PLAIN, SOUTH, WES
from tests.running import Bellhop, running_bellhop
from tests.statements import statements_of

pytestmark = pytest.mark.sqlite_only


def ask(bellhop: Bellhop, user_id: str = ANN, words: str = "", channel: str = GENERAL) -> str:
    return shown(bellhop.slack.send_command(user_id, channel, "/profile", words))


def shown(result: CommandResult) -> str:
    assert result.status == 200
    assert result.error is None
    assert result.message is not None
    assert result.message.ephemeral_to is not None
    return json.dumps([result.message.text, result.message.blocks], ensure_ascii=False)


def answer_of(bellhop: Bellhop, user_id: str, words: str) -> Message:
    result = bellhop.slack.send_command(user_id, GENERAL, "/profile", words)
    assert result.message is not None
    return result.message


def last_ephemeral(bellhop: Bellhop, user_id: str) -> dict[str, Any]:
    message = bellhop.slack.ephemerals(user_id)[-1]
    return {"text": message.text, "blocks": message.blocks}


def count(bellhop: Bellhop, model: type) -> int:
    with bellhop.services.database.reading() as session:
        return session.scalars(select(func.count()).select_from(model)).one()


def test_a_person_sees_their_own_linked_profile(bellhop: Bellhop) -> None:
    bellhop.install(ANN)

    text = ask(bellhop)

    for fact in (
        "Ann Archer",
        "ann@acme.example",
        "Head Porter",
        "Eastern European Time",
        "Acme (owner)",
        "users:read.email",
        "Linked since",
        "image_url",
    ):
        assert fact in text


def test_no_call_to_slack_is_made_to_answer(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    before = len(bellhop.slack.calls)

    for _ in range(3):
        ask(bellhop)

    assert len(bellhop.slack.calls) == before


def test_a_request_takes_two_reads(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    ask(bellhop)

    with statements_of(bellhop.services.database) as statements:
        ask(bellhop)

    about_the_request, about_the_profile = statements
    assert "installation_revisions" in about_the_request
    assert "is_deleted" in about_the_request
    assert "memberships" in about_the_profile


def test_facts_are_escaped(bellhop: Bellhop) -> None:
    bellhop.slack.update_user(ANN, real_name="<!channel> & *Ann*", title="a < b")
    bellhop.install(ANN)

    text = ask(bellhop)

    assert '"*<!channel>' not in text
    assert "&lt;!channel&gt; &amp; *Ann*" in text


def test_a_person_without_any_facts(bellhop: Bellhop) -> None:
    bellhop.install(PLAIN)

    text = ask(bellhop, PLAIN)

    assert "Pat Plain" in text
    assert "E-mail" not in text
    assert "Title" not in text


def test_a_person_without_a_profile_gets_a_link_button(bellhop: Bellhop) -> None:
    bellhop.install(ANN)

    text = ask(bellhop, BEN)

    assert "not linked your profile" in text
    assert f"{bellhop.url}/slack/install?only=profile&team={ACME}" in text


def test_the_button_links(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    message = answer_of(bellhop, BEN, "")
    clicked = bellhop.slack.click(BEN, message, ids.LINK_PROFILE)
    assert clicked.status == 200

    bellhop.install(BEN, query=f"?only=profile&team={ACME}")

    assert "Ben Baker" in ask(bellhop, BEN)


def test_the_public_part_of_another_profile(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    bellhop.install(BEN)

    text = ask(bellhop, BEN, "@ann")

    assert "Ann Archer" in text
    assert "Head Porter" in text
    assert "ann@acme.example" not in text
    assert "users:read" not in text


def test_another_profile_that_is_not_linked(bellhop: Bellhop) -> None:
    bellhop.install(ANN)

    assert "has not linked a profile" in ask(bellhop, ANN, "@ben")


def test_asking_for_oneself_by_name(bellhop: Bellhop) -> None:
    bellhop.install(ANN)

    assert "ann@acme.example" in ask(bellhop, ANN, "@ann")


def test_refresh_reads_slack_again(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    user = bellhop.slack.users[ANN]
    user.title = "Concierge"
    user.updated += 10

    assert "Concierge" in ask(bellhop, ANN, "refresh")
    assert "Concierge" in ask(bellhop)


def test_the_refresh_button(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    message = answer_of(bellhop, ANN, "")
    user = bellhop.slack.users[ANN]
    user.title = "Concierge"
    user.updated += 10

    bellhop.slack.click(ANN, message, ids.REFRESH_PROFILE)

    assert "Concierge" in json.dumps(last_ephemeral(bellhop, ANN))


def test_a_refresh_during_an_outage_of_slack_is_reported(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    bellhop.slack.faults.add(Fault(method="users.info", kind="server_error"))

    assert "Slack is not answering" in ask(bellhop, ANN, "refresh")


def test_unlink_asks_first_and_then_forgets_everything(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    question = answer_of(bellhop, ANN, "unlink")
    assert "Unlink your profile?" in question.text
    assert count(bellhop, User) == 1
    token = bellhop.slack.calls_to("users.info")[0].token

    bellhop.slack.click(ANN, question, ids.UNLINK_PROFILE, confirmed=True)

    bellhop.services.background.shutdown(wait=True)
    assert "is unlinked" in last_ephemeral(bellhop, ANN)["text"]
    for model in (User, Membership, UserInstallation, TokenRevocation):
        assert count(bellhop, model) == 0
    (revoked,) = bellhop.slack.calls_to("auth.revoke")
    assert revoked.token == token
    assert bellhop.services.store.find_bot(enterprise_id=None, team_id=ACME) is not None
    assert "not linked your profile" in ask(bellhop)


def test_unlink_ends_the_web_session(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    question = answer_of(bellhop, ANN, "unlink")

    bellhop.slack.click(ANN, question, ids.UNLINK_PROFILE, confirmed=True)

    page = browser.get("/profile")
    assert (page.status, page.location) == (303, f"{bellhop.url}/")


def test_unlink_while_slack_is_down_forgets_and_revokes_later(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    question = answer_of(bellhop, ANN, "unlink")
    bellhop.slack.faults.add(Fault(method="auth.revoke", kind="server_error", times=1))

    bellhop.slack.click(ANN, question, ids.UNLINK_PROFILE, confirmed=True)

    bellhop.services.background.shutdown(wait=True)
    assert count(bellhop, User) == 0
    assert count(bellhop, TokenRevocation) == 1
    assert bellhop.services.revocations.revoke_pending() == (1, [])
    assert count(bellhop, TokenRevocation) == 0


@pytest.mark.both_databases
def test_a_token_that_is_queued_while_another_is_revoked_twice_is_revoked(
    bellhop: Bellhop,
) -> None:
    """Two processes revoke a token; before the slower one ends, another person unlinks."""
    database, revoked = bellhop.services.database, list[str]()

    def queue(token: str) -> None:
        with database.writing() as session:
            session.add(TokenRevocation(token=token, created_at=bellhop.clock()))

    class Slack:
        def call(self, token: str, _method: str) -> dict[str, bool]:
            revoked.append(token)
            if len(revoked) == 1:
                revocations.revoke_pending()
                queue("xoxp-of-ben")
            return {"ok": True}

    revocations = Revocations(database, cast(SlackApi, Slack()))
    queue("xoxp-of-ann")

    for _ in range(2):
        revocations.revoke_pending()

    assert revoked == ["xoxp-of-ann", "xoxp-of-ann", "xoxp-of-ben"]


def test_keeping_the_profile(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    question = answer_of(bellhop, ANN, "unlink")

    bellhop.slack.click(ANN, question, ids.KEEP_PROFILE)

    assert count(bellhop, User) == 1
    assert "Ann Archer" in ask(bellhop)


def test_a_click_twice_on_unlink_changes_nothing_twice(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    first, second = answer_of(bellhop, ANN, "unlink"), answer_of(bellhop, ANN, "unlink")

    for question in (first, second):
        result = bellhop.slack.click(ANN, question, ids.UNLINK_PROFILE, confirmed=True)
        assert result.status == 200

    assert count(bellhop, User) == 0


@pytest.mark.parametrize("words", ["help", "HELP", "who am I", "@nobody", "<script>"])
def test_unknown_words_get_help(bellhop: Bellhop, words: str) -> None:
    bellhop.install(ANN)

    text = ask(bellhop, ANN, words)

    assert "*Commands*" in text
    assert "<script>" not in text


def test_a_pending_profile_is_recorded_with_the_next_request(bellhop: Bellhop) -> None:
    bellhop.slack.faults.add(Fault(method="users.info", kind="server_error", times=1))
    bellhop.install(ANN)
    assert count(bellhop, User) == 0

    assert "ann@acme.example" in ask(bellhop)


def test_a_dead_token_is_recorded_and_reported(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    fault = Fault(method="users.info", kind="api_error", error="token_revoked", times=1)
    bellhop.slack.faults.add(fault)

    assert "no longer accepts" in ask(bellhop, ANN, "refresh")
    assert "Link your profile again" in ask(bellhop)

    bellhop.install(ANN)
    assert "ann@acme.example" in ask(bellhop)


def test_without_an_installation_the_reply_explains_what_to_do(bellhop: Bellhop) -> None:
    bellhop.install(ANN)
    bellhop.services.store.delete_all(enterprise_id=None, team_id=ACME)

    text = ask(bellhop)

    assert "no longer works" in text
    assert f"<{bellhop.url}/|Add Bellhop to Slack again>" in text


def test_an_organization_wide_installation_serves_every_workspace(bellhop: Bellhop) -> None:
    bellhop.install(WES, whole_organization=True)

    for team_id in (NORTH, SOUTH):
        channel = next(c.id for c in bellhop.slack.channels.values() if c.team_id == team_id)
        result = bellhop.slack.send_command(WES, channel, "/profile", "")
        assert "Wes Wide" in shown(result)


def test_slack_gives_up_after_what_is_acknowledged() -> None:
    assert Delays().acknowledgement < ANSWER_WITHIN


def test_slow_slack_is_answered_in_time_and_the_answer_follows(
    database_url: str, encryption_key: str, clock: FakeClock
) -> None:
    quick = replace(Delays(), acknowledgement=0.2)
    with running_bellhop(database_url, encryption_key, clock, delays=quick) as bellhop:
        bellhop.install(ANN)
        bellhop.slack.users[ANN].title = "Concierge"
        bellhop.slack.users[ANN].updated += 10
        bellhop.slack.faults.add(Fault(method="users.info", kind="latency", seconds=1))

        result = bellhop.slack.send_command(ANN, GENERAL, "/profile", "refresh")

        assert result.error is None
        assert result.elapsed < 1
        bellhop.wait_for_ephemeral(ANN, "Concierge")
