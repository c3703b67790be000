#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""relayctl without a daemon: its arguments, and what it makes of a state directory."""
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import traceback

BUILD = pathlib.Path(os.environ.get("abs_builddir", os.getcwd()))
CONFIG = """
hostname  = "relay.example.com"
state-dir = "{state}"
accepted-domain "example.com" {{ type = "authoritative" }}
connector "apps" {{
    bindings         = {{ "127.0.0.1:2525" }}
    remote-ip-ranges = {{ "10.20.0.0/16" }}
}}
grant "printers" {{
    networks   = {{ "10.20.2.0/24" }}
    senders    = {{ "scan@example.com" }}
    recipients = {{ "accepted-domains" }}
}}
grant "billing" {{
    owner      = "finance-it@example.com"
    ticket     = "CHG-1042"
    networks   = {{ "10.20.1.0/24" }}
    senders    = {{ "{senders}" }}
    recipients = {{ "*" }}
}}
route "next" {{ recipients = {{ "*" }}  next-hops = {{ "127.0.0.1:9" }} }}
"""


class Site:
    """A configuration and a filled state directory of the test's own."""

    def __init__(self, filled=True):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="relayd-ctl."))
        self.state = self.path / "state"
        self.state.mkdir()
        self.config = self.path / "relayd.conf"
        self.configure("@billing.example.com")
        if filled:
            answer = self.explain("10.20.1.7", "a@billing.example.com", "--json")
            subprocess.run([BUILD / "tests/ctl/state_fill", self.state,
                            json.loads(answer.stdout)["policy"]], check=True, timeout=60)

    def configure(self, senders):
        self.config.write_text(CONFIG.format(state=self.state, senders=senders))

    def run(self, *arguments, config=True, environment=None):
        first = ["-c", self.config] if config else []
        result = subprocess.run([BUILD / "bin/relayctl", *first, *arguments],
                                capture_output=True, timeout=60,
                                env=dict(os.environ, **(environment or {})))
        for stream in (result.stdout, result.stderr):
            bad = [byte for byte in stream if byte < 0x20 and byte != 0x0a or byte == 0x7f]
            assert not bad, f"control characters in {stream}"
        result.stdout, result.stderr = result.stdout.decode(), result.stderr.decode()
        return result

    def expect(self, status, *arguments, **options):
        result = self.run(*arguments, **options)
        assert result.returncode == status, (arguments, result)
        return result

    def explain(self, client, sender, *more):
        return self.run("explain", "--client", client, "--from", sender,
                        "--to", "user@partner.example", *more)

    def close(self):
        shutil.rmtree(self.path)


def helps_with_every_command(site):
    listing = site.expect(0, "--help").stdout
    commands = ["status", "explain", "why", "audit list", "queue list", "queue show",
                "queue retry", "queue hold", "queue release", "queue remove", "reload", "reason",
                "rights"]
    for command in commands:
        assert f"  {command} " in listing, listing
        text = site.expect(0, *command.split(), "--help").stdout
        assert text.startswith(f"usage: relayctl {command}"), text
        assert "exit:" in text, text
        assert site.expect(0, "help", *command.split()).stdout == text
    assert site.expect(0, "--version").stdout.startswith("relayctl 0.")


