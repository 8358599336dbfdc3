"""Configurations as nobody should write them, for tests and for fuzzing: each is read, or refused in one line."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from suffice.configuration import COMMANDS, Config, MLPConfig, read_analysis, read_configuration
from suffice.errors import InputError

LONGEST = 600
"""Characters of a message, besides the file's name."""

VALUES: Sequence[str] = (
    "9" * 5000, "-" + "9" * 4000, "1" + "0" * 30, "0." + "3" * 5000, "1e999", "-1e999", ".nan", ".inf", "-.inf",
    "0x" + "f" * 5000, "0b" + "1" * 20000, "0o777", "1_000", "1:30", "190:20:30", "12:30:45.6",
    "~", "null", "true", "yes", "''", '""', '"\\0"', '"\\ud800"', '"a\\nb"', '"\\u202e"', "'" + "x" * 100_000 + "'",
    "[]", "{}", "[[[[]]]]", "[1, a, ~, [2], {b: 3}]", "{a: {b: {c: 1}}}", "{1: 2}", "{[1, 2]: 3}", "{? {a: 1} : 2}",
    "[" * 1200, "[" * 1200 + "]" * 1200, "{a: " * 800 + "1" + "}" * 800, "&a [*a]", "&a {b: *a}", "*unknown",
    "2024-13-45", "2024-01-01", "2024-01-01T99:99:99Z", "!!binary zzz=", "!!binary aGVsbG8=", "!!set {a, b}",
    "!!omap [a: 1, b: 2]", "!!pairs [a: 1]", "!!python/object/apply:os.system ['true']", "!!int abc", "!!float x",
    "!!timestamp x", "!!bool x", "!unknown x", "!!str 3", "!!null x", "!!int ''", "!!float ''", "=", "<<", "<<: 1",
    "|", "> text", "%", "@", "`", "- a", "? a", "a: b: c", "\t1", "\x07", "\ufeff", "1 # comment", "- - - 1",
    "head", "lora(4", "lora(99999999999999999999)", "(),(", ",", ",,,", "a=b", "=", "cat=", "=1", "x=" + "9" * 5000,
)  # fmt: skip
"""Values of a key in YAML."""

KEYS: Sequence[str] = (
    "", "?", "1", "1.5", "~", "true", "2024-01-01", "[a]", "{a: 1}", "'model '", "Model", "<<", "=", "*x", "model.x",
    "x" * 5000, "'\\0'", "__class__", "model_config", "fingerprint", "versions",
)  # fmt: skip
"""Keys that no command has."""

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 20)
)
"""Lists of lists, of 9^20 words in all."""

WHOLE: Sequence[bytes] = (
    b"", b"\n", b"\0", b"\xff\xfe", b"\xff\xfem\0o\0d\0e\0l\0:\0 \0m\0", b"\xef\xbb\xbfmodel: m\n", b"\x80\x81",
    b"---\n---\n", b"model: m\n---\nmodel: m\n", b"%YAML 9.9\n---\nmodel: m", b"%TAG ! !\n", b"model: \xe4\n",
    b"- model: m", b"model", b"3", b"model: m\nmodel: n\n", b"model: m\n  data: d\n", b"model: m\n\tdata: d\n",
    b"<<: {model: m, data: d}\n", b"<<: 3\n", b"<<: [1]\n", BOMB.encode(), b"model: m\ndata: d\n" + BOMB.encode(),
    b"model: *a\n", b"{" * 1200, b"\xed\xa0\x80: 1\n",
)  # fmt: skip
"""Files."""


class Strange(NamedTuple):
    """A file and the values of flags for the configuration of a command."""

    kind: type[Config]
    content: bytes
    flags: dict[str, str]


def strange(seed: int) -> Strange:
    """One of many, always the same for a seed: files damaged whole, in a key, in a value, or in single bytes.

    Example:
        >>> strange(3) == strange(3)
        True
    """
    draw = random.Random(seed)  # noqa: S311
    kind = draw.choice(list(COMMANDS))
    keys = [*kind.model_fields, *(word for words in kind.OTHER_NAMES.values() for word in words)]
    given = {"model: m", "data: d", "scores: [s]"}
    lines = sorted(line for line in given if line.partition(":")[0] in kind.model_fields and kind is not MLPConfig)
    lines += [f"{draw.choice(keys)}: {draw.choice(VALUES)}" for _ in range(draw.randint(0, 3))]
    flags = {}
    match draw.randint(0, 4):
        case 0:
            return Strange(kind, draw.choice(WHOLE), flags)
        case 1:
            lines.append(f"{draw.choice(KEYS)}: {draw.choice(VALUES)}")
        case 2:
            flags = {draw.choice(keys): draw.choice(VALUES)}
    content = bytearray("\n".join(["#", *lines]).encode(errors="surrogatepass"))
    if draw.random() < 0.3:
        for _ in range(draw.randint(1, 8)):
            content[draw.randrange(len(content))] = draw.randrange(256)
    return Strange(kind, bytes(content), flags)


def try_to_read(case: Strange, file: Path) -> str | None:
    """Reads the configuration, from a file that this writes.

    Returns:
        The refusal, or None if the configuration was read.

    Raises:
        AssertionError: a refusal that is no line to read. Whatever else is raised is an error of suffice.
    """
    file.write_bytes(case.content)
    read: Callable[..., Config] = read_analysis if "analyze" in COMMANDS[case.kind] else read_configuration
    try:
        read(*([] if read is read_analysis else [case.kind]), dict(case.flags), file).asked()
    except InputError as error:
        refusal = str(error)
        assert "\n" not in refusal, refusal
        assert refusal.isprintable(), repr(refusal)
        assert len(refusal) <= LONGEST + 3 * len(str(file)), f"{len(refusal):,} characters: {refusal[:200]}"
        return refusal
    return None
