#!/bin/sh
# SPDX-License-Identifier: MIT
# fetch.sh FOLDER: other people's programs, of which tests/readers/packages is the list, into
# FOLDER/node_modules; what is there already stays. Never fails: what cannot be had is said, and the
# tests that need it skip.
set -u
folder=$1
list=$(dirname "$0")/packages

cannot() {
    echo "  FETCH $1: the tests that need it skip"
    rm -rf "$folder/fetching"
    exit 0
}

[ "$(uname -sm)" = 'Linux x86_64' ] || cannot 'other readers are fetched for Linux on x86-64 alone'
command -v npm > /dev/null && command -v node > /dev/null || cannot 'there is no npm'
grep -v '^#' "$list" | while read -r package sum; do
    place=$folder/node_modules/${package%@*}
    [ "$(cat "$place/.fetched" 2> /dev/null)" = "$package" ] && continue
    echo "  FETCH $package (npm)"
    rm -rf "$folder/fetching" "$place"
    mkdir -p "$folder/fetching" "$(dirname "$place")"
    npm pack --silent --pack-destination "$folder/fetching" "$package" > /dev/null 2>&1 \
        || cannot "$package cannot be had"
    mv "$folder/fetching"/*.tgz "$folder/fetching/archive"
    echo "$sum  $folder/fetching/archive" | sha256sum --check --quiet > /dev/null 2>&1 \
        || cannot "$package is not what it was"
    tar -xzf "$folder/fetching/archive" -C "$folder/fetching" || cannot "$package cannot be unpacked"
    mv "$folder/fetching/package" "$place"
    echo "$package" > "$place/.fetched"
    rm -rf "$folder/fetching"
done
