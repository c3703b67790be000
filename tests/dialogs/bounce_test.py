#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Reports of what became of mail: read with an independent MIME parser, field by field."""
import contextlib
import email
import email.policy
import json
import os
import re
import signal

import harness
from harness import Client, NextHop, Relayd, wait_until

CONFIG = """
hostname  = "relay.example.com"
state-dir = "{state}"
workers   = {workers}
{user}
accepted-domain "example.com" {{ }}
accepted-domain "billing.example.com" {{ }}

connector "apps" {{
    bindings         = {{ "127.0.0.1:{port}" }}
    remote-ip-ranges = {{ "127.0.0.0/8" }}
    tarpit-interval  = "0s"
    max-connections-per-source = 1000
    {connector}
}}

grant "billing" {{
    owner      = "finance-it@example.com"
    networks   = {{ "127.0.0.1" }}
    senders    = {{ "@billing.example.com", "@outside.example", "named@outside.example" }}
    recipients = {{ "*" }}
}}
grant "anything" {{
    owner      = "Facility Management"
    bounce-to  = "ops@example.com"
    networks   = {{ "127.0.0.2" }}
    senders    = {{ "*" }}
    recipients = {{ "*" }}
}}
grant "ownerless" {{
    networks   = {{ "127.0.0.3" }}
    senders    = {{ "*" }}
    recipients = {{ "*" }}
}}
{extra}

route "next" {{
    recipients = {{ "*" }}
    {route}
}}
route "back" {{
    recipients = {{ "@example.com", "@billing.example.com", "@outside.example", "@mx.example.com" }}
    next-hops  = {{ "127.0.0.1:{back}" }}
}}
queue {{ retry = {{ {retry} }} expires = "{expires}" {queue} }}
"""


class World:
    """A relayd between applications, a world that answers as told, and the way back."""

    def __init__(self, workspace, behave=None, queue='bounce-from = "postmaster@mx.example.com"',
                 next_hop=None, back=None, **settings):
        self.next = None if next_hop else NextHop(workspace, behave)
        self.back = back or NextHop(workspace)
        settings.setdefault("workers", 1)
        self.relayd = Relayd(workspace, next_hop=next_hop or self.next.port, **settings)
        self.relayd.write_config(CONFIG, back=self.back.port, queue=queue)
        self.relayd.start()

    def send(self, sender="app@billing.example.com", recipients=("bad@p.example",), mail="",
             rcpt="", body="Subject: invoice 7\r\nMessage-ID: <1@app>\r\n\r\nhello\r\n",
             source=None):
        with Client(self.relayd.port, source=source) as client:
            client.expect("EHLO app7.example.com", "250")
            client.expect(f"MAIL FROM:<{sender}>{mail}", "250")
            for recipient in recipients:
                address, _, options = recipient.partition(" ")
                client.expect(f"RCPT TO:<{address}>{options and ' ' + options}{rcpt}", "250")
            client.expect("DATA", "354")
            client.send(body if isinstance(body, bytes) else body.encode())
            reply = client.command(".")
        return re.search(r"queued as (\w+)", reply).group(1)

    def report(self, number=1):
        return Report(*self.back.wait(number)[number - 1])

    def wait_empty(self):
        wait_until(lambda: self.relayd.ctl("queue", "list", "--json").stdout.strip() == "[]",
                   "an empty queue")

    def states(self):
        queue = json.loads(self.relayd.ctl("queue", "list", "--json").stdout)
        return {r["address"]: r["state"] for m in queue for r in m["recipients"]}


