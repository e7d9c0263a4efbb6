//! Names: each name that an agent asks for has an address of its own, so that a connection tells which was dialed.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

/// Loopback addresses, of which a sandbox has all: 127.77.0.1 and on.
const FIRST: u32 = u32::from_be_bytes([127, 77, 0, 1]);

/// An agent that asks for more is making them up; the rest is told that there is no such name.
const MOST: usize = 10_000;

/// What one sandbox has asked for.
#[derive(Debug, Default)]
pub struct Names {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    by_name: HashMap<String, Ipv4Addr>,
    by_number: Vec<String>,
}

impl Names {
    /// The address that stands for a name, the same whenever it is asked for.
    pub fn address(&self, name: &str) -> Option<Ipv4Addr> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if name == "localhost" || name.ends_with(".localhost") {
            return Some(Ipv4Addr::LOCALHOST);
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(address) = inner.by_name.get(&name) {
            return Some(*address);
        }
        let number = inner.by_number.len();
        if name.is_empty() || number >= MOST {
            return None;
        }
        let address = Ipv4Addr::from(FIRST + number as u32);
        inner.by_name.insert(name.clone(), address);
        inner.by_number.push(name);
        Some(address)
    }

    /// The name that an address stands for.
    pub fn name(&self, address: Ipv4Addr) -> Option<String> {
        let number = u32::from(address).checked_sub(FIRST)?;
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.by_number.get(number as usize).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_back_to_the_name_it_was_given_for() {
        let names = Names::default();
        let stripe = names.address("api.stripe.com.").unwrap();
        assert_ne!(names.address("api.openai.com"), Some(stripe));
        assert_eq!(names.address("API.Stripe.com"), Some(stripe));
        assert_eq!(names.name(stripe).as_deref(), Some("api.stripe.com"));
        assert_eq!(names.name(Ipv4Addr::LOCALHOST), None);
        assert_eq!(names.name(Ipv4Addr::new(127, 77, 0, 9)), None);
        assert_eq!(names.address("localhost"), Some(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn an_agent_that_makes_names_up_costs_no_more_than_so_many() {
        let names = Names::default();
        let given = (0..3 * MOST).filter(|n| names.address(&format!("{n}.test")).is_some()).count();
        assert_eq!(given, MOST);
        assert!(names.address("0.test").is_some());
    }
}
