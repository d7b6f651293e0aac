// SPDX-License-Identifier: MIT
// duckdb.js QUERY…: DuckDB's answers, cells parted by '|', a line a row.
const { DuckDBInstance } = require('@duckdb/node-api');

async function main() {
    const connection = await (await DuckDBInstance.create(':memory:')).connect();
    for (const query of process.argv.slice(2)) {
        const answer = await connection.runAndReadAll(query);
        for (const row of answer.getRows()) console.log(row.join('|'));
    }
}

main().catch((error) => {
    console.error(error.message);
    process.exit(1);
});
