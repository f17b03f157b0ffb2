-- Whose host a name was when it was blocked, or reported: they may appeal though the host is deleted.

CREATE TABLE block_owners (
    name TEXT NOT NULL REFERENCES blocks (name) ON DELETE CASCADE,
    account TEXT NOT NULL,
    PRIMARY KEY (name, account)
);
CREATE INDEX block_owners_account ON block_owners (account);
INSERT INTO block_owners (name, account)
    SELECT b.name, h.account FROM blocks b JOIN hosts h ON h.name = b.name
    UNION SELECT b.name, n.account FROM blocks b JOIN report_names n ON n.report = b.report AND n.owner_name = b.name
    WHERE n.account IS NOT NULL;
