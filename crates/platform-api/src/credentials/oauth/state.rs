//! State: what a user carries to the authorization server and back. It is signed, ends, and is bound to the consent it
//! belongs to; and it tells nobody on the way whose it is.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::store::{ConsentRow, StoreError, Tx};

/// What signs states is sealed under this, once for all workspaces.
const KIND: &str = "signing_key";

/// Signs states, on every replica alike.
#[derive(Clone, Serialize, Deserialize)]
pub struct Key(String);

/// What a state says, once its signature was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The consent.
    #[serde(rename = "i")]
    pub id: String,
    /// Which of the addresses that were made for it.
    #[serde(rename = "n")]
    pub nonce: String,
    /// Until when, in milliseconds since 1970.
    #[serde(rename = "e")]
    pub expires_at: i64,
    /// Workspace, tool, user, agent and run, under our key.
    #[serde(rename = "b")]
    binding: String,
}

impl Key {
    /// The key of this store, made by whoever needs it first.
    pub async fn of(tx: &mut Tx) -> Result<Key, StoreError> {
        match tx.unseal("", KIND, "oauth").await? {
            Some(key) => Ok(key),
            None => tx.seal_once("", KIND, "oauth", Key(super::random())).await,
        }
    }

    /// The state of a consent.
    pub fn sign(&self, row: &ConsentRow, nonce: &str) -> String {
        let (id, nonce) = (row.id.clone(), nonce.to_string());
        let state = State { id, nonce, expires_at: row.expires_at, binding: self.binding(row) };
        let text = BASE64.encode(serde_json::to_vec(&state).expect("plain data is always JSON"));
        let signature = BASE64.encode(self.mac("state", text.as_bytes()).finalize().into_bytes());
        format!("{text}.{signature}")
    }

    /// What a state says, if we signed it.
    pub fn verify(&self, state: &str) -> Option<State> {
        let (text, signature) = state.split_once('.')?;
        // In constant time.
        self.mac("state", text.as_bytes()).verify_slice(&BASE64.decode(signature).ok()?).ok()?;
        serde_json::from_slice(&BASE64.decode(text).ok()?).ok()
    }

    /// Whether a state belongs to this consent, and is the newest that was made for it.
    pub fn belongs(&self, state: &State, row: &ConsentRow, nonce: &str) -> bool {
        state.id == row.id && state.nonce == nonce && state.binding == self.binding(row)
    }

    fn binding(&self, row: &ConsentRow) -> String {
        let about = serde_json::json!([row.workspace, row.tool, row.subject, row.agent, row.run_id]).to_string();
        BASE64.encode(self.mac("binding", about.as_bytes()).finalize().into_bytes())
    }

    fn mac(&self, purpose: &str, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        mac.update(b"\0");
        mac.update(bytes);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> ConsentRow {
        ConsentRow {
            id: "c-1".into(),
            workspace: "default".into(),
            tool: "calendar".into(),
            subject: "user/alice".into(),
            agent: "helper".into(),
            run_id: "r-1".into(),
            action_id: None,
            expires_at: 5_000,
        }
    }

    #[test]
    fn a_state_is_read_where_it_was_signed_and_names_nobody() {
        let key = Key("a key".into());
        let state = key.sign(&row(), "n-1");
        let read = key.verify(&state).unwrap();
        assert!(key.belongs(&read, &row(), "n-1") && read.expires_at == 5_000);
        let shown = String::from_utf8(BASE64.decode(state.split('.').next().unwrap()).unwrap()).unwrap();
        assert!(!shown.contains("alice") && !shown.contains("calendar"), "{shown}");
        assert!(!key.belongs(&read, &row(), "n-2"));
        for change in [
            (|row: &mut ConsentRow| row.workspace = "other".into()) as fn(&mut ConsentRow),
            |row| row.tool = "mail".into(),
            |row| row.subject = "user/bob".into(),
            |row| row.agent = "other".into(),
            |row| row.run_id = "r-2".into(),
        ] {
            let mut other = row();
            change(&mut other);
            assert!(!key.belongs(&read, &other, "n-1"), "{other:?}");
        }
    }

    #[test]
    fn whatever_is_changed_is_not_read() {
        let key = Key("a key".into());
        let state = key.sign(&row(), "n");
        let (text, signature) = state.split_once('.').unwrap();
        let forged = BASE64.encode(r#"{"i":"c-1","n":"n","e":9999999999999,"b":""}"#);
        let wrong = [
            String::new(),
            ".".into(),
            text.into(),
            format!("{text}."),
            format!("{forged}.{signature}"),
            format!("{state}A"),
            Key("another".into()).sign(&row(), "n"),
        ];
        for state in wrong {
            assert_eq!(key.verify(&state), None, "{state}");
        }
    }
}
