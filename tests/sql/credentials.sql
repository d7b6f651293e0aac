-- SPDX-License-Identifier: MIT
-- encrypt, decrypt, fernet_encrypt, fernet_decrypt, key_rotate: round trips and every refusal.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
CREATE TABLE values_of_all_types(v);
INSERT INTO values_of_all_types VALUES(42), (-9223372036854775808), (1.5), (-0.0), (9e999), ('text'), (''), (CAST(x'610062' AS TEXT)),
  (x'00ff'), (x''), (NULL);
-- test: every type comes back as it went in
SELECT typeof(v), typeof(decrypt(encrypt(v))), decrypt(encrypt(v)) IS v, decrypt(encrypt(v, 'place'), 'place') IS v, hex(decrypt(encrypt(v))) = hex(v)
  FROM values_of_all_types;
-- expect: integer|integer|1|1|1
-- expect: integer|integer|1|1|1
-- expect: real|real|1|1|1
-- expect: real|real|1|1|1
-- expect: real|real|1|1|1
-- expect: text|text|1|1|1
-- expect: text|text|1|1|1
-- expect: text|text|1|1|1
-- expect: blob|blob|1|1|1
-- expect: blob|blob|1|1|1
-- expect: null|null|1|1|1
-- test: a token is a BLOB of 93 bytes and the value, and never twice the same
SELECT typeof(encrypt('abc')), length(encrypt('abc')), length(encrypt(1)), substr(encrypt('abc'), 1, 12), encrypt('abc') = encrypt('abc');
-- expect: blob|96|101|X'52425401FE6B3E115B099239'|0
-- test: the token of the vectors opens in its place
SELECT decrypt(x'52425401fe6b3e115b09923900f1536500000000404142434445464748494a4b4c4d4e4f5051525354555657f4ce52226a1b76006e9e12de03644c27da4b18d9b6cbb30949950ab598c42d005e7bad20a255fefb31ab0d35d0b583d4361f44c74360667c',
  'broker_connections/3/api_key');
-- expect: hunter2
-- test: elsewhere it does not
SELECT decrypt(x'52425401fe6b3e115b09923900f1536500000000404142434445464748494a4b4c4d4e4f5051525354555657f4ce52226a1b76006e9e12de03644c27da4b18d9b6cbb30949950ab598c42d005e7bad20a255fefb31ab0d35d0b583d4361f44c74360667c',
  'broker_connections/4/api_key');
-- error: decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
-- test: nor without a context
SELECT decrypt(encrypt('x', 'place'));
-- error: decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
-- test: nor with one where none was given
SELECT decrypt(encrypt('x'), 'place');
-- error: decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
-- test: a context of NULL
SELECT encrypt('x', NULL);
-- error: encrypt: context must be TEXT, not NULL
SELECT decrypt(encrypt('x'), NULL);
-- error: decrypt: context must be TEXT, not NULL
SELECT key_rotate(encrypt('x'), NULL);
-- error: key_rotate: context must be TEXT, not NULL
-- test: also beside a value of NULL
SELECT encrypt(NULL, NULL);
-- error: encrypt: context must be TEXT, not NULL
SELECT decrypt(NULL, NULL);
-- error: decrypt: context must be TEXT, not NULL
-- test: an empty context
SELECT encrypt('x', '');
-- error: encrypt: context must not be empty; leave it out for a token that belongs to no place
SELECT decrypt(encrypt('x'), '');
-- error: decrypt: context must not be empty; leave it out for a token that belongs to no place
SELECT key_rotate(encrypt('x'), '');
-- error: key_rotate: context must not be empty; leave it out for a token that belongs to no place
-- test: a context that is a number, a blob, not UTF-8, holds a NUL
SELECT encrypt('x', 3);
-- error: encrypt: context must be TEXT, not INTEGER
SELECT encrypt('x', x'61');
-- error: encrypt: context must be TEXT, not BLOB
SELECT encrypt('x', CAST(x'ff' AS TEXT));
-- error: encrypt: context must be valid UTF-8
SELECT encrypt('x', CAST(x'610062' AS TEXT));
-- error: encrypt: context must not contain a NUL
-- test: a token that is a number
SELECT decrypt(5);
-- error: decrypt: token must be TEXT or BLOB, not INTEGER
SELECT key_rotate(1.5);
-- error: key_rotate: token must be TEXT or BLOB, not REAL
SELECT fernet_decrypt(5);
-- error: fernet_decrypt: token must be TEXT or BLOB, not INTEGER
SELECT token_info(5);
-- error: token_info: token must be TEXT or BLOB, not INTEGER
SELECT fernet_encrypt(5);
-- error: fernet_encrypt: value must be TEXT or BLOB, not INTEGER

-- test: a token that is nothing, cut short, run on or altered (crypto_test tries every byte) says the same each time
CREATE TABLE token AS SELECT encrypt('hunter2') AS token;
SELECT decrypt(x'');
-- error: decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
SELECT decrypt('');
-- error: decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
SELECT decrypt('hunter2');
-- error: decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
SELECT decrypt(substr(token, 1, 92)) FROM token;
-- error: decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
SELECT decrypt(substr(token, 1, 99)) FROM token;
-- error: decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
SELECT decrypt(token || x'00') FROM token;
-- error: decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
-- test: a token of another key, which is named
SELECT decrypt(x'5242540100112233445566770000000000000000' || zeroblob(100));
-- error: decrypt: no key in the ring has id 0011223344556677

