#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""contrib/quickstart, tried as a new user would: start it, do what it prints, ask why."""
import os
import re
import signal
import subprocess

import harness


def does_what_it_prints(workspace):
    script = harness.TOP / "contrib" / "quickstart"
    if not (harness.TOP / ".git").exists():
        raise harness.Skip("not a checkout")
    harness.require("swaks")
    port = harness.free_port()
    output = workspace.path / "output"
    with open(output, "wb") as out:
        process = subprocess.Popen(
            [script, "--port", str(port), "--build", workspace.path / "build"],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            start_new_session=True, env=dict(os.environ, TMPDIR=str(workspace.path)))

    def ready():
        assert process.poll() is None, output.read_text()
        return "Ctrl-C ends relayd" in output.read_text()
    try:
        harness.wait_until(ready, "the quickstart to be ready", 300)
        commands = re.findall(r"^ *\$ (.*)$", output.read_text(), re.M)
        trials, why = commands[:4], commands[4]
        wanted = (r"250 2\.0\.0 Ok: queued as (\w+)", r"550 5\.7\.1 Unable to relay \[(\w+)\]",
                  r"550 5\.7\.367 Sender not authorized for relay \[(\w+)\]",
                  r"TLS started [\s\S]*235 2\.7\.0 [\s\S]*250 2\.0\.0 Ok: queued as (\w+)")
        stories = ("relayed", "5.7.1", "5.7.367", "billing@example.com")
        for command, pattern, story in zip(trials, wanted, stories):
            said = subprocess.run(command, shell=True, capture_output=True, text=True,
                                  timeout=harness.PATIENCE_S).stdout
            found = re.search(pattern, said)
            assert found, f"{command}:\n{said}"
            told = subprocess.run(why.replace("why ID", f"why {found.group(1)}"), shell=True,
                                  capture_output=True, text=True, timeout=harness.PATIENCE_S)
            assert told.returncode == 0 and story in told.stdout, told
        folder = re.search(r"(\S+)/new:", output.read_text()).group(1)
        harness.wait_until(lambda: os.listdir(folder + "/new"), "the mail in the Maildir")
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(harness.PATIENCE_S)
    assert not os.path.exists(folder), "the throw-away files are still there"


if __name__ == "__main__":
    harness.run(does_what_it_prints)
