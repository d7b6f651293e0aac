#!/bin/sh
# SPDX-License-Identifier: MIT
# `make demo`: real order events through every part of rustybt, in build/demo, which is made anew.
#
#   DATA=file.csv      trades of your own (columns Time,Price,Volume) in place of a made-up day
#   EXTENSION=path     the extension, without suffix (default build/rustybt)
#   DEMO=folder        where to work (default build/demo); removed first
#
# Whatever is said here is checked: the first claim that does not hold ends it with exit code 1.
set -eu
umask 077
cd "$(dirname "$0")/.."
extension=${EXTENSION:-$PWD/build/rustybt}
demo=${DEMO:-$PWD/build/demo}
data=${DATA:-}

for variable in $(env | sed -n 's/^\(RUSTYBT_[A-Z0-9_]*\)=.*/\1/p'); do unset "$variable"; done

fail() {
    printf '\n  NOT AS CLAIMED: %s\n' "$1" >&2
    exit 1
}

heading() { printf '\n%s\n%s\n' "$1" "$(printf '%s' "$1" | sed 's/./-/g')"; }
say() { printf '  %s\n' "$1"; }
show() { fold -s -w 92 | sed 's/^/    /'; }

ok() { printf '  [ok] %s\n' "$1"; }

# claim sentence got want
claim() {
    [ "$2" = "$3" ] || fail "$1 (expected $3, got $2)"
    ok "$1"
}

# SQLite with the extension on the demo's database; and without it, as an intruder would come.
db() { sqlite3 -init /dev/null -batch -bail -cmd ".load '$extension'" "$database" "$@"; }
intruder() { sqlite3 -init /dev/null -batch -bail "$database" "$@"; }

# refused sentence words command…: it fails, and its message has these words
refused() {
    sentence=$1 words=$2
    shift 2
    if message=$("$@" 2>&1); then fail "$sentence (it succeeded)"; fi
    case $message in
    *"$words"*) ok "$sentence" ;;
    *) fail "$sentence (it failed with: $message)" ;;
    esac
    printf '%s\n' "$message" | sed "s/^Error: [a-z ]*, //; s|$demo/||; s/ ([0-9]*)\$//" | show
}

clock() {
    sqlite3 -init /dev/null -batch :memory: \
        "SELECT round((julianday('now') - 2460000) * 86400, 3)"
}
since() { awk "BEGIN { printf \"%.2f s\", $(clock) - $1 }"; }

started=$(clock)
rm -rf "$demo"
mkdir -p "$demo/secrets"
database=:memory:
printf 'rustybt %s on SQLite %s; everything stays in %s\n' "$(db 'SELECT rustybt_version()')" \
    "$(db 'SELECT sqlite_version()')" "${demo#"$PWD"/}"

heading '1. Keys and credentials'
db 'SELECT keygen()' > "$demo/encryption.key"
db "SELECT keygen('signing')" > "$demo/signing.key"
export RUSTYBT_ENCRYPTION_KEY_FILE="$demo/encryption.key"
export RUSTYBT_SIGNING_KEY_FILE="$demo/signing.key"
# Made-up API keys, in files, as they would come from a broker.
for secret in alpaca_key alpaca_secret binance_key binance_secret; do
    db 'SELECT hex(randomblob(20))' > "$demo/secrets/$secret"
done
database=$demo/trading.db
db < sql/schema.sql
cat > "$demo/connect.sql" <<END
CREATE TEMP TABLE secret(name TEXT PRIMARY KEY, value TEXT);
INSERT INTO secret SELECT value, rtrim(CAST(readfile('$demo/secrets/' || value) AS TEXT), char(10))
    FROM json_each('["alpaca_key","alpaca_secret","binance_key","binance_secret"]');
INSERT INTO broker_connections(broker_name, connection_type, api_key_encrypted,
    api_secret_encrypted, base_url)
SELECT broker, 'live',
    encrypt((SELECT value FROM secret WHERE name = broker || '_key'),
        broker || '/live/api_key'),
    encrypt((SELECT value FROM secret WHERE name = broker || '_secret'),
        broker || '/live/api_secret'),
    url
FROM (SELECT 'alpaca' AS broker, 'https://api.alpaca.markets' AS url
    UNION ALL SELECT 'binance', 'https://api.binance.com');
END
db < "$demo/connect.sql"
db "SELECT printf('%-22s ', broker_name || '/' || connection_type || '/api_key')
    || lower(hex(substr(api_key_encrypted, 1, 24))) || '…  ' || length(api_key_encrypted)
    || ' bytes' FROM broker_connections" | show
key=$(db 'SELECT key_id()')
claim "all four tokens are under key $key" "$(db "SELECT count(*) FROM broker_connections
    WHERE json_extract(token_info(api_key_encrypted), '\$.key_id') = key_id()
    AND json_extract(token_info(api_secret_encrypted), '\$.key_id') = key_id()")" 2
