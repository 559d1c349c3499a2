//! The sender over lost answers, restarts, rivals and empty pockets: one intent, one effect.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::{Context, Poll},
};

use alloy::{
    network::{EthereumWallet, TransactionBuilder as _},
    primitives::U256,
    providers::{Provider as _, ProviderBuilder},
    rpc::{
        json_rpc::{RequestPacket, ResponsePacket},
        types::TransactionRequest,
    },
    signers::local::PrivateKeySigner,
    transports::{BoxTransport, TransportError, TransportErrorKind, TransportFut},
};
use futures::future::join_all;
use tower::Service;

use super::*;
use crate::l1::{
    client::{evm, http},
    send::Outcome,
};

/// A transport that loses questions and answers in a fixed pattern.
#[derive(Clone)]
struct Lossy {
    inner: BoxTransport,
    calls: Arc<AtomicU64>,
    /// Of every so many calls one question and one answer are lost; 1: every answer is.
    every: u64,
}

impl Service<RequestPacket> for Lossy {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: RequestPacket) -> Self::Future {
        let turn = self.calls.fetch_add(1, Relaxed) % self.every;
        let mut inner = self.inner.clone();
        let lost = || TransportErrorKind::custom_str("lost");
        let asked = self.every == 1 || turn != 2;
        let answered = self.every != 1 && turn != 4;
        Box::pin(async move {
            if !asked {
                return Err(lost());
            }
            let answer = inner.call(request).await?;
            if answered { Ok(answer) } else { Err(lost()) }
        })
    }
}

fn lossy(world: &World, every: u64) -> L1 {
    let inner = http(world.chain.url().parse().unwrap()).unwrap();
    let transport = BoxTransport::new(Lossy { inner, calls: Arc::default(), every });
    L1::over(vec![("lossy".into(), transport)], world.contracts)
}

async fn nonce_of(world: &World, name: u8) -> u64 {
    world.l1.provider.get_transaction_count(evm(account(name))).await.unwrap()
}

async fn automine(world: &World, on: bool) {
    world.chain.ask::<_, serde_json::Value>("evm_setAutomine", (on,)).await.unwrap();
}

#[tokio::test]
async fn every_call_lands_once_though_two_in_seven_exchanges_are_lost() {
    let world = World::start().await;
    let log = Arc::new(MemoryLog::default());
    let sender = world.sender_over(lossy(&world, 7), 1, Arc::clone(&log));
    let calls = (1..=30).map(|amount| sender.send(world.contracts.approve(amount)));
    for receipt in join_all(calls).await {
        assert_eq!(receipt.unwrap().outcome, Outcome::Done);
    }
    assert_eq!(nonce_of(&world, 1).await, 30, "thirty transactions for thirty calls");
    let mut amounts: Vec<Vec<u8>> = log.all().into_iter().map(|tx| tx.intent.call.data).collect();
    amounts.sort();
    amounts.dedup();
    assert_eq!(amounts.len(), 30, "each of them is in the log");
}

#[tokio::test]
async fn a_restart_finishes_what_was_spoken_and_sends_nothing_twice() {
    let world = World::start().await;
    let log = Arc::new(MemoryLog::default());
    let call = world.contracts.approve(77);
    let healthy = world.sender_over(world.l1.clone(), 1, Arc::clone(&log));
    automine(&world, false).await;
    let asked = {
        let call = call.clone();
        let sender = healthy.clone();
        tokio::spawn(async move { sender.send(call).await })
    };
    eventually("a signed form", || async {
        log.all().first().filter(|tx| !tx.signed.is_empty()).map(|_| ())
    })
    .await;
    asked.abort();
    // The second sender knows what the log knew at the crash. The first one goes on talking, which
    // must not matter either.
    let copy = Arc::new(MemoryLog(Mutex::new(log.0.lock().unwrap().clone())));
    let second = world.sender_over(world.l1.clone(), 1, Arc::clone(&copy));
    automine(&world, true).await;
    world.chain.mine(1, 1).await.unwrap();
    let receipt = second.send(call).await.unwrap();
    assert_eq!((receipt.outcome, receipt.nonce), (Outcome::Done, 0));
    assert_eq!(nonce_of(&world, 1).await, 1);
    assert_eq!(copy.all()[0].receipt, Some(receipt), "the log knows how it ended");
}

