"""Carbon intensity from Electricity Maps (API v3), with the user's own token; the only part of `energy` that uses the network.

GET /v3/carbon-intensity/latest and /forecast, the zone as a parameter, the token in the header `auth-token`; the answer has
`carbonIntensity` in g CO2e/kWh, by default of the life cycle of what is consumed. Nothing takes the place of a failed answer here.
"""

from __future__ import annotations

import http.client
import json
import math
import os
from datetime import datetime
from typing import Any
from urllib import error, parse, request

import numpy as np

from kinowatt.energy.hourly import HOUR_s, MOST_gCO2e_per_kWh, Trace
from kinowatt.errors import InputError, KinowattError

TOKEN_VARIABLE = "KINOWATT_ELECTRICITY_MAPS_TOKEN"
BASE_URL = "https://api.electricitymaps.com"
TIMEOUT_s = 10.0
MOST_BYTES = 1_000_000  # a forecast of three days is about 6 kB
REASONS = {
    400: "it does not know the zone; use one of its own codes, such as DE or US-CAL-CISO",
    401: "it does not accept the token",
    403: "the token's plan does not cover this zone or forecast",
    404: "it does not know the zone; use one of its own codes, such as DE or US-CAL-CISO",
    429: "too many requests for this token",
}


class ElectricityMapsError(KinowattError):
    """Electricity Maps did not give a usable answer. The message is one sentence and never holds the token."""


def token() -> str | None:
    """The token of the environment; None if none is set."""
    return (os.environ.get(TOKEN_VARIABLE) or "").strip() or None


def latest(zone: str, base_url: str = BASE_URL) -> tuple[float, float, str]:
    """The newest g CO2e/kWh of a zone of Electricity Maps, the time of its hour (seconds since 1970 UTC), and its source.

    InputError if no token is set; ElectricityMapsError if the answer does not come within 10 s or is no intensity.
    """
    answer = _get("latest", zone, base_url)
    value, time_s = _point(answer)
    kind = str(answer.get("emissionFactorType") or "lifecycle")
    how = f"{kind}, estimated" if answer.get("isEstimated") else kind
    return value, time_s, f"Electricity Maps API v3, latest hour, {how}"


def forecast(zone: str, base_url: str = BASE_URL) -> Trace:
    """The forecast of a zone, by the hour. Errors as `latest`, and ElectricityMapsError if hours are missing from it."""
    answer = _get("forecast", zone, base_url)
    listed = answer.get("forecast")
    if not isinstance(listed, list) or not listed:
        raise ElectricityMapsError(f"Electricity Maps gave no forecast for zone {zone!r}")
    points = [_point(p) for p in listed]
    start_s = points[0][1]
    if any(abs(time_s - start_s - i * HOUR_s) > 1.0 for i, (_, time_s) in enumerate(points)):
        raise ElectricityMapsError(f"the forecast of Electricity Maps for zone {zone!r} does not go hour by hour")
    return Trace(zone, zone, "Electricity Maps API v3, forecast", start_s, np.array([value for value, _ in points]))


class _NoRedirect(request.HTTPRedirectHandler):
    """An answer from elsewhere is none: the token must not be sent on."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _get(what: str, zone: str, base_url: str) -> dict[str, Any]:
    secret = token()
    if secret is None:
        raise InputError(f"no token for Electricity Maps is set; put yours into {TOKEN_VARIABLE}")
    if not base_url.startswith(("https://", "http://")) or not secret.isascii() or not secret.isprintable():
        raise InputError(f"{TOKEN_VARIABLE} holds no token, or the address of Electricity Maps is none")
    asked = request.Request(
        f"{base_url}/v3/carbon-intensity/{what}?{parse.urlencode({'zone': zone})}",
        headers={"auth-token": secret, "Accept": "application/json"},
    )
    try:
        with request.build_opener(_NoRedirect).open(asked, timeout=TIMEOUT_s) as reply:
            raw = reply.read(MOST_BYTES)
    except error.HTTPError as refused:
        code = refused.code
        refused.close()
        reason = REASONS.get(code, f"it answered with status {code}")
        raise ElectricityMapsError(f"Electricity Maps gave no {what} intensity for zone {zone!r}: {reason}") from None
    except (OSError, ValueError, http.client.HTTPException) as failed:  # no network, no time left, broken HTTP
        kind = type(getattr(failed, "reason", failed)).__name__
        raise ElectricityMapsError(f"Electricity Maps cannot be reached ({kind}); try again, or unset {TOKEN_VARIABLE}") from None
    try:
        answer = json.loads(raw)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ElectricityMapsError(f"the answer of Electricity Maps for zone {zone!r} is not the JSON of its API v3")
    return answer


def _point(said: Any) -> tuple[float, float]:
    """g CO2e/kWh and the time of one entry."""
    value, time = (said.get("carbonIntensity"), said.get("datetime")) if isinstance(said, dict) else (None, None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_gCO2e_per_kWh or math.isnan(value):
        raise ElectricityMapsError("the answer of Electricity Maps has no carbon intensity")
    try:
        at = datetime.fromisoformat(str(time))
    except ValueError:
        raise ElectricityMapsError("the answer of Electricity Maps has no time for its carbon intensity") from None
    if at.tzinfo is None:
        raise ElectricityMapsError("a time in the answer of Electricity Maps has no UTC offset")
    return float(value), at.timestamp()
