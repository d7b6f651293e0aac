-- SPDX-License-Identifier: MIT
-- Where keys come from, and every way in which that fails; keygen, key_id, key_ring. Keys are read on
-- first use, so each case opens the database anew.
-- test: without a key nothing is encrypted
SELECT encrypt('x');
-- error: encrypt: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one
-- test: nor decrypted
SELECT decrypt(x'00');
-- error: decrypt: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one
SELECT fernet_encrypt('x');
-- error: fernet_encrypt: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one
SELECT fernet_decrypt('x');
-- error: fernet_decrypt: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one
-- test: nor named, listed or rotated
SELECT key_id();
-- error: key_id: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one
SELECT * FROM key_ring;
-- error: key_ring: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one
SELECT key_rotate(x'00');
-- error: key_rotate: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one
-- test: but NULL stays NULL
SELECT encrypt(NULL), decrypt(NULL), fernet_encrypt(NULL), fernet_decrypt(NULL), key_rotate(NULL), token_info(NULL);
-- expect: NULL|NULL|NULL|NULL|NULL|NULL
-- test: a sealed log cannot be made, and leaves nothing behind
CREATE VIRTUAL TABLE log USING audit_log(a TEXT);
-- error: log: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one
BEGIN;
CREATE TABLE t(x);
CREATE VIRTUAL TABLE log USING audit_log(a TEXT);
-- error: log: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one
COMMIT;
SELECT group_concat(name) FROM sqlite_schema;
-- expect: t
-- test: a log with seal=no needs none
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, seal=no, archive=cold);
INSERT INTO log(a) VALUES('x');
SELECT audit_verify('log');
-- glob: log: 1 entry, root *, not sealed
-- test: but has no public key
SELECT audit_public_key('log');
-- error: audit_public_key: there is no key that signs; set RUSTYBT_SIGNING_KEY or RUSTYBT_ENCRYPTION_KEY
-- test: and cannot be archived
SELECT audit_archive('log', 'cold', 'now');
-- error: audit_archive: a segment is signed, and there is no key; set RUSTYBT_SIGNING_KEY or RUSTYBT_ENCRYPTION_KEY

-- test: keygen gives 32 bytes in padded urlsafe base64
SELECT keygen() GLOB '*=', length(keygen()), keygen() = keygen(), keygen() GLOB '*[^-_A-Za-z0-9=]*';
-- expect: 1|44|0|0
-- test: keygen('signing') gives 32 bytes in padded standard base64
SELECT length(keygen('signing')), keygen('signing') GLOB '*[^+/A-Za-z0-9=]*';
-- expect: 44|0
SELECT keygen('encryption');
-- error: keygen: purpose must be 'signing', or left out for an encryption key
SELECT keygen(NULL);
-- error: keygen: purpose must be TEXT, not NULL
SELECT keygen(32);
-- error: keygen: purpose must be TEXT, not INTEGER