class Report:
    """A report taken apart by python's parser."""

    def __init__(self, sender, recipients, octets):
        self.sender, self.recipients, self.octets = sender, recipients, octets
        assert all(len(line) <= 998 for line in octets.split(b"\r\n"))
        self.message = email.message_from_bytes(octets, policy=email.policy.default)
        assert not self.message.defects, self.message.defects
        assert self.message.get_content_type() == "multipart/report"
        assert self.message["Content-Type"].params["report-type"] == "delivery-status"
        self.text, self.status, self.original = self.message.get_payload()
        assert self.text.get_content_type() == "text/plain"
        assert not any(p.defects for p in (self.text, self.status, self.original))
        blocks = self.status.get_payload()
        self.about, self.fates = blocks[0], {
            str(b["Final-Recipient"]).partition(";")[2].strip(): b for b in blocks[1:] if b.keys()}

    def check_head(self, to, kind="Undeliverable"):
        m = self.message
        assert self.sender == "" and self.recipients == [to], (self.sender, self.recipients)
        assert m["To"].addresses[0].addr_spec == to
        assert m["From"].addresses[0].addr_spec == "postmaster@mx.example.com", m["From"]
        assert m["Subject"] == f"{kind}: invoice 7", m["Subject"]
        assert m["Auto-Submitted"] == "auto-replied" and m["MIME-Version"] == "1.0"
        assert m["Date"].datetime is not None
        assert re.match(r"^<\S+@relay\.example\.com>$", m["Message-ID"]), m["Message-ID"]
        assert m["In-Reply-To"] == m["References"] == "<1@app>"
        for name in ("Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted"):
            assert len(m.get_all(name)) == 1, name
        assert self.status.get_content_type() == "message/delivery-status"
        assert self.about["Reporting-MTA"] == "dns; relay.example.com"
        assert email.utils.parsedate_to_datetime(self.about["Arrival-Date"])


def no_such_user(verb, argument):
    return "550 5.1.1 No such user here" if verb == "RCPT" and "bad" in argument else None


def reports_a_failure(workspace):
    world = World(workspace, no_such_user)
    queue_id = world.send()
    report = world.report()
    report.check_head("app@billing.example.com")
    fate = report.fates["bad@p.example"]
    assert fate["Final-Recipient"] == "rfc822; bad@p.example"
    assert fate["Action"] == "failed" and fate["Status"] == "5.1.1"
    assert fate["Remote-MTA"] == "dns; [127.0.0.1]", fate["Remote-MTA"]
    assert " ".join(fate["Diagnostic-Code"].split()) == "smtp; 550 5.1.1 No such user here"
    assert email.utils.parsedate_to_datetime(fate["Last-Attempt-Date"])
    assert fate["Final-Log-ID"] == queue_id
    assert fate["Original-Recipient"] is None and fate["Will-Retry-Until"] is None
    assert report.about["Original-Envelope-Id"] is None
    text = report.text.get_content()
    for words in ("bad@p.example", "No such user here", "What to do", f"relayctl why {queue_id}"):
        assert words in text, (words, text)
    # small and 7-bit: the message comes back whole
    assert report.original.get_content_type() == "message/rfc822"
    original = report.original.get_payload()[0]
    assert original["Subject"] == "invoice 7" and original.get_content().splitlines() == ["hello"]
    assert "app7.example.com" in original["Received"]
    world.wait_empty()
    bounce, = world.relayd.audit("bounce")
    assert bounce["id"] == queue_id and bounce["to"] == "bad@p.example", bounce
    assert bounce["result"] == "failed" and bounce["report_to"] == "app@billing.example.com"
    assert bounce["report"] in report.message["Message-ID"]
    story = world.relayd.ctl("why", queue_id).stdout
    assert "reported as failed to app@billing.example.com" in " ".join(story.split()), story
    delivered = [d for d in world.relayd.audit("delivery") if d["id"] == bounce["report"]]
    assert delivered[0]["to"] == "app@billing.example.com" and delivered[0]["from"] == ""
    assert len(world.back.messages) == 1
    world.relayd.stop()


def tells_all_outcomes_in_one_report(workspace):
    def behave(verb, argument):
        if verb == "RCPT" and "full" in argument:
            return "552 5.2.2 Mailbox full"
        if verb == "RCPT" and "plain" in argument:
            return "550 Go away"
        return no_such_user(verb, argument)
    world = World(workspace, behave)
    world.send(recipients=["bad@p.example", "good@p.example", "full@p.example",
                           "wanted@p.example NOTIFY=SUCCESS", "plain@p.example",
                           "bad-silent@p.example NOTIFY=NEVER",
                           "bad-success@p.example NOTIFY=SUCCESS",
                           "bad-both@p.example NOTIFY=SUCCESS,FAILURE"])
    report = world.report()
    report.check_head("app@billing.example.com")
    fates = {a: (f["Action"], f["Status"]) for a, f in report.fates.items()}
    assert fates == {"bad@p.example": ("failed", "5.1.1"), "full@p.example": ("failed", "5.2.2"),
                     "plain@p.example": ("failed", "5.0.0"),
                     "wanted@p.example": ("relayed", "2.0.0"),
                     "bad-both@p.example": ("failed", "5.1.1")}, fates
    world.wait_empty()
    assert len(world.back.messages) == 1
    results = {b["to"]: b["result"] for b in world.relayd.audit("bounce")}
    assert results["bad-silent@p.example"] == "unwanted", results
    assert results["bad-success@p.example"] == "unwanted" and "good@p.example" not in results
    world.relayd.stop()


