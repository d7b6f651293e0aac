# SPDX-License-Identifier: MIT
# The layering check accepts the project and notices what it is there for.
. tests/shell/tap.sh
plan 9

# check file line…: the verdict on a copy of ext with one more file that holds these lines.
check() {
    rm -rf "$scratch/ext"
    cp -R ext "$scratch/ext"
    planted=$1
    mkdir -p "$scratch/ext/$(dirname "$planted")"
    shift
    printf '%s\n' "$@" >"$scratch/ext/$planted"
    sh tests/check_layers.sh "$scratch/ext"
}

ok 'the project keeps its layers' sh tests/check_layers.sh ext
ok 'audit may include crypto' check audit/planted.c '#include "../crypto/hash.h"'
fails 'base may not include crypto' check base/planted.c '#include "../crypto/hash.h"'
fails 'crypto may not include audit' check crypto/planted.h '#  include "../audit/tree.h"'
fails 'limit may not include audit' check limit/planted.c '#include "audit/tree.h"'
fails 'an unknown folder is refused' check other/planted.c '/* nothing */'
fails 'a header that is not there is noticed' check audit/planted.c '#include "../base/none.h"'
fails 'SQLite comes in through base alone' check audit/planted.c '#include <sqlite3.h>'
is 'a violation is named by file and line' \
    "$(check base/planted.c '' '#include "../crypto/hash.h"')" \
    'base/planted.c:2: base may not include crypto (crypto/hash.h)'
done_testing
