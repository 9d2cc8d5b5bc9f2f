"""The client in Chromium: the behavior of its script."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from slack_sdk import WebClient

from slack_sandbox import Sandbox
from slack_sandbox.seed import ACME, ANN, BEN
from tests.browser.chromium import OpenPage, Shoot
from tests.slack_sandbox.fake_app import Answer, FakeApp, json_answer
from tests.slack_sandbox.test_client_actions import ELEMENTS, MODAL


@pytest.fixture
def joined(bot: WebClient, general: str) -> WebClient:
    bot.conversations_join(channel=general)
    return bot


def go(page: Page, slack: Sandbox, channel: str, user: str = ANN, query: str = "") -> Page:
    page.goto(f"{slack.base_url}/client/{ACME}/{channel}?as={user}{query}")
    return page


def post_elements(bot: WebClient, channel: str) -> None:
    block = {"type": "actions", "block_id": "b", "elements": ELEMENTS}
    bot.chat_postMessage(channel=channel, text="choose", blocks=[block])


def test_new_messages_appear_without_a_reload(
    slack: Sandbox, general: str, open_page: OpenPage
) -> None:
    ann = go(open_page(), slack, general)
    ben = go(open_page(), slack, general, BEN)
    ben.get_by_label("Message #general").fill("half a sent")

    ann.get_by_label("Message #general").fill("good *morning*")
    ann.get_by_role("button", name="Send").click()

    expect(ben.locator("#messages strong", has_text="morning")).to_be_visible()
    expect(ben.get_by_label("Message #general")).to_have_value("half a sent")
    expect(ann.get_by_label("Message #general")).to_have_value("")


def test_keyboard_completion_of_a_command(
    joined: WebClient, slack: Sandbox, app: FakeApp, general: str, open_page: OpenPage
) -> None:
    app.answer = lambda received: json_answer({"text": "your profile"})
    page = go(open_page(), slack, general)
    box = page.get_by_label("Message #general")

    box.press_sequentially("/pro")
    expect(page.locator(".suggestions [role=option]")).to_have_count(1)
    box.press("Tab")
    expect(box).to_have_value("/profile ")
    box.press("Enter")

    expect(page.locator(".ephemeral", has_text="your profile")).to_be_visible()
    other = go(open_page(), slack, general, BEN)
    expect(other.locator("#messages")).not_to_contain_text("your profile")


def test_completion_of_people_and_channels(
    slack: Sandbox, general: str, open_page: OpenPage
) -> None:
    page = go(open_page(), slack, general)
    box = page.get_by_label("Message #general")

    box.press_sequentially("hi @be")
    page.locator(".suggestions").get_by_role("option", name="ben").click()
    box.press_sequentially("see #ran")
    box.press("Enter")
    expect(box).to_have_value("hi @ben see #random ")
    box.press("Enter")

    expect(page.locator("#messages a", has_text="#random")).to_be_visible()
    assert f"<@{BEN}>" in slack.messages(general)[-1].text


def test_buttons_menus_and_a_confirm_dialog(
    joined: WebClient, slack: Sandbox, app: FakeApp, general: str, open_page: OpenPage, shoot: Shoot
) -> None:
    post_elements(joined, general)
    page = go(open_page(), slack, general)

    page.get_by_role("button", name="Drop").click()
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("It is gone for good.")
    shoot(page, "client-question")
    question.get_by_role("button", name="No").click()
    expect(question).to_be_hidden()
    assert all("payload" not in request.form() for request in app.received)

    with page.expect_response("**/live/action"):
        page.locator("#messages select").select_option("two")
    assert app.last_request.payload()["actions"][0]["selected_option"]["value"] == "two"
    page.get_by_label("More actions").click()
    with page.expect_response("**/live/action"):
        page.get_by_role("button", name="b", exact=True).click()
    assert app.last_request.payload()["actions"][0]["selected_option"]["value"] == "b"


def test_a_modal_keeps_its_input_after_an_error(
    joined: WebClient, slack: Sandbox, app: FakeApp, general: str, open_page: OpenPage, shoot: Shoot
) -> None:
    def answer(received: object) -> Answer:
        payload = app.last_request.payload()
        if payload["type"] == "block_actions":
            joined.views_open(trigger_id=payload["trigger_id"], view=MODAL)
            return Answer()
        typed = payload["view"]["state"]["values"]["name"]["typed"]["value"]
        wrong = {"response_action": "errors", "errors": {"name": "Longer, please"}}
        return json_answer(wrong) if len(typed) < 5 else Answer()

    post_elements(joined, general)
    app.answer = answer
    page = go(open_page(), slack, general)
    page.get_by_role("button", name="Go").click()
    modal = page.get_by_role("dialog")

    modal.get_by_label("Name").fill("Ann")
    modal.get_by_role("button", name="Send").click()
    expect(modal.get_by_role("alert")).to_have_text("Longer, please")
    expect(modal.get_by_label("Name")).to_have_value("Ann")
    shoot(page, "client-modal")
    modal.get_by_label("Name").fill("Ann Archer")
    modal.get_by_role("button", name="Send").click()

    expect(modal).to_be_hidden()


def test_escape_closes_a_modal(
    joined: WebClient, slack: Sandbox, app: FakeApp, general: str, open_page: OpenPage
) -> None:
    def answer(received: object) -> Answer:
        trigger_id = app.last_request.payload()["trigger_id"]
        joined.views_open(trigger_id=trigger_id, view=MODAL)
        return Answer()

    post_elements(joined, general)
    app.answer = answer
    page = go(open_page(), slack, general)
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_role("dialog")).to_be_visible()

    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_be_hidden()
    assert slack.open_modal(ANN) is None


def test_opening_replying_to_and_closing_a_thread(
    slack: Sandbox, general: str, open_page: OpenPage
) -> None:
    slack.post_as(BEN, general, "who is on duty?")
    page = go(open_page(), slack, general)

    page.get_by_role("link", name="Reply in thread").click()
    thread = page.get_by_label("Thread", exact=True)
    thread.get_by_label("Reply").fill("I am")
    thread.get_by_role("button", name="Send").click()
    expect(thread.get_by_text("I am")).to_be_visible()
    page.get_by_role("link", name="Close the thread").click()

    expect(page.get_by_role("link", name="1 reply")).to_be_visible()


def test_switching_to_another_person_keeps_the_channel(
    slack: Sandbox, general: str, open_page: OpenPage
) -> None:
    page = go(open_page(), slack, general)

    page.locator(".who > summary").click()
    page.locator(".who").get_by_role("link", name="ben").first.click()

    expect(page.locator(".who > summary")).to_contain_text("ben")
    expect(page.get_by_role("heading", name="#general")).to_be_visible()


def test_adding_and_clearing_faults(
    joined: WebClient, slack: Sandbox, general: str, open_page: OpenPage
) -> None:
    page = go(open_page(), slack, general)
    page.get_by_text("Developer tools").click()
    expect(page.locator("#traffic")).to_contain_text("conversations.join")

    page.get_by_label("Method").select_option("chat.postMessage")
    page.get_by_label("Fault").select_option("server_error")
    page.get_by_label("Times").fill("3")
    page.get_by_role("button", name="Add fault").click()
    expect(page.locator("#traffic")).to_contain_text("chat.postMessage server error, 3 left")
    assert [fault.method for fault in slack.faults.all()] == ["chat.postMessage"]

    page.get_by_role("button", name="Clear faults").click()
    expect(page.locator("#traffic")).not_to_contain_text("3 left")
    assert slack.faults.all() == []


def test_an_attachments_color_bar_is_as_tall_as_its_content(
    joined: WebClient, slack: Sandbox, general: str, open_page: OpenPage, shoot: Shoot
) -> None:
    text = {"type": "mrkdwn", "text": "*Used*\n97 %"}
    blocks = [{"type": "section", "text": text}, {"type": "section", "fields": [text] * 3}]
    bars = [
        {"color": "#cf3a3a", "fallback": "one line", "blocks": blocks[:1]},
        {"color": "good", "fallback": "more", "blocks": blocks},
    ]
    joined.chat_postMessage(channel=general, text="Disk is full", attachments=bars)
    page = go(open_page(), slack, general)

    # In a narrow window first, and then in a wide one.
    for index in (0, 1, 0, 1):
        if index == 0:
            shoot(page, "client-attachments")
        attachment = page.locator(".attachment").nth(index)
        expect(attachment.locator(".swatch")).to_have_css("width", "4px")
        bar, beside = (attachment.locator(name).bounding_box() for name in (".swatch", "> .grow"))
        assert bar is not None
        assert beside is not None
        assert bar["height"] == pytest.approx(beside["height"], abs=1)


def test_the_client_fits_a_narrow_screen(
    joined: WebClient, slack: Sandbox, general: str, open_page: OpenPage, shoot: Shoot
) -> None:
    slack.post_as(BEN, general, "a" * 300)
    post_elements(joined, general)
    page = go(open_page(), slack, general)
    shoot(page, "client")  # narrow from now on

    page.get_by_role("button", name="Conversations").click()
    expect(page.get_by_role("link", name="random")).to_be_visible()
    shoot(page, "client-menu")
    page.get_by_role("link", name="random").click()

    expect(page.get_by_role("heading", name="#random")).to_be_visible()


def test_the_page_reports_a_stopped_sandbox(
    slack: Sandbox, general: str, open_page: OpenPage
) -> None:
    page = go(open_page(), slack, general)
    expect(page.get_by_label("Message #general")).to_be_visible()

    page.context.set_offline(True)
    slack.post_as(BEN, general, "too late")

    expect(page.locator(".client.offline")).to_be_visible()
