-- Hosts of customers. Addresses are the zone's alone.

CREATE TABLE hosts (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE, -- lower case, A-labels, without a last dot
    account TEXT NOT NULL REFERENCES accounts (id), -- goes after its hosts, whose records must go
    zone TEXT NOT NULL,
    state TEXT NOT NULL, -- active, offline or expired
    wildcard SMALLINT NOT NULL,
    aaaa_suffix TEXT, -- "::1:2:3:4/64": what stands behind a delegated prefix
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL, -- by its owner
    seen_at BIGINT NOT NULL, -- last update by a client, to the hour
    expired_at BIGINT,
    clean SMALLINT NOT NULL, -- 0: the zone may still have what is not this host's
    notices SMALLINT NOT NULL DEFAULT 0, -- of expiry, sent since it was seen
    noticed_at BIGINT
);
CREATE INDEX hosts_account ON hosts (account, name);
CREATE INDEX hosts_seen ON hosts (state, seen_at);

CREATE TABLE host_keys (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    hash BYTEA NOT NULL,
    label TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX host_keys_host ON host_keys (host);

-- Values of _acme-challenge below a host.
CREATE TABLE host_txt (
    host TEXT NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    value TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (host, value)
);
