"""Signatures of webhooks, held against the examples of those who defined them."""

from __future__ import annotations

import base64

import pytest

from toolward.rules.webhook import is_signed, is_signed_slack, is_timely, key_of, sign, sign_slack

# from the libraries of Standard Webhooks
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
ID, AT = "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330"
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

# from Slack's documentation, "Verifying requests from Slack"
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK_AT = "1531420618"
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SLACK_SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"


def test_the_standard_s_own_example_is_signed_alike() -> None:
    assert sign(key_of(SECRET), message_id=ID, timestamp=AT, body=BODY) == SIGNATURE


def test_slack_s_own_example_is_signed_alike() -> None:
    assert sign_slack(key_of(SLACK_SECRET), timestamp=SLACK_AT, body=SLACK_BODY) == SLACK_SIGNATURE


def holds(**changed: object) -> bool:
    given = {"message_id": ID, "timestamp": AT, "body": BODY, "signatures": SIGNATURE, **changed}
    return is_signed(key_of(SECRET), **given)  # type: ignore[arg-type]


def test_one_good_signature_among_several_is_enough() -> None:
    assert holds()
    assert holds(signatures=f"v1,AAAA v2,xyz {SIGNATURE}")


@pytest.mark.parametrize(
    "changed",
    [
        {"message_id": "msg_other"},
        {"message_id": ""},
        {"timestamp": "1614265331"},
        {"body": BODY + b" "},
        {"signatures": ""},
        {"signatures": SIGNATURE.replace("v1,", "v2,")},
        {"signatures": SIGNATURE.replace("v1,", "")},
        {"signatures": SIGNATURE[:-2] + "F="},
        {"signatures": "\u00e9"},
    ],
)
def test_anything_that_was_changed_does_not_hold(changed: dict[str, object]) -> None:
    assert not holds(**changed)


def test_an_id_with_a_dot_can_not_move_bytes_between_its_parts() -> None:
    key = key_of(SECRET)
    moved = sign(key, message_id="a.1614265330", timestamp="x", body=b"")
    assert not is_signed(key, message_id="a.1614265330", timestamp="x", body=b"", signatures=moved)


def test_another_key_does_not_hold() -> None:
    other = key_of("whsec_" + base64.b64encode(bytes(32)).decode())
    assert not is_signed(other, message_id=ID, timestamp=AT, body=BODY, signatures=SIGNATURE)
    good = {"timestamp": SLACK_AT, "body": SLACK_BODY, "signature": SLACK_SIGNATURE}
    assert is_signed_slack(key_of(SLACK_SECRET), **good)  # type: ignore[arg-type]
    assert not is_signed_slack(other, **good)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("timestamp", "timely"),
    [
        ("1000", True),
        ("700", True),
        ("1300", True),
        ("699", False),
        ("1301", False),
        ("", False),
        ("-1", False),
        ("1e3", False),
        ("1000.0", False),
        (" 1000", False),
        ("\u0667\u0660\u0660", False),
        ("9" * 40, False),
    ],
)
def test_a_message_is_of_just_now_or_refused(timestamp: str, timely: bool) -> None:
    assert is_timely(timestamp, 1000) is timely


@pytest.mark.parametrize("secret", ["short", "whsec_!!!", "whsec_" + base64.b64encode(b"short").decode(), ""])
def test_a_secret_that_could_be_guessed_is_none(secret: str) -> None:
    with pytest.raises(ValueError, match=r"secret|base64"):
        key_of(secret)
