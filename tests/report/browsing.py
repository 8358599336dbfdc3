"""A report in a browser."""


def open_page(browser, folder):
    """Opens the page of a run's folder and waits until its figures are drawn."""
    browser.get((folder / "report.html").as_uri())
    browser.execute_async_script("const done = arguments[0]; drawn.then(() => done(), done)")