def refuses_wrong_arguments_with_status_2(site):
    wrong = [
        [], ["nonsense"], ["audit"], ["queue"], ["audit", "nonsense"], ["why"], ["why", "a", "b"],
        ["status", "x"], ["status", "--nonsense"], ["reload", "now"], ["audit", "list", "x"],
        ["audit", "list", "--client", "10.20.0.0/33"], ["audit", "list", "--since", "yesterday"],
        ["audit", "list", "--until", "1y"], ["audit", "list", "--limit", "0"],
        ["audit", "list", "--limit"], ["audit", "list", "--verdict", "refuse"],
        ["audit", "list", "--event", "x"], ["queue", "list", "--state", "asleep"],
        ["queue", "list", "--older-than", "1y"], ["queue", "list", "--from", "a b"],
        ["queue", "list", "no-id"], ["queue", "show"], ["queue", "show", "AAAAAAA1", "AAAAAAA2"],
        ["queue", "hold"], ["queue", "hold", "--all", "AAAAAAA1"], ["queue", "hold", "--yes"],
        ["queue", "remove", "--all"], ["queue", "release", "--state", "asleep"],
        ["queue", "list", "--json=yes"], ["explain"], ["explain", "--client", "10.20.1.7"],
        ["explain", "--client", "10.20.1", "--from", "a@b.example"],
        ["explain", "--client", "10.20.1.7", "--from", "a@"],
        ["explain", "--client", "10.20.1.7", "--from", "a@b.example", "--to", "<>"],
        ["explain", "--client", "10.20.1.7", "--from", "a@b.example", "--at", "later"],
        ["explain", "--client", "10.20.1.7", "--from", "a@b.example", "--connector", "none"],
        ["explain", "--client", "10.20.1.7", "--from", "a@b.example", "--local", "25"],
        ["explain", "--client", "10.20.1.7", "--from", "a@b.example", "--header-from", "a@b.example"],
    ]
    for arguments in wrong:
        result = site.expect(2, *arguments)
        assert result.stderr and not result.stdout, result


def tells_the_rights_of_a_client(site):
    text = site.expect(0, "rights", "--client", "10.20.1.7").stdout
    assert "connector apps (relayd.conf:5)" in text, text
    assert "Ms-Exch-SMTP-Accept-Any-Recipient                all " in text, text
    assert "grant printers allows networks 10.20.2.0/24; got 10.20.1.7" in text, text
    rights = json.loads(site.expect(0, "rights", "--client", "10.20.2.1", "--json").stdout)
    assert [r["connector"] for r in rights] == ["apps"], rights
    assert rights[0]["rights"]["Ms-Exch-SMTP-Submit"] == "all", rights
    assert rights[0]["rights"]["Ms-Exch-SMTP-Accept-Any-Recipient"] == "none", rights
    assert [g["permits"] for g in rights[0]["grants"]] == [True, False], rights
    assert "no connector takes this client" in site.expect(
        1, "rights", "--client", "192.0.2.1").stdout
    assert json.loads(site.expect(1, "rights", "--client", "192.0.2.1", "--json").stdout) == []
    anyone = json.loads(site.expect(0, "rights", "--json").stdout)
    assert [g["permits"] for g in anyone[0]["grants"]] == [True, True], anyone
    for wrong in (["--client", "10.20"], ["--connector", "none"], ["x"], ["--time", "soon"],
                  ["--open-relay", "--client", "10.20.1.7"], ["--inside", "10.0.0.0/8"],
                  ["--open-relay", "--inside", "ten"]):
        assert site.expect(2, "rights", *wrong).stderr


def proves_that_there_is_no_open_relay(site):
    text = site.expect(0, "rights", "--open-relay").stdout
    assert text.startswith("no open relay: of all addresses, only clients in 1 named network "), text
    assert "10.20.1.0/24  apps       billing" in text, text
    proof = json.loads(site.expect(1, "rights", "--open-relay", "--inside", "10.20.1.0/25",
                                   "--json").stdout)
    assert proof["open_relay"] is True, proof
    witness = proof["witness"]
    assert (witness["client"], witness["grant"]) == ("10.20.1.128", "billing"), witness
    found = site.run("explain", "--client", witness["client"], "--from", witness["from"],
                     "--to", witness["to"])
    assert found.returncode == 0, (witness, found)  # what it shows is what happens


def says_which_commands_come_later(site):
    for command in ("audit summary", "audit report", "replay", "suggest",
                    "import exchange"):
        result = site.expect(2, *command.split(), "x")
        assert "not available in this release" in result.stderr, result


def takes_the_configuration_from_the_environment(site):
    arguments = ("explain", "--client", "10.20.1.7", "--from", "a@billing.example.com")
    site.expect(0, *arguments, config=False, environment={"RELAYD_CONFIG": str(site.config)})
    site.expect(0, *arguments, "--config", str(site.config), config=False)
    result = site.expect(3, *arguments, config=False, environment={"RELAYD_CONFIG": "/none"})
    assert "/none" in result.stderr, result


