# SPDX-License-Identifier: MIT
# The README's recipe for an HSM, on SoftHSM: the key lies wrapped in a file, and pkcs11-tool, as
# the key's command, lets the token unwrap it. For both keys; and with the wrong PIN, without the
# token, and with another file.
. tests/shell/tap.sh
case $TEST_BUILD in *sanitize) skip_all 'the sqlite3 shell loads no library with sanitizers' ;; esac
for tool in softhsm2-util pkcs11-tool openssl; do
    command -v "$tool" > /dev/null || skip_all "$tool is not installed"
done
module=
for file in /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so; do
    [ -e "$file" ] && module=$file && break
done
[ -n "$module" ] || skip_all 'libsofthsm2.so is not where Debian has it'
plan 14

umask 077
mkdir "$scratch/tokens" "$scratch/none"
# token folder: SoftHSM keeps its tokens there
token() {
    printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' \
        "$scratch/$1" > "$scratch/softhsm2.conf"
}
export SOFTHSM2_CONF="$scratch/softhsm2.conf" HSM_PIN=846251
token tokens
db() {
    sqlite3 -init /dev/null -batch -bail -cmd ".load $TEST_EXTENSION" "$scratch/trading.db" "$@" \
        2> "$scratch/err"
}
encrypted="INSERT INTO secret VALUES(encrypt('hunter2', 'broker/key'));"
decrypted="SELECT decrypt(token, 'broker/key') FROM secret;"
says() { grep -qF -e "$1" "$scratch/err"; }
cd "$scratch" || exit 2

# -------------------------------------------------------------- once: a key pair, and wrapped keys

softhsm2-util --init-token --free --label rustybt --so-pin 705913 --pin "$HSM_PIN" > out
pkcs11-tool --module "$module" --token-label rustybt --login --pin env:HSM_PIN \
    --keypairgen --key-type rsa:3072 --id 01 --label rustybt > out 2>&1
pkcs11-tool --module "$module" --token-label rustybt --read-object --type pubkey --id 01 \
    --output-file hsm.pub > out 2>&1
wrap() {
    openssl pkeyutl -encrypt -pubin -keyform DER -inkey hsm.pub -pkeyopt rsa_padding_mode:oaep
}
plain() { RUSTYBT_ENCRYPTION_KEY_COMMAND='' RUSTYBT_ENCRYPTION_KEY=$(cat plain.key) db "$@"; }
sqlite3 -init /dev/null -batch :memory: ".load $TEST_EXTENSION" 'SELECT keygen()' |
    tee plain.key | wrap > encryption.key.wrapped
sqlite3 -init /dev/null -batch :memory: ".load $TEST_EXTENSION" "SELECT keygen('signing')" |
    tee plain.signing | wrap > signing.key.wrapped
ok 'a wrapped key is 384 bytes that say nothing of it' \
    sh -c 'test "$(wc -c < encryption.key.wrapped)" = 384 && ! grep -qaF -f plain.key *.wrapped'

# ------------------------------------------------------------------------------ then: the command

unwrap="pkcs11-tool --module $module --token-label rustybt --login --pin env:HSM_PIN \
    --decrypt --mechanism RSA-PKCS-OAEP --hash-algorithm SHA-1 --id 01 --input-file"
export RUSTYBT_ENCRYPTION_KEY_COMMAND="$unwrap '$scratch/encryption.key.wrapped'"
ok 'a value is encrypted under the key that the HSM unwraps' \
    db "CREATE TABLE secret(token); $encrypted"
is 'another process decrypts it through the HSM' "$(db "$decrypted")" 'hunter2'
is 'the key is the one that was wrapped' "$(db 'SELECT key_id()')" \
    "$(plain 'SELECT key_id()')"
is 'and its source is told' "$(db 'SELECT source FROM key_ring')" RUSTYBT_ENCRYPTION_KEY_COMMAND
export RUSTYBT_SIGNING_KEY_COMMAND="$unwrap '$scratch/signing.key.wrapped'"
db "CREATE VIRTUAL TABLE log USING audit_log(what TEXT, origin='example.com/hsm', archive='cold');
    INSERT INTO log(what) VALUES('signed by the key in the HSM');" > out
ok 'a segment is signed with a key that the HSM unwraps' \
    db "SELECT audit_archive('log', 'cold', 'now')"
vkey=$(RUSTYBT_SIGNING_KEY_COMMAND='' RUSTYBT_SIGNING_KEY=$(cat plain.signing) \
    db "SELECT audit_public_key('log')")
ok 'and verified with the public key of the one that was wrapped' \
    env RUSTYBT_VERIFY_KEYS="$vkey" sqlite3 -init /dev/null -batch -bail \
    -cmd ".load $TEST_EXTENSION" :memory: "SELECT archive_verify('$scratch/cold/*.zst')"
unset RUSTYBT_SIGNING_KEY_COMMAND

# ------------------------------------------------------------------------------------- failures

failed='the command of RUSTYBT_ENCRYPTION_KEY_COMMAND exited with 1, expected 0'
export HSM_PIN=000000
fails 'with a wrong PIN nothing is decrypted' db "$decrypted"
ok 'rustybt says that the command failed' says "decrypt: $failed"
ok 'and the command why' says CKR_PIN_INCORRECT
export HSM_PIN=846251
token none
fails 'without the token nothing is encrypted' db "$encrypted"
ok 'and the command failed' says "encrypt: $failed"
token tokens
head -c 384 /dev/zero > encryption.key.wrapped
fails 'a wrapped key that was exchanged for zeros is no key' db "$decrypted"
is 'nothing was stored meanwhile' "$(plain 'SELECT count(*) FROM secret')" 1
done_testing
