//! Tiers: how many requests an hour a key has on this surface. The store counts each of them, so that a limit holds exactly,
//! however many ask at once and whichever replica they ask.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ingestion_server::web::ApiError;
use serde::Deserialize;

use super::health::is_health;
use super::is_here;
use crate::app::App;
use crate::auth::Identity;
use crate::config::TiersConfig;

/// Milliseconds.
pub const HOUR: i64 = 3_600_000;

/// What a key is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// The least.
    Free,
    /// More.
    Pro,
    /// More, for several people.
    Team,
    /// As much as was agreed upon.
    Enterprise,
}

/// What the door knows of a key's limit; in the extensions of its requests.
#[derive(Debug, Clone, Default)]
pub struct KeyTier {
    /// Its tier; none for the usual one.
    pub tier: Option<String>,
    /// A limit of its own.
    pub hourly_limit: Option<i64>,
}

impl Tier {
    const ALL: [Tier; 4] = [Tier::Free, Tier::Pro, Tier::Team, Tier::Enterprise];

    /// The one with that name.
    pub fn named(name: &str) -> Option<Tier> {
        Tier::ALL.into_iter().find(|tier| tier.name() == name)
    }

    /// As callers spell it.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Free => "free",
            Tier::Pro => "pro",
            Tier::Team => "team",
            Tier::Enterprise => "enterprise",
        }
    }

    fn limit(self, config: &TiersConfig) -> u32 {
        match self {
            Tier::Free => config.free,
            Tier::Pro => config.pro,
            Tier::Team => config.team,
            Tier::Enterprise => config.enterprise,
        }
    }
}

impl KeyTier {
    /// The tier that counts.
    pub fn tier(&self, config: &TiersConfig) -> Tier {
        self.tier.as_deref().and_then(Tier::named).unwrap_or(config.usual)
    }

    /// Requests an hour; none where there is no limit.
    pub fn limit(&self, config: &TiersConfig) -> Option<i64> {
        let limit = self.hourly_limit.unwrap_or_else(|| self.tier(config).limit(config).into());
        (limit > 0).then_some(limit)
    }
}

/// What is said of a limit with each answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left {
    limit: i64,
    remaining: i64,
    /// Seconds since 1970.
    reset: i64,
    /// Seconds from now.
    after: i64,
}

impl Left {
    fn at(now: i64, limit: i64, used: i64) -> Left {
        let end = (now / HOUR + 1) * HOUR;
        Left { limit, remaining: (limit - used).max(0), reset: end / 1000, after: (end - now + 999) / 1000 }
    }

    fn told(self, mut response: Response) -> Response {
        let Left { limit, remaining, reset, after } = self;
        for (name, value) in [
            ("x-ratelimit-limit", limit),
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-reset", reset),
            ("x-ratelimit-reset-after", after),
        ] {
            response.headers_mut().insert(name, HeaderValue::from(value));
        }
        response
    }
}

/// Middleware, behind the door: counts requests of this surface. Health is not counted, and a stream that is taken up again
/// was counted when it began.
pub async fn metered(State(app): State<App>, request: Request, next: Next) -> Result<Response, ApiError> {
    let path = request.uri().path();
    let who = request.extensions().get::<Identity>().filter(|_| is_here(path));
    let tier = request.extensions().get::<KeyTier>().cloned().unwrap_or_default();
    let Some(who) = who.cloned() else { return Ok(next.run(request).await) };
    let now = app.world().now();
    let limit = tier.limit(&app.config().tiers);
    let is_free = is_health(path) || request.headers().contains_key("last-event-id") && path.ends_with("/stream");
    let used = match is_free {
        true => Some(app.store().read().await?.used_in_hour(&who.key, now / HOUR).await?),
        false => {
            let mut tx = app.store().begin().await?;
            let used = tx.count_in_hour(&who.key, &who.workspace, now / HOUR, limit.unwrap_or(i64::MAX)).await?;
            tx.commit().await?;
            used
        }
    };
    let Some(limit) = limit else { return Ok(next.run(request).await) };
    let left = Left::at(now, limit, used.unwrap_or(limit));
    let response = match used {
        Some(_) => next.run(request).await,
        None => ApiError::HourlyLimit { limit: limit as u64, seconds: left.after as u64 }.into_response(),
    };
    debug_assert!(used.is_some() || response.headers().contains_key(header::RETRY_AFTER));
    Ok(left.told(response))
}

/// How long counted hours are kept, in milliseconds: the longest month and the one before.
const KEPT: i64 = 62 * 24 * HOUR;

/// Forgets what nobody asks for any more.
pub async fn forget_old(app: &App) -> Result<(), ApiError> {
    let now = app.world().now();
    // Once an hour is often enough: hours are what is counted.
    if now % HOUR >= 60_000 {
        return Ok(());
    }
    let mut tx = app.store().begin().await?;
    tx.forget_hours((now - KEPT) / HOUR).await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_left_is_never_negative_and_the_hour_always_ends_soon(
            now in 0..i64::MAX / 2, limit in 1..1_000_000i64, used in 0..2_000_000i64,
        ) {
            let left = Left::at(now, limit, used);
            prop_assert!((0..=limit).contains(&left.remaining));
            prop_assert_eq!(left.remaining == 0, used >= limit);
            prop_assert!((1..=3600).contains(&left.after));
            prop_assert!(left.reset * 1000 > now && left.reset * 1000 - now <= HOUR && left.reset % 3600 == 0);
        }
    }

    #[test]
    fn a_limit_of_a_keys_own_counts_for_more_than_its_tiers() {
        let config = crate::Config::default().tiers;
        let of = |tier: Option<&str>, hourly_limit| KeyTier { tier: tier.map(str::to_string), hourly_limit };
        assert_eq!(of(Some("free"), None).limit(&config), Some(100));
        assert_eq!(of(None, None).limit(&config), Some(1_000));
        assert_eq!(of(Some("enterprise"), Some(7)).limit(&config), Some(7));
        assert_eq!(of(Some("enterprise"), Some(0)).limit(&config), None);
    }
}
