"""The demo: an embedded database, a Telegram of our own, the real gateway between them, and calls of an invented enterprise, which are
played or are left to the emulator's page.

The only room of the gateway, beside the command line, that knows the tester.
"""

from gateway.demo.stage import Play as Play
from gateway.demo.stage import run as run

__all__ = ["Play", "run"]
