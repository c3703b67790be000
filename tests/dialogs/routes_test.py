#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Which way mail goes, and when it is tried again."""
import datetime

import harness
from harness import Client, NextHop, Relayd, wait_until


def route(name, hop, text):
    return f'route "{name}" {{ next-hops = {{ "127.0.0.1:{hop.port}" }}  {text} }}\n'


def send(daemon, sender, *recipients, octets=10):
    with Client(daemon.port) as client:
        client.expect("EHLO a.example", "250")
        reply = client.mail(sender=sender, recipients=recipients,
                            body="Subject: t\r\n\r\n" + ("x" * 70 + "\r\n") * (octets // 72 + 1))
    assert reply.startswith("250"), reply


def takes_the_route_of_grant_sender_recipient_and_size(workspace):
    hops = {name: NextHop(workspace) for name in ("any", "inside", "listed", "shop", "large",
                                                  "granted")}
    (workspace.path / "partners.txt").write_text("@partner.example\nboss@other.example\n")
    extra = f'''
accepted-domain "example.com" {{ type = "authoritative" }}
table "partners" {{ type = "recipient"  file = "{workspace.path}/partners.txt" }}
grant "shop" {{ networks = {{ "127.0.0.1" }}  senders = {{ "@shop.example.com" }}
    recipients = {{ "*" }} }}
grant "own" {{ networks = {{ "127.0.0.1" }}  senders = {{ "@own.example.com" }}
    recipients = {{ "*" }}  route = "granted" }}
''' + route("inside", hops["inside"], 'recipients = { "accepted-domains" }') + \
        route("listed", hops["listed"], 'recipients = { "table:partners" }') + \
        route("shop", hops["shop"],
              'recipients = { "*" }  senders = { "@shop.example.com" }  max-size = "20KB"') + \
        route("large", hops["large"], 'recipients = { "*" }  min-size = "10KB"') + \
        route("granted", hops["granted"], "")
    daemon = Relayd(workspace, next_hop=hops["any"].port, extra=extra).start()
    cases = [  # sender, recipient, octets, route
        ("app@billing.example.com", "u@far.example", 10, "any"),
        ("app@billing.example.com", "u@example.com", 10, "inside"),
        ("app@billing.example.com", "u@example.com", 30000, "inside"),
        ("app@billing.example.com", "u@partner.example", 10, "listed"),
        ("app@billing.example.com", "boss@other.example", 10, "listed"),
        ("app@billing.example.com", "clerk@other.example", 10, "any"),
        ("app@billing.example.com", "u@far.example", 30000, "large"),
        ("app@shop.example.com", "u@far.example", 10, "shop"),
        ("app@shop.example.com", "u@example.com", 10, "shop"),
        ("app@shop.example.com", "u@far.example", 30000, "large"),
        ("app@own.example.com", "u@example.com", 10, "granted"),
    ]
    for sender, recipient, octets, _ in cases:
        send(daemon, sender, recipient, octets=octets)
    for name, hop in hops.items():
        wanted = sorted((s, [r]) for s, r, _, n in cases if n == name)
        wait_until(lambda: len(hop.messages) == len(wanted), f"{len(wanted)} at {name}")
        assert sorted((s, r) for s, r, _ in hop.messages) == wanted, (name, hop.messages)
    daemon.stop()


def splits_a_message_over_its_routes(workspace):
    inside, far = NextHop(workspace), NextHop(workspace)
    daemon = Relayd(workspace, next_hop=far.port,
                    extra=route("inside", inside, 'recipients = { "@example.com" }')).start()
    send(daemon, "app@billing.example.com", "u@example.com", "v@far.example", "w@example.com")
    wait_until(lambda: inside.messages and far.messages, "both parts")
    assert inside.messages[0][1] == ["u@example.com", "w@example.com"]
    assert far.messages[0][1] == ["v@far.example"]
    daemon.stop()


def time_of(record):
    return datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00")).timestamp()


def follows_the_schedule_until_the_message_expires(workspace):
    hop = NextHop(workspace, lambda verb, _: "451 4.3.0 later" if verb == "RCPT" else None)
    daemon = Relayd(workspace, next_hop=hop.port, retry='"200ms", "600ms"', expires="2s").start()
    send(daemon, "app@billing.example.com", "u@far.example")
    wait_until(lambda: daemon.audit("expire"), "the expiry")
    tries = [time_of(r) for r in daemon.audit("delivery") if r["to"] == "u@far.example"]
    tries += [time_of(r) for r in daemon.audit("expire")]
    gaps = [b - a for a, b in zip(tries, tries[1:])]
    # 0, 0.2, 0.8, 1.4, 2.0, each a tenth earlier at most; later is right on a busy machine
    assert len(tries) >= 3, gaps
    assert gaps[0] >= 0.18, gaps
    assert all(gap >= 0.53 for gap in gaps[1:-1]), gaps
    assert tries[-1] - tries[0] >= 1.3, gaps
    daemon.stop()


if __name__ == "__main__":
    harness.run(takes_the_route_of_grant_sender_recipient_and_size,
                splits_a_message_over_its_routes,
                follows_the_schedule_until_the_message_expires)
