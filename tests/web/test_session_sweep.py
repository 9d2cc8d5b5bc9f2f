"""Every page, with every kind of invalid session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import delete, update
from werkzeug.routing import Rule

from bolt_app.db.models import User, WebSession
from bolt_app.db.web_sessions import ABSOLUTE_TIMEOUT, IDLE_TIMEOUT
from bolt_app.slack_api import SlackCallError
from bolt_app.web.sessions import CookieSessions
from slack_sandbox import Fault
from slack_sandbox.tokens import InstallKey
from tests.commands import run
from tests.notifications.hand import Hand, accept
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop, Browser
from tests.slack.test_late_events import send as send_late
from tests.web.calling import request
from tests.web.forms import csrf_of, send_form
from tests.web.methods.calling import method_caller
from tests.web.methods.uploading import share

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

# Blueprints without sessions: they take keys or signatures, or show nothing about people.
WITHOUT_SESSION = {"api", "methods", "uploads", "webhooks", "health", "slack"}
PUBLIC = {"pages.static", "pages.home"}
PRIVATE_WORDS = ("Ann Archer", "ann@acme.example", "Head Porter", "the safe is open", "csrf_token")


def routes(bellhop: Bellhop) -> Iterator[tuple[str, Rule]]:
    """Every route that may use a session, including new ones, with each of its methods."""
    for rule in bellhop.app.url_map.iter_rules():
        if rule.endpoint.split(".")[0] in WITHOUT_SESSION or rule.endpoint == "pages.static":
            continue
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method, rule


def cookie(browser: Browser) -> str:
    return next(one.value or "" for one in browser.cookies if one.name == "bellhop")


def replace_cookie(browser: Browser, value: str) -> None:
    for one in browser.cookies:
        if one.name == "bellhop":
            one.value = value


def never_signed_in(_bellhop: Bellhop, browser: Browser) -> None:
    browser.cookies.clear()


def signed_out(_bellhop: Bellhop, browser: Browser) -> None:
    """A copy of the cookie is used after its owner signed out."""
    copy = cookie(browser)
    kept = next(one for one in browser.cookies if one.name == "bellhop")
    send_form(browser, "/signout")
    browser.cookies.set_cookie(kept)
    replace_cookie(browser, copy)


def signed_in_again(bellhop: Bellhop, browser: Browser) -> None:
    """A copy of the cookie is used after its owner signed in again."""
    copy = cookie(browser)
    bellhop.install(ANN, browser=browser)
    assert cookie(browser) != copy
    replace_cookie(browser, copy)


def ended_by_command(bellhop: Bellhop, _browser: Browser) -> None:
    assert run(bellhop, "session", "end", "1").exit_code == 0


def ended_by_command_for_the_person(bellhop: Bellhop, _browser: Browser) -> None:
    assert run(bellhop, "session", "end", "--team", ACME, "--user", ANN).exit_code == 0


def idle(bellhop: Bellhop, _browser: Browser) -> None:
    bellhop.clock.advance(IDLE_TIMEOUT.total_seconds())


def too_old(bellhop: Bellhop, browser: Browser) -> None:
    """The session was in constant use for thirty days."""
    bellhop.clock.advance(ABSOLUTE_TIMEOUT.total_seconds())
    with bellhop.services.database.writing() as session:
        session.execute(update(WebSession).values(last_seen_at=bellhop.clock()))


def unlinked(bellhop: Bellhop, _browser: Browser) -> None:
    stored = bellhop.services.installations.find(enterprise_id=None, team_id=ACME, user_id=ANN)
    assert stored is not None
    bellhop.services.lifecycle.profiles.unlink(stored)


def linked_again(bellhop: Bellhop, browser: Browser) -> None:
    """The person unlinked, and came back in another browser."""
    unlinked(bellhop, browser)
    bellhop.install(ANN)


def deactivated(bellhop: Bellhop, _browser: Browser) -> None:
    bellhop.slack.update_user(ANN, deleted=True)
    bellhop.slack.deliver_due()


def deactivated_and_back(bellhop: Bellhop, browser: Browser) -> None:
    deactivated(bellhop, browser)
    bellhop.clock.advance(1)
    bellhop.slack.update_user(ANN, deleted=False)
    bellhop.slack.deliver_due()


def found_deactivated_and_back(bellhop: Bellhop, _browser: Browser) -> None:
    """The events were lost, but Bellhop learned of both changes from `users.info`."""
    for is_deleted in (True, False):
        bellhop.slack.users[ANN].deleted = is_deleted
        record(bellhop)


def seen_deactivated_and_back(bellhop: Bellhop, browser: Browser) -> None:
    """The events were lost; a page was asked for meanwhile."""
    bellhop.clock.advance(61)
    bellhop.slack.users[ANN].deleted = True
    assert browser.get("/profile").status == 303
    bellhop.slack.users[ANN].deleted = False
    bellhop.clock.advance(61)


def seen_deactivated_before_an_outage(bellhop: Bellhop, browser: Browser) -> None:
    """Slack no longer says what it said."""
    bellhop.clock.advance(61)
    bellhop.slack.users[ANN].deleted = True
    assert browser.get("/profile").status == 303
    bellhop.slack.faults.add(Fault("users.info", "server_error"))
    bellhop.clock.advance(61)


def deactivated_without_a_profile(bellhop: Bellhop, browser: Browser) -> None:
    """Slack did not answer at the sign-in; the event was lost."""
    with bellhop.services.database.writing() as session:
        session.execute(delete(User).where(User.user_id == ANN))
    bellhop.clock.advance(61)
    bellhop.slack.users[ANN].deleted = True
    assert browser.get("/profile/data").status == 303


def deactivated_reported_late(bellhop: Bellhop, browser: Browser) -> None:
    """The account is active again when the event of its deactivation arrives."""
    bellhop.clock.advance(60)
    gone = {"id": ANN, "team_id": ACME, "deleted": True, "updated": int(bellhop.clock.timestamp())}
    bellhop.clock.advance(60)
    bellhop.slack.update_user(ANN, title="Back again")
    again, _ = bellhop.install(ANN)
    bellhop.slack.deliver_due()
    assert browser.get("/profile").status == 200
    bellhop.slack.send_event(ACME, {"type": "user_change", "user": gone})
    assert again.get("/profile").status == 200


def revoked(bellhop: Bellhop, _browser: Browser) -> None:
    bellhop.slack.revoke_tokens(ACME, users=[ANN])
    bellhop.settle()


def revoked_and_linked_again(bellhop: Bellhop, browser: Browser) -> None:
    """The person signed in again before Slack reported that they had removed the app."""
    bellhop.install(BEN)
    assert bellhop.slack.tokens.revoke(InstallKey(None, ACME), "user", ANN)
    bellhop.clock.advance(60)
    again, _ = bellhop.install(ANN, query="?only=profile")
    # Bellhop asked about the token that was replaced.
    assert browser.get("/profile").status == 303
    revocation = {"type": "tokens_revoked", "tokens": {"oauth": [ANN], "bot": []}}
    send_late(bellhop, revocation, seconds_ago=60)
    assert again.get("/profile").status == 200


def found_revoked(bellhop: Bellhop, _browser: Browser) -> None:
    """No event arrived, but Slack rejects the person's token."""
    bellhop.slack.faults.add(Fault("users.info", "api_error", error="token_revoked", times=1))
    with pytest.raises(SlackCallError):
        record(bellhop)


