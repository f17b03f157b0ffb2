-- What was sent by mail, and to whom nothing is sent.

CREATE TABLE mails (
    id TEXT PRIMARY KEY, -- the part of the Message-ID before the '@': the receiver alone knows it
    outbox TEXT NOT NULL, -- id of the row that sends it
    address TEXT NOT NULL,
    object TEXT, -- id of what it was about
    subject TEXT NOT NULL,
    topic TEXT, -- NULL: nobody unsubscribes from it
    state TEXT NOT NULL, -- waiting, sent, refused, bounced or withheld
    status TEXT, -- what the other side said last
    created_at BIGINT NOT NULL,
    sent_at BIGINT
);
CREATE INDEX mails_address ON mails (address, created_at);
CREATE INDEX mails_object ON mails (object, id);
CREATE INDEX mails_created ON mails (created_at);

-- Addresses that get nothing, or nothing on a topic.
CREATE TABLE suppressions (
    address TEXT NOT NULL, -- lower case
    topic TEXT NOT NULL, -- '': nothing at all
    reason TEXT NOT NULL, -- bounced, unsubscribed or staff
    status TEXT, -- what the bounce said, as "5.1.1"
    mail TEXT, -- id of the mail that bounced or was answered
    at BIGINT NOT NULL,
    PRIMARY KEY (address, topic)
);
