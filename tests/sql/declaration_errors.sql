-- SPDX-License-Identifier: MIT
-- What USING audit_log(…) refuses, each with its sentence (ext/audit/declaration.h).
-- env: RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=

-- test: a log without arguments
CREATE VIRTUAL TABLE log USING audit_log;
-- error: log: a log needs at least one column, such as event JSON
-- test: a log with empty parentheses
CREATE VIRTUAL TABLE log USING audit_log();
-- error: log: a log needs at least one column, such as event JSON
-- test: a log that has options alone
CREATE VIRTUAL TABLE log USING audit_log(seal=no, reads=hot);
-- error: log: a log needs at least one column, such as event JSON
-- test: empty places between commas, which SQLite itself passes over, do no harm
CREATE VIRTUAL TABLE commas USING audit_log(a TEXT,, b TEXT, /* nothing */);
SELECT audit_leaf('commas', 0);
-- glob: *"arguments":[[]"a TEXT","b TEXT"]}
DROP TABLE commas;
-- test: something that is no name
CREATE VIRTUAL TABLE log USING audit_log(1 TEXT);
-- error: log: expected a column, INDEX(…), CHECK(…) or option=value in "1 TEXT"
-- test: a text in place of a name
CREATE VIRTUAL TABLE log USING audit_log('a' TEXT);
-- error: log: expected a column, INDEX(…), CHECK(…) or option=value in "'a' TEXT"
-- test: an empty name
CREATE VIRTUAL TABLE log USING audit_log("" TEXT);
-- error: log: an empty name in """ TEXT"

-- test: the log's own column id
CREATE VIRTUAL TABLE log USING audit_log(id INTEGER, a TEXT);
-- error: log: the log has its own column "id"
-- test: the log's own column recorded_at, in any case and quoted
CREATE VIRTUAL TABLE log USING audit_log("Recorded_At" INTEGER);
-- error: log: the log has its own column "Recorded_At"
-- test: the log's own column tier
CREATE VIRTUAL TABLE log USING audit_log([TIER] TEXT);
-- error: log: the log has its own column "TIER"
-- test: the log's own column salt
CREATE VIRTUAL TABLE log USING audit_log(`salt` BLOB);
-- error: log: the log has its own column "salt"
-- test: a column twice
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, b INTEGER, a TEXT);
-- error: log: column "a" is declared twice
-- test: a column twice in another case
CREATE VIRTUAL TABLE log USING audit_log(symbol TEXT, SYMBOL TEXT);
-- error: log: column "SYMBOL" is declared twice

-- test: a column without a type
CREATE VIRTUAL TABLE log USING audit_log(a);
-- error: log: expected TEXT, INTEGER, REAL, BLOB or JSON as the type of column "a"
-- test: a type that is not one of the five
CREATE VIRTUAL TABLE log USING audit_log(a VARCHAR(20));
-- error: log: expected TEXT, INTEGER, REAL, BLOB or JSON as the type of column "a"
-- test: a type that only begins like one
CREATE VIRTUAL TABLE log USING audit_log(a INT);
-- error: log: expected TEXT, INTEGER, REAL, BLOB or JSON as the type of column "a"
-- test: a constraint where the type should be
CREATE VIRTUAL TABLE log USING audit_log(a NOT NULL);
-- error: log: expected TEXT, INTEGER, REAL, BLOB or JSON as the type of column "a"
-- test: a quoted type
CREATE VIRTUAL TABLE log USING audit_log(a "TEXT");
-- error: log: expected TEXT, INTEGER, REAL, BLOB or JSON as the type of column "a"
-- test: a length behind a type
CREATE VIRTUAL TABLE log USING audit_log(a TEXT(20));
-- error: log: expected NOT NULL, CHECK, DEFAULT or REFERENCES in "a TEXT(20)"
-- test: UNIQUE
CREATE VIRTUAL TABLE log USING audit_log(a TEXT UNIQUE);
-- error: log: a log's key is its id; use INDEX(column) to look entries up: UNIQUE or PRIMARY KEY in "a TEXT UNIQUE"
-- test: PRIMARY KEY
CREATE VIRTUAL TABLE log USING audit_log(a INTEGER PRIMARY KEY);
-- error: log: a log's key is its id; use INDEX(column) to look entries up: UNIQUE or PRIMARY KEY in "a INTEGER PRIMARY KEY"
-- test: COLLATE
CREATE VIRTUAL TABLE log USING audit_log(a TEXT COLLATE NOCASE);
-- error: log: expected NOT NULL, CHECK, DEFAULT or REFERENCES in "a TEXT COLLATE NOCASE"
-- test: NULL
CREATE VIRTUAL TABLE log USING audit_log(a TEXT NULL);
-- error: log: expected NOT NULL, CHECK, DEFAULT or REFERENCES in "a TEXT NULL"
-- test: NOT without NULL
CREATE VIRTUAL TABLE log USING audit_log(a TEXT NOT BLANK);
-- error: log: expected NULL after NOT in "a TEXT NOT BLANK"
-- test: a table constraint that a log does not have
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, FOREIGN KEY(a) REFERENCES t(a));
-- error: log: expected TEXT, INTEGER, REAL, BLOB or JSON as the type of column "FOREIGN"

-- test: CHECK without parentheses
CREATE VIRTUAL TABLE log USING audit_log(a TEXT CHECK a > 1);
-- error: log: expected "(" in "a TEXT CHECK a > 1"
-- test: CHECK of nothing
CREATE VIRTUAL TABLE log USING audit_log(a TEXT CHECK(/* */));
-- error: log: nothing between parentheses in "a TEXT CHECK(/* */)"
-- test: a second CHECK on a column
CREATE VIRTUAL TABLE log USING audit_log(a TEXT CHECK(a > '') CHECK(a < 'z'));
-- error: log: a second CHECK (join them with AND) in "a TEXT CHECK(a > '') CHECK(a < 'z')"
-- test: something behind a CHECK of the whole entry
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, CHECK(a > '') NOT NULL);
-- error: log: expected nothing after CHECK(…) in "CHECK(a > '') NOT NULL"
-- test: a parameter in CHECK
CREATE VIRTUAL TABLE log USING audit_log(a INTEGER CHECK(a > ?1));
-- error: log: a semicolon, a parameter or an unclosed quote in "a INTEGER CHECK(a > ?1)"
-- test: a named parameter in CHECK
CREATE VIRTUAL TABLE log USING audit_log(a INTEGER CHECK(a > $limit));
-- error: log: a semicolon, a parameter or an unclosed quote in "a INTEGER CHECK(a > $limit)"
-- test: a CHECK of a column that is not there is refused by SQLite
CREATE VIRTUAL TABLE log USING audit_log(a TEXT CHECK(b > ''));
-- error: log: no such column: b
-- test: a CHECK with a subquery is refused by SQLite
CREATE VIRTUAL TABLE log USING audit_log(a TEXT CHECK(a IN (SELECT name FROM sqlite_schema)));
-- error: log: subqueries prohibited in CHECK constraints
-- test: a CHECK with a function that is not there is refused by SQLite
CREATE VIRTUAL TABLE log USING audit_log(a TEXT CHECK(no_such(a)));
-- error: log: no such function: no_such
-- test: after all of that nothing was left behind
SELECT count(*) FROM sqlite_schema;
-- expect: 0

-- test: DEFAULT without a value
CREATE VIRTUAL TABLE log USING audit_log(a TEXT DEFAULT);
-- error: log: expected a literal or a parenthesised expression after DEFAULT in "a TEXT DEFAULT"
-- test: DEFAULT of a signed word
CREATE VIRTUAL TABLE log USING audit_log(a TEXT DEFAULT -infinity);
-- error: log: expected a literal or a parenthesised expression after DEFAULT in "a TEXT DEFAULT -infinity"
-- test: DEFAULT of a quoted name
CREATE VIRTUAL TABLE log USING audit_log(a TEXT DEFAULT "x");
-- error: log: expected a literal or a parenthesised expression after DEFAULT in "a TEXT DEFAULT "x""
-- test: DEFAULT of an expression without parentheses
CREATE VIRTUAL TABLE log USING audit_log(a INTEGER DEFAULT 1 + 1);
-- error: log: expected NOT NULL, CHECK, DEFAULT or REFERENCES in "a INTEGER DEFAULT 1 + 1"
-- test: a second DEFAULT
CREATE VIRTUAL TABLE log USING audit_log(a INTEGER DEFAULT 1 DEFAULT 2);
-- error: log: a second DEFAULT in "a INTEGER DEFAULT 1 DEFAULT 2"
-- test: DEFAULT of nothing
CREATE VIRTUAL TABLE log USING audit_log(a INTEGER DEFAULT ());
-- error: log: nothing between parentheses in "a INTEGER DEFAULT ()"
-- test: a parameter in DEFAULT
CREATE VIRTUAL TABLE log USING audit_log(a INTEGER DEFAULT (:x));
-- error: log: a semicolon, a parameter or an unclosed quote in "a INTEGER DEFAULT (:x)"

-- test: DEFAULT of a column
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, b TEXT DEFAULT (a || 'x'));
-- error: log: no such column: a
-- test: DEFAULT from a table
CREATE VIRTUAL TABLE log USING audit_log(a TEXT DEFAULT ((SELECT name FROM sqlite_schema)));
-- error: log: DEFAULT must be computed from literals, without reading a table in "a TEXT DEFAULT ((SELECT name FROM sqlite_schema))"
-- test: DEFAULT from a table by IN
CREATE VIRTUAL TABLE log USING audit_log(a INTEGER DEFAULT (1 IN pragma_user_version));
-- error: log: DEFAULT must be computed from literals, without reading a table in "a INTEGER DEFAULT (1 IN pragma_user_version)"
-- test: DEFAULT that would decrypt on its own, which SQLite would not let a schema do
CREATE VIRTUAL TABLE log USING audit_log(a TEXT DEFAULT (decrypt(x'00')));
-- error: log: DEFAULT may call SQLite's own functions that compute, not decrypt in "a TEXT DEFAULT (decrypt(x'00'))"
-- test: DEFAULT that calls by a quoted name
CREATE VIRTUAL TABLE log USING audit_log(a TEXT DEFAULT (lower("load_extension" ('x'))));
-- error: log: DEFAULT may call SQLite's own functions that compute, not "load_extension" in "a TEXT DEFAULT (lower("load_extension" ('x')))"
-- test: DEFAULT that calls an operator's function
CREATE VIRTUAL TABLE log USING audit_log(a TEXT DEFAULT ('a' REGEXP 'b'));
-- error: log: DEFAULT must be computed from literals, without reading a table in "a TEXT DEFAULT ('a' REGEXP 'b')"

-- test: REFERENCES without a table
CREATE VIRTUAL TABLE log USING audit_log(a INTEGER REFERENCES);
-- error: log: expected a table's name after REFERENCES in "a INTEGER REFERENCES"
-- test: REFERENCES without a column in its parentheses
CREATE VIRTUAL TABLE log USING audit_log(a INTEGER REFERENCES t());
-- error: log: expected a column's name after REFERENCES table( in "a INTEGER REFERENCES t()"
-- test: REFERENCES of two columns
CREATE VIRTUAL TABLE log USING audit_log(a INTEGER REFERENCES t(a, b));
-- error: log: expected ")" after the referenced column in "a INTEGER REFERENCES t(a, b)"
-- test: REFERENCES that is immediate
CREATE VIRTUAL TABLE log USING audit_log(a INTEGER REFERENCES t(a) DEFERRABLE INITIALLY IMMEDIATE);
-- error: log: expected DEFERRABLE INITIALLY DEFERRED after REFERENCES in "a INTEGER REFERENCES t(a) DEFERRABLE INITIALLY IMMEDIATE"
-- test: DEFERRABLE alone
CREATE VIRTUAL TABLE log USING audit_log(a INTEGER REFERENCES t(a) DEFERRABLE);
-- error: log: expected DEFERRABLE INITIALLY DEFERRED after REFERENCES in "a INTEGER REFERENCES t(a) DEFERRABLE"
-- test: an action on a referenced row, which could change an entry
CREATE VIRTUAL TABLE log USING audit_log(a INTEGER REFERENCES t(a) ON DELETE SET NULL);
-- error: log: expected NOT NULL, CHECK, DEFAULT or REFERENCES in "a INTEGER REFERENCES t(a) ON DELETE SET NULL"
-- test: a second REFERENCES
CREATE VIRTUAL TABLE log USING audit_log(a INTEGER REFERENCES t(a) REFERENCES u(a));
-- error: log: a second REFERENCES in "a INTEGER REFERENCES t(a) REFERENCES u(a)"

-- test: INDEX of a column that is not there
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, INDEX(b));
-- error: log: INDEX names column "b", which is not declared
-- test: INDEX of id, which is indexed as it is
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, INDEX(id));
-- error: log: INDEX names column "id", which is not declared
-- test: INDEX of nothing
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, INDEX());
-- error: log: expected a column's name in "INDEX()"
-- test: INDEX with a comma too many
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, INDEX(a,));
-- error: log: expected a column's name in "INDEX(a,)"
-- test: INDEX with an order
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, INDEX(a DESC));
-- error: log: expected "," or ")" in "INDEX(a DESC)"
-- test: something behind INDEX
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, INDEX(a) WHERE a > '');
-- error: log: expected nothing after INDEX(…) in "INDEX(a) WHERE a > ''"
-- test: INDEX of a column twice is refused by nobody and harmless
CREATE VIRTUAL TABLE twice USING audit_log(a TEXT, INDEX(a, a));
DROP TABLE twice;

-- test: an option that is not one
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, retention='7 years');
-- error: log: unknown option "retention"; options are origin, archive, archive_after, retain, secrets, seal, reads and salt
-- test: an option twice, in any case
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, seal=no, SEAL=yes);
-- error: log: option "SEAL" is given twice
-- test: an option without a value
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, seal=);
-- error: log: expected one word or one quoted text as the value of "seal"
-- test: an option with two words
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, archive_after=90 days);
-- error: log: expected one word or one quoted text as the value of "archive_after"
-- test: an option with a parenthesis
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, seal=(no));
-- error: log: expected one word or one quoted text as the value of "seal"
-- test: seal that is neither yes nor no
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, seal=maybe);
-- error: log: seal must be yes or no, not "maybe"
-- test: salt that is neither yes nor no
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, salt=1);
-- error: log: salt must be yes or no, not "1"
-- test: reads that is neither all nor hot
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, reads=cold);
-- error: log: reads must be all or hot, not "cold"
-- test: secrets=redact, which this version cannot keep
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, secrets=redact);
-- error: log: secrets="redact" needs the secret scanner, which this version does not have; use secrets=allow
-- test: secrets=reject, the same
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, secrets='reject');
-- error: log: secrets="reject" needs the secret scanner, which this version does not have; use secrets=allow
-- test: archive of nothing
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, archive='');
-- error: log: archive must name a directory
-- test: archive_after that is no duration
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, archive_after='soon');
-- error: log: archive_after must be a duration like '90 days' or '7 years', not "soon"
-- test: archive_after of nothing
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, archive_after='0 days');
-- error: log: archive_after must be a duration like '90 days' or '7 years', not "0 days"
-- test: a negative duration
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, retain='-7 years');
-- error: log: retain must be a duration like '90 days' or '7 years', not "-7 years"
-- test: a duration with a fraction
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, retain='1.5 years');
-- error: log: retain must be a duration like '90 days' or '7 years', not "1.5 years"
-- test: a duration of an unknown unit
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, retain='3 fortnights');
-- error: log: retain must be a duration like '90 days' or '7 years', not "3 fortnights"
-- test: a duration beyond 64 bits
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, retain='99999999999999999999 years');
-- error: log: retain must be a duration like '90 days' or '7 years', not "99999999999999999999 years"
-- test: an empty origin
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, origin='');
-- error: log: origin must be 1 to 255 bytes without space, control character or "+"
-- test: an origin with a space
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, origin='example.com/my orders');
-- error: log: origin must be 1 to 255 bytes without space, control character or "+"
-- test: an origin with a plus sign
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, origin='a+b');
-- error: log: origin must be 1 to 255 bytes without space, control character or "+"
-- test: an origin of 256 bytes
CREATE VIRTUAL TABLE log USING audit_log(a TEXT, origin='0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345');
-- error: log: origin must be 1 to 255 bytes without space, control character or "+"

-- test: the storage of another log stands in the way
CREATE TABLE log_rows(a);
CREATE VIRTUAL TABLE log USING audit_log(a TEXT);
-- error: log: table "log_rows" already exists
DROP TABLE log_rows;
-- test: no part of any refused log is left
SELECT count(*) FROM sqlite_schema;
-- expect: 0

-- test: in a transaction, too, a refused log leaves nothing and the transaction goes on
BEGIN;
CREATE TABLE t(x);
CREATE VIRTUAL TABLE log USING audit_log(a TEXT CHECK(b > 1));
-- error: log: no such column: b
SELECT group_concat(name) FROM sqlite_schema;
-- expect: t
COMMIT;
