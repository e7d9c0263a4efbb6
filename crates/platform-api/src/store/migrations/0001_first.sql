-- The common subset of SQLite and PostgreSQL. Times are milliseconds since 1970, documents are JSON, and whatever
-- is secret stands in `sealed` alone.

create table meta (
    name text primary key,
    value text not null
);

create table document (
    workspace text not null,
    kind text not null,
    name text not null,
    version bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    body text not null,
    primary key (workspace, kind, name)
);

create table sealed (
    workspace text not null,
    kind text not null,
    name text not null,
    body text not null,
    primary key (workspace, kind, name)
);

create table api_key (
    id text primary key,
    -- Null: the operator's, for every workspace.
    workspace text,
    name text not null,
    hash text not null unique,
    prefix text not null,
    last4 text not null,
    scopes text not null,
    -- Who shows it, if it is one person's, and the groups of whoever does, as a JSON array.
    person text,
    person_groups text not null,
    created_at bigint not null,
    expires_at bigint,
    last_used_at bigint
);

create table run (
    id text primary key,
    workspace text not null,
    agent_id text not null,
    namespace text not null,
    user_id text not null,
    conversation_id text,
    invoke_url text,
    initial_message text,
    status text not null,
    blocked_action_id text,
    -- The number of the last event.
    events bigint not null,
    created_at bigint not null,
    updated_at bigint not null
);
create index run_newest on run (workspace, created_at);

create table event (
    run_id text not null,
    seq bigint not null,
    id text not null,
    type text not null,
    payload_hash text,
    actor text,
    data text,
    created_at bigint not null,
    primary key (run_id, seq)
);

create table action (
    id text primary key,
    run_id text not null,
    tool_id text not null,
    capability text,
    payload_hash text,
    status text not null,
    created_at bigint not null,
    updated_at bigint not null
);
create index action_of_run on action (run_id, status);

create table approval (
    id text primary key,
    workspace text not null,
    subject text not null,
    agent_id text,
    tool_id text not null,
    run_id text,
    action_id text,
    capability text,
    payload_hash text,
    tool_method text,
    tool_url text,
    status text not null,
    -- How long a grant is wished for; once granted, how long it holds.
    duration text not null,
    scope text,
    approver_id text,
    reason text,
    -- What a repeated request is recognized by, for as long as this one is pending.
    pending_key text unique,
    created_at bigint not null,
    updated_at bigint not null,
    -- Until when it can be decided; once granted, when the grant ends.
    expires_at bigint,
    -- When a grant for one call was used.
    used_at bigint,
    -- Ids of the connectors that are told of it, and so may decide, as a JSON array.
    told text not null,
    -- Who may decide, as JSON.
    deciders text not null
);
create index approval_newest on approval (workspace, created_at);
create index approval_expiring on approval (status, expires_at);
create index approval_of_run on approval (run_id);
create index approval_of_tool on approval (workspace, tool_id, status);

-- What connectors are still to be told.
create table delivery (
    request_id text primary key,
    workspace text not null,
    -- Ids of the connectors that were not reached yet, in their order, as a JSON array.
    connectors text not null,
    mode text not null,
    -- Whether anybody was reached, and whether the console is enough if nobody is.
    reached boolean not null,
    fallback boolean not null,
    attempts bigint not null,
    due_at bigint not null
);
create index delivery_due on delivery (due_at);

create table audit (
    id text primary key,
    workspace text not null,
    at bigint not null,
    actor text not null,
    action text not null,
    resource text not null,
    before text,
    after text
);
create index audit_newest on audit (workspace, at);

create table activity (
    id text primary key,
    workspace text not null,
    at bigint not null,
    body text not null
);
create index activity_newest on activity (workspace, at);

create table idempotency (
    workspace text not null,
    key text not null,
    request text not null,
    -- Null while the first request is being answered.
    status bigint,
    created_at bigint not null,
    primary key (workspace, key)
);
create index idempotency_oldest on idempotency (created_at);

-- What was found in submitted files, by id, until nobody asked for it for an hour. The body stands last, so that counting
-- does not read it.
create table analysis (
    workspace text not null,
    id text not null,
    bytes bigint not null,
    given_at bigint not null,
    body text not null,
    primary key (workspace, id)
);
create index analysis_newest on analysis (workspace, given_at, id, bytes);
create index analysis_oldest on analysis (given_at);

create table rate (
    key text not null,
    minute bigint not null,
    used bigint not null,
    primary key (key, minute)
);

create table spend (
    workspace text not null,
    -- Its first millisecond.
    month bigint not null,
    agent text not null,
    namespace text not null,
    role text not null,
    model_provider text not null,
    provider text not null,
    model text not null,
    input_tokens bigint not null,
    output_tokens bigint not null,
    micro_usd bigint not null,
    primary key (workspace, month, agent, role, model_provider, model)
);

-- What of the budget of one model of one agent is taken: spent, or held by a process that may spend it.
create table budget (
    workspace text not null,
    month bigint not null,
    agent text not null,
    model text not null,
    taken bigint not null,
    primary key (workspace, month, agent, model)
);
