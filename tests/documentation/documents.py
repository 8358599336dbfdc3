"""The pages of the repository, and what stands in them: blocks of code, headings and links."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

BLOCK = re.compile(r"^```(\S*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def committed(*patterns: str) -> list[Path]:
    """The files in git, staged ones too, that match."""
    command = [str(shutil.which("git")), "ls-files", "-z", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).exists()]


def documentation() -> list[Path]:
    """README and the pages of docs, with examples that run."""
    return committed("README.md", "docs/*.md")


def blocks(page: Path, language: str) -> list[str]:
    return [code for kind, code in BLOCK.findall(page.read_text()) if kind == language]


def commands(page: Path) -> Iterator[str]:
    """The lines of its shell blocks, without comments."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            command = re.sub(r"(^|\s+)#.*", "", line).strip()
            if command:
                yield command


def anchors(page: Path) -> set[str]:
    """Those that GitHub and the site give to headings."""
    text = BLOCK.sub("", page.read_text())
    headings = re.findall(r"^#+ +(.*?) *$", text, re.MULTILINE)
    shown = [re.sub(r"\[(.*?)\]\(.*?\)|[`\\]", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in shown}


def links(page: Path) -> list[str]:
    """Targets of links and pictures, those to the web apart."""
    text = re.sub(r"`[^`\n]*`", "", BLOCK.sub("", page.read_text()))
    return [target for target in re.findall(r"\]\(([^()\s]+)\)", text) if not re.match(r"https?:|mailto:", target)]
