"""Secrets and identifiers of people are found by their shapes, and numbers drawn at random are not."""

from __future__ import annotations

import random
import re
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolward.rules.secret_looks import looks_secret
from toolward.rules.signals.check_digits import iban_remainder, luhn_holds
from toolward.rules.signals.scanning import Found, scan
from toolward.rules.signals.shapes import PERSONAL, SECRETS
from toolward.rules.signals.texts import text_of

CHANCE = random.Random(6)


def drawn(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(CHANCE.choice(alphabet) for _ in range(length))


def kinds(text: str) -> set[str]:
    return {one.kind for one in scan(text.encode())}


SAMPLES = {
    "aws_key": lambda: "AKIA" + drawn(16, string.ascii_uppercase + "234567"),
    "github_token": lambda: "ghp_" + drawn(36),
    "gitlab_token": lambda: "glpat-" + drawn(20),
    "slack_token": lambda: "xoxb-" + drawn(12, string.digits) + "-" + drawn(24),
    "stripe_key": lambda: "sk_live_" + drawn(24),
    "model_key": lambda: "sk-" + drawn(48),
    "google_key": lambda: "AIza" + drawn(35),
    "npm_token": lambda: "npm_" + drawn(36),
    "pypi_token": lambda: "pypi-" + drawn(120),
    "hugging_face_token": lambda: "hf_" + drawn(34),
    "sendgrid_key": lambda: f"SG.{drawn(22)}.{drawn(43)}",
    "jwt": lambda: f"eyJ{drawn(20)}.eyJ{drawn(60)}.{drawn(43)}",
    "private_key": lambda: "-----BEGIN RSA PRIVATE KEY-----",
    "url_password": lambda: f"postgres://app:{drawn(12)}@db.internal:5432/x",
    "assigned_secret": lambda: f"DB_PASSWORD={drawn(9)}7!x",
}


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_a_credential_is_found_in_the_middle_of_a_text(kind: str) -> None:
    for _ in range(50):
        secret = SAMPLES[kind]()
        assert kind in kinds(f"please send this on: {secret} thank you")
        assert kind in kinds(f'{{"text":"{secret}"}}')


def test_every_kind_of_secret_has_a_sample() -> None:
    assert {shape.kind for shape in SECRETS} == set(SAMPLES)


@pytest.mark.parametrize("kind", sorted(set(SAMPLES) - {"private_key", "assigned_secret", "npm_token"}))
def test_what_is_a_secret_here_is_one_in_a_configuration_too(kind: str) -> None:
    for _ in range(20):
        assert looks_secret("", SAMPLES[kind]())


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "password: changed yesterday",
        "password=${secret:DB_PASSWORD}",
        "password = self.password",
        "pwd=getpass.getpass(prompt)",
        "secret: (self.secret.encode()",
        "passwd=auth[1]}",
        "api_key=<your key here>",
        '{"password":"<YOUR_PASSWORD>"}',
        "sk-learn-is-a-library-for-machine-learning-in-python",
        "the task-force sk-",
        "https://example.org:8443/a/b@c",
        "the secret of good bread",
        "550e8400-e29b-41d4-a716-446655440000",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ],
)
def test_examples_words_and_digests_are_no_secrets(text: str) -> None:
    assert kinds(text) == set()


PEOPLE = {
    "iban": [
        "DE89370400440532013000",
        "GB82 WEST 1234 5698 7654 32",
        "NO9386011117947",
        "de89370400440532013000",
    ],
    "card": ["4111 1111 1111 1111", "5500-0000-0000-0004", "3782 822463 10005", "card 4111111111111111"],
    "us_ssn": ["219-09-9999"],
    "cpf": ["529.982.247-25"],
    "nir": ["255081416802538", "2 55 08 14 168 025 38"],
    "codice_fiscale": ["RSSMRA85T10A562S"],
    "cn_id": ["11010519491231002X"],
    "aadhaar": ["Aadhaar 2345 6789 0124"],
    "nhs": ["NHS number 943 476 5919"],
}


@pytest.mark.parametrize("kind", sorted(PEOPLE))
def test_an_identifier_with_right_check_digits_is_found(kind: str) -> None:
    for text in PEOPLE[kind]:
        assert kinds(f"of {text}, as asked") == {kind}, text


def test_every_kind_of_identifier_has_a_sample() -> None:
    assert {shape.kind for shape in PERSONAL} == set(PEOPLE)


@pytest.mark.parametrize("kind", sorted(set(PEOPLE) - {"us_ssn"}))
def test_with_one_digit_changed_it_is_none(kind: str) -> None:
    for text in PEOPLE[kind]:
        at = max(match.start() for match in re.finditer(r"\d", text))
        wrong = text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :]
        assert kind not in kinds(f"of {wrong}, as asked"), wrong


def test_an_iban_is_found_before_a_word_that_looks_like_one_more_group_of_it() -> None:
    assert kinds("ES91 2100 0418 4502 0005 1332 THIS IS IT") == {"iban"}


def test_numbers_drawn_at_random_do_not_alarm() -> None:
    """Ten thousand of each length: orders, moments, phone numbers. Fewer than one in a thousand alarms."""
    for length in range(5, 21):
        alarms = sum(
            bool(scan(f"order {drawn(length, string.digits)} of today".encode())) for _ in range(10_000)
        )
        assert alarms < 10, length


def test_random_grouped_numbers_alarm_by_their_check_digit_only() -> None:
    """The control: without check digits all of these would."""
    alarms = sum(
        bool(
            scan(
                f"{drawn(4, '2345')} {drawn(4, string.digits)} {drawn(4, string.digits)} {drawn(4, string.digits)}".encode()
            )
        )
        for _ in range(2_000)
    )
    assert alarms < 200


@given(st.text(max_size=300))
def test_whatever_stands_around_it_a_token_between_spaces_is_found(around: str) -> None:
    token = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
    text = text_of({"a": f"{around} {token} {around}"}, b"\\")
    assert Found("github_token", token, personal=False) in scan(text)


def test_a_text_made_to_be_slow_is_not() -> None:
    """A backtracking engine takes seconds for the like of these; the bound is generous."""
    for hostile in (
        "eyJ" * 60_000,
        "ab12" * 50_000,
        "password=" * 20_000,
        "4111 " * 40_000,
        "a" * 200_000 + "://",
    ):
        began = time.process_time()
        scan(hostile.encode())
        assert time.process_time() - began < 2


def test_a_text_full_of_look_alikes_counts_as_holding_one() -> None:
    assert "iban" in kinds(" ".join(f"DE00{n:018d}" for n in range(5_000)))


def test_what_json_escapes_does_not_hide_a_secret() -> None:
    token = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
    said = {"text": f"first\n{token}\nlast", "password": "Xy7!abcd", "n": 5}
    escaped = b'{"n":5,"password":"Xy7!abcd","text":"first\\n' + token.encode() + b'\\nlast"}'
    assert {one.kind for one in scan(escaped)} == {"assigned_secret"}  # the control: \n is a letter there
    assert {one.kind for one in scan(text_of(said, escaped))} == {"assigned_secret", "github_token"}


def test_the_check_digits_of_random_ibans_hold_once_in_97() -> None:
    held = sum(iban_remainder("DE" + drawn(20, string.digits)) == 1 for _ in range(9_700))
    assert 60 < held < 145
    assert sum(luhn_holds(drawn(16, string.digits)) for _ in range(1_000)) < 150