def repeats_what_the_client_asked_for(workspace):
    world = World(workspace, no_such_user)
    world.send(mail=" RET=HDRS ENVID=QQ+2B314159",
               recipients=["bad@p.example ORCPT=rfc822;Bob+2Bx+20y@p.example"])
    report = world.report()
    report.check_head("app@billing.example.com")
    assert report.about["Original-Envelope-Id"] == "QQ+314159"
    fate = report.fates["bad@p.example"]
    assert fate["Original-Recipient"] == "rfc822; Bob+x y@p.example"
    assert report.original.get_content_type() == "text/rfc822-headers"
    header = email.message_from_string(report.original.get_content())
    assert header["Subject"] == "invoice 7" and "hello" not in report.octets.decode()
    world.relayd.stop()


def returns_as_much_as_asked_and_no_more(workspace):
    world = World(workspace, no_such_user)
    line = b"x" * 70 + b"\r\n"
    head = b"Subject: invoice 7\r\nMessage-ID: <1@app>\r\n\r\n"
    world.send(body=head + line * 2000)  # 144 kB: the header is enough
    report = world.report(1)
    assert report.original.get_content_type() == "text/rfc822-headers"
    world.send(body=head + line * 2000, mail=" RET=FULL")
    report = world.report(2)
    assert report.original.get_content_type() == "message/rfc822"
    assert report.original.get_payload()[0].get_content().splitlines() == ["x" * 70] * 2000
    world.send(body=head + line * 30000, mail=" RET=FULL")  # 2 MB: too much to come back
    report = world.report(3)
    assert report.original.get_content_type() == "text/rfc822-headers"
    # 8-bit content comes back whole only where that was asked for
    body = head.replace(b"invoice 7", "invoice ü".encode()) + "grüße\r\n".encode()
    world.send(body=body, mail=" BODY=8BITMIME")
    report = world.report(4)
    assert report.octets.isascii()
    assert report.message["Subject"] == "Undeliverable: your message"
    header = report.original.get_payload(decode=True)
    assert "Subject: invoice ü\r\n".encode() in header.replace(b"\n", b"\r\n").replace(b"\r\r", b"\r")
    world.send(body=body, mail=" BODY=8BITMIME RET=FULL")
    report = world.report(5)
    assert report.original["Content-Transfer-Encoding"] == "8bit"
    assert "grüße".encode() in report.octets
    world.wait_empty()
    world.relayd.stop()


def reports_success_where_the_next_hop_does_not(workspace):
    world = World(workspace)
    world.send(recipients=["good@p.example NOTIFY=SUCCESS ORCPT=rfc822;good@p.example"])
    report = world.report()
    report.check_head("app@billing.example.com", "Relayed")
    fate = report.fates["good@p.example"]
    assert fate["Action"] == "relayed" and fate["Status"] == "2.0.0"
    assert fate["Original-Recipient"] == "rfc822; good@p.example"
    assert report.original.get_content_type() == "text/rfc822-headers"
    world.wait_empty()
    world.relayd.stop()


def leaves_success_to_a_next_hop_that_reports_it(workspace):
    seen = []

    def behave(verb, argument):
        if verb == "EHLO":
            return "250-next.example\r\n250 DSN"
        if verb in ("MAIL", "RCPT"):
            seen.append(argument)
        return None
    world = World(workspace, behave)
    world.send(mail=" RET=HDRS ENVID=e1", recipients=["good@p.example NOTIFY=SUCCESS,FAILURE"])
    world.next.wait(1)
    world.wait_empty()
    assert "RET=HDRS ENVID=e1" in seen[0] and "NOTIFY=SUCCESS,FAILURE" in seen[1], seen
    assert not world.relayd.audit("bounce")
    world.relayd.stop()


