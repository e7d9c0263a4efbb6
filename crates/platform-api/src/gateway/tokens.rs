//! Tokens: the secret segment in the address that an agent finds the gateway at. Agents carry no key; who knows the
//! address is the agent.

use ingestion_server::web::ApiError;
use sha2::{Digest, Sha256};

use crate::store::{StoreError, Tx};

/// What the token of an agent is sealed under.
const KIND: &str = "gateway_token";

/// The path below which agents find the gateway, each at `/{agent}/{token}` of it.
pub const PREFIX: &str = "/agents-gateway";

/// The token of an agent, made if there is none yet.
pub async fn issue(tx: &mut Tx, workspace: &str, agent: &str) -> Result<String, StoreError> {
    if let Some(token) = tx.unseal::<String>(workspace, KIND, agent).await? {
        return Ok(token);
    }
    let mut random = [0; 24];
    getrandom::fill(&mut random).expect("the operating system has random numbers");
    let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    // Whose it is must be known before anything can be opened.
    let token = format!("{workspace}.{random}");
    tx.seal(workspace, KIND, agent, &token).await?;
    Ok(token)
}

/// The token of an agent, if it was given one.
pub async fn of(tx: &mut Tx, workspace: &str, agent: &str) -> Result<Option<String>, StoreError> {
    tx.unseal(workspace, KIND, agent).await
}

/// The token of an agent that is taken away.
pub async fn forget(tx: &mut Tx, workspace: &str, agent: &str) -> Result<(), StoreError> {
    tx.forget_sealed(workspace, KIND, agent).await
}

/// The workspace of an agent that shows its token.
pub async fn workspace_of(tx: &mut Tx, agent: &str, token: &str) -> Result<String, ApiError> {
    let workspace = token.split_once('.').map_or("", |(workspace, _)| workspace);
    let kept: Option<String> = tx.unseal(workspace, KIND, agent).await?;
    // Hashes are compared: how long that takes says nothing about a token.
    let hash = |token: &str| Sha256::digest(token.as_bytes());
    match kept {
        Some(kept) if hash(&kept) == hash(token) => Ok(workspace.into()),
        _ => Err(ApiError::Unauthorized),
    }
}
