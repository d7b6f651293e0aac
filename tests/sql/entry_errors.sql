-- SPDX-License-Identifier: MIT
-- Entries that a log refuses, each with its sentence, and what each type takes. Nothing refused leaves
-- anything behind, and ids stay without a gap.
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
CREATE VIRTUAL TABLE log USING audit_log(t TEXT NOT NULL, i INTEGER, r REAL, b BLOB, j JSON);

-- test: the log gives ids itself
INSERT INTO log(id, t) VALUES(5, 'a');
-- error: log: id is given by the log; leave it out or NULL
-- test: also when the id would be right
INSERT INTO log(id, t) VALUES(1, 'a');
-- error: log: id is given by the log; leave it out or NULL
-- test: by whatever name of the rowid
INSERT INTO log(rowid, t) VALUES(1, 'a');
-- error: log: id is given by the log; leave it out or NULL
-- test: the log's own clock says when
INSERT INTO log(recorded_at, t) VALUES(1700000000000000, 'a');
-- error: log: recorded_at is given by the log's own clock; leave it out or NULL
-- test: the log knows the tier
INSERT INTO log(t, tier) VALUES('a', 'hot');
-- error: log: tier is given by the log; leave it out
-- test: NULL where NOT NULL is declared
INSERT INTO log(t) VALUES(NULL);
-- error: log: t must not be NULL
-- test: nothing where NOT NULL is declared
INSERT INTO log(i) VALUES(1);
-- error: log: t must not be NULL
-- test: DEFAULT VALUES
INSERT INTO log DEFAULT VALUES;
-- error: log: t must not be NULL
-- test: OR IGNORE ignores nothing
INSERT OR IGNORE INTO log(t) VALUES(NULL);
-- error: log: t must not be NULL

-- test: INTEGER for TEXT
INSERT INTO log(t) VALUES(1);
-- error: log: t must be TEXT, not INTEGER
-- test: REAL for TEXT
INSERT INTO log(t) VALUES(1.5);
-- error: log: t must be TEXT, not REAL
-- test: BLOB for TEXT
INSERT INTO log(t) VALUES(x'61');
-- error: log: t must be TEXT, not BLOB
-- test: TEXT for INTEGER, though it looks like one
INSERT INTO log(t, i) VALUES('a', '1');
-- error: log: i must be INTEGER, not TEXT
-- test: REAL for INTEGER, though it is whole
INSERT INTO log(t, i) VALUES('a', 1.0);
-- error: log: i must be INTEGER, not REAL
-- test: BLOB for INTEGER
INSERT INTO log(t, i) VALUES('a', x'31');
-- error: log: i must be INTEGER, not BLOB
-- test: TEXT for REAL
INSERT INTO log(t, r) VALUES('a', '1.5');
-- error: log: r must be REAL, not TEXT
-- test: BLOB for REAL
INSERT INTO log(t, r) VALUES('a', x'31');
-- error: log: r must be REAL, not BLOB
-- test: TEXT for BLOB
INSERT INTO log(t, b) VALUES('a', 'b');
-- error: log: b must be BLOB, not TEXT
-- test: INTEGER for BLOB
INSERT INTO log(t, b) VALUES('a', 1);
-- error: log: b must be BLOB, not INTEGER
-- test: REAL for BLOB
INSERT INTO log(t, b) VALUES('a', 1.5);
-- error: log: b must be BLOB, not REAL
-- test: INTEGER for JSON
INSERT INTO log(t, j) VALUES('a', 1);
-- error: log: j must be JSON as TEXT, not INTEGER
-- test: REAL for JSON
INSERT INTO log(t, j) VALUES('a', 1.5);
-- error: log: j must be JSON as TEXT, not REAL
-- test: BLOB for JSON
INSERT INTO log(t, j) VALUES('a', x'7b7d');
-- error: log: j must be JSON as TEXT, not BLOB

-- test: an integer beyond 2^53 for REAL
INSERT INTO log(t, r) VALUES('a', 9007199254740993);
-- error: log: r is REAL, and an integer beyond 2^53 would be rounded
-- test: one below -2^53
INSERT INTO log(t, r) VALUES('a', -9007199254740993);
-- error: log: r is REAL, and an integer beyond 2^53 would be rounded
-- test: infinity
INSERT INTO log(t, r) VALUES('a', 9e999);
-- error: log: r must be finite
-- test: minus infinity
INSERT INTO log(t, r) VALUES('a', -9e999);
-- error: log: r must be finite