def reports_delivery_into_a_maildir(workspace):
    world = World(workspace)
    world.relayd.stop()
    world.relayd.write_config(CONFIG, route=f'maildir = "{world.relayd.state}/maildir"')
    world.relayd.start()
    world.send(recipients=["good@p.example NOTIFY=SUCCESS"])
    report = world.report()
    report.check_head("app@billing.example.com", "Delivered")
    assert report.fates["good@p.example"]["Action"] == "delivered"
    assert report.fates["good@p.example"]["Remote-MTA"] is None
    world.wait_empty()
    world.relayd.stop()


def warns_once_of_a_delay(workspace):
    world = World(workspace, lambda verb, _: "451 4.3.0 not now" if verb == "RCPT" else None,
                  retry='"100ms"',
                  queue='bounce-from = "postmaster@mx.example.com" warn-after = "300ms"')
    world.send(recipients=["a@p.example", "b@p.example NOTIFY=FAILURE"])
    report = world.report()
    report.check_head("app@billing.example.com", "Delayed")
    assert list(report.fates) == ["a@p.example"], report.fates
    fate = report.fates["a@p.example"]
    assert fate["Action"] == "delayed" and fate["Status"] == "4.3.0"
    until = email.utils.parsedate_to_datetime(fate["Will-Retry-Until"])
    arrival = email.utils.parsedate_to_datetime(report.about["Arrival-Date"])
    assert abs((until - arrival).total_seconds() - 5 * 86400) <= 2
    assert report.original.get_content_type() == "text/rfc822-headers"
    tries = len(world.relayd.audit("delivery"))
    wait_until(lambda: len(world.relayd.audit("delivery")) > tries + 8, "more tries")
    # the flag survives a restart
    world.relayd.stop()
    world.relayd.start()
    tries = len(world.relayd.audit("delivery"))
    wait_until(lambda: len(world.relayd.audit("delivery")) > tries + 4, "more tries")
    assert len(world.back.messages) == 1
    world.relayd.stop()


def warns_when_the_route_is_down(workspace):
    world = World(workspace, next_hop=harness.free_port(),
                  queue='bounce-from = "postmaster@mx.example.com" warn-after = "300ms"')
    for _ in range(3):
        world.send()
    reports = [Report(*m) for m in world.back.wait(3)]
    for report in reports:
        report.check_head("app@billing.example.com", "Delayed")
        fate = report.fates["bad@p.example"]
        assert fate["Action"] == "delayed" and fate["Status"].startswith("4.4."), fate["Status"]
        assert "refused" in fate["Diagnostic-Code"], fate["Diagnostic-Code"]
    world.relayd.stop()
    assert len(world.back.messages) == 3


def reports_what_expired(workspace):
    world = World(workspace, lambda verb, _: "451 4.3.0 not now" if verb == "MAIL" else None,
                  retry='"100ms"', expires="1s")
    world.send()
    report = world.report()
    report.check_head("app@billing.example.com")
    fate = report.fates["bad@p.example"]
    assert fate["Action"] == "failed" and fate["Status"] == "4.4.7"
    assert "451 4.3.0 not now" in " ".join(fate["Diagnostic-Code"].split())
    world.wait_empty()
    assert len(world.relayd.audit("expire")) == 1 and len(world.back.messages) == 1
    world.relayd.stop()


def names_a_next_hop_that_does_not_relay(workspace):
    answers = iter(["554 5.7.1 <x@p.example>: Relay access denied",
                    "550 5.7.64 TenantAttribution; Relay Access Denied",
                    "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain",
                    "550 relaying denied",
                    "550 5.7.1 Message content rejected"])
    world = World(workspace, lambda verb, _: next(answers) if verb == "RCPT" else None)
    words = "550 5.7.367 Remote server returned not permitted to relay -> "
    for n in range(1, 6):
        world.send()
        fate = world.report(n).fates["bad@p.example"]
        diagnostic = " ".join(fate["Diagnostic-Code"].split())
        reply = [d["reply"] for d in world.relayd.audit("delivery") if d["from"]][-1]
        if n < 5:
            assert fate["Status"] == "5.7.367" and diagnostic.startswith("smtp; " + words)
            assert reply.startswith(words + "55") and "elay" in reply[len(words):], reply
        else:
            assert fate["Status"] == "5.7.1" and reply.startswith("550 5.7.1 Message"), reply
    world.relayd.stop()


