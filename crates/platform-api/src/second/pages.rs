//! Pages: long lists, a part at a time.

use axum::Json;
use ingestion_server::web::ApiError;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::params::Pairs;

/// Items of a page where nobody says how many.
const USUAL: i64 = 20;

/// The most of them.
const MOST: i64 = 100;

/// Which part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    page: i64,
    limit: i64,
}

/// The same in the query, for the API's description.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the query is read by name; this describes it")]
pub struct PageQuery {
    /// Which page, from 1.
    #[param(minimum = 1)]
    page: Option<i64>,
    /// Items of a page: 1 to 100.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// Where a part is in its whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Pagination {
    /// Which page, from 1.
    pub page: i64,
    /// Items of a full page.
    pub limit: i64,
    /// Items of all pages.
    pub total: i64,
    /// Pages there are.
    pub pages: i64,
}

/// A part of a list, in its envelope.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Listed<T> {
    /// `success`.
    status: &'static str,
    /// The items; none past the end.
    pub data: Vec<T>,
    /// Where they are in the whole.
    pub pagination: Pagination,
}

impl Page {
    /// What the query says.
    pub fn of(query: &Pairs) -> Result<Page, ApiError> {
        Ok(Page { page: query.number("page", 1, 1..=i64::MAX)?, limit: query.number("limit", USUAL, 1..=MOST)? })
    }

    /// How many items come before it.
    pub fn offset(self) -> i64 {
        (self.page - 1).saturating_mul(self.limit)
    }

    /// How many it holds at most.
    pub fn limit(self) -> i64 {
        self.limit
    }

    /// This part of a list that is all there.
    pub fn cut<T>(self, all: Vec<T>) -> Json<Listed<T>> {
        let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
        let offset = usize::try_from(self.offset()).unwrap_or(usize::MAX);
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        self.listed(all.into_iter().skip(offset).take(limit).collect(), total)
    }

    /// These items, which are this part of `total`.
    pub fn listed<T>(self, data: Vec<T>, total: i64) -> Json<Listed<T>> {
        let pages = (total + self.limit - 1) / self.limit;
        let pagination = Pagination { page: self.page, limit: self.limit, total, pages };
        Json(Listed { status: "success", data, pagination })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_pages_together_are_the_list_and_past_them_is_nothing(count in 0..500usize, limit in 1..=MOST) {
            let all: Vec<usize> = (0..count).collect();
            let pages = Page { page: 1, limit }.cut(all.clone()).pagination.pages;
            let part = |page| Page { page, limit }.cut(all.clone()).0;
            let together: Vec<usize> = (1..=pages).flat_map(|page| part(page).data).collect();
            prop_assert_eq!(&together, &all);
            prop_assert!((1..=pages).all(|page| !part(page).data.is_empty()));
            for beyond in [pages + 1, pages + 2, i64::MAX] {
                let part = part(beyond);
                prop_assert!(part.data.is_empty());
                prop_assert_eq!((part.pagination.total, part.pagination.page), (count as i64, beyond));
            }
        }
    }
}
