"""Errors that cross rooms. Each says whose fault it was."""


class GatewayError(Exception):
    """Base of all errors that the gateway raises on purpose."""


class SettingsError(GatewayError):
    """The settings are unusable. The text is one line that names the setting."""


class ConfigurationError(GatewayError):
    """A configuration file is unusable. The text names the table, the key and what is wanted."""


class StoreUnavailable(GatewayError):
    """The database cannot be reached now. Repeating later is right and safe."""


class StoreRejected(GatewayError):
    """The database refused the values. Repeating the same is useless."""
