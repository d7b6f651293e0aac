# SPDX-License-Identifier: MIT
"""DIRECTONLY does not keep SQLite 3.40 from calling a function in a CHECK; audit_discard refuses there itself."""

import sqlite3

import rbt

rbt.plan(3)
db = rbt.connect()
db.execute("CREATE VIRTUAL TABLE l USING audit_log(a TEXT, seal=no)")
db.execute("INSERT INTO l(a) VALUES('one')")
try:  # newer versions refuse the table, 3.40 leaves it to the function
    db.execute("CREATE TABLE t(x, CHECK(audit_discard('l', 'approved') IS NOT NULL))")
    db.execute("INSERT INTO t VALUES(1)")
    refusal = "nothing"
except sqlite3.Error as error:
    refusal = str(error)
rbt.ok("audit_discard" in refusal, "a CHECK cannot discard a log")
rbt.equal(rbt.rows(db, "SELECT name FROM audit_logs"), [("l",)], "nothing was recorded")
rbt.refuses(db, "DROP TABLE l", "attempt to write a readonly database", "and DROP is still refused")
rbt.done()
