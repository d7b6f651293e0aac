# SPDX-License-Identifier: MIT
# An auditor's laptop: the script of the README's section of that name, as it stands there, with zstd,
# openssl and Python's own library, on segments of a log; and openssl on what archive_info gives.
. tests/shell/tap.sh
. tests/shell/readme.sh
case $TEST_BUILD in *sanitize) skip_all 'the sqlite3 shell loads no library with sanitizers' ;; esac
command -v openssl > /dev/null || skip_all 'openssl is not installed'
plan 26

export RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
db() { sqlite3 -init /dev/null -batch -bail -cmd ".load $TEST_EXTENSION" "$scratch/test.db" "$@" 2>&1; }
python=/usr/bin/python3
[ -x "$python" ] || python=python3

for log in order_audit_log other; do
    db "CREATE VIRTUAL TABLE $log USING audit_log(t TEXT, n INTEGER, archive='cold', origin='example.com/$log')" \
        > "$scratch/out"
    for last in 300 1000 1001; do
        db "INSERT INTO $log(t, n) WITH RECURSIVE i(n) AS (SELECT audit_size('$log') UNION ALL SELECT n + 1 FROM i
            WHERE n < $last) SELECT 'x' || (n % 7), n FROM i; SELECT audit_archive('$log', 'cold', 'now')" \
            > "$scratch/out"
    done
done
db "SELECT audit_public_key('order_audit_log', 'pem')" > "$scratch/key.pem"
mkdir "$scratch/laptop"
cp -R "$scratch/cold" "$scratch/key.pem" "$scratch/laptop"
ok 'the section has a script' readme_block "An auditor's laptop" python 1
readme_block "An auditor's laptop" python 1 > "$scratch/laptop/audit.py"
ok 'of some 30 lines' test "$(grep -c . "$scratch/laptop/audit.py")" -le 50
cd "$scratch/laptop" || exit 2
unset RUSTYBT_ENCRYPTION_KEY
audit() { "$python" audit.py key.pem "$@" 2>&1; }
a=cold/order_audit_log-000000000000-000000000300.jsonl.zst
b=cold/order_audit_log-000000000301-000000001000.jsonl.zst
c=cold/order_audit_log-000000001001-000000001001.jsonl.zst
said=$(audit cold/order_audit_log-*.jsonl.zst)
export RUSTYBT_ENCRYPTION_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
want=$(db "SELECT replace(path, rtrim(path, replace(path, '/', '')), 'cold/') || ': ' || rows || ' lines, ids '
    || first_id || ' to ' || last_id || ', root ' FROM audit_segments('order_audit_log')")
is 'it names each segment, with its lines and ids' "$(printf '%s\n' "$said" | sed 's/root .*/root /')" "$want"
root=$(printf '%s\n' "$said" | sed -n '$s/.*root //p')
is 'the last root is that of the log' "$(printf '%s' "$root" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')" \
    "$(db "SELECT audit_root('order_audit_log')")"
ok 'one segment alone can be audited' audit "$b"

# refused NAME REASON COMMAND…: after the command on a copy of the folder the script must fail for the reason
refused() {
    name=$1
    reason=$2
    shift 2
    rm -rf cold && cp -R ../cold . && "$@"
    if audit cold/order_audit_log-*.jsonl.zst > refusal; then
        tap_report 1 "it refuses $name"
    else
        ok "it refuses $name" sh -c 'cat refusal; grep -q "$0" refusal' "$reason"
    fi
}
unsigned='NOT as signed'
zstd="'zstd', .* returned non-zero"
flip() { printf "$2" | dd of="$1" bs=1 seek="$3" conv=notrunc status=none; }
refused 'a changed byte in a frame' "$zstd" flip "$b" '\377' 60
refused 'a changed byte in the manifest' "$unsigned" flip "$b" 'X' "$(($(wc -c < "$b") - 900))"
refused 'a changed seek table' '[Ee]rror' flip "$b" '\377' "$(($(wc -c < "$b") - 20))"
refused 'a missing segment' "$unsigned" rm "$b"
refused 'a missing first line' '[Ee]rror' sh -c "zstd -q -dc $a | tail -n +2 | zstd -q > x && mv x $a"
refused 'a segment in the place of another' "$unsigned" cp "$a" "$b"
refused "another log's segment" "$unsigned" cp "cold/other-000000000301-000000001000.jsonl.zst" "$b"
cut() { head -c "$(($(wc -c < "$1") - $2))" "$1" > x; mv x "$1"; }
refused 'a file cut short' '[Ee]rror' cut "$c" 100
# data of one, manifest and seek table of another whose sizes were made to fit: frames are counted anew
swap() {
    "$python" -c '
import struct, sys
def parts(path):
    data = open(path, "rb").read()
    end = len(data) - 17 - 12 * struct.unpack("<I", data[-9:-5])[0]
    size = struct.unpack("<I", data[-21:-17])[0]
    return data[: end - size], data[end - size : end], bytearray(data[end:])
data, _, _ = parts(sys.argv[1])
_, manifest, table = parts(sys.argv[2])
struct.pack_into("<I", table, 8, len(data))
open(sys.argv[1], "wb").write(data + manifest + table)' "$1" "$2"
}
refused "the manifest of another segment" "$unsigned" swap "$b" "$a"
refused "the manifest of another log" "$unsigned" swap "$b" cold/other-000000000301-000000001000.jsonl.zst
rm -rf cold && cp -R ../cold .
db "SELECT audit_public_key('other', 'pem')" > same.pem
is 'logs of one signing key have one key' "$(cat same.pem)" "$(cat key.pem)"
openssl genpkey -algorithm ed25519 2> "$scratch/out" | openssl pkey -pubout > stranger.pem
mv key.pem right.pem
cp stranger.pem key.pem
fails "it refuses a stranger's key" audit "$a"
mv right.pem key.pem
ok 'and accepts the folder as it was' audit cold/order_audit_log-*.jsonl.zst

# ---- archive_info gives note and key ----

info() { db "SELECT rtrim(value, char(10)) FROM archive_info('$scratch/laptop/$b') WHERE key = '$1'"; }
info note > note
info pem > info.pem
info manifest > manifest
is 'archive_info gives the key as PEM' "$(cat info.pem)" "$(cat key.pem)"
sed '/^$/,$d' note > text
sed -n 's/^— [^ ]* //p' note | openssl base64 -d -A | tail -c +5 > signature
verify() { openssl pkeyutl -verify -pubin -inkey "$1" -rawin -in text -sigfile signature; }
ok 'openssl verifies the signature of its note with it' verify info.pem
fails 'and not with another key' verify stranger.pem
is 'the text names the SHA-256 of the manifest' "$(sed -n 's/^manifest //p' text)" \
    "$(tr -d '\n' < manifest | openssl dgst -sha256 -binary | openssl base64)"
sed 's/^ids 301/ids 302/' text > x && mv x text
fails 'a changed text is refused' verify info.pem
is 'without a key that is trusted there is no PEM' "$(RUSTYBT_VERIFY_KEYS=$(db \
    "SELECT audit_public_key('other')") && export RUSTYBT_VERIFY_KEYS && db \
    "SELECT count(value) FROM archive_info('$scratch/laptop/$b') WHERE key IN ('pem', 'verified_by')")" 0
ok 'the manifest is JSON that other tools read' "$python" -c 'import json; json.load(open("manifest"))'
ok 'and the note is printed as a note' grep -q '^— example.com/order_audit_log ' note
done_testing
