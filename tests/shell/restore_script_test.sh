# SPDX-License-Identifier: MIT
# sql/restore.sql: logs made again on a machine that has only their segments and the key.
. tests/shell/tap.sh
case $TEST_BUILD in *sanitize) skip_all 'the sqlite3 shell loads no library with sanitizers' ;; esac
plan 5

export RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
export RUSTYBT_RESTORE_DIR="$scratch/new/cold"
db() {
    sqlite3 -init /dev/null -batch -bail -cmd ".load $TEST_EXTENSION" "$scratch/$1" "$2" 2>&1
}
restore() {
    sqlite3 -init /dev/null -batch -cmd ".load $TEST_EXTENSION" "$scratch/new/$1" \
        < sql/restore.sql > "$scratch/script" 2>&1
    code=$?
    cut -d : -f 1-2 "$scratch/script"
    echo "exit $code"
}
mkdir "$scratch/old" "$scratch/new"
db old/log.db "CREATE VIRTUAL TABLE order_audit_log USING audit_log(a TEXT, archive='cold');
    INSERT INTO order_audit_log(a) VALUES('x'), ('y');
    SELECT audit_archive('order_audit_log', 'cold', 'now');
    SELECT audit_archive('rustybt_events', 'cold', 'now');" > /dev/null
root=$(db old/log.db "SELECT audit_root('order_audit_log')")
cp -r "$scratch/old/cold" "$scratch/new/cold"

is 'the log is restored, and rustybt_events before it' "$(restore log.db | cut -d , -f 1)" \
    'rustybt_events: restored 1 entry from 1 segment
order_audit_log: restored 2 entries from 1 segment
exit 0'
is 'with its root' "$(db new/log.db "SELECT audit_root('order_audit_log')")" "$root"
is 'run again, it verifies what is there' "$(restore log.db)" \
    'there already: rustybt_events
there already: order_audit_log
exit 0'
export RUSTYBT_RESTORE_LOGS='absent'
is 'a log without segments is an error' "$(restore other.db | tail -n 1)" 'exit 1'
is 'and leaves nothing behind' "$(db new/other.db 'SELECT count(*) FROM sqlite_schema')" 0
done_testing
