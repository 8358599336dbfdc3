"""A report in a browser."""

from contextlib import contextmanager


def open_page(browser, folder):
    """Opens the page of a run's folder and waits until its figures are drawn."""
    browser.get((folder / "report.html").as_uri())
    browser.execute_async_script("const done = arguments[0]; drawn.then(() => done(), done)")


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
