# SPDX-License-Identifier: MIT
# The runner of the SQL scripts fails when it should: a test that cannot fail proves nothing.
. tests/shell/tap.sh
plan 19

# run line…: runs a script of these lines.
run() {
    printf '%s\n' "$@" >"$scratch/script.sql"
    case $TEST_BUILD in
    *sanitize) "$TEST_BUILD/sql_runner" "$scratch/script.sql" ;;
    *) "$TEST_BUILD/sql_runner" --extension "$TEST_EXTENSION" "$scratch/script.sql" ;;
    esac
}

ok 'the expected rows pass' run "SELECT 1, NULL, x'00ff' UNION ALL SELECT 2, 'a', 1.5;" \
    "-- expect: 1|NULL|X'00FF'" '-- expect: 2|a|1.5'
fails 'another row fails' run 'SELECT 1;' '-- expect: 2'
fails 'a missing row fails' run 'SELECT 1;' '-- expect: 1' '-- expect: 2'
fails 'a row too many fails' run 'SELECT 1 UNION ALL SELECT 2;' '-- expect: 1'
ok 'an empty text is a row' run "SELECT '';" '-- expect:'
ok 'no row can be expected' run 'SELECT 1 WHERE 0;' '-- nothing'
fails 'a row where none is expected fails' run 'SELECT 1;' '-- nothing'
ok 'a row can match a pattern' run "SELECT 'key 12';" '-- glob: key [0-9]*'
fails 'a row that does not match fails' run "SELECT 'key x';" '-- glob: key [0-9]*'
ok 'the expected message passes' run 'SELECT * FROM t;' '-- error: no such table: t'
fails 'another message fails' run 'SELECT * FROM t;' '-- error: no such table'
fails 'success where an error is expected fails' run 'SELECT 1;' '-- error: no such table: t'
fails 'an error where rows are expected fails' run 'SELECT * FROM t;' '-- nothing'
fails 'an error that nobody expected fails' run 'SELECT * FROM t;'
fails 'a misspelt direction is refused' run 'SELECT 1;' '-- expct: 2'
fails 'a statement without an end is refused' run 'SELECT 1' '-- expect: 1'
ok 'plain has no extension, other has, reopen keeps the database' run \
    'CREATE TABLE t(a);' '-- plain' 'SELECT rustybt_version();' \
    '-- error: no such function: rustybt_version' '-- other' 'INSERT INTO t VALUES(5);' \
    '-- reopen' 'SELECT a FROM t;' '-- expect: 5'
ok 'a command can be run, and its failure expected' run '-- run: echo a; echo b' '-- expect: a' \
    '-- expect: b' '-- run: exit 3' '-- error: exit 3'
is 'the output is TAP with a plan and names' "$(run '-- test: one is one' 'SELECT 1;' \
    '-- expect: 1' | grep -v '^#')" '1..2
ok 1 - one is one
ok 2 - every other statement succeeds and every connection closes'
done_testing
