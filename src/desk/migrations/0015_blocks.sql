-- Tombstones on names: they outlive the host and the account.

CREATE TABLE blocks (
    name TEXT PRIMARY KEY, -- lower case, A-labels, without a last dot; covers all names below it
    reason TEXT NOT NULL, -- a code, shown to the customer and as X-Tamis-Reason
    report TEXT,
    order_id TEXT,
    since BIGINT NOT NULL,
    until BIGINT, -- NULL: until it is lifted
    by_account TEXT -- no reference: the account may be deleted
);
CREATE INDEX blocks_until ON blocks (until);