#[tokio::test]
async fn the_same_call_has_one_answer() {
    let world = World::start().await;
    let sender = world.sender(1);
    let first = sender.send(world.contracts.approve(5)).await.unwrap();
    let second = sender.send(world.contracts.approve(5)).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(nonce_of(&world, 1).await, 1);
}

#[tokio::test]
async fn a_waiting_transaction_is_replaced_by_better_ones() {
    let world = World::start().await;
    automine(&world, false).await;
    let log = Arc::new(MemoryLog::default());
    let sender = world.sender_over(world.l1.clone(), 1, Arc::clone(&log));
    let call = world.contracts.approve(5);
    let asked = tokio::spawn(async move { sender.send(call).await });
    eventually("three signed forms", || async {
        log.all().first().filter(|tx| tx.signed.len() >= 3).map(|_| ())
    })
    .await;
    automine(&world, true).await;
    world.chain.mine(1, 1).await.unwrap();
    let receipt = asked.await.unwrap().unwrap();
    let tx = log.all().remove(0);
    assert!(tx.signed.iter().any(|form| form.hash == receipt.hash));
    for pair in tx.signed.windows(2) {
        assert!(pair[1].max_fee * 8 >= pair[0].max_fee * 9, "an eighth more");
        assert!(pair[1].tip * 8 >= pair[0].tip * 9, "on both");
    }
    assert_eq!(nonce_of(&world, 1).await, 1);
}

#[tokio::test]
async fn a_rise_of_the_base_fee_is_followed() {
    let world = World::start().await;
    automine(&world, false).await;
    let log = Arc::new(MemoryLog::default());
    let sender = world.sender_over(world.l1.clone(), 1, Arc::clone(&log));
    let call = world.contracts.approve(5);
    let asked = tokio::spawn(async move { sender.send(call).await });
    eventually("a signed form", || async {
        log.all().first().filter(|tx| !tx.signed.is_empty()).map(|_| ())
    })
    .await;
    let risen = format!("{:#x}", 20_000_000_000_u64);
    world
        .chain
        .ask::<_, serde_json::Value>("anvil_setNextBlockBaseFeePerGas", (risen,))
        .await
        .unwrap();
    world.chain.mine(1, 1).await.unwrap();
    automine(&world, true).await;
    assert_eq!(asked.await.unwrap().unwrap().outcome, Outcome::Done);
    assert!(log.all()[0].signed.len() > 1, "the first form was too cheap");
}

#[tokio::test]
async fn an_empty_account_is_told_and_may_try_again() {
    let world = World::start().await;
    let sender = world.sender(7);
    let call = world.contracts.approve(5);
    for _ in 0..2 {
        let error = sender.send(call.clone()).await.unwrap_err();
        assert_eq!(error.code(), "L1-005", "{error}");
    }
    world.chain.set_wei(account(7), COIN).await.unwrap();
    assert_eq!(sender.send(call).await.unwrap().outcome, Outcome::Done);
    assert_eq!(nonce_of(&world, 7).await, 1);
}

#[tokio::test]
async fn a_nonce_that_somebody_else_used_is_given_up() {
    let world = World::start().await;
    automine(&world, false).await;
    let log = Arc::new(MemoryLog::default());
    let sender = world.sender_over(world.l1.clone(), 1, Arc::clone(&log));
    let call = world.contracts.approve(5);
    let asked = tokio::spawn(async move { sender.send(call).await });
    eventually("a signed form", || async {
        log.all().first().filter(|tx| !tx.signed.is_empty()).map(|_| ())
    })
    .await;
    // The operator's wallet pays a hundred times more for the same nonce.
    let wallet = EthereumWallet::from(PrivateKeySigner::from_slice(&secret(1)).unwrap());
    let rival =
        ProviderBuilder::new().wallet(wallet).connect_http(world.chain.url().parse().unwrap());
    let request = TransactionRequest::default()
        .with_to(evm(account(2)))
        .with_value(U256::from(1))
        .with_nonce(0)
        .with_gas_limit(21_000)
        .with_max_fee_per_gas(300_000_000_000)
        .with_max_priority_fee_per_gas(200_000_000_000);
    let _ = rival.send_transaction(request).await.unwrap();
    world.chain.mine(1, 1).await.unwrap();
    automine(&world, true).await;
    let receipt = asked.await.unwrap().unwrap();
    assert_eq!((receipt.outcome, receipt.nonce), (Outcome::Done, 1));
    assert_eq!(log.all()[0].receipt.unwrap().outcome, Outcome::Taken);
}