-- test: text that is not UTF-8
INSERT INTO log(t) VALUES(CAST(x'61ff62' AS TEXT));
-- error: log: t must be valid UTF-8; byte 1 is not
-- test: a surrogate in UTF-8
INSERT INTO log(t) VALUES(CAST(x'eda080' AS TEXT));
-- error: log: t must be valid UTF-8; byte 0 is not
-- test: an overlong form
INSERT INTO log(t) VALUES(CAST(x'6162c080' AS TEXT));
-- error: log: t must be valid UTF-8; byte 2 is not
-- test: a text cut within a character
INSERT INTO log(t) VALUES(CAST(x'e282' AS TEXT));
-- error: log: t must be valid UTF-8; byte 0 is not

-- test: JSON of nothing
INSERT INTO log(t, j) VALUES('a', '');
-- error: log: j: invalid JSON at byte 0: expected a value, not the end of the text
-- test: JSON of white space
INSERT INTO log(t, j) VALUES('a', '  ');
-- error: log: j: invalid JSON at byte 2: expected a value, not the end of the text
-- test: a single value
INSERT INTO log(t, j) VALUES('a', '"text"');
-- error: log: j: must be a JSON object or array, not a single value
-- test: null
INSERT INTO log(t, j) VALUES('a', 'null');
-- error: log: j: must be a JSON object or array, not a single value
-- test: a byte order mark
INSERT INTO log(t, j) VALUES('a', CAST(x'efbbbf7b7d' AS TEXT));
-- error: log: j: invalid JSON at byte 0: byte order mark; remove it
-- test: an object that does not end
INSERT INTO log(t, j) VALUES('a', '{"a":1');
-- error: log: j: invalid JSON at byte 6: expected ',' or '}' after a member, not the end of the text
-- test: an array that does not end
INSERT INTO log(t, j) VALUES('a', '[1');
-- error: log: j: invalid JSON at byte 2: expected ',' or ']' after an element, not the end of the text
-- test: bytes behind the value
INSERT INTO log(t, j) VALUES('a', '{} {}');
-- error: log: j: invalid JSON at byte 3: bytes after the value
-- test: a NUL behind the value
INSERT INTO log(t, j) VALUES('a', CAST(x'7b7d00' AS TEXT));
-- error: log: j: invalid JSON at byte 2: bytes after the value
-- test: a key without quotes, as JSON5 has it
INSERT INTO log(t, j) VALUES('a', '{a:1}');
-- error: log: j: invalid JSON at byte 1: expected a key in double quotes
-- test: single quotes, as JSON5 has them
INSERT INTO log(t, j) VALUES('a', '{''a'':1}');
-- error: log: j: invalid JSON at byte 1: expected a key in double quotes
-- test: a comment, as JSON5 has it
INSERT INTO log(t, j) VALUES('a', '{} // end');
-- error: log: j: invalid JSON at byte 3: bytes after the value
-- test: a comma at an object's end
INSERT INTO log(t, j) VALUES('a', '{"a":1,}');
-- error: log: j: invalid JSON at byte 7: expected a key in double quotes
-- test: a comma at an array's end
INSERT INTO log(t, j) VALUES('a', '[1,]');
-- error: log: j: invalid JSON at byte 3: expected a value
-- test: a key without a value
INSERT INTO log(t, j) VALUES('a', '{"a"}');
-- error: log: j: invalid JSON at byte 4: expected ':' after a key
-- test: a key twice
INSERT INTO log(t, j) VALUES('a', '{"a":1,"b":2,"a":3}');
-- error: log: j: invalid JSON at byte 13: a key that the object already has
-- test: a key twice, once escaped
INSERT INTO log(t, j) VALUES('a', '{"a":1,"\u0061":2}');
-- error: log: j: invalid JSON at byte 7: a key that the object already has
-- test: a leading zero
INSERT INTO log(t, j) VALUES('a', '[01]');
-- error: log: j: invalid JSON at byte 2: digit after a leading zero
-- test: a plus sign
INSERT INTO log(t, j) VALUES('a', '[+1]');
-- error: log: j: invalid JSON at byte 1: expected a value
-- test: a minus sign alone
INSERT INTO log(t, j) VALUES('a', '[-]');
-- error: log: j: invalid JSON at byte 2: expected a digit after the minus sign
-- test: a point without digits
INSERT INTO log(t, j) VALUES('a', '[1.]');
-- error: log: j: invalid JSON at byte 3: expected a digit after the decimal point
-- test: an exponent without digits
INSERT INTO log(t, j) VALUES('a', '[1e+]');
-- error: log: j: invalid JSON at byte 4: expected a digit in the exponent
-- test: a hexadecimal number, as JSON5 has it
INSERT INTO log(t, j) VALUES('a', '[0x10]');
-- error: log: j: invalid JSON at byte 2: expected ',' or ']' after an element
-- test: NaN
INSERT INTO log(t, j) VALUES('a', '[NaN]');
-- error: log: j: invalid JSON at byte 1: expected a value
-- test: Infinity
INSERT INTO log(t, j) VALUES('a', '[-Infinity]');
-- error: log: j: invalid JSON at byte 2: expected a digit after the minus sign
-- test: a literal in capitals
INSERT INTO log(t, j) VALUES('a', '[True]');
-- error: log: j: invalid JSON at byte 1: expected a value
-- test: a string that does not end
INSERT INTO log(t, j) VALUES('a', '["abc');
-- error: log: j: invalid JSON at byte 5: expected a quote that ends the string, not the end of the text
-- test: a newline in a string
INSERT INTO log(t, j) VALUES('a', '["a' || char(10) || 'b"]');
-- error: log: j: invalid JSON at byte 3: control character in a string; write it as an escape
-- test: an escape that is none
INSERT INTO log(t, j) VALUES('a', '["\x41"]');
-- error: log: j: invalid JSON at byte 2: expected one of " \ / b f n r t u after a backslash
-- test: \u with three digits
INSERT INTO log(t, j) VALUES('a', '["\u004"]');
-- error: log: j: invalid JSON at byte 2: expected four hexadecimal digits after \u
-- test: a lone high surrogate
INSERT INTO log(t, j) VALUES('a', '["\ud83d"]');
-- error: log: j: invalid JSON at byte 2: escaped surrogate without its other half
-- test: a lone low surrogate
INSERT INTO log(t, j) VALUES('a', '["\ude00\ud83d"]');
-- error: log: j: invalid JSON at byte 2: escaped surrogate without its other half
-- test: JSON that is not UTF-8
INSERT INTO log(t, j) VALUES('a', CAST(x'5b22ff225d' AS TEXT));
-- error: log: j: invalid JSON at byte 2: ill-formed UTF-8
-- test: 513 levels
INSERT INTO log(t, j) VALUES('a', replace(printf('%.513c', '['), '0', '') || replace(printf('%.513c', ']'), '0', ''));
-- error: log: j: invalid JSON at byte 512: nested deeper than 512 levels

