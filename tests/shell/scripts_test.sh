# SPDX-License-Identifier: MIT
# The scripts of sql/: schema.sql, archive.sql, expire.sql and rotate.sql, run as people and cron run them.
. tests/shell/tap.sh
case $TEST_BUILD in *sanitize) skip_all 'the sqlite3 shell loads no library with sanitizers' ;; esac
plan 55

umask 077
bare() { sqlite3 -init /dev/null -batch "$scratch/$database" "$@" 2>&1; }
db() {
    sqlite3 -init /dev/null -batch -bail -cmd ".load $TEST_EXTENSION" "$scratch/$database" "$@" 2>&1
}
no_lines() { sed 's/ near line [0-9]*:/:/'; }
# script name: its output, then its exit code
script() {
    db < "sql/$1" > "$scratch/script"
    code=$?
    no_lines < "$scratch/script"
    echo "exit $code"
}
says() { printf '%s\n' "$1" | grep -qF -e "$2"; }
keygen() { sqlite3 -init /dev/null -batch :memory: ".load $TEST_EXTENSION" 'SELECT keygen()'; }
use_keys() {
    printf '%s\n' "$1" > "$scratch/keys"
    export RUSTYBT_ENCRYPTION_KEY_FILE="$scratch/keys"
}
old_key=$(keygen)
new_key=$(keygen)
use_keys "$old_key"

# ------------------------------------------------------------------------------------ schema.sql

database=trading.db
ok 'schema.sql loads' db '.read sql/schema.sql'
before=$(db .schema)
ok 'schema.sql loads a second time' db '.read sql/schema.sql'
is 'the second time changes nothing' "$(db .schema)" "$before"
database=without.db
is 'without the extension it leaves nothing behind' \
    "$(bare -bail < sql/schema.sql | no_lines; bare 'SELECT count(*) FROM sqlite_schema')" \
    'Runtime error: no such module: audit_log
0'
database=trading.db
columns=id,broker_name,connection_type,api_key_encrypted,api_secret_encrypted
columns=$columns,additional_credentials,base_url,is_active,created_at,updated_at,last_connected_at
is 'broker_connections has the columns that the platform expects' \
    "$(db "SELECT group_concat(name, ',') FROM pragma_table_info('broker_connections')")" "$columns"

is 'an order logs its life by itself, under trusted_schema=OFF too' "$(db <<'END'
PRAGMA trusted_schema=OFF;
PRAGMA foreign_keys=ON;
PRAGMA recursive_triggers=ON;
INSERT INTO equities(sid, symbol) VALUES(1, 'AAPL');
INSERT INTO orders(id, strategy_id, asset_sid, side, order_type, amount, limit_price, updated_at)
    VALUES('o1', 'm', 1, 'buy', 'limit', 100, '133.10', 1673533800);
UPDATE orders SET limit_price = '133.20';
UPDATE orders SET status = 'partially_filled', filled_amount = '40', fill_price = '133.15';
UPDATE orders SET status = 'filled', filled_amount = '100';
INSERT INTO orders(id, strategy_id, asset_sid, side, order_type, amount) VALUES('o1', 'm', 1, 'buy',
    'market', '7') ON CONFLICT DO UPDATE SET amount = '101';
DELETE FROM orders;
SELECT id, order_id, event_type, json_extract(event_data, '$.amount', '$.limit_price',
    '$.stop_price', '$.filled_amount', '$.fill_price') FROM order_audit_log;
END
)" '1|o1|submitted|["100","133.10",null,"0",null]
2|o1|amended|["100","133.20",null,"0",null]
3|o1|partially_filled|["100","133.20",null,"40","133.15"]
4|o1|filled|["100","133.20",null,"100","133.15"]
5|o1|amended|["101","133.20",null,"100","133.15"]
6|o1|deleted|["101","133.20",null,"100","133.15"]'
order="INSERT INTO orders(id, strategy_id, asset_sid, side, order_type, amount)"
is 'an order that is rolled back leaves no entry' \
    "$(db "BEGIN; $order VALUES('o2', 'm', 1, 'buy', 'market', '1'); ROLLBACK;
    SELECT count(*) FROM order_audit_log")" 6
