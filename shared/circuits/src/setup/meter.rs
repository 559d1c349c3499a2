//! What a process has spent, from `/proc`: CPU time and peak memory.

use std::fs;

/// Kernel ticks per second; fixed in Linux's user interface.
const TICKS: u64 = 100;

/// CPU milliseconds this process has spent, all threads; 0 where `/proc` is missing.
#[must_use]
pub fn cpu_ms() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The command's name may hold anything; fields are counted after its closing parenthesis.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut fields = fields.split_whitespace().skip(11).map(|field| field.parse::<u64>());
    let mut ticks = || fields.next().and_then(Result::ok).unwrap_or(0);
    (ticks() + ticks()) * 1000 / TICKS
}

/// Peak resident memory in MB since the start or [`reset_peak`]; 0 where `/proc` is missing.
#[must_use]
pub fn peak_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Starts a new peak. Without the permission the old one stays, and figures are upper bounds.
pub fn reset_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_memory_are_seen() {
        let before = cpu_ms();
        let numbers: Vec<u64> = (0..20_000_000).map(|i: u64| i.wrapping_mul(i)).collect();
        let start = std::time::Instant::now();
        let mut sum = 0u64;
        while start.elapsed().as_millis() < 100 {
            sum = numbers.iter().fold(sum, |sum, number| sum.wrapping_add(number.rotate_left(7)));
        }
        assert!(sum != 1 && cpu_ms() > before && peak_mb() >= 160);
    }
}
