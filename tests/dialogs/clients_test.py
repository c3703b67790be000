#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Real clients in front, real servers behind: swaks, curl, smtplib, nodemailer, msmtp and
smtp-source deliver through relayd to smtp-sink and to Postfix; nmap finds no open relay."""
import email.message
import os
import pathlib
import re
import smtplib
import subprocess
import sys

import harness
from harness import NextHop, Relayd, require, wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))

FROM, TO = "app@billing.example.com", "user@partner.example"
REFUSED = "550 5.7.367 Sender not authorized for relay"


def run(*command, **keywords):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True,
                          timeout=harness.PATIENCE_S * 2, **keywords)


def with_relayd(workspace, **keywords):
    hop = NextHop(workspace)
    return hop, Relayd(workspace, next_hop=hop.port, **keywords).start()


def swaks(workspace):
    require("swaks")
    hop, relayd = with_relayd(workspace)
    good = run("swaks", "--server", f"127.0.0.1:{relayd.port}", "--from", FROM, "--to", TO)
    assert good.returncode == 0, good
    bad = run("swaks", "--server", f"127.0.0.1:{relayd.port}", "--from", "x@example.com",
              "--to", TO)
    assert bad.returncode != 0 and REFUSED in bad.stdout, bad
    pipelined = run("swaks", "--server", f"127.0.0.1:{relayd.port}", "--from", FROM, "--to", TO,
                    "--pipeline")
    assert pipelined.returncode == 0, pipelined
    hop.wait(2)
    relayd.stop()


def curl(workspace):
    require("curl")
    hop, relayd = with_relayd(workspace)
    message = workspace.path / "message.eml"
    message.write_text("Subject: from curl\r\n\r\nhello\r\n.leading dot\r\n")
    url = f"smtp://127.0.0.1:{relayd.port}/client.example"
    good = run("curl", "-sS", url, "--mail-from", FROM, "--mail-rcpt", TO, "-T", message)
    assert good.returncode == 0, good
    bad = run("curl", "-sS", "-v", url, "--mail-from", "x@example.com", "--mail-rcpt", TO, "-T",
              message)
    assert bad.returncode == 55 and REFUSED in bad.stderr, bad
    assert b"\r\n.leading dot\r\n" in hop.wait(1)[0][2]
    relayd.stop()


def python_smtplib(workspace):
    hop, relayd = with_relayd(workspace)
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = FROM, TO, "from smtplib"
    message.set_content("hello\n")
    with smtplib.SMTP("127.0.0.1", relayd.port, timeout=harness.PATIENCE_S) as client:
        assert client.send_message(message) == {}
        try:
            client.sendmail("x@example.com", [TO], "Subject: no\r\n\r\n")
            raise AssertionError("accepted")
        except smtplib.SMTPRecipientsRefused as refused:
            code, text = refused.recipients[TO]
            assert code == 550 and text.startswith(b"5.7.367 Sender not authorized"), text
    assert b"Subject: from smtplib" in hop.wait(1)[0][2]
    relayd.stop()


def msmtp(workspace):
    require("msmtp")
    hop, relayd = with_relayd(workspace)
    base = ["msmtp", "--file=/dev/null", "--host=127.0.0.1", f"--port={relayd.port}", "--auth=off",
            "--tls=off"]
    good = run(*base, f"--from={FROM}", TO, input="Subject: from msmtp\n\nhello\n")
    assert good.returncode == 0, good
    bad = run(*base, "--from=x@example.com", TO, input="Subject: no\n\n")
    assert bad.returncode != 0 and "5.7.367" in bad.stderr, bad
    hop.wait(1)
    relayd.stop()


NODEMAILER = """
const nodemailer = require('nodemailer');
const [port, from, to] = process.argv.slice(2);
const transport = nodemailer.createTransport({ host: '127.0.0.1', port: +port, secure: false,
                                               ignoreTLS: true, pool: true });
transport.sendMail({ from, to, subject: 'from nodemailer', text: 'hello' })
  .then((info) => { console.log(info.response); transport.close(); })
  .catch((error) => { console.log(error.response || String(error)); process.exitCode = 1;
                      transport.close(); });
