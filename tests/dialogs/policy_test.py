#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What the policy says, as clients, records and relayctl tell it: all three must agree."""
import datetime
import json
import re
import time

import harness
from harness import Client, Relayd, SANITIZED, wait_until

AUTHORIZED = """
grant "app" {{
    networks    = {{ "127.0.0.2" }}
    senders     = {{ "@billing.example.com" }}
    header-from = "{demand}"
    recipients  = {{ "*" }}
}}
"""
GOOD = "From: app@billing.example.com\r\n"
HEADERS = [
    # what the header says, accepted where senders cover it, where it is of the same domain
    (GOOD, True, True),
    ("From : App <app@billing.example.com>\r\n", True, True),
    ("FROM:\r\n\tapp@billing.example.com\r\n", True, True),
    ("From: a@billing.example.com, b@Billing.Example.COM\r\n", True, True),
    (GOOD + "Sender: other@billing.example.com\r\n", True, True),
    (GOOD + "Resent-From: other@billing.example.com\r\n", True, True),
    ("From: \"ceo@example.com\" <app@billing.example.com>\r\n", True, True),
    ("From: app@billing.example.com (ceo@example.com)\r\n", True, True),
    ("Subject: nobody\r\n", False, False),
    ("From:\r\n", False, False),
    ("From: ceo@example.com\r\n", False, False),
    ("From: app@sub.billing.example.com\r\n", False, False),
    (GOOD + "From: ceo@example.com\r\n", False, False),
    (GOOD + GOOD, False, False),
    (GOOD + "FROM : ceo@example.com\r\n", False, False),
    (GOOD + "Sender: ceo@example.com\r\n", False, False),
    (GOOD + "Sender: " + "x" * 20 + "\r\n", False, False),
    (GOOD + "Resent-From: ceo@example.com\r\n", False, False),
    (GOOD + "Resent-From: a@billing.example.com\r\nResent-From: ceo@example.com\r\n", False, False),
    ("From: app@billing.example.com,\r\n ceo@example.com\r\n", False, False),
    ("From: app@billing.example.com ceo@example.com\r\n", False, False),
    ("From: app@billing.example.com;ceo@example.com\r\n", False, False),
    ("From: app@billing.example.com (unending\r\n", False, False),
    ("From: Sales: app@billing.example.com;\r\n", False, False),
    ("From: undisclosed-recipients:;\r\n", False, False),
    ("From: <@evil.example:app@billing.example.com>\r\n", False, False),
    ("From: =?utf-8?B?Y2VvQGV4YW1wbGUuY29t?=\r\n", False, False),
    ("From: =?utf-8?Q?a?=@billing.example.com\r\n", False, False),
    ("From: app\r\n", False, False),
    ("From: <>\r\n", False, False),
    ("From: app@billing.example.com" + "," * 1 + " " * 900 + "\r\n" + (" " * 900 + "\r\n") * 5 +
     " ceo@example.com\r\n", False, False),
    ("From ceo@example.com Sat Nov 21\r\n" + GOOD, False, False),
    ("\tFrom: ceo@example.com\r\n" + GOOD, False, False),
    (GOOD + "From\r\n", False, False),
    ("\xef\xbb\xbfFrom: ceo@example.com\r\n" + GOOD, False, False),
]


def last_record(relayd):
    return relayd.attempts()[-1]


def send(client, header, chunked=False, sender="app@billing.example.com"):
    body = header.encode("latin-1") + b"\r\nhello\r\n"
    client.expect(f"MAIL FROM:<{sender}>", "250")
    client.expect("RCPT TO:<user@partner.example>", "250")
    if chunked:
        client.send(b"BDAT %d LAST\r\n" % len(body) + body)
        return client.reply()
    client.expect("DATA", "354")
    client.send(body)
    return client.command(".")


def judges_who_a_message_says_it_is_from(workspace):
    relayd = Relayd(workspace, workers=1, extra=AUTHORIZED.format(demand="authorized"),
                    connector="max-protocol-errors = 0").start()
    for demand, column in (("authorized", 1), ("same-domain", 2)):
        if column == 2:
            relayd.write_config(harness.DEFAULT_CONFIG,
                                extra=AUTHORIZED.format(demand="same-domain"))
            relayd.reload()
        with Client(relayd.port, source="127.0.0.2") as client:
            client.expect("EHLO app.example", "250")
            for row in HEADERS:
                for chunked in (False, True):
                    reply = send(client, row[0], chunked)
                    record = last_record(relayd)
                    assert record["reply"] == reply, (row, record, reply)
                    if row[column]:
                        assert reply.startswith("250 "), (demand, row, reply)
                        assert record["verdict"] == "relayed", record
                        continue
                    assert re.fullmatch(r"550 5\.7\.367 Sender not authorized for relay "
                                        r"\[[0-9A-Z]+\]", reply), (demand, row, reply)
                    assert record["reason"] == "sender.header-from", record
                    assert record["stage"] == "header-from", record
                    assert record["grant"] == "app", record
    relayd.stop()