#[tokio::test]
async fn an_undone_receipt_is_no_answer_any_more() {
    let world = World::start().await;
    let sender = world.sender(1);
    let call = world.contracts.approve(5);
    let first = sender.send(call.clone()).await.unwrap();
    let none: [(); 0] = [];
    world.chain.ask::<_, serde_json::Value>("anvil_reorg", (1, none)).await.unwrap();
    let second = sender.send(call).await.unwrap();
    assert_eq!((second.outcome, second.nonce), (Outcome::Done, first.nonce));
    assert_ne!(first.block_hash, second.block_hash);
}

#[tokio::test]
async fn what_a_reorg_undid_does_not_hold_back_what_comes_after() {
    let world = World::start().await;
    let log = Arc::new(MemoryLog::default());
    let sender = world.sender_over(world.l1.clone(), 1, Arc::clone(&log));
    for amount in 1..=3 {
        sender.send(world.contracts.approve(amount)).await.unwrap();
    }
    let none: [(); 0] = [];
    world.chain.ask::<_, serde_json::Value>("anvil_reorg", (2, none)).await.unwrap();
    let receipt = sender.send(world.contracts.approve(4)).await.unwrap();
    assert_eq!((receipt.outcome, receipt.nonce), (Outcome::Done, 3));
    assert_eq!(nonce_of(&world, 1).await, 4);
    assert!(log.all().iter().all(|tx| tx.receipt.is_some_and(|it| it.outcome == Outcome::Done)));
}

#[tokio::test]
async fn a_log_that_fails_stops_everything_before_it_is_signed() {
    struct Full;
    impl IntentLog for Full {
        fn intent(&self, _: &Intent) -> Result<(), String> {
            Err("no space".into())
        }
        fn signed(&self, _: &Signed) -> Result<(), String> {
            unreachable!("nothing is signed without an intent")
        }
        fn receipt(&self, _: &Receipt) -> Result<(), String> {
            unreachable!("nothing was sent")
        }
        fn txs(&self) -> Result<Vec<Tx>, String> {
            Ok(Vec::new())
        }
    }
    let world = World::start().await;
    let sender = Sender::start(world.l1.clone(), &secret(1), Arc::new(Full), policy()).unwrap();
    let error = sender.send(world.contracts.approve(5)).await.unwrap_err();
    assert_eq!(error.code(), "L1-006");
    assert_eq!(nonce_of(&world, 1).await, 0);
    let error = sender.send(world.contracts.approve(5)).await.unwrap_err();
    assert_eq!(error.code(), "L1-013");
}

#[tokio::test]
async fn answers_that_are_all_lost_send_nothing_twice_either() {
    let world = World::start().await;
    let log = Arc::new(MemoryLog::default());
    let call = world.contracts.approve(5);
    log.intent(&Intent { nonce: 0, call: call.clone() }).unwrap();
    let deaf = world.sender_over(lossy(&world, 1), 1, Arc::clone(&log));
    let error = deaf.send(call.clone()).await.unwrap_err();
    assert_eq!(error.code(), "L1-002", "nothing was promised, so the caller may decide");
    let hearing = world.sender_over(world.l1.clone(), 1, Arc::clone(&log));
    assert_eq!(hearing.send(call).await.unwrap().nonce, 0);
    assert_eq!(nonce_of(&world, 1).await, 1);
}