-- test: a key that is not base64
-- env: RUSTYBT_ENCRYPTION_KEY=not a key
-- reopen
SELECT key_id();
-- error: key_id: key 1 of RUSTYBT_ENCRYPTION_KEY is not base64: its length or padding is wrong
-- test: a key that is cut short
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==
-- reopen
SELECT key_id();
-- error: key_id: key 1 of RUSTYBT_ENCRYPTION_KEY decodes to 31 bytes, expected 32
-- test: a key without its padding
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8
-- reopen
SELECT key_id();
-- error: key_id: key 1 of RUSTYBT_ENCRYPTION_KEY is not base64: its length or padding is wrong
-- test: a comma too many
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,
-- reopen
SELECT key_id();
-- error: key_id: key 2 of RUSTYBT_ENCRYPTION_KEY is empty
-- test: an empty key in the middle
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=, ,ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=
-- reopen
SELECT key_id();
-- error: key_id: key 2 of RUSTYBT_ENCRYPTION_KEY is empty
-- test: one key twice
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- reopen
SELECT key_id();
-- error: key_id: keys 1 and 2 of RUSTYBT_ENCRYPTION_KEY have the same id fe6b3e115b099239; remove one of them
-- test: a comma forgotten between keys, which would lose the second without a word
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=
-- reopen
SELECT key_id();
-- error: key_id: key 1 of RUSTYBT_ENCRYPTION_KEY goes on behind its end; put a comma between keys, and nothing else
-- test: quotation marks around a key are passed over, as Python does
-- env: RUSTYBT_ENCRYPTION_KEY="AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
-- reopen
SELECT key_id();
-- expect: fe6b3e115b099239
-- test: a signing key that is no seed
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- env: RUSTYBT_SIGNING_KEY=AAEC
-- reopen
SELECT audit_public_key('log');
-- error: audit_public_key: RUSTYBT_SIGNING_KEY decodes to 3 bytes, expected 32
-- test: with the seed 00..1f the public key is the known one
-- env: RUSTYBT_SIGNING_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- reopen
CREATE VIRTUAL TABLE named USING audit_log(a TEXT, origin='example.com/audit');
SELECT audit_public_key('named');
-- expect: example.com/audit+29b87bfc+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4

