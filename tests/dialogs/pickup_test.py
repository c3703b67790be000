#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The pickup directory: files that programs drop are judged, sent, and never lost."""
import os
import pathlib
import pwd
import signal
import sys

from harness import NextHop, Relayd, run, wait_until

CONFIG = """
hostname  = "relay.example.com"
state-dir = "{state}"
workers   = {workers}
{user}
connector "apps" {{
    bindings         = {{ "127.0.0.1:{port}" }}
    remote-ip-ranges = {{ "127.0.0.0/8" }}
}}
pickup {{ directory = "{state}/pickup" max-message-size = "1MB" }}
grant "files" {{
    networks   = {{ "pickup" }}
    senders    = {{ "@billing.example.com" }}
    recipients = {{ "*" }}
}}
{extra}
route "next" {{
    recipients = {{ "*" }}
    {route}
}}
queue {{ retry = {{ {retry} }} expires = "{expires}" }}
"""


def start(workspace, **options):
    next_hop = NextHop(workspace)
    relayd = Relayd(workspace, next_hop=next_hop.port, config=CONFIG, **options).start()
    return relayd, next_hop, relayd.state / "pickup"


def drop(folder, name, text):
    """As IIS and Exchange want it: written elsewhere, then renamed."""
    path = folder / (name + ".part")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    path.rename(folder / name)


def takes_a_file_with_its_envelope(workspace):
    relayd, next_hop, folder = start(workspace)
    drop(folder, "a.eml", "X-Sender: <app@billing.example.com>\nX-Receiver: <b@partner.example>\n"
         "X-Receiver: c@partner.example\nFrom: app@billing.example.com\nTo: somebody@else.example\n"
         "Subject: with an envelope\n\n.dots\nhello\n")
    (sender, recipients, body), = next_hop.wait(1)
    assert sender == "app@billing.example.com"
    assert recipients == ["b@partner.example", "c@partner.example"]
    assert b"X-Receiver" not in body and b"X-Sender" not in body
    assert body.endswith(b"\r\n\r\n.dots\r\nhello\r\n"), body
    assert b"Message-ID: <pickup." in body and b"\r\nDate: " in body
    assert b"[::]" not in body and b"127.0.0.1" not in body, "no client is named"
    wait_until(lambda: not list(folder.iterdir()), "the file to be gone")
    attempts = relayd.attempts(verdict="relayed")
    assert [a["grant"] for a in attempts] == ["files", "files"]
    assert attempts[0]["connector"] == "pickup"
    relayd.stop()


def takes_a_file_with_nothing_but_a_header(workspace):
    _, next_hop, folder = start(workspace)
    drop(folder, "UPPER.EML", "From: App <app@billing.example.com>\r\nTo: b@partner.example\r\n"
         "Cc: \"D, E\" <d@partner.example>\r\nBcc: secret@partner.example\r\n\r\nhello")
    (sender, recipients, body), = next_hop.wait(1)
    assert recipients == ["b@partner.example", "d@partner.example", "secret@partner.example"]
    assert b"secret" not in body


def takes_what_was_there_before_it_started(workspace):
    next_hop = NextHop(workspace)
    relayd = Relayd(workspace, next_hop=next_hop.port, config=CONFIG)
    folder = relayd.state / "pickup"
    folder.mkdir()
    if os.getuid() == 0:
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    for i in range(20):
        drop(folder, f"{i}.eml", f"From: app@billing.example.com\nTo: r{i}@partner.example\n\nhi\n")
        os.utime(folder / f"{i}.eml", (1, 1))
    relayd.start()
    assert len({tuple(r) for _, r, _ in next_hop.wait(20)}) == 20