def prints_errors_of_the_configuration_with_their_lines(site):
    site.config.write_text(site.config.read_text() + 'nonsense = "x"\n')
    line = len(site.config.read_text().splitlines())
    result = site.expect(3, "explain", "--client", "10.20.1.7", "--from", "a@b.example")
    assert f"relayd.conf:{line}: " in result.stderr, result.stderr
    site.expect(0, "audit", "list", "--state-dir", str(site.state))  # needs none
    site.expect(0, "why", "7F3K2M91", "--state-dir", str(site.state))


def explains_a_permit_and_a_refusal(site):
    result = site.explain("10.20.1.7", "a@billing.example.com")
    assert result.returncode == 0 and result.stdout.startswith("verdict    relayed\n"), result
    result = site.explain("10.20.1.7", "ceo@example.com")
    assert result.returncode == 1, result
    lines = result.stdout.splitlines()
    assert lines[0] == "verdict    refused: sender.not-authorized", lines
    assert lines[1] == "reply      550 5.7.367 Sender not authorized for relay", lines
    for words in ("finance-it@example.com", "CHG-1042", "@billing.example.com", "remedy"):
        assert words in result.stdout, result.stdout
    # the nearest grant comes first, though it is the second in the file
    table = lines[lines.index("") + 1:]
    assert [line.split()[0] for line in table] == ["GRANT", "billing", "printers"], table
    result = site.explain("10.20.9.9", "ceo@example.com", "--json")
    answer = json.loads(result.stdout)
    assert result.returncode == 1 and answer["reason"] == "relay.no-grant", answer
    assert answer["reply"] == "550 5.7.1 Unable to relay"
    assert [grant["permits"] for grant in answer["grants"]] == [False, False]


def explains_with_connector_binding_and_time(site):
    outside = site.explain("192.0.2.1", "a@billing.example.com", "--json")
    assert json.loads(outside.stdout)["reason"] == "connection.no-connector", outside
    for more in (["--connector", "apps"], ["--local", "127.0.0.1:2525"]):
        result = site.explain("10.20.1.7", "a@billing.example.com", *more)
        assert result.returncode == 0 and "connector  apps (relayd.conf:5)" in result.stdout, result
    elsewhere = site.explain("10.20.1.7", "a@billing.example.com", "--local", "127.0.0.1:26")
    assert elsewhere.returncode == 1, elsewhere
    text = site.config.read_text().replace("ticket ", 'expires = "2027-06-30"\n    ticket ')
    site.config.write_text(text)
    assert site.explain("10.20.1.7", "a@billing.example.com", "--at=2027-06-29").returncode == 0
    late = site.explain("10.20.1.7", "a@billing.example.com", "--at", "2027-08-01", "--json")
    assert json.loads(late.stdout)["reason"] == "relay.expired", late


def explains_the_null_sender_and_the_decision_at_mail(site):
    result = site.run("explain", "--client", "10.20.1.7", "--from", "<>")
    assert result.returncode == 1 and "sender.not-authorized" in result.stdout, result
    site.expect(0, "explain", "--client", "10.20.1.7", "--from", "<a@billing.example.com>")


def tells_why_and_what_today_would_say(site):
    story = site.expect(0, "why", "[7f3k2m91]").stdout
    for words in ("ceo@example.com", "10.20.1.7", "evil\\x1b[2J", "finance-it@example.com",
                  "550 5.7.367", "the same policy is still in force", "Remedy"):
        assert words in story, f"{words} is not in:\n{story}"
    near = story.index("Grants today  billing stops it at sender, sender.not-authorized: ")
    assert near < story.index("printers stops it at who, relay.no-grant: "), story
    site.configure("@example.com")
    story = site.expect(0, "why", "7F3K2M91").stdout
    assert "today's policy would permit it, under grant billing" in story, story
    told = json.loads(site.expect(0, "why", "7F3K2M9", "--json").stdout)
    assert [s["decision"]["id"] for s in told] == ["7F3K2M92", "7F3K2M91"], told
    assert told[0]["deliveries"][0]["reply"] == "450 4.2.1 busy", told
    assert told[1]["today"]["verdict"] == "relayed", told
    assert [(g["grant"], g["permits"]) for g in told[1]["today"]["grants"]] == [
        ("billing", True), ("printers", False)], told
    missed = site.expect(1, "why", "ZZZZZZZZ")
    assert "ZZZZZZZZ" in missed.stderr and not missed.stdout, missed


