"""What the guide asks the internal listener about integrations, settings and customers."""

import logging
from collections.abc import AsyncIterator, Iterator

import attrs
import pytest
import trio

from gateway.crm.base import CrmKind, CrmLookupFailed, Problem
from gateway.ports import CustomerProfile, NamedCustomer
from gateway.web import customer_desk
from tester.fakes.crm import HANG, LOOKUP_FAILS, Play
from tests.web.inside import API_KEY, AUTUMN, EVERYBODY, HOOK, JUNE, MAY, NOW, Inside, open_inside

PHONE = "375290001101"
ORLOVA = CustomerProfile(
    last_name="Орлова",
    first_name="Вера",
    source="retailcrm",
    external_id="77",
    phones=(PHONE, "375290001102"),
    extension="151",
    raw={"id": 77, "firstName": "Вера"},
)


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


# ── integrations ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_name_is_null_and_then_the_one_of_the_crm(inside: Inside) -> None:
    assert await inside.get(f"/customer-name/0367/{PHONE}") == {"name": None}
    await inside.ask("POST", "/cache/invalidate/0367")
    inside.crms[CrmKind.RETAILCRM].profiles[PHONE] = ORLOVA
    assert await inside.get(f"/customer-name/june/%2B{PHONE}") == {"name": "Орлова Вера"}


async def test_a_name_of_the_database_asks_no_crm(inside: Inside) -> None:
    named = NamedCustomer(phone=PHONE, profile=CustomerProfile(enterprise_name="ООО Ромашка"), at=NOW)
    await inside.store.name_customer("0367", named)
    assert await inside.get(f"/customer-name/0367/{PHONE}") == {"name": "ООО Ромашка"}
    assert inside.crms[CrmKind.RETAILCRM].look_ups == []


@pytest.mark.parametrize("path", ["0999/375290001101", "twin/375290001101", "0367/151", "0367/unknown", f"{JUNE.secret}/375290001101"])
async def test_a_name_is_null_whatever_is_wrong(inside: Inside, path: str) -> None:
    assert await inside.get(f"/customer-name/{path}") == {"name": None}


async def test_a_name_is_null_without_store_or_crm(inside: Inside) -> None:
    inside.crms[CrmKind.RETAILCRM].play_look_ups(LOOKUP_FAILS)
    assert await inside.get(f"/customer-name/0367/{PHONE}") == {"name": None}
    inside.store.is_away = True
    assert await inside.get("/customer-name/0999/375290001103") == {"name": None}


async def test_a_name_is_null_in_time_when_the_crm_hangs(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customer_desk, "NAME_SECONDS", 0.05)
    inside.crms[CrmKind.RETAILCRM].play_look_ups(HANG, HANG, HANG)
    with trio.fail_after(1.5):
        assert await inside.get(f"/customer-name/0367/{PHONE}") == {"name": None}
        assert (await inside.get(f"/customer-profile/0367/{PHONE}"))["last_name"] is None
        assert await inside.get(f"/responsible-extension/0367/{PHONE}") == {"extension": None}


async def test_a_profile_has_four_names_and_the_record_of_the_crm(inside: Inside) -> None:
    inside.crms[CrmKind.RETAILCRM].profiles[PHONE] = ORLOVA
    assert await inside.get(f"/customer-profile/0367/{PHONE}") == {
        "last_name": "Орлова",
        "first_name": "Вера",
        "middle_name": None,
        "enterprise_name": None,
        "source": {"raw": {"id": 77, "firstName": "Вера"}, "type": "retailcrm"},
    }
    nobody = {"last_name": None, "first_name": None, "middle_name": None, "enterprise_name": None}
    assert await inside.get("/customer-profile/0367/375290001199") == nobody
    assert (await inside.ask("GET", f"/customer-profile/0999/{PHONE}")).status == 404