def sets_aside_what_is_refused(workspace):
    relayd, next_hop, folder = start(workspace)
    drop(folder, "forged.eml", "From: ceo@elsewhere.example\nTo: b@partner.example\n\nhi\n")
    drop(folder, "nobody.eml", "From: app@billing.example.com\n\nhi\n")
    drop(folder, "large.eml", "From: app@billing.example.com\nTo: b@partner.example\n\n" + "x" * 1100000)
    drop(folder, "empty.eml", "")
    wait_until(lambda: len(list(folder.glob("*.bad.txt"))) == 4, "four files set aside")
    assert "550 5.7.367 Sender not authorized for relay [" in (folder / "forged.bad.txt").read_text()
    assert "there is no recipient" in (folder / "nobody.bad.txt").read_text()
    assert "too large" in (folder / "large.bad.txt").read_text()
    assert "there is no sender" in (folder / "empty.bad.txt").read_text()
    assert (folder / "forged.bad").read_text().startswith("From: ceo@")
    refused, = relayd.attempts(verdict="refused")
    assert refused["reason"] == "sender.not-authorized" and refused["connector"] == "pickup"
    assert not next_hop.messages
    relayd.stop()


def leaves_other_files_alone(workspace):
    _, next_hop, folder = start(workspace)
    (folder / "notes.txt").write_text("no mail")
    (folder / ".hidden.eml").write_text("From: app@billing.example.com\nTo: b@partner.example\n\nhi\n")
    os.mkfifo(folder / "pipe.eml")
    (folder / "link.eml").symlink_to("/etc/passwd")
    drop(folder, "a.eml", "From: app@billing.example.com\nTo: b@partner.example\n\nhi\n")
    assert next_hop.wait(1)[0][1] == ["b@partner.example"]
    assert (folder / "notes.txt").exists() and (folder / ".hidden.eml").exists()
    assert (folder / "link.eml").is_symlink()


def clients_of_the_network_are_not_the_pickup_client(workspace):
    from harness import Client
    relayd, _, _ = start(workspace)
    with Client(relayd.port) as client:
        client.expect("EHLO app", "250")
        client.expect("MAIL FROM:<app@billing.example.com>", "250")
        client.expect("RCPT TO:<b@partner.example>", "550 5.7.1 Unable to relay")
    result = relayd.ctl("explain", "--client", "pickup", "--connector", "pickup", "--from",
                        "app@billing.example.com", "--to", "b@partner.example", check=False)
    assert result.returncode == 0, result
    relayd.stop()


def goes_on_after_reload_and_after_being_killed(workspace):
    relayd, next_hop, folder = start(workspace)
    relayd.reload()
    drop(folder, "a.eml", "From: app@billing.example.com\nTo: a@partner.example\n\nhi\n")
    next_hop.wait(1)

    parent = relayd.process.pid

    def pickup_pids():
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                status = (entry / "status").read_text()
                fds = [os.readlink(f) for f in (entry / "fd").iterdir()]
            except OSError:
                continue
            if f"PPid:\t{parent}\n" in status and str(folder) in fds:
                found.append(int(entry.name))
        return found

    pid, = wait_until(pickup_pids, "the pickup process")
    os.kill(pid, signal.SIGKILL)
    drop(folder, "b.eml", "From: app@billing.example.com\nTo: b@partner.example\n\nhi\n")
    assert [r for _, r, _ in next_hop.wait(2)] == [["a@partner.example"], ["b@partner.example"]]
    relayd.stop()
    assert not pickup_pids()


def a_configuration_says_what_is_wrong(workspace):
    relayd = Relayd(workspace, next_hop=9, config=CONFIG)
    for before, after, words in (
            ('pickup {{ directory = "{state}/pickup" max-message-size = "1MB" }}', "",
             "is the client of the pickup directory, and there is none"),
            ('directory = "{state}/pickup"', "", "pickup has no directory"),
            ('connector "apps"', 'connector "pickup"', 'a connector named "pickup"'),
            ('remote-ip-ranges = {{ "127.0.0.0/8" }}', 'remote-ip-ranges = {{ "pickup" }}',
             "is not an address, prefix or range")):
        assert before in CONFIG
        relayd.write_config(CONFIG.replace(before, after))
        result = relayd.ctl("explain", "--client", "127.0.0.1", "--from", "a@b.example", "--to",
                            "c@d.example", check=False)
        assert words in result.stderr, (words, result)


if __name__ == "__main__":
    sys.exit(run(takes_a_file_with_its_envelope, takes_a_file_with_nothing_but_a_header,
                 takes_what_was_there_before_it_started, sets_aside_what_is_refused,
                 leaves_other_files_alone, clients_of_the_network_are_not_the_pickup_client,
                 goes_on_after_reload_and_after_being_killed, a_configuration_says_what_is_wrong))