-- test: both the key and a file
-- env: RUSTYBT_SIGNING_KEY
-- env: RUSTYBT_ENCRYPTION_KEY_FILE=key
-- reopen
SELECT key_id();
-- error: key_id: both RUSTYBT_ENCRYPTION_KEY and RUSTYBT_ENCRYPTION_KEY_FILE are set; unset one of them
-- test: a file that is not there
-- env: RUSTYBT_ENCRYPTION_KEY
-- reopen
SELECT key_id();
-- error: key_id: cannot open 'key': No such file or directory
-- test: a file that others may read
-- run: echo AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= > key; chmod 644 key
SELECT key_id();
-- error: key_id: key, the file that RUSTYBT_ENCRYPTION_KEY_FILE names, has mode 0644, expected 0600; chmod 600 it
-- test: keys in two lines, without a comma
-- run: printf 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=\n' > key; chmod 600 key
SELECT key_id();
-- error: key_id: key 1 of RUSTYBT_ENCRYPTION_KEY_FILE goes on behind its end; put a comma between keys, and nothing else
-- test: with one, blanks around it do not make it a dotenv file
-- run: printf 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= ,\nICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=\n' > key
SELECT count(*) FROM key_ring;
-- expect: 2
-- test: a dotenv file as an editor on Windows leaves it
-- run: printf '\357\273\277RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\r\n' > key
-- reopen
SELECT key_id();
-- expect: fe6b3e115b099239
-- test: a key where a file's name belongs is not shown
-- env: RUSTYBT_ENCRYPTION_KEY_FILE=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- reopen
SELECT key_id();
-- error: key_id: RUSTYBT_ENCRYPTION_KEY_FILE must name a file, but there is none of that name; it looks like a key and is not shown; a key itself goes into RUSTYBT_ENCRYPTION_KEY or RUSTYBT_SIGNING_KEY
SELECT config_get('LOG_LEVEL');
-- error: config_get: RUSTYBT_ENCRYPTION_KEY_FILE must name a file, but there is none of that name; it looks like a key and is not shown; a key itself goes into RUSTYBT_ENCRYPTION_KEY or RUSTYBT_SIGNING_KEY
-- test: a file that has such a name is read
-- run: cp key AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
SELECT key_id();
-- expect: fe6b3e115b099239
-- test: a path is shown, however long
-- env: RUSTYBT_ENCRYPTION_KEY_FILE=/nowhere/the_encryption_keys_of_our_trading_platform
-- reopen
SELECT key_id();
-- error: key_id: cannot open '/nowhere/the_encryption_keys_of_our_trading_platform': No such file or directory
-- test: a key where a command belongs is not shown either
-- env: RUSTYBT_ENCRYPTION_KEY_FILE
-- env: RUSTYBT_ENCRYPTION_KEY_COMMAND=/+ECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- reopen
SELECT key_id();
-- error: key_id: cannot run the command of RUSTYBT_ENCRYPTION_KEY_COMMAND: No such file or directory; it looks like a key and is not shown; a key itself goes into RUSTYBT_ENCRYPTION_KEY or RUSTYBT_SIGNING_KEY
-- env: RUSTYBT_ENCRYPTION_KEY_COMMAND
-- env: RUSTYBT_ENCRYPTION_KEY_FILE=key
-- reopen
-- test: an empty file
-- run: : > key; chmod 600 key
SELECT key_id();
-- error: key_id: key, the file that RUSTYBT_ENCRYPTION_KEY_FILE names, has 0 bytes, expected 1 to 65536
-- test: a file that is not text
-- run: head -c 32 /dev/zero > key
SELECT key_id();
-- error: key_id: key, the file that RUSTYBT_ENCRYPTION_KEY_FILE names, is not text
-- test: a file that is too long
-- run: head -c 65537 /dev/zero > key
SELECT key_id();
-- error: key_id: key, the file that RUSTYBT_ENCRYPTION_KEY_FILE names, has 65537 bytes, expected 1 to 65536
-- test: a dotenv file without the line
-- run: printf 'OTHER=1\nRUSTYBT_SIGNING_KEY=x\n' > key
SELECT key_id();
-- error: key_id: key, the file that RUSTYBT_ENCRYPTION_KEY_FILE names, has no line RUSTYBT_ENCRYPTION_KEY=…
-- test: a directory
-- run: rm key; mkdir key
SELECT key_id();
-- error: key_id: cannot open 'key': not a regular file
-- run: rmdir key
-- test: a file that holds a key; a failure before has not been remembered
-- run: echo AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= > key; chmod 600 key
SELECT key_id();
-- expect: fe6b3e115b099239
-- test: a dotenv file
-- run: printf '# keys\nexport RUSTYBT_ENCRYPTION_KEY="AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="\nOTHER=1\n' > key
-- reopen
SELECT position, key_id, is_primary, source, locked IN (0, 1) FROM key_ring;
-- expect: 1|fe6b3e115b099239|1|RUSTYBT_ENCRYPTION_KEY_FILE|1
-- test: one that cannot be read as it was meant
-- run: printf 'RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nOTHER="one\ntwo"\n' > key
-- reopen
SELECT key_id();
-- error: key_id: line 2 of key, the file that RUSTYBT_ENCRYPTION_KEY_FILE names, opens a quotation that it does not close; close it on that line, for values of several lines are not read
-- test: one file for both keys
-- run: printf 'RUSTYBT_ENCRYPTION_KEY=ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8= # of May\nRUSTYBT_SIGNING_KEY="AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="\n' > key
-- env: RUSTYBT_SIGNING_KEY_FILE=key
-- reopen
SELECT audit_public_key('named');
-- expect: example.com/audit+29b87bfc+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4
-- test: a signing key file that is gone
-- env: RUSTYBT_SIGNING_KEY_FILE=gone
-- reopen
SELECT audit_public_key('named');
-- error: audit_public_key: cannot open 'gone': No such file or directory
-- env: RUSTYBT_SIGNING_KEY_FILE
-- run: echo AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= > key
-- env: RUSTYBT_ENCRYPTION_KEY_FILE