def tells_no_null_sender(workspace):
    world = World(workspace, no_such_user, queue="")
    queue_id = world.send(sender="", source="127.0.0.2")
    wait_until(lambda: world.states() == {"bad@p.example": "dead"}, "the dead list")
    assert [b["result"] for b in world.relayd.audit("bounce")] == ["kept"]
    status = world.relayd.status()
    assert [r["dead"] for r in status["routes"] if r["name"] == "next"] == [1]
    story = " ".join(world.relayd.ctl("why", queue_id).stdout.split())
    assert "kept as dead" in story, story
    assert not world.back.messages
    world.relayd.stop()


def tells_the_postmaster_if_nobody_else(workspace):
    world = World(workspace, no_such_user)
    world.send(sender="", source="127.0.0.2")
    report = world.report()
    report.check_head("postmaster@mx.example.com")
    assert "Nobody else can be told" in " ".join(report.text.get_content().split())
    world.wait_empty()
    world.relayd.stop()


def never_reports_a_report(workspace):
    back = NextHop(workspace, lambda verb, a: "550 5.1.1 gone" if verb == "RCPT" else None)
    world = World(workspace, no_such_user, back=back)
    world.send()
    # the report fails, the postmaster is told of that, and that fails too: it is kept
    wait_until(lambda: world.states() == {"postmaster@mx.example.com": "dead"}, "one dead report")
    results = [b["result"] for b in world.relayd.audit("bounce")]
    assert results == ["failed", "failed", "kept"], results
    world.relayd.stop()


def does_not_send_backscatter(workspace):
    world = World(workspace, no_such_user)
    cases = [
        # client, sender, who is told
        ("127.0.0.1", "app@billing.example.com", "app@billing.example.com"),
        ("127.0.0.1", "named@outside.example", "named@outside.example"),
        ("127.0.0.1", "forged@outside.example", "finance-it@example.com"),
        ("127.0.0.2", "victim@elsewhere.example", "ops@example.com"),
        ("127.0.0.2", "anyone@example.com", "ops@example.com"),
        ("127.0.0.3", "anyone@example.com", "anyone@example.com"),
        ("127.0.0.3", "victim@elsewhere.example", "postmaster@mx.example.com"),
    ]
    for n, (source, sender, reader) in enumerate(cases, 1):
        world.send(sender=sender, source=source)
        report = world.report(n)
        assert report.recipients == [reader], (sender, report.recipients)
        if reader != sender:
            assert f"<{sender}>" in " ".join(report.text.get_content().split())
    world.wait_empty()
    assert not [m for m in world.next.messages if m[1]]  # nothing went to the world
    world.relayd.stop()


def writes_addresses_of_other_scripts(workspace):
    world = World(workspace, lambda verb, a: "550 5.1.1 no" if verb == "RCPT" else None)
    world.send(recipients=["bäd@p.example"], mail=" SMTPUTF8")
    report = world.report()
    report.check_head("app@billing.example.com")
    assert report.octets.isascii()  # the sender's own address is
    assert list(report.fates) == ["b\\x{E4}d@p.example"], report.fates
    assert report.fates["b\\x{E4}d@p.example"]["Final-Recipient"].startswith("utf-8;")
    assert "bäd@p.example" in report.text.get_content()
    world.send(sender="äpp@billing.example.com", recipients=["bäd@p.example"], mail=" SMTPUTF8")
    sender, recipients, octets = world.back.wait(2)[1]
    assert sender == "" and recipients == ["äpp@billing.example.com"]
    assert b"Content-Type: message/global-delivery-status" in octets
    assert "Final-Recipient: utf-8; bäd@p.example\r\n".encode() in octets
    world.wait_empty()
    world.relayd.stop()


