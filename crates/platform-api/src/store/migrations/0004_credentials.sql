-- Tokens of authorization servers, by tool and by whom they are for. The tokens themselves are sealed.
create table oauth_token (
    workspace text not null,
    tool text not null,
    subject text not null,
    -- Who fetches one, and until when nobody else does.
    lease text not null,
    leased_until bigint not null,
    -- How often nobody got one, and why the last time.
    failures bigint not null,
    failure text not null,
    primary key (workspace, tool, subject)
);

-- Users who were asked to agree that an agent acts for them with a tool, and have not come back. What their way back
-- must show is sealed.
create table consent (
    id text primary key,
    workspace text not null,
    tool text not null,
    subject text not null,
    agent text not null,
    -- Empty where there is no run.
    run_id text not null,
    -- What that run waits for.
    action_id text,
    expires_at bigint not null,
    unique (workspace, tool, subject, run_id)
);
create index consent_expiring on consent (expires_at);
