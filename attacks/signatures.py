"""Forged requests against every verifier: one bit away from a signed one, another secret, another time, garbage."""

import asyncio
import base64
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from attacks.tally import Tally
from tests.verify.presets import FORM, KEY_PAIRS, PRESETS, Preset, draft, flips, one_bit_away
from tidegate.core.errors import ConfigurationError
from tidegate.core.verification import KeysNeeded, Refused, SignedRequest, Verified, Verifier


def signatures(seed: int, scale: float) -> Tally:
    tally, rng = Tally("forged signatures, every verifier"), random.Random(seed)
    for preset in PRESETS:
        for _ in range(max(1, round(3 * scale))):
            attack(tally, preset, rng)
    tally.detail = f"{len(PRESETS)} ways to sign"
    return tally


def attack(tally: Tally, preset: Preset, rng: random.Random) -> None:
    shared = preset.secrets is not KEY_PAIRS
    secret: Any = "whsec_" + base64.b64encode(rng.randbytes(24)).decode() if shared else 0
    text = "".join(rng.choices("abcdefgh0123", k=rng.randrange(4, 24)))
    body = urlencode({"a": text}) if preset.content_type.startswith(FORM) else f'{{"a": "{text}"}}'
    request = preset.sign(secret, draft(preset, body.encode()), f"id-{text}")
    verifier = preset.build([secret])
    if not isinstance(ask(verifier, request), Verified):
        tally.crash(f"{preset.name} refuses what is signed well")
    for forged in [*one_bit_away(preset, request), *out_of_time(preset, request, rng)]:
        judge(tally, preset, verifier, forged)
    for _ in range(50):
        judge(tally, preset, verifier, garbled(preset, request, rng))
    for wrong in flips(secret) if shared else [1]:
        try:
            other = preset.build([wrong])
        except ConfigurationError:
            continue  # no secret of this sender's form any more
        if shared:
            judge(tally, preset, other, request)


def judge(tally: Tally, preset: Preset, verifier: Verifier, request: SignedRequest) -> None:
    try:
        outcome = ask(verifier, request)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        tally.crash(f"{preset.name}: {error!r}")
        return
    if isinstance(outcome, Refused | KeysNeeded):
        tally.refuse()
    else:
        tally.accept_wrongly(f"{preset.name}: {request}")


def ask(verifier: Verifier, request: SignedRequest) -> Any:
    """Fetch keys once where they are needed, and ask again, as the ingress does."""
    outcome = verifier.verify(request)
    if isinstance(outcome, KeysNeeded):
        try:
            asyncio.run(outcome.fetch())  # type: ignore[arg-type]
        except KeyError:
            return outcome  # keys that nobody has: the ingress answers 503
        outcome = verifier.verify(request)
    return outcome


def out_of_time(preset: Preset, request: SignedRequest, rng: random.Random) -> list[SignedRequest]:
    if preset.tolerance is None:
        return []
    apart = [preset.tolerance + timedelta(seconds=rng.randrange(1, 10**7)) for _ in range(10)]
    return [replace(request, now=request.now + sign * each) for each in apart for sign in (1, -1)]


def garbled(preset: Preset, request: SignedRequest, rng: random.Random) -> SignedRequest:
    """The proof taken away, or the body replaced."""
    if rng.random() < 0.5 or preset.body_flips is None:
        return preset.proof.removed(request)
    return replace(request, body=rng.randbytes(rng.randrange(40)))