def refuses_rather_than_mangles(workspace):
    world = World(workspace, lambda verb, _: "250 next.example" if verb == "EHLO" else None)
    head = "Subject: invoice 7\r\nMessage-ID: <1@app>\r\n\r\n"
    world.send(recipients=["a@p.example"], body=head + "grüße\r\n", mail=" BODY=8BITMIME RET=FULL")
    report = world.report()
    report.check_head("app@billing.example.com")
    assert report.fates["a@p.example"]["Status"] == "5.6.3" and report.octets.isascii()
    world.send(recipients=["ä@p.example"], mail=" SMTPUTF8")
    report = world.report(2)
    assert [f["Status"] for f in report.fates.values()] == ["5.6.7"]
    assert not [m for m in world.next.messages if m[1]]
    world.relayd.stop()


def ends_at_once_what_an_idle_connection_cannot_take(workspace):
    """Nobody is to be told, so the message is over in the turn in which it came in."""
    world = World(workspace, lambda verb, _: "250 next.example" if verb == "EHLO" else None)
    world.send(recipients=["good@p.example"])
    world.next.wait(1)
    for _ in range(3):
        world.send(recipients=["ä@p.example NOTIFY=NEVER", "ö@q.example NOTIFY=NEVER"], mail=" SMTPUTF8")
    world.wait_empty()
    assert [r["result"] for r in world.relayd.audit("bounce")] == ["unwanted"] * 6
    assert not world.back.messages and len(world.next.messages) == 1
    world.relayd.stop()


def loses_no_report_in_a_crash(workspace):
    world = World(workspace, no_such_user)
    ids = []
    for round_number in range(6):
        with Client(world.relayd.port) as client:
            client.expect("EHLO app7.example.com", "250")
            for n in range(5):
                reply = client.mail(recipients=[f"bad{round_number}-{n}@p.example"])
                ids.append(re.search(r"queued as (\w+)", reply).group(1))
        # somewhere between the refusal, the report and the removal
        target = [len(world.relayd.audit("bounce")), len(world.relayd.audit("delivery"))]
        wait_until(lambda: [len(world.relayd.audit("bounce")),
                            len(world.relayd.audit("delivery"))] != target or
                   round_number % 2, "something to happen")
        pids = world.relayd.worker_pids()
        world.relayd.process.send_signal(signal.SIGKILL)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        world.relayd.process.wait()
        world.relayd.process = None
        world.relayd.start()
    wait_until(lambda: {Report(*m).fates[f].get("Final-Log-ID") for m in world.back.messages
                        for f in Report(*m).fates} >= set(ids), "a report of each message")
    world.wait_empty()
    # at worst a report is repeated, never more often than it was interrupted
    assert len(world.back.messages) <= len(ids) * 3, len(world.back.messages)
    world.relayd.stop()


def rewrites_senders(workspace):
    world = World(workspace, extra="""
grant "printers" {
    networks = { "127.0.0.5" }
    senders = { "*" }
    recipients = { "*" }
    sender-map = { "root@localhost = ops@example.com", "@scanner.local = scan@example.com" }
    rewrite-sender = "noreply@example.com"
}
""", behave=no_such_user)
    def sent(sender, header, number, recipients=("good@p.example",)):
        world.send(sender=sender, source="127.0.0.5", recipients=recipients,
                   body=header + "\r\nhello\r\n..dot\r\n")
        envelope, _, octets = world.next.wait(number)[-1]
        message = email.message_from_bytes(octets, policy=email.policy.default)
        assert message.get_content().splitlines() == ["hello", ".dot"], message.get_content()
        return envelope, message
    envelope, m = sent("root@localhost", "From: Cron <root@localhost>\r\nSubject: c\r\n", 1)
    assert envelope == "ops@example.com" and m["From"] == "Cron <ops@example.com>", m["From"]
    assert m["Reply-To"] is None and m["Subject"] == "c" and m["Date"] and m["Message-ID"]
    envelope, m = sent("a@scanner.local", "From: a@scanner.local\r\n", 2)
    assert envelope == "scan@example.com" and m["From"] == "scan@example.com"
    envelope, m = sent("alice@x.example", "From: \"Alice, X.\" <alice@x.example>\r\n"
                       "Sender: bob@x.example\r\nTo: good@p.example\r\n", 3)
    assert envelope == "noreply@example.com"
    assert m["From"].addresses[0].addr_spec == "noreply@example.com"
    assert m["From"].addresses[0].display_name == "Alice, X."
    assert m["Reply-To"].addresses[0].addr_spec == "alice@x.example" and m["Sender"] is None
    envelope, m = sent("alice@x.example", "From: alice@x.example\r\nReply-To: b@x.example\r\n", 4)
    assert m["Reply-To"] == "b@x.example"
    # a report goes to the sender that the world saw; the original in it is as it was sent
    world.send(sender="root@localhost", source="127.0.0.5")
    assert world.report().recipients == ["ops@example.com"]
    world.wait_empty()
    world.relayd.stop()


