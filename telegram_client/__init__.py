"""A small Telegram Bot API client with typed errors and awaitable limits. Knows nothing of calls."""
