"""Opens each report in Chromium: it says nothing on the console and asks the network for nothing, names are only text,
search, filter, order and pages work, it is accessible in both themes and on a narrow screen, and what a reader must see is
there without JavaScript and on paper."""

import re
import sys
import time
from pathlib import Path

from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import sync_playwright

AXE = Path(AXE_FILE_PATH).read_text()
AXE_RUN = """async () => (await axe.run(document, {resultTypes: ["violations", "incomplete"]})).violations.map(
    (violation) => `${violation.id}: ${violation.help}: ${violation.nodes.slice(0, 3).map((node) => node.html)}`)"""
NAMES = "[...document.querySelectorAll('#rows th bdi')].map((name) => name.textContent)"
# So many accounts make a page that axe takes minutes for; the smaller ones have the same elements.
AXE_AT_MOST = 1_000


class Reader:
    """A browser window with one report in it, which notes whatever it should not do."""

    def __init__(self, browser, url, **settings):
        self.context = browser.new_context(**settings)
        self.page = self.context.new_page()
        self.complaints = []
        self.page.on("console", lambda message: self.complaints.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked(request.url, url))
        began = time.monotonic()
        self.page.goto(url)
        if settings.get("java_script_enabled", True):
            self.page.wait_for_selector("html[data-ready]", state="attached")
        self.seconds = time.monotonic() - began

    def asked(self, asked, url):
        if asked != url and not asked.startswith("data:"):
            self.complaints.append(f"request: {asked}")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.context.close()
        if error[0] is None:
            assert not self.complaints, self.complaints

    def found(self):
        return self.page.inner_text("#found")

    def rows(self):
        return self.page.locator("#rows tr").count()

    def search(self, text):
        self.page.fill("#search", text)
        self.page.wait_for_timeout(150)


def accounts_of(page):
    """The accounts as the page's own data has them: id, name and verdict."""
    return page.evaluate(
        """() => { const data = JSON.parse(document.getElementById("data").textContent);
        return data.names.map((name, row) => ({ id: data.ids.slice(row * 12, row * 12 + 12), name,
            verdict: data.verdicts[Number(data.verdict[row])].class })); }"""
    )


# All that the page is made of. A name that became markup shows as something else.
ELEMENTS = """a article b bdi body br button caption circle code dd defs desc div dl dt em fieldset footer form h1 h2 h3 head
header html i input label legend li link main mark meta nav noscript p path pattern rect script section span style svg symbol
table tbody td th thead time title tr ul use""".split()
ATTRIBUTES = """aria-hidden aria-label aria-labelledby aria-sort autocomplete charset class colspan content cx cy d data-from
data-label data-ready data-sort data-theme data-to datetime disabled fill focusable for height hidden href http-equiv id lang
name patternTransform patternUnits placeholder r rel role scope spellcheck tabindex title type value viewBox width
x""".split()
PARTS = """() => { const all = [...document.querySelectorAll("*")]; return {
    elements: [...new Set(all.map((element) => element.localName))],
    attributes: [...new Set(all.flatMap((element) => element.getAttributeNames()))],
    scripts: document.scripts.length }; }"""


def missing_in(text, accounts):
    there = set(re.findall("[0-9]{12}", text))
    return [account["id"] for account in accounts if account["id"] not in there]


def names_are_text(page, title):
    parts = page.evaluate(PARTS)
    strange = set(parts["elements"]) - set(ELEMENTS) | set(parts["attributes"]) - set(ATTRIBUTES)
    assert page.title() == title and parts["scripts"] == 2 and not strange, (page.title(), parts["scripts"], strange)


