"""What differs between the settings that something was computed with and those of now."""

from collections.abc import Mapping
from typing import Any

from suffice.digest import is_digest

SHOWN = 60
"""Characters of a value that a message shows."""


def differences(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two sets of settings, in words; long values and hashes of contents are not shown.

    Example:
        >>> from suffice.digest import digest
        >>> differences({"samples": 300, "probes": {"radius": 0.1}}, {"samples": 500, "probes": {"radius": 0.1}})
        ['samples: 300, now 500']
        >>> differences({"probes": {"radius": 0.1}}, {"probes": {"radius": 0.2}, "weights": digest("weights")})
        ['probes.radius: 0.1, now 0.2', 'weights: changed']
    """
    found = []
    for key in [*now, *(key for key in stored if key not in now)]:
        before, after = stored.get(key), now.get(key)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += [f"{key}.{difference}" for difference in differences(before, after)]
        elif any(is_digest(value) or len(_shown(value)) > SHOWN for value in (before, after)):
            found.append(f"{key}: changed")
        else:
            found.append(f"{key}: {_shown(before)}, now {_shown(after)}")
    return found


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return "not set" if value is None else str(value)
