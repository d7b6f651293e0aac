# SPDX-License-Identifier: MIT
# Runs tests/unit/constant_time_test.c under valgrind, whose reports that program counts. The checks are
# its own; when one fails, this adds what valgrind reported, decisions that are allowed included.
. tests/shell/tap.sh
case $TEST_BUILD in *sanitize) skip_all 'valgrind and the sanitizers do not go together' ;; esac
command -v valgrind >/dev/null || skip_all 'valgrind is not installed'
valgrind -q true >/dev/null 2>&1 || skip_all 'valgrind does not work here'

valgrind -q --error-limit=no --log-file="$scratch/reports" "$TEST_BUILD/unit/constant_time_test"
status=$?
[ "$status" = 0 ] || sed 's/^/# /' "$scratch/reports"
exit "$status"
