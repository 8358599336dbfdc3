"""The keys and values in a YAML file, of a size that a person may have written."""

from pathlib import Path
from typing import Any

import yaml

from suffice.configuration.printable import printable
from suffice.errors import InputError

LONGEST_FILE = 1_000_000
"""Bytes of a configuration file."""

MOST_VALUES = 100_000
"""Keys and values of a configuration file, each counted as often as an alias repeats it."""


def read_settings(file: Path) -> dict[str, Any]:
    """The keys and values in a YAML file, whatever they are.

    Raises:
        InputError: a file that cannot be read, is not YAML, or holds something else.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(LONGEST_FILE + 1)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({printable(str(error))})") from error
    return settings_in(content, file)


def settings_in(content: bytes, file: Path) -> dict[str, Any]:
    """The keys and values in what a YAML file holds.

    Args:
        content: of the file.
        file: for messages.

    Raises:
        InputError: as of `read_settings`.

    Example:
        >>> settings_in(b"radius: 0.1", Path("config.yaml"))
        {'radius': 0.1}
    """
    try:
        if len(content) > LONGEST_FILE:
            raise InputError(f"{file}: longer than {LONGEST_FILE:,} bytes, so this is no configuration: check the file")
        stored = _loaded(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: byte {error.start + 1:,} is not UTF-8: save the file as UTF-8") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{file}: cannot be read ({printable(str(error))})") from error
    except yaml.YAMLError as error:
        raise InputError(f"{file}: not YAML ({printable(str(error))})") from error
    except RecursionError as error:
        raise InputError(f"{file}: lists or mappings are nested too deep, or within themselves") from error
    if not isinstance(stored, dict) or not stored.keys() <= {key for key in stored if isinstance(key, str)}:
        raise InputError(f"{file}: a configuration is a list of keys and values, such as 'radius: 0.1'")
    return stored


def _loaded(text: str) -> Any:
    """What is in a text of YAML, if it is of a size that a person may have written.

    Aliases make of a few lines more values than there is memory for, or lists without end.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _count(node, {}) > MOST_VALUES:
            raise yaml.YAMLError(f"its aliases stand for more than {MOST_VALUES:,} values")
        return loader.construct_document(node)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        # PyYAML raises what it stumbles over: a date in month 13, !!bool x, a number of 5,000 digits
        raise yaml.YAMLError(f"a value that YAML cannot make: {error}") from error
    finally:
        loader.dispose()


def _count(node: yaml.Node, counts: dict[yaml.Node, int]) -> int:
    """The nodes below one and itself, each as often as an alias repeats it; without end within itself."""
    if node not in counts:
        counts[node] = MOST_VALUES + 1  # until it is known
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            parts = node.value
        elif isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        counts[node] = 1 + sum(_count(part, counts) for part in parts)
    return counts[node]
