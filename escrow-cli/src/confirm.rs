//! Asking a person to confirm an act that cannot be undone.

use crate::failure::{Exit, Failure};
use crate::output::note;
use escrow_core::{Digest, MatterId};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

/// How a command may go on without asking.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Consent {
    /// Do not ask; needs --request-hash
    #[arg(long, requires = "request_hash")]
    pub yes: bool,
    /// The request's hash as it was read and checked elsewhere
    #[arg(long, value_name = "HASH")]
    pub request_hash: Option<Digest>,
}

/// Lets a person type `word`; or takes `--yes` with the right hash.
///
/// # Errors
/// Usage, if nobody can be asked, something else was typed, or the hash is another.
pub fn confirm(consent: &Consent, request: &Digest, word: &str, what: &str) -> Result<(), Failure> {
    if let Some(hash) = &consent.request_hash
        && hash != request
    {
        return Err(Failure::usage(format!("--request-hash {} is not this request's hash {request}", hash.short()))
            .next("read the request again before you decide"));
    }
    if consent.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("nobody can be asked here").next(format!("add --yes --request-hash {request}")));
    }
    typed(&format!("{what} Type {word} to go on: "), word)
}

/// How an act on a matter goes on without asking.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Repeat {
    /// Do not ask; needs --matter
    #[arg(long, requires = "repeated")]
    pub yes: bool,
    /// The matter's name once more
    #[arg(long = "matter", id = "repeated", value_name = "MATTER")]
    pub repeated: Option<MatterId>,
}

/// Lets a person type a matter's name; or takes `--yes` with the name repeated.
///
/// # Errors
/// Usage, if nobody can be asked, something else was typed, or another matter is repeated.
pub fn confirm_matter(repeat: &Repeat, matter: &MatterId, what: &str) -> Result<(), Failure> {
    if let Some(other) = repeat.repeated.as_ref().filter(|m| *m != matter) {
        return Err(Failure::usage(format!("--matter {other} is another matter than {matter}; nothing was signed")));
    }
    if repeat.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("nobody can be asked here").next(format!("add --yes --matter {matter}")));
    }
    typed(&format!("{what} Type {matter} to go on: "), matter.as_str())
}

/// Lets a person on a terminal type `word`. Without a terminal nothing is asked: what only protects
/// the person who acts must not be harder for a script than its opposite.
///
/// # Errors
/// Usage, if something else was typed.
pub fn ask_on_terminal(yes: bool, word: &str) -> Result<(), Failure> {
    if yes || !io::stdin().is_terminal() {
        return Ok(());
    }
    typed(&format!("Type {word} to go on: "), word)
}

fn typed(prompt: &str, word: &str) -> Result<(), Failure> {
    let mut err = io::stderr().lock();
    let _ = write!(err, "{prompt}");
    let _ = err.flush();
    drop(err);
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    if line.trim() == word {
        return Ok(());
    }
    note("");
    Err(Failure::new(Exit::Usage, "not-confirmed", "something else was typed; nothing was signed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_needs_the_matters_name() {
        let (this, other): (MatterId, MatterId) = ("MAT-1".parse().unwrap(), "MAT-2".parse().unwrap());
        let repeat = |yes, m: &MatterId| Repeat { yes, repeated: Some(m.clone()) };
        assert!(confirm_matter(&repeat(true, &this), &this, "x").is_ok());
        for yes in [true, false] {
            assert_eq!(confirm_matter(&repeat(yes, &other), &this, "x").unwrap_err().exit, Exit::Usage);
        }
    }

    #[test]
    fn yes_needs_the_right_hash() {
        let (this, other) = (Digest([1; 32]), Digest([2; 32]));
        let yes = |h| Consent { yes: true, request_hash: Some(h) };
        assert!(confirm(&yes(this), &this, "MAT-1", "x").is_ok());
        assert_eq!(confirm(&yes(other), &this, "MAT-1", "x").unwrap_err().exit, Exit::Usage);
        let wrong = Consent { yes: false, request_hash: Some(other) };
        assert!(confirm(&wrong, &this, "MAT-1", "x").is_err());
    }
}
