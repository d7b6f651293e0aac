-- SPDX-License-Identifier: MIT
-- Decimals by their text: what decimal_error lets pass and what not, also in a CHECK.
-- test: 0 passes
SELECT decimal_error('0');
-- expect: NULL
-- test: -0 passes
SELECT decimal_error('-0');
-- expect: NULL
-- test: 1 passes
SELECT decimal_error('1');
-- expect: NULL
-- test: 0.1 passes
SELECT decimal_error('0.1');
-- expect: NULL
-- test: 12.50 passes
SELECT decimal_error('12.50');
-- expect: NULL
-- test: -12.5 passes
SELECT decimal_error('-12.5');
-- expect: NULL
-- test: 9999999999.99999999 passes
SELECT decimal_error('9999999999.99999999');
-- expect: NULL
-- test: 0.00000001 passes
SELECT decimal_error('0.00000001');
-- expect: NULL
-- test: an INTEGER passes
SELECT decimal_error(12);
-- expect: NULL
-- test: separator is refused
SELECT decimal_error('1_000');
-- expect: must be a plain decimal such as 12.5, without exponent, sign +, blank or separator
-- test: full-width digits is refused
SELECT decimal_error('１２');
-- expect: must be a plain decimal such as 12.5, without exponent, sign +, blank or separator
-- test: exponent is refused
SELECT decimal_error('1E+400');
-- expect: must be a plain decimal such as 12.5, without exponent, sign +, blank or separator
-- test: NUL inside is refused
SELECT decimal_error('1'||char(0)||'2');
-- expect: must be a plain decimal such as 12.5, without exponent, sign +, blank or separator
-- test: empty is refused
SELECT decimal_error('');
-- expect: must be a plain decimal such as 12.5, without exponent, sign +, blank or separator
-- test: sign alone is refused
SELECT decimal_error('-');
-- expect: must be a plain decimal such as 12.5, without exponent, sign +, blank or separator
-- test: plus is refused
SELECT decimal_error('+1');
-- expect: must be a plain decimal such as 12.5, without exponent, sign +, blank or separator
-- test: NaN is refused
SELECT decimal_error('NaN');
-- expect: must be a plain decimal such as 12.5, without exponent, sign +, blank or separator
-- test: leading zero is refused
SELECT decimal_error('01');
-- expect: must be a plain decimal such as 12.5, without exponent, sign +, blank or separator
-- test: no whole part is refused
SELECT decimal_error('.5');
-- expect: must be a plain decimal such as 12.5, without exponent, sign +, blank or separator
-- test: no places is refused
SELECT decimal_error('1.');
-- expect: must be a plain decimal such as 12.5, without exponent, sign +, blank or separator
-- test: two points is refused
SELECT decimal_error('1.2.3');
-- expect: must be a plain decimal such as 12.5, without exponent, sign +, blank or separator
-- test: blank before is refused
SELECT decimal_error(' 1');
-- expect: must be a plain decimal such as 12.5, without exponent, sign +, blank or separator
-- test: newline after is refused
SELECT decimal_error('1'||char(10));
-- expect: must be a plain decimal such as 12.5, without exponent, sign +, blank or separator
-- test: ill-formed UTF-8 is refused
SELECT decimal_error('1'||CAST(x'ff' AS TEXT));
-- expect: must be a plain decimal such as 12.5, without exponent, sign +, blank or separator
-- test: NULL is a finding
SELECT decimal_error(NULL);
-- expect: must be TEXT or INTEGER, not NULL
-- test: a REAL has lost its text
SELECT decimal_error(1.5);
-- expect: must be TEXT or INTEGER, not REAL
-- test: a BLOB is no decimal
SELECT decimal_error(x'31');
-- expect: must be TEXT or INTEGER, not BLOB
-- test: 19 digits are too many
SELECT decimal_error('1234567890123456789');
-- expect: must have at most 18 digits
-- test: nine places are too many
SELECT decimal_error('1.123456789');
-- expect: must have at most 8 digits after the point
-- test: eleven whole digits leave no room for the places
SELECT decimal_error('12345678901');
-- expect: must have at most 10 digits before the point
-- test: own limits hold
SELECT decimal_error('1.23', 3, 1);
-- expect: must have at most 1 digits after the point
-- test: few digits lower the places
SELECT decimal_error('0.12', 2);
-- expect: NULL
-- test: digits 0 is an error
SELECT decimal_error('1', 0);
-- error: decimal_error: digits must be 1 to 1000, not 0
-- test: places beyond digits is an error
SELECT decimal_error('1', 3, 4);
-- error: decimal_error: places must be 0 to 3, not 4
-- test: digits NULL is an error
SELECT decimal_error('1', NULL);
-- error: decimal_error: digits must be INTEGER, not NULL
CREATE TABLE t(price TEXT CHECK(decimal_error(price) IS NULL));
INSERT INTO t VALUES('1.5');
-- test: a CHECK refuses
INSERT INTO t VALUES('1e5');
-- error: CHECK constraint failed: decimal_error(price) IS NULL
