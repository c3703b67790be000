#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""relayd-sendmail, as programs call it, in front of a real relayd."""
import email
import os
import pathlib
import pwd
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "dialogs"))
from harness import BUILD, PATIENCE_S, NextHop, Relayd, free_port, run, wait_until  # noqa: E402

EX_OK, EX_USAGE, EX_DATAERR, EX_UNAVAILABLE, EX_TEMPFAIL, EX_CONFIG = 0, 64, 65, 69, 75, 78


def sendmail(workspace, *arguments, text="Subject: test\n\nhello\n", config=None, port=None):
    path = workspace.path / "sendmail.conf"
    if config is None:
        config = (f'server = "127.0.0.1:{port}"\n' if port else "") + 'domain = "billing.example.com"\n'
    path.write_text(config)
    return subprocess.run([BUILD / "bin" / "relayd-sendmail", "-C", path, *arguments],
                          input=text, capture_output=True, text=True, timeout=PATIENCE_S)


def expect(status, result):
    assert result.returncode == status, result
    return result


def start(workspace):
    next_hop = NextHop(workspace)
    return Relayd(workspace, next_hop=next_hop.port).start(), next_hop


def sends_a_message_with_what_it_lacks(workspace):
    relayd, next_hop = start(workspace)
    expect(EX_OK, sendmail(workspace, "-F", 'The "Shop"', "a@partner.example",
                           "b@partner.example,c@partner.example", port=relayd.port))
    (sender, recipients, body), = next_hop.wait(1)
    account = pwd.getpwuid(os.getuid()).pw_name
    assert sender == f"{account}@billing.example.com", sender
    assert recipients == ["a@partner.example", "b@partner.example", "c@partner.example"], recipients
    message = email.message_from_bytes(body)
    assert message["From"] == f'"The \\"Shop\\"" <{account}@billing.example.com>', message["From"]
    assert message["Date"] and message["Message-ID"] and message["Subject"] == "test"
    assert message.get_payload() == "hello\r\n"


def takes_recipients_from_the_message(workspace):
    relayd, next_hop = start(workspace)
    text = ("From: Shop <shop@billing.example.com>\nTo: \"Doe, J.\" <j@partner.example>,\n"
            " team: k@partner.example;\nBcc: secret@partner.example\nSubject: hi\n\n"
            ".starts with a dot\nlast line\n.\nnot part of it\n")
    expect(EX_OK, sendmail(workspace, "-t", "-f", "shop@billing.example.com", text=text,
                           port=relayd.port))
    (sender, recipients, body), = next_hop.wait(1)
    assert sender == "shop@billing.example.com"
    assert recipients == ["j@partner.example", "k@partner.example", "secret@partner.example"]
    assert b"secret" not in body, body
    assert body.endswith(b"\r\n\r\n.starts with a dot\r\nlast line\r\n"), body


def a_single_dot_is_content_with_i(workspace):
    relayd, next_hop = start(workspace)
    for option in ("-i", "-oi"):
        expect(EX_OK, sendmail(workspace, option, "a@partner.example", port=relayd.port,
                               text="Subject: x\n\none\n.\ntwo\n"))
    for _, _, body in next_hop.wait(2):
        assert body.endswith(b"\r\n\r\none\r\n.\r\ntwo\r\n"), body


def a_refusal_is_final_and_says_why(workspace):
    relayd, next_hop = start(workspace)
    result = expect(EX_UNAVAILABLE, sendmail(workspace, "-f", "ceo@elsewhere.example",
                                             "a@partner.example", port=relayd.port))
    assert "550 5.7.367 Sender not authorized for relay [" in result.stderr, result.stderr
    attempt, = relayd.attempts(verdict="refused")
    assert attempt["reason"] == "sender.not-authorized"
    assert not next_hop.messages


def no_server_means_later_or_the_pickup_directory(workspace):
    port = free_port()
    result = expect(EX_TEMPFAIL, sendmail(workspace, "a@partner.example", port=port))
    assert "try again later" in result.stderr
    pickup = workspace.path / "pickup"
    pickup.mkdir()
    expect(EX_OK, sendmail(workspace, "-f", "me@billing.example.com", "a@partner.example",
                           "b@partner.example",
                           config=f'server = "127.0.0.1:{port}"\npickup = "{pickup}"\n'))
    kept, = pickup.iterdir()
    assert kept.suffix == ".eml"
    lines = kept.read_bytes().split(b"\r\n")
    assert lines[:3] == [b"X-Sender: <me@billing.example.com>", b"X-Receiver: <a@partner.example>",
                         b"X-Receiver: <b@partner.example>"], lines


def a_temporary_reply_is_no_refusal(workspace):
    next_hop = NextHop(workspace, lambda verb, argument: "451 4.3.0 no" if verb == "RCPT" else None)
    result = expect(EX_TEMPFAIL, sendmail(workspace, "a@partner.example", port=next_hop.port))
    assert "451 4.3.0 no" in result.stderr, result.stderr


def a_null_sender_is_passed_on(workspace):
    next_hop = NextHop(workspace)
    expect(EX_OK, sendmail(workspace, "-f", "<>", "a@partner.example", port=next_hop.port))
    assert next_hop.wait(1)[0][0] == ""


def wrong_use_is_told(workspace):
    for arguments, words in (
            ((), "nobody to send to"),
            (("-bs",), "only sends"),
            (("-bp",), "relayctl queue list"),
            (("-q",), "relayctl queue retry"),
            (("-Z", "a@b.example"), "--help")):
        assert words in expect(EX_USAGE, sendmail(workspace, *arguments)).stderr, arguments
    for arguments, text, words in (
            (("-t",), "Subject: x\n\nhi\n", "there is no recipient"),
            (("-t",), "To: everyone\n\nhi\n", "the field To holds something that is no address"),
            (("a@@b",), "Subject: x\n\nhi\n", "this is no recipient: a@@b")):
        assert words in expect(EX_DATAERR, sendmail(workspace, *arguments, text=text)).stderr, words
    for config, words in (
            ('server = "a b"', "option 'server'"),
            ('tls = "maybe"', "option 'tls'"),
            ('user = "u"', "belong together"),
            ('domain = "a..b"', "is not a domain"),
            ('severs = "x"', "line 1: no such option 'severs'")):
        assert words in expect(EX_CONFIG, sendmail(workspace, "a@b.example", config=config)).stderr


def help_and_version_are_told(workspace):
    for option, words in (("--help", "usage: relayd-sendmail"), ("--version", "relayd-sendmail ")):
        result = subprocess.run([BUILD / "bin" / "relayd-sendmail", option], capture_output=True,
                                text=True, timeout=PATIENCE_S)
        assert result.returncode == 0 and words in result.stdout, result


if __name__ == "__main__":
    sys.exit(run(sends_a_message_with_what_it_lacks, takes_recipients_from_the_message,
                 a_single_dot_is_content_with_i, a_refusal_is_final_and_says_why,
                 no_server_means_later_or_the_pickup_directory, a_temporary_reply_is_no_refusal,
                 a_null_sender_is_passed_on, wrong_use_is_told, help_and_version_are_told))
