"""A real browser for the tests of the viewer's pages: Debian's chromium through Playwright."""

import os
import shutil

import pytest
import sample_page

from fedn_pipeline.viewer import page


@pytest.fixture(scope="module")
def browser():
    """One headless browser for a module; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on PATH")
    with playwright.sync_playwright() as runner:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = runner.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    path = tmp_path_factory.mktemp("proxy") / "talk.mp4"
    sample_page.write_proxy(path)
    return path


@pytest.fixture
def opened(browser, tmp_path):
    """`open(results, proxy)` gives the page in a tab; any error, and any request but for itself, fails the test."""
    tabs, wrong = [], []

    def open_page(results, proxy=None, thumbnails=None, **context):
        page.write(tmp_path / "page.html", results, proxy, thumbnails or {})
        tab = browser.new_context(**({"viewport": {"width": 1280, "height": 720}} | context)).new_page()
        tabs.append(tab)
        tab.on("console", lambda message: wrong.append(message.text))
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("dialog", lambda dialog: (wrong.append(dialog.type), dialog.dismiss()))
        tab.on("request", lambda request: wrong.append(request.url) if is_foreign(request.url) else None)
        tab.goto((tmp_path / "page.html").as_uri())
        if proxy:
            tab.wait_for_selector("body.has-video")
        tab.wait_for_selector("#lanes[data-to]")
        return tab

    def is_foreign(url):
        return url != (tmp_path / "page.html").as_uri() and not url.startswith(("blob:", "data:"))

    yield open_page
    for tab in tabs:
        tab.context.close()
    assert wrong == []