def explorer_works(reader, accounts):
    page = reader.page
    total = len(accounts)
    assert f"{total:,} account" in reader.found(), reader.found()
    assert reader.rows() == min(total, 50)
    badges = page.locator("#rows .badge").all_inner_texts()
    if any(account["verdict"] != "clean" for account in accounts):
        assert badges[0] != "Clean", "what needs a person is not first"

    for account in [*accounts[-1:], *[account for account in accounts if "<" in account["name"]][:3]]:
        for text in [account["id"], "-".join([account["id"][0:4], account["id"][4:8], account["id"][8:]])]:
            reader.search(text)
            assert account["id"] in page.inner_text("#rows"), text
        reader.search(account["name"])
        assert account["name"] in page.evaluate(NAMES) or reader.rows() == 50, account["name"]
    reader.search("no account has such a name")
    assert reader.rows() == 0 and ("nothing matches" in reader.found() or not accounts)
    reader.search("")
    assert reader.rows() == min(total, 50)

    for kind in sorted({account["verdict"] for account in accounts}):
        box = page.locator(f".chip:has(.v-{kind}) input")
        box.check()
        expected = sum(account["verdict"] == kind for account in accounts)
        assert f"{expected:,}" in reader.found(), (kind, reader.found())
        assert page.locator(f"#rows .badge.v-{kind}").count() == min(expected, 50)
        box.uncheck()

    order = "(names) => names.every((name, at) => !at || new Intl.Collator('en', { numeric: true, " \
        "sensitivity: 'base' }).compare(names[at - 1], name) * %s <= 0)"
    button = page.locator("[data-sort=name]")
    for sign, direction in [("1", "ascending"), ("-1", "descending")]:
        button.focus()
        page.keyboard.press("Enter")
        assert button.locator("..").get_attribute("aria-sort") == direction
        names = page.evaluate(NAMES)
        assert page.evaluate(order % sign, names), names
    if total > 50:
        first = page.inner_text("#rows tr:first-child .id")
        page.click("#after")
        assert page.inner_text("#page").startswith("51 to "), page.inner_text("#page")
        assert page.inner_text("#rows tr:first-child .id") != first
        page.click("#before")
        assert page.inner_text("#rows tr:first-child .id") == first


def check(browser, file):
    url = file.resolve().as_uri()
    with Reader(browser, url, viewport={"width": 1280, "height": 900}) as reader:
        page = reader.page
        title = page.title()
        assert "hacked" not in title, title
        accounts = accounts_of(page)
        names_are_text(page, title)
        explorer_works(reader, accounts)
        names_are_text(page, title)
        background = "getComputedStyle(document.body).backgroundColor"
        before = page.evaluate(background)
        page.click("#theme")
        assert page.evaluate(background) != before, "the theme does not change"
        page.emulate_media(media="print")
        printed = page.inner_text("body")
        assert not page.is_visible("#table") and not page.is_visible("#theme")
        missing = missing_in(printed, accounts)
        assert not missing, f"not on paper: {missing[:5]}"
        seconds = reader.seconds

    violations = set()
    for theme, width in [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]:
        with Reader(browser, url, viewport={"width": width, "height": 900}, color_scheme=theme) as reader:
            wide = reader.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{wide} px wide on a screen of {width}"
            if len(accounts) <= AXE_AT_MOST:
                reader.page.evaluate(AXE)
                violations.update(f"{theme} {width}: {found}" for found in reader.page.evaluate(AXE_RUN))
    assert not violations, "\n".join(sorted(violations))

    with Reader(browser, url, java_script_enabled=False) as reader:
        plain = reader.page.locator("main").inner_text()
        assert not reader.page.is_visible("#explorer")
        missing = missing_in(plain, accounts)
        assert not missing, f"not there without JavaScript: {missing[:5]}"
    size = file.stat().st_size / 1e6
    print(f"{file}: {len(accounts):,} accounts, {size:.1f} MB, ready after {seconds:.2f} s: in order")


chromium, *files = sys.argv[1:]
with sync_playwright() as playwright:
    # Chromium's sandbox needs what containers do not have; the page is ours.
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    for file in files:
        check(browser, Path(file))
    browser.close()