-- test: a text that is too long
INSERT INTO log(t) VALUES(printf('%.65536c', 'x'));
-- error: log: entry 1 is longer than 65535 bytes as a line of JSON
-- test: a text that is too long once it is escaped
INSERT INTO log(t) VALUES(printf('%.33000c', '"'));
-- error: log: entry 1 is longer than 65535 bytes as a line of JSON
-- test: a blob that is too long in base64
INSERT INTO log(t, b) VALUES('a', zeroblob(50000));
-- error: log: entry 1 is longer than 65535 bytes as a line of JSON

-- test: nothing of all that is in the log
SELECT audit_size('log'), (SELECT count(*) FROM log), (SELECT count(*) FROM log_rows);
-- expect: 1|0|0
-- test: one bad row of several takes the good ones with it
INSERT INTO log(t) VALUES('a'), ('b'), (3), ('d');
-- error: log: t must be TEXT, not INTEGER
SELECT audit_size('log'), (SELECT count(*) FROM log_rows);
-- expect: 1|0
-- test: in a transaction the good statements stay
BEGIN;
INSERT INTO log(t) VALUES('one');
INSERT INTO log(t) VALUES('two'), (NULL);
-- error: log: t must not be NULL
INSERT INTO log(t) VALUES('two');
INSERT INTO log(t) VALUES(7);
-- error: log: t must be TEXT, not INTEGER
COMMIT;
SELECT id, t FROM log;
-- expect: 1|one
-- expect: 2|two

