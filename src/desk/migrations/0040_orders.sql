-- Orders and their life. A state changes only together with its event, audit and ledger rows.

CREATE TABLE orders (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE, -- the document's id, lower case: the label of its policy zone
    state TEXT NOT NULL, -- draft, rehearsed, notified, approved, active, expired, lifted or withdrawn
    version BIGINT NOT NULL, -- of the document: every change of it counts
    document TEXT NOT NULL, -- as uploaded
    document_hash TEXT NOT NULL, -- SHA-256 in hexadecimal
    salt BYTEA NOT NULL, -- of the commitment to a sealed document
    kind TEXT NOT NULL,
    authority TEXT NOT NULL,
    action TEXT NOT NULL,
    notice TEXT,
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    name_count BIGINT NOT NULL,
    subtree_count BIGINT NOT NULL,
    exempt_count BIGINT NOT NULL, -- of the document
    is_signed SMALLINT NOT NULL, -- whether the document carries signatures
    sealed_until BIGINT,
    opened_at BIGINT,
    contacts TEXT NOT NULL, -- JSON: addresses that get the notice
    drafted_by TEXT NOT NULL,
    report TEXT, -- id of what led to it
    rehearsal TEXT, -- JSON: the figures
    rehearsed_at BIGINT, -- NULL: not since the document changed
    exceeds_own SMALLINT NOT NULL DEFAULT 0, -- the document's budget
    exceeds_desk SMALLINT NOT NULL DEFAULT 0, -- the desk's budget: two people approve
    notified_at BIGINT,
    notice_due_at BIGINT, -- later than notified_at: a sealed order's notice waits
    approved_at BIGINT,
    activated_at BIGINT,
    ended_at BIGINT,
    end_reason TEXT,
    serial BIGINT NOT NULL DEFAULT 0, -- of its policy zone; grows with what the zone says
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX orders_state ON orders (state, ends_at);

-- What the document lists.
CREATE TABLE order_names (
    order_id TEXT NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    list TEXT NOT NULL, -- name, subtree or exempt
    name TEXT NOT NULL, -- lower case, A-labels, without a last dot
    found TEXT, -- by the last rehearsal: live, dead, ...
    seen_at BIGINT, -- when a rehearsal last found it alive
    PRIMARY KEY (order_id, list, name)
);
CREATE INDEX order_names_name ON order_names (name, list);

-- Names that the desk has carved out since, as after an appeal.
CREATE TABLE order_exemptions (
    order_id TEXT NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    reason TEXT NOT NULL,
    reference TEXT, -- id of the appeal
    at BIGINT NOT NULL,
    PRIMARY KEY (order_id, name)
);
CREATE INDEX order_exemptions_name ON order_exemptions (name);

CREATE TABLE order_approvals (
    order_id TEXT NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    account TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (order_id, version, account)
);

CREATE TABLE order_events (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    at BIGINT NOT NULL, -- milliseconds
    action TEXT NOT NULL,
    account TEXT, -- NULL: the desk itself
    role TEXT NOT NULL,
    detail TEXT, -- JSON
    ledger TEXT NOT NULL -- id of the entry
);
CREATE INDEX order_events_order ON order_events (order_id, id);

-- Others' interests in what an order lists: it waits until the hold ends, and two people approve.
CREATE TABLE order_holds (
    order_id TEXT NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    reference TEXT NOT NULL, -- id of the overlap
    until_at BIGINT NOT NULL,
    ended_at BIGINT, -- agreed upon or overridden before
    PRIMARY KEY (order_id, reference)
);

-- The zones that are no order's own: the catalog, and the exemptions from all orders.
CREATE TABLE order_zones (
    zone TEXT PRIMARY KEY, -- catalog or exemptions
    serial BIGINT NOT NULL,
    members TEXT NOT NULL -- of the catalog: what it lists at this serial
);
INSERT INTO order_zones (zone, serial, members) VALUES ('catalog', 0, ''), ('exemptions', 0, '');