def adds_what_is_missing(workspace):
    world = World(workspace)
    queue_id = world.send(recipients=["a@p.example"], body="Subject: s\r\n\r\nhello\r\n")
    _, _, octets = world.next.wait(1)[0]
    m = email.message_from_bytes(octets, policy=email.policy.default)
    assert m["Message-ID"] == f"<{queue_id}@relay.example.com>" and m["Date"].datetime
    assert m.keys() == ["Received", "Subject", "Message-ID", "Date"], m.keys()
    assert world.relayd.attempts()[0]["message_id"] == f"<{queue_id}@relay.example.com>"
    world.send(recipients=["a@p.example"], body="Date: Sat, 21 Nov 2026 19:20:03 +0000\r\n"
               "Message-ID: <x@y>\r\n\r\nhello\r\n")
    _, _, octets = world.next.wait(2)[1]
    m = email.message_from_bytes(octets)
    assert m.get_all("Message-ID") == ["<x@y>"] and len(m.get_all("Date")) == 1
    for n, body in enumerate(["\r\nno header\r\n", "Subject: only\r\n"], 3):
        world.send(recipients=["a@p.example"], body=body)
        m = email.message_from_bytes(world.next.wait(n)[n - 1][2])
        assert m["Message-ID"] and m["Date"], m.keys()
    assert m["Subject"] == "only"
    world.relayd.stop()


def refuses_what_it_delivered_before(workspace):
    world = World(workspace)
    with Client(world.relayd.port) as client:
        client.expect("EHLO app7.example.com", "250")
        reply = client.mail(recipients=["b@p.example", "a@p.example"],
                            body="Delivered-To: c@p.example\r\nDelivered-To: A@p.example\r\n"
                            "\r\nround\r\n")
        assert reply.startswith("554 5.4.6"), reply
        reply = client.mail(recipients=["b@p.example"],
                            body="Delivered-To: a@p.example\r\n\r\nfine\r\n")
        assert reply.startswith("250"), reply
    assert world.relayd.attempts(reason="message.loop")[0]["detail"] == "Delivered-To: a@p.example"
    world.relayd.stop()


def counts_rates(workspace):
    world = World(workspace, no_such_user)
    world.send(recipients=["bad@p.example", "good@p.example"])
    world.report()
    world.wait_empty()
    status = world.relayd.status()
    grant, = [g for g in status["grants"] if g["name"] == "billing"]
    assert grant == {"name": "billing", "delivered": 1, "deferred": 0, "failed": 1,
                     "reported": 1}, grant
    domains = {d["name"]: d for d in status["sender_domains"]}
    assert domains["billing.example.com"]["failed"] == 1
    assert domains["<>"]["delivered"] == 1  # the report
    text = world.relayd.ctl("status").stdout
    assert "SENDER DOMAIN" in text and "50.0%" in text, text
    world.relayd.stop()


if __name__ == "__main__":
    harness.run(reports_a_failure, tells_all_outcomes_in_one_report,
                repeats_what_the_client_asked_for, returns_as_much_as_asked_and_no_more,
                reports_success_where_the_next_hop_does_not,
                leaves_success_to_a_next_hop_that_reports_it, reports_delivery_into_a_maildir,
                warns_once_of_a_delay, warns_when_the_route_is_down, reports_what_expired,
                names_a_next_hop_that_does_not_relay, tells_no_null_sender,
                tells_the_postmaster_if_nobody_else, never_reports_a_report,
                does_not_send_backscatter, writes_addresses_of_other_scripts,
                refuses_rather_than_mangles,
                ends_at_once_what_an_idle_connection_cannot_take, loses_no_report_in_a_crash, rewrites_senders,
                adds_what_is_missing, refuses_what_it_delivered_before, counts_rates)
