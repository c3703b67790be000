#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""relayctl user: logins are added, changed and listed, and their passwords stay hidden."""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import pty
import select
import subprocess
import sys
import tempfile
import time
import traceback

BUILD = pathlib.Path(os.environ.get("abs_builddir", os.getcwd()))
RELAYCTL = BUILD / "bin/relayctl"


class Site:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="relayd-user.")
        self.users = pathlib.Path(self.folder.name) / "users"

    def arguments(self, *words):
        return [str(RELAYCTL), "user", words[0], "--file", str(self.users),
                "--realm", "example.com", *words[1:]]

    def run(self, *words, given=""):
        return subprocess.run(self.arguments(*words), input=given, text=True,
                              capture_output=True, timeout=60)

    def expect(self, status, *words, given=""):
        result = self.run(*words, given=given)
        assert result.returncode == status, (words, result)
        return result

    def line(self, login):
        for line in self.users.read_text().splitlines():
            if line.split() and line.split()[0] == login:
                return line
        return None


def is_password(line, password, name="SCRAM-SHA-256", digest="sha256"):
    """What RFC 5802 makes of the password, by Python's own library."""
    for word in line.split()[1:]:
        if not word.startswith(name + "$"):
            continue
        _, parameters, keys = word.split("$")
        iterations, salt = parameters.split(":", 1)
        stored, server = keys.split(":")
        salted = hashlib.pbkdf2_hmac(digest, password.encode(), base64.b64decode(salt),
                                     int(iterations))
        client_key = hmac.new(salted, b"Client Key", digest).digest()
        server_key = hmac.new(salted, b"Server Key", digest).digest()
        return (base64.b64decode(stored) == hashlib.new(digest, client_key).digest()
                and base64.b64decode(server) == server_key)
    return None


def a_password_comes_from_standard_input(site):
    result = site.expect(0, "add", "billing", given="correct horse battery\nsecond line\n")
    assert "correct horse" not in result.stdout + result.stderr
    line = site.line("billing@example.com")
    assert is_password(line, "correct horse battery"), line
    assert is_password(line, "correct horse") is False
    assert is_password(line, "x", "SCRAM-SHA-1", "sha1") is None
    assert "correct" not in site.users.read_text()


def both_forms_of_a_name_are_one_login(site):
    site.expect(0, "add", "billing@EXAMPLE.com", given="one\n")
    assert "passwd" in site.expect(1, "add", "billing", given="two\n").stderr
    site.expect(0, "passwd", "billing", given="three\n")
    assert is_password(site.line("billing@example.com"), "three")
    site.expect(0, "add", "billing@other.example", given="four\n")
    assert is_password(site.line("billing@other.example"), "four")
    site.expect(0, "remove", "billing@example.com")
    assert site.line("billing@example.com") is None
    assert site.line("billing@other.example")


def one_is_made_up_and_printed_once(site):
    first = site.expect(0, "add", "scanner", "--generate", "--sha1", "--iterations", "5000")
    password = first.stdout.strip()
    assert len(password) == 24 and password not in first.stderr, first
    line = site.line("scanner@example.com")
    assert is_password(line, password) and "$5000:" in line
    assert is_password(line, password, "SCRAM-SHA-1", "sha1")
    second = site.expect(0, "passwd", "scanner", "--generate").stdout.strip()
    assert second != password and is_password(site.line("scanner@example.com"), second)
    failed = site.expect(1, "add", "scanner", "--generate")
    assert failed.stdout == "", "a password was printed that counts for nothing"


def a_login_is_disabled_and_enabled(site):
    site.expect(0, "add", "billing", given="correct horse\n")
    site.expect(0, "disable", "billing")
    assert site.line("billing@example.com").endswith(" disabled")
    assert "already" in site.expect(0, "disable", "billing").stderr
    site.expect(0, "passwd", "billing", given="another one\n")
    assert site.line("billing@example.com").endswith(" disabled")
    site.expect(0, "enable", "billing")
    assert is_password(site.line("billing@example.com"), "another one")
    assert not site.line("billing@example.com").endswith(" disabled")
    for command in ("disable", "enable", "remove"):
        assert "no login" in site.expect(1, command, "nobody").stderr
    site.expect(1, "passwd", "nobody", given="x\n")


