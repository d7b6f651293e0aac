-- Find all trades for AAPL in January 2023
SELECT
    event_timestamp,
    event_type,
    json_extract(event_data, '$.fill_price') as fill_price,
    json_extract(event_data, '$.filled_amount') as filled_amount
FROM order_audit_log
WHERE
    asset_sid = (SELECT sid FROM equities WHERE symbol = 'AAPL')
    AND event_timestamp BETWEEN 1672531200 AND 1675209600
    AND event_type = 'filled'
ORDER BY event_timestamp;
