-- What the second system's surface keeps: hourly limits with each key, and work that is answered later.

-- Null: the tier that the settings name.
alter table api_key add column tier text;
-- A limit of the key's own, in place of its tier's.
alter table api_key add column hourly_limit bigint;

create table key_hour (
    key_id text not null,
    workspace text not null,
    -- Hours since 1970.
    hour bigint not null,
    used bigint not null,
    primary key (key_id, hour)
);
create index key_hour_oldest on key_hour (hour);

-- What was asked and what came of it are sealed under the same id.
create table operation (
    id text primary key,
    workspace text not null,
    agent_id text not null,
    kind text not null,
    status text not null,
    -- Who is at it.
    replica text,
    created_at bigint not null,
    started_at bigint,
    ended_at bigint
);
create index operation_waiting on operation (status, created_at);
create index operation_newest on operation (workspace, created_at);
create index operation_oldest on operation (ended_at);