def logins_are_listed(site):
    site.expect(0, "add", "billing", given="correct horse\n")
    site.expect(0, "add", "scanner", "--generate", "--sha1")
    site.expect(0, "disable", "scanner")
    table = site.expect(0, "list").stdout
    assert "billing@example.com" in table and "disabled" in table and "$" not in table
    assert json.loads(site.expect(0, "list", "--json").stdout) == [
        {"login": "billing@example.com", "enabled": True,
         "verifiers": [{"mechanism": "SCRAM-SHA-256", "iterations": 4096}]},
        {"login": "scanner@example.com", "enabled": False,
         "verifiers": [{"mechanism": "SCRAM-SHA-256", "iterations": 4096},
                       {"mechanism": "SCRAM-SHA-1", "iterations": 4096}]}]
    site.users.write_text(site.users.read_text() + "broken line here\n")
    assert "users:3: " in site.expect(0, "list").stderr
    assert "users:3: " in site.expect(3, "add", "x", given="y\n").stderr


def nonsense_is_refused(site):
    for name in ("", "@example.com", "billing@", "a b", "#x", " x", "x\ty", "x" * 400):
        site.expect(2, "add", name, given="x\n")
    for given in ("", "\n", "a\tb\n", "\x1b[2J\n", "x" * 2000 + "\n"):
        site.expect(3, "add", "billing", given=given)
    site.expect(2, "add", given="x\n")
    site.expect(2, "add", "a", "b", given="x\n")
    site.expect(2, "add", "a", "--iterations", "10", given="x\n")
    site.expect(2, "add", "a", "--password", "x")
    site.expect(2, "list", "a")
    site.expect(3, "list")
    assert not site.users.exists()


def converse(site, words, answers):
    """Run it on a terminal of its own and answer what it asks; what the terminal showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        arguments = site.arguments(*words)
        os.execv(arguments[0], arguments)
    shown, asked, until = b"", 0, time.monotonic() + 30
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            some = os.read(terminal, 4096)
        except OSError:
            break
        if not some:
            break
        shown += some
        if asked < len(answers) and shown.count(b": ") > asked:
            os.write(terminal, answers[asked])
            asked += 1
    os.close(terminal)  # hangs up what still waits for an answer
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), shown


def the_terminal_does_not_show_it(site):
    status, shown = converse(site, ("add", "billing"), [b"correct horse\n"] * 2)
    assert status == 0, shown
    assert b"correct" not in shown and b"new password" in shown, shown
    assert is_password(site.line("billing@example.com"), "correct horse")


def typing_errors_change_nothing(site):
    status, shown = converse(site, ("add", "billing"), [b"correct horse\n", b"corect horse\n"])
    assert status == 3 and b"not the same" in shown, shown
    status, shown = converse(site, ("add", "billing"), [b"half a pass\x03"])
    assert status == 3 and b"half" not in shown, shown
    assert not site.users.exists()


TESTS = [a_password_comes_from_standard_input, both_forms_of_a_name_are_one_login,
         one_is_made_up_and_printed_once, a_login_is_disabled_and_enabled, logins_are_listed,
         nonsense_is_refused, the_terminal_does_not_show_it, typing_errors_change_nothing]


def main():
    failed = 0
    for test in TESTS:
        site = Site()
        try:
            test(site)
            print(f"ok {test.__name__}")
        except Exception:  # pylint: disable=broad-except
            failed += 1
            traceback.print_exc()
            print(f"FAILED {test.__name__}")
        finally:
            site.folder.cleanup()
    print(f"{len(TESTS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
