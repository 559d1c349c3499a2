//! `coppice-agent status`: one snapshot of a running agent, for people and scripts.

use wire::control::{Reply, Request, Snapshot};

use super::{SocketArgument, print_line};
use crate::{error::Coded, shell::control::Client};

/// Options of `status`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    socket: SocketArgument,
    /// Prints nothing; the exit code says it all.
    #[arg(short, long)]
    quiet: bool,
    /// Prints the whole snapshot as one line of JSON.
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
}

/// Exit code when no agent answers.
const NO_AGENT: u8 = 40;

/// Prints the state; the exit code is the health: 0 ok, 10 degraded, 20 at risk, 30 not working,
/// 40 no agent.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let snapshot = match ask(&arguments.socket).await {
        Ok(snapshot) => snapshot,
        Err(error) => {
            if !arguments.quiet {
                print_line(&error.to_string())?;
            }
            return Ok(NO_AGENT);
        }
    };
    if arguments.json {
        print_line(&serde_json::to_string(&snapshot)?)?;
    } else if !arguments.quiet {
        print_line(&describe(&snapshot))?;
    }
    Ok(exit_code(&snapshot.health))
}

async fn ask(socket: &SocketArgument) -> Result<Snapshot, Coded> {
    let mut client = Client::connect(&socket.find()?).await?;
    match client.ask(&Request::Status).await? {
        Reply::Snapshot(snapshot) => Ok(*snapshot),
        Reply::Accepted { text } | Reply::Refused { text, .. } => Err(Coded::new("CTL-011", text)),
    }
}

fn exit_code(health: &str) -> u8 {
    match health {
        "ok" => 0,
        "degraded" => 10,
        "at_risk" => 20,
        _ => 30,
    }
}

fn describe(it: &Snapshot) -> String {
    let mut lines = vec![format!("{} {}  {}  {}", it.name, it.version, it.network, it.health)];
    if it.insecure_setup {
        lines.push("INSECURE SETUP: proofs can be forged; for a devnet only".into());
    }
    if let Some(slot) = it.slots.last() {
        let tasks = slot.nodes.iter().filter(|node| node.is_task());
        let made = tasks.clone().filter(|node| node.cpu_ms.is_some()).count();
        lines.push(format!("slot {} {}  proofs {made}/{}", slot.slot, slot.phase, tasks.count()));
    }
    for lane in &it.lanes {
        let work = lane.node.as_deref().unwrap_or("-");
        let step = lane.step.as_deref().unwrap_or("");
        lines.push(format!("lane {} {} {work} {step}", lane.lane, lane.state).trim_end().into());
    }
    let connected = it.peers.iter().filter(|peer| peer.connected).count();
    lines.push(format!("peers {connected}/{}  L1 block {}", it.peers.len(), it.l1.number));
    let money = &it.earnings;
    lines.push(format!("claimable {}  paid {} (base units)", money.claimable, money.paid));
    lines.push(format!("bond {} (base units)  {}", it.stake.bond, it.stake.state));
    if let Some(text) = &it.idle_text {
        lines.push(format!("idle: {} {text}", it.idle_code.as_deref().unwrap_or("")));
    }
    lines.extend(it.alerts.iter().map(|alert| format!("! {} {}", alert.code, alert.text)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_decides_the_exit_code() {
        let codes = ["ok", "degraded", "at_risk", "not_working", "unheard of"].map(exit_code);
        assert_eq!(codes, [0, 10, 20, 30, 30]);
    }

    #[test]
    fn the_text_says_why_it_is_idle() {
        let snapshot = Snapshot {
            name: "agent-1".into(),
            idle_code: Some("IDLE-NO-BLOCK".into()),
            idle_text: Some("no block is revealed".into()),
            ..Snapshot::default()
        };
        assert!(describe(&snapshot).contains("idle: IDLE-NO-BLOCK no block is revealed"));
    }
}
