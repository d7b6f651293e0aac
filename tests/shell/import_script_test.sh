# SPDX-License-Identifier: MIT
# sql/import.sql: a plain order_audit_log becomes a log of the same name, whole or not at all.
. tests/shell/tap.sh
case $TEST_BUILD in *sanitize) skip_all 'the sqlite3 shell loads no library with sanitizers' ;; esac
plan 32

export RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
script=$PWD/sql/import.sql
cd "$scratch" || exit 2
database=old.db
bare() { sqlite3 -init /dev/null -batch "$database" "$@" 2>&1; }
db() { sqlite3 -init /dev/null -batch -bail -cmd ".load $TEST_EXTENSION" "$database" "$@" 2>&1; }
# Its output and exit code, in $out; without line numbers.
import() {
    out=$(db < "$script"; echo "exit $?")
    out=$(printf '%s\n' "$out" | sed 's/ near line [0-9]*:/:/')
}
says() { printf '%s\n' "$out" | grep -qF -e "$1"; }
ends() { [ "$(printf '%s\n' "$out" | tail -n 1)" = "exit $1" ]; }
dump() { bare .dump; }
table='CREATE TABLE order_audit_log(id INTEGER PRIMARY KEY AUTOINCREMENT, strategy_id TEXT NOT NULL,
    order_id TEXT NOT NULL, broker_order_id TEXT, asset_sid INTEGER NOT NULL,
    event_type TEXT NOT NULL, event_timestamp INTEGER NOT NULL, event_data JSON NOT NULL'
insert='INSERT INTO order_audit_log(id, strategy_id, order_id, asset_sid, event_type, event_timestamp,
    event_data) VALUES'

# ids with gaps, a child table, views on both, a trigger that logs
bare "$table);
CREATE INDEX old_order ON order_audit_log(order_id);
CREATE TRIGGER no_update BEFORE UPDATE ON order_audit_log BEGIN SELECT RAISE(ABORT, 'never'); END;
$insert(9, 'm', 'o2', 1, 'submitted', 2, '{\"p\" : \"1 .0\",  \"n\": 1.50e+3}'),
    (3, 'm', 'o1', 1, 'submitted', 0, '[ ]'), (4, 'm', 'o1', 1, 'filled', 1, '{}');
CREATE TABLE fills(id INTEGER PRIMARY KEY, entry INTEGER UNIQUE REFERENCES order_audit_log ON DELETE CASCADE,
    price TEXT);
INSERT INTO fills VALUES(1, 4, '1.5'), (2, 9, '2.5'), (3, NULL, 'none'), (4, 3, '3.5');
CREATE VIEW filled AS SELECT l.order_id, l.event_timestamp AS at, f.price -- with a comment; and a semicolon
    FROM order_audit_log AS l JOIN fills AS f ON f.entry = l.id;
CREATE VIEW \"o'dd \"\"view\" AS SELECT count(*) AS n FROM filled;
CREATE TABLE orders(id TEXT);
CREATE TRIGGER orders_log AFTER INSERT ON orders BEGIN INSERT INTO order_audit_log(strategy_id, order_id,
    asset_sid, event_type, event_timestamp, event_data) VALUES('m', NEW.id, 1, 'submitted', 3, '{}'); END;"
view_before=$(bare 'SELECT * FROM filled ORDER BY at, price')
before=$(dump)

# ------------------------------------------------------------------------------------ refused

bare "$insert(10, 'm', 'o3', 1, 'lost', 0, '{}'), (11, 'm', 'o3', 'x', 'filled', 0, '{}'),
    (12, 'm', 'o3', 1, 'filled', 0, '{\"a\":1,\"a\":2}')"
import
ok 'a row that breaks a CHECK is listed' says 'row 10: order_audit_log: CHECK constraint failed: event_type IN'
ok 'and one of another type' says 'row 11: order_audit_log: asset_sid must be INTEGER, not TEXT'
ok 'and one whose JSON has a key twice' says 'row 12: order_audit_log: event_data'
is 'these three, and no other' "$(printf '%s\n' "$out" | grep -c '^row ')" 3
ok 'then the script fails' ends 1
ok 'with the reason' says 'the log refuses the rows above; nothing was changed'
bare 'DELETE FROM order_audit_log WHERE id > 9; UPDATE sqlite_sequence SET seq = 9' > made
is 'and the database is as it was' "$(dump)" "$before"

