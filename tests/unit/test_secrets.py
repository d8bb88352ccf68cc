"""No secret survives `mask`, and what is no secret stays readable."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamconsole.engines.secrets import HIDDEN, mask

WORDS = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=10)
# Any visible character, but long enough and marked, so that it cannot stand in the text by chance.
PASSWORDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("C", "Z")), max_size=20
).map(lambda text: f"Zq{text}qZ")
SCHEMES = st.sampled_from(["postgresql", "mysql+asyncmy", "mongodb", "mongodb+srv", "redis", "amqp", "https", "s3"])
PARAMETERS = st.sampled_from(
    [
        "password",
        "PASSWORD",
        "passwd",
        "pwd",
        "token",
        "access_token",
        "secret",
        "client_secret",
        "key",
        "api_key",
        "X-Amz-Signature",
    ]
)


@given(SCHEMES, st.one_of(st.just(""), WORDS), PASSWORDS, WORDS)
def test_the_password_of_a_url_is_hidden_whatever_it_holds(scheme: str, user: str, password: str, host: str) -> None:
    hidden = mask(f"cannot reach {scheme}://{user}:{password}@{host}:5432/db: refused")
    assert hidden == f"cannot reach {scheme}://{user}:{HIDDEN}@{host}:5432/db: refused"


@given(SCHEMES, WORDS, PASSWORDS.filter(lambda text: "'" not in text), WORDS)
def test_the_password_of_a_quoted_url_is_hidden(scheme: str, user: str, password: str, host: str) -> None:
    hidden = mask(f"no '{scheme}://{user}:{password}@{host}/db'")
    assert hidden == f"no '{scheme}://{user}:{HIDDEN}@{host}/db'"


@given(
    PARAMETERS,
    st.text(string.ascii_letters + string.digits + "%+/=._-~", min_size=1, max_size=30).map(lambda t: f"Zq{t}qZ"),
)
def test_a_secret_parameter_is_hidden_in_every_notation(name: str, value: str) -> None:
    for text in (
        f"https://host/path?a=1&{name}={value}&b=2",
        f"host=h {name}={value} user=u",
        f"Server=s;{name}={value};Database=d",
        f'{{"{name}": "{value}", "user": "u"}}',
        f"connect({name}='{value}')",
    ):
        assert value not in mask(text)


@given(st.text(max_size=300))
def test_masking_twice_changes_nothing(text: str) -> None:
    assert mask(mask(text)) == mask(text)


@given(
    st.lists(
        st.sampled_from(["a://b:", "x@", "password=", "'", '"', " ", "key", "Bearer ", "&", "authorization:", "***"])
    ).map("".join)
)
def test_masking_twice_changes_nothing_near_secrets(text: str) -> None:
    assert mask(mask(text)) == mask(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p@ss/w:rd@host/db", "postgresql://u:***@host/db"),
        ("redis://:pw@h:6379/0", "redis://:***@h:6379/0"),
        ("mongodb://u:p@h1,h2:27017/db?authSource=admin", "mongodb://u:***@h1,h2:27017/db?authSource=admin"),
        ("s3://b/k?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE/x&z=1", "s3://b/k?X-Amz-Credential=***&z=1"),
        ("id AKIAIOSFODNN7EXAMPLE used", "id *** used"),
        ("aws_secret_access_key = 'abc/def'", "aws_secret_access_key = '***'"),
        ("Authorization: Bearer abc.def.ghi", "Authorization: Bearer ***"),
        ("{'password': 'a b', 'n': 1}", "{'password': '***', 'n': 1}"),
        ("?sig=abc%3D&se=2026", "?sig=***&se=2026"),
    ],
)
def test_known_forms(text: str, shown: str) -> None:
    assert mask(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///data/shop.db#customers",
        "http://localhost:9000/bucket/part-1",
        "postgresql://user@host/db",
        "tokens=4 monkey=3 keys=2",
        "Key (id)=(5) already exists",
        "basic authentication failed for user a@b.example",
        "customers.ndjson: line 7: expected a number",
        "mail to someone@example.org: at 10:30",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize(
    "piece", ["a://b:", "password", "key= ", "'", 'password="', "x://", "authorization:", "'://", " "]
)
def test_long_hostile_text_takes_linear_time(piece: str) -> None:
    """The suite's time limit fails this one if a pattern backtracks."""
    mask(piece * 200_000 + "@")
