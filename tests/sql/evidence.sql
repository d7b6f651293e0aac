-- SPDX-License-Identifier: MIT
-- audit_checkpoint, audit_proof, audit_consistency, proof_verify: results, and every error that SQL can
-- reach. The signatures themselves are judged by evidence_test.py and go_notes_test.py.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- env: RUSTYBT_SIGNING_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
CREATE VIRTUAL TABLE log USING audit_log(who TEXT NOT NULL, n INTEGER, origin='example.com/audit');
INSERT INTO log(who, n) VALUES('ann', 1), ('bob', 2), ('cy', 3);

-- test: before the first checkpoint there is no proof
SELECT audit_proof('log', 1);
-- error: audit_proof: log has no checkpoint yet; SELECT audit_checkpoint('log') makes one
-- test: nor consistency
SELECT audit_consistency('log', 0);
-- error: audit_consistency: log has no checkpoint yet; SELECT audit_checkpoint('log') makes one
-- test: audit_logs has no size of one
SELECT name, last_checkpoint_size FROM audit_logs;
-- expect: log|NULL

-- test: a checkpoint is origin, size, root and a signature
SELECT audit_checkpoint('log');
-- expect: example.com/audit
-- expect: 4
-- glob: ???????????????????????????????????????????=
-- expect:
-- glob: — example.com/audit Kbh7/*
-- expect:
-- test: its root is audit_root's
SELECT hex(substr(audit_consistency('log', 0), 8)) GLOB hex('example.com/audit' || char(10) || '4' || char(10)) || '*';
-- expect: 1
-- test: it is found by any case of the log's name, with and without its schema
SELECT audit_checkpoint('LOG') = audit_checkpoint('main.log');
-- expect: 1
-- test: a stored checkpoint of every log is counted by audit_verify
SELECT audit_verify('log') GLOB 'log: 3 entries, root *, sealed under key fe6b3e115b099239, 1 stored checkpoint';
-- expect: 1
-- test: and listed by audit_logs
SELECT name, last_checkpoint_size FROM audit_logs;
-- expect: log|4
-- test: audit_checkpoint of NULL
SELECT audit_checkpoint(NULL);
-- error: audit_checkpoint: log must be TEXT, not NULL
-- test: audit_checkpoint of all logs
SELECT audit_checkpoint('*');
-- error: audit_checkpoint: it gives one note, so it takes one log; SELECT name FROM audit_logs lists them
-- test: audit_checkpoint of no log
SELECT audit_checkpoint('nothing');
-- error: audit_checkpoint: no log is named "nothing"; SELECT name FROM audit_logs lists them
-- test: a previous one that is NULL, as readfile() of a missing file is
SELECT audit_checkpoint('log', NULL);
-- error: audit_checkpoint: previous must be TEXT or BLOB, not NULL
-- test: a previous one that is a number
SELECT audit_checkpoint('log', 4);
-- error: audit_checkpoint: previous must be TEXT or BLOB, not INTEGER
-- test: a previous one that is not UTF-8
SELECT audit_checkpoint('log', x'ff');
-- error: audit_checkpoint: previous must be valid UTF-8 without NUL
-- test: a previous one with a NUL
SELECT audit_checkpoint('log', x'6100');
-- error: audit_checkpoint: previous must be valid UTF-8 without NUL
-- test: three arguments
SELECT audit_checkpoint('log', 'x', 'y');
-- error: wrong number of arguments to function audit_checkpoint()
-- test: a view cannot make checkpoints
CREATE VIEW v AS SELECT audit_checkpoint('log');
SELECT * FROM v;
-- error: unsafe use of audit_checkpoint()

-- test: a proof of each entry, the genesis included, holds
SELECT n.value, proof_verify(audit_proof('log', n.value), audit_leaf('log', n.value), audit_public_key('log')) FROM json_each('[0,1,2,3]') n;
-- expect: 0|1
-- expect: 1|1
-- expect: 2|1
-- expect: 3|1
-- test: a proof begins as c2sp.org/tlog-proof says, then two hashes for four leaves, then the checkpoint
SELECT audit_proof('log', 2);
-- expect: c2sp.org/tlog-proof@v1
-- expect: index 2
-- glob: ???????????????????????????????????????????=
-- glob: ???????????????????????????????????????????=
-- expect:
-- expect: example.com/audit
-- expect: 4
-- glob: ???????????????????????????????????????????=
-- expect:
-- glob: — example.com/audit Kbh7/*
-- expect:
-- test: an entry after the newest checkpoint has no proof yet
INSERT INTO log(who) VALUES('dan');
SELECT audit_proof('log', 4);
-- error: audit_proof: the newest checkpoint of log covers entries 0 to 3, not 4; SELECT audit_checkpoint('log') makes a new one
-- test: an entry that there is not
SELECT audit_proof('log', 5);
-- error: audit_proof: log has entries 0 to 4, not 5
-- test: a negative one
SELECT audit_proof('log', -1);
-- error: audit_proof: log has entries 0 to 4, not -1
-- test: an id in words
SELECT audit_proof('log', '1');
-- error: audit_proof: id must be INTEGER, not TEXT
-- test: a proof of id NULL is NULL
SELECT audit_proof('log', NULL);
-- expect: NULL
-- test: a proof of NULL
SELECT audit_proof(NULL, 1);
-- error: audit_proof: log must be TEXT, not NULL

-- test: consistency with a size before
SELECT audit_consistency('log', 3);
-- expect: old 3
-- glob: ???????????????????????????????????????????=
-- glob: ???????????????????????????????????????????=
-- glob: ???????????????????????????????????????????=
-- expect:
-- expect: example.com/audit
-- expect: 4
-- glob: ???????????????????????????????????????????=
-- expect:
-- glob: — example.com/audit Kbh7/*
-- expect:
-- test: with the checkpoint's own size there is nothing to prove
SELECT audit_consistency('log', 4) GLOB 'old 4' || char(10, 10) || 'example.com/audit*';
-- expect: 1
-- test: with a later one there is nothing to say
SELECT audit_consistency('log', 5);
-- error: audit_consistency: old_size must be 0 to 4, the size of the newest checkpoint, not 5
-- test: a negative size
SELECT audit_consistency('log', -1);
-- error: audit_consistency: old_size must not be negative
-- test: a size in words
SELECT audit_consistency('log', '1');
-- error: audit_consistency: old_size must be INTEGER, not TEXT
-- test: a size of NULL gives NULL
SELECT audit_consistency('log', NULL);
-- expect: NULL

-- test: proof_verify of a proof or leaf that is NULL is NULL
SELECT proof_verify(NULL, 'x', 'y'), proof_verify('x', NULL, 'y');
-- expect: NULL|NULL
-- test: proof_verify without a key
SELECT proof_verify('x', 'y', NULL);
-- error: proof_verify: vkey must be TEXT, not NULL
-- test: proof_verify with a malformed key
SELECT proof_verify('x', 'y', 'z');
-- error: proof_verify: public key 1 is malformed; expected <name>+<8 hex digits>+<base64>, as audit_public_key(log, 'vkey') gives it
-- test: proof_verify of a number
SELECT proof_verify(1, 'y', 'z');
-- error: proof_verify: proof must be TEXT or BLOB, not INTEGER
-- test: proof_verify of a numeric leaf
SELECT proof_verify('x', 1, 'z');
-- error: proof_verify: leaf must be TEXT or BLOB, not INTEGER
-- test: proof_verify of what is no proof
SELECT proof_verify('x', 'y', audit_public_key('log'));
-- error: proof_verify: the proof is malformed: its first line is not "c2sp.org/tlog-proof@v1"
-- test: of a proof without a checkpoint
SELECT proof_verify(substr(audit_proof('log', 1), 1, 150), 'y', audit_public_key('log'));
-- error: proof_verify: the proof's checkpoint is no signed checkpoint: it has no empty line between text and signatures
-- test: of another entry's leaf
SELECT proof_verify(audit_proof('log', 1), audit_leaf('log', 2), audit_public_key('log'));
-- error: proof_verify: the leaf is not entry 1 of the log that the checkpoint is of
-- test: of an index beyond the checkpoint
SELECT proof_verify(replace(audit_proof('log', 1), 'index 1', 'index 7'), audit_leaf('log', 1), audit_public_key('log'));
-- error: proof_verify: the proof is of entry 7, its checkpoint covers only 0 to 3
-- test: by another log's key
CREATE VIRTUAL TABLE other USING audit_log(a TEXT, origin='example.com/other');
SELECT proof_verify(audit_proof('log', 1), audit_leaf('log', 1), audit_public_key('other'));
-- error: proof_verify: none of the trusted keys to verify the proof's checkpoint by is a key of example.com/audit; add it to RUSTYBT_VERIFY_KEYS or vkeys
-- test: as BLOBs, as readfile() gives them
SELECT proof_verify(CAST(audit_proof('log', 1) AS BLOB), CAST(audit_leaf('log', 1) AS BLOB), audit_public_key('log'));
-- expect: 1
-- test: it needs no key of ours and may stand in a schema
CREATE TABLE evidence(proof, leaf, vkey, CHECK(proof_verify(proof, leaf, vkey)));
INSERT INTO evidence SELECT audit_proof('log', 1), audit_leaf('log', 1), audit_public_key('log');
SELECT count(*) FROM evidence;
-- expect: 1
-- test: where it refuses what does not hold
INSERT INTO evidence SELECT proof, leaf || ' ', vkey FROM evidence;
-- error: proof_verify: the leaf is not entry 1 of the log that the checkpoint is of

-- test: without any key there is none to sign with
-- env: RUSTYBT_ENCRYPTION_KEY
-- env: RUSTYBT_SIGNING_KEY
-- reopen
SELECT audit_checkpoint('log');
-- error: audit_checkpoint: a checkpoint is signed, and there is no key; set RUSTYBT_SIGNING_KEY or RUSTYBT_ENCRYPTION_KEY
-- test: proofs need none
SELECT audit_proof('log', 1) GLOB 'c2sp.org/tlog-proof@v1*', audit_consistency('log', 1) GLOB 'old 1*';
-- expect: 1|1
-- test: without any key nobody can be trusted, and audit_verify says so of stored checkpoints once
SELECT kind, detail FROM audit_verify('log') WHERE detail LIKE '%checkpoint%';
-- expect: untrusted|log: there is no key to trust the signature of the stored checkpoint of 4 leaves by; set RUSTYBT_VERIFY_KEYS or give vkeys
