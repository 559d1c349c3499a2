//! `coppice-agent claim`: claims payouts through a running agent, which holds the credit records.
//! Anyone may claim for any payee; the payee is paid.

use wire::control::{Reply, Request};

use super::{SocketArgument, print_line};
use crate::{error::Coded, shell::control::Client};

/// Options of `claim`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    socket: SocketArgument,
    /// The settled slot; all of them if not given.
    #[arg(long)]
    slot: Option<u64>,
    /// Whom to pay (0x…); the agent's own payee if not given.
    #[arg(long)]
    payee: Option<String>,
    /// Prints the answer as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Asks and waits until L1 has decided.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let mut client = Client::connect(&arguments.socket.find()?).await?;
    let request = Request::Claim { slot: arguments.slot, payee: arguments.payee };
    let reply = client.ask(&request).await?;
    if arguments.json {
        print_line(&serde_json::to_string(&reply)?)?;
    }
    match reply {
        Reply::Accepted { text } => {
            if !arguments.json {
                print_line(&text)?;
            }
            Ok(0)
        }
        Reply::Refused { code, text } => {
            let text = format!("{code}: {text}");
            Err(Coded::new("CTL-013", text).into())
        }
        Reply::Snapshot(_) => Err(Coded::new("CTL-011", "the agent gave another answer").into()),
    }
}
