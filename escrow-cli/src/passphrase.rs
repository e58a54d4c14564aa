//! Where passphrases of key files come from: a file, an open file descriptor, or the terminal. Never arguments, never
//! the environment: other programs can read those.

use crate::failure::{Exit, Failure};
use escrow_client::Passphrase;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use zeroize::Zeroizing;

/// The next step where there is no passphrase.
pub(crate) const WHERE: &str = "run it on a terminal, or say where the passphrase is: --passphrase-file FILE (its first line, mode 0600) \
     or --passphrase-fd N";

/// What encrypted key files are opened with.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Passphrases {
    /// File with the passphrase of encrypted key files as its first line [default: ask on the terminal]
    #[arg(long, global = true, help_heading = "Every command", value_name = "FILE", conflicts_with = "passphrase_fd")]
    pub passphrase_file: Option<PathBuf>,
    /// Open file descriptor to read the passphrase from
    #[arg(long, global = true, help_heading = "Every command", value_name = "N")]
    pub passphrase_fd: Option<u32>,
    /// A descriptor can be read once only.
    #[arg(skip)]
    read: Arc<OnceLock<Arc<Passphrase>>>,
}

impl Passphrases {
    /// The passphrase of an existing key file; to be given to whatever loads one.
    ///
    /// # Errors
    /// Why there is none.
    pub fn of(&self, key: &Path) -> io::Result<Arc<Passphrase>> {
        match self.named()? {
            Some(passphrase) => Ok(passphrase),
            None => typed(&format!("Passphrase of {}: ", key.display())).map(Arc::new),
        }
    }

    /// The same from flags only: nobody is asked.
    ///
    /// # Errors
    /// Why there is none.
    pub fn without_asking(&self, _: &Path) -> io::Result<Arc<Passphrase>> {
        self.named()?.ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "none was named"))
    }

    /// A passphrase for a key file to be encrypted; typed twice on a terminal.
    ///
    /// # Errors
    /// Usage, if there is none or it was typed differently.
    pub fn fresh(&self, key: &Path) -> Result<Arc<Passphrase>, Failure> {
        let no = |e: io::Error| match e.kind() {
            io::ErrorKind::Interrupted => {
                Failure::new(Exit::Interrupted, "interrupted", "interrupted; nothing was written")
            }
            _ => {
                Failure::new(Exit::Usage, "passphrase", format!("no passphrase for {}: {e}", key.display())).next(WHERE)
            }
        };
        if let Some(passphrase) = self.named().map_err(no)? {
            return Ok(passphrase);
        }
        let prompt = format!("New passphrase for {} (at least {} characters): ", key.display(), Passphrase::MIN);
        let first = typed(&prompt).map_err(no)?;
        if first.same(&typed("The same again: ").map_err(no)?) {
            return Ok(Arc::new(first));
        }
        Err(Failure::new(Exit::Usage, "passphrase", "the two passphrases differ; nothing was written")
            .next("repeat the command and type the same passphrase twice"))
    }

    /// The one that flags name.
    fn named(&self) -> io::Result<Option<Arc<Passphrase>>> {
        if let Some(known) = self.read.get() {
            return Ok(Some(Arc::clone(known)));
        }
        let passphrase = match (&self.passphrase_file, self.passphrase_fd) {
            (Some(file), _) => Passphrase::read(file).map_err(|e| about(&e, &file.display().to_string()))?,
            (None, Some(0)) => Passphrase::from_reader(io::stdin().lock())?,
            (None, Some(n)) => {
                let file = std::fs::File::open(format!("/dev/fd/{n}"));
                Passphrase::from_reader(file.map_err(|e| about(&e, &format!("descriptor {n}")))?)?
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Arc::clone(self.read.get_or_init(|| Arc::new(passphrase)))))
    }
}

fn about(e: &io::Error, what: &str) -> io::Error {
    io::Error::new(e.kind(), format!("{what}: {e}"))
}

/// Reads a line from the terminal without showing it. A script has a terminal somewhere too, so somebody must be seen
/// to sit at it.
fn typed(prompt: &str) -> io::Result<Passphrase> {
    if !io::stdin().is_terminal() && !io::stderr().is_terminal() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "there is no terminal to type it on"));
    }
    Ok(Passphrase::new(&Zeroizing::new(rpassword::prompt_password(prompt)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_passphrase_is_read_once_and_used_for_every_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p");
        crate::context::replace(&file, b"a passphrase of words\n").unwrap();
        let from = Passphrases { passphrase_file: Some(file.clone()), ..Passphrases::default() };
        let first = from.of(Path::new("a.key")).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(first.same(&from.clone().fresh(Path::new("b.key")).unwrap()), "it was read again");
        let gone = Passphrases { passphrase_file: Some(file), ..Passphrases::default() };
        let failure = gone.fresh(Path::new("b.key")).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.text().contains("--passphrase-fd"), "{}", failure.text());
    }
}
