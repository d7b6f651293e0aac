# SPDX-License-Identifier: MIT
# Other people's readers on our segments: each must give the manifest's number of rows and sum of ids, for
# one file and for all of a log. The README's queries run as they stand there, on a folder in S3's place.
. tests/shell/tap.sh
. tests/shell/readme.sh
case $TEST_BUILD in *sanitize) skip_all 'the sqlite3 shell loads no library with sanitizers' ;; esac
plan 27

export RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
db() { sqlite3 -init /dev/null -batch -bail -cmd ".load $TEST_EXTENSION" "$scratch/test.db" "$@" 2>&1; }
tools=$PWD/build/readers/node_modules
have() { [ -e "$tools/$1/.fetched" ]; }
python=/usr/bin/python3
[ -x "$python" ] || python=python3

# Three segments, of which the first has several frames.
db "CREATE VIRTUAL TABLE order_audit_log USING audit_log(order_id TEXT NOT NULL, event_type TEXT NOT NULL,
    price REAL, event_data JSON NOT NULL, INDEX(order_id), archive='cold', origin='example.com/orders')" > "$scratch/out"
fill() {
    db "INSERT INTO order_audit_log(order_id, event_type, price, event_data)
        WITH RECURSIVE n(i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)
        SELECT printf('order-%06d', i / 3 * 7919 % 99991), CASE i % 3 WHEN 2 THEN 'order_filled' ELSE 'order_new' END,
            i / 7.0, json_object('fill_price', printf('%d.%02d', i % 500, i % 100), 'note', 'é \"漢\" ' || i % 10)
        FROM n; SELECT audit_archive('order_audit_log', 'cold', 'now')" > "$scratch/out"
}
fill 1 40000
fill 40001 40900
fill 40901 41000
first=$scratch/cold/order_audit_log-000000000000-000000040000.jsonl.zst
second=$scratch/cold/order_audit_log-000000040001-000000040900.jsonl.zst
all=$scratch/cold/order_audit_log-*.jsonl.zst
# rows and sum of ids as the signed manifests have them
signed() {
    db "SELECT max(value) FILTER (WHERE key = 'rows'), max(value) FILTER (WHERE key = 'rows')
        * (max(value) FILTER (WHERE key = 'first_id') + max(value) FILTER (WHERE key = 'last_id')) / 2
        FROM archive_info('$1')"
}
one=$(signed "$first")
two=$(signed "$second")
whole='41001|840520500'
is 'the manifests say what was logged' "$one $two" '40001|800020000 900|36405450'
ok 'the segments verify' db "SELECT archive_verify('$all')"
is 'the first has several frames' "$(db "SELECT json_array_length(value) > 1 FROM archive_info('$first')
    WHERE key = 'frames'")" 1

# ---- zstd, Python ----

count='import json, sys
ids = [json.loads(line)["id"] for line in sys.stdin.buffer]
print(f"{len(ids)}|{sum(ids)}")'
ok 'zstd -t is content with each' zstd -q -t $all
is 'zstd -dc gives the rows of one segment' "$(zstd -q -dc "$first" | "$python" -c "$count")" "$one"
is 'and of all' "$(zstd -q -dc $all | "$python" -c "$count")" "$whole"
if "$python" -c 'import zstandard' 2> "$scratch/out"; then
    is 'zstandard in Python reads across the frames' "$("$python" -c 'import json, sys, zstandard
with open(sys.argv[1], "rb") as file:
    text = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()
ids = [json.loads(line)["id"] for line in text.splitlines()]
print(f"{len(ids)}|{sum(ids)}")' "$first")" "$one"
    is 'a reader of the seekable format reads frame by frame and any range' \
        "$("$python" tests/readers/seekable.py "$first")" "$one
20 of 20 ranges"
    is 'also where there is one frame' "$("$python" tests/readers/seekable.py "$second")" "$two
