"""What the guide asks the internal listener about integrations and the cache, and what the access log says of it."""

import logging
from collections.abc import AsyncIterator, Iterator

import attrs
import pytest
import trio

from gateway.web import details
from tests.web.inside import EVERYBODY, JUNE, MAY, NOW, Inside, open_inside

PHONE = "375290001101"


class AccessLog(logging.Handler):
    """The lines of the access log, which are written after the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.written = trio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.written.set()


@pytest.fixture
def access_log() -> Iterator[AccessLog]:
    logger, handler = logging.getLogger("gateway.access"), AccessLog()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.setLevel(logging.NOTSET)
    logger.removeHandler(handler)


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    async with open_inside() as opened:
        yield opened


@pytest.mark.parametrize("key", ["0367", "june", "375290000900"])
async def test_integrations_are_found_by_number_name_and_token(inside: Inside, key: str) -> None:
    answer = await inside.get(f"/integrations/{key}")
    assert answer == {
        "integrations": {"retailcrm": True, "uon": False, "bitrix24": True},
        "created_at": NOW.timestamp(),
        "expires_at": NOW.timestamp() + 90,
        "age_seconds": 0.0,
    }


@pytest.mark.parametrize("key", ["0999", "375290009999", "s3cret-of-june", "nobody", "%D1%8F", "0367%20"])
async def test_an_unknown_key_is_404_and_a_secret_opens_nothing(inside: Inside, key: str) -> None:
    response = await inside.ask("GET", f"/integrations/{key}")
    assert (response.status, response.json) == (404, {"detail": "Enterprise not found"})


async def test_a_name_of_two_enterprises_is_409_and_both_are_named(inside: Inside) -> None:
    response = await inside.ask("GET", "/integrations/twin")
    assert (response.status, response.json) == (409, {"detail": "more than one enterprise has this name: 0370, 0371"})


async def test_an_enterprise_without_integrations_is_200_and_nothing(inside: Inside) -> None:
    assert (await inside.get("/integrations/0368"))["integrations"] == {}
    assert (await inside.get("/config/0368"))["integrations"] == {}


async def test_an_enterprise_that_is_not_active_is_shown_with_everything_off(inside: Inside) -> None:
    assert set((await inside.get("/integrations/0369"))["integrations"].values()) == {False}
    assert (await inside.get("/config/0369/retailcrm"))["config"]["enabled"] is True


async def test_without_the_store_what_is_known_is_served_and_the_rest_is_503(inside: Inside) -> None:
    inside.store.is_away = True
    assert (await inside.ask("GET", "/integrations/june")).status == 200
    response = await inside.ask("GET", "/integrations/0999")
    assert (response.status, response.headers["retry-after"]) == (503, "5")
    assert response.json == {"detail": "the database is away, try again later"}
    assert "hunter2" not in response.body.decode()


async def test_a_store_that_hangs_is_as_good_as_one_that_is_away(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "ANSWER_SECONDS", 0.05)
    inside.store.hangs = True
    for method, path in (
        ("GET", "/integrations/0999"),
        ("POST", "/cache/refresh"),
        ("GET", "/dispatch/0367/dead"),
        ("GET", "/config/0999"),
    ):
        response = await inside.ask(method, path)
        assert (response.status, response.json) == (503, {"detail": "the database is away, try again later"})
    assert (await inside.ask("GET", "/integrations/june")).status == 200


@pytest.mark.parametrize("path", ["/cache/refresh", "/metadata/refresh-all", "/metadata/0367/refresh", "/reload-incoming-transform/0367"])
async def test_a_refresh_without_the_store_is_503(inside: Inside, path: str) -> None:
    inside.store.is_away = True
    response = await inside.ask("POST", path)
    assert (response.status, list(response.json)) == (503, ["detail"])
    inside.store.is_away = False
    assert (await inside.ask("POST", path)).status == 200


# ── the cache ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_figures_after_a_warm_up_and_100_look_ups_of_10_known_keys() -> None:
    many = [attrs.evolve(MAY, number=f"05{count:02d}", name=f"house{count}", token=f"37529000{count:04d}") for count in range(10)]
    async with open_inside(many) as inside:
        for _ in range(10):
            for config in many:
                await inside.get(f"/integrations/{config.name}")
        figures = await inside.get("/stats")
        assert figures["cache_size"] == 10
        assert (figures["hits"], figures["misses"], figures["hit_rate_percent"], figures["total_requests"]) == (100, 0, 100.0, 100)
        assert figures["last_full_refresh"] == "2026-03-02T09:00:00+00:00"
        assert inside.store.loads == 0


async def test_the_figures_have_the_fields_of_the_guide(inside: Inside) -> None:
    await inside.get("/config/0367")
    await inside.ask("GET", "/integrations/0999")
    figures = await inside.get("/stats")
    assert list(figures) == [
        "hits",
        "misses",
        "refreshes",
        "cache_size",
        "config_hits",
        "config_misses",
        "config_cache_size",
        "last_full_refresh",
        "total_requests",
        "hit_rate_percent",
        "config_hit_rate_percent",
        "cache_entries",
        "config_cache_entries",
        "incoming_transform_cached",
    ]
    assert (figures["misses"], figures["config_hits"], figures["config_misses"]) == (1, 1, 0)
    assert (figures["refreshes"], figures["cache_size"]) == (1, len(EVERYBODY))


async def test_keys_that_nobody_has_are_no_size_of_the_cache(inside: Inside) -> None:
    for number in range(20):
        for path in ("integrations", "config", "incoming-transform"):
            assert (await inside.ask("GET", f"/{path}/09{number:02d}")).status == 404
    figures = await inside.get("/stats")
    sizes = {figures[name] for name in ("cache_size", "config_cache_size", "incoming_transform_cached")}
    assert sizes == {len(EVERYBODY)}
    assert set(figures["cache_entries"]) == set(figures["config_cache_entries"]) == {config.number for config in EVERYBODY}
    assert (await inside.get("/health"))["cache_size"] == len(EVERYBODY)


async def test_nothing_has_been_refreshed_before_the_first_time() -> None:
    async with open_inside(is_read=False) as inside:
        figures = await inside.get("/stats")
    assert (figures["last_full_refresh"], figures["cache_size"], figures["hit_rate_percent"]) == (None, 0, 0.0)


async def test_a_refresh_reads_everything(inside: Inside) -> None:
    await inside.store.upsert_enterprises([attrs.evolve(MAY, integrations={"own": {"enabled": True}})])
    assert (await inside.get("/integrations/may"))["integrations"] == {}
    response = await inside.ask("POST", "/cache/refresh")
    assert (response.status, response.json) == (200, {"message": "Cache refreshed successfully"})
    assert (await inside.get("/integrations/may"))["integrations"] == {"own": True}


@pytest.mark.parametrize("key", ["0368", "may"])
async def test_an_invalidation_makes_the_next_look_up_load(inside: Inside, key: str) -> None:
    await inside.store.upsert_enterprises([attrs.evolve(MAY, integrations={"own": {"enabled": True}})])
    response = await inside.ask("POST", f"/cache/invalidate/{key}")
    assert (response.status, response.json) == (200, {"message": f"Cache invalidated for enterprise {key}"})
    assert (await inside.get("/integrations/may"))["integrations"] == {"own": True}


@pytest.mark.parametrize("key", ["0999", "nobody", "twin"])
async def test_an_invalidation_is_always_200(inside: Inside, key: str) -> None:
    assert (await inside.ask("POST", f"/cache/invalidate/{key}")).status == 200
    inside.store.is_away = True
    assert (await inside.ask("POST", f"/cache/invalidate/{key}")).status == 200


@pytest.mark.parametrize("key", [JUNE.secret, JUNE.token])
async def test_an_invalidation_does_not_say_a_token_or_a_secret_again(inside: Inside, key: str) -> None:
    response = await inside.ask("POST", f"/cache/invalidate/{key}")
    assert response.json == {"message": "Cache invalidated for enterprise ***"}


async def test_the_entries_of_the_cache_are_listed(inside: Inside) -> None:
    entries = await inside.get("/cache/entries")
    assert set(entries) == {config.number for config in EVERYBODY}
    assert list(entries["0367"]) == ["integrations", "created_at", "expires_at", "age_seconds"]


async def test_the_health_for_people_says_whether_the_database_is_there(inside: Inside) -> None:
    answer = await inside.get("/health")
    assert (answer["status"], answer["database_connected"], answer["cache_size"]) == ("healthy", True, len(EVERYBODY))
    assert answer["uptime_seconds"] >= 0
    inside.store.is_away = True
    assert (await inside.get("/health")) | {"uptime_seconds": 0} == {
        "status": "degraded",
        "database_connected": False,
        "cache_size": len(EVERYBODY),
        "uptime_seconds": 0,
    }


async def test_line_rules_are_told_by_line_and_read_anew(inside: Inside) -> None:
    assert await inside.get("/incoming-transform/june") == {"map": {"sip:0001363": "+375{9}"}}
    assert await inside.get("/incoming-transform/0368") == {"map": {}}
    two = (*JUNE.lines[:1], attrs.evolve(JUNE.lines[1], incoming_transform="+7{10}"))
    await inside.store.upsert_enterprises([attrs.evolve(JUNE, lines=two)])
    response = await inside.ask("POST", "/reload-incoming-transform/0367")
    assert (response.status, response.json) == (200, {"size": 2})
    assert await inside.get("/incoming-transform/0367") == {"map": {"sip:0001363": "+375{9}", "sip:0001364": "+7{10}"}}
    assert (await inside.ask("GET", "/incoming-transform/0999")).status == 404


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/integrations/0367", "/integrations/0367"),
        ("/integrations/june?x=1", "/integrations/june"),
        ("/config/0367/retailcrm", "/config/0367/retailcrm"),
        ("/metadata/0367/line/0001363", "/metadata/0367/line/0001363"),
        ("/metadata/0367/manager/151", "/metadata/0367/manager/151"),
        (f"/integrations/{JUNE.token}", "/integrations/***"),
        (f"/config/{JUNE.secret}", "/config/***"),
        ("/integrations/of-somebody-unknown", "/integrations/***"),
        (f"/customer-name/june/{PHONE}", "/customer-name/june/***"),
        (f"/nowhere/{JUNE.secret}", "/***/***"),
        ("/internal/retailcrm/call-event", "/internal/retailcrm/call-event"),
        ("/", "/"),
    ],
)
async def test_the_access_log_shows_no_key_and_no_phone(inside: Inside, access_log: AccessLog, path: str, written: str) -> None:
    await inside.ask("GET", path)
    with trio.fail_after(5):
        await access_log.written.wait()
    (line,) = access_log.lines
    assert f'"GET {written} HTTP/1.1"' in line
