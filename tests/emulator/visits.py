"""Visits to the emulator's page in a Chromium without a window. They are watched: what the page asks for, what the browser says to it.

Playwright's synchronous API runs an event loop of asyncio's inside, on the test's own thread; nothing of it comes into the project's code,
and its tests are plain functions.
"""

import re
import shutil
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import attrs
from axe_playwright_python.base import AXE_SCRIPT  # pyright: ignore[reportMissingTypeStubs]  (the wheel has none; it is a str)
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    ViewportSize,
    WebError,
    expect,
    sync_playwright,
)
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
DESKTOP = ViewportSize(width=1280, height=900)
PHONE = ViewportSize(width=390, height=844)
# A call that is played has seconds of its own, and this machine may have other things to do.
PATIENCE_SECONDS = 20.0

# More than there are things to stop at.
_MOST_TABS = 60

Scheme = Literal["light", "dark"]

# As .ci/browser looks for them.
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Nothing of the browser's own goes out; no names are looked up, so that nothing of the page's could either.
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
# All that WCAG 2.2 wants at the levels A and AA as far as a program can tell, and what is good practice beyond it.
_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def chromium() -> str | None:
    """The program; None where there is none."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


@contextmanager
def open_browser(program: str) -> Generator[Browser]:
    with sync_playwright() as playwright, closing(playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)) as browser:
        yield browser


@attrs.define(eq=False)
class Visit:
    """A person at the page. `complaints`: requests to elsewhere, errors of scripts, what the console and the policy object to."""

    page: Page
    origin: str
    complaints: list[str] = attrs.field(factory=list[str])

    def open(self, query: str = "") -> None:
        self.page.goto(f"{self.origin}/test-interface{query}")

    def see_run(self, run_id: str) -> None:
        """Opens the address of a run."""
        self.open(f"?run={run_id}")
        expect(self.page.locator("body")).to_have_attribute("data-mode", "run")

    def part(self, name: str) -> Locator:
        """What has this id."""
        return self.page.locator(f"#{name}")

    def all(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def choose(self, pattern: str, *, items: int, pace: str = "10") -> None:
        """Chooses a kind of call, which has so many events, and a pace; returns when its plan is shown."""
        self.part("pattern").select_option(pattern)
        self.part(f"pace-{pace}").check()
        self.stands(0, items, state="idle")

    def send(self) -> str:
        """Sends what was chosen; the id of the run."""
        self.part("send").click()
        return self.run_id()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def tab_to(self, name: str) -> None:
        """Goes on with the Tab key until what has this id has the focus."""
        for _ in range(_MOST_TABS):
            self.press("Tab")
            if self.page.evaluate("document.activeElement.id") == name:
                return
        raise AssertionError(f"Tab does not come to {name}")

    def run_id(self) -> str:
        """Of the run that the page shows: in its address."""
        expect(self.page).to_have_url(re.compile(r"\?run="))
        return self.page.url.partition("?run=")[2]

    def stands(self, posted: int, items: int, *, state: str) -> None:
        """The bar says, or comes to say, so many events of so many, and this state."""
        self._watch(
            "([count, state]) => $('count').textContent === count && $('state').dataset.state === state", [f"{posted}/{items}", state]
        )
        expect(self.part("count")).to_have_text(f"{posted}/{items}")
        expect(self.part("state")).to_have_attribute("data-state", state)

    def ends(self, judgement: str) -> None:
        self._watch("judgement => $('verdict').dataset.judgement === judgement", judgement)
        expect(self.part("verdict")).to_have_attribute("data-judgement", judgement)

    def _watch(self, script: str, wanted: object) -> None:
        """Comes back as soon as it is so. `expect` looks once a second in the end, but says better what is there instead."""
        with suppress(PlaywrightTimeoutError):
            self.page.wait_for_function(script.replace("$(", "document.getElementById("), arg=wanted)

    def messages(self, chat: int) -> Sequence[str]:
        """What a chat shows now."""
        return self.all(f'[data-chat="{chat}"] [data-message]:not([data-change="deleted"]) .bubble-text').all_inner_texts()

    def ask(self, path: str) -> Any:
        """What the API says, past the page."""
        return self.page.request.get(f"{self.origin}{path}").json()

    def story(self, run_id: str) -> str:
        """The whole stream of a run that is over or will be."""
        return self.page.request.get(f"{self.origin}/api/runs/{run_id}/stream").text()

    def claim(self, fragment: str) -> None:
        """Takes out the complaints that say this; there must be one."""
        left = [complaint for complaint in self.complaints if fragment not in complaint]
        assert len(left) < len(self.complaints), f"nobody complained of {fragment!r}: {self.complaints}"
        self.complaints = left

    def shoot(self, name: str) -> None:
        """Keeps a picture of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.evaluate("scrollTo(0, 0)")
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def check_access(self) -> None:
        """Nothing that axe knows keeps anybody from using the page as it is now."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE_SCRIPT)
        options = {"runOnly": list(_RULES), "resultTypes": ["violations"]}
        found = self.page.evaluate("options => axe.run(options).then(({violations}) => violations)", options)
        told = [f"{one['id']}: {one['help']} {[node['target'] for node in one['nodes']]}" for one in found]
        assert not told, "\n".join(told)

    def look(self, size: ViewportSize, scheme: Scheme) -> None:
        """Goes on with another screen."""
        self.page.set_viewport_size(size)
        self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")

    def check_width(self) -> None:
        """The page itself needs no scrolling sideways; what is wider scrolls in a box of its own."""
        needed, there = self.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert needed <= there, f"{needed} px of {there}"


@contextmanager
def visit(browser: Browser, origin: str, *, size: ViewportSize = DESKTOP, scheme: Scheme = "light") -> Generator[Visit]:
    """A visit by somebody who was never here. It fails when somebody complained and nobody claimed it."""
    # Nothing moves: a colour on its way is none that anybody is to read by.
    looks = partial(browser.new_context, viewport=size, color_scheme=scheme, reduced_motion="reduce")
    with closing(looks(locale="ru-RU", timezone_id="Europe/Minsk")) as context:
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        visitor = Visit(context.new_page(), origin)

        def asked(request: Request) -> None:
            if not request.url.startswith(f"{origin}/"):
                visitor.complaints.append(f"asks for {request.url}")

        def said(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                visitor.complaints.append(f"{message.type}: {message.text}")

        def failed(error: WebError) -> None:
            visitor.complaints.append(str(error.error))

        context.on("request", asked)
        context.on("console", said)
        context.on("weberror", failed)
        try:
            yield visitor
        except BaseException:
            visitor.shoot("failed")
            raise
    assert not visitor.complaints, visitor.complaints
