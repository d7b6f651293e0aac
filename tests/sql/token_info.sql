-- SPDX-License-Identifier: MIT
-- token_info: what a token shows without a key, and what is wrong with one.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
-- test: an envelope
SELECT token_info(x'52425401fe6b3e115b09923900f1536500000000404142434445464748494a4b4c4d4e4f5051525354555657f4ce52226a1b76006e9e12de03644c27da4b18d9b6cbb30949950ab598c42d005e7bad20a255fefb31ab0d35d0b583d4361f44c74360667c');
-- expect: {"format":"envelope","kind":1,"key_id":"fe6b3e115b099239","created":"2023-11-14T22:13:20Z","created_seconds":1700000000,"size":100,"value_size":7}
-- test: an envelope that is cut short
SELECT token_info(x'52425401fe6b3e');
-- expect: {"format":"envelope","size":7,"error":"cut short: at least 93 bytes expected"}
-- test: an envelope of an unknown kind
SELECT json_extract(token_info(x'52425409000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'), '$.error');
-- expect: kind 9, expected 1 to 4
-- test: a Fernet token, as TEXT and as BLOB
SELECT token_info('gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==');
-- expect: {"format":"fernet","version":128,"created":"1985-10-26T08:20:00Z","created_seconds":499162800,"size":100,"value_size_max":15}
SELECT token_info(CAST('gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA' AS BLOB));
-- expect: {"format":"fernet","version":128,"created":"1985-10-26T08:20:00Z","created_seconds":499162800,"size":98,"value_size_max":15}
-- test: white space
SELECT json_extract(token_info('gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==' || char(10)), '$.error');
-- expect: white space at byte 100: trim() the token, and remove line breaks
SELECT json_extract(token_info(' gAAAAAAdwJ6w'), '$.error');
-- expect: white space at byte 0: trim() the token, and remove line breaks
-- test: the standard alphabet
SELECT json_extract(token_info('gAAAAAAdwJ6wAAEC/w'), '$.error');
-- expect: / at byte 16: this is the standard base64 alphabet; Fernet has - for + and _ for /
SELECT json_extract(token_info('gAAAAAAdwJ6wAAE+'), '$.error');
-- expect: + at byte 15: this is the standard base64 alphabet; Fernet has - for + and _ for /
-- test: Python's str(token)
SELECT json_extract(token_info('b''gAAAAAAdwJ6w'''), '$.error');
-- expect: b'…' around it: Python's str(token) was stored where token or token.decode() was meant; remove the b and the quotes
-- test: quotes
SELECT json_extract(token_info('"gAAAAAAdwJ6w"'), '$.error');
-- expect: quote at byte 0: remove the quotes
-- test: another byte
SELECT json_extract(token_info('gAAAAAAdwJ6w%'), '$.error');
-- expect: byte 12 is 0x25, which is not base64
-- test: padding that is wrong, or in the middle
SELECT json_extract(token_info('gAAAAAAdwJ6wAA='), '$.error');
-- expect: padding of 1 =, expected 2 (or none at all)
SELECT json_extract(token_info('gAAA=AAA'), '$.error');
-- expect: padding (=) in the middle, at byte 4
-- test: a letter too few
SELECT json_extract(token_info('gAAAA'), '$.error');
-- expect: cut short: 5 base64 letters do not make whole bytes
-- test: a last letter that no encoder writes
SELECT json_extract(token_info('gAAAAB'), '$.error');
-- expect: the last base64 letter has bits set that no encoder sets
-- test: too short
SELECT json_extract(token_info('gAAAAAAdwJ6w'), '$.error');
-- expect: cut short: 9 bytes once decoded, at least 73 expected
-- test: not whole blocks
SELECT json_extract(token_info('gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDAAA'), '$.error');
-- expect: cut short or run on: 75 bytes once decoded, expected 57 and a multiple of 16
-- test: something else
SELECT token_info('hello');
-- expect: {"format":"unknown","size":5,"error":"neither an envelope (BLOB beginning with RBT) nor a Fernet token (urlsafe base64 beginning with gAAA)"}
SELECT token_info('');
-- expect: {"format":"unknown","size":0,"error":"neither an envelope (BLOB beginning with RBT) nor a Fernet token (urlsafe base64 beginning with gAAA)"}
-- test: a token before base64
SELECT json_extract(token_info(x'80000000001dc09eb0000102030405060708090a0b0c0d0e0f2d36d5ca46556299fde13008633804b2c5ff9095f5d38f9ab86e5543e02686f03b3ec971b9ab47ae23566a54e08c2a0c'), '$.error');
-- expect: the bytes of a Fernet token before base64: encode them (urlsafe)
-- test: it needs no key, and views may call it
-- env: RUSTYBT_ENCRYPTION_KEY
-- reopen
CREATE VIEW v AS SELECT token_info('x') AS info;
PRAGMA trusted_schema = OFF;
SELECT json_valid(info) FROM v;
-- expect: 1
