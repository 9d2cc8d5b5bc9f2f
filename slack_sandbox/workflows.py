"""Workflow steps of the app, as run by Workflow Builder.

See https://docs.slack.dev/workflows/workflow-steps.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from slack_sandbox.core import Core, StepRun
from slack_sandbox.errors import NotFoundError, SandboxError
from slack_sandbox.world import JsonDict


def run_step(core: Core, team_id: str, callback_id: str, inputs: Mapping[str, Any]) -> StepRun:
    """Run a workflow step of the app and send ``function_executed``.

    Raises NotFoundError for an unknown step, SandboxError where Slack would not run it: missing or
    unknown inputs, or no subscription to the event.
    """
    with core.lock:
        function = core.config.find_function(callback_id)
        if function is None or core.installation_for(team_id) is None:
            raise NotFoundError(f"unknown step {callback_id} in {team_id}")
        if "function_executed" not in core.config.bot_events:
            raise SandboxError("the app has not subscribed to function_executed")
        wrong = [*_missing(function.inputs, inputs), *sorted(set(inputs) - set(function.inputs))]
        if wrong:
            raise SandboxError(f"missing or unknown inputs: {', '.join(wrong)}")
        run = StepRun(core.world.next_id("Fx"), team_id, function)
        core.step_runs[run.id] = run
        described: JsonDict = {
            "id": core.world.next_id("Fn"),
            "callback_id": callback_id,
            "title": function.title,
            "type": "app",
            "input_parameters": [dict(parameter) for parameter in function.inputs.values()],
            "output_parameters": [dict(parameter) for parameter in function.outputs.values()],
            "app_id": core.config.app_id,
        }
        event: JsonDict = {
            "type": "function_executed",
            "function": described,
            "inputs": dict(inputs),
            "function_execution_id": run.id,
            "workflow_execution_id": core.world.next_id("Wx"),
            # Present because Slack sends it; the sandbox does not accept it as a token.
            "bot_access_token": f"xwfp-{secrets.token_hex(16)}",
        }
        core.publish(team_id, event)
    return run


def missing_outputs(run: StepRun, outputs: Mapping[str, Any]) -> list[str]:
    """Missing required outputs, and unknown ones."""
    known = run.function.outputs
    return [*_missing(known, outputs), *sorted(set(outputs) - set(known))]


def _missing(known: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any]) -> list[str]:
    return [
        name
        for name, parameter in known.items()
        if parameter.get("is_required") and not values.get(name)
    ]
