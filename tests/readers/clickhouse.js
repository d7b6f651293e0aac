// SPDX-License-Identifier: MIT
// clickhouse.js QUERY…: ClickHouse's answers (chdb is its engine as a library), cells parted by '|', a
// line a row.
const { query } = require('chdb');

try {
    for (const text of process.argv.slice(2)) {
        process.stdout.write(query(text, 'TSV').replaceAll('\t', '|'));
    }
} catch (error) {
    console.error(error.message);
    process.exit(1);
}
