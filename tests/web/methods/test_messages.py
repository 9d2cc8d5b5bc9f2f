"""Messages of the Slack-compatible Web API: their `ts`, threads, changes and deletion."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from slack_sdk.oauth.installation_store import Bot
from sqlalchemy import select, update

from bolt_app.db.models import ApiKey, Delivery, Notification
from bolt_app.notifications.content.schema import NotificationRequest
from bolt_app.notifications.intake.sender import Sender
from bolt_app.notifications.queue.moved_channels import move_channel
from bolt_app.web.methods import chat, contents
from slack_sandbox import Fault
from slack_sandbox.tokens import Token
from slack_sandbox.world import Message
from tests.commands import run
from tests.conftest import FakeClock
from tests.notifications.hand import Hand, texts
from tests.people import ACME, ANN, BEN, GENERAL
from tests.running import Bellhop, running_bellhop
from tests.statements import statements_of
from tests.web.methods.calling import JSON, MethodCaller, method_caller

pytestmark = pytest.mark.sqlite_only

RANDOM = "C0ACME0002"
POST, UPDATE, DELETE, REACT = "chat.postMessage", "chat.update", "chat.delete", "reactions.add"


@pytest.fixture
def ci(bellhop: Bellhop) -> MethodCaller:
    """A program in a workspace in which Ann has installed Bellhop."""
    bellhop.install(ANN)
    return method_caller(bellhop)


@pytest.fixture
def hand(bellhop: Bellhop, ci: MethodCaller) -> Hand:
    return Hand(bellhop)


def post(ci: MethodCaller, text: str, channel: str = GENERAL, **more: Any) -> str:
    """Post a message; return its `ts`."""
    return str(ci.ok(POST, channel=channel, text=text, **more)["ts"])


def content_of(bellhop: Bellhop, ts: str) -> dict[str, Any]:
    """Return the content of a message that waits."""
    found = select(Notification.content).join(Delivery).where(Delivery.provisional_ts == ts)
    with bellhop.services.database.reading_connection() as connection:
        content: dict[str, Any] = connection.execute(found).scalar_one()
        return content


def once(act: Callable[[], object]) -> Callable[[], None]:
    """Return a function that acts at its first call only."""
    left = [act]

    def call() -> None:
        if left:
            left.pop()()

    return call


def deliver(hand: Hand, seconds: int = 10) -> None:
    """Deliver what is due, at the pace of one message a second."""
    for _ in range(seconds):
        hand.deliver()
        hand.bellhop.clock.advance(1)


def grant_reactions(bellhop: Bellhop) -> None:
    """Grant the bot the optional scope."""
    scope = "reactions:write"
    for token in bot_tokens(bellhop):
        token.scopes = (*token.scopes, scope)
    store = bellhop.services.store
    bot = store.find_bot(enterprise_id=None, team_id=ACME)
    assert isinstance(bot, Bot)
    bot.bot_scopes = [*bot.bot_scopes, scope]
    store.save_bot(bot)


def bot_tokens(bellhop: Bellhop) -> list[Token]:
    tokens = bellhop.slack.tokens
    return [token for key in tokens.installations for token in tokens.live(key, "bot")]


def messages(bellhop: Bellhop, channel_id: str = GENERAL) -> list[Message]:
    return bellhop.slack.messages(channel_id)


def states(bellhop: Bellhop) -> list[tuple[str, str]]:
    """Return mode and state of all deliveries of the program."""
    statement = select(Delivery.mode, Delivery.state).order_by(Delivery.id)
    with bellhop.services.database.reading() as session:
        return [(mode, state) for mode, state in session.execute(statement)]


def charged_requests(bellhop: Bellhop) -> int:
    """Return the number of requests of this minute that the program was charged for."""
    with bellhop.services.database.reading_connection() as connection:
        return int(connection.scalar(select(ApiKey.minute_requests)) or 0)


class TestTs:
    def test_a_provisional_one_looks_like_slacks_and_is_unique(self, ci: MethodCaller) -> None:
        given = [post(ci, "x", channel) for channel in (GENERAL, GENERAL, RANDOM)]

        assert all(re.fullmatch(r"\d{10}\.\d{6}", ts) for ts in given)
        assert given == sorted(set(given))

    @pytest.mark.both_databases
    def test_it_is_unique_among_simultaneous_calls(self, ci: MethodCaller) -> None:
        def call(number: int) -> str:
            return post(ci, "x", (GENERAL, RANDOM)[number % 2])

        with ThreadPoolExecutor(8) as pool:
            given = list(pool.map(call, range(24)))

        assert len(set(given)) == 24

    def test_the_answer_has_slacks_form(self, ci: MethodCaller) -> None:
        answer = ci.ok(POST, channel="#general", text="Hello", username="CI")

        assert answer == {
            "ok": True,
            "channel": GENERAL,
            "ts": answer["ts"],
            "is_provisional": True,
            "message": {
                "type": "message",
                "subtype": "bot_message",
                "text": "Hello",
                "username": "CI",
                "ts": answer["ts"],
            },
        }

    @pytest.mark.parametrize("channel", [GENERAL, "#general", "general", "#General"])
    def test_a_channel_by_id_or_name(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand, channel: str
    ) -> None:
        assert ci.ok(POST, channel=channel, text="Hello")["channel"] == GENERAL

        hand.deliver()

        assert texts(bellhop, GENERAL) == ["Hello"]

    @pytest.mark.parametrize("channel", [BEN, "ben@acme.example"])
    def test_a_person(self, bellhop: Bellhop, ci: MethodCaller, hand: Hand, channel: str) -> None:
        ts = post(ci, "psst", channel)

        hand.deliver()
        bellhop.clock.advance(1)
        hand.deliver()

        conversation = bellhop.slack.app_dm(ACME, BEN).id
        assert texts(bellhop, conversation) == ["psst"]
        ci.ok(UPDATE, channel=conversation, ts=ts, text="psst!")
        deliver(hand)
        assert texts(bellhop, conversation) == ["psst!"]

    @pytest.mark.parametrize("channel", ["#nowhere", "topic:deploys", "<!channel>", "@ben"])
    def test_an_unknown_channel(self, ci: MethodCaller, channel: str) -> None:
        assert ci.error(POST, channel=channel, text="x") == "channel_not_found"

    def test_channels_are_listed_once_a_minute_for_unknown_names(
        self, bellhop: Bellhop, ci: MethodCaller
    ) -> None:
        for _ in range(3):
            assert ci.error(POST, channel="#nowhere", text="x") == "channel_not_found"
        assert len(bellhop.slack.calls_to("conversations.list")) == 1

        bellhop.slack.add_channel(ACME, "nowhere")
        bellhop.clock.advance(61)

        ci.ok(POST, channel="#nowhere", text="x")

    def test_an_outage_of_slack_costs_one_listing_a_minute(
        self, bellhop: Bellhop, ci: MethodCaller
    ) -> None:
        bellhop.slack.faults.add(Fault("conversations.list", "server_error"))

        for number in range(3):
            ci.ok(POST, channel=f"#nowhere-{number}", text="x")
        during = len(bellhop.slack.calls_to("conversations.list"))
        bellhop.clock.advance(61)
        ci.ok(POST, channel="#nowhere", text="x")

        assert (during, len(bellhop.slack.calls_to("conversations.list"))) == (1, 2)

    def test_a_name_is_accepted_while_slack_does_not_answer(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        bellhop.slack.faults.add(Fault("conversations.list", "server_error", times=1))
        ts = post(ci, "one", "#general")
        post(ci, "reply", "#general", thread_ts=ts)

        deliver(hand, 80)

        one, reply = messages(bellhop)
        assert (one.text, reply.text, reply.thread_ts) == ("one", "reply", one.ts)


class TestOrder:
    def test_a_source_keeps_its_order_whatever_the_severity(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        ci.ok(POST, channel=GENERAL, text="1", attachments=[{"text": "a", "color": "good"}])
        ci.ok(POST, channel=GENERAL, text="2", attachments=[{"text": "b", "color": "danger"}])
        critical = [{"fields": [{"title": "Severity", "value": "critical"}]}]
        ci.ok(POST, channel=GENERAL, text="3", attachments=critical)

        deliver(hand)

        assert texts(bellhop, GENERAL) == ["1", "2", "3"]


class TestThreads:
    def test_a_reply_to_a_message_that_waits(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        ts = post(ci, "one")
        post(ci, "two", thread_ts=ts)
        post(ci, "three", thread_ts=ts, reply_broadcast=True)

        deliver(hand)

        one, two, three = messages(bellhop)
        assert [one.text, two.text, three.text] == ["one", "two", "three"]
        assert one.ts != ts
        assert (two.thread_ts, two.reply_broadcast) == (one.ts, False)
        assert (three.thread_ts, three.reply_broadcast) == (one.ts, True)

    def test_a_ts_may_be_a_number(self, bellhop: Bellhop, ci: MethodCaller, hand: Hand) -> None:
        ts = post(ci, "one")
        post(ci, "two", thread_ts=float(ts))
        deliver(hand)

        one, two = messages(bellhop)
        assert two.thread_ts == one.ts

    def test_a_reply_to_slacks_ts(self, bellhop: Bellhop, ci: MethodCaller, hand: Hand) -> None:
        post(ci, "one")
        deliver(hand)
        [one] = messages(bellhop)

        post(ci, "two", thread_ts=one.ts)
        deliver(hand)

        assert messages(bellhop)[1].thread_ts == one.ts

    def test_a_reply_to_a_reply_is_in_its_thread(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        reply = post(ci, "two", thread_ts=post(ci, "one"))
        post(ci, "three", thread_ts=reply)

        deliver(hand)

        one, _, three = messages(bellhop)
        assert three.thread_ts == one.ts

    def test_a_reply_to_a_message_that_failed_is_posted_in_the_channel(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        ts = post(ci, "one")
        post(ci, "two", thread_ts=ts)
        bellhop.slack.faults.add(Fault(POST, "api_error", error="restricted_action", times=1))

        deliver(hand)

        assert [(one.text, one.thread_ts) for one in messages(bellhop)] == [("two", None)]

    @pytest.mark.parametrize("thread_ts", ["yesterday", "1.", "\u0661.\u0661"])
    def test_a_malformed_ts(self, ci: MethodCaller, thread_ts: str) -> None:
        answer = ci.error(POST, channel=GENERAL, text="x", thread_ts=thread_ts)

        assert answer == "invalid_thread_ts"


class TestUpdating:
    def test_a_message_that_waits_is_replaced_in_its_place(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        first = post(ci, "one")
        post(ci, "two")

        answer = ci.ok(UPDATE, channel=GENERAL, ts=first, text="one!")

        assert (answer["channel"], answer["ts"], answer["text"]) == (GENERAL, first, "one!")
        deliver(hand)
        assert texts(bellhop, GENERAL) == ["one!", "two"]
        assert bellhop.slack.calls_to(UPDATE) == []
        # The new one has its name.
        post(ci, "reply", thread_ts=first)
        deliver(hand)
        assert messages(bellhop)[2].thread_ts == messages(bellhop)[0].ts

    def test_a_message_in_slack(self, bellhop: Bellhop, ci: MethodCaller, hand: Hand) -> None:
        ts = post(ci, "one")
        deliver(hand)
        [posted] = messages(bellhop)

        for given, text in ((ts, "two"), (posted.ts, "three")):
            ci.ok(UPDATE, channel=GENERAL, ts=given, text=text)
            deliver(hand)
            assert [(one.text, one.ts) for one in messages(bellhop)] == [(text, posted.ts)]

    def test_a_message_on_its_way(self, bellhop: Bellhop, ci: MethodCaller, hand: Hand) -> None:
        ts = post(ci, "one")
        hand.die_after_request()
        hand.deliver()
        assert states(bellhop) == [("new", "sending")]

        ci.ok(UPDATE, channel=GENERAL, ts=ts, text="two")
        post(ci, "three", thread_ts=ts)
        deliver(Hand(bellhop), 30)

        two, three = messages(bellhop)
        assert (two.text, three.text, three.thread_ts) == ("two", "three", two.ts)

    def test_a_later_update_replaces_one_that_waits(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        ts = post(ci, "one")
        deliver(hand)
        for number in range(3):
            ci.ok(UPDATE, channel=GENERAL, ts=ts, text=str(number))

        deliver(hand)

        assert texts(bellhop, GENERAL) == ["2"]
        assert len(bellhop.slack.calls_to(UPDATE)) == 1

    @pytest.mark.sqlite_only
    def test_slacks_ts_may_be_the_provisional_one_of_another_channel(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        post(ci, "one")
        deliver(hand)
        [posted] = messages(bellhop)
        elsewhere = post(ci, "two", RANDOM)
        with bellhop.services.database.writing() as session:
            same = update(Delivery).where(Delivery.provisional_ts == elsewhere)
            session.execute(same.values(provisional_ts=posted.ts))

        ci.ok(UPDATE, channel=GENERAL, ts=posted.ts, text="one!")
        ci.ok(UPDATE, channel=RANDOM, ts=posted.ts, text="two!")
        deliver(hand)

        assert (texts(bellhop, GENERAL), texts(bellhop, RANDOM)) == (["one!"], ["two!"])

    @pytest.mark.sqlite_only
    def test_earlier_changes_cost_nothing(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        grant_reactions(bellhop)
        ts = post(ci, "one")

        def change(number: int) -> int:
            """Change a message; return the number of statements."""
            with statements_of(bellhop.services.database) as statements:
                ci.ok(UPDATE, channel=GENERAL, ts=ts, text=str(number))
                ci.ok(REACT, channel=GENERAL, timestamp=ts, name=f"emoji{number}")
            # The bot of a workspace is cached for a second of real time.
            return sum("FROM bots" not in statement for statement in statements)

        needed = []
        for number in range(6):
            deliver(hand, 4)
            needed.append(change(number))

        assert needed[-1] == needed[1], needed

    @pytest.mark.parametrize(("meanwhile", "status"), [(["new"], 200), (["newer", "newest"], 503)])
    def test_a_text_that_changes_before_the_queue_is_locked_is_kept(
        self,
        bellhop: Bellhop,
        ci: MethodCaller,
        monkeypatch: pytest.MonkeyPatch,
        meanwhile: list[str],
        status: int,
    ) -> None:
        ts, others, merge = post(ci, "old"), iter(meanwhile), contents.merged_content

        def merge_slowly(given: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
            if "text" in kept and (text := next(others, "")):
                ci.ok(UPDATE, channel=GENERAL, ts=ts, text=text)
            return merge(given, kept)

        monkeypatch.setattr(chat, "merged_content", merge_slowly)
        edit = {"channel": GENERAL, "ts": ts, "attachments": [{"text": "added"}]}
        before = charged_requests(bellhop)
        answer = ci.post(UPDATE, json.dumps(edit).encode(), JSON)

        assert answer.status == status
        assert charged_requests(bellhop) - before == 1 + len(meanwhile)
        content = content_of(bellhop, ts)
        assert content["text"] == meanwhile[-1]
        assert ("attachments" in content) == (status == 200)

    def test_a_reply(self, bellhop: Bellhop, ci: MethodCaller, hand: Hand) -> None:
        reply = post(ci, "two", thread_ts=post(ci, "one"))
        deliver(hand)

        ci.ok(UPDATE, channel=GENERAL, ts=reply, text="two!")
        deliver(hand)

        one, two = messages(bellhop)
        assert (two.text, two.thread_ts) == ("two!", one.ts)

    def test_omitted_parts_are_kept_as_slack_keeps_them(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        section = {"type": "section", "text": {"type": "mrkdwn", "text": "block"}}
        parts: dict[str, Any] = {"blocks": [section], "attachments": [{"text": "more"}]}
        ts = post(ci, "one", username="CI", **parts)

        answer = ci.ok(UPDATE, channel=GENERAL, ts=ts, text="two")
        assert "blocks" not in answer["message"]
        assert answer["message"]["attachments"] == [{"text": "more"}]
        answer = ci.ok(UPDATE, channel=GENERAL, ts=ts, blocks=[section], attachments=[])
        assert answer["message"]["text"] == "two"
        assert "attachments" not in answer["message"]

        deliver(hand)
        [message] = messages(bellhop)
        assert (message.text, message.username) == ("two", "CI")
        assert message.blocks[0]["text"]["text"] == "block"

    def test_a_person_who_may_not_receive_it_any_more_gets_no_new_text(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        ts = post(ci, "one", BEN)
        deliver(hand)
        # The event was lost.
        bellhop.slack.users[BEN].deleted = True
        bellhop.clock.advance(61)

        ci.ok(UPDATE, channel=BEN, ts=ts, text="two")
        deliver(hand)

        assert texts(bellhop, bellhop.slack.app_dm(ACME, BEN).id) == ["one"]
        assert states(bellhop)[1] == ("edit", "dead")

    def test_what_an_update_does_not_change(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        post(method_caller(bellhop, source="other"), "of another source")
        deliver(hand)
        [others] = messages(bellhop)
        ts = post(ci, "one")
        look = {"username": "CI", "icon_emoji": ":bell:", "reply_broadcast": True}

        answer = ci.ok(UPDATE, channel=GENERAL, ts=ts, text="two", thread_ts=others.ts, **look)
        deliver(hand)

        assert answer["message"].keys() == {"type", "subtype", "text", "ts"}
        _, two = messages(bellhop)
        assert (two.text, two.thread_ts, two.username) == ("two", None, None)

    def test_nothing_is_left_to_say(self, ci: MethodCaller) -> None:
        ts = post(ci, "one")

        assert ci.error(UPDATE, channel=GENERAL, ts=ts, text="") == "no_text"

    def test_a_message_that_was_deleted_in_slack_is_not_posted_again(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        ts = post(ci, "one")
        deliver(hand)
        with bellhop.slack.edit():
            messages(bellhop)[0].deleted = True

        ci.ok(UPDATE, channel=GENERAL, ts=ts, text="two")
        deliver(hand)

        assert messages(bellhop) == []
        assert states(bellhop) == [("new", "sent"), ("edit", "dead")]

    def test_a_channel_is_known_by_its_former_id(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        answer = ci.ok(POST, channel="#general", text="one")
        former, new = answer["channel"], "C0ACME0009"
        deliver(hand)
        with bellhop.services.database.writing_connection() as connection:
            move_channel(connection, ACME, former, new, bellhop.clock())

        ci.ok(UPDATE, channel=former, ts=answer["ts"], text="two")
        ci.ok(UPDATE, channel=new, ts=answer["ts"], text="three")


class TestDeleting:
    def test_a_message_that_waits_is_cancelled(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        ts = post(ci, "one")

        assert ci.ok(DELETE, channel=GENERAL, ts=ts) == {"ok": True, "channel": GENERAL, "ts": ts}

        deliver(hand)
        assert messages(bellhop) == []
        assert ci.error(DELETE, channel=GENERAL, ts=ts) == "message_not_found"
        assert ci.error(UPDATE, channel=GENERAL, ts=ts, text="x") == "message_not_found"

    def test_a_message_in_slack_is_deleted_with_its_waiting_changes(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        ts = post(ci, "one")
        deliver(hand)
        ci.ok(UPDATE, channel=GENERAL, ts=ts, text="two")

        ci.ok(DELETE, channel=GENERAL, ts=ts)
        assert ci.error(DELETE, channel=GENERAL, ts=ts) == "message_not_found"
        assert ci.error(UPDATE, channel=GENERAL, ts=ts, text="x") == "message_not_found"
        deliver(hand)

        assert messages(bellhop) == []
        assert states(bellhop) == [("new", "sent"), ("edit", "cancelled"), ("delete", "sent")]

    def test_a_message_on_its_way(self, bellhop: Bellhop, ci: MethodCaller, hand: Hand) -> None:
        ts = post(ci, "one")
        hand.die_after_request()
        hand.deliver()

        ci.ok(DELETE, channel=GENERAL, ts=ts)
        deliver(Hand(bellhop), 30)

        assert messages(bellhop) == []

    @pytest.mark.both_databases
    def test_a_message_whose_attempt_failed_is_not_posted_first(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        ts = post(ci, "one")
        fault = Fault("chat.postMessage", "api_error", error="internal_error", times=1)
        bellhop.slack.faults.add(fault)
        # During the attempt.
        hand.ownership.before_request = once(lambda: ci.ok(DELETE, channel=GENERAL, ts=ts))

        deliver(hand, 30)

        assert states(bellhop) == [("new", "cancelled"), ("delete", "cancelled")]
        assert messages(bellhop) == []

    def test_a_deletion_in_doubt_is_repeated(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        ts = post(ci, "one")
        deliver(hand)
        ci.ok(DELETE, channel=GENERAL, ts=ts)
        hand.die_after_request()
        hand.deliver()

        deliver(Hand(bellhop), 30)

        assert messages(bellhop) == []
        assert states(bellhop) == [("new", "sent"), ("delete", "sent")]
        # There is nothing to look for.
        assert bellhop.slack.calls_to("conversations.history") == []

    @pytest.mark.both_databases
    def test_a_deletion_is_in_no_list_of_deliveries(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        ci.ok(DELETE, channel=GENERAL, ts=post(ci, "one", channel=GENERAL))
        ts = post(ci, "two")
        deliver(hand)
        ci.ok(DELETE, channel=GENERAL, ts=ts)
        deliver(hand)

        with bellhop.services.database.reading() as session:
            ids = session.scalars(select(Notification.id).order_by(Notification.id)).all()
        reports = bellhop.services.history.reports(ids)
        shown = [[one.state for one in reports[id_].deliveries] for id_ in ids]
        assert sorted(shown) == [["cancelled"], ["sent"]]


class TestReactions:
    def test_a_missing_scope_is_a_clear_error(self, ci: MethodCaller) -> None:
        answer = ci.call(REACT, channel=GENERAL, timestamp=post(ci, "one"), name="eyes")

        assert (answer["error"], answer["needed"]) == ("missing_scope", "reactions:write")

    @pytest.mark.both_databases
    def test_follow_their_message(self, bellhop: Bellhop, ci: MethodCaller, hand: Hand) -> None:
        grant_reactions(bellhop)
        ts = post(ci, "one")
        ci.ok(REACT, channel=GENERAL, timestamp=ts, name=":eyes:")
        deliver(hand)
        [message] = messages(bellhop)
        assert list(message.reactions) == ["eyes"]

        ci.ok(REACT, channel=GENERAL, timestamp=message.ts, name="+1")
        deliver(hand)

        assert list(messages(bellhop)[0].reactions) == ["eyes", "+1"]

    @pytest.mark.parametrize("name", ["a b", "<script>", "x" * 200, "::"])
    def test_an_invalid_name(self, ci: MethodCaller, name: str) -> None:
        answer = ci.error(REACT, channel=GENERAL, timestamp=post(ci, "one"), name=name)

        assert answer in ("invalid_name", "invalid_arguments")

    def test_one_that_slack_rejects_does_not_stop_the_channel(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        grant_reactions(bellhop)
        ts = post(ci, "one")
        for _ in range(2):
            ci.ok(REACT, channel=GENERAL, timestamp=ts, name="eyes")
        post(ci, "two")

        deliver(hand)

        assert texts(bellhop, GENERAL) == ["one", "two"]
        assert [state for mode, state in states(bellhop) if mode == "react"] == [
            "sent",
            "cancelled",
        ]


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("method", "change"),
    [
        (UPDATE, {"text": "new"}),
        (DELETE, {}),
        (REACT, {"name": "eyes"}),
    ],
)
def test_slacks_limit_of_changes_delays_no_new_messages(
    bellhop: Bellhop, ci: MethodCaller, hand: Hand, method: str, change: dict[str, str]
) -> None:
    grant_reactions(bellhop)
    ts = post(ci, "old")
    deliver(hand, 2)
    bellhop.slack.faults.add(Fault(method, "rate_limited", retry_after=30, times=1))
    ci.ok(method, channel=GENERAL, **{"timestamp" if method == REACT else "ts": ts}, **change)
    post(method_caller(bellhop), "news")
    hand.deliver()
    assert [message.text for message in messages(bellhop)] == ["old", "news"]

    before = len(bellhop.slack.calls_to(method))
    bellhop.clock.advance(29)
    next_owner = Hand(bellhop)
    next_owner.deliver()
    assert len(bellhop.slack.calls_to(method)) == before
    bellhop.clock.advance(1)
    next_owner.deliver()

    assert len(bellhop.slack.calls_to(method)) == before + 1
    assert {state for _, state in states(bellhop)} == {"sent"}


class TestScheduling:
    def test_a_message_is_posted_when_it_is_due(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        at = int(bellhop.clock.timestamp()) + 3600
        answer = ci.ok("chat.scheduleMessage", channel="general", text="later", post_at=at)
        assert (answer["channel"], answer["post_at"]) == (GENERAL, at)
        assert answer["message"]["text"] == "later"
        deliver(hand)
        assert messages(bellhop) == []

        bellhop.clock.advance(3600)
        deliver(hand)

        assert texts(bellhop, GENERAL) == ["later"]
        arguments = {"channel": GENERAL, "scheduled_message_id": answer["scheduled_message_id"]}
        error = ci.error("chat.deleteScheduledMessage", **arguments)
        assert error == "invalid_scheduled_message_id"

    @pytest.mark.both_databases
    def test_it_can_be_listed_and_cancelled(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        at = int(bellhop.clock.timestamp()) + 3600
        ids = [
            ci.ok("chat.scheduleMessage", channel=GENERAL, text="x", post_at=at + more)[
                "scheduled_message_id"
            ]
            for more in (1, 0)
        ]
        listed = ci.ok("chat.scheduledMessages.list")["scheduled_messages"]
        assert [one["id"] for one in listed] == list(reversed(ids))
        assert listed[0] == {"id": ids[1], "channel_id": GENERAL, "post_at": at}
        assert ci.ok("chat.scheduledMessages.list", channel=RANDOM)["scheduled_messages"] == []

        arguments = {"channel": GENERAL, "scheduled_message_id": ids[0]}
        ci.ok("chat.deleteScheduledMessage", **arguments)

        error = ci.error("chat.deleteScheduledMessage", **arguments)
        assert error == "invalid_scheduled_message_id"
        bellhop.clock.advance(3700)
        deliver(hand)
        assert texts(bellhop, GENERAL) == ["x"]

    def test_a_channel_is_listed_behind_many_messages_of_others(
        self, bellhop: Bellhop, ci: MethodCaller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bolt_app.web.methods.chat.MOST_SCHEDULED", 2)
        limited = method_caller(bellhop, channels=["#random"], source="ci")
        source = method_caller(bellhop, source="ci")
        at = int(bellhop.clock.timestamp()) + 3600
        given = {"text": "x", "post_at": at}
        for _ in range(3):
            source.ok("chat.scheduleMessage", channel=GENERAL, **given)
        expected = source.ok("chat.scheduleMessage", channel="#random", **given)

        for who, arguments in ((source, {"channel": RANDOM}), (limited, {})):
            listed = who.ok("chat.scheduledMessages.list", **arguments)["scheduled_messages"]
            assert [one["id"] for one in listed] == [expected["scheduled_message_id"]]

    @pytest.mark.parametrize(
        ("after", "error"), [(0, "time_in_past"), (121 * 86_400, "time_too_far")]
    )
    def test_an_impossible_time(
        self, bellhop: Bellhop, ci: MethodCaller, after: int, error: str
    ) -> None:
        at = int(bellhop.clock.timestamp()) + after
        answer = ci.error("chat.scheduleMessage", channel=GENERAL, text="x", post_at=at)

        assert answer == error

    def test_a_malformed_time(self, ci: MethodCaller) -> None:
        answer = ci.error("chat.scheduleMessage", channel=GENERAL, text="x", post_at="soon")

        assert answer == "invalid_arguments"


class TestPermalinks:
    def test_the_page_until_the_message_is_in_slack(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        ts = post(ci, "one")
        arguments = {"channel": GENERAL, "message_ts": ts}
        before = ci.ok("chat.getPermalink", **arguments)["permalink"]
        assert before.startswith(f"{bellhop.url}/notifications/")

        deliver(hand)

        [message] = messages(bellhop)
        answer = ci.ok("chat.getPermalink", **arguments)
        path = f"archives/{GENERAL}/p{message.ts.replace('.', '')}"
        assert answer["permalink"] == f"{bellhop.slack_url}/{path}"


class TestEphemeral:
    @pytest.mark.both_databases
    def test_is_sent_at_once(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        bellhop.slack.invite_bot(ANN, GENERAL)
        arguments = {"channel": "#general", "user": BEN, "text": "<!channel> psst"}

        answer = ci.ok("chat.postEphemeral", **arguments)

        [message] = bellhop.slack.ephemerals(BEN)
        assert answer == {"ok": True, "message_ts": message.ts}
        assert "<!channel>" not in message.text
        assert states(bellhop) == []

    @pytest.mark.both_databases
    def test_or_refused_with_slacks_error(self, bellhop: Bellhop, ci: MethodCaller) -> None:
        arguments = {"channel": GENERAL, "user": BEN, "text": "psst"}
        assert ci.error("chat.postEphemeral", **arguments) == "not_in_channel"
        bellhop.slack.invite_bot(ANN, GENERAL)
        other = arguments | {"user": "U0NOBODY01"}
        assert ci.error("chat.postEphemeral", **other) == "user_not_in_channel"

        bellhop.slack.faults.add(Fault("chat.postEphemeral", "rate_limited", retry_after=7))
        answer = ci.post("chat.postEphemeral", b"", "application/x-www-form-urlencoded")
        assert answer.json()["error"] == "invalid_arguments"
        with pytest.raises(AssertionError, match="service_unavailable"):
            ci.call("chat.postEphemeral", **arguments)
        assert bellhop.slack.ephemerals(BEN) == []


class TestContent:
    def test_follows_the_rules_of_webhooks(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        button = {
            "type": "button",
            "action_id": "incident.resolve",
            "text": {"type": "plain_text", "text": "Press"},
        }
        blocks = [{"type": "actions", "elements": [button]}]
        post(ci, "<!here> Hello", blocks=blocks)

        deliver(hand)

        [message] = messages(bellhop)
        assert "<!here>" not in message.text
        assert message.blocks[0]["elements"][0]["action_id"].startswith("foreign.")

    def test_metadata_is_ignored_with_a_warning(
        self, bellhop: Bellhop, ci: MethodCaller, hand: Hand
    ) -> None:
        metadata = {"event_type": "theirs", "event_payload": {"delivery": "forged"}}
        answer = ci.ok(POST, channel=GENERAL, text="x", metadata=metadata)
        assert answer["response_metadata"] == {"warnings": ["metadata_ignored"]}

        deliver(hand)

        [message] = messages(bellhop)
        assert message.metadata is not None
        assert message.metadata["event_type"] == "bellhop_delivery"

    def test_markdown(self, bellhop: Bellhop, ci: MethodCaller, hand: Hand) -> None:
        ci.ok(POST, channel=GENERAL, markdown_text="**bold**")
        conflict = ci.error(POST, channel=GENERAL, markdown_text="x", text="y")
        assert conflict == "markdown_text_conflict"

        deliver(hand)

        assert messages(bellhop)[0].blocks[0]["type"] == "markdown"

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({}, "no_text"),
            ({"text": " "}, "no_text"),
            ({"text": "x", "blocks": "nonsense"}, "invalid_blocks_format"),
            ({"text": "x", "blocks": {}}, "invalid_blocks_format"),
            ({"text": "x", "attachments": "{}"}, "invalid_attachments"),
            ({"text": ["x"]}, "no_text"),
            ({"text": "x", "markdown_text": "y" * 12_001}, "markdown_text_conflict"),
            ({"markdown_text": "y" * 12_001}, "msg_too_long"),
            ({"text": "x", "attachments": [{"x": [0] * 20_000}]}, "msg_too_long"),
        ],
    )
    def test_malformed(self, ci: MethodCaller, arguments: dict[str, Any], error: str) -> None:
        assert ci.error(POST, channel=GENERAL, **arguments) == error


@pytest.mark.parametrize("is_posted", [False, True], ids=["waiting", "posted"])
def test_a_message_of_another_channel_is_not_found(
    bellhop: Bellhop, ci: MethodCaller, hand: Hand, is_posted: bool
) -> None:
    ts = post(ci, "one")
    if is_posted:
        deliver(hand)
        [message] = messages(bellhop)
        ts = message.ts

    assert ci.error(UPDATE, channel=RANDOM, ts=ts, text="x") == "message_not_found"
    assert ci.error(DELETE, channel=RANDOM, ts=ts) == "message_not_found"
    assert ci.error(POST, channel=RANDOM, text="x", thread_ts=ts) == "thread_not_found"
    assert [state for mode, state in states(bellhop) if mode != "new"] == []


@pytest.mark.parametrize("change", [UPDATE, DELETE, "chat.deleteScheduledMessage"])
def test_changes_need_a_key_that_is_valid_now(
    bellhop: Bellhop, ci: MethodCaller, change: str
) -> None:
    """The process knows the key, and not yet that it is revoked."""
    at = int(bellhop.clock.timestamp()) + 3600
    scheduled = ci.ok("chat.scheduleMessage", channel=GENERAL, text="x", post_at=at)
    arguments = {"ts": post(ci, "one"), "text": "x"}
    before = states(bellhop)
    bellhop.services.api_keys.revoke(1)

    answer = ci.error(
        change,
        channel=GENERAL,
        scheduled_message_id=scheduled["scheduled_message_id"],
        **arguments,
    )

    assert answer == "token_revoked"
    assert states(bellhop) == before


@pytest.mark.both_databases
def test_changes_count_as_deliveries(database_url: str, encryption_key: str) -> None:
    clock = FakeClock()
    limits = {"sender_deliveries_per_minute": 3}
    with running_bellhop(database_url, encryption_key, clock, **limits) as bellhop:
        ci = method_caller(bellhop)
        ts = post(ci, "one")
        ci.ok(UPDATE, channel=GENERAL, ts=ts, text="two")
        ci.ok(UPDATE, channel=GENERAL, ts=ts, text="three")

        answer = ci.form(UPDATE, channel=GENERAL, ts=ts, text="four")

        assert answer == {"ok": False, "error": "service_unavailable"}
        assert len(states(bellhop)) == 3


@pytest.mark.parametrize(("revoked", "left"), [(1, ["theirs"]), (2, ["one"])])
def test_an_edit_of_a_waiting_edit_is_cancelled_with_its_own_key(
    bellhop: Bellhop, revoked: int, left: list[str]
) -> None:
    bellhop.install(ANN)
    first, second = (method_caller(bellhop, source="ci") for _ in range(2))
    one = post(first, "one")
    deliver(Hand(bellhop))
    first.ok("chat.update", channel=GENERAL, ts=one, text="mine")
    second.ok("chat.update", channel=GENERAL, ts=one, text="theirs")

    run(bellhop, "api-key", "revoke", str(revoked), "--cancel")

    deliver(Hand(bellhop))
    assert texts(bellhop, GENERAL) == left


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("by", "cancelled", "left"), [(1, "0 del", ["two"]), (2, "2 del", ["one", "two"])]
)
def test_changes_are_cancelled_with_the_key_that_made_them(
    bellhop: Bellhop, by: int, cancelled: str, left: list[str]
) -> None:
    bellhop.install(ANN)
    grant_reactions(bellhop)
    first, second = (method_caller(bellhop, source="ci") for _ in range(2))
    one, two = post(first, "one"), post(first, "two")
    deliver(Hand(bellhop))
    second.ok(DELETE, channel=GENERAL, ts=one)
    second.ok(REACT, channel=GENERAL, timestamp=two, name="eyes")

    done = run(bellhop, "api-key", "revoke", str(by), "--cancel")

    assert cancelled in done.stdout
    deliver(Hand(bellhop))
    assert texts(bellhop, GENERAL) == left
    assert bool(messages(bellhop)[-1].reactions) == (by == 1)


@pytest.mark.both_databases
def test_changes_count_as_open_deliveries_of_the_key_that_made_them(
    database_url: str, encryption_key: str
) -> None:
    clock, limits = FakeClock(), {"sender_open_deliveries": 3}
    with running_bellhop(database_url, encryption_key, clock, **limits) as bellhop:
        bellhop.install(ANN)
        first, second = (method_caller(bellhop, source="ci") for _ in range(2))
        sent = [post(first, f"{number}") for number in range(2)]
        deliver(Hand(bellhop))
        for ts in sent:
            second.ok(DELETE, channel=GENERAL, ts=ts)
        post(second, "its own")

        assert second.form(POST, channel=GENERAL, text="x")["error"] == "service_unavailable"
        clock.advance(5)
        for number in range(3):
            post(first, f"{number}")


@pytest.mark.both_databases
def test_a_message_of_another_entry_point_is_not_found(
    bellhop: Bellhop, ci: MethodCaller, hand: Hand
) -> None:
    [key] = bellhop.services.api_keys.of_team(ACME)
    request = NotificationRequest.model_validate({"to": GENERAL, "text": "x"})
    bellhop.services.intake.submit(Sender.of(key), [request])
    deliver(hand)
    [message] = messages(bellhop)

    assert ci.error(UPDATE, channel=GENERAL, ts=message.ts, text="y") == "message_not_found"
