"""The call gateway: from the webhooks of Asterisk hosts to one living Telegram message per call."""