-- test: what Python's Fernet reads and writes
SELECT typeof(fernet_encrypt('abc')), CAST(fernet_encrypt('abc') AS TEXT) GLOB 'gAAAAA*', typeof(fernet_decrypt(fernet_encrypt('abc'))),
  fernet_decrypt(fernet_encrypt('abc')), fernet_decrypt(CAST(fernet_encrypt('abc') AS TEXT)), decrypt(fernet_encrypt('abc'));
-- expect: blob|1|text|abc|abc|abc
-- test: what is not UTF-8 comes back as BLOB
SELECT fernet_decrypt(fernet_encrypt(x'ff00')), fernet_decrypt(fernet_encrypt(x'6162')), fernet_decrypt(fernet_encrypt(''));
-- expect: X'FF00'|ab|
-- test: a Fernet token carries no context
SELECT decrypt(fernet_encrypt('abc'), 'place');
-- error: decrypt: a Fernet token cannot carry a context; leave the context out, or turn it into a token that has one: encrypt(decrypt(token), context)
SELECT key_rotate(fernet_encrypt('abc'), 'place');
-- error: key_rotate: a Fernet token cannot carry a context; leave the context out, or turn it into a token that has one: encrypt(decrypt(token), context)
-- test: an envelope is no Fernet token
SELECT fernet_decrypt(encrypt('abc'));
-- error: fernet_decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
-- test: a ttl
SELECT fernet_decrypt(fernet_encrypt('abc'), 60), fernet_decrypt(fernet_encrypt('abc'), 9223372036854775807);
-- expect: abc|abc
-- test: a ttl of NULL, which would mean never
SELECT fernet_decrypt(fernet_encrypt('abc'), NULL);
-- error: fernet_decrypt: ttl_seconds must be INTEGER, not NULL
SELECT fernet_decrypt(NULL, NULL);
-- error: fernet_decrypt: ttl_seconds must be INTEGER, not NULL
-- test: a ttl in words, in fractions, below zero
SELECT fernet_decrypt(fernet_encrypt('abc'), '60');
-- error: fernet_decrypt: ttl_seconds must be INTEGER, not TEXT
SELECT fernet_decrypt(fernet_encrypt('abc'), 1.5);
-- error: fernet_decrypt: ttl_seconds must be INTEGER, not REAL
SELECT fernet_decrypt(fernet_encrypt('abc'), -1);
-- error: fernet_decrypt: ttl_seconds must not be negative, but is -1
-- test: a token of Python's documentation that expired long ago
-- env: RUSTYBT_ENCRYPTION_KEY=cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=
-- reopen
SELECT fernet_decrypt('gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==');
-- expect: hello
SELECT fernet_decrypt('gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==', 60);
-- error glob: fernet_decrypt: the token expired; it is [0-9]* seconds old, the ttl is 60

-- test: rotation: under the new primary, with its type, its format, its place
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- reopen
CREATE TABLE secrets AS SELECT 'plain' AS kind, encrypt(42) AS token, NULL AS place UNION ALL SELECT 'placed', encrypt('key', 'a/b'), 'a/b'
  UNION ALL SELECT 'fernet blob', fernet_encrypt('f'), NULL UNION ALL SELECT 'fernet text', CAST(fernet_encrypt('f') AS TEXT), NULL;
SELECT kind, CASE WHEN place IS NULL THEN key_rotate(token) ELSE key_rotate(token, place) END = token FROM secrets;
-- expect: plain|1
-- expect: placed|1
-- expect: fernet blob|1
-- expect: fernet text|1
-- env: RUSTYBT_ENCRYPTION_KEY=ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=,AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- reopen
CREATE TABLE rotated AS SELECT kind, CASE WHEN place IS NULL THEN key_rotate(token) ELSE key_rotate(token, place) END AS token, place FROM secrets;
SELECT r.kind, r.token = s.token, typeof(r.token) = typeof(s.token), json_extract(token_info(r.token), '$.format'),
  CASE WHEN r.place IS NULL THEN key_rotate(r.token) ELSE key_rotate(r.token, r.place) END = r.token
  FROM secrets AS s JOIN rotated AS r ON r.kind = s.kind;
-- expect: plain|0|1|envelope|1
-- expect: placed|0|1|envelope|1
-- expect: fernet blob|0|1|fernet|1
-- expect: fernet text|0|1|fernet|1
-- test: a Fernet token keeps its time
SELECT count(*) FROM secrets AS s JOIN rotated AS r ON r.kind = s.kind AND r.kind LIKE 'fernet%'
  AND json_extract(token_info(r.token), '$.created_seconds') = json_extract(token_info(s.token), '$.created_seconds');
-- expect: 2
-- test: the new ring opens old and new, the newest key alone only the new
-- env: RUSTYBT_ENCRYPTION_KEY=ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=
-- reopen
SELECT kind, CASE WHEN place IS NULL THEN decrypt(token) ELSE decrypt(token, place) END, typeof(decrypt(token, place))
  FROM rotated WHERE place IS NOT NULL;
-- expect: placed|key|text
SELECT kind, decrypt(token) FROM rotated WHERE place IS NULL;
-- expect: plain|42
-- expect: fernet blob|f
-- expect: fernet text|f
SELECT decrypt(token) FROM secrets WHERE kind = 'plain';
-- error: decrypt: no key in the ring has id fe6b3e115b099239
SELECT key_rotate(token) FROM secrets WHERE kind = 'plain';
-- error: key_rotate: no key in the ring has id fe6b3e115b099239
SELECT decrypt(token) FROM secrets WHERE kind = 'fernet text';
-- error: decrypt: the token does not open; it was altered, cut short, or belongs to another key or context
SELECT key_rotate(token) FROM secrets WHERE kind = 'fernet blob';
-- error: key_rotate: the token does not open; it was altered, cut short, or belongs to another key or context
