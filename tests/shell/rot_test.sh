# SPDX-License-Identifier: MIT
# Bits lost on disk: the README's section "Rot" as it stands there. par2 mends damaged segments; what it
# cannot mend is named frame by frame, and the rest stays readable.
. tests/shell/tap.sh
. tests/shell/readme.sh
case $TEST_BUILD in *sanitize) skip_all 'the sqlite3 shell loads no library with sanitizers' ;; esac
command -v par2 > /dev/null || skip_all 'par2 is not installed'
plan 20

export RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
db() { sqlite3 -init /dev/null -batch -bail -cmd ".load $TEST_EXTENSION" "$scratch/test.db" "$@" 2>&1; }
for n in 1 2; do
    ok "the section has block $n of commands" readme_block Rot sh "$n"
    readme_block Rot sh "$n" > "$scratch/commands$n"
done
ok 'and one of queries' readme_block Rot sql 1
readme_block Rot sql 1 > "$scratch/queries"
cd "$scratch" || exit 2
run() { sh -eu "commands$1" 2>&1; }

db "CREATE VIRTUAL TABLE log USING audit_log(t TEXT, archive='cold')" > out
for last in 1000 2000; do
    db "INSERT INTO log(t) WITH RECURSIVE i(n) AS (SELECT audit_size('log') UNION ALL SELECT n + 1 FROM i
        WHERE n < $last) SELECT hex(randomblob(100)) FROM i; SELECT audit_archive('log', 'cold', 'now')" > out
done
db "SELECT audit_prune('log')" > out
a=cold/log-000000000000-000000001000.jsonl.zst
b=cold/log-000000001001-000000002000.jsonl.zst
intact=$(db "SELECT audit_verify('log')")
sums=$(sha256sum "$a" "$b")
ok 'the sidecars are made' run 1
is 'one for each segment, and its recovery file' "$(find cold -name '*.par2' | wc -l)" 4
ok 'a second time nothing is made anew' run 1
is 'the log verifies as before: sidecars disturb nothing' "$(db "SELECT audit_verify('log')")" "$intact"
is 'and the folder holds two segments still' "$(db "SELECT archive_verify('cold/*.jsonl.zst')" | cut -d ' ' -f 1)" 2

rot() { head -c "$3" /dev/zero | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
rot "$a" 2000 1000
rot "$b" 0 100
rot "$b" 50000 1
rot "$b" "$(($(wc -c < "$b") - 200))" 200
is 'damage in both is found' "$(db "SELECT DISTINCT substr(detail, 1, instr(detail, ':') - 1)
    FROM archive_verify('cold/*.jsonl.zst') WHERE level = 'error' ORDER BY 1")" "$(printf '%s\n' "$a" "$b")"
fails 'the log does not answer with fewer rows' db "SELECT count(t) FROM log"
ok 'par2 mends it' run 2
is 'every byte is as it was' "$(sha256sum "$a" "$b")" "$sums"
is 'and the log verifies' "$(db "SELECT audit_verify('log')")" "$intact"
is 'the log answers' "$(db 'SELECT count(t) FROM log')" 2000
ok 'nothing is left to mend' run 2

# More than a tenth is gone: what is left can be read.
rot "$a" 1000 60000
fails 'par2 says when it cannot mend' run 2
is 'the queries name the loss' "$(db "$(sed -n '/problem/p' queries)" | cut -d '|' -f 1-3)" "$a|1|1000"
is 'and give the entries of the rest' "$(db "$(sed '/problem/d' queries)" | cut -d '|' -f 1 | sed -n '1p;$p')" '1001
2000'
is 'as they were hashed' "$(db "SELECT count(*) FROM archive_salvage('cold/*.jsonl.zst') WHERE leaf IS NOT NULL
    AND leaf <> audit_leaf('log', id)")" 0
is 'nothing is missing from the account' "$(db "SELECT count(leaf) + sum(lost) FROM
    archive_salvage('cold/*.jsonl.zst')")" 2000
done_testing