20 of 20 ranges"
    is 'and the first segment that was ever written' \
        "$("$python" tests/readers/seekable.py tests/golden/segment-v1.jsonl.zst)" '51|1275
20 of 20 ranges'
else
    skip 4 'python3-zstandard is not installed'
fi

# ---- DuckDB, ClickHouse ----

# The README's query in a language's nth block, with the folder in the place of the bucket.
local_query() {
    readme_block 'Archives in other programs' sql "$1" | sed "s|s3://audit/|$scratch/|
        s|s3('https://audit.s3.amazonaws.com/|file('$scratch/|"
}
filled=$(db "SELECT order_id, count(*), max(event_data ->> '$.fill_price') FROM order_audit_log
    WHERE event_type = 'order_filled' GROUP BY order_id ORDER BY order_id")
ok 'the log itself answers the query of the README' test "$(printf '%s\n' "$filled" | wc -l)" = 13667
# What each reader makes of one file, of two, of a file cut at a frame's end.
cut=$scratch/cut.jsonl.zst
head -c "$(db "SELECT value ->> '$[1].offset' FROM archive_info('$first') WHERE key = 'frames'")" "$first" > "$cut"
cut_rows=$(zstd -q -dc "$cut" | wc -l)
ok 'zstd reads a file that is cut at the end of a frame without a word' test "$cut_rows" -gt 0 -a "$cut_rows" -lt 40001
is 'archive_verify says what is wrong with it' "$(db "SELECT kind, replace(detail, '$scratch/', '')
    FROM archive_verify('$cut')")" \
    'truncated|cut.jsonl.zst: the file is cut at a frame boundary, after frame 1; the manifest is missing'

duckdb() { NODE_PATH=$tools node tests/readers/duckdb.js "$@" 2>&1; }
duck="SELECT count(*), sum(id)::BIGINT FROM read_json('%s', format = 'newline_delimited')"
if have @duckdb/node-api; then
    # shellcheck disable=SC2059 # the formats are the queries above
    is 'DuckDB gives the rows of one segment' "$(duckdb "$(printf "$duck" "$first")")" "$one"
    is 'and of the next' "$(duckdb "$(printf "$duck" "$second")")" "$two"
    is 'and of all by a glob' "$(duckdb "$(printf "$duck" "$all")")" "$whole"
    is 'and of the golden log' "$(duckdb "$(printf "$duck" "$PWD/tests/golden/log-v1/cold/orders-*.zst")")" '501|125250'
    is 'it reads the cut file without a word, which is why one verifies first' \
        "$(duckdb "$(printf "$duck" "$cut")" | cut -d '|' -f 1)" "$cut_rows"
    ok 'the README has a query for it' local_query 1
    is 'whose answer is that of the log' "$(duckdb "$(local_query 1)")" "$filled"
else
    skip 7 'DuckDB is not here (make readers)'
fi

clickhouse() { NODE_PATH=$tools node tests/readers/clickhouse.js "$@" 2>&1; }
house="SELECT count(), sum(id) FROM file('%s', 'JSONEachRow')"
if have @chdb/lib-linux-x64-gnu && have chdb; then
    is 'ClickHouse gives the rows of one segment' "$(clickhouse "$(printf "$house" "$first")")" "$one"
    is 'and of the next' "$(clickhouse "$(printf "$house" "$second")")" "$two"
    is 'and of all by a glob' "$(clickhouse "$(printf "$house" "$all")")" "$whole"
    is 'and of the golden log' "$(clickhouse "$(printf "$house" "$PWD/tests/golden/log-v1/cold/orders-*.zst")")" '501|125250'
    is 'it reads the cut file without a word' "$(clickhouse "$(printf "$house" "$cut")" | cut -d '|' -f 1)" "$cut_rows"
    ok 'the README has a query for it' local_query 2
    is 'whose answer is that of the log' "$(clickhouse "$(local_query 2)")" "$filled"
else
    skip 7 'ClickHouse is not here (make readers)'
fi
done_testing
