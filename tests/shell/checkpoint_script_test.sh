# SPDX-License-Identifier: MIT
# sql/checkpoint.sql as cron runs it: what it keeps outside the database, and all that it must notice.
. tests/shell/tap.sh
case $TEST_BUILD in *sanitize) skip_all 'the sqlite3 shell loads no library with sanitizers' ;; esac
plan 33

export RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
script=$PWD/sql/checkpoint.sql
cd "$scratch" || exit 2
db() {
    sqlite3 -init /dev/null -batch -bail -cmd ".load $TEST_EXTENSION" trading.db "$@" 2>&1
}
# Its output and exit code, in $out.
cron() {
    out=$(db < "$script"; echo "exit $?")
    out=$(printf '%s\n' "$out" | sed 's/ near line [0-9]*:/:/')
}
says() { printf '%s\n' "$out" | grep -qF -e "$1"; }
ends() { [ "$(printf '%s\n' "$out" | tail -n 1)" = "exit $1" ]; }
copy() { rm -f trading.db-wal trading.db-shm && cp "$1" trading.db; }
verdict='Runtime error: CHECK constraint failed: the logs do not follow the checkpoints outside (19)'

cron
is 'a database without a log is an error' "$out" \
    'Runtime error: CHECK constraint failed: this database has no audit log (19)
exit 1'
ok 'and leaves no folder behind' test ! -e checkpoints
db "PRAGMA journal_mode = WAL;
    CREATE VIRTUAL TABLE orders USING audit_log(n INTEGER, origin='example.com/orders');
    CREATE VIRTUAL TABLE \"o'dd\$(touch pwned);
.shell touch pwned
x\" USING audit_log(n INTEGER); INSERT INTO orders(n) VALUES(1)" > made
cron
ok 'the first run succeeds' ends 0
ok 'a line says what was made and where it is' \
    says 'main.orders: checkpoint of 2 leaves in checkpoints/orders.txt'
is 'the file holds the note' "$(cat checkpoints/orders.txt)" "$(db "SELECT audit_checkpoint('orders')" \
    | sed '$d')"
is 'a name that is no plain word gives a file in hexadecimal' \
    "$(ls checkpoints)" "orders.txt
$(printf "x%s.txt" "$(db "SELECT hex(name) FROM audit_logs WHERE name <> 'orders'")")"
ok 'and nothing in it is run' test ! -e pwned
cp checkpoints/orders.txt first
cron
ok 'a run without new entries succeeds' ends 0
is 'and adds nothing' "$(cat checkpoints/orders.txt)" "$(cat first)"
db 'PRAGMA wal_checkpoint(TRUNCATE)' > made
cp trading.db old.db
db 'INSERT INTO orders(n) VALUES(2), (3)'
cron
is 'a later run appends the next note' "$(cat checkpoints/orders.txt)" \
    "$(cat first; db "SELECT audit_checkpoint('orders')" | sed '$d')"
is 'every note of the file verifies by itself' "$(db "SELECT instr(
    audit_verify('orders', CAST(readfile('first') AS TEXT)), 'extends the checkpoint of 2 leaves') > 0")" 1

copy old.db
cron
is 'an older copy of the database is named, with the file' "$out" \
    "main.orders: checkpoints/orders.txt: orders: the checkpoint is of 4 leaves, the log has only 2: it was rolled back
$verdict
exit 1"
db 'INSERT INTO orders(n) VALUES(5), (6), (7)'
cron
ok 'when it went on another way, it is named, too' \
    says "checkpoints/orders.txt: orders: the log's first 4 leaves are not those of the checkpoint"
ok 'and fails' ends 1
is 'nothing was appended by either' "$(grep -c '^example.com/orders$' checkpoints/orders.txt)" 2

db "SELECT audit_discard('orders', 'test'); DROP TABLE orders;
    CREATE VIRTUAL TABLE orders USING audit_log(n INTEGER)" > made
cron
ok 'a log made anew under the same name is another log' \
    says 'checkpoints/orders.txt holds no checkpoint of rustybt/'
rm -f trading.db*

db "CREATE VIRTUAL TABLE log USING audit_log(n INTEGER, origin='example.com/log');
    INSERT INTO log(n) VALUES(1)"
cron
mv checkpoints/log.txt elsewhere
cron
ok 'a file that went away is noticed' \
    says 'log.txt is missing, but the log has a checkpoint of 2 leaves; touch it to begin anew'
ok 'and fails' ends 1
touch checkpoints/log.txt
cron
ok 'an empty one begins anew' ends 0
is 'with the newest checkpoint' "$(cat checkpoints/log.txt)" "$(cat elsewhere)"

db 'INSERT INTO log(n) VALUES(2)'
printf 'example.com/log\n3\nAAAA' >> checkpoints/log.txt
cron
ok 'a torn note at the end is noticed' \
    says 'log.txt: log: the checkpoint is no signed checkpoint: it has no empty line'
ok 'and fails' ends 1
head -c -5 elsewhere > checkpoints/log.txt
cron
ok 'also one that lacks only its last bytes' says 'no signed checkpoint: its last line has no newline'
export RUSTYBT_CHECKPOINT_DIR=full
mkdir full bin
touch full/log.txt
# writes 20 bytes and fails, as on a full disk; given a file to read, it is cat
printf '#!/bin/sh\n[ $# = 0 ] && { head -c 20; exit 1; }\nexec /bin/cat "$@"\n' > bin/cat
chmod +x bin/cat
out=$(PATH="$scratch/bin:$PATH" db < "$script"; echo "exit $?")
ok 'a disk that fills up while the note is written is noticed' \
    says 'a checkpoint did not reach its file whole'
ok 'and fails' ends 1
cron
ok 'and again by the next run' ends 1
unset RUSTYBT_CHECKPOINT_DIR
cp elsewhere checkpoints/log.txt

export RUSTYBT_CHECKPOINT_DIR="$scratch/an other's \$folder"
mkdir "$RUSTYBT_CHECKPOINT_DIR"
touch "$RUSTYBT_CHECKPOINT_DIR/log.txt"
cron
ok 'the folder may have any name' ends 0
ok 'and holds the file' test -s "$RUSTYBT_CHECKPOINT_DIR/log.txt"
export RUSTYBT_CHECKPOINT_DIR=/proc/nowhere
cron
ok 'a folder that cannot be made is an error' ends 1
unset RUSTYBT_CHECKPOINT_DIR

db 'INSERT INTO log(n) VALUES(3)'
db < "$script" > one & db < "$script" > two
wait
is 'of two runs at once both succeed' "$(cat one two)" \
    'main.log: checkpoint of 4 leaves in checkpoints/log.txt
main.log: checkpoint of 4 leaves in checkpoints/log.txt'
is 'and one note is appended' "$(grep -c '^example.com/log$' checkpoints/log.txt)" 2

sqlite3 -batch trading.db "DROP TRIGGER log_rows_insert"
db 'INSERT INTO log(n) VALUES(4)'
cron
ok 'a log that does not verify gets no checkpoint' says 'trigger log_rows_insert is missing'
is 'and its file no note' "$(grep -c '^example.com/log$' checkpoints/log.txt)" 2
done_testing