def makes_no_second_from_of_a_bare_cr(workspace):
    """In chunks to a connector that normalises, a CR comes out as a line end."""
    relayd = Relayd(workspace, workers=1, extra=AUTHORIZED.format(demand="authorized"),
                    connector='bare-newlines = "normalise" max-protocol-errors = 0').start()
    with Client(relayd.port, source="127.0.0.2") as client:
        client.expect("EHLO app.example", "250")
        for chunked in (False, True):
            for trick in ("Subject: x\rFrom: ceo@example.com\r\n" + GOOD,
                          GOOD + "Subject: x\rFrom: ceo@example.com\r\n",
                          GOOD + "Subject: x\nFrom: ceo@example.com\r\n"):
                reply = send(client, trick, chunked)
                assert reply.startswith("550 5.7.367 "), (chunked, trick, reply)
            assert send(client, GOOD, chunked).startswith("250 ")
    relayd.stop()


X64 = "x" * 64
TRICKS = [
    # to a client that may write to example.com only: what looks like more is not
    ("<user@example.com>", "250 2.1.5"),
    ("<User@EXAMPLE.Com>", "250 2.1.5"),
    ("<user+tag@example.com>", "250 2.1.5"),
    ("<\"user\"@example.com>", "250 2.1.5"),
    ("<user@xn--bcher-kva.example>", "250 2.1.5"),
    ("<user%partner.example@example.com>", "550 5.7.1"),  # the next hop may take them apart
    ("<partner.example!user@example.com>", "550 5.7.1"),
    ("<\"user@partner.example\"@example.com>", "550 5.7.1"),
    ("<a!user%partner.example@xn--bcher-kva.example>", "550 5.7.1"),
    ("<known%host@example.com>", "250 2.1.5"),  # unless somebody named it
    ("<postmaster>", "550 5.7.1"),  # no domain, so none that is accepted
    ("<user@partner.example>", "550 5.7.1"),
    ("<user@sub.example.com>", "550 5.7.1"),
    ("<user@example.com.evil.example>", "550 5.7.1"),
    ("<user@notexample.com>", "550 5.7.1"),
    ("<user@com>", "550 5.7.1"),
    ("<user@[127.0.0.1]>", "550 5.7.1"),
    ("<user@[IPv6:::1]>", "550 5.7.1"),
    ("<user%example.com@partner.example>", "550 5.7.1"),
    ("<example.com!user@partner.example>", "550 5.7.1"),
    ("<\"user@example.com\"@partner.example>", "550 5.7.1"),
    ("<\"@example.com\"@partner.example>", "550 5.7.1"),
    ("<user@b%C3%BCcher.example>", "501 5.1.3"),
    ("<@example.com:user@partner.example>", "501 5.1.3"),
    ("<@example.com,@a.example:user@partner.example>", "501 5.1.3"),
    ("<user@partner.example@example.com>", "501 5.1.3"),
    ("<user@example.com@partner.example>", "501 5.1.3"),
    ("<user@example.com.>", "501 5.1.3"),
    ("<user@.example.com>", "501 5.1.3"),
    ("<user@example..com>", "501 5.1.3"),
    ("<user@>", "501 5.1.3"),
    ("<@example.com>", "501 5.1.3"),
    ("<user>", "501 5.1.3"),
    ("<>", "501 5.1.3"),
    ("<user@[127.0.0.1>", "501 5.1.3"),
    ("<user@[127.0.0.1].example.com>", "501 5.1.3"),
    ("<user@" + X64 + ".example.com>", "501 5.1.3"),
    ("<" + X64 + "x@example.com>", "501 5.1.3"),
    ("<user@example.com>, <victim@partner.example>", "501 5.5.4"),
    ("<user name@example.com>", "501 5.1.3"),
    ("<b\u00fccher@example.com>", "553 5.6.7"),
    ("<user@b\u00fccher.example>", "553 5.6.7"),
]


