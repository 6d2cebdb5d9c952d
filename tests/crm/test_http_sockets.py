"""The client over real sockets and TLS, with the machine's resolver; and the secrets in the libraries' own logs."""

import logging
import re
import shutil
import ssl
import subprocess
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
import trio

from gateway.calls.parties import Direction
from gateway.calls.report import CallReport, ReportKind
from gateway.crm.base import Outcome, Problem
from gateway.crm.http import CrmHttp, CrmTrouble, HttpRequest
from gateway.crm.network import SystemNetwork
from gateway.crm.own import own_crm_maker
from gateway.crm.targets import Target
from tester.fakes.crm_network import Heard, Reply, Site, serve_on_loopback, speak_http
from tests.crm.reports import JUNE

SHORT = 0.2
REPORT = CallReport(
    kind=ReportKind.DIAL, call_id=1, unique_id="1.1", direction=Direction.INCOMING, phone="375290001234", started_at=datetime.now(UTC)
)


def ask(url: str) -> HttpRequest:
    return HttpRequest(method="GET", target=Target.of(url))


async def trouble(http: CrmHttp, url: str) -> CrmTrouble:
    with pytest.raises(CrmTrouble) as raised:
        await http.send(ask(url))
    assert (raised.value.__context__, raised.value.__cause__) == (None, None)
    return raised.value


def site(reply: Reply, heard: list[Heard] | None = None) -> Site:
    async def handle(request: Heard) -> Reply:
        await trio.lowlevel.checkpoint()
        if heard is not None:
            heard.append(request)
        return reply

    return partial(speak_http, handle)


# the machine's network


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
async def test_the_own_machine_is_refused_by_whatever_name(host: str) -> None:
    async with serve_on_loopback(site(Reply())) as base_url, CrmHttp() as http:
        port = base_url.rpartition(":")[2]
        assert (await trouble(http, f"https://{host}:{port}/")).problem is Problem.TARGET_REFUSED


async def test_the_own_machine_is_reached_by_name_where_that_is_allowed() -> None:
    heard: list[Heard] = []
    async with serve_on_loopback(site(Reply(body=b"here"), heard)) as base_url, CrmHttp(allow_private_targets=True) as http:
        port = base_url.rpartition(":")[2]
        for _ in range(3):
            assert (await http.send(ask(f"http://localhost:{port}/"))).body == b"here"
    assert {request.headers["host"] for request in heard} == {f"localhost:{port}"}


async def test_a_name_that_no_resolver_knows() -> None:
    async with CrmHttp() as http:
        failed = await trouble(http, "https://crm.invalid/")
    assert (failed.problem, failed.is_ambiguous) == (Problem.CONNECTION, False)


async def test_look_ups_that_were_given_up_do_not_pile_up() -> None:
    network = SystemNetwork()
    for _ in range(3):
        with trio.move_on_after(5):
            await network.resolve("localhost", 443)
    assert len(network._lookups) <= 1  # pyright: ignore[reportPrivateUsage]


async def test_a_connection_that_closes_without_an_answer() -> None:
    async with serve_on_loopback(site(Reply(sends_nothing=True))) as base_url, CrmHttp(allow_private_targets=True) as http:
        failed = await trouble(http, f"{base_url}/")
    assert (failed.problem, failed.is_ambiguous) == (Problem.CONNECTION, True)


async def test_a_server_that_went_away_between_two_requests_is_no_trouble() -> None:
    """The connection was idle; its end is seen before it is used again."""

    async def once(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        await stream.aclose()

    async with serve_on_loopback(once) as base_url, CrmHttp(allow_private_targets=True) as http:
        for _ in range(3):
            assert (await http.send(ask(f"{base_url}/"))).status == 204
            await trio.sleep(SHORT / 4)


async def test_cancellation_is_seen_by_the_other_side() -> None:
    ended = trio.Event()

    async def hang(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        assert await stream.receive_some() == b""
        ended.set()

    async with serve_on_loopback(hang) as base_url, CrmHttp(allow_private_targets=True) as http:
        with trio.move_on_after(SHORT):
            await http.send(ask(f"{base_url}/"))
        with trio.fail_after(5):
            await ended.wait()


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for the name localhost, signed by itself, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost "
        f"-keyout {path.name} -out {path.stem}.crt".split(),
        cwd=path.parent,
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


def under_tls(certificate: Path, inner: Site) -> Site:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def secured(stream: trio.abc.Stream) -> None:
        server = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            await server.do_handshake()
        except trio.BrokenResourceError:
            return
        await inner(server)

    return secured


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))