fails 'a limit order without a price is refused' db "$order VALUES('o3', 'm', 1, 'buy', 'limit', 1)"
fails 'an amount of zero is refused' db "$order VALUES('o3', 'm', 1, 'buy', 'market', '0')"
fails 'an amount with an exponent is refused' \
    db "$order VALUES('o3', 'm', 1, 'buy', 'market', '1e3')"
fails 'an amount that would escape from its JSON is refused' \
    db "$order VALUES('o3', 'm', 1, 'buy', 'market', '1\",\"status\":\"filled')"
fails 'an order does not change its id' \
    db "$order VALUES('o4', 'm', 1, 'buy', 'market', 1); UPDATE orders SET id = 'o5'"
is "the specification's query looks up both columns of an index" \
    "$(db "EXPLAIN QUERY PLAN $(grep -v '^--' sql/demo_query.sql)" \
    | grep -c 'WHERE "asset_sid" = .*"event_timestamp" >= ')" 1

connection='INSERT INTO broker_connections(broker_name, api_key_encrypted'
ok 'a token of encrypt() is stored' \
    db "$connection, api_secret_encrypted) VALUES('binance', encrypt('key', 'binance/live/api_key'),
    encrypt('secret', 'binance/live/api_secret'))"
ok 'Fernet tokens are stored, as BLOB and as TEXT' \
    db "$connection, api_secret_encrypted, connection_type, additional_credentials)
    VALUES('alpaca', fernet_encrypt('k'), CAST(fernet_encrypt('s') AS TEXT), 'paper',
    encrypt('{}', 'alpaca/paper/additional_credentials'))"
fails 'a plain api_key is refused' db "$connection) VALUES('kraken', 'abc')"
fails 'a plain api_secret is refused' \
    db "$connection, api_secret_encrypted) VALUES('kraken', encrypt('k'), x'616263')"
fails 'plain additional_credentials are refused' \
    db "$connection, additional_credentials) VALUES('kraken', encrypt('k'), '{}')"
fails 'a slash in broker_name is refused' db "$connection) VALUES('a/b', encrypt('k'))"
fails 'http: is refused as base_url' \
    db "$connection, base_url) VALUES('kraken', encrypt('k'), 'http://api.kraken.com')"
fails 'a rename that would leave the secrets behind is refused' \
    db "UPDATE broker_connections SET connection_type = 'paper' WHERE broker_name = 'binance'"
ok 'a rename with new tokens is allowed' \
    db "BEGIN; UPDATE broker_connections SET connection_type = 'paper',
    api_key_encrypted = encrypt('key', 'binance/paper/api_key'),
    api_secret_encrypted = encrypt('secret', 'binance/paper/api_secret')
    WHERE broker_name = 'binance'; ROLLBACK"

# ------------------------------------------------------------------------------------ rotate.sql

out=$(script rotate.sql)
is 'rotate.sql has nothing to do under one key' "$out" "5 secrets: 0 rotated, 5 under key $(db \
    'SELECT key_id()') already
0 subject keys: 0 rotated, 0 under key $(db 'SELECT key_id()') already
nothing to hand over in 1 log: order_audit_log
finished: nothing in this database needs a key other than $(db 'SELECT key_id()')
exit 0"
use_keys "$old_key,$new_key"
out=$(script rotate.sql)
ok 'run too early, with old,new, it hands nothing over to the old key' says "$out" \
    "nothing to hand over in 1 log: order_audit_log"
ok 'and says that it is the new one that is not needed' says "$out" \
    "key $(db 'SELECT key_id FROM key_ring WHERE NOT is_primary') is in the ring and not needed"
