"""The files of the page, read once at the start. What a request names is looked up among them: no request makes a path."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final

import attrs

INDEX: Final = "index.html"
_TYPES: Final = MappingProxyType(
    {
        "html": "text/html; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
    }
)


@attrs.frozen(kw_only=True)
class Asset:
    """A file as it is served. `etag`: another one for every other content."""

    content: bytes
    content_type: str
    etag: str


def read_assets() -> Mapping[str, Asset]:
    """The files of the page by name: all of its folder that a browser asks for."""
    found: dict[str, Asset] = {}
    for file in files("tester.emulator").joinpath("page").iterdir():
        content_type = _TYPES.get(file.name.rpartition(".")[2])
        if content_type is not None and file.is_file():
            content = file.read_bytes()
            found[file.name] = Asset(content=content, content_type=content_type, etag=hashlib.sha256(content).hexdigest()[:32])
    return MappingProxyType(found)
