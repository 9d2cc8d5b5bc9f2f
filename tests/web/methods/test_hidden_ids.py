"""User ids: a key without the scope `users` does not learn them from e-mail addresses."""

from __future__ import annotations

from typing import Any

import pytest

from bolt_app.credentials.api_keys import Scope
from bolt_app.web.methods import METHODS
from tests.notifications.hand import Hand
from tests.people import ACME, ANN, BEN
from tests.running import Bellhop
from tests.web.calling import NOTIFICATIONS, Caller
from tests.web.methods.calling import MethodCaller, method_caller
from tests.web.methods.test_access import RANDOM, arguments
from tests.web.methods.test_messages import grant_reactions
from tests.web.methods.uploading import upload

pytestmark = pytest.mark.sqlite_only

EMAIL = "ben@acme.example"


@pytest.fixture
def installed(bellhop: Bellhop) -> Bellhop:
    bellhop.install(ANN)
    grant_reactions(bellhop)
    return bellhop


class Written:
    """Messages of a key to an e-mail address: one in Slack, and one that is scheduled."""

    def __init__(self, bellhop: Bellhop, who: MethodCaller) -> None:
        at = int(bellhop.clock.timestamp()) + 3600
        self.posted = who.ok("chat.postMessage", channel=EMAIL, text="x")["ts"]
        later = who.ok("chat.scheduleMessage", channel=EMAIL, text="x", post_at=at)
        self.scheduled = later["scheduled_message_id"]
        self.file = upload(who)
        Hand(bellhop).deliver()


def about(bellhop: Bellhop, written: Written, to: str) -> dict[str, dict[str, Any]]:
    """Return the arguments of each method, with a person named by an address alone."""
    # `Written` has the attributes of a target that arguments name.
    found: dict[str, dict[str, Any]] = {}
    for name, given in arguments(bellhop, written, written.posted).items():  # type: ignore[arg-type]
        known = {key: value for key, value in given.items() if key not in ("user", "users")}
        found[name] = {**known, "channel": to, "return_im": True, "include_locale": True}
        if "channel_id" in given:
            found[name]["channel_id"] = to
    # Of all channels: the scheduled message was for the address.
    return {**found, "chat.scheduledMessages.list": {}}


@pytest.mark.parametrize("by", ["e-mail address", "direct message"])
@pytest.mark.parametrize("scopes", [(Scope.SEND,), (Scope.SEND, Scope.READ), (Scope.ADMIN,)])
def test_no_answer_names_a_person_by_id(
    installed: Bellhop, scopes: tuple[Scope, ...], by: str
) -> None:
    who = method_caller(installed, *scopes, source="s")
    written = Written(installed, who)
    dm = installed.slack.app_dm(ACME, BEN).id
    to = EMAIL if by == "e-mail address" else dm

    # The scheduled message is listed before another method cancels it.
    calls = about(installed, written, to)
    names = sorted(calls, key=lambda name: name != "chat.scheduledMessages.list")
    answers = {name: who.call(name, **calls[name]) for name in names}

    assert set(answers) == set(METHODS)
    assert {name: answer for name, answer in answers.items() if BEN in str(answer)} == {}
    # They are no errors, which name nobody in any case.
    assert answers["chat.scheduledMessages.list"]["scheduled_messages"]
    said = ("chat.scheduledMessages.list", "chat.postMessage", "chat.scheduleMessage")
    assert all(answers[name]["ok"] for name in said), answers
    assert answers["conversations.open"]["ok"] is (to == dm)


@pytest.mark.parametrize("to", [EMAIL, "direct message"])
def test_no_answer_of_the_http_api_does(installed: Bellhop, to: str) -> None:
    who = Caller(installed.url, method_caller(installed, Scope.ADMIN).key)
    named = installed.slack.app_dm(ACME, BEN).id if to != EMAIL else EMAIL
    sent = who.send({"to": named, "text": "x"})
    Hand(installed).deliver()
    address = f"{NOTIFICATIONS}/{sent.json()['id']}"

    answers = [sent, who.get(NOTIFICATIONS), who.get(address)]
    answers += [who.call("POST", f"{address}/retry", {}), who.call("DELETE", address)]

    assert answers[2].json()["deliveries"][0]["state"] == "sent"
    assert [answer.text for answer in answers if BEN in answer.text] == []


class TestOpenConversation:
    @pytest.fixture
    def conversation_id(self, installed: Bellhop) -> str:
        return installed.slack.app_dm(ACME, BEN).id

    def test_a_key_with_the_scope_users_is_shown_the_person(
        self, installed: Bellhop, conversation_id: str
    ) -> None:
        who = method_caller(installed, Scope.SEND, Scope.USERS)

        answer = who.ok("conversations.open", channel=conversation_id, return_im=True)

        assert answer["channel"] == {"id": conversation_id, "is_im": True, "user": BEN}

    def test_so_is_who_named_the_person(self, installed: Bellhop, conversation_id: str) -> None:
        who = method_caller(installed, Scope.SEND)

        answer = who.ok("conversations.open", users=BEN, return_im=True)

        assert answer["channel"] == {"id": conversation_id, "is_im": True, "user": BEN}

    def test_so_is_a_key_for_that_person(self, installed: Bellhop, conversation_id: str) -> None:
        who = method_caller(installed, Scope.SEND, channels=[BEN])

        answer = who.ok("conversations.open", channel=conversation_id, return_im=True)

        assert answer["channel"]["user"] == BEN

    def test_others_are_shown_the_rest(self, installed: Bellhop, conversation_id: str) -> None:
        who = method_caller(installed, Scope.SEND)

        answer = who.ok("conversations.open", channel=conversation_id, return_im=True)

        assert answer["channel"] == {"id": conversation_id, "is_im": True}


class TestScheduledMessages:
    @pytest.mark.parametrize(
        ("scopes", "to", "shown"),
        [
            ((Scope.SEND,), EMAIL, f"@{EMAIL}"),
            ((Scope.SEND, Scope.USERS), EMAIL, BEN),
            ((Scope.SEND,), BEN, BEN),
            ((Scope.SEND,), RANDOM, RANDOM),
        ],
    )
    def test_the_recipient_is_shown_as_it_was_named(
        self, installed: Bellhop, scopes: tuple[Scope, ...], to: str, shown: str
    ) -> None:
        who = method_caller(installed, *scopes)
        at = int(installed.clock.timestamp()) + 3600
        who.ok("chat.scheduleMessage", channel=to, text="x", post_at=at)
        # A message for now finds the person, whose queue then has both.
        who.ok("chat.postMessage", channel=to, text="x")
        Hand(installed).deliver()

        [listed] = who.ok("chat.scheduledMessages.list")["scheduled_messages"]

        assert listed["channel_id"] == shown

    def test_it_is_cancelled_by_the_shown_recipient(self, installed: Bellhop) -> None:
        who = method_caller(installed, Scope.SEND)
        Written(installed, who)
        [listed] = who.ok("chat.scheduledMessages.list")["scheduled_messages"]

        who.ok(
            "chat.deleteScheduledMessage",
            channel=listed["channel_id"],
            scheduled_message_id=listed["id"],
        )

        assert who.ok("chat.scheduledMessages.list")["scheduled_messages"] == []