bare 'ALTER TABLE order_audit_log ADD COLUMN note TEXT'
import
ok 'a column that the log lacks is named' says 'the log has no column for note of the old table'
ok 'and then it fails' ends 1
bare 'ALTER TABLE order_audit_log DROP COLUMN note'
bare "INSERT INTO fills VALUES(5, 77, '0')"
import
ok 'a reference to a row that is not there is named' says 'fills.entry names the missing row 77'
ok 'and then it fails, too' ends 1
bare 'DELETE FROM fills WHERE id = 5'
is 'and still nothing was changed' "$(dump)" "$before"

# Killed when all is written but the COMMIT, with pages in the file already.
sed 's/^COMMIT;$/.shell kill -9 $PPID/; s/^BEGIN IMMEDIATE;$/PRAGMA cache_size = 1; PRAGMA cache_spill = 1;&/' \
    "$script" > killed.sql
fails 'killed before its COMMIT' db '.read killed.sql'
is 'the database is as it was' "$(dump)" "$before"

# ------------------------------------------------------------------------------------ moved

import
ok 'it succeeds' ends 0
is 'both sides have one count and one digest' "$(printf '%s\n' "$out" | sed -n \
    's/^\(old\|log\): \(3 rows, SHA3-256 [0-9a-f]\{64\}\)$/\2/p' | sort | uniq -c | sed 's/^ *//; s/ [0-9a-f]*$//')" \
    '2 3 rows, SHA3-256'
is 'rows are in their order, with their old ids, and numbers keep their text' \
    "$(db 'SELECT id, legacy_id, order_id, broker_connection_id, event_data FROM order_audit_log')" \
    '1|3|o1||[]
2|4|o1||{}
3|9|o2||{"p":"1 .0","n":1.50e+3}'
is 'views give what they gave' "$(db 'SELECT * FROM filled ORDER BY at, price')" "$view_before"
is 'a view on a view as well' "$(db "SELECT n FROM \"o'dd \"\"view\"")" 3
is 'no reference dangles' "$(db 'PRAGMA foreign_key_check')" ''
first=$out
import
ok 'it can be run again' ends 0
is 'and finds the same digests' "$(printf '%s\n' "$out" | grep SHA3)" "$(printf '%s\n' "$first" | grep SHA3)"
is 'the triggers of other tables log into the log' \
    "$(db "PRAGMA trusted_schema = OFF; INSERT INTO orders VALUES('o4'); SELECT last_insert_rowid();
    SELECT id, legacy_id, order_id FROM order_audit_log WHERE order_id = 'o4'")" '1
4||o4'
is 'a new entry can be referred to' "$(db "PRAGMA foreign_keys = ON;
    INSERT INTO fills VALUES(7, 4, '4.5'); SELECT order_id FROM filled WHERE price = '4.5'")" o4
is 'nothing else can' "$(db "PRAGMA foreign_keys = ON; INSERT INTO fills VALUES(8, 9, 'x')" \
    | sed 's/^[^:]*: *//')" 'stepping, FOREIGN KEY constraint failed (19)'
fails 'by an UPDATE neither' db "PRAGMA foreign_keys = ON; UPDATE fills SET entry = 5 WHERE id = 7"
is 'the old table takes no change' "$(bare "DELETE FROM order_audit_log_legacy" | sed 's/^[^:]*: *//')" \
    'stepping, order_audit_log_legacy is kept as it was imported (19)'
db "INSERT INTO order_audit_log SELECT NULL, NULL, strategy_id, NULL, order_id, NULL, asset_sid, event_type,
    event_timestamp, event_data, 3 FROM order_audit_log WHERE id = 1" > made
import
ok 'an entry that claims an old id is found' \
    says 'the log does not hold what order_audit_log_legacy holds'
db 'DROP TABLE order_audit_log_legacy' > made
import
ok 'without the old table there is nothing to move' says 'nothing to move'

# ------------------------------------------------------------------------------------ others

database=other.db
import
is 'a database without the table is an error' "$out" \
    'Runtime error: CHECK constraint failed: this database has no table order_audit_log (19)
exit 1'
bare "$table); $insert(1, 'm', 'o', 1, 'filled', 0, '{}'); CREATE VIEW v AS SELECT id FROM order_audit_log"
import
is 'without references, only the table is moved' "$(printf '%s\n' "$out" | tail -n 2; db 'SELECT * FROM v' \
    "SELECT count(*) FROM sqlite_schema WHERE name = 'order_audit_log_ids'")" \
    'moved; the old table stays as order_audit_log_legacy until you drop it
exit 0
1
0'
database=self.db
bare "$table, before REFERENCES order_audit_log(id))"
import
ok 'a table that refers to itself is refused, with a reason' says 'refers to itself: make the table anew'
done_testing