def lists_the_trail(site):
    table = site.expect(0, "audit", "list").stdout.splitlines()
    assert table[0].split() == ["TIME", "ID", "EVENT", "VERDICT", "REASON", "CLIENT", "USER",
                                "FROM", "TO", "GRANT"], table
    assert len(table) == 5, table
    starts = {line.index(line.split()[2]) for line in table}
    assert len(starts) == 1, "columns are not aligned"
    lines = site.expect(0, "audit", "list", "--json").stdout.splitlines()
    assert [json.loads(line)["event"] for line in lines] == [
        "start", "attempt", "attempt", "delivery"], lines
    newest = site.expect(0, "audit", "list", "--json", "--limit", "2").stdout.splitlines()
    assert newest == lines[-2:], newest
    for filters, ids in ((["--verdict", "refused"], ["7F3K2M91"]),
                         (["--since", "2026-11-22T19:20:04"], ["7F3K2M92", "7F3K2M92"]),
                         (["--until=2026-11-22T19:20:04", "--event=attempt"], ["7F3K2M91"]),
                         (["--client", "10.20.0.0/16", "--from", "@example.com"], ["7F3K2M91"]),
                         (["--to", "nobody@example.com"], [])):
        found = site.expect(0, "audit", "list", "--json", *filters).stdout.splitlines()
        assert [json.loads(line).get("id") for line in found] == ids, (filters, found)


def lists_the_queue(site):
    table = site.expect(0, "queue", "list").stdout.splitlines()
    assert table[0].split() == ["ID", "AGE", "SIZE", "FROM", "TO", "STATE", "TRIES", "NEXT",
                                "ROUTE", "LAST", "REPLY"], table
    rows = {line.split("partner.example")[0].split()[-1]: line for line in table[1:3]}
    assert "delivered" in rows["done@"] and "busy" not in rows["done@"], table
    assert "waiting" in rows["later@"] and "1h" in rows["later@"], table
    assert "450 4.2.1 busy\\x1b[2J" in rows["later@"], table
    assert "<>" in table[3] and "dead" in table[3] and "550 5.1.1" in table[3], table
    assert "unreadable" in table[4], table
    assert table[-1].startswith("3 messages, ") and "1 waiting, 1 delivered, 1 dead" in table[-1]
    queue = json.loads(site.expect(0, "queue", "list", "--json").stdout)
    assert [m.get("id") for m in queue] == ["AAAAAAA1", "AAAAAAA2", None], queue
    assert [(r["address"], r["state"], r["route"]) for r in queue[0]["recipients"]] == [
        ("done@partner.example", "delivered", "next"),
        ("later@partner.example", "waiting", "next")], queue
    assert queue[1]["from"] == "" and queue[2]["readable"] is False, queue
    for filters, ids in ((["--state", "dead"], ["AAAAAAA2"]), (["--route", "next"], ["AAAAAAA1"]),
                         (["--from", "<>"], ["AAAAAAA2"]), (["--to", "@partner.example"], ["AAAAAAA1"]),
                         (["--to", "@example"], []), (["--route", "next", "--state", "dead"], [])):
        found = json.loads(site.expect(0, "queue", "list", "--json", *filters).stdout)
        assert [m["id"] for m in found] == ids, (filters, found)
    for filters, ids in ((["aaaaaaa2"], ["AAAAAAA2"]), (["[AAAAAAA1]", "AAAAAAA9"], ["AAAAAAA1"]),
                         (["--to", "@*.else.example"], []), (["--to", "*"], ["AAAAAAA1", "AAAAAAA2"]),
                         (["--from", "<>", "--from", "*"], ["AAAAAAA1", "AAAAAAA2"]),
                         (["--older-than", "52w"], []), (["--state", "held"], [])):
        found = json.loads(site.expect(0, "queue", "list", "--json", *filters).stdout)
        assert [m["id"] for m in found if m["readable"]] == ids, (filters, found)