def found_revoked_and_linked_again(bellhop: Bellhop, browser: Browser) -> None:
    found_revoked(bellhop, browser)
    again, _ = bellhop.install(ANN)
    assert again.get("/profile").status == 200


def found_invalid_and_linked_again(bellhop: Bellhop, browser: Browser) -> None:
    """Slack rejected the token for another reason, and the person granted a new one."""
    bellhop.slack.faults.add(Fault("users.info", "api_error", error="invalid_auth", times=1))
    with pytest.raises(SlackCallError):
        record(bellhop)
    assert browser.get("/profile").status == 200
    again, _ = bellhop.install(ANN)
    assert again.get("/profile").status == 200


def record(bellhop: Bellhop) -> None:
    stored = bellhop.services.installations.find(enterprise_id=None, team_id=ACME, user_id=ANN)
    assert stored is not None
    bellhop.services.profiles.record(stored)


def uninstalled(bellhop: Bellhop, _browser: Browser) -> None:
    bellhop.slack.uninstall(ACME)
    bellhop.settle()


def installed_again(bellhop: Bellhop, browser: Browser) -> None:
    """The app was uninstalled, and installed by the same person in another browser."""
    uninstalled(bellhop, browser)
    bellhop.install(ANN)


def installed_again_before_the_event(bellhop: Bellhop, browser: Browser) -> None:
    """The uninstall is reported when another person has installed the app again."""
    bellhop.slack.tokens.uninstall(InstallKey(None, ACME))
    bellhop.clock.advance(60)
    again, _ = bellhop.install(BEN)
    assert browser.get("/profile").status == 303
    send_late(bellhop, {"type": "app_uninstalled"}, seconds_ago=60)
    assert again.get("/profile").status == 200


def installed_again_without_the_event(bellhop: Bellhop, browser: Browser) -> None:
    """Slack rejected the bot's token, and another person installed the app again."""
    bot = Fault("auth.test", "api_error", error="account_inactive", times=1)
    bellhop.slack.faults.add(bot)
    bellhop.services.client.verify_bot(bellhop.services.client.find_workspace(ACME))
    assert browser.get("/profile").status == 200
    again, _ = bellhop.install(BEN)
    assert again.get("/profile").status == 200


def empty_cookie(_bellhop: Bellhop, browser: Browser) -> None:
    replace_cookie(browser, "")


def changed_cookie(_bellhop: Bellhop, browser: Browser) -> None:
    payload, _, signature = cookie(browser).partition(".")
    replace_cookie(browser, f"{payload}A.{signature}")


