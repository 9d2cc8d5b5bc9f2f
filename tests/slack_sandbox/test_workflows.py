"""Workflow steps: the event, and completion by the app."""

from __future__ import annotations

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from slack_sandbox import AppConfig, ManifestError, NotFoundError, Sandbox, SandboxError
from slack_sandbox.core import StepRun
from slack_sandbox.seed import ACME
from tests.slack_sandbox.conftest import MANIFEST, FakeClock
from tests.slack_sandbox.fake_app import FakeApp


@pytest.fixture
def run(bot: WebClient, slack: Sandbox) -> StepRun:
    made = slack.run_step(ACME, "greet", {"name": "Ann"})
    slack.deliver_due()
    return made


def error_of(bot: WebClient, method: str, **arguments: object) -> str:
    with pytest.raises(SlackApiError) as caught:
        bot.api_call(f"functions.{method}", json=arguments)
    return str(caught.value.response["error"])


def test_a_step_sends_function_executed(app: FakeApp, run: StepRun, clock: FakeClock) -> None:
    [event] = app.events("function_executed")
    assert event["inputs"] == {"name": "Ann"}
    assert event["function_execution_id"] == run.id
    assert event["function"]["callback_id"] == "greet"
    assert event["function"]["input_parameters"][0]["name"] == "name"
    assert event["bot_access_token"]


def test_a_step_completes_once(bot: WebClient, run: StepRun) -> None:
    bot.functions_completeSuccess(function_execution_id=run.id, outputs={"greeting": "Hello"})
    assert (run.state, run.outputs) == ("completed", {"greeting": "Hello"})
    completion = {"function_execution_id": run.id, "error": "no"}
    assert error_of(bot, "completeError", **completion) == "execution_not_in_running_state"


def test_a_step_fails_with_a_message(bot: WebClient, run: StepRun) -> None:
    bot.functions_completeError(function_execution_id=run.id, error="Nobody is there.")
    assert (run.state, run.error) == ("failed", "Nobody is there.")


@pytest.mark.parametrize("outputs", [{}, {"greeting": "x", "other": "y"}])
def test_outputs_are_validated(bot: WebClient, run: StepRun, outputs: dict[str, str]) -> None:
    completion = {"function_execution_id": run.id, "outputs": outputs}
    assert error_of(bot, "completeSuccess", **completion) == "parameter_validation_failed"
    completion["function_execution_id"] = "Fx0"
    assert error_of(bot, "completeSuccess", **completion) == "function_execution_not_found"


def test_inputs_are_validated(bot: WebClient, slack: Sandbox) -> None:
    for inputs in ({}, {"name": "Ann", "age": "7"}):
        with pytest.raises(SandboxError):
            slack.run_step(ACME, "greet", inputs)
    with pytest.raises(NotFoundError):
        slack.run_step(ACME, "other", {})


@pytest.mark.parametrize("setting", ["org_deploy_enabled", "function_runtime"])
def test_steps_need_a_function_runtime(setting: str) -> None:
    settings = {name: value for name, value in MANIFEST["settings"].items() if name != setting}
    with pytest.raises(ManifestError, match=setting):
        AppConfig.from_manifest(
            {**MANIFEST, "settings": settings},
            app_url="http://127.0.0.1:1",
            client_id="1",
            client_secret="2",
            signing_secret="3",
        )
