-- SPDX-License-Identifier: MIT
-- key_backup and key_restore: what is refused before a key is derived. What they do: key_backup_test.py.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
CREATE TABLE paper AS SELECT 'UkJUBAEBAAABAAAAAAABAEBBQkNERUZHSElKS0xNTk8A8VNlAAAAAFBRUlNUVVZXWFlaW1xdXl/Vg9TfDRlHIIjbiu+SmInO04nnyrtPcPeHQKw2vqf5cPJbTuh4I0vuiIeqI2Mc8Ixpo4K5yAA6ujsVG7QtPlqS6+2SLBIStAKp1hFF/T8ccf9LJi8J9eSuxNJw4VuBnVvo+yF6pkENPPpTxY3LB3MBR56aXJBgw67oUQIvtp9LOzvFZvjdcEAppjxy6gsYhTdggLW/pDFH0fJhC3iSE0DuTOFh9wU01T1kU3har35mRw2m4FPYdRniIh2ShR2NkkyPGhi9JhPyBusb3q400KQuo8vy4OrkXx6rpKbGp7K2EbSU7VaOQPmn9B+V' AS backup;
-- test: a backup of the lowest cost opens, as TEXT and as BLOB
SELECT key_restore(backup, 'correct horse battery staple') = key_restore(CAST(backup || char(10) AS BLOB), CAST('correct horse battery staple' AS BLOB)),
  typeof(key_restore(backup, 'correct horse battery staple')), length(key_restore(backup, 'correct horse battery staple')) FROM paper;
-- expect: 1|text|178
-- test: a passphrase of NULL
SELECT key_backup(NULL);
-- error: key_backup: passphrase must be TEXT or BLOB, not NULL
SELECT key_restore(backup, NULL) FROM paper;
-- error: key_restore: passphrase must be TEXT or BLOB, not NULL
-- test: also beside a backup of NULL
SELECT key_restore(NULL, NULL);
-- error: key_restore: passphrase must be TEXT or BLOB, not NULL
-- test: a backup of NULL gives NULL
SELECT key_restore(NULL, 'correct horse battery staple');
-- expect: NULL
-- test: but the passphrase is looked at
SELECT key_restore(NULL, 'short');
-- error: key_restore: the passphrase is too short, expected at least 12 bytes; several words drawn by lot are best
-- test: numbers
SELECT key_backup(123456789012);
-- error: key_backup: passphrase must be TEXT or BLOB, not INTEGER
SELECT key_restore(1.5, 'correct horse battery staple');
-- error: key_restore: backup must be TEXT or BLOB, not REAL
-- test: a passphrase as readfile() gives it, and as the message says
SELECT key_backup(CAST('correct horse' || char(13, 10) AS BLOB));
-- error: key_backup: the passphrase ends in a line break, as readfile() gives it; take it off with rtrim(passphrase, char(13, 10))
SELECT key_restore(NULL, rtrim(CAST('correct horse' || char(13, 10) AS BLOB), char(13, 10)));
-- expect: NULL
-- test: arguments that changed places
SELECT key_restore('correct horse battery staple', backup) FROM paper;
-- error: key_restore: what was given as passphrase is a backup; the passphrase comes last
-- test: what is no backup
SELECT key_restore('', 'correct horse battery staple');
-- error: key_restore: the backup is cut short or something else: it has 0 characters beside white space, expected at least 152
SELECT key_restore(x'00', 'correct horse battery staple');
-- error: key_restore: the backup has a character that base64 does not have: line 1, column 1
SELECT key_restore(substr(backup, 2) || 'A', 'correct horse battery staple') FROM paper;
-- error: key_restore: the backup does not begin with UkJUBAEB, as every key backup does: it is something else, or mistyped there
-- test: token_info knows it, without passphrase
SELECT token_info(backup) FROM paper;
-- expect: {"format":"envelope","kind":4,"created":"2023-11-14T22:13:20Z","created_seconds":1700000000,"passes":1,"memory_kib":65536,"check":true,"size":388}
SELECT token_info(char(10) || substr(backup, 1, 60) || '-' || substr(backup, 62)) FROM paper;
-- expect: {"format":"envelope","kind":4,"size":389,"error":"has a character that base64 does not have: line 2, column 61"}
SELECT token_info(x'52425404010100000800000000000400' || zeroblob(16) || x'00f1536500000000' || zeroblob(80));
-- expect: {"format":"envelope","kind":4,"created":"2023-11-14T22:13:20Z","created_seconds":1700000000,"size":120}
-- test: a schema cannot call them
CREATE VIEW stolen AS SELECT key_backup('correct horse battery staple');
SELECT * FROM stolen;
-- error: unsafe use of key_backup()
CREATE VIEW opened AS SELECT key_restore(backup, 'correct horse battery staple') FROM paper;
SELECT * FROM opened;
-- error: unsafe use of key_restore()
-- test: without a ring there is no backup, also where a signing key is set
-- env: RUSTYBT_ENCRYPTION_KEY
-- env: RUSTYBT_SIGNING_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- reopen
SELECT key_backup('correct horse battery staple');
-- error: key_backup: RUSTYBT_ENCRYPTION_KEY is not set; set it to a key made by SELECT keygen(), or set RUSTYBT_ENCRYPTION_KEY_FILE to a file that holds one
-- test: restoring needs none
SELECT length(key_restore(backup, 'correct horse battery staple')) FROM paper;
-- expect: 178