def shows_a_queued_message(site):
    shown = site.expect(0, "queue", "show", "AAAAAAA1").stdout
    assert "done@partner.example" in shown and "450 4.2.1 busy\\x1b[2J" in shown, shown
    told = json.loads(site.expect(0, "queue", "show", "AAAAAAA2", "--json").stdout)
    assert told["id"] == "AAAAAAA2" and told["recipients"][0]["state"] == "dead", told
    assert "is not in the queue" in site.expect(1, "queue", "show", "AAAAAAA9").stderr


def acts_only_through_the_daemon(site):
    for action in ("retry", "hold", "release", "remove"):
        assert "relayd is not running" in site.expect(3, "queue", action, "AAAAAAA1").stderr
    queue = json.loads(site.expect(0, "queue", "list", "--json").stdout)
    assert len(queue) == 3, queue


def says_what_a_reason_means(site):
    assert "550 5.7.367" in site.expect(0, "reason", "sender.not-authorized").stdout
    assert "sender.not-authorized" in site.expect(0, "reason", "5.7.367").stdout
    assert "relay.no-grant" in site.expect(0, "reason", "550", "5.7.1").stdout
    group = json.loads(site.expect(0, "reason", "evidence", "--json").stdout)
    assert len(group) > 3 and all(r["reason"].startswith("evidence.") for r in group), group
    everything = json.loads(site.expect(0, "reason", "--json").stdout)
    assert all(r["meaning"] and r["remedy"] for r in everything), everything
    for unknown in ("nonsense", "999", "5.7", "relay.no"):
        site.expect(1, "reason", unknown)
    assert "Exchange Online does not know this relay" in site.expect(0, "reason", "5.7.64").stdout
    assert "5.5.1\n" in site.expect(0, "reason", "503").stdout
    causes = site.expect(0, "reason", "550", "5.7.1").stdout
    for cause in ("SPF", "DKIM", "DMARC", "Block list", "Wrong login", "Missing reverse name"):
        assert f"\n{cause}\n" in causes, causes


def speaks_french_to_who_asks_for_it(site):
    french = site.expect(0, "reason", "relay.no-grant", "--lang", "fr").stdout
    assert "Aucune autorisation ne connaît ce client" in french, french
    assert "  remède     " in french and "  expéditeur " in french, french
    for name, wanted in (("LANG", True), ("LC_MESSAGES", True), ("LC_ALL", True)):
        environment = {"LANG": "C", "LC_MESSAGES": "", "LC_ALL": ""}
        environment[name] = "fr_FR.UTF-8"
        text = site.expect(0, "reason", "relay.no-grant", environment=environment).stdout
        assert (text == french) == wanted, (name, text)
    english = site.expect(0, "reason", "relay.no-grant", "--lang=en",
                          environment={"LC_ALL": "fr_FR.UTF-8"}).stdout
    assert "No grant knows this client" in english, english
    first = {"LC_ALL": "C", "LANG": "fr_FR.UTF-8"}
    assert site.expect(0, "reason", "relay.no-grant", environment=first).stdout == english
    causes = site.expect(0, "reason", "5.7.367", "--lang", "fr").stdout
    assert "Liste de blocage" in causes and "Nom inverse absent" in causes, causes
    assert "fr" in site.expect(2, "reason", "--lang", "de").stderr


@contextlib.contextmanager
def daemon_that_answers(site, answer):
    """A control socket; what it was asked is in the list."""
    asked = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(site.state / "control.sock"))
        listener.listen()

        def serve():
            peer, _ = listener.accept()
            with peer:
                asked.append(peer.makefile().readline())
                peer.sendall(answer)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        thread.join(10)
    (site.state / "control.sock").unlink()


