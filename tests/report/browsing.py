"""A report in a browser."""

from contextlib import contextmanager


def open_page(browser, folder):
    """Opens the page of a run's folder, waits until its figures are drawn, and unfolds all of it."""
    browser.get_log("browser")  # what a page before this one said is told to nobody
    browser.get((folder / "report.html").as_uri())
    browser.execute_async_script("const done = arguments[0]; drawn.then(() => done(), done)")
    browser.execute_script("document.querySelectorAll('details').forEach((part) => { part.open = true; })")


def lines_of(browser, name):
    """How many lines, bands and marks the figure of a page has."""
    return browser.execute_script(f"return document.querySelectorAll('#{name} .figure.wide [clip-path]').length")


@contextmanager
def on_screen(browser, width, scheme):
    """The browser on a screen of some width, in a light or a dark scheme; afterwards as it was."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
