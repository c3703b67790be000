#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The same policy in relayd and in Postfix, and 10,000 random attempts that both decide.

An attempt is (client, login, sender, recipient): client and login by XCLIENT, then MAIL, RCPT and
RSET, pipelined. Where the two disagree, a rule below must say that they do for such an attempt and
in which direction; each rule has its section in docs/postfix-differences.md. Anything else fails.

SEED=n runs the same policy and attempts again; TUPLES=n runs another number of them.
"""
import collections
import ipaddress
import os
import pathlib
import random
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))
import bench
import harness
from harness import Client, Relayd

TUPLES = int(os.environ.get("TUPLES", "10000"))
TIME_MAX_S = 40  # then it stops with what was compared so far

# ---- the world ----

NETWORKS = ("10.20.1.0/24", "10.20.2.5/32", "10.20.2.64/27", "172.16.0.0/12", "192.0.2.128/25",
            "2001:db8:1::/48", "2001:db8:2::7/128")
RELAY_DOMAINS = ("partner.example", "sub.reseller.example", "xn--bcher-kva.example")
LOGINS = ("alice", "bob", "carol", "mallory")
OWNED = ("alice@people.example.com", "bob@people.example.com", "invoices@billing.example.com",
         "@shop.example.com", "@people.example.com", "noreply@example.com")

CLIENTS = ("10.20.1.0", "10.20.1.7", "10.20.1.255", "10.20.0.255", "10.20.2.0", "10.20.2.4",
           "10.20.2.5", "10.20.2.6", "10.20.2.63", "10.20.2.64", "10.20.2.95", "10.20.2.96",
           "172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0", "192.0.2.127",
           "192.0.2.128", "192.0.2.255", "198.51.100.1", "255.255.255.255", "1.0.0.0",
           "2001:db8:1::1", "2001:db8:1:ffff:ffff:ffff:ffff:ffff", "2001:db8:2::", "2001:db8:2::7",
           "2001:db8:2::8", "2001:db8:0:ffff::1", "::1", "::ffff:10.20.1.7", "::ffff:192.0.2.1")

LOCALS = ("alice", "bob", "carol", "invoices", "noreply", "app", "postmaster", "Alice", "INVOICES",
          "alice+tag", "bob+", "+tag", "invoices+a+b", "a.b", "o'hara", "x_y", "a=b", "user%there.example",
          "there.example!user", '"quoted"', '"quoted local"', '"a@there.example"', '"alice"',
          "x" * 64)
DOMAINS = ("people.example.com", "billing.example.com", "shop.example.com", "a.shop.example.com",
           "example.com", "example.org", "PEOPLE.Example.COM", "partner.example", "Partner.EXAMPLE",
           "a.partner.example", "a.b.partner.example", "notpartner.example", "partner.example.org",
           "reseller.example", "sub.reseller.example", "x.sub.reseller.example",
           "xn--bcher-kva.example", "elsewhere.example", "partner.example.", "[192.0.2.1]",
           "[IPv6:2001:db8::1]", "example")
SOURCE_ROUTE = "@there.example,@partner.example:"


class Policy:
    """
    What both sides are told; a part of the world. The check of senders is Postfix's
    reject_known_sender_login_mismatch (who owns an address needs to log in to use it), which
    relayd can say exactly; or reject_sender_login_mismatch (who logged in may not use any other).
    """

    def __init__(self, rng, check):
        self.check = check
        self.networks = sorted(rng.sample(NETWORKS, 5))
        self.relay_domains = sorted({"partner.example", *rng.sample(RELAY_DOMAINS, 2)})
        self.owners = {key: sorted(rng.sample(LOGINS[:3], rng.choice((1, 1, 2)))) for key in OWNED}

    def postfix(self):
        networks = " ".join(f"[{n.split('/')[0]}]/{n.split('/')[1]}" if ":" in n else n
                            for n in self.networks)
        return f"""
mynetworks = {networks}
relay_domains = {" ".join(self.relay_domains)}
recipient_delimiter = +
smtpd_sender_login_maps = texthash:{{top}}/logins
smtpd_sender_restrictions = {self.check}
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions =
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {{top}}/sasl
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000000
smtpd_hard_error_limit = 1000000
smtpd_junk_command_limit = 1000000
smtpd_timeout = 3600
in_flow_delay = 0
"""

    def login_map(self):
        return "".join(f"{key} {','.join(owners)}\n" for key, owners in self.owners.items())

    @staticmethod
    def patterns(keys):
        """Postfix's keys as relayd's patterns: with recipient_delimiter = +, a tag is ignored."""
        each = [p for k in keys for p in ([k] if k[0] in "@<" else [k, k.replace("@", "+*@")])]
        return "{ " + ", ".join(f'"{p}"' for p in each) + " }"

    def owned_by(self, login):
        """The keys that decide for a login: an address goes before its domain."""
        mine = [k for k, owners in self.owners.items() if login in owners]
        foreign = [k for k, owners in self.owners.items()
                   if login not in owners and not k.startswith("@")]
        return mine, foreign

    def relayd(self):
        owned = self.patterns(self.owners)
        domains = ", ".join(f'"@{d}", "@*.{d}"' for d in self.relay_domains)
        networks = ", ".join(f'"{n}"' for n in self.networks)
        text = f"""