claim 'decrypt() gives back what went in' "$(db "SELECT decrypt(api_key_encrypted,
    'binance/live/api_key') FROM broker_connections WHERE broker_name = 'binance'")" \
    "$(cat "$demo/secrets/binance_key")"
claim 'no API key stands in the file in plain' \
    "$(grep -c -a -F -f "$demo/secrets/binance_key" "$database" || true)" 0
refused 'a token moved to another place does not open' 'decrypt' \
    db "SELECT decrypt(api_key_encrypted, 'alpaca/live/api_key') FROM broker_connections
    WHERE broker_name = 'binance'"
refused 'a secret that nobody encrypted is not stored' 'must be a token of encrypt()' \
    db "INSERT INTO broker_connections(broker_name, api_key_encrypted) VALUES('kraken', 'abc')"

heading '2. A trading day'
db "INSERT INTO equities VALUES (1, 'AAPL', 'Apple', 'XNAS'), (2, 'MSFT', 'Microsoft', 'XNAS'),
    (3, 'NVDA', 'NVIDIA', 'XNAS'), (4, 'AMZN', 'Amazon', 'XNAS'), (5, 'TSLA', 'Tesla', 'XNAS'),
    (6, 'SPY', 'SPDR S&P 500', 'ARCX')"
if [ -n "$data" ]; then
    [ -r "$data" ] || fail "DATA=$data can be read"
    [ "$(head -n 1 "$data" | tr -d '\r"')" = Time,Price,Volume ] \
        || fail "the first line of $data is Time,Price,Volume"
    cp "$data" "$demo/trades.csv"
    say "The trades of $(basename "$data"), as AAPL on 12 January 2023:"
    {
        printf '.import --csv --schema temp "%s" trades\n' "$demo/trades.csv"
        cat sql/demo_trades.sql
    } > "$demo/reports.sql"
else
    say 'Made-up orders of 12 January 2023; each change of an order logs itself:'
    cp sql/demo_day.sql "$demo/reports.sql"
fi
# In the order of their times, 200 reports a statement, all in one transaction.
{
    cat sql/demo_feed.sql "$demo/reports.sql"
    cat <<END
CREATE TEMP TABLE queue AS SELECT * FROM reports ORDER BY time, order_number, step;
.once '$demo/batches.sql'
SELECT printf('INSERT INTO feed SELECT * FROM queue WHERE rowid BETWEEN %d AND %d;',
    min(rowid), max(rowid)) FROM queue GROUP BY rowid / 200;
BEGIN IMMEDIATE;
.read '$demo/batches.sql'
COMMIT;
END
} > "$demo/day.sql"
begun=$(clock)
db < "$demo/day.sql"
took=$(since "$begun")
events=$(db 'SELECT count(*) FROM order_audit_log')
say "$(db 'SELECT count(*) FROM orders') orders, $events events in $took, in one transaction"
db "SELECT printf('%-18s %6d', event_type, count(*)) FROM order_audit_log
    GROUP BY event_type ORDER BY count(*) DESC" | show
claim 'ids run from 1 without a gap' \
    "$(db "SELECT min(id) || '-' || max(id) FROM order_audit_log")" "1-$events"
say 'An entry, exactly as it is hashed and archived:'
db "SELECT audit_leaf('order_audit_log', 2)" | show

heading "3. The specification's query, as it is written there"
show < sql/demo_query.sql
begun=$(clock)
db < sql/demo_query.sql > "$demo/hot.txt"
took=$(since "$begun")
rows=$(wc -l < "$demo/hot.txt" | tr -d ' ')
[ "$rows" -gt 0 ] || fail 'the query finds trades'
say "$rows rows in $took, among them:"
head -n 3 "$demo/hot.txt" | show

heading '4. Append-only'
refused 'UPDATE is refused' 'append-only' \
    db "UPDATE order_audit_log SET event_type = 'cancelled' WHERE id = 2"
refused 'DELETE is refused' 'append-only' db 'DELETE FROM order_audit_log WHERE id = 2'
refused 'also below the log, and without the extension' 'append-only' \
    intruder 'DELETE FROM order_audit_log_rows WHERE id = 2'
claim 'nothing is gone' "$(db 'SELECT count(*) FROM order_audit_log')" "$events"

heading '5. To cold storage'
say 'The first half of the events goes into a segment; then the script that cron runs verifies'
say 'and prunes (sql/archive.sql):'
cutoff=$(db "SELECT recorded_at FROM order_audit_log WHERE id = $((events / 2))")
before=$(wc -c < "$database")
begun=$(clock)
db "SELECT audit_archive('order_audit_log', 'cold', $cutoff)" > "$demo/archive.txt"
db < sql/archive.sql >> "$demo/archive.txt" || fail 'sql/archive.sql succeeds'
took=$(since "$begun")
show < "$demo/archive.txt"
db VACUUM
cold=$(db "SELECT count(*) FROM order_audit_log WHERE tier = 'cold'")
hot=$(db "SELECT count(*) FROM order_audit_log WHERE tier = 'hot'")
[ $((cold * hot)) -gt 0 ] || fail 'the log is in both places'
claim 'every entry is in one place' "$((cold + hot))" "$events"
segment=$(db "SELECT path FROM audit_segments('order_audit_log')")
say "$cold cold, $hot hot, in $took; the segment has $(wc -c < "$segment" | tr -d ' ') bytes,"
say "the database $before before and $(wc -c < "$database" | tr -d ' ') after"
begun=$(clock)
db < sql/demo_query.sql > "$demo/both.txt"
took=$(since "$begun")
cmp -s "$demo/hot.txt" "$demo/both.txt" || fail 'the query over hot and cold gives the same rows'
ok "the same query over hot and cold gives the same $rows rows, in $took"
claim 'the segment verifies by itself' \
    "$(db "SELECT count(*) FROM archive_verify('$segment') WHERE level = 'error'")" 0
say 'It needs nothing of ours to be read: zstd -dc gives lines of JSON, the genesis first'
zstd -q -dc "$segment" | sed -n 1,3p | cut -c 1-88 | sed 's/$/…/' | show

heading '6. An intruder'
mkdir "$demo/attacked"
cp -R "$demo/trading.db" "$demo/cold" "$demo/attacked"
database=$demo/attacked/trading.db
stolen=$demo/attacked/cold/$(basename "$segment")
claim 'the copy is intact to begin with' \
    "$(db "SELECT count(*) FROM audit_verify('*') WHERE level = 'error'")" 0
row=$(db "SELECT min(id) FROM order_audit_log
    WHERE event_type = 'filled' AND id > $((events * 3 / 4))")
change="UPDATE order_audit_log_rows SET event_data = replace(event_data,
    '\"fill_price\":\"', '\"fill_price\":\"9') WHERE id = $row"
say "Without the extension: the fill price of entry $row"
refused 'a plain UPDATE is refused' 'append-only' intruder "$change"
trigger=$(intruder "SELECT sql FROM sqlite_schema WHERE name = 'order_audit_log_rows_update'")
intruder "DROP TRIGGER order_audit_log_rows_update; $change; $trigger;"
say 'But whoever can write the file can drop the trigger, change the row, and put it back. Done.'
db "SELECT level || ' · ' || kind || ' · ' || ifnull(id, '-') || ' · ' || detail
    FROM audit_verify('order_audit_log')" > "$demo/found_row.txt"
show < "$demo/found_row.txt"
claim "verification names entry $row" "$(db "SELECT group_concat(id)
    FROM audit_verify('order_audit_log') WHERE level = 'error'")" "$row"

offset=$(($(wc -c < "$stolen") / 3))
byte=$(od -An -tu1 -j "$offset" -N 1 "$stolen" | tr -d ' ')
chmod u+w "$stolen"
# shellcheck disable=SC2059  # the format is an octal escape
printf "\\$(printf '%03o' $(((byte + 1) % 256)))" \
    | dd of="$stolen" bs=1 seek="$offset" conv=notrunc 2> "$demo/dd.txt"
say "Then one byte of the segment: at $offset, $byte becomes $(((byte + 1) % 256))"
db "SELECT level || ' · ' || kind || ' · ' || ifnull(id, '-') || ' · '
    || replace(detail, '$demo/', '') FROM archive_verify('$stolen')" > "$demo/found_byte.txt"
show < "$demo/found_byte.txt"
claim 'verification names the segment' "$(db "SELECT count(*) > 0 FROM archive_verify('$stolen')
    WHERE level = 'error' AND instr(detail, '$(basename "$stolen")')")" 1
refused 'the log over it gives an error, never fewer rows' "$(basename "$stolen")" \
    db 'SELECT count(event_data) FROM order_audit_log'
if db < sql/archive.sql > "$demo/refused.txt" 2>&1; then fail 'sql/archive.sql fails on it'; fi
ok "and the script that cron runs ends with an error, so somebody hears of it"

database=$demo/trading.db
claim 'the original still verifies' \
    "$(db "SELECT count(*) FROM audit_verify('*') WHERE level = 'error'")" 0

printf '\nEverything was as claimed, in %s. Look around:\n\n' "$(since "$started")"
relative=${demo#"$PWD"/}
printf '  export RUSTYBT_ENCRYPTION_KEY_FILE=%s/encryption.key\n' "$relative"
printf '  export RUSTYBT_SIGNING_KEY_FILE=%s/signing.key\n' "$relative"
printf "  sqlite3 -cmd '.load %s' %s/trading.db\n" "${extension#"$PWD"/}" "$relative"
