"""The pages in a real browser: chromium uploads, waits and reads, and nothing breaks the content policy."""

import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, expect, sync_playwright

from tests.api.serving import serving
from tests.api.worker import working
from tests.numpy_worker import linear_module, publish, quadrant_module, quadrant_zip

CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MILLISECONDS = 30_000
WIDTHS = (1280, 390)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH; install it to test the pages in a browser"),
]


class Complaints:
    """Everything a page complains about on its console, violations of its content policy among them."""

    def __init__(self, page: Page) -> None:
        self.said: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", self._fail)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.said.append(message.text)

    def _fail(self, error: Error) -> None:
        self.said.append(str(error))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield launched
        launched.close()


@pytest.fixture(params=WIDTHS)
def page(browser, request) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": request.param, "height": 900})
    opened.set_default_timeout(PATIENCE_MILLISECONDS)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("zoo")) as running:
        publish_three(running.zoo)
        yield running


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "images.zip"
    path.write_bytes(quadrant_zip())
    return path


def publish_three(zoo):
    publish(zoo, "ada/seeing", quadrant_module())
    publish(zoo, "ada/blind", quadrant_module(blind=True))
    publish(zoo, "bob/strokes", linear_module(1, description="Sees strokes.", tags=("fur",)))


def url_of(service, path):
    return str(service.http.base_url).rstrip("/") + path


def check_fits(page):
    """Nothing is wider than the screen."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_images_are_ranked(page, service, images):
    complaints = Complaints(page)
    page.goto(url_of(service, "/"))
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Which module for my data?").click()
    check_fits(page)
    page.get_by_label("Choose a file").set_input_files(images)
    with working(service):
        page.get_by_role("button", name="Rank modules").click()
        expect(page.locator(".decision")).to_contain_text("ranks first", timeout=PATIENCE_MILLISECONDS)
    assert re.search(r"/rank/query-[0-9a-f]+$", page.url)
    check_ranking(page)
    page.reload()
    check_ranking(page)
    assert complaints.said == []


def check_ranking(page):
    expect(page.locator(".decision")).to_contain_text("ada/seeing@1 ranks first")
    rows = page.get_by_role("table").locator("tbody").get_by_role("row")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("ada/seeing@1")
    expect(rows.first.get_by_role("img")).to_have_attribute("aria-label", re.compile(r"^score 0\.\d{3}, interval"))
    rows.first.get_by_text("details").click()
    expect(rows.first).to_contain_text("p-value")
    expect(page.locator("#said")).to_have_text("The ranking is complete.")
    check_fits(page)


def test_a_ranking_grows_while_a_worker_scores(page, service, images):
    page.goto(url_of(service, "/rank"))
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Examples").fill(str(40 + page.viewport_size["width"] % 7))
    page.get_by_label("Choose a file").set_input_files(images)
    page.get_by_role("button", name="Rank modules").click()
    expect(page.locator("#said")).to_contain_text("0 of 3 steps", timeout=PATIENCE_MILLISECONDS)
    expect(page.get_by_text("No worker is on it")).to_be_visible()
    with working(service):
        expect(page.locator(".decision")).to_be_visible(timeout=PATIENCE_MILLISECONDS)
    expect(page.locator("progress")).to_have_count(0)


def test_a_broken_file_is_told_on_the_form(page, service, tmp_path):
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 nothing more")
    page.goto(url_of(service, "/rank"))
    page.get_by_label("Choose a file").set_input_files(broken)
    page.get_by_role("button", name="Rank modules").click()
    expect(page.get_by_role("alert")).to_contain_text("zip")
    expect(page.get_by_role("button", name="Rank modules")).to_be_enabled()
    check_fits(page)


def test_the_catalogue_leads_to_a_module_and_its_commands(page, service):
    complaints = Complaints(page)
    page.goto(url_of(service, "/"))
    check_fits(page)
    page.get_by_label("Tag").select_option("fur")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="bob/strokes").click()
    expect(page.get_by_text("zoo fetch bob/strokes@1")).to_be_visible()
    expect(page.get_by_role("button", name="Copy")).to_have_count(2)
    check_fits(page)
    assert complaints.said == []


def test_a_zoo_with_a_token_asks_for_it(page, tmp_path, images):
    with serving(tmp_path, token="s3cret") as service:
        publish_three(service.zoo)
        page.goto(url_of(service, "/rank"))
        page.get_by_label("Choose a file").set_input_files(images)
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Rank modules").click()
        expect(page.locator("#answer")).to_contain_text("the token is not known here")
        page.get_by_label("Token").fill("s3cret")
        page.get_by_role("button", name="Rank modules").click()
        page.wait_for_url("**/rank/query-*")
        expect(page.locator("#said")).to_contain_text("0 of 3 steps")
        page.context.clear_cookies()
        page.reload()
        expect(page.get_by_role("alert")).to_contain_text("token")
        page.get_by_label("Token").fill("s3cret")
        page.get_by_role("button", name="Open").click()
        expect(page.locator("#said")).to_contain_text("0 of 3 steps")
