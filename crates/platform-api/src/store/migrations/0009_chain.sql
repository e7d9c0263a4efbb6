-- What is on the record is chained: each row's link is a keyed hash of the row and of the link before it.

-- The newest number and link of each chain of a workspace.
create table chain (
    workspace text not null,
    name text not null,
    number bigint not null,
    link text not null,
    primary key (workspace, name)
);

-- Null until the first start after this, in rows that were there before.
alter table audit add column number bigint;
alter table audit add column link text;
create unique index audit_number on audit (workspace, number);

alter table event add column link text;

-- Whether the end of a run is in the chain of runs.
alter table run add column is_sealed bigint not null default 0;
create index run_to_seal on run (is_sealed, status, updated_at);

-- Runs that ended, and those of them that were removed since.
create table run_seal (
    workspace text not null,
    number bigint not null,
    run_id text not null,
    -- `ended` or `removed`.
    kind text not null,
    -- How many events the run had, and the link of the last.
    events bigint not null,
    last_link text not null,
    -- A keyed hash of the run itself; empty for one that is not there any more.
    run_hash text not null,
    at bigint not null,
    link text not null,
    primary key (workspace, number)
);
create index run_seal_of_run on run_seal (run_id, kind);
