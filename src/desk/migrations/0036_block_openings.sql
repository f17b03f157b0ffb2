-- What opens the ledger's entries of blocks: an entry has SHA-256 over salt and name in place of the name. Gone with the
-- block or the owner's account: then the entry tells nothing.

CREATE TABLE block_openings (
    decision TEXT NOT NULL,
    name TEXT NOT NULL, -- that is blocked
    salt TEXT NOT NULL, -- 32 octets in hexadecimal
    entry TEXT, -- id of the ledger's entry
    account TEXT, -- whose host it is or was; no reference: NULL is nobody's
    PRIMARY KEY (decision, name)
);
CREATE INDEX block_openings_name ON block_openings (name);
CREATE INDEX block_openings_account ON block_openings (account);
