//! Backup, restore, drill and new log: what the operator reads.

use crate::Output;
use escrow_core::Digest;
use escrow_node::backup::backup;
use escrow_node::config::Config;
use escrow_node::new_log::new_log;
use escrow_node::node::NodeError;
use escrow_node::restore::{Restored, Source, drill, restore};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::Path;

/// `backup`.
pub(crate) fn make_backup(config: &Config, out: &Path, keys_out: &Path) -> Result<(), NodeError> {
    let b = backup(config, out, keys_out)?;
    println!("Copied {} entries of {}, root {}.", b.size, b.log, b.root);
    println!("  {}  database, descriptor, backup.json", out.display());
    println!("  {}  sealed key files: keep them on another medium, the passphrase on a third", keys_out.display());
    println!("Try it: escrow-node restore --drill --from {} --keys {}", out.display(), keys_out.display());
    Ok(())
}

/// `restore`, in earnest or as a drill.
pub(crate) fn from_backup(config: &Config, source: &Source, only_try: bool, output: Output) -> Result<(), NodeError> {
    // Drawn on a terminal only.
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("checking shares {bar:30} {pos}/{len}") {
        bar.set_style(style);
    }
    let progress = |done: u64, total: u64| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let done = if only_try { drill(config, source, &progress) } else { restore(config, source, &progress) };
    bar.finish_and_clear();
    let report = done?;
    match output {
        Output::Json => {
            println!("{}", serde_json::to_string_pretty(&report).map_err(|e| NodeError::Charter(e.to_string()))?);
        }
        Output::Text => tell(&report),
    }
    Ok(())
}

fn tell(r: &Restored) {
    println!("{}", if r.drill { "DRILL: this backup can be restored. Nothing was changed." } else { "Restored." });
    println!("seat      {}", r.seat);
    println!("made      {}", r.made);
    println!("log       {} entries of {}", r.size, r.log);
    println!("root      {}", r.root);
    println!("charter   {}", r.charter);
    println!("checked   {} entries of all logs of the seat; {} shares, each opened", r.entries, r.shares);
    if !r.drill {
        println!("{}", r.next);
    }
}

/// `new-log`.
pub(crate) fn prepare_log(config: &Config) -> Result<(), NodeError> {
    let new = new_log(config)?;
    let lost = new.newest.saturating_sub(new.kept);
    println!(
        "This seat has {} entries of its log; other nodes have seen {}: {lost} are lost here.",
        new.kept, new.newest
    );
    println!("Its next log is {}. Nothing changes until a charter gives the seat that log.", new.seat.log_origin);
    println!("1. Give {} to the administrators; compare", config.descriptor().display());
    println!("     log key        {}", new.seat.log_key.id());
    println!("     previous head  {}", new.seat.previous_log_head.unwrap_or(Digest([0; 32])));
    println!("2. Accept their next charter here and at the other nodes: escrow-node charter accept DIGEST --file FILE");
    println!(
        "3. Start the node: it goes on under the new log. Then make a new backup; older ones end with the old log."
    );
    Ok(())
}
