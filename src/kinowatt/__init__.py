"""kinowatt: an open Sora that you host, train and audit; every clip carries its energy and carbon."""

import os
import sys

__version__ = "0.1.0"

# Nothing is reported to anyone. These libraries tell their makers over the network how they are used, unless they are told not to.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # what cannot be imported OpenVINO does without
