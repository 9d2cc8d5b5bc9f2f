"""Steps of the app's in workflows, as Workflow Builder runs them.

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
    """Let a workflow come to a step of the app's, and tell the app (``function_executed``).

    Raises NotFoundError where there is no such step, SandboxError where Slack would not run it: a
    required input is missing, one is not the step's, or the app does not listen.
    """
    with core.lock:
        function = core.config.find_function(callback_id)
        if function is None or core.installation_for(team_id) is None:
            raise NotFoundError(f"there is no step {callback_id} in {team_id}")
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
            "input_parameters": [dict(one) for one in function.inputs.values()],
            "output_parameters": [dict(one) for one in function.outputs.values()],
            "app_id": core.config.app_id,
        }
        event: JsonDict = {
            "type": "function_executed",
            "function": described,
            "inputs": dict(inputs),
            "function_execution_id": run.id,
            "workflow_execution_id": core.world.next_id("Wx"),
            # Good for nothing here: an app has its own.
            "bot_access_token": f"xwfp-{secrets.token_hex(16)}",
        }
        core.publish(team_id, event)
    return run


def missing_outputs(run: StepRun, outputs: Mapping[str, Any]) -> list[str]:
    """What an app that ends a step has left out, or made up."""
    known = run.function.outputs
    return [*_missing(known, outputs), *sorted(set(outputs) - set(known))]


def _missing(known: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> list[str]:
    return [name for name, one in known.items() if one.get("is_required") and not given.get(name)]
