-- Connectors that were told of a request, and so are told how it ended.
create table told (
    request_id text not null,
    connector_id text not null,
    workspace text not null,
    -- What the other end calls the message, as JSON.
    reference text not null,
    attempts bigint not null,
    due_at bigint not null,
    primary key (request_id, connector_id)
);
create index told_due on told (due_at);