use_keys "$new_key,$old_key"
new_id=$(db 'SELECT key_id()')
# in a folder that all may write to, as /tmp: someone has put a file in the way, which rm cannot remove
mkdir "$scratch/bin" "$scratch/tmp"
printf '#!/bin/sh\nexit 1\n' > "$scratch/bin/rm"
chmod +x "$scratch/bin/rm"
out=$(sh -c 'echo ".shell touch \"$1/planted\"" > "$1/tmp/rustybt-rotate-$$"
    TMPDIR=$1/tmp PATH=$1/bin:$PATH exec sqlite3 -init /dev/null -batch -bail -cmd ".load $2" \
    "$1/trading.db"' sh "$scratch" "$TEST_EXTENSION" < sql/rotate.sql 2>&1)
ok 'rotate.sql runs nothing that others have put into the folder of temporary files' \
    test ! -e "$scratch/planted"
ok 'says that it could not write there, and what is left to do' says "$(echo $out)" \
    'File exists 5 secrets: 0 rotated, 0 under key '"$new_id"' already, 5 left'
out=$(script rotate.sql)
ok 'it rotates every secret, of every format' says "$out" \
    "5 secrets: 5 rotated, 0 under key $new_id already"
ok 'the log is handed over, and its seal made anew' says "$out" \
    "signing key handed over in 1 log: order_audit_log (size 8); nothing to hand over in 1 log: \
rustybt_events; sealed under key $new_id now: order_audit_log"
is 'it succeeds' "$(printf '%s\n' "$out" | tail -n 1)" 'exit 0'
ok 'a second run finds all done' says "$(script rotate.sql)" \
    "5 secrets: 0 rotated, 5 under key $new_id already"
use_keys "$new_key"
is 'the secrets open without the old key, each with its storage class' "$(db "SELECT
    typeof(api_key_encrypted), typeof(api_secret_encrypted),
    iif(broker_name = 'binance', decrypt(api_secret_encrypted, 'binance/live/api_secret'),
        decrypt(api_secret_encrypted)) FROM broker_connections")" 'blob|blob|secret
blob|text|s'
ok 'and the new key alone is enough' says "$(script rotate.sql)" \
    "finished: nothing in this database needs a key other than $new_id"
use_keys "$old_key"
out=$(script rotate.sql)
ok 'a secret whose key is missing is named' says "$out" \
    "binance/live/api_key: under key $new_id, which is not in the ring"
is 'and then it does not call itself finished' "$(printf '%s\n' "$out" | tail -n 2)" \
    'Runtime error: CHECK constraint failed: no key in the ring opens the tokens above (19)
exit 1'
cp "$scratch/trading.db" "$scratch/foreign.db"
database=foreign.db
use_keys "$(keygen)"
token=$(db "SELECT CAST(fernet_encrypt('{}') AS TEXT)")
use_keys "$new_key"
db "UPDATE broker_connections SET additional_credentials = '$token' WHERE id = 1"
out=$(script rotate.sql)
ok 'so is where a Fernet token of a missing key stands' says "$out" \
    'broker_connections.additional_credentials: 1 Fernet token that no key in the ring made'
is 'which stops it as well' "$(printf '%s\n' "$out" | tail -n 1)" 'exit 1'
database=trading.db
use_keys "$(keygen),$new_key"
db "UPDATE broker_connections SET api_key_encrypted = api_secret_encrypted WHERE id = 1" \
    > "$scratch/out"
tokens="SELECT hex(api_key_encrypted), hex(api_secret_encrypted) FROM broker_connections"
before=$(db "$tokens")
is 'a token in the wrong place stops it' "$(script rotate.sql | tail -n 1)" 'exit 1'
is 'and then nothing has changed' "$(db "$tokens")" "$before"
database=trading.db

# ----------------------------------------------------------------------------------- archive.sql

use_keys "$new_key"
ok 'archive.sql succeeds with nothing to archive' db '.read sql/archive.sql'
database=aging.db
db "CREATE VIRTUAL TABLE aging USING audit_log(a TEXT NOT NULL, archive='cold',
    archive_after='1 second'); INSERT INTO aging(a) VALUES('x'), ('y');
    CREATE VIRTUAL TABLE staying USING audit_log(a TEXT NOT NULL)"