async def test_the_responsible_extension_is_cached_unless_it_must_be_asked_now(inside: Inside) -> None:
    crm = inside.crms[CrmKind.RETAILCRM]
    crm.profiles[PHONE] = ORLOVA
    path = f"/responsible-extension/0367/{PHONE}"
    assert await inside.get(path) == {"extension": "151"}
    crm.profiles[PHONE] = attrs.evolve(ORLOVA, extension="152")
    assert await inside.get(path) == {"extension": "151"}
    assert await inside.get(f"{path}?nocache=true") == {"extension": "152"}
    assert await inside.get(path) == {"extension": "152"}
    assert await inside.get("/responsible-extension/0367/375290001199") == {"extension": None}
    assert (await inside.ask("GET", f"/responsible-extension/0999/{PHONE}")).status == 404


# ── enrichment and notices ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_enrichment_writes_the_names_down_for_all_numbers_of_the_customer(inside: Inside) -> None:
    inside.crms[CrmKind.RETAILCRM].profiles[PHONE] = ORLOVA
    for phone in (PHONE, "375290001102"):
        await inside.store.name_customer("0367", NamedCustomer(phone=phone, profile=CustomerProfile(last_name="Старая"), at=NOW))
    response = await inside.ask("POST", f"/enrich-customer/june/+{PHONE}")
    assert response.json == {
        "success": True,
        "full_name": "Орлова Вера",
        "source": "retailcrm",
        "external_id": "77",
        "person_uid": "retailcrm:77",
        "linked_phones": [f"+{PHONE}", "+375290001102"],
        "updated_count": 2,
        "is_primary_source": True,
    }
    for phone in (PHONE, "375290001102"):
        customer = await inside.store.customer("0367", phone)
        assert customer is not None
        assert customer.profile.name == "Орлова Вера"


@pytest.mark.parametrize(
    ("profile", "error"),
    [
        (None, "No customer profile found"),
        (attrs.evolve(ORLOVA, last_name="", first_name=""), "No name data in profile"),
        (attrs.evolve(ORLOVA, external_id=""), "No external_id found for retailcrm"),
    ],
)
async def test_an_enrichment_that_cannot_be_says_why_and_links_nobody(inside: Inside, profile: CustomerProfile | None, error: str) -> None:
    if profile is not None:
        inside.crms[CrmKind.RETAILCRM].profiles[PHONE] = profile
    response = await inside.ask("POST", f"/enrich-customer/0367/{PHONE}")
    assert (response.status, response.json) == (200, {"success": False, "error": error})
    assert await inside.store.customer("0367", PHONE) is None


@pytest.mark.parametrize(
    ("failure", "error"),
    [(Problem.BAD_ANSWER, "Invalid profile data"), (Problem.UNAUTHORIZED, "Customer look-up failed: unauthorized")],
)
async def test_an_enrichment_says_what_failed_at_the_crm(inside: Inside, failure: Problem, error: str) -> None:
    inside.crms[CrmKind.RETAILCRM].play_look_ups(Play(error=CrmLookupFailed(failure, "http=403")))
    response = await inside.ask("POST", f"/enrich-customer/0367/{PHONE}")
    assert (response.status, response.json) == (200, {"success": False, "error": error})


async def test_an_enrichment_needs_integrations_an_enterprise_and_a_number(inside: Inside) -> None:
    for path, error in (("0368/375290001101", "No integrations configured"), ("0367/151", "No customer profile found")):
        assert (await inside.ask("POST", f"/enrich-customer/{path}")).json == {"success": False, "error": error}
    assert (await inside.ask("POST", f"/enrich-customer/0999/{PHONE}")).status == 404


async def test_a_company_is_linked_as_a_company(inside: Inside) -> None:
    profile = attrs.evolve(ORLOVA, enterprise_name="ООО Ромашка", is_company=True)
    inside.crms[CrmKind.RETAILCRM].profiles[PHONE] = profile
    answer = (await inside.ask("POST", f"/enrich-customer/0367/{PHONE}")).json
    assert (answer["full_name"], answer["person_uid"]) == ("ООО Ромашка", "retailcrm_corp:77")
    assert (await inside.get(f"/customer-profile/0367/{PHONE}"))["source"]["type"] == "retailcrm_corporate"


