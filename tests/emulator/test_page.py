"""The emulator's page in a real browser, in front of the gateway that `gateway demo --emulator` starts."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, ViewportSize, expect

from tests.emulator.visits import DESKTOP, PATIENCE_SECONDS, PHONE, Scheme, Visit, chromium, open_browser, visit

PROGRAM = chromium()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium here for the emulator's page (Debian: apt-get install chromium)")

START_SECONDS = 60.0
STOP_SECONDS = 30.0
# A difference is told when the chats had time enough: the gateway's 8 s of grace, and 12 s.
JUDGING_SECONDS = 40.0

Look = tuple[ViewportSize, Scheme]
LOOKS: Sequence[Look] = ((DESKTOP, "light"), (PHONE, "dark"), (DESKTOP, "dark"), (PHONE, "light"))

Visiting = Callable[..., AbstractContextManager[Visit]]


@contextmanager
def demo(directory: Path) -> Generator[str]:
    """`gateway demo --emulator`, as one types it; the origin of its page. Ctrl-C ends it without a complaint."""
    # A demo has no settings: what stands in the environment must not change it.
    environment = {**os.environ, "GATEWAY_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    code = "from gateway.cli import main; main()"
    told, complained = directory / "stdout", directory / "stderr"
    with told.open("w") as output, complained.open("w") as errors:
        process = subprocess.Popen([sys.executable, "-c", code, "demo", "--emulator"], env=environment, stdout=output, stderr=errors)
    try:
        yield origin_of(process, told)
        process.send_signal(signal.SIGINT)
        process.wait(STOP_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, complained.read_text()) == (0, "")


def origin_of(process: subprocess.Popen[bytes], told: Path) -> str:
    for _ in range(int(START_SECONDS / 0.1)):
        found = re.search(r"^.*emulator: (http://\S+)/test-interface$", told.read_text(), re.MULTILINE)
        if found:
            return found[1]
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"the demo names no page: {told.read_text()}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert PROGRAM is not None
    with open_browser(PROGRAM) as browser:
        expect.set_options(timeout=PATIENCE_SECONDS * 1000)
        yield browser


@pytest.fixture(scope="module")
def visiting(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Visiting]:
    with demo(tmp_path_factory.mktemp("demo")) as origin:
        yield partial(visit, browser, origin)


@pytest.fixture(scope="module", autouse=True)
def lossy(visiting: Visiting) -> str:
    """A run whose last event is lost. It takes its time to be judged, while other tests are at work."""
    with visiting() as visitor:
        visitor.open()
        visitor.choose("3-1", items=7)
        visitor.all("[data-test=fault-6]").select_option("lose")
        expect(visitor.all('[data-event-index="6"]')).to_have_attribute("data-trouble", "lose")
        expect(visitor.part("faults-on")).to_have_text("включено: 1")
        return visitor.send()


# ── playing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_is_chosen_sent_and_seen_to_end_as_expected(visiting: Visiting) -> None:
    with visiting() as visitor:
        visitor.open()
        visitor.choose("2-2", items=4)
        expect(visitor.part("description")).to_contain_text("никто")
        expect(visitor.all("[data-test=chat-preview] [data-final]")).to_contain_text("❌ Не отвечен")
        assert visitor.part("acts").locator("tr").count() > 2
        visitor.check_width()
        visitor.send()
        visitor.ends("expected")
        visitor.stands(4, 4, state="done")
        assert visitor.all('[data-event-index][data-state="answered"]').count() == 4
        for chat in (1001, 1002):
            (text,) = visitor.messages(chat)
            assert text.startswith("❌ Не отвечен: +375 (29) 000-")
        visitor.shoot("desktop-done")
        visitor.check_width()


def test_a_call_goes_step_by_step_goes_on_and_is_paused(visiting: Visiting) -> None:
    with visiting(scheme="dark") as visitor:
        visitor.open()
        visitor.choose("2-3", items=10, pace="step")
        visitor.send()
        for posted in range(6):
            visitor.stands(posted, 10, state="waiting")
            visitor.part("step").click()
        visitor.stands(6, 10, state="waiting")
        expect(visitor.all('[data-chat="1001"] .bubble-text')).to_contain_text("🔗 Разговор")
        expect(visitor.all('[data-chat="1002"] .bubble-text')).to_contain_text("🔗 Разговор")
        # The talk takes nine seconds now, unless somebody interferes.
        visitor.part("pause").click()
        visitor.stands(6, 10, state="running")
        visitor.shoot("desktop-running")
        visitor.part("pause").click()
        visitor.stands(6, 10, state="waiting")
        visitor.look(PHONE, "light")
        visitor.check_width()
        visitor.shoot("phone-running")
        visitor.part("step").click()
        visitor.stands(7, 10, state="waiting")
        visitor.part("stop").click()
        visitor.ends("stopped")


def test_a_call_that_is_stopped_posts_nothing_more(visiting: Visiting) -> None:
    with visiting() as visitor:
        visitor.open()
        visitor.choose("2-2", items=4, pace="1")
        stopped = visitor.send()
        visitor.stands(2, 4, state="running")
        visitor.part("stop").click()
        visitor.ends("stopped")
        visitor.stands(2, 4, state="stopped")
        expect(visitor.part("stop")).to_have_attribute("aria-disabled", "true")
        # A stream ends when nothing more can come.
        story = visitor.story(stopped)
        assert story.count("event: post") == 2
        assert story.rstrip().endswith('data: {"state": "stopped"}')
        run = visitor.ask(f"/api/runs/{stopped}")
        assert (run["state"], run["posted"], run["verdict"]) == ("stopped", 2, None)
        # The form is free for the next call.
        visitor.choose("3-1", items=7)
        expect(visitor.part("send")).not_to_have_attribute("aria-disabled", "true")


def test_a_run_that_is_looked_at_again_is_where_it_was(visiting: Visiting) -> None:
    with visiting() as visitor:
        visitor.open()
        visitor.choose("3-1", items=7, pace="step")
        run_id = visitor.send()
        visitor.part("step").click()
        visitor.stands(1, 7, state="waiting")
        visitor.page.reload()
        visitor.stands(1, 7, state="waiting")
        assert visitor.run_id() == run_id
        expect(visitor.part("pattern")).to_have_value("3-1")
        visitor.part("step").click()
        visitor.stands(2, 7, state="waiting")
        visitor.part("stop").click()
        visitor.stands(2, 7, state="stopped")


def test_a_run_that_nobody_knows_any_more_is_told_of(visiting: Visiting) -> None:
    with visiting() as visitor:
        visitor.open("?run=nobody")
        expect(visitor.part("problem")).to_contain_text("Этого прогона больше нет")
        expect(visitor.part("state")).to_have_attribute("data-state", "idle")
        visitor.claim("status of 404")


def test_a_call_is_played_with_the_keyboard_alone(visiting: Visiting) -> None:
    with visiting() as visitor:
        visitor.open("?enterprise=0367&pattern=3-1")
        visitor.stands(0, 7, state="idle")
        visitor.press("Tab")
        expect(visitor.all(".skip")).to_be_focused()
        visitor.tab_to("pace-1")
        visitor.press("ArrowRight", "ArrowRight")
        expect(visitor.part("pace-step")).to_be_checked()
        visitor.tab_to("send")
        visitor.press("Enter")
        for posted in range(3):
            visitor.stands(posted, 7, state="waiting")
            expect(visitor.part("step")).to_be_focused()
            visitor.press("Enter")
        visitor.stands(3, 7, state="waiting")
        visitor.tab_to("stop")
        visitor.press("Space")
        visitor.ends("stopped")
        # Whoever is at the keyboard has not been thrown out of the page.
        expect(visitor.part("stop")).to_be_focused()
        visitor.all(".skip").focus()
        visitor.press("Enter", "Shift+Tab", "Tab")
        expect(visitor.part("send")).to_be_focused()


# ── the form ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bad_number_is_told_beside_its_field_and_nothing_is_sent(visiting: Visiting) -> None:
    with visiting(size=PHONE) as visitor:
        visitor.open("?enterprise=0367&pattern=2-2")
        visitor.stands(0, 4, state="idle")
        played = len(visitor.ask("/api/runs"))
        field = visitor.part("field-external_phone")
        field.fill("123")
        expect(visitor.part("error-external_phone")).not_to_be_empty()
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(visitor.part("state")).to_have_attribute("data-state", "unready")
        visitor.part("send").click()
        expect(visitor.part("problem")).to_contain_text("Исправьте поля")
        expect(field).to_be_focused()
        visitor.shoot("phone-errors")
        visitor.check_width()
        assert len(visitor.ask("/api/runs")) == played
        field.fill("+375 29 000-11-22")
        expect(visitor.part("hint-external_phone")).to_have_text("✓ +375 (29) 000-11-22")
        visitor.stands(0, 4, state="idle")
        expect(field).not_to_have_attribute("aria-invalid", "true")
        expect(visitor.part("problem")).to_be_empty()
        visitor.claim("status of 422")


def test_nobody_plays_two_roles(visiting: Visiting) -> None:
    with visiting() as visitor:
        visitor.open("?enterprise=0367&pattern=3-1")
        visitor.stands(0, 7, state="idle")
        caller, callee = visitor.part("field-internal_caller"), visitor.part("field-internal_callee")
        taken = caller.input_value()
        expect(callee.locator(f'option[value="{taken}"]')).to_be_disabled()
        expect(caller.locator(f'option[value="{callee.input_value()}"]')).to_be_disabled()
        callee.select_option("other")
        visitor.all("[data-field-other=internal_callee]").fill(taken)
        expect(visitor.part("error-internal_callee")).not_to_be_empty()
        expect(visitor.part("state")).to_have_attribute("data-state", "unready")
        visitor.claim("status of 422")


def test_lines_are_none_busy_and_forbidding_and_the_preview_tells_what_takes_its_time(visiting: Visiting) -> None:
    with visiting() as visitor:
        visitor.open("?enterprise=0367&pattern=2-5")
        expect(visitor.part("field-backup_line_id").locator('option[value=""]')).to_have_text("– нет –")
        expect(visitor.part("field-also_rings_1").locator('option[value=""]')).to_have_text("– никто –")
        visitor.part("pace-10").check()
        expect(visitor.all("[data-test=chat-preview] [data-final] .bubble-meta")).to_contain_text("через 8 с после события 22")
        visitor.part("pattern").select_option("1-9")
        expect(visitor.all("#ladder .act-busy text")).to_have_text("занята")
        # The manager, the customer, the line that is busy and the other one.
        expect(visitor.all("#ladder .person-line")).to_have_count(2)
        visitor.part("pattern").select_option("1-11")
        expect(visitor.all("#ladder .act-forbid text")).to_have_text("запрещено")


def test_who_chooses_faster_than_the_fields_come_gets_what_was_chosen(visiting: Visiting) -> None:
    with visiting() as visitor:
        visitor.page.clock.install()
        visitor.open("?enterprise=0367&pattern=2-2")
        visitor.stands(0, 4, state="idle")
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        visitor.page.route("**/api/managers?*", hold)
        with visitor.page.expect_request("**/api/managers?*"):
            visitor.part("pattern").select_option("3-1")
        visitor.part("pace-10").check()
        # Long enough for the page to have asked for a plan, as it does some time after each change.
        visitor.page.clock.run_for(5_000)
        visitor.part("send").click()
        for route in held:
            route.continue_()
        visitor.run_id()
        visitor.part("stop").click()
        visitor.page.clock.run_for(5_000)
        expect(visitor.part("count")).to_contain_text("/7")
        visitor.ends("stopped")


def test_the_page_speaks_english_from_then_on(visiting: Visiting) -> None:
    with visiting() as visitor:
        visitor.open("?enterprise=0367&pattern=2-2")
        visitor.stands(0, 4, state="idle")
        expect(visitor.all("html")).to_have_attribute("lang", "ru")
        expect(visitor.part("send")).to_have_text("Отправить события")
        visitor.part("language").click()
        expect(visitor.all("html")).to_have_attribute("lang", "en")
        expect(visitor.part("send")).to_have_text("Send events")
        expect(visitor.part("pattern").locator("option:checked")).to_have_text("2-2 Incoming to a group with a greeting: nobody answers")
        expect(visitor.part("language")).to_have_text("Русский")
        visitor.page.reload()
        visitor.stands(0, 4, state="idle")
        expect(visitor.all("html")).to_have_attribute("lang", "en")
        expect(visitor.part("send")).to_have_text("Send events")
        visitor.part("language").click()
        expect(visitor.part("send")).to_have_text("Отправить события")


def test_nothing_from_elsewhere_is_loaded_whatever_the_page_contains(visiting: Visiting) -> None:
    with visiting() as visitor:
        visitor.open()
        visitor.page.evaluate("document.body.append(Object.assign(new Image(), {src: 'https://elsewhere.invalid/pixel.png'}))")
        visitor.page.evaluate("fetch('https://elsewhere.invalid/').catch(() => null)")
        visitor.page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.isIn = true'}))")
        assert visitor.page.evaluate("window.isIn") is None
        visitor.claim("https://elsewhere.invalid/pixel.png")
        visitor.claim("https://elsewhere.invalid/")
        visitor.claim("inline script")


# ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lost_event_makes_a_difference_that_is_shown(visiting: Visiting, lossy: str) -> None:
    with visiting() as visitor:
        visitor.see_run(lossy)
        expect(visitor.part("verdict")).to_have_attribute("data-judgement", "different", timeout=JUDGING_SECONDS * 1000)
        expect(visitor.all('[data-event-index="6"]')).to_have_attribute("data-state", "lost")
        expect(visitor.all("[data-test=wanted]")).to_contain_text("00:17")
        expect(visitor.all("[data-test=shown]").first).to_contain_text(re.compile(r"00:0\d"))
        visitor.all('[data-event-index="6"]').scroll_into_view_if_needed()
        visitor.shoot("desktop-difference")
        visitor.look(PHONE, "light")
        visitor.check_width()
        # Two people have room on it.
        visitor.page.wait_for_function("() => $('ladder').scrollWidth <= $('ladder').clientWidth".replace("$", "document.getElementById"))
        visitor.shoot("phone-difference")


def test_a_call_ends_as_expected_though_telegram_is_asked_too_often(visiting: Visiting) -> None:
    with visiting(size=PHONE, scheme="dark") as visitor:
        visitor.open()
        visitor.choose("3-1", items=7)
        visitor.all("#faults summary").click()
        visitor.part("telegram-429").check()
        expect(visitor.part("faults-on")).to_have_text("включено: 1")
        visitor.send()
        visitor.ends("expected")
        told = visitor.all('#around [data-origin="telegram"]')
        expect(told).to_have_count(4)
        expect(told.first).to_contain_text("429")
        visitor.check_width()
        visitor.shoot("phone-done")


def test_a_run_that_is_over_is_told_in_the_language_of_the_page(visiting: Visiting, lossy: str) -> None:
    with visiting() as visitor:
        visitor.see_run(lossy)
        expect(visitor.part("verdict")).to_contain_text("чат 1001: должно быть", timeout=JUDGING_SECONDS * 1000)
        expect(visitor.all('[data-event-index="6"] .event-summary')).to_contain_text("завершение")
        visitor.part("language").click()
        expect(visitor.part("verdict")).to_contain_text("chat 1001: wanted")
        expect(visitor.all('[data-event-index="6"] .event-summary')).to_contain_text("hangup")


# ── for everybody ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_page_keeps_nobody_out(visiting: Visiting, lossy: str) -> None:
    with visiting() as visitor:

        def check(first: str, second: str, sees: Callable[[], object]) -> None:
            for language, looks in ((first, LOOKS[:2]), (second, LOOKS[2:])):
                expect(visitor.all("html")).to_have_attribute("lang", language)
                sees()
                for look in looks:
                    visitor.look(*look)
                    visitor.check_access()
                    visitor.check_width()
                visitor.part("language").click()

        visitor.open("?enterprise=0367&pattern=2-2")
        visitor.stands(0, 4, state="idle")
        for summary in visitor.all("details.fold > summary").all():
            summary.click()
        visitor.all("[data-test=fault-1]").select_option("delay")
        visitor.part("field-external_phone").fill("123")
        visitor.part("send").click()
        expect(visitor.part("field-external_phone")).to_be_focused()
        check("ru", "en", expect(visitor.part("error-external_phone")).not_to_be_empty)
        # The last switch of the language asks for the plan anew; what is answered to that has been said once the next page is there.
        visitor.open("?enterprise=0367&pattern=3-1")
        visitor.claim("status of 422")
        visitor.part("language").click()
        expect(visitor.part("send")).to_have_text("Send events")
        visitor.part("pace-step").check()
        visitor.send()
        for posted in range(3):
            visitor.stands(posted, 7, state="waiting")
            visitor.part("step").click()
        talk = partial(expect(visitor.all('[data-chat="1002"] .bubble-text')).to_contain_text, "🔗 Разговор")
        talk()
        visitor.look(DESKTOP, "light")
        visitor.shoot("english-running")
        check("en", "ru", talk)
        visitor.part("stop").click()
        visitor.ends("stopped")
        visitor.see_run(lossy)
        check("en", "ru", partial(visitor.ends, "different"))