sleep 1.1
is 'loaded by bare name, it archives, verifies and prunes, and says each segment' \
    "$(ln -s "$TEST_EXTENSION.so" "$scratch/rustybt.so"; LD_LIBRARY_PATH=$scratch bare \
    < sql/archive.sql | sed "s/[0-9]* bytes as [0-9]*/bytes/; s/root.*//; s|$scratch/||"
    db 'SELECT *, tier FROM aging' | cut -d '|' -f 1,3,4)" \
    'aging: archived entries 1 to 2, bytes, into cold/aging-000000000000-000000000002.jsonl.zst
aging: 2 entries, 1 signed segment, 
rustybt_events: 1 entry, 
staying: 0 entries, 
aging: pruned entries 1 to 2, which cold/aging-000000000000-000000000002.jsonl.zst holds
1|x|cold
2|y|cold'
db "INSERT INTO aging(a) VALUES('z'); CREATE VIRTUAL TABLE bent USING audit_log(a TEXT,
    archive='cold', archive_after='1 us'); INSERT INTO bent(a) VALUES('b')"
sleep 1.1
bare "DROP TRIGGER bent_rows_insert" > "$scratch/out"
out=$(script archive.sql)
is 'where a log does not verify, it fails' "$(printf '%s\n' "$out" | tail -n 1)" 'exit 1'
ok 'and says which' says "$out" 'error: bent: trigger bent_rows_insert is missing'
is 'and prunes nothing of it' "$(db 'SELECT tier FROM bent')" hot
ok 'but goes on with the others' says "$out" 'aging: pruned entries 3 to 3'
out=$(export TMPDIR="$scratch/no such folder"; script archive.sql)
ok 'where it cannot count it says that it pruned nothing' says "$out" \
    'not every log had its turn to be pruned'

# ------------------------------------------------------------------------------------ expire.sql

is 'without retain expire.sql removes nothing, and tells what is wrong' \
    "$(script expire.sql | sed 's/; it should read.*//')" \
    'error: bent: trigger bent_rows_insert is missing
nothing expired: no log declares retain
Runtime error: CHECK constraint failed: not all logs are sound: see above (19)
exit 1'
database=expiring.db
db "CREATE VIRTUAL TABLE going USING audit_log(a TEXT, archive='cold2', archive_after='1 us',
    retain='1 ms'); INSERT INTO going(a) VALUES('x'), ('y')"
sleep 0.01
script archive.sql > "$scratch/out"
db "INSERT INTO going(a) VALUES('z')" "SELECT audit_hold('going', 'inquiry', 1, 1)" > "$scratch/out"
is 'it says what is past its time and held' "$(script expire.sql)" \
    'going: nothing expired; 1 segment past the date is held
held: going, entries 1 to 1: inquiry (hold 4)
exit 0'
db "SELECT audit_release(4, 'closed')" > "$scratch/out"
is 'it says each segment that it removes' "$(script expire.sql | sed "s|$scratch/||")" \
    'going: 2 entries expired, with 1 segment
going: removed entries 1 to 2, with cold2/going-000000000000-000000000002.jsonl.zst
exit 0'
is 'and a second time that there is nothing' "$(script expire.sql)" 'going: nothing expired
exit 0'
is 'archive.sql goes on as ever' "$(script archive.sql | tail -n 1)" 'exit 0'
database=empty.db
is 'a database without a log is an error' "$(script archive.sql)" \
    'Runtime error: CHECK constraint failed: this database has no audit log (19)
exit 1'
database=aging.db
is 'without the extension it is an error' \
    "$(bare < sql/archive.sql > "$scratch/out"; echo $?; grep -c rustybt "$scratch/out")" '1
1'
unset RUSTYBT_ENCRYPTION_KEY_FILE
is 'without a key it is an error' "$(script archive.sql | tail -n 1)" 'exit 1'
is 'no secret stands in the database in plain' "$(grep -c -a -F "$old_key" "$scratch/trading.db")" 0
done_testing