async def test_a_notice_goes_to_the_people_it_is_for() -> None:
    settings = {"uon": {"enabled": True}, "smart": {"primary": "uon"}}
    async with open_inside([attrs.evolve(JUNE, integrations=settings)]) as inside:
        body = {"enterprise_number": "0367", "phone": f"+{PHONE}", "extension": "152", "extensions_all": ["151", "152", "x", None]}
        response = await inside.ask("POST", "/notify/incoming", body)
        (notice,) = inside.crms[CrmKind.UON].notices
    assert (response.status, response.json) == (200, {"success": True, "provider": "uon", "status": "delivered"})
    assert (notice.phone, notice.extensions) == (PHONE, ("152", "151"))


@pytest.mark.parametrize("number", ["0368", "0369"])
async def test_a_notice_for_a_crm_that_has_none_is_not_implemented(inside: Inside, number: str) -> None:
    response = await inside.ask("POST", "/notify/incoming", {"enterprise_number": number, "phone": PHONE, "extension": "151"})
    assert response.json == {"success": False, "provider": "retailcrm", "error": "provider_not_implemented"}


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 400, "enterprise_number required"),
        (b"{", 400, "enterprise_number required"),
        (b"[]", 400, "enterprise_number required"),
        ({"enterprise_number": ["0367"]}, 400, "enterprise_number required"),
        ({"enterprise_number": "0367"}, 400, "phone required"),
        ({"enterprise_number": "0999", "phone": PHONE}, 404, "Enterprise not found"),
    ],
)
async def test_a_notice_that_is_none_is_refused(inside: Inside, body: object, status: int, detail: str) -> None:
    response = await inside.ask("POST", "/notify/incoming", body)
    assert (response.status, response.json) == (status, {"detail": detail})


# ── paths in the log ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_settings_are_shown_without_secrets(inside: Inside) -> None:
    response = await inside.ask("GET", "/config/june")
    assert response.json == {
        "enterprise_number": "0367",
        "integrations": {
            "retailcrm": {"enabled": True, "domain": "https://store.example", "api_key": "***cdef", "user_extensions": {"19": "150"}},
            "uon": {"enabled": False, "api_key": "***"},
            "bitrix24": {"enabled": True, "incoming_webhook": "https://portal.example/***", "webhook_token": "***"},
            "smart": {"primary": "retailcrm"},
        },
        "problems": ["integrations.bitrix24: this version cannot speak to this CRM"],
        "source": "cache",
        "cached_at": "2026-03-02T09:00:00+00:00",
    }
    for secret in (API_KEY, HOOK, "HookCode", "123456", JUNE.secret, JUNE.bot_token):
        assert secret not in response.body.decode()


@pytest.mark.parametrize("damaged", ["5", '"text"', "[]", '{"retailcrm": "s3cret-in-clear", "ms": {"enabled": true}}'])
async def test_damaged_settings_are_told_for_that_enterprise_alone(inside: Inside, damaged: str) -> None:
    inside.store.put_integrations("0367", damaged)
    await inside.ask("POST", "/cache/refresh")
    answer = await inside.get("/config/0367")
    assert answer["problems"]
    assert "s3cret-in-clear" not in str(answer)
    assert (await inside.get("/config/0368"))["problems"] == []
    assert (await inside.ask("PUT", "/config/0367/retailcrm", {"enabled": True})).status == 200
    assert (await inside.get("/integrations/0367"))["integrations"]["retailcrm"] is True


async def test_settings_that_are_not_in_memory_come_from_the_database() -> None:
    async with open_inside(is_read=False) as inside:
        assert (await inside.get("/config/0367"))["source"] == "database"
        assert (await inside.get("/config/0367"))["source"] == "cache"


