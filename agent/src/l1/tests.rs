//! Tests against a running chain.

use super::anvil::Anvil;

#[tokio::test]
async fn a_chain_starts_and_stops() {
    let mut chain = Anvil::start().await.unwrap();
    assert!(chain.ended().is_none());
    chain.mine_to(300, 2).await.unwrap();
    chain.mine_every(2).await.unwrap();
    chain.stop().await;
}
