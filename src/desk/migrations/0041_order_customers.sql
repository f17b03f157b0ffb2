-- Customers' hosts that an order in force blocks, and whose owners were told so: they are told, too, when it ends for
-- them, and are forgotten then.

CREATE TABLE order_customers (
    order_id TEXT NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    name TEXT NOT NULL, -- of the host
    account TEXT NOT NULL REFERENCES accounts (id),
    told_at BIGINT NOT NULL,
    PRIMARY KEY (order_id, name)
);
CREATE INDEX order_customers_account ON order_customers (account);