STATUS = {
    "version": "0.1.0", "pid": 7, "started": "2026-11-21T19:20:03.123Z", "uptime_s": 7500,
    "hostname": "relay.example.com\x1b[2J", "config": "/etc/relayd/relayd.conf",
    "policy": "0011223344556677", "state": "running",
    "workers": [{"slot": 0, "pid": 8, "generation": 1, "state": "running", "restarts": 0}],
    "connectors": [{"name": "apps", "bindings": ["0.0.0.0:25", "[::]:25"], "mode": "enforce",
                    "sessions_open": 3, "sessions": 100, "connections_refused": 1, "relayed": 75000,
                    "refused": 5, "deferred": 0, "would_refuse": 0, "messages": 75000,
                    "octets": 1048576}],
    "routes": [{"name": "next", "waiting": 2, "in_flight": 1, "dead": 1, "delivered": 74000,
                "deferred": 9, "failed": 1, "connections_open": 2,
                "oldest": "2026-11-21T19:20:03.123Z"}],
    "spool": {"messages": 4, "body_octets": 4096, "memory_octets": 0, "segments": 1,
              "syncs": 1000, "commits": 75000},
    "warnings": ["grant old expired"],
}


def shows_the_status_of_the_daemon(site):
    line = json.dumps(STATUS).encode() + b"\n"
    with daemon_that_answers(site, line) as asked:
        text = site.expect(0, "status").stdout
    assert asked == ['{"command":"status"}\n'], asked
    for words in ("relayd 0.1.0 on relay.example.com\\x1b[2J: running, up 2h 5m", "0011223344556677",
                  "0.0.0.0:25, [::]:25", "10.0", "1.0 MiB", "warning: grant old expired",
                  "75.0 each"):
        assert words in text, f"{words} is not in:\n{text}"
    with daemon_that_answers(site, line):
        assert json.loads(site.expect(0, "status", "--json").stdout) == STATUS


def says_that_the_daemon_is_not_running(site):
    for command in ("status", "reload"):
        result = site.expect(3, command)
        assert "relayd is not running" in result.stderr and "relayd -c" in result.stderr, result
    for nonsense in (b"", b"\n", b"[]\n", b"{", b"x" * 100000):
        with daemon_that_answers(site, nonsense):
            assert site.expect(3, "status").stderr


def reports_what_a_reload_did(site):
    with daemon_that_answers(site, b'{"ok":true,"policy":"0011223344556677"}\n') as asked:
        assert "0011223344556677" in site.expect(0, "reload").stdout
    assert asked == ['{"command":"reload"}\n'], asked
    errors = ["relayd.conf:3: no such option", "relayd.conf:9: no such grant"]
    answer = json.dumps({"ok": False, "error": "\n".join(errors), "errors": errors}).encode()
    with daemon_that_answers(site, answer + b"\n"):
        result = site.expect(3, "reload")
    assert "relayd.conf:3: no such option\nrelayd.conf:9: no such grant\n" in result.stderr, result
    with daemon_that_answers(site, b'{"ok":false,"error":"relayd.conf:3: no"}\n'):
        assert "relayd.conf:3: no" in site.expect(3, "reload").stderr


def says_so_when_there_is_nothing_to_read(site):
    for command in (["audit", "list"], ["why", "7F3K2M91"], ["queue", "list"]):
        result = site.expect(3, *command, "--state-dir", str(site.path / "none"))
        assert "none" in result.stderr, result


TESTS = [
    tells_the_rights_of_a_client,
    speaks_french_to_who_asks_for_it,
    proves_that_there_is_no_open_relay,
    helps_with_every_command, refuses_wrong_arguments_with_status_2,
    says_which_commands_come_later, takes_the_configuration_from_the_environment,
    prints_errors_of_the_configuration_with_their_lines, explains_a_permit_and_a_refusal,
    explains_with_connector_binding_and_time, explains_the_null_sender_and_the_decision_at_mail,
    tells_why_and_what_today_would_say, lists_the_trail, lists_the_queue,
    shows_a_queued_message, acts_only_through_the_daemon,
    says_what_a_reason_means, shows_the_status_of_the_daemon,
    says_that_the_daemon_is_not_running, reports_what_a_reload_did,
    says_so_when_there_is_nothing_to_read,
]


def main():
    failed = 0
    for test in TESTS:
        site = Site()
        try:
            test(site)
            print(f"ok: {test.__name__}")
        except Exception:
            failed += 1
            print(f"FAILED: {test.__name__}")
            traceback.print_exc(file=sys.stdout)
        finally:
            site.close()
    print(f"{len(TESTS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
