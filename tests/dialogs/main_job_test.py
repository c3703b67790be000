#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The main job: decide, record, make durable, deliver, explain."""
import email
import json
import re

import harness
from harness import Client, NextHop, Relayd, wait_until

ID = r"[0-9A-HJKMNP-TV-Z]{8,14}"


def id_of(reply):
    return re.search(rf"(?:queued as |\[)({ID}(?:\.\d+)?)", reply).group(1)


def relays_what_a_grant_permits(workspace):
    hop = NextHop(workspace)
    relayd = Relayd(workspace, next_hop=hop.port).start()
    with Client(relayd.port) as client:
        client.expect("EHLO app7.example.com", "250")
        reply = client.mail(recipients=["ap@partner.example", "cc@partner.example"])
        client.expect("QUIT", "221 2.0.0")
    assert re.match(rf"250 2\.\d\.0 .*queued as {ID}$", reply), reply
    sender, recipients, body = hop.wait(1)[0]
    assert sender == "app@billing.example.com"
    assert sorted(recipients) == ["ap@partner.example", "cc@partner.example"]
    message = email.message_from_bytes(body)
    assert message["Subject"] == "test" and message.get_payload() == "hello\r\n"
    received = " ".join(message["Received"].split())
    assert received.startswith("from app7.example.com"), received
    assert "[127.0.0.1]" in received and "by relay.example.com" in received
    assert f"id {id_of(reply)}" in received, received
    records = relayd.attempts(verdict="relayed")
    assert [r["to"] for r in records] == ["ap@partner.example", "cc@partner.example"]
    assert records[0]["id"] == id_of(reply) and records[1]["id"] == id_of(reply) + ".2"
    for record in records:
        assert record["from"] == "app@billing.example.com"
        assert record["grant"] == "billing" and record["connector"] == "apps"
        assert record["client"]["ip"] == "127.0.0.1" and record["client"]["helo"]
        assert re.match(r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", record["time"])
        assert record["line"].startswith("relayd.conf:")
        assert record["policy"] and record["size"] > 0
    deliveries = wait_until(lambda: relayd.audit("delivery"), "a delivery record")
    assert {d["id"] for d in deliveries} == {id_of(reply)}
    wait_until(lambda: relayd.status()["spool"]["messages"] == 0, "an empty spool")
    relayd.stop()
    events = [r["event"] for r in relayd.audit()]
    assert events[0] == "start" and events[-1] == "stop", events


def refuses_a_machine_that_no_grant_names(workspace):
    relayd = Relayd(workspace).start()
    with Client(relayd.port, source="127.0.0.2") as client:
        client.expect("EHLO stranger.example", "250")
        client.expect("MAIL FROM:<app@billing.example.com>", "250")
        reply = client.command("RCPT TO:<user@partner.example>")
        assert re.match(rf"^550 5\.7\.1 Unable to relay \[{ID}\]$", reply), reply
        client.expect("DATA", "554 5.5.1")
    record, = relayd.attempts()
    assert record["verdict"] == "refused" and record["reason"] == "relay.no-grant"
    assert record["stage"] == "who" and record["reply"] == reply
    assert record["id"] == id_of(reply) and record["client"]["ip"] == "127.0.0.2"
    assert record["to"] == "user@partner.example"
    assert relayd.ctl("queue", "list", "--json").stdout.strip() == "[]"
    assert not relayd.maildir()
    relayd.stop()


def refuses_a_sender_that_is_not_granted(workspace):
    relayd = Relayd(workspace).start()
    with Client(relayd.port) as client:
        client.expect("EHLO app7.example.com", "250")
        client.expect("MAIL FROM:<ceo@example.com>", "250")
        reply = client.command("RCPT TO:<user@partner.example>")
        assert re.match(
            rf"^550 5\.7\.367 Sender not authorized for relay \[{ID}\]$", reply), reply
        # the session goes on, and the next transaction may be good
        client.expect("RSET", "250")
        assert client.mail().startswith("250 2.")
    refused, = relayd.attempts(verdict="refused")
    assert refused["reason"] == "sender.not-authorized" and refused["grant"] == "billing"
    assert "@billing.example.com" in refused["detail"], refused
    assert "ceo@example.com" in refused["detail"], refused
    story = relayd.ctl("why", id_of(reply)).stdout
    for words in ("ceo@example.com", "billing", "finance-it@example.com", "CHG-1042",
                  "5.7.367", "127.0.0.1", "@billing.example.com"):
        assert words in story, f"{words} is not in:\n{story}"
    relayd.stop()


def tells_the_story_of_a_delivery(workspace):
    relayd = Relayd(workspace).start()
    with Client(relayd.port) as client:
        client.expect("EHLO app7.example.com", "250")
        reply = client.mail()
    wait_until(relayd.maildir, "the mail in the Maildir")
    wait_until(lambda: relayd.audit("delivery"), "a delivery record")
    story = relayd.ctl("why", id_of(reply)).stdout
    assert "relayed" in story and "delivered" in story, story
    message = relayd.maildir()[0].read_bytes()
    assert b"hello" in message and b"Return-Path: <app@billing.example.com>" in message
    assert relayd.ctl("why", "ZZZZZZZZ", check=False).returncode == 1
    relayd.stop()


def lists_what_it_decided(workspace):
    relayd = Relayd(workspace).start()
    with Client(relayd.port) as client:
        client.expect("EHLO app7.example.com", "250")
        client.mail()
        client.expect("MAIL FROM:<ceo@example.com>", "250")
        client.expect("RCPT TO:<user@partner.example>", "550")
    lines = relayd.ctl("audit", "list", "--json", "--verdict", "refused").stdout.splitlines()
    records = [json.loads(line) for line in lines]
    assert [r["reason"] for r in records] == ["sender.not-authorized"], records
    table = relayd.ctl("audit", "list").stdout
    assert "ceo@example.com" in table and "app@billing.example.com" in table, table
    none = relayd.ctl("audit", "list", "--json", "--client", "10.0.0.0/8").stdout
    assert none.strip() == "", none
    relayd.stop()


def explains_without_the_daemon(workspace):
    relayd = Relayd(workspace)
    good = relayd.ctl("explain", "--client", "127.0.0.1", "--from", "a@billing.example.com",
                      "--to", "b@c.example")
    assert "relayed" in good.stdout and "billing" in good.stdout, good.stdout
    bad = relayd.ctl("explain", "--client", "127.0.0.1", "--from", "a@example.com",
                     "--to", "b@c.example", check=False)
    assert bad.returncode == 1 and "550 5.7.367" in bad.stdout, bad.stdout
    other = relayd.ctl("explain", "--json", "--client", "127.0.0.9", "--from", "a@b.example",
                       "--to", "b@c.example", check=False)
    verdict = json.loads(other.stdout)
    assert other.returncode == 1 and verdict["reason"] == "relay.no-grant", verdict


def keeps_mail_while_the_next_hop_is_down(workspace):
    port = harness.free_port()
    relayd = Relayd(workspace, next_hop=port).start()
    with Client(relayd.port) as client:
        client.expect("EHLO app7.example.com", "250")
        first, second = client.mail(), client.mail(recipients=["b@partner.example"])
    queue = json.loads(relayd.ctl("queue", "list", "--json").stdout)
    assert {m["id"] for m in queue} == {id_of(first), id_of(second)}, queue
    assert id_of(first) in relayd.ctl("queue", "list").stdout
    relayd.stop()
    relayd.start()
    hop = NextHop(workspace, port=port)
    hop.wait(2)
    wait_until(lambda: relayd.ctl("queue", "list", "--json").stdout.strip() == "[]",
               "an empty queue")
    assert len(hop.messages) == 2
    relayd.stop()


def keeps_recipients_apart(workspace):
    def behave(verb, argument):
        if verb == "RCPT" and "bad@" in argument:
            return "550 5.1.1 no such user"
        if verb == "RCPT" and "later@" in argument and not hop.messages:
            return "450 4.2.1 not now"
        return None
    hop = NextHop(workspace, behave)
    relayd = Relayd(workspace, next_hop=hop.port).start()
    with Client(relayd.port) as client:
        client.expect("EHLO app7.example.com", "250")
        reply = client.mail(recipients=["good@p.example", "bad@p.example", "later@p.example"])
    messages = hop.wait(3)
    assert [m[1] for m in messages if m[0]] == [["good@p.example"], ["later@p.example"]], messages
    report, = [m for m in messages if not m[0]]
    assert report[1] == ["app@billing.example.com"] and id_of(reply) in report[2].decode(), report
    wait_until(lambda: relayd.ctl("queue", "list", "--json").stdout.strip() == "[]",
               "an empty queue")
    assert "no such user" in json.dumps(relayd.audit("delivery"))
    relayd.stop()


def gives_up_in_time_and_deletes_nothing(workspace):
    hop = NextHop(workspace, lambda verb, _: "451 4.3.0 not now" if verb == "MAIL" else None)
    # the report of it cannot be delivered either, and stays
    relayd = Relayd(workspace, next_hop=hop.port, retry='"100ms"', expires="1s").start()
    with Client(relayd.port) as client:
        client.expect("EHLO app7.example.com", "250")
        client.mail()
    wait_until(lambda: len(relayd.audit("expire")) == 2, "the message and its report to expire")
    queue = json.loads(relayd.ctl("queue", "list", "--json").stdout)
    assert [(m["from"], m["recipients"][0]["state"]) for m in queue] == [("", "dead")], queue
    relayd.stop()


def shows_its_state(workspace):
    relayd = Relayd(workspace).start()
    with Client(relayd.port) as client:
        client.expect("EHLO app7.example.com", "250")
        client.mail()
        status = relayd.status()
        apps, = status["connectors"]
        assert apps["sessions_open"] == 1 and apps["messages"] == 1 and apps["relayed"] == 1
        assert len(status["workers"]) == 2 and status["state"] == "running"
    human = relayd.ctl("status").stdout
    assert "apps" in human and "next" in human, human
    relayd.stop()
    silent = relayd.ctl("status", check=False)
    assert silent.returncode == 3 and "not running" in silent.stderr, silent


if __name__ == "__main__":
    harness.run(relays_what_a_grant_permits, refuses_a_machine_that_no_grant_names,
                refuses_a_sender_that_is_not_granted, tells_the_story_of_a_delivery,
                lists_what_it_decided, explains_without_the_daemon,
                keeps_mail_while_the_next_hop_is_down, keeps_recipients_apart,
                gives_up_in_time_and_deletes_nothing, shows_its_state)