async def test_settings_of_nobody_are_404(inside: Inside) -> None:
    for path, detail in (
        ("/config/0999", "No integration configurations found for enterprise 0999"),
        (f"/config/{JUNE.secret}", "No integration configurations found for enterprise ***"),
        ("/config/0367/ms", "Integration 'ms' not configured for enterprise 0367"),
        ("/config/0368/retailcrm", "Integration 'retailcrm' not configured for enterprise 0368"),
        ("/config/0999/retailcrm", "Enterprise not found"),
    ):
        response = await inside.ask("GET", path)
        assert (response.status, response.json) == (404, {"detail": detail})


async def test_one_table_is_shown_by_itself(inside: Inside) -> None:
    assert await inside.get("/config/0367/uon") == {
        "enterprise_number": "0367",
        "integration_type": "uon",
        "config": {"enabled": False, "api_key": "***"},
        "source": "cache",
    }


async def test_a_table_that_is_put_is_what_the_next_look_up_sees(inside: Inside) -> None:
    body = {"enabled": True, "api_key": "UonKey-9876543210-zyxw"}
    response = await inside.ask("PUT", "/config/june/uon", body)
    assert response.json == {
        "status": "success",
        "message": "Configuration of uon updated for enterprise 0367",
        "enterprise_number": "0367",
    }
    assert (await inside.get("/integrations/0367"))["integrations"]["uon"] is True
    (stored,) = await inside.store.enterprises_by_key("0367")
    assert stored.integrations == {**JUNE.integrations, "uon": body}


async def test_what_was_shown_can_be_put_back_without_losing_a_secret(inside: Inside) -> None:
    for name in ("retailcrm", "uon", "bitrix24", "smart"):
        shown = (await inside.get(f"/config/0367/{name}"))["config"]
        assert (await inside.ask("PUT", f"/config/0367/{name}", shown)).status == 200
    (stored,) = await inside.store.enterprises_by_key("0367")
    assert stored.integrations == JUNE.integrations


@pytest.mark.parametrize(
    ("name", "body", "status", "detail"),
    [
        ("retailcrm", {"enabled": True, "api_key": "***abcd"}, 422, "integrations.retailcrm: api_key: is masked"),
        ("ms", {"enabled": True, "api_token": "***"}, 422, "integrations.ms: api_token: is masked"),
        ("retailcrm", {"enabled": "yes"}, 422, "enabled: must be true or false"),
        ("retailcrm", {"enabled": True, "x": None}, 422, '"x": is null'),
        ("retailcrm", {"enabled": True, "x": {"y": [1, None]}}, 422, '"x.y[1]": is null'),
        ("retailcrm", {"enabled": True, "x": "a\0b"}, 422, "NUL"),
        ("smart", {"primary": "amocrm"}, 422, "primary"),
        ("own", {"enabled": True, "url": "https://crm.example/x", "secret": "s3cret-in-clear"}, 422, "secret"),
        ("amocrm", {"enabled": True}, 422, "there is no integration"),
        ("retailcrm", b"[]", 422, "not a JSON object"),
        ("retailcrm", b"{", 422, "not JSON"),
        ("retailcrm", b"", 422, "not JSON"),
    ],
)
async def test_a_table_that_cannot_be_meant_is_refused_and_changes_nothing(
    inside: Inside, name: str, body: object, status: int, detail: str
) -> None:
    response = await inside.ask("PUT", f"/config/0367/{name}", body)
    assert response.status == status
    assert detail in response.json["detail"]
    assert "s3cret-in-clear" not in response.body.decode()
    (stored,) = await inside.store.enterprises_by_key("0367")
    assert stored.integrations == JUNE.integrations


async def test_a_table_for_nobody_is_404(inside: Inside) -> None:
    response = await inside.ask("PUT", "/config/0999/retailcrm", {"enabled": True})
    assert (response.status, response.json) == (404, {"detail": "Enterprise not found"})


async def test_a_table_of_an_enterprise_that_is_gone_is_404(inside: Inside) -> None:
    async with open_inside([JUNE]) as other:
        other.rooms.directory.replace([JUNE, AUTUMN])
        assert (await other.ask("PUT", "/config/0369/uon", {"enabled": False})).status == 404