def takes_no_trick_for_a_recipient_that_is_granted(workspace):
    extra = """
accepted-domain "example.com" {{ }}
accepted-domain "xn--bcher-kva.example" {{ }}
grant "inbound" {{
    networks = {{ "127.0.0.4" }}  senders = {{ "*" }}
    recipients = {{ "accepted-domains", "known%host@example.com" }}
}}
grant "legacy" {{
    networks = {{ "127.0.0.5" }}  senders = {{ "*" }}  recipients = {{ "accepted-domains" }}
    except-recipients = {{ "ceo%notes@example.com" }}  routed-local-parts = "allow"
}}
""".format()
    relayd = Relayd(workspace, workers=1, extra=extra, connector="max-protocol-errors = 0").start()
    with Client(relayd.port, source="127.0.0.4") as client:
        client.expect("EHLO app.example", "250")
        client.expect("MAIL FROM:<anyone@anywhere.example>", "250")
        wrong = []
        for recipient, wanted in TRICKS:
            reply = client.command(f"RCPT TO:{recipient}")
            if not reply.startswith(wanted + " "):
                wrong.append((recipient, wanted, reply))
        assert not wrong, wrong
        client.expect("RSET", "250")
        client.expect("MAIL FROM:<anyone@anywhere.example> SMTPUTF8", "250")
        client.expect("RCPT TO:<user@b\u00fccher.example>", "250")  # the A-label's other form
        client.expect("RCPT TO:<b\u00fccher@example.com>", "250")
        client.expect("RCPT TO:<user@bucher.example>", "550 5.7.1 ")
    with Client(relayd.port, source="127.0.0.5") as client:
        client.expect("EHLO app.example", "250")
        client.expect("MAIL FROM:<anyone@anywhere.example>", "250")
        client.expect("RCPT TO:<user%partner.example@example.com>", "250")
        client.expect("RCPT TO:<partner.example!user@example.com>", "250")
        client.expect("RCPT TO:<user%example.com@partner.example>", "550 5.7.1 ")
        client.expect("RCPT TO:<ceo%notes@example.com>", "550 5.7.1 ")
    explained = relayd.ctl("explain", "--client", "127.0.0.4", "--from", "a@b.example", "--to",
                           "user%partner.example@example.com", check=False).stdout
    explained = " ".join(explained.split())
    assert "whose local part names another host" in explained, explained
    assert 'add "user%partner.example@example.com" to grant "inbound"' in explained, explained
    assert 'routed-local-parts = "allow"' in explained, explained
    relayd.stop()


OTHER_WORDS = """
reply-style = "{style}"
reply "sender.not-authorized" {{ text = "{text}" }}
reply "relay.no-grant" {{ text = "Ask it@example.com"  code = 554  enhanced = "5.7.0" }}
"""


def says_the_words_of_the_configuration(workspace):
    text = "This sender is not registered; see https://intra.example.com/relay " + "x" * 200
    relayd = Relayd(workspace, workers=1, extra=OTHER_WORDS.format(style="relayd", text=text))
    relayd.start()
    for style, enhanced in (("relayd", "5.7.367"), ("standard", "5.7.1"), ("exchange", "5.7.60")):
        relayd.write_config(harness.DEFAULT_CONFIG, extra=OTHER_WORDS.format(style=style, text=text))
        relayd.reload()
        for source, sender, wanted in (
                ("127.0.0.1", "ceo@example.com", f"550 {enhanced} {text}"),
                ("127.0.0.9", "ceo@example.com", "554 5.7.0 Ask it@example.com")):
            with Client(relayd.port, source=source) as client:
                client.expect("EHLO app.example", "250")
                client.expect(f"MAIL FROM:<{sender}>", "250")
                reply = client.command("RCPT TO:<user@partner.example>")
            record = last_record(relayd)
            assert reply == f"{wanted} [{record['id']}]", (reply, wanted)
            assert record["reply"] == reply, record
            explained = relayd.ctl("explain", "--client", source, "--from", sender, "--to",
                                   "user@partner.example", "--json", check=False)
            assert json.loads(explained.stdout)["reply"] == wanted, explained
    shown = relayd.ctl("reason", "relay.no-grant").stdout
    assert "554 5.7.0 Ask it@example.com" in shown, shown
    relayd.stop()