def cookie_of_another_secret(bellhop: Bellhop, browser: Browser) -> None:
    signer = CookieSessions().get_signing_serializer(bellhop.app)
    assert signer is not None
    known = signer.loads(cookie(browser))
    signer.secret_keys = [b"another-secret-of-32-characters-"]
    replace_cookie(browser, str(signer.dumps(known)))


def cookie_of_an_earlier_version(bellhop: Bellhop, browser: Browser) -> None:
    signer = CookieSessions().get_signing_serializer(bellhop.app)
    assert signer is not None
    replace_cookie(browser, str(signer.dumps({"installation_id": 1})))


def cookie_with_the_stored_hash(bellhop: Bellhop, browser: Browser) -> None:
    """A cookie forged with access to the database and the secret."""
    signer = CookieSessions().get_signing_serializer(bellhop.app)
    assert signer is not None
    with bellhop.services.database.reading() as session:
        stored = session.query(WebSession.token_hash).scalar()
    replace_cookie(browser, str(signer.dumps({**signer.loads(cookie(browser)), "session": stored})))


STATES: list[Callable[[Bellhop, Browser], None]] = [
    never_signed_in,
    signed_out,
    signed_in_again,
    ended_by_command,
    ended_by_command_for_the_person,
    idle,
    too_old,
    unlinked,
    linked_again,
    deactivated,
    deactivated_and_back,
    found_deactivated_and_back,
    seen_deactivated_and_back,
    seen_deactivated_before_an_outage,
    deactivated_without_a_profile,
    deactivated_reported_late,
    revoked,
    revoked_and_linked_again,
    found_revoked,
    found_revoked_and_linked_again,
    found_invalid_and_linked_again,
    uninstalled,
    installed_again,
    installed_again_before_the_event,
    installed_again_without_the_event,
    empty_cookie,
    changed_cookie,
    cookie_of_another_secret,
    cookie_of_an_earlier_version,
    cookie_with_the_stored_hash,
]


def replace_names(path: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        path = path.replace(name, value)
    return path


def ask(browser: Browser, method: str, path: str, csrf: str) -> tuple[int, str]:
    if method == "GET":
        page = browser.get(path)
    else:
        form = {"csrf_token": csrf, "channel_id": GENERAL, "answer": "join"}
        page = browser.post(path, form)
    return page.status, page.text


@pytest.mark.slow
@pytest.mark.parametrize("spoil", STATES, ids=lambda state: str(state.__name__))
def test_no_page_shows_or_does_anything_without_a_good_session(
    bellhop: Bellhop, spoil: Callable[[Bellhop, Browser], None]
) -> None:
    browser, _ = bellhop.install(ANN)
    ids = {
        "<notification_id>": accept(bellhop, ANN, "the safe is open"),
        "<file_id>": share(method_caller(bellhop), ANN, b"the safe is open"),
        "<webhook_id>": "1",
    }
    Hand(bellhop).deliver()
    webhook = bellhop.services.webhooks.create(ACME, "", [ANN])
    assert request("POST", webhook, b'{"text": "the safe is open"}').status == 200
    paths = [
        (method, replace_names(str(rule.rule), ids), rule.endpoint)
        for method, rule in routes(bellhop)
    ]
    csrf = csrf_of(browser)
    for method, path, endpoint in paths:
        if method == "GET" and endpoint not in PUBLIC:
            assert ask(browser, method, path, csrf)[0] == 200
    said = len(bellhop.slack.messages(GENERAL))

    spoil(bellhop, browser)

    for method, path, endpoint in paths:
        status, text = ask(browser, method, path, csrf)
        # A form without our cookie has no token to match (400).
        refused = (303, 400) if method == "POST" else (303, 403)
        assert status == 200 if endpoint in PUBLIC else status in refused, (method, path, status)
        assert [words for words in PRIVATE_WORDS if words in text] == [], (method, path)
    assert len(bellhop.slack.messages(GENERAL)) == said


def test_the_sweep_knows_the_pages(bellhop: Bellhop) -> None:
    found = {rule.endpoint for _, rule in routes(bellhop)}

    assert found == {
        "files.download",
        "files.file",
        "notifications.notification",
        "pages.channels",
        "pages.data",
        "pages.hello",
        "pages.home",
        "pages.join",
        "pages.profile",
        "pages.signout",
        "pages.unlink",
        "webhook_pages.change",
        "webhook_pages.webhook",
    }


def test_a_session_in_use_lives_for_thirty_days(bellhop: Bellhop) -> None:
    browser, _ = bellhop.install(ANN)
    steps = int(ABSOLUTE_TIMEOUT / timedelta(hours=11))
    for _ in range(steps):
        bellhop.clock.advance(11 * 3600)
        assert browser.get("/").text.count("Ann Archer") == 1
    bellhop.clock.advance(11 * 3600)

    assert "Ann Archer" not in browser.get("/").text