grant "mynetworks" {{{{
    networks       = {{{{ {networks} }}}}
    senders        = {{{{ "*" }}}}
    except-senders = {{{owned}}}
    recipients     = {{{{ "*" }}}}
}}}}
grant "relay_domains" {{{{
    senders        = {{{{ "*" }}}}
    except-senders = {{{owned}}}
    recipients     = {{{{ {domains} }}}}
}}}}
"""
        for login in LOGINS:
            mine, foreign = self.owned_by(login)
            text += (f'grant "{login}" {{{{ users = {{{{ "{login}" }}}}\n'
                     f"    senders = {{{self.patterns(['<>'] + mine)}}}\n" +
                     (f"    except-senders = {{{self.patterns(foreign)}}}\n" if foreign else "") +
                     '    recipients = {{ "*" }} }}\n')
        if self.check == "reject_known_sender_login_mismatch":
            logins = ", ".join(f'"{login}"' for login in LOGINS)
            text += (f'grant "any-login" {{{{ users = {{{{ {logins} }}}}  senders = {{{{ "*" }}}}\n'
                     f'    except-senders = {{{owned}}}  recipients = {{{{ "*" }}}} }}}}\n')
        return text


RELAYD = """
hostname  = "relay.example.com"
state-dir = "{state}"
workers   = 1
{user}
reply-style = "standard"
connector "all" {{
    bindings            = {{ "127.0.0.1:{port}" }}
    xclient             = {{ "127.0.0.1" }}
    tarpit-interval     = "0s"
    max-protocol-errors = 0
    connection-timeout  = "2h"
    inactivity-timeout  = "1h"
    max-connections-per-source = 0
}}
route "next" {{ recipients = {{ "*" }} {route} }}
queue {{ retry = {{ {retry} }} expires = "{expires}" }}
"""


class Postfix(bench.PostfixUnderTest):
    def __init__(self, workspace, policy):
        top = workspace.path / "postfix"
        (top / "sasl").mkdir(parents=True)
        (top / "sasl" / "smtpd.conf").write_text("pwcheck_method: auxprop\nmech_list: PLAIN LOGIN\n")
        (top / "logins").write_text(policy.login_map())
        main = "\n".join(line for line in bench.PostfixUnderTest.MAIN.splitlines()
                         if not re.match(r"mynetworks|smtpd_relay_restrictions|inet_protocols", line))
        self.MAIN = main + "\ninet_protocols = all\n" + policy.postfix()
        super().__init__(workspace, sink_port=harness.free_port())


# ---- attempts ----

Attempt = collections.namedtuple("Attempt", "client login sender recipient")


def address(rng, tricky):
    local = rng.choice(LOCALS if tricky else LOCALS[:11])
    domain = rng.choice(DOMAINS if tricky else DOMAINS[:18])
    if rng.random() < 0.02:
        return local.replace('"', "")  # without a domain
    route = SOURCE_ROUTE if tricky and rng.random() < 0.1 else ""
    return f"{route}{local}@{domain}"


def attempts_of(rng, count):
    out = []
    for _ in range(count):
        sender = "" if rng.random() < 0.05 else address(rng, rng.random() < 0.3)
        out.append(Attempt(rng.choice(CLIENTS), rng.choice((None, None) + LOGINS), sender,
                           address(rng, rng.random() < 0.3)))
    return out


def decide(client, attempts):
    """True (accepted), False (refused for ever), or the text of anything else; for each."""
    client.send("".join(f"MAIL FROM:<{a.sender}>\r\nRCPT TO:<{a.recipient}>\r\nRSET\r\n"
                        for a in attempts))
    for a in attempts:
        mail, rcpt, rset = client.reply(), client.reply(), client.reply()
        assert rset.startswith("250"), (a, rset)
        last = rcpt if mail.startswith("250") else mail
        yield {"2": True, "5": False}.get(last[0], last), last


def become(client, who, login):
    mapped = f"IPV6:{who}" if ":" in who else who
    reply = client.command(f"XCLIENT ADDR={mapped} NAME=[UNAVAILABLE] "
                           f"LOGIN={login or '[UNAVAILABLE]'}")
    assert reply.startswith("220"), reply
    client.expect("EHLO client.example", "250")


# ---- what is known to differ: docs/postfix-differences.md ----

def parts(text):
    local, at, domain = text.rpartition("@")
    return (local, domain.lower()) if at else (text, None)


def key_of(policy, sender):
    """The key of smtpd_sender_login_maps that Postfix finds for a sender, or None."""
    local, domain = parts(sender.rpartition(":")[2] if sender.startswith("@") else sender)
    local = local.strip('"').lower()
    for name in (local, local.partition("+")[0] if local.find("+") > 0 else local):
        if f"{name}@{domain}" in policy.owners:
            return f"{name}@{domain}"
    return f"@{domain}" if f"@{domain}" in policy.owners else None


def in_networks(policy, client):
    ip = ipaddress.ip_address(client)
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return any(ip in ipaddress.ip_network(n) for n in policy.networks)


def in_relay_domains(policy, recipient):
    domain = parts(recipient)[1] or ""
    return any(domain == d or domain.endswith("." + d) for d in policy.relay_domains)


RULES = {}


def rule(postfix, relayd):
    """A kind of attempts on which the two answer like this."""
    def keep(predicate):
        name = predicate.__name__.replace("_", "-")
        RULES[name] = (predicate, (postfix, relayd))
        return predicate
    return keep


@rule(postfix=False, relayd=True)
def login_adds_rights(policy, a):
    return (policy.check == "reject_sender_login_mismatch" and bool(a.login) and a.sender != "" and
            key_of(policy, a.sender) is None and
            (in_networks(policy, a.client) or in_relay_domains(policy, a.recipient)))


@rule(postfix=True, relayd=False)
def address_without_domain(policy, a):
    return (a.sender != "" and "@" not in a.sender) or "@" not in a.recipient


@rule(postfix=True, relayd=False)
def trailing_dot(policy, a):
    return a.sender.endswith(".") or a.recipient.endswith(".")


@rule(postfix=True, relayd=False)
def source_route(policy, a):
    return a.sender.startswith("@") or a.recipient.startswith("@")


def explain(policy, attempt, postfix, relayd):
    return [name for name, (predicate, answers) in RULES.items()
            if answers == (postfix, relayd) and predicate(policy, attempt)]


# ---- the test ----

def compare(workspace, check, count):
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    policy = Policy(rng, check)
    attempts = attempts_of(rng, count)
    groups = collections.defaultdict(list)
    for a in attempts:
        groups[a.client, a.login].append(a)
    postfix = Postfix(workspace, policy)
    relayd = Relayd(workspace, config=RELAYD + policy.relayd()).start()
    began = time.monotonic()
    compared = accepted = 0
    explained, unexplained = collections.Counter(), []
    for (who, login), group in groups.items():
        if time.monotonic() - began > TIME_MAX_S:
            break
        # Postfix takes one XCLIENT in a connection: then the client is no longer authorized
        with Client(postfix.port) as p, Client(relayd.port) as r:
            for side in (p, r):
                assert "XCLIENT" in side.expect("EHLO test", "250")
                become(side, who, login)
            for a, (one, one_text), (other, other_text) in zip(group, decide(p, group),
                                                               decide(r, group)):
                compared += 1
                accepted += one is True and other is True
                if one is other and not isinstance(one, str):
                    continue
                names = explain(policy, a, one, other)
                explained.update(names[:1])
                if not names:
                    unexplained.append(f"{a}\n    postfix: {one_text}\n    relayd:  {other_text}")
    print(f"{compared} attempts in {time.monotonic() - began:.1f} s: {accepted} accepted by both, "
          f"{compared - accepted - sum(explained.values()) - len(unexplained)} refused by both, "
          f"{sum(explained.values())} differ as documented: {dict(explained)}")
    assert not unexplained, (f"{len(unexplained)} unexplained (seed {seed}):\n" +
                             "\n".join(unexplained[:40]))
    assert compared >= min(count, 1000), f"only {compared} attempts in {TIME_MAX_S} s"
    assert compared * 0.1 < accepted < compared * 0.9, "the attempts do not exercise the policy"
    relayd.stop()


def the_same_policy_decides_alike(workspace):
    compare(workspace, "reject_known_sender_login_mismatch", TUPLES)


def a_login_restricts_in_postfix_and_adds_in_relayd(workspace):
    compare(workspace, "reject_sender_login_mismatch", TUPLES // 5)


def every_rule_is_documented(workspace):
    text = (harness.TOP / "docs" / "postfix-differences.md").read_text()
    documented = set(re.findall(r"^### `([a-z0-9-]+)`", text, re.M))
    assert documented == set(RULES), documented ^ set(RULES)


if __name__ == "__main__":
    harness.run(the_same_policy_decides_alike,
                a_login_restricts_in_postfix_and_adds_in_relayd, every_rule_is_documented)
