# SPDX-License-Identifier: MIT
# TAP for the shell tests; source it, then: plan n, checks, and `done_testing` last.
#
#   ok 'sentence' command…      passes when the command succeeds
#   fails 'sentence' command…   passes when it fails
#   is 'sentence' got want      passes when both texts are equal
#   skip n reason               counts n checks as skipped
#
# $scratch is a folder of the test's own, removed at its end.

tap_planned=0
tap_count=0
tap_failed=0
scratch=$(mktemp -d "${TMPDIR:-/tmp}/rustybt-test-XXXXXX") || exit 2
trap 'rm -rf "$scratch"' EXIT

plan() {
    tap_planned=$1
    echo "1..$1"
}

skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}

tap_report() {
    tap_count=$((tap_count + 1))
    if [ "$1" = 0 ]; then
        echo "ok $tap_count - $2"
    else
        tap_failed=1
        echo "not ok $tap_count - $2"
    fi
}

ok() {
    tap_name=$1
    shift
    tap_output=$("$@" 2>&1)
    tap_status=$?
    tap_report "$tap_status" "$tap_name"
    [ "$tap_status" = 0 ] || printf '%s\n' "$tap_output" | sed 's/^/# /'
}

fails() {
    tap_name=$1
    shift
    if tap_output=$("$@" 2>&1); then
        tap_report 1 "$tap_name"
        printf '%s\n' "$tap_output" | sed 's/^/# /'
    else
        tap_report 0 "$tap_name"
    fi
}

is() {
    if [ "$2" = "$3" ]; then
        tap_report 0 "$1"
    else
        tap_report 1 "$1"
        printf '%s\n' "$2" | sed 's/^/#  got: /'
        printf '%s\n' "$3" | sed 's/^/# want: /'
    fi
}

skip() {
    tap_left=$1
    while [ "$tap_left" -gt 0 ]; do
        tap_count=$((tap_count + 1))
        tap_left=$((tap_left - 1))
        echo "ok $tap_count # SKIP $2"
    done
}

done_testing() {
    [ "$tap_count" = "$tap_planned" ] || echo "# planned $tap_planned checks, ran $tap_count"
    [ "$tap_count" = "$tap_planned" ] && [ "$tap_failed" = 0 ]
}
