-- Who is at work, and on what: what is left behind by a process that ended is found by its silence.

create table replica (
    id text primary key,
    seen_at bigint not null
);

-- Builds that are not at their end; whose they are while somebody is at them.
create table build_queue (
    build_id text primary key,
    workspace text not null,
    replica text
);

-- Runs in which an agent is being asked at this moment, by whom.
create table invocation (
    run_id text primary key,
    workspace text not null,
    replica text not null
);
