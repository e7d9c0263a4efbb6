//! Billing: what was used. Nothing is sold here, and what would need a payment service says so.

use axum::Json;
use axum::extract::State;
use ingestion_server::web::ApiError;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::{Admin, Caller, Read};
use crate::time::{day, month_of};

const DAY: i64 = 86_400_000;

/// Days of the list of what was used, today included.
const DAYS: i64 = 30;

/// What was used this month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Billing {
    /// `active`: a platform of one's own has no other plan.
    plan_status: &'static str,
    /// Calls of tools that runs recorded this month.
    actions_used: i64,
    /// 0: there is no limit.
    actions_limit: i64,
    /// The month's first millisecond.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    period_start: i64,
    /// The next month's.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    period_end: i64,
    /// Of the month, today included.
    days_remaining: i64,
    /// False: nothing is paid here.
    has_payment_method: bool,
}

/// What was used on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DailyUsage {
    /// In UTC.
    #[schema(format = Date)]
    date: String,
    /// Calls of tools that runs recorded.
    count: i64,
}

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(billing))
        .routes(routes!(daily_usage))
        .routes(routes!(setup_intent))
        .routes(routes!(payment_method))
        .routes(routes!(subscribe))
        .routes(routes!(portal))
        .routes(routes!(publishable_key))
}

/// What was used this month.
#[utoipa::path(get, path = "/billing", tag = "account", responses((status = 200, body = Billing)))]
async fn billing(State(app): State<App>, caller: Caller<Read>) -> Result<Json<Billing>, ApiError> {
    let now = app.world().now();
    let (period_start, period_end) = month_of(now);
    let mut tx = app.store().read().await?;
    let days = tx.tool_calls_by_day(&caller.workspace, period_start, period_end).await?;
    Ok(Json(Billing {
        plan_status: "active",
        actions_used: days.iter().map(|(_, count)| count).sum(),
        actions_limit: 0,
        period_start,
        period_end,
        days_remaining: (period_end - now + DAY - 1) / DAY,
        has_payment_method: false,
    }))
}

/// What was used on each of the last 30 days, today last.
#[utoipa::path(get, path = "/billing/usage/daily", tag = "account", responses((status = 200, body = Vec<DailyUsage>)))]
async fn daily_usage(State(app): State<App>, caller: Caller<Read>) -> Result<Json<Vec<DailyUsage>>, ApiError> {
    let today = app.world().now() / DAY;
    let first = today - DAYS + 1;
    let mut tx = app.store().read().await?;
    let counted = tx.tool_calls_by_day(&caller.workspace, first * DAY, (today + 1) * DAY).await?;
    let count = |wanted| counted.iter().find(|(day, _)| *day == wanted).map_or(0, |(_, count)| *count);
    Ok(Json((first..=today).map(|number| DailyUsage { date: day(number), count: count(number) }).collect()))
}

fn nothing_is_sold() -> ApiError {
    let text = "this platform sells nothing: it has no payment service, no plan to subscribe to and no limit to lift";
    ApiError::NotImplemented(text.into())
}

macro_rules! unsold {
    ($($name:ident $method:ident $path:literal;)*) => {
        $(
            /// Not offered: nothing is sold here.
            #[utoipa::path($method, path = $path, tag = "account",
                responses((status = 501, body = crate::answer::Refusal)))]
            async fn $name(_caller: Caller<Admin>) -> ApiError {
                nothing_is_sold()
            }
        )*
    };
}

unsold! {
    setup_intent post "/billing/setup-intent";
    payment_method post "/billing/payment-method";
    subscribe post "/billing/subscribe";
    portal post "/billing/portal";
    publishable_key get "/billing/publishable-key";
}