-- test: the widest and the strangest that each type takes
INSERT INTO log(t, i, r, b, j) VALUES
  ('', -9223372036854775808, 9007199254740992, x'', '{}'),
  (char(0, 8, 9, 10, 12, 13, 31, 34, 92, 127), 9223372036854775807, -0.0, zeroblob(3), ' [ 1 , { "a" : "b c" } ] '),
  ('€😀', 0, 5e-324, x'00ff', '{"\ud83d\ude00":1e400,"n":-0.0,"n ":12345678901234567890123}');
SELECT id, hex(t), i, r IN (9007199254740992, 0.0, 5e-324), b, j FROM log WHERE id > 2;
-- expect: 3||-9223372036854775808|1|X''|{}
-- expect: 4|0008090A0C0D1F225C7F|9223372036854775807|1|X'000000'|[1,{"a":"b c"}]
-- expect: 5|E282ACF09F9880|0|1|X'00FF'|{"\ud83d\ude00":1e400,"n":-0.0,"n ":12345678901234567890123}
-- test: their leaves
SELECT substr(audit_leaf('log', 3), instr(audit_leaf('log', 3), '"t"'));
-- expect: "t":"","i":-9223372036854775808,"r":9007199254740992.0,"b":"","j":{}}
SELECT replace(substr(audit_leaf('log', 4), instr(audit_leaf('log', 4), '"t"')), char(127), '<delete>');
-- expect: "t":"\u0000\b\t\n\f\r\u001f\"\\<delete>","i":9223372036854775807,"r":0.0,"b":"AAAA","j":[1,{"a":"b c"}]}
SELECT substr(audit_leaf('log', 5), instr(audit_leaf('log', 5), '"t"'));
-- expect: "t":"€😀","i":0,"r":5e-324,"b":"AP8=","j":{"\ud83d\ude00":1e400,"n":-0.0,"n ":12345678901234567890123}}
-- test: 512 levels
INSERT INTO log(t, j) VALUES('deep', replace(printf('%.512c', '['), '0', '') || replace(printf('%.512c', ']'), '0', ''));
SELECT length(j) FROM log WHERE t = 'deep';
-- expect: 1024
-- test: a leaf of exactly 65535 bytes, and not one more
CREATE VIRTUAL TABLE long USING audit_log(t TEXT);
INSERT INTO long(t) VALUES(printf('%.*c', 65535 - 46, 'x'));
SELECT length(audit_leaf('long', 1));
-- expect: 65535
INSERT INTO long(t) VALUES(printf('%.*c', 65536 - 46, 'x'));
-- error: long: entry 2 is longer than 65535 bytes as a line of JSON
-- test: all that was taken verifies
SELECT audit_verify('log') GLOB 'log: 6 entries*', audit_verify('long') GLOB 'long: 1 entry*';
-- expect: 1|1

-- test: without a list of columns the first two are NULL
CREATE VIRTUAL TABLE two USING audit_log(a TEXT, b INTEGER);
INSERT INTO two VALUES(NULL, NULL, 'x', 1);
SELECT last_insert_rowid();
-- expect: 1
INSERT INTO two SELECT NULL, NULL, 'y', value FROM json_each('[2,3]');
SELECT last_insert_rowid(), changes();
-- expect: 3|2
SELECT id, a, b, tier FROM two;
-- expect: 1|x|1|hot
-- expect: 2|y|2|hot
-- expect: 3|y|3|hot
-- test: also when COMMIT and a savepoint write the tree
BEGIN;
INSERT INTO two(a, b) VALUES('t', 4), ('t', 5);
SAVEPOINT s;
SELECT last_insert_rowid();
-- expect: 5
INSERT INTO two(a, b) VALUES('t', 6), ('t', 7);
COMMIT;
SELECT last_insert_rowid();
-- expect: 7
-- test: and when hundreds of entries complete a tile of the tree
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO two(a, b) SELECT 'many', i FROM n;
SELECT last_insert_rowid();
-- expect: 307
-- test: a trigger's append leaves the row that fired it as the last one
CREATE TABLE orders(id INTEGER PRIMARY KEY, what TEXT);
CREATE TRIGGER orders_log AFTER INSERT ON orders BEGIN INSERT INTO two(a, b) VALUES(NEW.what, NEW.id); END;
INSERT INTO orders VALUES(5000, 'trigger');
SELECT last_insert_rowid(), (SELECT max(id) FROM two);
-- expect: 5000|308
-- test: too few values are SQLite's own error
INSERT INTO two VALUES('x', 1);
-- error: table two has 4 columns but 2 values were supplied
-- test: RETURNING id is NULL on any virtual table; last_insert_rowid is right
INSERT INTO two(a) VALUES('z') RETURNING id, a;
-- expect: NULL|z
SELECT last_insert_rowid();
-- expect: 309
-- test: REPLACE on a log appends like INSERT
REPLACE INTO two(a, b) VALUES('r', 1);
SELECT last_insert_rowid(), audit_size('two');
-- expect: 310|311
-- test: REPLACE with an id is refused
REPLACE INTO two(id, a) VALUES(1, 'r');
-- error: two: id is given by the log; leave it out or NULL

