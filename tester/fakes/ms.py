"""МойСклад in memory: both of its APIs, the accounts behind them, its limits and its errors.

Source of all facts: the documentation of Phone API 1.0 and JSON API 1.2. Where it leaves room, the fake is the stricter one.
"""

import gzip
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import attrs
import trio

from tester.fakes.crm_faults import Fault, FaultKind
from tester.fakes.crm_limits import Level, Limit, Parallel, Use, Window
from tester.fakes.crm_server import CrmServer, Routes, calendar
from tester.fakes.crm_wire import Request, Response
from tester.fakes.ms_account import MsAccount, MsContactPerson, MsCounterparty, MsEmployee
from tester.fakes.ms_calls import CardEvent, CardEventKind, CardState, MsCall
from tester.fakes.ms_phone import PhoneApi
from tester.fakes.ms_remap import JsonApi
from tester.fakes.ms_wire import JSON_PATH, PHONE_PATH, MsError, MsRefusal, refusal

__all__ = [
    "BUSY",
    "MAINTENANCE",
    "CardEvent",
    "CardEventKind",
    "CardState",
    "FakeMoySklad",
    "MsAccount",
    "MsCall",
    "MsContactPerson",
    "MsCounterparty",
    "MsEmployee",
]

MAINTENANCE = MsError(code=1074, text="Сервис временно недоступен, ведутся технические работы")
BUSY = MsError(code=1095, text="Пожалуйста, повторите попытку через некоторое время. Приложение временно недоступно")

_ACCEPTED = ("", "application/json;charset=utf-8")


@attrs.frozen
class _Caller:
    """Who asks, as far as limits go."""

    account: MsAccount
    key: str
    weight: float = 1.0


