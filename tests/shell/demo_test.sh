# SPDX-License-Identifier: MIT
# The demo checks its own claims; here: that it succeeds, from any folder, with trades of one's own,
# whatever the caller's environment says, and that it fails when it should. And that the README is
# true: the functions it names, and its way of auditing a segment.
. tests/shell/tap.sh
. tests/shell/readme.sh
case $TEST_BUILD in *sanitize) skip_all 'the sqlite3 shell loads no library with sanitizers' ;; esac
plan 19

export EXTENSION="$TEST_EXTENSION" DEMO="$scratch/demo" DATA=
demo() {
    sh "$root/sql/demo.sh" > "$scratch/out" 2> "$scratch/err"
    code=$?
    [ "$code" = 0 ] || sed 's/^/# /' "$scratch/err"
    return "$code"
}
root=$PWD
says() { grep -qF -e "$1" "$scratch/out"; }
db() { sqlite3 -init /dev/null -batch -cmd ".load $TEST_EXTENSION" "$DEMO/trading.db" "$@"; }

ok 'the demo succeeds' demo
ok 'it has several thousand events' says ', 5806 events in '
is 'no line is wider than 100 columns' "$(awk 'length > 100' "$scratch/out" | grep -c .)" 0
is 'no key and no API key is shown' \
    "$(cat "$DEMO"/*.key "$DEMO"/secrets/* | grep -c -F -f - "$scratch/out")" 0
is 'every key file is private' "$(find "$DEMO" -name '*key' -perm /077 | grep -c .)" 0

# ------------------------------------------------------------------------------------ README.md

# The rows are made by: SELECT '| `' || replace(signature, '|', '\|') || '` | ' || needs || ' | '
# || description || ' |' FROM rustybt_help
listed=$(sed -n '/^| signature |/,/^$/p' README.md | sed -n 's/^| `\([^`]*\)`.*/\1/p')
is 'the README lists exactly what rustybt_help lists, in its order' "$listed" \
    "$(sqlite3 -init /dev/null -batch :memory: ".load $TEST_EXTENSION" \
        "SELECT replace(signature, '|', '\\|') FROM rustybt_help WHERE signature IS NOT NULL
        GROUP BY signature ORDER BY min(rowid)" 2> "$scratch/err")"
readme_block 'Auditing with zstd and SHA-256 alone' python 1 > "$scratch/root.py"
export RUSTYBT_ENCRYPTION_KEY_FILE="$DEMO/encryption.key"
export RUSTYBT_SIGNING_KEY_FILE="$DEMO/signing.key"
size=$(db "SELECT last_id + 1 FROM audit_segments('order_audit_log')")
is "the README's script finds the segment's root with zstd and SHA-256 alone" \
    "$(zstd -q -dc "$DEMO"/cold/*.zst | python3 "$scratch/root.py")" \
    "$size $(db "SELECT audit_root('order_audit_log', $size)")"
is 'the README has both commands' "$(grep -cE '^make (demo|test)\b' README.md)" 2
unset RUSTYBT_SIGNING_KEY_FILE RUSTYBT_ENCRYPTION_KEY_FILE

# ------------------------------------------------------------------------------- other ways to run

export RUSTYBT_ENCRYPTION_KEY=nonsense RUSTYBT_ARCHIVE_DIR=/nowhere RUSTYBT_VERIFY_KEYS=nonsense
printf '.mode box\nSELECT 1/0;\n' > "$scratch/.sqliterc"
ok 'it succeeds from another folder, whatever the environment and .sqliterc say' \
    env HOME="$scratch" sh -c 'cd / && sh "$1" > "$2"' sh "$root/sql/demo.sh" "$scratch/out"
unset RUSTYBT_ENCRYPTION_KEY RUSTYBT_ARCHIVE_DIR RUSTYBT_VERIFY_KEYS

export DATA="$scratch/my trades.csv"
cat > "$DATA" <<'END'
Time,Price,Volume
2012-06-21 09:30:00.017460000,2238200,1
2012-06-21 09:30:00.190226000,2238150,121
2012-06-21 15:59:59.5,223.75,26
END
ok 'it takes a file of trades' demo
ok 'and tells how many' says '3 orders, 7 events in '
is 'with their times, prices and volumes' "$(cat "$DEMO/hot.txt")" '1673533800|filled|223.8200|1
1673533800|filled|223.8150|121
1673557199|filled|223.75|26'
export DATA=../shared/data/amzn_trades_2012-06-21.csv
if [ -r "$DATA" ]; then
    ok 'it takes a day of AMZN' demo
    ok 'and logs each trade' says '11419 orders, '
else
    echo "ok 13 - it takes a day of AMZN # SKIP $DATA is not there"
    echo "ok 14 - and logs each trade # SKIP $DATA is not there"
    tap_count=14
fi
export DATA="$scratch/absent.csv"
fails 'a file that is not there is an error' demo
ok 'and is named' grep -qF 'absent.csv' "$scratch/err"
export DATA="$scratch/other.csv"
printf 'a,b\n1,2\n' > "$DATA"
fails 'a file with other columns is an error' demo
ok 'and says which columns it needs' grep -qF 'Time,Price,Volume' "$scratch/err"
export DATA= EXTENSION="$scratch/absent"
fails 'without the extension it is an error' demo
done_testing
