import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.envelope import (
    MAX_DEPTH,
    MAX_UNIQUE_ID_CHARACTERS,
    EnvelopeError,
    NestedTooDeep,
    NotAnObject,
    NotJson,
    NotUtf8,
    body_hash,
    read_body,
    token_of,
    unique_id_of,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)
objects = st.dictionaries(st.text(), values, max_size=8)


def hash_of(text: str) -> bytes:
    return body_hash(read_body(text.encode()))


@given(objects)
def test_any_object_is_read_and_its_text_kept(fields: dict[str, Any]) -> None:
    text = json.dumps(fields, ensure_ascii=True)
    body = read_body(text.encode())
    assert (body.fields, body.text) == (fields, text)


@given(objects, st.randoms())
def test_the_hash_does_not_depend_on_order_or_white_space(fields: dict[str, Any], random: Any) -> None:
    shuffled = list(fields.items())
    random.shuffle(shuffled)
    assert hash_of(json.dumps(fields)) == hash_of(json.dumps(dict(shuffled), indent=3))


@given(objects, objects)
def test_the_hash_tells_objects_apart(one: dict[str, Any], other: dict[str, Any]) -> None:
    # Through JSON, so that 1 and True and 1.0 are what they are on the wire.
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (hash_of(json.dumps(one)) == hash_of(json.dumps(other))) == same


@given(st.binary(max_size=60))
def test_any_bytes_are_a_body_or_one_clear_line(raw: bytes) -> None:
    try:
        body = read_body(raw)
    except EnvelopeError as exc:
        text = str(exc)
    else:
        text = ""
        unique_id_of(body).encode()
        token_of(body).encode()
        body_hash(body)
    assert "\n" not in text


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"\xff{}", NotUtf8),
        (b'{"a":"\xd0"}', NotUtf8),
        ("{}".encode("utf-16"), NotUtf8),
        (b"", NotJson),
        (b"{", NotJson),
        (b"{}x", NotJson),
        (b"{'a':1}", NotJson),
        (b'{"a":NaN}', NotJson),
        (b'{"a":Infinity}', NotJson),
        (b'{"a":-Infinity}', NotJson),
        (b'{"a":"\n"}', NotJson),
        (b"[]", NotAnObject),
        (b"1", NotAnObject),
        (b'"x"', NotAnObject),
        (b"null", NotAnObject),
        (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), NestedTooDeep),
        (b"[" * 65536, NestedTooDeep),
    ],
)
def test_what_is_no_webhook_is_refused_with_its_reason(raw: bytes, error: type[EnvelopeError]) -> None:
    with pytest.raises(error):
        read_body(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH,
        b'{"a":"' + b"[" * 1000 + b'"}',
        b'{"a":[' + b"[]," * 1000 + b"[]]}",
        b'{"a":"\\"[[[["}' + b" " * 200,
        b'{"n":' + b"9" * 60_000 + b"}",
        b'{"n":-' + b"9" * 5_000 + b"}",
        b'{"n":1e999}',
        b'{"a":"\\ud800\\u0000"}',
        b"\xef\xbb\xbf{}",
        b' {"a":1,"a":2} ',
    ],
)
def test_what_is_merely_odd_is_read(raw: bytes) -> None:
    assert body_hash(read_body(raw))


def test_a_huge_number_of_other_digits_is_another_body() -> None:
    assert hash_of('{"n":' + "9" * 5000 + "}") != hash_of('{"n":' + "9" * 4999 + "8}")


@pytest.mark.parametrize(
    ("text", "unique_id"),
    [
        ('{"UniqueId":"1757840723.6"}', "1757840723.6"),
        ('{"UniqueId":" 1.2 "}', "1.2"),
        ('{"UniqueId":1757840723.10}', "1757840723.10"),
        ('{"UniqueId": 17}', "17"),
        ('{"UniqueId":1,"UniqueId" : 1.20}', "1.20"),
        ('{"UniqueId":null}', ""),
        ('{"UniqueId":true}', ""),
        ('{"UniqueId":["1"]}', ""),
        ("{}", ""),
        ('{"UniqueId":"a\\u0000b\\ud800c"}', "a\ufffdb\ufffdc"),
        ('{"UniqueId":"\\ud83d\\ude00"}', "\U0001f600"),
        ('{"UniqueId":"' + "9" * 5000 + '"}', "9" * MAX_UNIQUE_ID_CHARACTERS),
        ('{"UniqueId":' + "9" * 5000 + "}", "9" * MAX_UNIQUE_ID_CHARACTERS),
    ],
)
def test_the_unique_id_is_text_that_can_be_stored(text: str, unique_id: str) -> None:
    assert unique_id_of(read_body(text.encode())) == unique_id


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ('{"Token":"375290000900"}', "375290000900"),
        ('{"Token":375290000900}', "375290000900"),
        ('{"Token":" x "}', "x"),
        ('{"Token":[1]}', ""),
        ('{"Token":true}', ""),
        ("{}", ""),
    ],
)
def test_the_token_is_text_or_a_whole_number(text: str, token: str) -> None:
    assert token_of(read_body(text.encode())) == token


def test_the_repr_of_a_body_shows_nothing_of_it() -> None:
    assert "375290000900" not in repr(read_body(b'{"Token":"375290000900"}'))


def test_a_body_survives_pickling() -> None:
    body = read_body(b'{"a":1}')
    assert pickle.loads(pickle.dumps(body)) == body
