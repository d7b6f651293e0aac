# SPDX-License-Identifier: MIT
# A firm rehearses its recovery: the commands of the README's section "Recovery", as they stand there,
# on a database with a credential, a log that is partly cold, and a signing key of its own.
# README=file takes the section from another file.
. tests/shell/tap.sh
case $TEST_BUILD in *sanitize) skip_all 'the sqlite3 shell loads no library with sanitizers' ;; esac
readme=${README:-README.md}
plan 20

# section n: the nth block of commands
section() {
    awk -v wanted="$1" '
        /^## / { ours = $0 == "## Recovery" }
        /^```$/ { inside = 0 }
        inside && block == wanted
        ours && /^```sh$/ { inside = 1; block++ }' "$readme" > "$scratch/block$1"
    [ -s "$scratch/block$1" ]
}
# run folder n: that block, in that folder, with the passphrase typed in; what it prints is in said$n
run() {
    (cd "$1" && printf '%s\n' "$passphrase" | sh -eu "$scratch/block$2" > "$scratch/said$2" 2>&1)
}
passphrase='anvil marble otter quince thimble'
library=$(cd "$(dirname "$TEST_EXTENSION")" && pwd)
schema=$PWD/sql/schema.sql
firm=$scratch/firm elsewhere=$scratch/elsewhere
mkdir "$firm" "$elsewhere"
ln -s "$library" "$firm/build"
ln -s "$library" "$elsewhere/build"
db() { sqlite3 -init /dev/null -batch -bail -cmd ".load $TEST_EXTENSION" "$@" 2>&1; }
export HOME="$scratch"

ok 'the section has three blocks of commands' eval 'section 1 && section 2 && section 3'

umask 077
db :memory: 'SELECT keygen()' > "$firm/encryption.key"
db :memory: "SELECT keygen('signing')" > "$firm/signing.key"
export RUSTYBT_ENCRYPTION_KEY_FILE="$firm/encryption.key"
export RUSTYBT_SIGNING_KEY_FILE="$firm/signing.key"
db "$firm/trading.db" ".read $schema" "INSERT INTO broker_connections(broker_name, api_key_encrypted)
    VALUES('binance', encrypt('0123456789', 'binance/live/api_key'));
    INSERT INTO equities(sid, symbol) VALUES(1, 'AAPL');
    INSERT INTO orders(id, strategy_id, asset_sid, side, order_type, amount)
    VALUES('o1', 'm', 1, 'buy', 'market', '1');
    UPDATE orders SET status = 'filled', filled_amount = '1', fill_price = '2';" \
    "SELECT audit_archive('order_audit_log', 'cold', 'now')" \
    "SELECT audit_prune('order_audit_log')" 'DELETE FROM orders' > "$scratch/out"
is 'there is a log, cold and hot' \
    "$(db "$firm/trading.db" 'SELECT id, tier FROM order_audit_log')" '1|cold
2|cold
3|hot'
id=$(db :memory: 'SELECT key_id()')

ok 'the keys are backed up' run "$firm" 1
is 'the paper begins with the key id' "$(head -n 1 "$scratch/said1")" "$id"
is 'what is kept is private, and the passphrase is gone' \
    "$(cd "$firm" && find keys.backup -perm /077; ls passphrase 2> "$scratch/out")" ''
is 'no key stands in it' "$(cat "$firm"/*.key | grep -c -F -f - "$firm/keys.backup")" 0
ok 'database and archive are copied' run "$firm" 2
db "$firm/trading.db" 'DELETE FROM broker_connections' > "$scratch/out"
db "$firm/trading.db" "INSERT INTO orders(id, strategy_id, asset_sid, side, order_type, amount)
    VALUES('o2', 'm', 1, 'buy', 'market', '1')" > "$scratch/out"

# Another machine: nothing but the copy, and the paper typed in.
cp -R "$firm/copy/." "$elsewhere"
tail -n +2 "$scratch/said1" > "$elsewhere/keys.backup"
rm "$firm/encryption.key" "$firm/signing.key"
unset RUSTYBT_ENCRYPTION_KEY_FILE RUSTYBT_SIGNING_KEY_FILE
fails 'without the keys nothing opens' \
    db "$elsewhere/trading.db" "SELECT decrypt(api_key_encrypted) FROM broker_connections"
ok 'the rehearsal succeeds' run "$elsewhere" 3
says() { grep -q -x -e "$1" "$scratch/said3"; }
ok 'the key id is the one on the paper' says "$id"
ok 'a credential opens, and only its length is shown' says 'binance|10'
ok 'the log verifies, cold and hot, under the signing key that came back' \
    says "order_audit_log: 3 entries (1 hot, 2 cold), 1 signed segment, root [0-9a-f]*, sealed under key $id"
ok 'its root is as noted' says 'order_audit_log|as noted'
ok 'so is that of the events' says 'rustybt_events|as noted'
is 'no root is another' "$(grep -c 'NOT AS NOTED' "$scratch/said3")" 0
is 'no key and no passphrase stays' \
    "$(ls "$elsewhere/keys.env" "$elsewhere/passphrase" 2> "$scratch/out")" ''

# It fails when it should.
passphrase='anvil marble otter quince thimbles'
fails 'a wrong passphrase stops it' run "$elsewhere" 3
ok 'and is called that' grep -q 'key_restore: the passphrase is wrong' "$scratch/said3"
passphrase='anvil marble otter quince thimble'
sed -i '2s/.$/-/' "$elsewhere/keys.backup"
fails 'a mistyped character stops it' run "$elsewhere" 3
ok 'and is found' grep -q 'base64 does not have: line 2, column 64' "$scratch/said3"
done_testing