class FakeMoySklad(CrmServer):
    """The whole of api.moysklad.ru, for any number of accounts. `clock`, `now` and `enforced` as in `CrmServer`.

    Limits, each by key or token: "phone rate" 100 in 5 s, "json rate" 45 units in 3 s, "phone parallel" and "json parallel" 5 at once,
    "json account parallel" 20 of one account. A request of a token weighs what `MsAccount.tokens` says.
    """

    def __init__(
        self, *, clock: Callable[[], float] = trio.current_time, now: Callable[[], datetime] = calendar, enforced: bool = True
    ) -> None:
        super().__init__(clock=clock, now=now, enforced=enforced)
        self.accounts: list[MsAccount] = []
        self._phone_rate = Window("phone rate", 100, 5.0)
        self._phone_parallel = Parallel("phone parallel", 5)
        self._json_rate = Window("json rate", 45, 3.0)
        self._json_parallel = Parallel("json parallel", 5)
        self._account_parallel = Parallel("json account parallel", 20)
        self._phone = PhoneApi(lambda request: _known(self._phone_caller(request)).account)
        self._json = JsonApi(lambda request: _known(self._json_caller(request)).account)

    def add_account(self, phone_key: str, token: str, *, weight: float = 1.0) -> MsAccount:
        """An account with a key of the Phone API and a token of the JSON API, whose requests weigh so much."""
        account = MsAccount(f"account {len(self.accounts) + 1}", phone_key, {token: weight})
        self.accounts.append(account)
        return account

    def fail_with(self, error: MsError, status: int = 503, **how: object) -> Fault:
        """Plan an error in the vendor's words (fields of `Fault`); `MAINTENANCE` and `BUSY` are there to be used."""
        said = MsRefusal(status, error).response
        return self.fail(FaultKind.ANSWER, status=status, body=said.body, content_type=said.content_type, **how)

    def respond(self, request: Request) -> Response:
        if not _takes_gzip(request):
            return Response(status=415, content_type="")
        try:
            answer = self._carry_out(request)
        except MsRefusal as no:
            answer = no.response
        return _packed(attrs.evolve(answer, headers=(*answer.headers, *self._limit_headers(request))))

    def too_many(self, request: Request, over: Level) -> Response:
        if not _takes_gzip(request):
            return Response(status=415, content_type="")
        if "parallel" in over.name:
            no = refusal(429, 1073, "Превышено ограничение на одновременное количество запросов")
        else:
            no = refusal(429, 1049, "Превышено ограничение на количество запросов в единицу времени")
        return _packed(attrs.evolve(no.response, headers=self._limit_headers(request, over.wait_seconds)))

    def uses(self, request: Request) -> Sequence[Use]:
        phone = self._phone_caller(request)
        if phone is not None:
            return (Use(self._phone_rate, phone.key), Use(self._phone_parallel, phone.key))
        caller = self._json_caller(request)
        if caller is None:
            return ()
        return (
            Use(self._json_rate, caller.key, caller.weight),
            Use(self._json_parallel, caller.key),
            Use(self._account_parallel, caller.account.account_id),
        )

    def _carry_out(self, request: Request) -> Response:
        accept = request.header("accept").replace(" ", "").lower()
        if accept not in _ACCEPTED:
            raise refusal(
                400, 1062, "Неверное значение заголовка 'Accept'. Поддерживается только значение 'application/json;charset=utf-8'", "Accept"
            )
        if request.path.startswith(f"{PHONE_PATH}/"):
            if not _known(self._phone_caller(request)).account.has_phone_solution:
                raise refusal(403, 55008, "Решение телефонии не установлено")
            return _routed(self._phone.routes, request, PHONE_PATH)
        if request.path.startswith(f"{JSON_PATH}/"):
            _known(self._json_caller(request))
            return _routed(self._json.routes, request, JSON_PATH)
        raise refusal(404, 1002, f"Неопознанный путь: {request.path}")

    def _phone_caller(self, request: Request) -> _Caller | None:
        if not request.path.startswith(f"{PHONE_PATH}/"):
            return None
        key = request.header("lognex-phone-auth-token")
        return next((_Caller(account, key) for account in self.accounts if key and key == account.phone_key), None)

    def _json_caller(self, request: Request) -> _Caller | None:
        if not request.path.startswith(f"{JSON_PATH}/"):
            return None
        scheme, _, token = request.header("authorization").partition(" ")
        known: Mapping[str, MsAccount] = {token: account for account in self.accounts for token in account.tokens}
        if scheme.lower() != "bearer" or token not in known:
            return None
        return _Caller(known[token], token, known[token].tokens[token])

    def _limit_headers(self, request: Request, wait_seconds: float = 0.0) -> tuple[tuple[str, str], ...]:
        phone, caller = self._phone_caller(request), self._json_caller(request)
        limit: Limit
        if phone is not None:
            limit, seconds, caller = self._phone_rate, self._phone_rate.seconds, phone
        elif caller is not None:
            limit, seconds = self._json_rate, self._json_rate.seconds
        else:
            return ()
        left = max(0, math.floor((limit.most - limit.level(caller.key, request.at, 0).used) / caller.weight))
        wait_milliseconds = str(math.ceil(wait_seconds * 1000))
        return (
            ("X-RateLimit-Limit", f"{limit.most:g}"),
            ("X-RateLimit-Remaining", str(left)),
            ("X-Lognex-Retry-TimeInterval", f"{seconds * 1000:g}"),
            ("X-Lognex-Reset", wait_milliseconds),
            ("X-Lognex-Retry-After", wait_milliseconds),
        )


def _known(caller: _Caller | None) -> _Caller:
    if caller is None:
        text = "Ошибка аутентификации: Неправильный пароль или имя пользователя или ключ авторизации"
        headers = (("X-Lognex-Auth", "1056"), ("X-Lognex-Auth-Message", "Authentication failed"))
        raise MsRefusal(401, MsError(code=1056, text=text), headers=headers)
    return caller


def _routed(routes: Routes, request: Request, prefix: str) -> Response:
    path = request.path.removeprefix(prefix)
    handler = routes.find(request.method, path)
    if handler is not None:
        return handler(request)
    if routes.methods(path):
        raise refusal(405, 1039, f"Операция {request.method} не поддерживается для данного ресурса")
    raise refusal(404, 1002, f"Неопознанный путь: {request.path}")


def _takes_gzip(request: Request) -> bool:
    return any(each.partition(";")[0].strip().lower() == "gzip" for each in request.header("accept-encoding").split(","))


def _packed(answer: Response) -> Response:
    """Compressed, as every answer with a body is. The same bytes in each run: no time in the header."""
    if not answer.body:
        return answer
    return attrs.evolve(answer, body=gzip.compress(answer.body, mtime=0), headers=(*answer.headers, ("Content-Encoding", "gzip")))