def leaves_monitor_mode_at_its_date(workspace):
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
    text = until.strftime("%Y-%m-%dT%H:%M:%SZ")
    relayd = Relayd(workspace, workers=1, connector=f'''mode = "monitor" monitor-until = "{text}"
        max-protocol-errors = 0''').start()
    assert 'connector "apps" is in monitor mode' in relayd.log(), relayd.log()
    status = relayd.status()["connectors"][0]
    monitored = []
    with Client(relayd.port) as client:
        client.expect("EHLO app.example", "250")

        def refused():
            client.expect("MAIL FROM:<ceo@example.com>", "250")
            reply = client.command("RCPT TO:<user@partner.example>")
            if not reply.startswith("250"):
                return reply
            client.expect("DATA", "354")
            client.send("Subject: x\r\n\r\nhello\r\n")
            monitored.append(client.command("."))
            return None

        reply = wait_until(refused, "monitor mode to end")
    assert time.time() >= int(until.timestamp()), "it ended too early"
    assert reply.startswith("550 5.7.367 "), reply
    accepted = relayd.attempts(verdict="would-refuse")
    assert len(accepted) == len(monitored), (accepted, monitored)
    if monitored:  # unless the machine was very slow
        assert status["mode"] == "monitor" and status["monitor_until"].startswith(text[:19]), status
        assert {r["reason"] for r in accepted} == {"sender.not-authorized"}, accepted
    status = relayd.status()
    assert status["connectors"][0]["mode"] == "enforce", status
    assert "monitor_until" not in status["connectors"][0], status
    assert any("its monitor mode ended on" in w for w in status["warnings"]), status
    relayd.stop()


def names_the_grants_in_monitor_mode(workspace):
    relayd = Relayd(workspace, workers=1, extra="""
grant "watched" {{
    networks = {{ "127.0.0.3" }}  senders = {{ "@example.com" }}  recipients = {{ "*" }}
    mode = "monitor"  monitor-until = "2099-01-01"
}}
""".format()).start()
    status = relayd.status()
    assert [g["name"] for g in status["monitoring_grants"]] == ["watched"], status
    text = relayd.ctl("status").stdout
    assert 'grant "watched" is in monitor mode' in text, text
    log = relayd.log().count('grant "watched" is in monitor mode')
    relayd.reload()
    wait_until(lambda: relayd.log().count('grant "watched" is in monitor mode') > log,
               "the warning at reload")
    relayd.stop()


def reloads_large_tables_while_sessions_go_on(workspace):
    """The supervisor reads and compiles; whoever talks to a worker does not notice."""
    count = 20000 if SANITIZED else 300000
    table = workspace.path / "networks.txt"
    with open(table, "w") as file:
        for i in range(count):
            a = (i * 4093 << 4) & 0xffffffff
            file.write(f"{a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}/30\n")
    extra = f"""
table "many" {{ type = "network"  file = "{table}" }}
grant "many" {{
    networks = {{ "table:many" }}  senders = {{ "@example.com" }}  recipients = {{ "*" }}
}}
"""
    relayd = Relayd(workspace, extra=extra, connector="max-protocol-errors = 0").start()
    before = relayd.status()["policy"]
    table.write_text("192.0.2.1\n" + table.read_text())
    with Client(relayd.port) as client:
        client.expect("EHLO app.example", "250")
        reload = harness.subprocess.Popen(
            [harness.BUILD / "bin" / "relayctl", "-c", relayd.config_path, "reload"])
        longest, rounds = 0.0, 0
        while reload.poll() is None:
            start = time.monotonic()
            client.expect("NOOP", "250")
            with Client(relayd.port) as fresh:  # somebody still accepts
                assert fresh.banner.startswith("220")
            longest = max(longest, time.monotonic() - start)
            rounds += 1
        assert reload.returncode == 0
        assert rounds > 3, rounds
        # far less than reading the table takes; what remains is a busy machine
        assert longest < 2, longest
        client.expect("MAIL FROM:<app@billing.example.com>", "250")  # under its old policy
    print(f"     {count} networks: {rounds} rounds while it reloaded, the longest {longest:.3f} s")
    wait_until(lambda: relayd.status()["policy"] != before, "the new policy")
    relayd.stop()


if __name__ == "__main__":
    harness.run(
        judges_who_a_message_says_it_is_from,
        makes_no_second_from_of_a_bare_cr,
        takes_no_trick_for_a_recipient_that_is_granted,
        says_the_words_of_the_configuration,
        leaves_monitor_mode_at_its_date,
        names_the_grants_in_monitor_mode,
        reloads_large_tables_while_sessions_go_on,
    )
