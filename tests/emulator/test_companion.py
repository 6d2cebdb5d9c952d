"""The emulator beside a gateway: what the settings allow it."""

import pytest

from tester.emulator.companion import is_own_telegram


@pytest.mark.parametrize(
    ("base_url", "is_own"),
    [
        ("http://127.0.0.1:9000", True),
        ("http://localhost:8081/behind/a/path", True),
        ("http://[::1]:9000", True),
        ("https://api.telegram.org", False),
        ("https://API.Telegram.org.", False),
        # A server of one's own, which real people are behind.
        ("http://10.0.0.7:8081", False),
        ("http://telegram-bot-api:8081", False),
        ("http://localhost.example", False),
    ],
)
def test_only_a_bot_api_on_this_machine_is_surely_one_without_people(base_url: str, is_own: bool) -> None:
    assert is_own_telegram(base_url) is is_own