-- test: DEFAULT stands for NULL and for what is left out
CREATE VIRTUAL TABLE defaults USING audit_log(n INTEGER, text TEXT NOT NULL DEFAULT 'none', plus INTEGER DEFAULT +3,
  at TEXT DEFAULT CURRENT_TIMESTAMP, made TEXT DEFAULT (upper('a') || substr('xyz', 2)), flag INTEGER DEFAULT TRUE,
  b BLOB DEFAULT x'01', j JSON DEFAULT '{ }', none TEXT DEFAULT NULL);
INSERT INTO defaults(n) VALUES(1);
INSERT INTO defaults(n, text, plus) VALUES(2, NULL, NULL), (3, 'some', 0);
SELECT n, text, plus, at GLOB '20[0-9][0-9]-[0-9][0-9]-* *:*:*', made, flag, b, j, none FROM defaults;
-- expect: 1|none|3|1|Ayz|1|X'01'|{}|NULL
-- expect: 2|none|3|1|Ayz|1|X'01'|{}|NULL
-- expect: 3|some|0|1|Ayz|1|X'01'|{}|NULL
-- test: DEFAULT is evaluated anew for each row
CREATE VIRTUAL TABLE dice USING audit_log(n INTEGER, r INTEGER DEFAULT (random()));
INSERT INTO dice(n) VALUES(1), (2), (3), (4);
SELECT count(DISTINCT r) FROM dice;
-- expect: 4
-- test: a DEFAULT of the wrong type fails like a value
CREATE VIRTUAL TABLE wrong USING audit_log(n INTEGER DEFAULT 'one', m INTEGER);
INSERT INTO wrong(m) VALUES(1);
-- error: wrong: n must be INTEGER, not TEXT
-- test: a DEFAULT that fails says why
CREATE VIRTUAL TABLE fails USING audit_log(n INTEGER DEFAULT (abs(-9223372036854775808)), m INTEGER);
INSERT INTO fails(m) VALUES(1);
-- error: fails: integer overflow

-- test: CHECK on a column, on the entry, and on what the log gives
CREATE VIRTUAL TABLE checked USING audit_log(kind TEXT NOT NULL CHECK(kind IN ('filled', 'rejected')), amount INTEGER,
  CHECK(amount > 0 OR kind = 'rejected'), CHECK(id < 3));
INSERT INTO checked(kind, amount) VALUES('lost', 1);
-- error glob: checked: CHECK constraint failed: kind IN*
INSERT INTO checked(kind, amount) VALUES('filled', 0);
-- error: checked: CHECK constraint failed: amount > 0 OR kind = 'rejected'
INSERT INTO checked(kind, amount) VALUES('filled', 1), ('rejected', NULL);
INSERT INTO checked(kind, amount) VALUES('filled', 1);
-- error: checked: CHECK constraint failed: id < 3
SELECT id, kind, amount FROM checked;
-- expect: 1|filled|1
-- expect: 2|rejected|NULL
-- test: in a transaction a failed CHECK takes nothing else with it
BEGIN;
INSERT INTO two(a) VALUES('before');
INSERT INTO checked(kind, amount) VALUES('filled', -1);
-- error glob: checked: CHECK constraint failed: *
INSERT INTO two(a) VALUES('after');
COMMIT;
SELECT a FROM two ORDER BY id DESC LIMIT 2;
-- expect: after
-- expect: before
-- test: what PRAGMA ignore_check_constraints lets in is found
PRAGMA ignore_check_constraints = ON;
INSERT INTO two(a) VALUES('x');
INSERT INTO checked(kind, amount) VALUES('lost', 1);
PRAGMA ignore_check_constraints = OFF;
SELECT audit_verify('checked');
-- error: audit_verify: checked: CHECK constraint failed in checked_rows
