#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Logins out of a database, by Cyrus SASL's plug-in for SQL; and what is said without plug-ins."""
import contextlib
import os
import shutil
import sqlite3

import auth_test
import harness
from auth_test import BAD, GOOD, REALM, AuthRelayd, hello, plain, scram_login
from harness import wait_until

SELECT = "select password from users where name = '%u' and realm = '%r'"


def sasl(database, select=SELECT, more=""):
    return (f'method = "auxprop" plugin = "sql" options = {{ "sql_engine: sqlite3", '
            f'"sql_database: {database}", "sql_select: {select}" }} {more}')


def database_make(workspace):
    folder = workspace.path / "database"
    folder.mkdir()
    path = folder / "users.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("create table users (name text, realm text, password text)")
        database.executemany("insert into users values (?, ?, ?)",
                             [("billing", REALM, GOOD), ("billing", "other.example", BAD)])
        database.commit()
    if os.getuid() == 0:
        for name in (folder, path):
            shutil.chown(name, "nobody")
    return path


def started(workspace, mechanisms, **keywords):
    path = database_make(workspace)
    relayd = AuthRelayd(workspace, sasl=sasl(path, **keywords), mechanisms=mechanisms,
                        connector="max-logon-failures = unlimited").start()
    log = relayd.log()
    if "plug-in sql" in log:
        raise harness.Skip("Cyrus SASL's plug-in for SQL is not installed")
    assert {h["pool"] for h in relayd.helpers()} == {"slow"}, relayd.helpers()
    return relayd, path


def a_database_knows_logins(workspace):
    sources = (f"127.0.1.{n}" for n in range(1, 255))  # so that no delay grows
    relayd, path = started(workspace, '"CRAM-MD5", "PLAIN", "LOGIN"')
    for user, password, wanted in (
            ("billing", GOOD, "235 2.7.0"), ("billing@example.com", GOOD, "235 2.7.0"),
            ("billing", BAD, "535 5.7.8"),
            ("billing@other.example", GOOD, "535 5.7.8"), ("nobody", GOOD, "535 5.7.8"),
            ("%u", GOOD, "535 5.7.8")):
        with hello(relayd, source=next(sources)) as client:
            reply = client.command(plain(user, password))
            assert reply.startswith(wanted), (user, reply)
    for by in (auth_test.by_smtplib, auth_test.by_swaks):
        assert by(relayd, "CRAM-MD5", BAD).returncode != 0
        done = by(relayd, "CRAM-MD5", GOOD)
        assert done.returncode == 0, vars(done)
    wait_until(lambda: len(relayd.maildir()) == 2, "the mail")
    # no name gets into the statement: Cyrus writes it there as it comes
    for name in ("x' or 1=1 --", f"x' union select '{BAD}' --", f"x' or 1=1 --@{REALM}",
                 "x'; delete from users --", "x\\' or 1=1 --", 'x" or 1=1 --', "o'neil"):
        for password in (GOOD, BAD):
            with hello(relayd, source=next(sources)) as client:
                client.expect(plain(name, password), "535 5.7.8")
    with hello(relayd) as client:
        client.expect(plain("billing", GOOD), "235 2.7.0")
    # a change in the database counts at once
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("update users set password = ? where name = 'billing'", (BAD,))
        database.commit()
    with hello(relayd) as client:
        client.expect(plain("billing", GOOD), "535 5.7.8")
        client.expect(plain("billing", BAD), "235 2.7.0")
    relayd.stop()


def scram_works_from_clear_text(workspace):
    relayd, _ = started(workspace, '"SCRAM-SHA-256"', more="scram-from-clear = true")
    for user, password, wanted in (("billing", GOOD, "235"), ("billing", BAD, "535"),
                                   ("nobody", GOOD, "535")):
        with hello(relayd) as client:
            reply, _ = scram_login(client, user, password)
            assert reply.startswith(wanted), (user, reply)
    relayd.stop()


def a_plug_in_that_is_not_there_is_named(workspace):
    empty = workspace.path / "no-plug-ins"
    empty.mkdir()
    for plugin in ("sql", "ldapdb"):
        folder = harness.Workspace()
        workspace.on_close(folder.close)
        relayd = AuthRelayd(folder, sasl=f'method = "auxprop" plugin = "{plugin}"',
                            mechanisms='"PLAIN"', environment={"SASL_PATH": str(empty)}).start()
        wait_until(lambda: f"plug-in {plugin} is not installed" in relayd.log(), "the log to say so")
        with hello(relayd) as client:  # trouble of ours: later, not never
            client.expect(plain("billing", GOOD), "454 4.7.0")
        relayd.stop()


if __name__ == "__main__":
    harness.run(a_database_knows_logins, scram_works_from_clear_text,
                a_plug_in_that_is_not_there_is_named)
