# SPDX-License-Identifier: MIT
# Litestream replicates a live database with a log to a folder while a writer appends, archives and
# prunes; what it restores is the log at a committed transaction, and at the end the same log.
. tests/shell/tap.sh
. tests/shell/readme.sh
case $TEST_BUILD in *sanitize) skip_all 'the sqlite3 shell loads no library with sanitizers' ;; esac
tools=$PWD/build/readers/node_modules/@flydotio/litestream-linux-x64
[ -e "$tools/.fetched" ] || skip_all 'Litestream is not here (make readers)'
plan 20

export RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
block=$(readme_block 'Replication with Litestream' sh 1)
cd "$scratch" || exit 2
cat > db <<END
#!/bin/sh
exec sqlite3 -init /dev/null -batch -bail -cmd '.timeout 20000' -cmd '.load $TEST_EXTENSION' "\$@"
END
chmod +x db
PATH=$tools:$PATH
export PATH

./db live.db "PRAGMA journal_mode = WAL; CREATE VIRTUAL TABLE log USING audit_log(t TEXT, n INTEGER,
    INDEX(n), archive='cold', origin='example.com/log')" "INSERT INTO log(t, n) VALUES('first', 1)" > made
cat > litestream.yml <<END
dbs:
  - path: $scratch/live.db
    monitor-interval: 50ms
    min-checkpoint-page-count: 200
    replicas:
      - path: $scratch/replica
        sync-interval: 100ms
END

# Runs under Litestream, which ends, synced, when this does. In its midst, while it goes on appending, a
# replica is restored.
cat > writer <<'END'
set -eu
append() {
    ./db live.db "INSERT INTO log(t, n) WITH RECURSIVE i(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM i
        WHERE k < $1) SELECT hex(randomblob(20)), audit_size('log') FROM i"
}
trap 'touch enough' EXIT
# until the replica can be restored: Litestream's first snapshot
tries=0
until litestream restore -config litestream.yml -o "early$tries.db" live.db 2> early.log; do
    append 5
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] || exit 1
    sleep 0.1
done
mv "early$tries.db" early.db
(while [ ! -e enough ]; do append 7; done) &
background=$!
append 300
./db live.db "SELECT audit_archive('log', 'cold', 'now')" "SELECT audit_prune('log')"
./db live.db "SELECT audit_checkpoint('log')" > checkpoint
litestream restore -config litestream.yml -o midst.db live.db
append 100
touch enough
wait "$background"
append 3
./db live.db "SELECT audit_checkpoint('log')" > last
END
ok 'a writer appends, archives and prunes under Litestream' \
    litestream replicate -config litestream.yml -exec 'sh writer'
ok 'the log is hot and cold' test "$(./db live.db 'SELECT count(DISTINCT tier) FROM log')" = 2

roots() { ./db "$1" "SELECT audit_root('log'), audit_size('log'), audit_root('rustybt_events')"; }
verdict() { ./db "$1" "SELECT audit_verify('*')" 2>&1; }
verdict live.db > verdict
for moment in early midst; do
    size=$(./db $moment.db "SELECT audit_size('log')")
    is "what was restored while it wrote ($moment) verifies" "$(verdict $moment.db | grep -c 'root')" \
        "$(./db $moment.db "SELECT count(*) FROM audit_logs")"
    is 'and has the root that the live log had at that size' "$(./db $moment.db "SELECT audit_root('log')")" \
        "$(./db live.db "SELECT audit_root('log', $size)")"
    ok 'which is a part of it' test "$size" -lt "$(./db live.db "SELECT audit_size('log')")"
done

# At the end: the commands of the README, on another machine, with the folder of segments and without.
mkdir elsewhere
cp -R replica elsewhere/replica
ok 'the README has commands' test -n "$block"
cd elsewhere || exit 2
printf '%s\n' "$block" | sed "s|'.load rustybt'|'.load $TEST_EXTENSION'|" > commands
if sh -eu commands > said 2>&1; then status=succeeded; else status=failed; fi
is 'they fail while the segments are missing' "$status" failed
ok 'and name the first that is' grep -q 'cold/log-000000000000-[0-9]*.jsonl.zst' said
ok 'but restore the database' test -e restored.db
rm -f restored.db
cp -R ../cold .
ok 'with the segments they succeed' sh -eu commands
cp ../db .
is 'the restored log is the live one: root, size and events' "$(roots restored.db)" "$(cd .. && roots live.db)"
is 'it verifies with the same words' "$(verdict restored.db)" "$(cat ../verdict)"
is 'entry by entry' "$(./db restored.db 'SELECT *, tier FROM log' | sha256sum)" \
    "$(cd .. && ./db live.db 'SELECT *, tier FROM log' | sha256sum)"
check="SELECT kind FROM audit_verify('log', rtrim(readfile('%s'), char(10)) || char(10)) WHERE level = 'error'"
# shellcheck disable=SC2059 # the format is the query above
is 'against the last checkpoint, kept outside' "$(./db restored.db "$(printf "$check" ../last)")" ''
is 'which an older replica does not reach' "$(./db ../early.db "$(printf "$check" ../last)")" rolled_back
is 'the restored log goes on' "$(./db restored.db "INSERT INTO log(t) VALUES('next')" \
    "SELECT t FROM log ORDER BY id DESC LIMIT 1")" next
ok 'and verifies' ./db restored.db "SELECT audit_verify('*')"
done_testing
