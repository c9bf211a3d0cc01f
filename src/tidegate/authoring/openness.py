"""Which paths take events from anybody: no verifier stands before them, and no processor looks who sends."""

import dis
import inspect

from tidegate.authoring.integration import Integration
from tidegate.authoring.processor import AbstractWebhookProcessor


def open_paths(integration: Integration) -> list[str]:
    """The paths, in order of registration, that accept events without asking for any proof."""
    guarded = {
        registration.path
        for registration in integration.registrations
        if registration.verify is not None or looks_at_the_sender(registration.processor)
    }
    paths = dict.fromkeys(registration.path for registration in integration.registrations)
    return [path for path in paths if path not in guarded]


def looks_at_the_sender(processor: type[AbstractWebhookProcessor]) -> bool:
    """False for an `authenticate` that reads nothing at all, as `return True` does: it cannot know who sends."""
    code = getattr(inspect.unwrap(processor.authenticate), "__code__", None)
    if code is None:
        return True
    return any(
        instruction.opname.startswith("LOAD_") and instruction.opname != "LOAD_CONST"
        for instruction in dis.get_instructions(code)
    )