"""


def nodemailer(workspace):
    require("npm")
    folder = harness.BUILD / "tests" / "node"
    if not (folder / "node_modules" / "nodemailer").exists():
        folder.mkdir(parents=True, exist_ok=True)
        done = run("npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--silent",
                   "nodemailer@6")
        if done.returncode != 0:
            raise harness.Skip("nodemailer cannot be installed here")
    hop, relayd = with_relayd(workspace)
    script = folder / "send.js"
    script.write_text(NODEMAILER)
    good = run("node", script, relayd.port, FROM, TO)
    assert good.returncode == 0 and good.stdout.startswith("250"), good
    bad = run("node", script, relayd.port, "x@example.com", TO)
    assert bad.returncode == 1 and REFUSED in bad.stdout, bad
    hop.wait(1)
    relayd.stop()


def smtp_source_to_smtp_sink(workspace):
    source, sink = require("smtp-source"), require("smtp-sink")
    port = harness.free_port()
    folder = workspace.path / "sink"
    folder.mkdir()
    folder.chmod(0o777)
    account = ["-u", "nobody"] if os.getuid() == 0 else []
    process = subprocess.Popen([sink, *account, "-d", f"{folder}/%M.", f"127.0.0.1:{port}", "100"])
    workspace.on_close(process.wait)
    workspace.on_close(process.kill)
    relayd = Relayd(workspace, next_hop=port).start()
    for extra in ([], ["-d"], ["-r", "5"]):
        done = run(source, "-s", "5", "-m", "100", "-l", "3000", "-f", FROM, "-t", TO, *extra,
                   f"127.0.0.1:{relayd.port}")
        assert done.returncode == 0, done
    # -N numbers the recipients; every message is a file in the sink
    wait_until(lambda: len(list(folder.iterdir())) >= 300, "300 messages in the sink")
    assert relayd.status()["connectors"][0]["messages"] == 300
    wait_until(lambda: relayd.status()["spool"]["messages"] == 0, "an empty spool")
    assert len(list(folder.iterdir())) == 300
    relayd.stop()


def postfix_as_next_hop(workspace):
    import bench
    hop = NextHop(workspace)
    postfix = bench.PostfixUnderTest(workspace, hop.port)
    relayd = Relayd(workspace, next_hop=postfix.port).start()
    done = run(require("smtp-source"), "-s", "5", "-m", "50", "-l", "5000", "-f", FROM, "-t", TO,
               f"127.0.0.1:{relayd.port}")
    assert done.returncode == 0, done
    bodies = [m[2] for m in hop.wait(50)]
    assert len(bodies) == 50
    assert all(b"by relay.example.com" in b and b"by postfix.example.com" in b for b in bodies)
    relayd.stop()


def nmap_finds_no_open_relay(workspace):
    require("nmap")
    extra = """
connector "outside" {
    bindings = { "127.0.0.1:%d" }
    remote-ip-ranges = { "0.0.0.0/0" }
    tarpit-interval = "0s"
    max-protocol-errors = 0
}
""" % (port := harness.free_port())
    config = harness.DEFAULT_CONFIG.replace(
        'networks   = {{ "127.0.0.1" }}', 'networks   = {{ "127.0.0.1" }}\n'
        '    connectors = {{ "apps" }}')
    hop = NextHop(workspace)
    relayd = Relayd(workspace, next_hop=hop.port, config=config, extra=extra).start()
    scan = run("nmap", "-Pn", "-n", "-p", port, "--script", "+smtp-open-relay", "--script-args",
               "smtp-open-relay.domain=billing.example.com,"
               "smtp-open-relay.from=app,smtp-open-relay.ip=127.0.0.1",
               "127.0.0.1")
    assert scan.returncode == 0 and f"{port}/tcp" in scan.stdout, scan
    said = re.search(r"smtp-open-relay: (.*)", scan.stdout)
    assert said and "doesn't seem to be an open relay" in said.group(1), scan.stdout
    assert not hop.messages
    assert len(relayd.attempts(verdict="refused")) >= 5, relayd.audit()
    assert not relayd.attempts(verdict="relayed")
    relayd.stop()


if __name__ == "__main__":
    harness.run(swaks, curl, python_smtplib, msmtp, nodemailer, smtp_source_to_smtp_sink,
                postfix_as_next_hop, nmap_finds_no_open_relay)
