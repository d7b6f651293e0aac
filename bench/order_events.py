# SPDX-License-Identifier: MIT
"""Order events as the triggers of sql/schema.sql log them, of a made-up market: prices walk, orders live
for seconds to minutes, and their reports come in between each other's. The same in every run.
"""
import heapq
import random

COLUMNS = ("strategy_id TEXT NOT NULL, broker_connection_id INTEGER, order_id TEXT NOT NULL, "
           "broker_order_id TEXT, asset_sid INTEGER NOT NULL, event_type TEXT NOT NULL, "
           "event_timestamp INTEGER NOT NULL, event_data JSON NOT NULL, "
           "INDEX(order_id), INDEX(event_timestamp)")
INSERT = ("INSERT INTO t(strategy_id, broker_connection_id, order_id, broker_order_id, asset_sid, "
          "event_type, event_timestamp, event_data) VALUES(?, ?, ?, ?, ?, ?, ?, ?)")
STRATEGIES = ("momentum", "pairs", "market_maker", "mean_reversion")


class Order:
    """What the events of one order have in common."""

    def __init__(self, draw, number, cents):
        self.number = number
        self.strategy = draw.choice(STRATEGIES)
        self.broker_id = f"A{draw.getrandbits(32):08X}"
        self.side = draw.choice(("buy", "sell"))
        self.amount = 10 * (1 + int(40 * draw.random() ** 3))
        self.limit = "null"
        if draw.random() < 0.7:
            self.limit = f'"{(cents + draw.randrange(-5, 6)) / 100:.2f}"'
        self.sid = 0

    def event(self, kind, time_us, filled=0, price="null"):
        order_type = "market" if self.limit == "null" else "limit"
        data = (f'{{"side":"{self.side}","order_type":"{order_type}","amount":"{self.amount}",'
                f'"limit_price":{self.limit},"stop_price":null,"status":"{kind}",'
                f'"filled_amount":"{filled}","fill_price":{price}}}')
        return (self.strategy, 1 + self.number % 3, f"ord-{self.number:08d}",
                None if kind == "submitted" else self.broker_id, self.sid, kind,
                time_us // 1000000, data)


def life(draw, order, cents, start):
    """The order's events as (microsecond, event)."""
    yield start, order.event("submitted", start)
    then = start + 1000 + int(draw.expovariate(1 / 2e6))
    price = f'"{cents / 100:.2f}"'
    outcome = draw.random()
    if outcome < 0.03:
        yield then, order.event("rejected", then)
    elif outcome < 0.15:
        then += int(draw.expovariate(1 / 30e6))
        yield then, order.event("cancelled", then)
    else:
        if order.amount % 20 == 0:
            yield then, order.event("partially_filled", then, order.amount // 2, price)
        then += int(draw.expovariate(1 / 10e6))
        yield then, order.event("filled", then, order.amount, price)


def events(count, symbols=50):
    """So many events, in the order of their times."""
    draw = random.Random(20230112)
    cents = [draw.randrange(2000, 60000) for _ in range(symbols)]
    now, number, given, waiting = 1673533800000000, 0, 0, []
    while True:
        now += int(draw.expovariate(1 / 150000))
        sid = int(symbols * draw.random() ** 2)
        cents[sid] = max(500, cents[sid] + draw.choice((-2, -1, -1, 0, 0, 0, 1, 1, 2)))
        number += 1
        order = Order(draw, number, cents[sid])
        order.sid = sid
        for step, (time_us, event) in enumerate(life(draw, order, cents[sid], now)):
            heapq.heappush(waiting, (time_us, number, step, event))
        while waiting and waiting[0][0] <= now:
            yield heapq.heappop(waiting)[3]
            given += 1
            if given == count:
                return
