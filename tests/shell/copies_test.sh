# SPDX-License-Identifier: MIT
# What .dump, VACUUM INTO, VACUUM, .backup, .restore, a copy of the file and an older copy do to a log.
. tests/shell/tap.sh
case $TEST_BUILD in *sanitize) skip_all 'the sqlite3 shell loads no library with sanitizers' ;; esac
plan 25

export RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
cd "$scratch" || exit 2
bare() { sqlite3 -init /dev/null -batch "$@" 2>&1; }
db() { sqlite3 -init /dev/null -batch -cmd ".load $TEST_EXTENSION" "$@" 2>&1; }
verdict() { db "$1" "SELECT audit_verify('*')"; }
leaves() { db "$1" 'WITH RECURSIVE n(id) AS (VALUES(0) UNION ALL SELECT id + 1 FROM n WHERE id < 3)
    SELECT audit_leaf("log", id) FROM n' 'SELECT *, tier FROM log'; }
append() { db "$1" "INSERT INTO log(t) VALUES('next'); SELECT last_insert_rowid(), audit_size('log') FROM log
    LIMIT 1"; }

# one entry cold, two hot, with what copies of numbers and texts like to lose
db one.db "PRAGMA journal_mode = WAL; CREATE VIRTUAL TABLE log USING audit_log(t TEXT, r REAL, b BLOB, i INTEGER,
    j JSON, archive='cold', origin='example.com/log');
    INSERT INTO log(t, r, b, i, j) VALUES('first', 0.1, x'', -9223372036854775808, '[1.0,1e400]')" \
    "SELECT audit_archive('log', 'cold', 'now')" "SELECT audit_prune('log')" \
    "INSERT INTO log(t, r, b, i, j) VALUES('a''b' || char(10, 13, 8364), 1e-300, zeroblob(2), 0, '{}'),
    (NULL, 9007199254740993.0, NULL, NULL, NULL)" "SELECT audit_checkpoint('log')" > made
intact=$(verdict one.db)
entries=$(leaves one.db)
ok 'the log to be copied is intact' test "${intact#log: 3 entries (2 hot, 1 cold), 1 signed segment, root}" != "$intact"

db one.db .dump > dump.sql
is '.dump is the same without the extension' "$(bare one.db .dump)" "$(cat dump.sql)"
is 'it loads' "$(db dumped.db < dump.sql)" ''
is 'what it gives is the log' "$(verdict dumped.db)" "$intact"
is 'entry by entry' "$(leaves dumped.db)" "$entries"
is 'which goes on' "$(append dumped.db)" '4|5'
is 'it loads without the extension, too' "$(bare bare.db < dump.sql; verdict bare.db)" "$intact"
ok 'under DEFENSIVE it does not load, and says so' sh -c \
    'printf ".dbconfig defensive on\n.read dump.sql\n" | sqlite3 -init /dev/null -batch d.db 2>&1 \
    | grep -q "may not be modified"'
sed "s/INSERT INTO log_rows VALUES(3,\([0-9]*\),NULL/INSERT INTO log_rows VALUES(3,\1,'x'/" dump.sql > edited.sql
fails 'the dump to be edited was edited' cmp -s dump.sql edited.sql
is 'an edited dump is found out' "$(db edited.db < edited.sql; verdict edited.db | sed 's/^.*audit_verify: //; s/; its hash was.*now//')" \
    'log: entry 3 was changed after it was logged (11)'
db one.db "INSERT INTO log(t) VALUES('nul' || char(0) || 'rest')" "SELECT audit_checkpoint('log')" > made
intact=$(verdict one.db)
db one.db .dump | db nul.db > made
is 'a text with a NUL, which .dump cuts, is found' "$(verdict nul.db | sed 's/^.*audit_verify: //; s/; its hash was.*now//')" \
    'log: entry 4 was changed after it was logged (11)'

bare one.db "VACUUM INTO 'into.db'"
is 'VACUUM INTO, without the extension, gives the log' "$(verdict into.db)" "$intact"
is 'entry by entry, and it goes on' "$(leaves into.db | head -n 4; append into.db)" \
    "$(printf '%s\n' "$entries" | head -n 4; echo '5|6')"
bare one.db '.backup backup.db'
is '.backup gives the log' "$(verdict backup.db)" "$intact"
cp backup.db old.db
db one.db 'VACUUM'
is 'VACUUM changes nothing' "$(verdict one.db)" "$intact"
is 'a copy without the folder of segments is told apart' "$(mkdir -p alone; cp backup.db alone/; \
    verdict alone/backup.db | grep -c 'cold/log-000000000000-000000000001.jsonl.zst')" 1

# An older copy is whole in itself: only what is kept outside shows that it is old.
db one.db "INSERT INTO log(t) VALUES('later')" ".once note" "SELECT audit_checkpoint('log')"
check="SELECT kind, detail FROM audit_verify('log', rtrim(readfile('note'), char(10)) || char(10))"
is 'the log extends its checkpoint' "$(db one.db "$check" | cut -d '|' -f 1)" verified
db one.db '.restore old.db'
is '.restore of an older copy gives a log that is whole in itself' "$(verdict one.db)" "$intact"
is 'the checkpoint outside names the rollback' "$(db one.db "$check")" \
    'rolled_back|log: the checkpoint is of 6 leaves, the log has only 5: it was rolled back'
is 'the older copy takes entries' "$(append one.db)" '5|6'
is 'and verifies by itself' "$(verdict one.db | head -n 1 | cut -d , -f 1,2)" 'log: 5 entries (4 hot, 1 cold)'
is 'then the checkpoint names the fork' "$(db one.db "$check" | cut -d '|' -f 1)" forked

# A connection that has appended goes on with what the file holds now.
is 'a connection whose file is restored under it goes on from there' "$(db live.db \
    "CREATE VIRTUAL TABLE log USING audit_log(t TEXT); INSERT INTO log(t) VALUES('a')" '.backup early.db' \
    "INSERT INTO log(t) VALUES('b'), ('c')" '.restore early.db' "INSERT INTO log(t) VALUES('d')" \
    'SELECT id, t FROM log')" '1|a
2|d'
ok 'and is intact' db -bail live.db "SELECT audit_verify('log')"
fails 'the shell cannot .clone a log: its other connection has no extension' sh -c \
    'sqlite3 -init /dev/null -batch -cmd ".load $TEST_EXTENSION" live.db ".clone clone.db" >/dev/null 2>&1
    sqlite3 -init /dev/null -bail -cmd ".load $TEST_EXTENSION" clone.db "SELECT id FROM log"'
done_testing
