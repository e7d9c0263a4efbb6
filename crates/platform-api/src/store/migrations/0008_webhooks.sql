-- What webhooks are still to be told, and what they were told: the log of each.

create table webhook_delivery (
    id text primary key,
    workspace text not null,
    webhook_id text not null,
    -- The same for every webhook that is told of one event.
    event_id text not null,
    type text not null,
    -- What is sent: the same bytes each time.
    body text not null,
    -- pending, delivered, failed or skipped.
    status text not null,
    -- Each attempt of which the end is known, as a JSON array.
    attempts text not null,
    -- Whoever delivers it sets this ahead, so that nobody else does meanwhile.
    due_at bigint not null,
    created_at bigint not null,
    ended_at bigint
);
create index webhook_delivery_due on webhook_delivery (status, due_at);
create index webhook_delivery_newest on webhook_delivery (webhook_id, created_at);
create index webhook_delivery_oldest on webhook_delivery (ended_at);