async def test_tls_verifies_the_name_of_the_url_although_an_address_is_connected_to(certificate: Path) -> None:
    async with (
        serve_on_loopback(under_tls(certificate, site(Reply(body=b"safe")))) as base_url,
        CrmHttp(allow_private_targets=True, ssl_context=trusting(certificate)) as http,
    ):
        port = base_url.rpartition(":")[2]
        assert (await http.send(ask(f"https://localhost:{port}/"))).body == b"safe"
        failed = await trouble(http, f"https://127.0.0.1:{port}/")
        assert (failed.problem, failed.is_ambiguous) == (Problem.CONNECTION, False)
        assert str(failed).startswith("the certificate is not good: IP address mismatch")


async def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    async with serve_on_loopback(under_tls(certificate, site(Reply()))) as base_url, CrmHttp(allow_private_targets=True) as http:
        failed = await trouble(http, base_url.replace("http://127.0.0.1", "https://localhost"))
        assert (failed.problem, str(failed)) == (Problem.CONNECTION, "the certificate is not good: self-signed certificate")


async def test_a_server_without_tls_is_told_as_such() -> None:
    async def greet(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"220 mail.example ESMTP\r\n")
        await stream.receive_some()

    async with serve_on_loopback(greet) as base_url, CrmHttp(allow_private_targets=True) as http:
        failed = await trouble(http, base_url.replace("http:", "https:"))
        assert (failed.problem, failed.is_ambiguous) == (Problem.CONNECTION, False)
        assert re.match("no TLS: ", str(failed))


async def test_a_handshake_that_hangs_is_bounded_and_closed() -> None:
    ended = trio.Event()

    async def hang(stream: trio.abc.Stream) -> None:
        while await stream.receive_some():
            pass
        ended.set()

    async with serve_on_loopback(hang) as base_url, CrmHttp(allow_private_targets=True, connect_seconds=SHORT) as http:
        failed = await trouble(http, base_url.replace("http:", "https:"))
        assert (str(failed), failed.is_ambiguous) == ("no TLS in time", False)
        with trio.fail_after(5):
            await ended.wait()


# secrets


async def push_to(http: CrmHttp, url: str) -> Outcome:
    table = {"url": f"{url}/HUSHHUSH0HUSHHUSH/in?key=HUSHkey", "secret": "HUSH-secret-of-the-own-crm"}
    return await own_crm_maker(http, lambda: datetime.now(UTC))(JUNE, table).push(REPORT, push_id="msg_1", memory={})


async def test_secrets_are_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """In the path, the query, a header, the key that signs, and in answers that repeat them."""
    caplog.set_level(logging.DEBUG)
    outcomes: list[Outcome] = []

    async def echo(heard: Heard) -> Reply:
        await trio.lowlevel.checkpoint()
        url = f"{heard.path}?{heard.query}"
        return Reply(status=302, headers=(("Location", f"https://elsewhere.example{url}"), ("Set-Cookie", url)), body=url.encode())

    async def hang(stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    async with CrmHttp(allow_private_targets=True) as http, CrmHttp() as careful:
        async with serve_on_loopback(partial(speak_http, echo)) as url:
            outcomes.append(await push_to(http, url))
            outcomes.append(await push_to(careful, url))
            outcomes.append(await push_to(http, url.replace("http:", "https:")))
            request = HttpRequest(method="GET", target=Target.of(f"{url}/HUSH"), headers={"X-Key": "HUSH\n"}, body=b"HUSH")
            with pytest.raises(CrmTrouble) as raised:
                await http.send(request)
        async with serve_on_loopback(site(Reply(sends_nothing=True))) as url:
            outcomes.append(await push_to(http, url))
        outcomes.append(await push_to(http, url))
        async with serve_on_loopback(hang) as url:
            with trio.move_on_after(SHORT):
                await push_to(http, url)
        shown = repr([outcomes, request, raised.value, raised.value.__dict__, http, http.__dict__])
    problems = [outcome.problem for outcome in outcomes]
    assert problems == [Problem.REDIRECT, Problem.TARGET_REFUSED, Problem.CONNECTION, Problem.CONNECTION, Problem.CONNECTION]
    assert outcomes[0].response["body"] == "/***/in?***"
    assert "HUSH" not in shown
    assert "HUSH" not in caplog.text + repr([record.__dict__ for record in caplog.records])
    assert not [record for record in caplog.records if record.name.startswith("httpcore2.http11")]


async def test_what_others_do_with_the_library_is_still_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with CrmHttp():
        logging.getLogger("httpcore2.http11").debug("of somebody else")
    assert "of somebody else" in caplog.text
