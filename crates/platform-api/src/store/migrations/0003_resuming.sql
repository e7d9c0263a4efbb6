-- Runs that paused at a call of their agent: it is asked again once somebody has said yes to the call.
create table resumption (
    run_id text primary key,
    workspace text not null,
    action_id text not null,
    -- 1 once somebody has said yes.
    is_ready bigint not null,
    -- Who is asking it again.
    replica text,
    tries bigint not null
);
