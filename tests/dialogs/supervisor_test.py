#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The daemon as a whole: start, stop, reload, workers that die, configurations that are bad."""
import os
import pathlib
import signal
import subprocess
import threading

import harness
from harness import BUILD, Client, NextHop, Relayd, wait_until


def relayd(*arguments, **keywords):
    return subprocess.run([BUILD / "sbin" / "relayd", *arguments], capture_output=True,
                          text=True, timeout=harness.PATIENCE_S, **keywords)


def checks_a_configuration(workspace):
    daemon = Relayd(workspace)
    good = relayd("-t", "-c", daemon.config_path)
    assert good.returncode == 0 and "good" in good.stdout, good
    text = daemon.config_path.read_text().replace("remote-ip-ranges", "remote-ip-range")
    daemon.config_path.write_text(text)
    bad = relayd("-t", "-c", daemon.config_path)
    assert bad.returncode == 1, bad
    assert "relayd.conf:10: " in bad.stderr, bad.stderr
    assert "remote-ip-ranges" in bad.stderr, f"no cure in: {bad.stderr}"
    missing = relayd("-t", "-c", workspace.path / "absent.conf")
    assert missing.returncode == 1 and "absent.conf" in missing.stderr, missing


def says_how_it_is_used(_):
    assert "usage: relayd" in relayd("--help").stdout
    assert relayd("--no-such-option").returncode == 2
    assert relayd("surplus").returncode == 2
    assert relayd("-V").stdout.startswith("relayd ")


def runs_without_privileges(workspace):
    if os.getuid() != 0:
        raise harness.Skip("only root has privileges to drop")
    daemon = Relayd(workspace).start()
    for pid in [daemon.process.pid, *daemon.worker_pids()]:
        fields = dict(line.split(":", 1) for line in
                      pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        assert "0" not in fields["Uid"].split(), fields["Uid"]
        assert "0" not in fields["Groups"].split(), fields["Groups"]
        assert fields["NoNewPrivs"].strip() == "1"
        if pid != daemon.process.pid:
            assert int(fields["CapEff"], 16) == 0 and int(fields["CapPrm"], 16) == 0
            if not harness.SANITIZED:
                assert fields["Seccomp"].strip() == "2", "no system call filter"
        else:
            assert int(fields["CapEff"], 16) == 1 << 10, "more than CAP_NET_BIND_SERVICE"
    daemon.stop()


def refuses_to_run_as_root_by_accident(workspace):
    if os.getuid() != 0:
        raise harness.Skip("only root can")
    daemon = Relayd(workspace)
    daemon.write_config(harness.DEFAULT_CONFIG, user="")
    result = relayd("-c", daemon.config_path)
    assert result.returncode == 3 and 'no account "_relayd"' in result.stderr, result


def refuses_a_second_daemon_on_one_state_directory(workspace):
    daemon = Relayd(workspace).start()
    second = workspace.path / "second.conf"
    second.write_text(daemon.config_path.read_text().replace(
        f":{daemon.port}", f":{harness.free_port()}"))
    result = relayd("-c", second)
    assert result.returncode == 3 and "another relayd" in result.stderr, result
    with Client(daemon.port) as client:
        client.expect("EHLO a.example", "250")
    daemon.stop()


def replaces_a_worker_that_dies(workspace):
    daemon = Relayd(workspace).start()
    for _ in range(3):
        before = daemon.worker_pids()
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: len(daemon.worker_pids()) == 2 and
                   before[0] not in daemon.worker_pids(), "a new worker")
    with Client(daemon.port) as client:
        client.expect("EHLO a.example", "250")
        assert client.mail().startswith("250")
    wait_until(daemon.maildir, "the mail")
    assert "killed by signal 9" in daemon.log()
    assert "starting worker" in daemon.log()
    daemon.stop()


def stops_when_the_supervisor_is_killed(workspace):
    daemon = Relayd(workspace).start()
    pids = daemon.worker_pids()
    daemon.process.kill()
    daemon.process.wait()
    daemon.process = None
    wait_until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids),
               "the workers to end by themselves")
    daemon.start()
    with Client(daemon.port) as client:
        client.expect("EHLO a.example", "250")
    daemon.stop()


def finishes_a_message_before_it_stops(workspace):
    hop = NextHop(workspace)
    daemon = Relayd(workspace, next_hop=hop.port).start()
    idle, busy = Client(daemon.port), Client(daemon.port)
    idle.expect("EHLO idle.example", "250")
    busy.expect("EHLO busy.example", "250")
    busy.expect("MAIL FROM:<app@billing.example.com>", "250")
    busy.expect("RCPT TO:<user@partner.example>", "250")
    busy.expect("DATA", "354")
    busy.send("Subject: half\r\n\r\n")
    daemon.process.send_signal(signal.SIGTERM)
    assert idle.reply().startswith("421 4.3.2"), "an idle session is told"
    assert busy.command("done\r\n.").startswith("250"), "a message under way is taken"
    assert daemon.process.wait(harness.PATIENCE_S) == 0
    daemon.process = None
    daemon.start()
    hop.wait(1)
    assert len(hop.messages) == 1
    daemon.stop()