-- test: a command that prints the key
-- env: RUSTYBT_ENCRYPTION_KEY_COMMAND=cat key
-- reopen
SELECT key_id, source FROM key_ring;
-- expect: fe6b3e115b099239|RUSTYBT_ENCRYPTION_KEY_COMMAND
-- test: a command that prints the signing key
-- env: RUSTYBT_SIGNING_KEY_COMMAND=grep -sho "[^ ]*=$" 'signing key'
-- run: echo 'seed: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=' > 'signing key'
-- reopen
SELECT audit_public_key('named');
-- expect: example.com/audit+29b87bfc+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4
-- test: which fails when its file is gone
-- run: mv 'signing key' elsewhere
-- reopen
SELECT audit_public_key('named');
-- error: audit_public_key: the command of RUSTYBT_SIGNING_KEY_COMMAND exited with 2, expected 0; what it said is on standard error
-- env: RUSTYBT_SIGNING_KEY_COMMAND
-- test: a command that prints no key
-- env: RUSTYBT_ENCRYPTION_KEY_COMMAND=echo hello
-- reopen
SELECT key_id();
-- error: key_id: key 1 of RUSTYBT_ENCRYPTION_KEY_COMMAND is not base64: its length or padding is wrong
-- test: a command that prints nothing
-- env: RUSTYBT_ENCRYPTION_KEY_COMMAND=true
-- reopen
SELECT encrypt('x');
-- error: encrypt: the command of RUSTYBT_ENCRYPTION_KEY_COMMAND printed nothing, expected the key on one line
-- test: a command that prints two lines
-- env: RUSTYBT_ENCRYPTION_KEY_COMMAND=cat key key
-- reopen
SELECT encrypt('x');
-- error: encrypt: the command of RUSTYBT_ENCRYPTION_KEY_COMMAND printed more than one line, expected the key on one line
-- test: a command that is not there
-- env: RUSTYBT_ENCRYPTION_KEY_COMMAND=/nowhere/command --pin 1234
-- reopen
SELECT decrypt(x'00');
-- error: decrypt: cannot run '/nowhere/command', the command of RUSTYBT_ENCRYPTION_KEY_COMMAND: No such file or directory
-- test: a command and a file
-- env: RUSTYBT_ENCRYPTION_KEY_FILE=key
-- reopen
SELECT key_id();
-- error: key_id: both RUSTYBT_ENCRYPTION_KEY_FILE and RUSTYBT_ENCRYPTION_KEY_COMMAND are set; unset one of them
-- env: RUSTYBT_ENCRYPTION_KEY_FILE
-- env: RUSTYBT_ENCRYPTION_KEY_COMMAND

-- test: a ring of two keys; the first is the primary
-- env: RUSTYBT_ENCRYPTION_KEY=ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=, AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- reopen
SELECT position, key_id, is_primary, source FROM key_ring;
-- glob: 1|????????????????|1|RUSTYBT_ENCRYPTION_KEY
-- expect: 2|fe6b3e115b099239|0|RUSTYBT_ENCRYPTION_KEY
SELECT key_id() = key_id FROM key_ring;
-- expect: 1
-- expect: 0
-- test: key_ring cannot be made anew or changed
CREATE VIRTUAL TABLE mine USING key_ring;
-- error: no such module: key_ring
DELETE FROM key_ring;
-- error: table key_ring may not be modified
-- test: a log sealed under the older key goes on under the newer
INSERT INTO named(a) VALUES('x');
SELECT audit_verify('named') GLOB 'named: 1 entry, root *, sealed under key ' || key_id();
-- expect: 1
-- test: a ring that lost the key of the seal refuses to append, and to vouch
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- reopen
INSERT INTO named(a) VALUES('y');
-- error glob: named: the log is sealed under key ????????????????, which the ring does not have
SELECT audit_verify('named');
-- error glob: audit_verify: named: the log is sealed under key ????????????????, which the ring does not have; set RUSTYBT_ENCRYPTION_KEY to check the seal
-- test: but lets read
SELECT a FROM named;
-- expect: x
-- test: a log whose head was re-written without the key
-- plain
UPDATE named_meta SET value = (SELECT value FROM log_meta WHERE key = 'head') WHERE key = 'head';
-- env: RUSTYBT_ENCRYPTION_KEY=ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=
-- reopen
INSERT INTO named(a) VALUES('y');
-- error: named: the seal does not fit the log: it was changed by someone without the key; SELECT * FROM audit_verify('named') tells more
SELECT detail FROM audit_verify('named') WHERE kind = 'seal';
-- glob: named: the seal does not fit the log's size 2 and root *: the log was re-written without key ????????????????, or set back
