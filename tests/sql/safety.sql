-- SPDX-License-Identifier: MIT
-- What a schema may call: functions with an effect are DIRECTONLY, so no view or trigger of a file
-- someone sends calls them; appending is innocuous, so triggers log also under trusted_schema=OFF.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
CREATE VIRTUAL TABLE log USING audit_log(a TEXT NOT NULL, n INTEGER, archive=cold, archive_after='1 day');
CREATE TABLE t(x);
INSERT INTO t VALUES(1);

CREATE VIEW v_decrypt AS SELECT decrypt(x) FROM t;
CREATE VIEW v_fernet_encrypt AS SELECT fernet_encrypt(x) FROM t;
CREATE VIEW v_fernet_decrypt AS SELECT fernet_decrypt(x) FROM t;
CREATE VIEW v_keygen AS SELECT keygen();
CREATE VIEW v_key_id AS SELECT key_id();
CREATE VIEW v_key_rotate AS SELECT key_rotate(x) FROM t;
CREATE VIEW v_key_ring AS SELECT * FROM key_ring;
CREATE VIEW v_root AS SELECT audit_root('log');
CREATE VIEW v_size AS SELECT audit_size('log');
CREATE VIEW v_leaf AS SELECT audit_leaf('log', 0);
CREATE VIEW v_public_key AS SELECT audit_public_key('log');
CREATE VIEW v_verify AS SELECT audit_verify('log');
CREATE VIEW v_archive AS SELECT audit_archive('log');
CREATE VIEW v_prune AS SELECT audit_prune('log');
CREATE VIEW v_discard AS SELECT audit_discard('log', 'x');
CREATE VIEW v_verify_table AS SELECT * FROM audit_verify('log');
CREATE VIEW v_logs AS SELECT * FROM audit_logs;
CREATE VIEW v_segments AS SELECT * FROM audit_segments('log');
-- test: views of a file may not decrypt
SELECT * FROM v_decrypt;
-- error: unsafe use of decrypt()
SELECT * FROM v_fernet_encrypt;
-- error: unsafe use of fernet_encrypt()
SELECT * FROM v_fernet_decrypt;
-- error: unsafe use of fernet_decrypt()
-- test: nor make or name keys
SELECT * FROM v_keygen;
-- error: unsafe use of keygen()
SELECT * FROM v_key_id;
-- error: unsafe use of key_id()
SELECT * FROM v_key_rotate;
-- error: unsafe use of key_rotate()
SELECT * FROM v_key_ring;
-- error: unsafe use of virtual table "key_ring"
-- test: nor ask logs or act on them
SELECT * FROM v_root;
-- error: unsafe use of audit_root()
SELECT * FROM v_size;
-- error: unsafe use of audit_size()
SELECT * FROM v_leaf;
-- error: unsafe use of audit_leaf()
SELECT * FROM v_public_key;
-- error: unsafe use of audit_public_key()
SELECT * FROM v_verify;
-- error: unsafe use of audit_verify()
SELECT * FROM v_archive;
-- error: unsafe use of audit_archive()
SELECT * FROM v_prune;
-- error: unsafe use of audit_prune()
SELECT * FROM v_discard;
-- error: unsafe use of audit_discard()
SELECT * FROM v_verify_table;
-- error: unsafe use of virtual table "audit_verify"
SELECT * FROM v_logs;
-- error: unsafe use of virtual table "audit_logs"
SELECT * FROM v_segments;
-- error: unsafe use of virtual table "audit_segments"
-- test: nor may triggers
CREATE TABLE victims(x);
CREATE TRIGGER steal AFTER INSERT ON victims BEGIN INSERT INTO log(a) VALUES(decrypt(NEW.x)); END;
INSERT INTO victims VALUES(encrypt('secret'));
-- error: unsafe use of decrypt()
DROP TRIGGER steal;
-- test: temporary views may
CREATE TEMP VIEW mine AS SELECT decrypt(encrypt('secret')) AS s, audit_size('log') AS n;
SELECT * FROM mine;
-- expect: secret|1
-- test: a log can be read through a view, also with trusted_schema off
CREATE VIEW shown AS SELECT a, n FROM log;
PRAGMA trusted_schema = OFF;
SELECT count(*) FROM shown;
-- expect: 0
-- test: and a trigger appends to it, also with trusted_schema off
CREATE TRIGGER recorded AFTER INSERT ON victims BEGIN INSERT INTO log(a, n) VALUES('insert', NEW.rowid); END;
CREATE TRIGGER changed AFTER UPDATE ON victims BEGIN INSERT INTO log(a, n) VALUES('update', NEW.rowid); END;
CREATE TRIGGER removed AFTER DELETE ON victims BEGIN INSERT INTO log(a, n) VALUES('delete', OLD.rowid); END;
INSERT INTO victims VALUES(1), (2), (3);
UPDATE victims SET x = x + 1 WHERE x > 1;
DELETE FROM victims WHERE x = 1;
SELECT a, n FROM shown;
-- expect: insert|1
-- expect: insert|2
-- expect: insert|3
-- expect: update|2
-- expect: update|3
-- expect: delete|1
-- test: encrypt is not innocuous: with trusted_schema off no trigger may
CREATE TRIGGER sealed BEFORE INSERT ON t BEGIN INSERT INTO log(a) VALUES(hex(encrypt(NEW.x))); END;
INSERT INTO t VALUES(2);
-- error: unsafe use of encrypt()
-- test: with trusted_schema on it may
PRAGMA trusted_schema = ON;
INSERT INTO t VALUES(2);
SELECT count(*) FROM log WHERE a GLOB '524254*';
-- expect: 1
-- test: encrypt gives every row its own ciphertext
CREATE TABLE tokens AS SELECT encrypt('same') AS token FROM json_each('[1,2,3,4]');
SELECT count(DISTINCT token), count(DISTINCT decrypt(token)) FROM tokens;
-- expect: 4|1
-- test: an index on encrypt is refused, since it is not deterministic
CREATE INDEX i ON t(encrypt(x));
-- error: non-deterministic functions prohibited in index expressions
-- test: a generated column cannot decrypt (SQLite says so in other words from release to release)
CREATE TABLE g(x, y AS (decrypt(x)));
-- error glob: *
-- test: and the log is as it was
SELECT audit_verify('log') GLOB 'log: 7 entries*';
-- expect: 1
