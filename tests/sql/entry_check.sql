-- SPDX-License-Identifier: MIT
-- audit_error: the sentence with which a log would refuse an entry, and NULL where it would take it. Each
-- sentence is the one that the INSERT gives.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
CREATE VIRTUAL TABLE log USING audit_log(t TEXT NOT NULL CHECK(t IN ('a', 'b')), i INTEGER, r REAL,
    b BLOB, j JSON DEFAULT '{}', CHECK(i < r), CHECK(i > '4'));

-- test: an entry that fits gives NULL
SELECT audit_error('log', 'a', 5, 7, x'00', '[1]');
-- expect: NULL
-- test: nothing was written
SELECT audit_size('log');
-- expect: 1
-- test: NULL where the column allows it; a CHECK that gives NULL holds
SELECT audit_error('log', 'a', NULL, NULL, NULL, NULL);
-- expect: NULL
-- test: NULL where NOT NULL is declared
SELECT audit_error('log', NULL, NULL, NULL, NULL, NULL);
-- expect: log: t must not be NULL
-- test: another storage class
SELECT audit_error('log', 'a', '5', NULL, NULL, NULL);
-- expect: log: i must be INTEGER, not TEXT
-- test: text that is no UTF-8
SELECT audit_error('log', CAST(x'61ff' AS TEXT), NULL, NULL, NULL, NULL);
-- expect: log: t must be valid UTF-8; byte 1 is not
-- test: JSON with a key twice
SELECT audit_error('log', 'a', NULL, NULL, NULL, '{"k":1,"k":2}') GLOB 'log: j: *';
-- expect: 1
-- test: an entry of more than 65,535 bytes
SELECT audit_error('log', 'a', NULL, NULL, zeroblob(60000), NULL) GLOB 'log: *65535*';
-- expect: 1
-- test: a column's CHECK
SELECT audit_error('log', 'c', NULL, NULL, NULL, NULL);
-- expect: log: CHECK constraint failed: t IN ( 'a' , 'b' )
-- test: in the words of the INSERT
INSERT INTO log(t) VALUES('c');
-- error: log: CHECK constraint failed: t IN ( 'a' , 'b' )
-- test: a CHECK of the table
SELECT audit_error('log', 'a', 6, 5.5, NULL, NULL);
-- expect: log: CHECK constraint failed: i < r
-- test: in a CHECK a column compares by its type, as in the table
SELECT audit_error('log', 'a', 10, NULL, NULL, NULL), audit_error('log', 'a', 3, NULL, NULL, NULL);
-- expect: NULL|log: CHECK constraint failed: i > '4'
INSERT INTO log(t, i) VALUES('a', 10);
-- test: many rows in one statement, in a transaction with entries not yet committed
WITH v(t) AS (VALUES('a'), ('x'), ('b'), (1)) SELECT audit_error('log', t, 5, 6, NULL, NULL) FROM v;
-- expect: NULL
-- expect: log: CHECK constraint failed: t IN ( 'a' , 'b' )
-- expect: NULL
-- expect: log: t must be TEXT, not INTEGER
CREATE VIRTUAL TABLE salted USING audit_log(t TEXT, salt=on);
-- test: logs without a CHECK, by a name that changes from row to row
WITH v(l) AS (VALUES('salted'), ('rustybt_no'), ('salted'))
SELECT audit_error(l, 'a') FROM v WHERE l GLOB 's*';
-- expect: NULL
-- expect: NULL
-- test: a log that is none
SELECT audit_error('rustybt_no', 'a');
-- error: audit_error: no log is named "rustybt_no"; SELECT name FROM audit_logs lists them
-- test: too few values
SELECT audit_error('log', 'a');
-- error: audit_error: log has 5 columns of its own, and 1 values came
-- test: no argument
SELECT audit_error();
-- error: audit_error: it takes a log and a value for each of its columns
-- test: NULL as log
SELECT audit_error(NULL, 'a');
-- error: audit_error: log must be TEXT, not NULL
-- test: the log goes on as before
SELECT count(*), audit_size('log') FROM log;
-- expect: 1|2