def reloads_and_uses_the_new_policy(workspace):
    daemon = Relayd(workspace).start()
    old = Client(daemon.port)
    old.expect("EHLO old.example", "250")
    before = daemon.status()["policy"]
    daemon.write_config(harness.DEFAULT_CONFIG.replace("@billing", "@orders"))
    assert before not in daemon.reload().stdout
    assert daemon.status()["policy"] != before
    with Client(daemon.port) as new:
        new.expect("EHLO new.example", "250")
        new.expect("MAIL FROM:<app@billing.example.com>", "250")
        new.expect("RCPT TO:<user@partner.example>", "550 5.7.367")
        new.expect("RSET", "250")
        assert new.mail(sender="app@orders.example.com").startswith("250")
    # a session that began before finishes under what was in force then
    assert old.mail().startswith("250")
    old.expect("QUIT", "221")
    hashes = [r["policy"] for r in daemon.attempts(verdict="relayed")]
    assert len(set(hashes)) == 2, hashes
    wait_until(lambda: all(w["state"] == "running" for w in daemon.status()["workers"]),
               "the old workers to end")
    assert [r for r in daemon.audit("reload")]
    daemon.stop()


def keeps_the_old_policy_when_the_new_one_is_bad(workspace):
    daemon = Relayd(workspace).start()
    good = daemon.config_path.read_text()
    daemon.config_path.write_text(good.replace("billing.example.com", "bad domain"))
    result = daemon.ctl("reload", check=False)
    assert result.returncode == 3 and "relayd.conf:20:" in result.stderr, result
    assert "goes on with the configuration it had" in result.stderr, result
    assert daemon.status()["state"] == "running", "status needs no good configuration"
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: daemon.log().count("stays in force") >= 2, "the refusal in the log")
    with Client(daemon.port) as client:
        client.expect("EHLO a.example", "250")
        assert client.mail().startswith("250")
    daemon.stop()


def reloads_under_load_without_a_broken_connection(workspace):
    hop = NextHop(workspace)
    daemon = Relayd(workspace, next_hop=hop.port).start()
    stop, trouble, sent = threading.Event(), [], [0] * 8

    def send(number):
        try:
            while not stop.is_set():
                with Client(daemon.port) as client:
                    client.expect(f"EHLO sender{number}.example", "250")
                    for _ in range(3):
                        reply = client.mail()
                        assert reply.startswith("250"), reply
                        sent[number] += 1
                    client.expect("QUIT", "221")
        except Exception as error:
            trouble.append(f"sender {number}: {error!r}")

    threads = [threading.Thread(target=send, args=(n,)) for n in range(len(sent))]
    for thread in threads:
        thread.start()
    try:
        for turn in range(10):
            if turn % 2 == 0:
                daemon.reload()
            else:
                seen = daemon.log().count("reloaded:")
                daemon.process.send_signal(signal.SIGHUP)
                wait_until(lambda: daemon.log().count("reloaded:") > seen, "the reload")
            total = sum(sent)
            wait_until(lambda: trouble or sum(sent) > total + 16, "more mail")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not trouble, trouble
    hop.wait(sum(sent))
    assert len(hop.messages) == sum(sent)
    daemon.stop()


def binds_new_ports_with_a_reload(workspace):
    daemon = Relayd(workspace).start()
    extra = harness.free_port()
    daemon.write_config(harness.DEFAULT_CONFIG.replace(
        '"127.0.0.1:{port}"', f'"127.0.0.1:{{port}}", "127.0.0.1:{extra}"'))
    daemon.reload()
    for port in (daemon.port, extra):
        with Client(port) as client:
            client.expect("EHLO a.example", "250")
    daemon.stop()


def serves_with_another_number_of_workers_after_a_reload(workspace):
    daemon = Relayd(workspace, workers=3).start()
    daemon.write_config(harness.DEFAULT_CONFIG, workers=1)
    daemon.reload()
    wait_until(lambda: len(daemon.status()["workers"]) == 1, "two workers less")
    for _ in range(30):
        with Client(daemon.port) as client:
            client.expect("EHLO a.example", "250")
    daemon.stop()


if __name__ == "__main__":
    harness.run(checks_a_configuration, says_how_it_is_used, runs_without_privileges,
                refuses_to_run_as_root_by_accident,
                refuses_a_second_daemon_on_one_state_directory, replaces_a_worker_that_dies,
                stops_when_the_supervisor_is_killed, finishes_a_message_before_it_stops,
                reloads_and_uses_the_new_policy, keeps_the_old_policy_when_the_new_one_is_bad,
                reloads_under_load_without_a_broken_connection, binds_new_ports_with_a_reload,
                serves_with_another_number_of_workers_after_a_reload)
